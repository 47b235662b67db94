"""Errors that are not the source's: those of signal handlers, callbacks and other streams."""

from __future__ import annotations

import asyncio
import gc
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from typing import Any

import pytest

from failover_iter import (
    Decide,
    Failed,
    Policy,
    Progress,
    Source,
    afailover_stream,
    failover_stream,
)
from failover_iter._core.deadlines import SourceDeadline
from support.flavour import SyncFlavour, source
from support.runners import quiet


class Alarm(OSError):
    """Raised by a signal handler; `retry_on` lists its class."""


@pytest.fixture
def alarm() -> Iterator[Callable[[float], None]]:
    def handler(*_: object) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, handler)
    yield lambda seconds: signal.setitimer(signal.ITIMER_REAL, seconds)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def never() -> Any:
    raise AssertionError("a source was opened that nobody needs")


def test_a_signal_while_a_thread_is_waited_for(alarm: Callable[[float], None]) -> None:
    """The exception of its handler is raised to the consumer, and causes no switch."""
    blocks = threading.Event()

    def blocked() -> Iterator[int]:
        yield 1
        blocks.wait(30)

    stream = failover_stream([blocked, never], retry_on=OSError, idle_timeout=60)
    with quiet():
        assert next(stream) == 1
        alarm(0.02)
        with pytest.raises(Alarm):
            next(stream)
        blocks.set()


def test_a_signal_while_held_items_are_delivered(alarm: Callable[[float], None]) -> None:
    """The same, for code of ours that runs at each held item."""
    count = 200_000

    def switched() -> Iterator[int]:
        yield from [-1] * count

    for _ in range(5):
        stream = failover_stream(
            [lambda: range(count), switched], retry_on=OSError, commit_when=count
        )
        assert next(stream) == 0
        with quiet(), pytest.raises(Alarm):
            alarm(0.0005)
            for item in stream:
                assert item >= 0


def test_a_callback_that_raises_an_error_of_others(flavour: SyncFlavour) -> None:
    """`wait` may raise the failure again: that leaves no mark on it for other streams."""
    shared = ValueError("shared by many streams")

    def wait(failed: Failed) -> float:
        raise failed.error

    failing = source(flavour, error=shared)
    with pytest.raises(ValueError, match="shared"):
        flavour.drain(flavour.stream([failing], retry_on=ValueError, attempts=2, wait=wait))
    again = flavour.stream([failing, source(flavour, 1)], retry_on=ValueError)
    assert flavour.drain(again) == [1]


class NoContext(Exception):
    @property
    def __context__(self) -> Any:
        raise LookupError("__context__")


class NoDict(Exception):
    @property
    def __dict__(self) -> Any:
        raise LookupError("__dict__")


class NoMembers(ExceptionGroup):
    @property
    def exceptions(self) -> Any:
        raise LookupError("exceptions")


HOSTILE = [NoContext("x"), NoDict("x"), NoMembers("x", [KeyError()])]


@pytest.mark.parametrize("error", HOSTILE, ids=lambda error: type(error).__name__)
def test_errors_with_hostile_attributes(flavour: SyncFlavour, error: Any) -> None:
    """They cause a switch, pass or end the stream like any other."""
    failing = source(flavour, error=error)
    matching = flavour.stream([failing, source(flavour, 1)], retry_on=type(error))
    assert flavour.drain(matching) == [1]
    for retry_on in (type(error), OSError):
        with pytest.raises(type(error)) as caught:
            flavour.drain(flavour.stream([failing], retry_on=retry_on))
        assert caught.value is error


def test_a_condition_that_cannot_be_compared(flavour: SyncFlavour) -> None:
    """`commit_when` may be an object whose `__eq__` raises."""

    class Condition:
        def __call__(self, item: int) -> bool:
            return item > 1

        def __eq__(self, other: object) -> bool:
            raise RuntimeError("not comparable")

        __hash__ = object.__hash__

    stream = flavour.stream([source(flavour, 1, 2)], commit_when=Condition())
    assert flavour.drain(stream) == [1, 2]


class KeptByItsFrame(ConnectionError):
    """An error of a source whose frame refers to its `Progress`."""


def failing(progress: Progress[int] | None = None) -> Iterator[int]:
    kept = progress
    yield 1
    raise KeptByItsFrame(f"{kept is None}")


async def afailing(progress: Progress[int] | None = None) -> AsyncIterator[int]:
    kept = progress
    yield 1
    raise KeptByItsFrame(f"{kept is None}")


def lasts(mode: Any) -> None:
    with suppress(KeptByItsFrame):
        for _ in failover_stream([failing, failing], retry_on=OSError, mid_stream=mode):
            pass


def alasts(mode: Any) -> None:
    async def drain() -> None:
        with suppress(KeptByItsFrame):
            async for _ in afailover_stream(
                [afailing, afailing], retry_on=OSError, mid_stream=mode
            ):
                pass

    asyncio.run(drain())


@pytest.mark.parametrize("mode", ["skip", "resume", Decide(lambda progress: "resume")])
@pytest.mark.parametrize("stream_fails", [lasts, alasts])
def test_no_error_refers_to_itself(stream_fails: Callable[[Any], None], mode: Any) -> None:
    """The frames of a failed source hold its `Progress`: no cycle is left after the end."""
    stream_fails(mode)  # imports what it needs
    gc.collect()
    gc.disable()
    try:
        stream_fails(mode)
        assert [each for each in gc.get_objects() if isinstance(each, KeptByItsFrame)] == []
    finally:
        gc.enable()


def test_a_progress_that_is_kept_shows_its_failures(flavour: SyncFlavour) -> None:
    """After the end of the stream too: those before its attempt, and none that came later."""
    kept: list[Progress[int]] = []

    def failing(progress: Progress[int]) -> Iterator[int]:
        kept.append(progress)
        yield progress.delivered
        raise ConnectionError(f"{progress.delivered}")

    stream = flavour.stream([flavour.generator(failing)], mid_stream="resume", attempts=4)
    with pytest.raises(ConnectionError):
        flavour.drain(stream)
    shown = [[str(failed.error) for failed in progress.failures] for progress in kept]
    assert shown == [[], ["0"], ["0", "1"], ["0", "1", "2"]]


@pytest.mark.parametrize("inner", ["last", "group"])
def test_failures_of_a_group_however_it_ends(flavour: SyncFlavour, inner: Any) -> None:
    """They are in the notes of the last error, and they are counted."""
    events: list[Any] = []
    down = [source(flavour, error=ConnectionError(name)) for name in "abc"]
    group = Policy(retry_on=Exception, on_exhausted=inner).source(down[:2])
    policy = Policy(retry_on=Exception, on_event=events.append)
    with pytest.raises(ConnectionError, match="c") as caught:
        flavour.drain(flavour.of(policy, [group, down[2]]))
    assert [note[-1] for note in caught.value.__notes__] == ["a", "b"]
    assert [event.failures for event in events if isinstance(event, Failed)] == [2, 3]


def test_a_value_for_a_source_that_has_ended_while_items_are_held(flavour: SyncFlavour) -> None:
    """It is refused as long as an item is held: it would be lost."""
    stream = flavour.stream([source(flavour, 1, 2)], commit_when=5)
    assert flavour.next(stream) == 1
    with pytest.raises(TypeError, match="^cannot send a str while held items are delivered"):
        flavour.send(stream, "value")


@pytest.mark.parametrize("inner", [None, "restart", "raise", "skip"])
def test_the_outer_mode_decides_until_a_group_has_delivered(
    flavour: SyncFlavour, inner: Any
) -> None:
    """Under an outer "skip" no item is delivered twice, if the group's first source is down."""
    down = source(flavour, error=ConnectionError("down"))
    group = Policy(retry_on=ConnectionError, mid_stream=inner)
    sources = [
        source(flavour, 1, 2, error=ConnectionError("a")),
        group.source([down, Source(source(flavour, 1, 2, 3), name="good")]),
    ]
    assert flavour.drain(flavour.stream(sources, mid_stream="skip")) == [1, 2, 3]


def test_what_is_raised_in_our_lines_is_not_the_source_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """An async generator that has not ended did not raise: a signal handler did, for example."""
    opened: list[int] = []

    async def source() -> AsyncIterator[int]:
        opened.append(1)
        for item in range(4):
            yield item

    async def main() -> None:
        stream = afailover_stream([source], retry_on=TimeoutError, attempts=3, total_timeout=60)
        async with aclosing(stream):
            assert await anext(stream) == 0
            raised = TimeoutError("a signal handler raised this")

            def interrupted(_: object) -> None:
                raise raised

            monkeypatch.setattr(SourceDeadline, "check_stream", interrupted)
            with pytest.raises(TimeoutError) as caught:
                await anext(stream)
            assert caught.value is raised

    asyncio.run(main())
    assert opened == [1]
