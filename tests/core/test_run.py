"""The decisions of the core, without a driver and without I/O: inputs and commands."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle
from typing import Any

import pytest

from failover_iter import (
    Closed,
    Committed,
    Decide,
    Exhausted,
    Failed,
    NoSources,
    Opening,
    Policy,
    Progress,
    Resume,
    ReusedIterator,
    Skip,
    Source,
    Switched,
    Takeover,
    Waiting,
)
from failover_iter._core.commands import Open, Raise, Sleep
from failover_iter._core.usage import is_usage_error
from support.play import Play, lost, named, show, started

A, B, C, D = (named(name) for name in "abcd")
FIRST_NOTE = "failure 1 before it: a (attempt 1): ConnectionError: lost"


def is_three(item: str) -> bool:
    return item == "3"


def at_two(mode: Any) -> Any:
    return Decide(lambda progress: mode if progress.delivered == 2 else "restart")


AB = [A, B]
RAISE, SKIP, RESUME = ({"mid_stream": mode} for mode in ("raise", "skip", "resume"))
RESETS = {"attempts": 2, "mid_stream": "skip", "reset_on_progress": True}
#: sources, options, "what each opening does | what the core answers | what is delivered"
TABLE: dict[str, tuple[Any, dict[str, Any], str]] = {
    "end": (AB, {}, "12. | open a, return value | 12"),
    "empty": (AB, {}, ". | open a, return value |"),
    "switch at once": (AB, {}, "x 1. | open a, open b, return value | 1"),
    "restart": (AB, {}, "12x 123. | open a, open b, return value | 12123"),
    "raise": (AB, RAISE, "1x | open a, raise ConnectionError | 1"),
    "raise counts only delivered items": (
        AB,
        RAISE,
        "x 1x | open a, open b, raise ConnectionError | 1",
    ),
    "skip": (AB, SKIP, "12x 123. | open a, open b skip 2, return value | 123"),
    "resume": (AB, RESUME, "12x 123. | open a from 0, open b from 2, return value | 123"),
    "decide to resume": (
        AB,
        {"mid_stream": at_two("resume")},
        "12x 123. | open a from 0, open b from 2, return value | 123",
    ),
    "decide to restart": (
        AB,
        {"mid_stream": at_two("raise")},
        "1x 12. | open a from 0, open b from 0, return value | 112",
    ),
    "decide to raise": (
        AB,
        {"mid_stream": at_two("raise")},
        "12x | open a from 0, raise ConnectionError | 12",
    ),
    "not listed": (AB, {}, "1! | open a, raise LookupError | 1"),
    "always a failure": (AB, {"retry_on": KeyError}, "s . | open a, open b, return value |"),
    "predicate": (
        AB,
        {"retry_on": lambda error: isinstance(error, LookupError)},
        "! x | open a, open b, raise ConnectionError |",
    ),
    "each leaf": (AB, {}, "g 1. | open a, open b, return value | 1"),
    "not each leaf": (AB, {}, "m | open a, raise ExceptionGroup |"),
    "the group itself": (
        AB,
        {"retry_on": ExceptionGroup},
        "m 1. | open a, open b, return value | 1",
    ),
    "wrong use": (AB, {"retry_on": Exception}, "w | open a, raise ConnectionError |"),
    "wrong use in a group": (
        AB,
        {"retry_on": lambda error: True},
        "v | open a, raise ExceptionGroup |",
    ),
    "exhausted": (AB, {}, "x 1x | open a, open b, raise ConnectionError | 1"),
    "exhausted, as a group": (
        AB,
        {"on_exhausted": "group"},
        "x x | open a, open b, raise AllSourcesFailed |",
    ),
    "attempts": (
        AB,
        {"attempts": 2, "wait": 1.5},
        "x x x 1. | open a, sleep 1.5, open a, open b, sleep 1.5, open b, return value | 1",
    ),
    "attempts of a source": (
        [Source(A, attempts=2), B],
        {},
        "x x x | open a, sleep 0, open a, open b, raise ConnectionError |",
    ),
    "a new count after progress": (
        [A],
        RESETS,
        "x 1x 1x 12x 12. | open a, sleep 0, open a, sleep 0, open a skip 1, sleep 0, "
        "open a skip 1, sleep 0, open a skip 2, return value | 12",
    ),
    "no new count without progress": (
        [A],
        RESETS,
        "1x 1x 1x | open a, sleep 0, open a skip 1, sleep 0, open a skip 1, "
        "raise ConnectionError | 1",
    ),
    "no bound": (
        [A],
        {"attempts": None, "wait": lambda failed: failed.consecutive},
        "x x 1x x 1. | open a, sleep 1, open a, sleep 2, open a, sleep 1, open a, sleep 2, "
        "open a, return value | 11",
    ),
    "a pause before a source that was opened before": (
        cycle([A, B]),
        {"wait": 3},
        "x x x 1. | open a, open b, sleep 3, open a, sleep 3, open b, return value | 1",
    ),
    "passed over mid-stream": (
        [A, Source(B, mid_stream="raise"), C],
        SKIP,
        "1x 12. | open a, open c skip 1, return value | 12",
    ),
    "not passed over at the start": (
        [A, Source(B, mid_stream="raise"), C],
        SKIP,
        "x 1x 12. | open a, open b, open c skip 1, return value | 12",
    ),
    "all other sources are passed over": (
        [A, Source(B, mid_stream="raise"), Source(C, mid_stream="raise")],
        {},
        "1x | open a, raise ConnectionError | 1",
    ),
    "an endless cycle of sources that cannot take over": (
        cycle([Source(B, mid_stream="raise")]),
        {},
        "1x | open b, raise ConnectionError | 1",
    ),
    "cut": (
        AB,
        {"mid_stream": "skip", "complete_when": is_three},
        "12. 123. | open a, open b skip 2, return value | 123",
    ),
    "complete after an attempt with nothing left": (
        AB,
        {"mid_stream": "skip", "complete_when": is_three},
        "123x 123. | open a, open b skip 3, return value | 123",
    ),
    "no item to check": ([A], {"complete_when": is_three}, ". | open a, raise TruncatedStream |"),
    "cut after a restart without an item": (
        AB,
        {"complete_when": is_three},
        "3x . | open a, open b, raise TruncatedStream | 3",
    ),
    "an empty source is a failure": (
        AB,
        {"allow_empty": False},
        ". 1. | open a, open b, return value | 1",
    ),
    "too short a replay": (
        [A, B, C],
        SKIP,
        "12x 1. 123. | open a, open b skip 2, open c skip 2, return value | 123",
    ),
}


@pytest.mark.parametrize("row", TABLE)
def test_commands(row: str) -> None:
    """The core answers as each row of the table says, and calls no factory."""
    factories, options, text = TABLE[row]
    openings, commands, delivered = text.split("|")
    play = Play(factories, **options)
    assert play.through(openings) == commands.strip().split(", ")
    assert "".join(play.delivered) == delivered.strip()


def test_sources_that_are_passed_over_are_not_taken_for_a_cycle() -> None:
    """A lazy iterable of new sources is read to its end, however many of them are passed over."""

    def factories() -> Iterator[Any]:
        yield A
        for name in ("b",) * 5:
            yield Source(named(name), mid_stream="raise")
        yield C

    play = Play(factories(), mid_stream="skip")
    assert play.through("1x 12.") == ["open a", "open c skip 1", "return value"]


def test_an_endless_supply_of_new_sources_waits_too() -> None:
    """After 64 attempts in a row without an item, `wait` holds for a new source as well."""

    def new_sources() -> Iterator[Any]:
        while True:
            yield named("new")

    play = started(new_sources(), wait=3)
    for number in range(63):
        assert show(play.fail()) == f"open new#{number + 2}"
    for _ in range(3):
        assert show(play.fail()) == "sleep 3"
        play.sleep()
    play.deliver("1")
    assert show(play.fail()).startswith("open new#")


def test_factories_are_read_one_by_one() -> None:
    """A lazy iterable is pulled once at the start, and once after each failure."""
    pulled: list[str] = []

    def factories() -> Iterator[Any]:
        for factory in (A, B, C):
            pulled.append(factory.__name__)
            yield factory

    play = Play(factories())
    assert pulled == []
    play.start()
    assert pulled == ["a"]
    play.fail()
    assert pulled == ["a", "b"]


def test_no_source_at_all() -> None:
    """An empty lazy iterable raises `NoSources` when the first item is asked for."""
    with pytest.raises(NoSources, match="^factories yielded no source at all$"):
        Play(iter([])).start()


def test_a_generator_that_has_ended() -> None:
    """The first opening may return one, as an empty source; after a failure it is a wrong use."""
    play = started([A, B])
    play.run.opened_ended()
    play.fail()
    with pytest.raises(ReusedIterator, match="^source 'b' returned a generator that has already"):
        play.run.opened_ended()


# How an attempt takes over.


def test_a_progress_says_how_far_the_stream_is() -> None:
    """Under "resume" a factory gets the count, the last items, the failures and the attempt."""
    play = started([A], mid_stream=Resume(keep=2), attempts=2)
    play.deliver("a", "b", "c")
    error = lost()
    assert show(play.fail(error)) == "sleep 0"
    play.sleep()
    [progress] = play.attempt.args
    assert (progress.delivered, progress.last, progress.items) == (3, "c", ("b", "c"))
    assert (progress.total, progress.attempt) == (3, 2)
    assert [failed.error for failed in progress.failures] == [error]


@pytest.mark.parametrize("on_exhausted", ["last", "group"])
def test_one_error_object_is_as_many_failures(on_exhausted: Any) -> None:
    """Sources may share an error: `Progress.failures` has each failure, in a group too."""
    error = lost()
    policy = Policy(retry_on=Exception, mid_stream="resume", on_exhausted=on_exhausted)
    for sources in ([A, B, C, D], [A, policy.source([B, C]), D]):
        play = started(sources, mid_stream="resume", retry_on=Exception, on_exhausted=on_exhausted)
        for _ in range(3):
            play.fail(error)
        [progress] = play.attempt.args
        assert [failed.source for failed in progress.failures] == ["a", "b", "c"]
        assert [failed.error for failed in progress.failures] == [error] * 3


@pytest.mark.parametrize("mark_takeovers", [False, True])
@pytest.mark.parametrize("mode", ["restart", "skip"])
def test_a_takeover_is_marked(mark_takeovers: bool, mode: Any) -> None:
    """With `mark_takeovers`, an attempt that takes over has a marker; an earlier one has none."""
    play = started([A, B, C], mid_stream=mode, mark_takeovers=mark_takeovers)
    assert play.attempt.marker is None
    play.fail()
    assert play.attempt.marker is None
    play.deliver("1")
    error = lost()
    play.fail(error)
    assert play.attempt.marker == (Takeover(mode, "c", error, 1) if mark_takeovers else None)


def test_a_seed_is_the_start() -> None:
    """A stream with a seed takes over at its first opening, from where the seed says."""
    seed = Progress(delivered=2, last="b", total=2)
    [progress] = started([A], mid_stream="resume", seed=seed).attempt.args
    assert (progress.delivered, progress.last) == (2, "b")


@pytest.mark.parametrize("mode", [Skip(key=str), Decide(lambda progress: "skip", key=str)])
def test_an_attempt_that_skips_has_the_key(mode: Any) -> None:
    """The key of `Skip` or `Decide` is that of the attempt that skips, and of no other."""
    play = started([A, B], mid_stream=mode)
    assert (play.attempt.to_replay, play.key) == (0, None)
    play.deliver("1")
    play.fail()
    assert (play.attempt.to_replay, play.key) == (1, str)


def test_no_key_is_compared_for_the_items_of_a_seed() -> None:
    """A stream with a seed replays by count alone, until it starts over."""
    mode = Decide(lambda progress: "skip", key=str)
    play = started([A, B], mid_stream=mode, seed=Progress(delivered=1, last="1", total=1))
    play.fail()
    assert (play.attempt.to_replay, play.key) == (1, None)


# Events and log.


@pytest.mark.parametrize(
    ("openings", "expected"),
    [
        ("1.", "Opening a1/0, Committed a1/0, Completed a1/1"),
        (".", "Opening a1/0, Completed a1/0"),
        ("1!", "Opening a1/0, Committed a1/0, Failed a1/1"),
        (
            "1x x 12x x",
            "Opening a1/0, Committed a1/0, Failed a1/1, Waiting a1/1, Opening a2/1, Failed a2/1, "
            "Switched a2/1, Opening b1/1, Committed b1/1, Failed b1/2, Waiting b1/2, "
            "Opening b2/2, Failed b2/2, Exhausted b2/2",
        ),
    ],
)
def test_events_come_in_order(openings: str, expected: str) -> None:
    """Each event has its source, attempt and the number of items delivered so far."""
    events: list[Any] = []
    Play([A, B], on_event=events.append, attempts=2, mid_stream="skip").through(openings)
    shown = [f"{type(e).__name__} {e.source}{e.attempt}/{e.delivered}" for e in events]
    assert shown == expected.split(", ")


def test_the_numbers_in_the_events() -> None:
    """Failures are counted in all and in a row; pauses, modes and the elapsed time are there."""
    events: list[Any] = []
    play = Play([A, B], on_event=events.append, attempts=2, wait=2, mid_stream="skip", now=100.0)
    play.through("1x x 12x x")
    failed = [(e.failures, e.consecutive, e.elapsed) for e in events if isinstance(e, Failed)]
    assert failed == [(1, 1, 0.0), (2, 2, 2.0), (3, 1, 2.0), (4, 2, 4.0)]
    paused = [(type(e), e.seconds, e.mode) for e in events if isinstance(e, Waiting | Switched)]
    assert paused == [(Waiting, 2.0, "skip"), (Switched, 0.0, "skip"), (Waiting, 2.0, "skip")]
    assert events[-1] == Exhausted("b", 2, 2, 4.0, events[-1].error, 4)


def test_the_log_gets_each_failure() -> None:
    """The log says what follows each failure, with a hint at the first unasked repetition."""
    play = Play([A, B], attempts=2, wait=0.5)
    play.through("x 1x 1x x")
    retrying = "retrying in 0.5 s"
    assert play.log == [
        f"a {retrying}",
        "a switching to b (hint)",
        f"b {retrying}",
        "b exhausted",
    ]


# Errors of closing, of callbacks, and from outside.


def test_a_closing_error_after_the_end() -> None:
    """It is raised, with the failures before it in its notes, and reported as `Closed`."""
    events: list[Any] = []
    play = started([A, B], on_event=events.append)
    play.fail()
    error = OSError("closing")
    assert play.end("value", error) == Raise(error)
    assert error.__notes__ == [FIRST_NOTE]
    assert events[-1] == Closed("b", 1, 0, 0.0, error)


def test_a_closing_error_of_a_failed_source() -> None:
    """It is in the event and in the notes of the failure, and changes nothing else."""
    events: list[Any] = []
    play = started([A, B], on_event=events.append)
    error, closing = lost(), OSError("closing")
    assert show(play.fail(error, closing)) == "open b"
    failed = next(event for event in events if isinstance(event, Failed))
    assert (failed.error, failed.close_error) == (error, closing)
    assert error.__notes__ == ["closing a raised OSError: closing"]


def test_an_end_that_answers_a_throw_is_complete() -> None:
    """`complete_when` is not asked about a source that ended because of the consumer's throw."""
    play = started([A], complete_when=is_three)
    assert show(play.end("value", check_complete=False)) == "return value"


@pytest.mark.parametrize("by_consumer", [True, False])
def test_an_attempt_that_is_ended_from_outside(by_consumer: bool) -> None:
    """The error has the failures in its notes, unless the consumer threw it."""
    events: list[Any] = []
    play = started([A, B], on_event=events.append)
    play.fail()
    error = KeyError("mine")
    assert play.leave(error, OSError("closing"), by_consumer=by_consumer) == Raise(error)
    notes = ["closing b raised OSError: closing", FIRST_NOTE]
    assert error.__notes__ == notes[: 1 if by_consumer else 2]
    assert events[-1] == Closed("b", 1, 0, 0.0, error)


@pytest.mark.parametrize("options", [{}, {"on_event": lambda event: None}])
def test_a_plain_close(options: dict[str, Any]) -> None:
    """`GeneratorExit` gets no notes. A closing error is raised instead, with the failures."""
    leaving, closing = GeneratorExit(), OSError("closing")
    assert started([A], **options).leave(leaving) == Raise(leaving)
    play = started([A, B], **options)
    play.fail()
    assert play.leave(leaving, closing) == Raise(closing)
    assert not hasattr(leaving, "__notes__")
    assert closing.__notes__ == [FIRST_NOTE]


def raises(*_: object) -> Any:
    raise LookupError("callback")


def raises_at(kind: type, error: Exception) -> Any:
    """A listener that raises this error at the events of a kind."""

    def listens(event: object) -> None:
        if isinstance(event, kind):
            raise error

    return listens


def test_a_listener_that_raises_at_closed() -> None:
    """Its error is raised instead of the consumer's; Ctrl-C is raised, with the error as a note."""
    listens = raises_at(Closed, LookupError("listener"))
    for error in (KeyError("mine"), GeneratorExit()):
        with pytest.raises(LookupError, match="^'?listener'?$"):
            started([A], on_event=listens).leave(error, by_consumer=True)
    interrupt = KeyboardInterrupt()
    started([A], on_event=listens).leave(interrupt)
    assert interrupt.__notes__ == ["on_event raised LookupError: listener"]


def test_an_error_at_closed_keeps_the_error_before_it() -> None:
    """The error that ended the attempt is its context; a closing error is in its notes."""
    error, failing = KeyError("mine"), LookupError("listener")
    listens = raises_at(Closed, failing)
    with pytest.raises(LookupError):
        started([A], on_event=listens).leave(error, OSError("closing"), by_consumer=True)
    assert failing.__context__ is error
    assert failing.__notes__ == ["closing a raised OSError: closing"]
    with pytest.raises(LookupError):
        started([A], on_event=listens).leave(failing, by_consumer=True)
    assert failing.__context__ is error


def lazily() -> Iterator[Any]:
    yield from (A, B)
    raises()


@pytest.mark.parametrize(
    ("factories", "options"),
    [
        ([A, B], {"retry_on": lambda error: "first" in str(error) or raises()}),
        ([A, Source(B, attempts=2, wait=raises)], {}),
        ([A, B, C], {"mid_stream": Decide(raises)}),
        (lazily, {}),
    ],
)
def test_a_callback_that_raises(factories: Any, options: dict[str, Any]) -> None:
    """Its error is raised, with each failure before it in the notes."""
    play = started(factories() if callable(factories) else factories, **options)
    play.fail(ConnectionError("first"))
    play.deliver("1")
    with pytest.raises(LookupError, match="callback") as caught:
        play.fail(ConnectionError("second"))
    notes = caught.value.__notes__
    assert notes[0] == "failure 1 before it: a (attempt 1): ConnectionError: first"
    assert notes[1:] in ([], ["failure 2 before it: b (attempt 1): ConnectionError: second"])


def test_complete_when_raises() -> None:
    """Its error carries the failures and the closing error; the attempt is reported as `Closed`."""
    events: list[Any] = []
    play = started([A, B], complete_when=raises, on_event=events.append)
    play.fail()
    play.deliver("1")
    with pytest.raises(LookupError, match="callback") as caught:
        play.end("value", OSError("closing"))
    assert caught.value.__notes__ == ["closing b raised OSError: closing", FIRST_NOTE]
    assert events[-1] == Closed("b", 1, 1, 0.0, caught.value)
    assert [type(event) for event in events].count(Closed) == 1


@pytest.mark.parametrize("kind", [Opening, Committed])
def test_a_listener_that_raises_before_the_first_item(kind: type) -> None:
    """The attempt is reported as `Closed`, and its error has the failures in its notes."""
    events: list[Any] = []
    error = LookupError("listener")

    def listens(event: Any) -> None:
        events.append(event)
        if isinstance(event, kind) and event.source == "b":
            raise error

    play = started([A, B], on_event=listens)
    with pytest.raises(LookupError):
        play.fail()
        play.deliver("1")
    if kind is Committed:  # the driver has to close the source, and says so
        assert play.leave(error) == Raise(error)
    assert error.__notes__ == [FIRST_NOTE]
    assert events[-1] == Closed("b", 1, 0, 0.0, error)


class Later:
    """An awaitable that is not a coroutine."""

    def __await__(self) -> Iterator[Any]:
        yield


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"mid_stream": Decide(lambda progress: "again")},  # type: ignore[arg-type, return-value]
            ValueError,
            "^the function of Decide must return 'restart', 'raise', 'skip' or 'resume', "
            "got 'again'",
        ),
        (
            {"wait": lambda failed: "soon", "attempts": 2},
            TypeError,
            "^the result of the wait function must be seconds .* or a timedelta, got 'soon'",
        ),
        (
            {"wait": lambda failed: -1, "attempts": 2},
            ValueError,
            "^the result of the wait function must be finite and not negative, got -1",
        ),
        (
            {"retry_on": lambda error: Later()},
            TypeError,
            "^the function of retry_on must return a bool, got an awaitable",
        ),
    ],
)
def test_a_callback_with_a_wrong_result(
    options: dict[str, Any], error: type[Exception], message: str
) -> None:
    """A wrong result of a callback is a wrong use that names the option, and ends the stream."""
    play = started([A, B], **options)
    play.deliver("1")
    with pytest.raises(error, match=message) as caught:
        play.fail()
    assert is_usage_error(caught.value)


def test_a_source_that_is_read_too_late() -> None:
    """A lazy source that needs items which were not kept is a wrong use, and says what to do."""
    play = started(iter([A, Source(B, name="late", mid_stream=Skip(key=str))]))
    play.deliver("1")
    message = (
        r"^source 'late' has mid_stream=Skip\(.*\) \(or another option that looks at each item\), "
        "but the items before it were not kept: pass the sources as a list, or set the option"
    )
    with pytest.raises(ValueError, match=message) as caught:
        play.fail()
    assert is_usage_error(caught.value)


def test_a_released_run_holds_nothing() -> None:
    """When the stream ends, its core lets go of sources, failures and items."""
    play = started([A, B], mid_stream=Resume(keep=None))
    play.fail()
    play.run.release()
    for name in ("_options", "_queue", "_takeovers", "_openings", "delivered", "attempt"):
        assert not hasattr(play.run, name)
    assert play.run._levels == []


def test_an_interrupted_pause() -> None:
    """The error that breaks off a pause has the failures before it in its notes."""
    play = started([A], attempts=2, wait=1)
    assert show(play.fail()) == "sleep 1"
    interrupt = KeyboardInterrupt()
    play.run.interrupted(interrupt)
    assert interrupt.__notes__ == [FIRST_NOTE]


def test_the_error_of_a_callback_has_the_failure_as_its_context() -> None:
    """If Python has set no context, it is the failure that the callback was called for."""
    error = lost()
    with pytest.raises(LookupError, match="callback") as caught:
        started([A, B], retry_on=raises).fail(error)
    assert caught.value.__context__ is error
    with pytest.raises(LookupError, match="callback") as caught:
        try:
            raise KeyError("handled")
        except KeyError:
            started([A, B], retry_on=raises).fail(error)
    assert isinstance(caught.value.__context__, KeyError)


# Time.


def test_the_time_of_the_stream_ends_with_a_failure() -> None:
    """Once `total_timeout` has expired, no other source is opened; the failure is in the notes."""
    play = started([A, B], total_timeout=5)
    play.now = 5.0
    command = play.fail()
    assert isinstance(command, Raise)
    assert str(command.error) == "the stream did not end within 5 s (total_timeout)"
    assert command.error.__notes__ == [FIRST_NOTE]


def test_a_pause_is_cut_to_the_time_of_the_stream() -> None:
    """The driver sleeps for the rest of `total_timeout`, and the stream ends then."""
    play = started([A], total_timeout=5, attempts=9, wait=60)
    play.now = 2.0
    assert show(play.fail()) == "sleep 3"
    assert isinstance(play.sleep(), Raise)


@pytest.mark.parametrize(("pause", "gives_up"), [(0, False), (1, False), (2, True)])
def test_a_pause_longer_than_the_outage_may_last(pause: float, gives_up: bool) -> None:
    """The stream is exhausted at once, without the pause."""
    play = started([A], give_up_after=1.5, attempts=9, wait=pause)
    assert isinstance(play.fail(), Raise) == gives_up


def test_an_outage_is_counted_from_its_first_failure() -> None:
    """It ends when an item is received, however long that took."""
    play = started([A], give_up_after=10, attempts=99)
    outcomes = []
    for when, received in [(50, False), (59, False), (900, True), (910, False), (911, False)]:
        play.now = float(when)
        if received:
            play.deliver("1")
        outcomes.append(type(play.fail()))
        if isinstance(play.command, Sleep):
            play.sleep()
    assert outcomes == [Sleep, Sleep, Sleep, Sleep, Raise]


def test_infinity_is_not_a_limit() -> None:
    """An infinite timeout means none."""
    play = started([A, B], total_timeout=float("inf"), idle_timeout=float("inf"))
    assert isinstance(play.fail(), Open)
