"""Runs a case on a combinator and writes down all that can be seen from outside."""

from __future__ import annotations

import asyncio
import logging
import traceback
import warnings
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import trio
import trio.testing

from failover_iter import Event, Takeover, afailover_stream, failover_stream
from failover_iter._drivers.clock import clock
from failover_iter.testing import JumpingLoop, VirtualClock

from .case import Case, Retryable, Transparent
from .sources import Log, make_sources, nap

Trace = list[tuple[Any, ...]]
Combinator = Callable[..., Any]


@contextmanager
def quiet() -> Iterator[None]:
    """No log, and no warning of trio that a stream was let go."""
    logger = logging.getLogger("failover_iter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        logger.disabled = True
        try:
            yield
        finally:
            logger.disabled = False


def kind_of(error: BaseException | None) -> str | None:
    """An error as data: its class, and those of its leaves."""
    if isinstance(error, BaseExceptionGroup):
        leaves = ",".join(str(kind_of(leaf)) for leaf in error.exceptions)
        return f"{type(error).__name__}[{leaves}]"
    return None if error is None else type(error).__name__


def event_entry(event: Event) -> tuple[Any, ...]:
    """An event as data."""
    fields = {
        name: getattr(event, name)
        for name in (
            "source",
            "attempt",
            "delivered",
            "to",
            "seconds",
            "mode",
            "failures",
            "consecutive",
            "abandoned",
        )
        if hasattr(event, name)
    }
    fields["elapsed"] = round(event.elapsed, 6)
    for name in ("error", "close_error"):
        if hasattr(event, name):
            fields[name] = kind_of(getattr(event, name))
    return (type(event).__name__, tuple(sorted(fields.items())))


def options_of(case: Case, log: Log, *, listen: bool) -> dict[str, Any]:
    """The options of a case that are not at their default, as keyword arguments."""
    options: dict[str, Any] = {"retry_on": Retryable, **case.options}
    default = Case(())
    for name in (
        "mid_stream",
        "attempts",
        "reset_on_progress",
        "wait",
        "commit_when",
        "complete_when",
        "allow_empty",
        "first_item_timeout",
        "idle_timeout",
        "total_timeout",
        "give_up_after",
        "on_exhausted",
        "mark_takeovers",
    ):
        if getattr(case, name) != getattr(default, name):
            options[name] = getattr(case, name)
    if listen:
        options["on_event"] = lambda event: log.append(event_entry(event))
    return options


def output_entry(output: Any) -> tuple[Any, ...]:
    """What was delivered, as data."""
    if isinstance(output, Takeover):
        return ("marker", output.mode, output.source, kind_of(output.error), output.delivered)
    return ("item", output)


def end_entry(error: BaseException) -> tuple[Any, ...]:
    """How the stream ended, as data: an error with the number of its notes."""
    return ("raised", kind_of(error), len(getattr(error, "__notes__", ())))


def run_sync(case: Case, combinator: Combinator = failover_stream, *, listen: bool = True) -> Trace:
    """Run a case on a blocking combinator."""
    fake = VirtualClock()
    log = LateLog(fake)
    token = clock.set(fake)
    try:
        with quiet():
            factories = make_sources(case, log, "sync")
            stream = combinator(factories, **options_of(case, log, listen=listen))
            _consume(case, stream, log, lambda: fake.sleep(case.pace))
            del stream
            fake.wake_all()
    finally:
        clock.reset(token)
    return [*log, *log.late]


class LateLog(list[tuple[Any, ...]]):
    """A log that keeps apart what abandoned sources did when they came back: their closing."""

    def __init__(self, fake: VirtualClock) -> None:
        super().__init__()
        self.fake = fake
        self.late: Trace = []

    def append(self, entry: tuple[Any, ...]) -> None:
        if not self.fake.is_late():
            super().append(entry)
        elif entry[0] == "close":
            self.late.append(("late close", entry[1]))
            self.late.sort()


def _consume(case: Case, stream: Any, log: Log, pause: Callable[[], None]) -> None:
    outputs = 0
    try:
        while case.leave == "drain" or outputs < case.after:
            output = next(stream)
            log.append(output_entry(output))
            del output
            outputs += 1
            pause()
        log.append(("leaves", case.leave))
        if case.leave == "close":
            stream.close()
        elif case.leave == "throw":
            log.append(output_entry(stream.throw(Transparent("thrown"))))
    except StopIteration:
        log.append(("ended",))
    except BaseException as error:
        log.append(end_entry(error))
        traceback.clear_frames(error.__traceback__)


async def _aconsume(
    case: Case, stream: Any, log: Log, pause: Callable[[], Coroutine[Any, Any, Any]]
) -> None:
    outputs = 0
    try:
        while case.leave == "drain" or outputs < case.after:
            log.append(output_entry(await anext(stream)))
            outputs += 1
            if case.pace:
                await pause()
        log.append(("leaves", case.leave))
        if case.leave == "close":
            await stream.aclose()
        elif case.leave == "throw":
            log.append(output_entry(await stream.athrow(Transparent("thrown"))))
    except StopAsyncIteration:
        log.append(("ended",))
    except BaseException as error:
        log.append(end_entry(error))
        traceback.clear_frames(error.__traceback__)


async def _run_case(
    case: Case,
    combinator: Combinator,
    log: Log,
    checkpoint: Callable[[], Coroutine[Any, Any, Any]],
    listen: bool,
) -> None:
    factories = make_sources(case, log, "async")
    stream = combinator(factories, **options_of(case, log, listen=listen))
    await _aconsume(case, stream, log, lambda: nap(case.pace))
    del stream
    for _ in range(3):  # what was dropped is closed by the loop, soon
        await checkpoint()


def run_asyncio(
    case: Case, combinator: Combinator = afailover_stream, *, listen: bool = True
) -> Trace:
    """Run a case on an async combinator under asyncio."""
    log: Log = []

    async def checkpoint() -> None:
        await asyncio.sleep(0)

    with quiet(), asyncio.Runner(loop_factory=JumpingLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: None)
        runner.run(_run_case(case, combinator, log, checkpoint, listen))
    return log


def run_trio(
    case: Case, combinator: Combinator = afailover_stream, *, listen: bool = True
) -> Trace:
    """Run a case on an async combinator under trio."""
    log: Log = []
    mock = trio.testing.MockClock(autojump_threshold=0)
    with quiet():
        trio.run(_run_case, case, combinator, log, trio.lowlevel.checkpoint, listen, clock=mock)
    return log
