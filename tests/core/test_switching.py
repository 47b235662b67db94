"""`switch_on` in the core: which failures leave a source at once, at each level of groups."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter import (
    Closed,
    Failed,
    PassedOver,
    Policy,
    Source,
    SourceError,
    SourceTimeout,
)
from failover_iter._core.commands import Raise
from failover_iter._core.usage import mark_usage_error
from support.play import A, B, C, D, Play, lost, show, started


class Gone(Exception):
    """Says: not this source any more."""


class Asks:
    """A predicate for errors of these classes, which writes down what it was asked."""

    def __init__(self, name: str, classes: Any, log: list[str]) -> None:
        self.name, self.classes, self.log = name, classes, log

    def __call__(self, error: Exception) -> bool:
        self.log.append(self.name)
        return isinstance(error, self.classes)


def asking(level: str, log: list[str]) -> dict[str, Any]:
    return {
        "switch_on": Asks(f"{level} switch_on", Gone, log),
        "retry_on": Asks(f"{level} retry_on", OSError, log),
    }


def test_switch_on_is_asked_first() -> None:
    """`retry_on` is asked about what `switch_on` does not list, and about nothing else."""
    log: list[str] = []
    play = started([A, B, C], attempts=2, **asking("own", log))
    assert show(play.fail(Gone())) == "open b"
    assert show(play.fail()) == "sleep 0"
    assert log == ["own switch_on", "own switch_on", "own retry_on"]


def test_an_error_of_a_group_is_judged_once_by_each_level() -> None:
    """The outer `switch_on` and `retry_on` judge an exhausted group as they judge a source."""
    log: list[str] = []
    inner = Policy(**asking("inner", log)).source([B])
    play = started([inner, C], attempts=2, **asking("outer", log))
    assert show(play.fail()) == "sleep 0"
    assert log == ["inner switch_on", "inner retry_on", "outer switch_on", "outer retry_on"]
    log.clear()
    assert show(play.sleep()) == "open b"
    assert show(play.fail(Gone())) == "open c"
    assert log == ["inner switch_on", "outer switch_on"]


def test_an_inner_switch_stays_in_the_group() -> None:
    """The outer level is asked when the group has no source left."""
    log: list[str] = []
    inner = Policy(attempts=3, **asking("inner", log)).source([A, B])
    play = started([inner, C], **asking("outer", log))
    assert show(play.fail(Gone())) == "open b"
    assert log == ["inner switch_on"]


@pytest.mark.parametrize("on_exhausted", ["last", "group"])
def test_the_outer_level_leaves_a_group_at_once(on_exhausted: Any) -> None:
    """Outer `attempts` do not reopen it; of an `AllSourcesFailed`, each leaf is listed."""
    group = Policy(retry_on=Gone, on_exhausted=on_exhausted).source([A, B])
    play = started([group, C], attempts=3, switch_on=Gone)
    assert show(play.fail(Gone())) == "open b"
    assert show(play.fail(Gone())) == "open c"


def test_an_outer_switch_on_lists_what_the_group_lets_through() -> None:
    """An error outside the inner options is judged by those of the outer level."""
    group = Policy(retry_on=OSError).source([A, B])
    assert show(started([group, C], attempts=3, switch_on=Gone).fail(Gone())) == "open c"


def test_a_source_has_its_own() -> None:
    """`Source(switch_on=...)` replaces that of the stream, and None switches it off."""
    sources = [Source(A, switch_on=None), Source(B, switch_on=ConnectionError), C]
    play = started(sources, attempts=2, switch_on=OSError, retry_on=OSError)
    assert show(play.fail()) == "sleep 0"
    play.sleep()
    assert show(play.fail()) == "open b"
    assert show(play.fail()) == "open c"


def test_a_source_with_its_own_in_a_group() -> None:
    """It is left as in the flat list, and the group as well when it is exhausted."""
    own: Any = Source(A, attempts=3, switch_on=ConnectionError)
    policy = Policy(retry_on=OSError)
    for sources in ([own, B, C], [policy.source([own, B]), C], [policy.source([own]), B]):
        assert show(started(sources).fail()) == "open b"


def test_a_group_has_its_own_as_a_source() -> None:
    """An option that the `Source` of a group sets holds for the group as a whole."""
    group = Policy(retry_on=OSError).source([A])
    play = started([Source(group.factory, switch_on=OSError, attempts=3), B])
    assert show(play.fail()) == "open b"


def test_switch_on_source_error() -> None:
    """It makes final what the stream itself finds wrong: no time, no end, no item."""
    options: dict[str, Any] = {
        "switch_on": SourceError,
        "attempts": 5,
        "idle_timeout": 1,
        "complete_when": lambda item: item == "END",
        "allow_empty": False,
    }
    play = started([A, B, C, D], **options)
    timeout = play.time_out()
    assert isinstance(timeout, SourceTimeout)
    assert show(play.fail(timeout)) == "open b"
    play.deliver("1")
    assert show(play.end()) == "open c"
    assert show(play.end()) == "open d"
    assert show(play.fail()) == "sleep 0"


def test_a_source_error_uses_up_attempts_as_any_other() -> None:
    """Without `switch_on`, a factory that raises it is tried again."""
    play = started([A, B], attempts=2)
    assert show(play.fail(SourceError("no good"))) == "sleep 0"
    play.sleep()
    assert show(play.fail(SourceError("no good"))) == "open b"


@pytest.mark.parametrize("error", [mark_usage_error(Gone()), ExceptionGroup("g", [Gone(), lost()])])
def test_what_switch_on_does_not_list(error: Exception) -> None:
    """Wrong use is never listed; a group of which only some leaves are listed is retried."""
    play = started([A, B], attempts=2, switch_on=Gone)
    is_group = isinstance(error, ExceptionGroup)
    assert show(play.fail(error)) == ("sleep 0" if is_group else "raise Gone")


def test_a_source_that_is_left_is_not_waited_for() -> None:
    """A new source opens at once; one that was opened before waits, as after any failure."""
    play = started(iter([A, B, A]), attempts=3, wait=2, switch_on=Gone)
    assert show(play.fail(Gone())) == "open b"
    assert show(play.fail(Gone())) == "sleep 2"


def test_the_last_source_is_left() -> None:
    """The stream is exhausted, though attempts are left, with the earlier errors in its notes."""
    play = started([A, B], attempts=9, switch_on=Gone)
    play.fail(Gone("first"))
    error = Gone("last")
    assert play.fail(error) == Raise(error)
    assert error.__notes__ == ["failure 1 before it: a (attempt 1): Gone: first"]
    assert play.log == ["a switching to b", "b exhausted"]


# Events and the log.


def matched_by(events: list[Any]) -> list[tuple[str, bool]]:
    return [(each.source, each.matched) for each in events if isinstance(each, Failed)]


def test_matched_is_told_at_each_level() -> None:
    """An error may pass a group and be a failure to the outer stream."""
    events: list[Any] = []
    group = Policy(retry_on=LookupError, on_event=events.append).source([A, B], name="group")
    play = started([group, C], on_event=events.append)
    assert show(play.fail()) == "open c"
    assert matched_by(events) == [("a", False), ("group", True)]
    assert play.log == ["a passes ConnectionError", "group switching to c"]


@pytest.mark.parametrize("error", [KeyError("bug"), ConnectionError("lost")])
def test_matched_is_about_the_error_alone(error: Exception) -> None:
    """Under mid_stream="raise" each error is raised; only that of a bug is not matched."""
    events: list[Any] = []
    play = started([A, B], mid_stream="raise", on_event=events.append)
    play.deliver("1")
    assert play.fail(error) == Raise(error)
    is_bug = isinstance(error, KeyError)
    assert matched_by(events) == [("a", not is_bug)]
    assert play.log == ["a passes KeyError"] * is_bug


def test_wrong_use_is_not_logged_as_unlisted() -> None:
    """It is in no list, however wide: to say so would mislead."""
    events: list[Any] = []
    play = started([A], retry_on=Exception, on_event=events.append)
    play.fail(mark_usage_error(TypeError("wrong")))
    assert (matched_by(events), play.log) == ([("a", False)], [])


@pytest.mark.parametrize("option", ["switch_on", "retry_on"])
@pytest.mark.parametrize("raised", [KeyError("callback"), KeyboardInterrupt()])
def test_a_predicate_that_raises(option: str, raised: BaseException) -> None:
    """The attempt is `Closed` with that error, at each level, and the failure is its context."""

    def asks(error: Exception) -> bool:
        raise raised

    events: list[Any] = []
    options: dict[str, Any] = {"retry_on": OSError, "on_event": events.append, option: asks}
    play = started([Policy(**options).source([A], name="group"), B], on_event=events.append)
    error = lost()
    with pytest.raises(type(raised)) as caught:
        play.fail(error)
    assert caught.value is raised
    assert raised.__context__ is error
    ended = [(each.source, each.error) for each in events if isinstance(each, Closed)]
    assert ended == [("a", raised), ("group", raised)]
    raised.__context__ = None


def test_each_source_that_is_passed_over_is_told() -> None:
    """Before the switch, with the attempt that it would have had; a retry too."""
    events: list[Any] = []
    shy: Any = [Source(each, mid_stream="raise", attempts=2) for each in (A, B, C)]
    play = started([*shy, D], mid_stream="skip", on_event=events.append)
    play.deliver("1")
    assert show(play.fail()) == "open d skip 1"
    told = [
        (each.source, each.attempt, each.delivered, each.reason)
        for each in events
        if isinstance(each, PassedOver)
    ]
    assert told == [(name, 2 - (name != "a"), 1, "mid_stream") for name in "abc"]
    names = [type(each).__name__ for each in events[-5:]]
    assert names == [*["PassedOver"] * 3, "Switched", "Opening"]


def test_sources_of_a_group_that_are_passed_over() -> None:
    """The group tells its own listener, before its first opening or without one."""
    events: list[Any] = []
    shy: Any = Source(B, mid_stream="raise")
    policy = Policy(retry_on=OSError, on_event=events.append)
    for sources in ([shy, C], [shy]):
        events.clear()
        play = Play([A, policy.source(sources, name="group"), D], on_event=events.append)
        play.start()
        play.deliver("1")
        play.fail()
        names = [f"{type(each).__name__} {each.source}" for each in events[4:]]
        if len(sources) > 1:
            assert names == ["Opening group", "PassedOver b", "Opening c"]
            assert (events[5].stream, events[5].parent) == (events[6].stream, events[4].stream)
        else:  # the group as a whole may not take over
            assert names == ["Switched a", "Opening d"]
            assert isinstance(events[3], PassedOver)


def test_a_lazy_group_whose_sources_are_all_passed_over() -> None:
    """It is opened in vain: its listener hears of each source, and the outer stream goes on."""
    events: list[Any] = []

    class Lazily:
        def __iter__(self) -> Any:
            yield Source(B, mid_stream="raise")
            yield Source(C, mid_stream="raise")

    group = Policy(retry_on=OSError, on_event=events.append).source(Lazily(), name="group")
    play = started([A, group, D])
    play.deliver("1")
    assert show(play.fail()) == "open d"
    assert [(type(each), each.source) for each in events] == [(PassedOver, "b"), (PassedOver, "c")]


@pytest.mark.parametrize(
    ("options", "openings", "expected"),
    [
        ({"mid_stream": "skip"}, "1. 12. 123.", ["a reopening in 2 s"] * 2 + ["a exhausted"]),
        ({"mid_stream": "restart"}, "1. x 1.", ["a reopening in 2 s", "a retrying in 2 s"]),
        ({}, "1. 1. 1.", ["a retrying in 2 s (hint)", "a reopening in 2 s"]),
        ({"mid_stream": "skip"}, ". 1. 1.", ["a retrying in 2 s", "a reopening in 2 s"]),
        ({"mid_stream": "skip"}, "1x 1. 1.", ["a retrying in 2 s"] * 2),
    ],
)
def test_a_source_that_ends_and_is_reopened(
    options: dict[str, Any], openings: str, expected: list[str]
) -> None:
    """The log does not call it a failure if it was cut after it brought the stream further."""
    play = Play([A], attempts=3, wait=2, complete_when=lambda item: False, **options)
    play.through(openings)
    assert play.log[: len(expected)] == expected


def test_a_truncated_stream_that_a_factory_raises_is_a_failure() -> None:
    """Only a source that ended is simply reopened."""
    from failover_iter import TruncatedStream

    play = started([A, B], attempts=2, mid_stream="skip")
    play.deliver("1")
    play.fail(TruncatedStream("cut"))
    assert play.log == ["a retrying immediately"]


def test_a_group_that_ends_and_is_reopened() -> None:
    """The level that asks for more reopens the group."""
    group = Policy(retry_on=OSError, mid_stream="skip").source([A, B], name="group")
    play = started([group], attempts=2, mid_stream="skip", complete_when=lambda item: False)
    play.deliver("1")
    play.end()
    assert play.log == ["group reopening immediately"]


def test_marked_takeovers_need_no_advice() -> None:
    """A consumer that asks for markers sees each restart."""
    for marks, hint in ((True, ""), (False, " (hint)")):
        play = started([A, B], mark_takeovers=marks)
        play.deliver("1")
        play.fail()
        assert play.log == [f"a switching to b{hint}"]
