"""Groups in the core: a `Policy.source` runs as levels of the one stream."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import (
    Closed,
    Completed,
    Decide,
    Failed,
    NoSources,
    Opening,
    Policy,
    ReusedIterator,
    Skip,
    Source,
    StreamTimeout,
)
from failover_iter._core.commands import Raise
from failover_iter._core.usage import is_usage_error
from support.play import A, B, C, D, E, Play, lost, show, started

PLAIN = Policy(retry_on=OSError)


def after_a(group: Any, **outer: Any) -> Play:
    """Open this group after A has delivered one item and failed."""
    play = started([A, group], **outer)
    play.deliver("1")
    play.fail()
    return play


@pytest.mark.parametrize("mode", ["restart", "skip", "resume"])
def test_a_group_takes_over_as_the_flat_list_does(mode: Any) -> None:
    """Its first source has the same mode, count and failures, whether it is in a group or not."""
    policy = Policy(retry_on=OSError, mid_stream=mode)
    for depth in range(3):
        sources: list[Any] = [B, C]
        for _ in range(depth):
            sources = [policy.source(sources)]
        play = started([A, *sources], mid_stream=mode)
        play.deliver("1")
        play.fail()
        assert (play.attempt.source.name, play.attempt.mode) == ("b", mode)
        assert play.attempt.to_replay == int(mode == "skip")
        told = [(p.delivered, [f.source for f in p.failures]) for p in play.attempt.args]
        assert told == [(1, ["a"])] * (mode == "resume")


def test_each_failure_in_a_group_is_in_the_progress() -> None:
    """`Progress.failures` holds the failures of inner sources, each of them once."""
    policy = Policy(retry_on=OSError, mid_stream="resume")
    play = started([A, policy.source([B, C]), D], mid_stream="resume")
    told = []
    for _ in range(3):
        play.fail()
        told.append([failed.source for failed in play.attempt.args[0].failures])
    assert told == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_the_outer_key_holds_in_a_group() -> None:
    """If the outer stream compares by key, an inner source without a key is compared too."""
    policy = Policy(retry_on=OSError, mid_stream="skip")
    play = after_a(policy.source([B]), mid_stream=Skip(key=str))
    assert (play.attempt.to_replay, play.key) == (1, str)


def test_overrides_in_a_group_are_not_judged_again() -> None:
    """An option that a `Source` sets itself holds, though an outer level has another value."""
    options: Any = {
        "complete_when": lambda item: item == "END",
        "allow_empty": False,
        "commit_when": 3,
    }
    own = Source(B, complete_when=None, allow_empty=True, commit_when=1)
    group = Policy(retry_on=OSError, **options).source([own])
    for sources in ([own], [group], [Policy(retry_on=OSError).source([group])]):
        play = started(sources, **options)
        assert show(play.end()) == "return None"
        play = started(sources, **options)
        play.deliver("1")
        assert play.delivered == ["1"]
        assert show(play.end()) == "return None"


@pytest.mark.parametrize("own", [{"mid_stream": "skip"}, {"mid_stream": "restart"}])
def test_a_source_with_its_own_mode_in_a_group(own: Any) -> None:
    """Items, markers and counts are those of the flat list: no duplicates, nothing lost."""
    outer = "restart" if own["mid_stream"] == "skip" else "skip"
    policy = Policy(retry_on=OSError, mid_stream=outer)
    told = []
    for nested in (False, True):
        middle: Any = Source(B, **own)
        sources = [A, policy.source([middle]) if nested else middle, C]
        play = Play(sources, mid_stream=outer, mark_takeovers=True)
        commands = play.through("12x 123x 12345.")
        items = [str(getattr(item, "delivered", item)) for item in play.delivered]
        told.append((commands, " ".join(items)))
    assert told[0] == told[1]
    expected = {"restart": "1 2 2 3 3 1 2 3 4 5", "skip": "1 2 2 1 2 3 3 4 5"}
    assert told[0][1] == expected[outer]


def test_the_own_mode_of_a_source_is_its_own() -> None:
    """The next source in the group takes over as the outer level does, not as the one before."""
    own: Any = Source(B, mid_stream="resume")
    for sources in ([A, own, C], [A, PLAIN.source([own, C])]):
        play = Play(sources, mid_stream="skip")
        expected = ["open a", "open b from 1", "open c skip 1", "return value"]
        assert play.through("1x 1x 1.") == expected


def test_a_decision_holds_in_the_group_that_it_opened() -> None:
    """Until the group delivers an item, its sources take over as the outer `Decide` said."""
    decided: list[int] = []
    decide: Any = Decide(lambda progress: decided.append(progress.delivered) or "skip")
    for policy in (PLAIN, Policy(retry_on=OSError, mid_stream="raise")):
        play = after_a(Source(policy.source([B, C]).factory, mid_stream=decide))
        assert play.attempt.to_replay == 1
        assert show(play.fail()) == "open c skip 1"
    assert decided == [1, 1]


# An attempt in a group that the source does not end.


@pytest.mark.parametrize("error", [KeyError("mine"), ConnectionError("mine"), GeneratorExit()])
def test_the_consumer_ends_an_attempt_in_a_group(error: BaseException) -> None:
    """No outer level judges the error, even if its `retry_on` lists it."""
    events: list[Any] = []
    play = after_a(PLAIN.source([B, C]), retry_on=Exception, on_event=events.append)
    assert play.leave(error, by_consumer=True) == Raise(error)
    assert isinstance(events[-1], Closed)
    assert events[-1].error is error


def test_a_closing_error_after_the_end_of_a_group() -> None:
    """It is raised to the consumer, and no outer level judges it."""
    error = OSError("closing")
    assert after_a(PLAIN.source([B, C])).end(None, error) == Raise(error)


@pytest.mark.parametrize(
    ("kind", "step"), [(Failed, Play.fail), (Completed, Play.end), (Opening, None)]
)
def test_an_inner_listener_that_raises(kind: type, step: Any) -> None:
    """Its error is raised to the consumer, even if the outer `retry_on` lists it."""

    def listens(event: object) -> None:
        if isinstance(event, kind):
            raise ConnectionError("listener")

    events: list[Any] = []
    group = Policy(retry_on=OSError, on_event=listens).source([B, C])
    play = started([A, group, C], on_event=events.append)
    with pytest.raises(ConnectionError, match="listener") as caught:
        play.fail()
        step(play)
    assert caught.value.__notes__ == ["failure 1 before it: a (attempt 1): ConnectionError: lost"]
    assert isinstance(events[-1], Closed)
    assert events[-1].error is caught.value


def test_factories_of_a_group_that_raise() -> None:
    """An error of reading them is not a failure of the group."""

    class Mirrors:
        def __iter__(self) -> Iterator[Any]:
            raise ConnectionError("no list of mirrors")

    play = started([A, PLAIN.source(Mirrors()), C])
    with pytest.raises(ConnectionError, match="mirrors"):
        play.fail()


def test_a_lazy_group_without_sources() -> None:
    """It raises `NoSources`, also after a failure: no source can be blamed."""
    empty: dict[Any, Any] = {}
    with pytest.raises(NoSources, match="^factories yielded no source at all$"):
        Play([PLAIN.source(empty), A]).start()
    with pytest.raises(NoSources, match="^factories yielded no source at all"):
        started([A, PLAIN.source(empty), C]).fail()


def test_a_group_of_sources_that_may_not_take_over() -> None:
    """The outer level goes on with the next source, and ends with the error before it."""
    shy = PLAIN.source([Source(B, mid_stream="raise")])
    play = started([A, shy, C])
    play.deliver("1")
    assert show(play.fail()) == "open c"
    error = lost()
    play = started([A, shy])
    play.deliver("1")
    assert play.fail(error) == Raise(error)


# Wrong use that shows when a lazy group is opened.


def test_an_inner_source_that_cannot_resume() -> None:
    """If it is read lazily, it is a wrong use when its turn comes."""
    message = (
        "^source 'b' of a Policy.source cannot continue where the outer stream stopped with "
        r"mid_stream='restart' \(not set\): under an outer stream that resumes, its policy needs "
    )
    with pytest.raises(ValueError, match=message) as caught:
        after_a(PLAIN.source({B: "read when opened"}), mid_stream="resume")
    assert is_usage_error(caught.value)


def test_an_inner_source_that_is_read_too_late() -> None:
    """A lazy inner source that needs items which were not kept is a wrong use."""

    class Lazily:
        def __iter__(self) -> Iterator[Any]:
            yield Source(B, mid_stream=Skip(key=str))

    message = "^source 'b' has mid_stream=.* but the items before it were not kept"
    with pytest.raises(ValueError, match=message) as caught:
        after_a(PLAIN.source(Lazily()))
    assert is_usage_error(caught.value)


# The levels share their count and failures.


def test_a_restart_in_a_group_is_a_restart_of_the_stream() -> None:
    """The count starts over when the attempt in the group commits, not before."""
    play = after_a(PLAIN.source([B]))
    assert (play.run.delivered.count, play.run.delivered.before) == (1, 0)
    play.deliver("1")
    assert (play.run.delivered.count, play.run.delivered.before) == (1, 1)


def test_inner_raise_is_about_the_items_of_the_group() -> None:
    """Until the group delivers an item, it takes over as the outer level says."""
    policy = Policy(retry_on=OSError, mid_stream="raise")
    play = after_a(policy.source([B, C]), mid_stream="skip")
    assert play.attempt.to_replay == 1
    assert show(play.fail()) == "open c skip 1"
    play.deliver("1", "2")
    assert isinstance(play.fail(), Raise)


def test_outer_failures_count_in_a_group() -> None:
    """An ended generator is refused after an outer failure, and failures are numbered on."""
    policy = Policy(retry_on=OSError, attempts=2, wait=lambda failed: failed.failures)
    play = after_a(policy.source([B]))
    with pytest.raises(ReusedIterator):
        play.run.opened_ended()
    assert show(play.fail()) == "sleep 2"


def test_an_empty_or_cut_group() -> None:
    """The level that asks for more has failed; the levels inside it have completed."""
    events: list[Any] = []
    policy = Policy(retry_on=OSError, on_event=events.append)
    for outer in ({"allow_empty": False}, {"complete_when": lambda item: item == "END"}):
        play = started([policy.source([B]), C], on_event=events.append, **outer)
        assert show(play.end()) == "open c"
        shown = [f"{type(each).__name__} {each.source}" for each in events]
        assert shown == [
            *("Opening b", "Opening b", "Completed b", "Failed b", "Switched b", "Opening c")
        ]
        events.clear()


def test_a_group_that_has_delivered_is_not_empty() -> None:
    """The outer level counts the items of all attempts in one opening of the group."""
    play = started([PLAIN.source([B, C]), D], allow_empty=False)
    play.deliver("1")
    assert show(play.fail()) == "open c"
    assert show(play.end()) == "return None"
    play = started([PLAIN.source([B, C]), D], allow_empty=False)
    assert show(play.fail()) == "open c"
    assert show(play.end()) == "open d"


def test_the_levels_commit_together() -> None:
    """An item is delivered when each level has what it waits for; a shared rule counts once."""

    def is_last(item: Any) -> bool:
        asked.append(item)
        return item == "c"

    asked: list[Any] = []
    group = Policy(retry_on=OSError, commit_when=is_last).source([B])
    play = started([group], commit_when=is_last)
    play.deliver("a", "b")
    assert play.delivered == []
    play.deliver("c")
    assert (play.delivered, asked) == (["a", "b", "c"], ["a", "b", "c"])
    play = started([group], commit_when=4)
    play.deliver("a", "b", "c")
    assert play.delivered == []
    play.deliver("d")
    assert play.delivered == ["a", "b", "c", "d"]


def test_an_inner_commit_that_was_not_met_is_empty() -> None:
    """With `allow_empty=False` each level asks for its own `commit_when`."""
    group = Policy(retry_on=OSError, commit_when=2, allow_empty=False).source([B, C])
    play = started([group])
    play.deliver("1")
    assert show(play.end()) == "open c"
    play = started([group], allow_empty=False)
    play.deliver("1", "2")
    assert show(play.end()) == "return None"


# Time.


def test_an_outage_goes_on_through_a_group() -> None:
    """`[a, source([b, c]), d]` gives up where `[a, b, c, d]` does."""
    policy = Policy(retry_on=OSError, give_up_after=3)
    for sources in ([A, B, C, D], [A, policy.source([B, C]), D]):
        play = started(sources, give_up_after=3)
        opened = ["a"]
        while not isinstance(play.command, Raise):
            play.now += 2
            play.fail()
            opened += [play.attempt.source.name] if not isinstance(play.command, Raise) else []
        assert opened == ["a", "b", "c"]


def test_an_outage_in_a_group_goes_on_outside() -> None:
    """It begins with the first failure in the group, not with the end of the group."""
    play = started([PLAIN.source([A, B, C]), D, E], give_up_after=3)
    openings = 1
    while not isinstance(play.command, Raise):
        play.now += 2
        openings += not isinstance(play.fail(), Raise)
    assert openings == 3


def test_a_pull_that_is_too_slow_for_the_group_switches_in_the_group() -> None:
    """Under the same policy a stalled inner source is left for the next inner one (law 7)."""
    policy = Policy(retry_on=OSError, idle_timeout=1, mid_stream="skip")
    play = started([policy.source([B, C]), D], idle_timeout=1, mid_stream="skip")
    play.deliver("1")
    assert show(play.fail(play.time_out())) == "open c skip 1"


def test_an_outer_limit_ends_the_group() -> None:
    """If the group has no limit, the outer one holds for it as for one source."""
    events: list[Any] = []
    group = Policy(retry_on=OSError, on_event=events.append).source([B, C])
    play = started([group, D], idle_timeout=1, mid_stream="skip")
    play.deliver("1")
    error = play.time_out()
    assert str(error) == "b|c produced no item for 1 s (idle_timeout)"
    assert show(play.fail(error, OSError("closing"))) == "open d skip 1"
    assert isinstance(events[-1], Closed)
    assert events[-1].error is error
    assert error.__notes__ == ["closing b raised OSError: closing"]


def test_the_time_of_a_group_is_a_failure_of_the_group() -> None:
    """`total_timeout` of a group is judged by the outer level: at a pull, and at a failure."""
    policy = Policy(retry_on=OSError, total_timeout=5, attempts=9, wait=60)
    for pulls in (True, False):
        play = started([policy.source([B]), C])
        if pulls:
            error = play.time_out()
            assert isinstance(error, StreamTimeout)
            assert show(play.fail(error)) == "open c"
        else:
            play.now = 5.0
            assert show(play.fail()) == "open c"


def test_the_time_of_a_group_ends_its_pause() -> None:
    """The outer level may go on with a pause, so that one pause follows another."""
    group = Policy(retry_on=OSError, total_timeout=5, attempts=9, wait=60).source([B])
    play = started([group], attempts=2, wait=7)
    play.now = 2.0
    assert show(play.fail()) == "sleep 3"
    assert show(play.sleep()) == "sleep 7"
    assert show(play.sleep()) == "open b"


def test_the_number_of_a_group() -> None:
    """Each opening of a group has a new `stream` number; its `parent` is the outer stream."""
    events: list[Any] = []
    policy = Policy(retry_on=OSError, on_event=events.append)
    Play([policy.source([B])], on_event=events.append, attempts=2).through("x 1.")
    streams = [event.stream for event in events if event.parent is None]
    inner = [event.stream for event in events if event.parent is not None]
    assert len(set(streams)) == 1
    assert {event.parent for event in events} == {None, streams[0]}
    assert len(set(inner)) == 2
    assert inner == sorted(inner)
