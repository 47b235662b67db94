"""Mutants of the thread of a source: the checks in this file kill each of them.

Each mutant is one method of the library, written wrong. The checks run with and without it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from contextvars import Context, ContextVar
from functools import partial
from typing import Any

import pytest

from drivers.threads import Endless, Stall, stream_of, wait_until
from failover_iter import Source, SourceTimeout, in_thread
from failover_iter._drivers import mailbox
from failover_iter._drivers.closing import close
from failover_iter._drivers.source_thread import SourceThread
from failover_iter._drivers.thread_source import ThreadSource
from failover_iter.testing import VirtualClock
from support import loops
from support.virtual import virtual_time

variable: ContextVar[str] = ContextVar("variable", default="unset")


# The mutants.


def aborts_twice(self: SourceThread) -> None:
    """Forgets that it has called `abort`, and calls it again."""
    abort = self._abort
    ABANDON(self)
    self._abort = abort
    ABANDON(self)


def aborts_what_closes(self: SourceThread) -> None:
    """Still aborts once the thread has begun to close."""


def closes_before_it_aborts(self: SourceThread) -> None:
    """Lets the thread go before `abort` has returned."""
    self.stop()
    ABANDON(self)


def aborts_a_factory(self: SourceThread) -> None:
    """Aborts what is not there yet."""
    self._has_opened = True
    ABANDON(self)


def lets_abort_raise(self: SourceThread) -> None:
    """An error of `abort` hides the timeout."""
    self.abandoned = True
    if self._abort is not None:
        self._abort[0](self.iterable, self._abort[1])
    self.stop()


def closes_in_both_ways(self: SourceThread, factory: Any, args: Any) -> Any:
    """Calls the function of `Source(close=...)` and the object's own `close`."""
    opened = OPEN(self, factory, args)
    self._opened.insert(0, (opened, close))
    return opened


def closes_what_is_not_its_own(self: SourceThread, factory: Any, args: Any) -> Any:
    """Closes in spite of `close=False`."""
    self._owned = True
    return OPEN(self, factory, args)


async def reads_ahead(self: Any) -> Any:
    """Pulls the next item before it yields this one."""
    if not hasattr(self, "ahead"):
        self.ahead = await PULL(self)
    item, self.ahead = self.ahead, await PULL(self)
    return item


def starts_in_a_fresh_context(box: mailbox.Mailbox, context: Context) -> None:
    """The source sees no variable of its consumer."""
    START(box, Context())


ABANDON, OPEN, PULL = SourceThread.abandon, SourceThread.open, ThreadSource.__anext__
START = mailbox._start


# The checks.


def time_out(factory: Callable[[VirtualClock], Any], **options: Any) -> None:
    """Abandon a source that blocks, and let it return."""
    with virtual_time(VirtualClock()) as fake, pytest.raises(SourceTimeout):
        list(stream_of(Source(lambda: factory(fake), **options), idle_timeout=1))


def blocked(log: list[str], **options: Any) -> None:
    """Abandon a source that blocks when it is pulled."""

    def source(fake: VirtualClock) -> Stall:
        stall = Stall(fake)
        stall.log = log
        return stall

    time_out(source, **options)


def abort_is_called_once() -> None:
    log: list[str] = []
    blocked(log, abort=lambda *_: log.append("aborted"))
    assert log.count("aborted") == 1


def abort_is_over_before_the_thread_closes() -> None:
    log: list[str] = []

    def abort(opened: Any, _: object) -> None:
        next(iter(opened.fake._sleepers.values())).wakes.set()
        wait_until(lambda: "returned" in log)
        next(iter(opened.fake._sleepers.values())).thread.join(0.05)  # time enough to close
        log.append("aborted")

    blocked(log, abort=abort)
    assert log == ["returned", "aborted", "closed"]


def what_closes_is_not_aborted() -> None:
    log: list[str] = []

    class Interrupts(Endless):
        def close(self) -> None:
            # As if Ctrl-C had ended the wait for it, and the driver closed it once more.
            worker = stream.gi_frame.f_locals["source"].worker
            worker.thread.abandon()

    stream = stream_of(Source(Interrupts, abort=lambda *_: log.append("aborted")))
    next(stream)
    stream.close()
    assert log == []


def a_factory_is_not_aborted() -> None:
    log: list[str] = []

    def factory(fake: VirtualClock) -> list[int]:
        fake.sleep(1e9)
        return []

    time_out(factory, abort=lambda *_: log.append("aborted"))
    assert log == []


def an_error_of_abort_hides_nothing() -> None:
    def abort(*_: object) -> None:
        raise OSError

    blocked([], abort=abort)


def a_function_closes_instead() -> None:
    source, calls = Endless(), list[Any]()
    stream = stream_of(Source(lambda: source, close=calls.append))
    next(stream)
    stream.close()
    wait_until(lambda: not any(map(is_of_a_source, threading.enumerate())))
    assert (calls, source.log) == ([source], [])


def close_false_closes_nothing() -> None:
    source = Endless()
    stream = stream_of(Source(lambda: source, close=False))
    next(stream)
    stream.close()
    wait_until(lambda: not any(map(is_of_a_source, threading.enumerate())))
    assert source.log == []


def is_of_a_source(thread: threading.Thread) -> bool:
    return thread.name.startswith("failover_iter: ")  # not the one of a RedisStore


def the_thread_is_never_ahead(loop: Any) -> None:
    pulled: list[int] = []

    def source() -> Iterator[int]:
        for number in range(3):
            pulled.append(number)
            yield number

    async def main() -> None:
        async with aclosing(loops.stream_of(in_thread(source))) as stream:
            assert await anext(stream) == 0
            assert pulled == [0]

    loop.run(main)


def the_thread_has_the_context_of_the_consumer(loop: Any) -> None:
    async def main() -> None:
        variable.set("of the consumer")
        source = in_thread(lambda: [variable.get()])
        assert await loops.drained(loops.stream_of(source)) == ["of the consumer"]

    loop.run(main)


CHECKS: list[Callable[[], None]] = [
    abort_is_called_once,
    abort_is_over_before_the_thread_closes,
    what_closes_is_not_aborted,
    a_factory_is_not_aborted,
    an_error_of_abort_hides_nothing,
    a_function_closes_instead,
    close_false_closes_nothing,
    *[
        partial(check, loop)
        for check in (the_thread_is_never_ahead, the_thread_has_the_context_of_the_consumer)
        for loop in loops.LOOPS
    ],
]


def name_of(check: Any) -> str:
    """The name of a check, whatever loop it runs on."""
    return str(getattr(check, "func", check).__name__)


def failed_checks() -> set[str]:
    """The checks that fail."""
    failed = set()
    for check in CHECKS:
        try:
            check()
        except BaseException:
            failed.add(name_of(check))
    return failed


def test_the_library_passes() -> None:
    """No check fails for the library itself."""
    assert failed_checks() == set()


@pytest.mark.parametrize(
    ("target", "name", "mutant", "killed_by"),
    [
        (SourceThread, "abandon", aborts_twice, abort_is_called_once),
        (SourceThread, "begin_to_close", aborts_what_closes, what_closes_is_not_aborted),
        (
            SourceThread,
            "abandon",
            closes_before_it_aborts,
            abort_is_over_before_the_thread_closes,
        ),
        (SourceThread, "abandon", aborts_a_factory, a_factory_is_not_aborted),
        (SourceThread, "abandon", lets_abort_raise, an_error_of_abort_hides_nothing),
        (SourceThread, "open", closes_in_both_ways, a_function_closes_instead),
        (SourceThread, "open", closes_what_is_not_its_own, close_false_closes_nothing),
        (ThreadSource, "__anext__", reads_ahead, the_thread_is_never_ahead),
        (mailbox, "_start", starts_in_a_fresh_context, the_thread_has_the_context_of_the_consumer),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_each_mutant_is_killed(
    target: Any, name: str, mutant: Any, killed_by: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the check for its bug."""
    monkeypatch.setattr(target, name, mutant)
    assert killed_by.__name__ in failed_checks()
