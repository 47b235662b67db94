"""The clocks: the one of a blocking stream can be replaced, async asks the library that runs it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

import pytest
import trio
import trio.testing

from failover_iter import Event, Policy
from failover_iter._drivers.clock import (
    SystemClock,
    async_library,
    async_sleep,
    async_time,
    clock,
    give_way,
)
from support.factories import dead, dead_async

if TYPE_CHECKING:
    from collections.abc import Callable


class FakeClock:
    """A clock that goes forward by what is slept."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept: list[float] = []

    def time(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_the_clock_of_the_machine() -> None:
    """Unless replaced, the clock is the monotonic one."""
    system = clock.get()
    assert isinstance(system, SystemClock)
    assert system.time is time.monotonic


@pytest.mark.parametrize("seconds", [0, 0.5, 86_400])
def test_the_clock_of_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Its sleep is that of the system."""
    slept: list[float] = []
    monkeypatch.setattr("failover_iter._drivers.clock.block", slept.append)
    clock.get().sleep(seconds)
    assert slept == [seconds]


def test_a_blocking_stream_sleeps_by_the_clock_of_its_context() -> None:
    """Waits and elapsed times of a blocking stream are those of the replaced clock."""
    fake, seen = FakeClock(), list[Event]()

    def run() -> None:
        clock.set(fake)
        with pytest.raises(ConnectionError):
            list(Policy(retry_on=OSError, attempts=3, wait=7, on_event=seen.append).stream([dead]))

    copy_context().run(run)
    assert fake.slept == [7, 7]
    assert [event.elapsed for event in seen if type(event).__name__ == "Opening"] == [0, 7, 14]
    assert clock.get() is not fake


def test_a_pause_of_nothing_is_no_sleep() -> None:
    """Without `wait` a blocking stream does not sleep at all, not even for 0 seconds."""
    fake = FakeClock()

    def run() -> None:
        clock.set(fake)
        with pytest.raises(ConnectionError):
            list(Policy(retry_on=OSError, attempts=3).stream([dead, dead]))

    copy_context().run(run)
    assert fake.slept == []


def test_the_clock_is_taken_at_the_first_pull() -> None:
    """A clock that is set after the stream was made, and before its first item, is used."""
    fake = FakeClock()
    stream = Policy(retry_on=OSError, attempts=2, wait=1).stream([dead])

    def run() -> None:
        clock.set(fake)
        with pytest.raises(ConnectionError):
            next(stream)

    copy_context().run(run)
    assert fake.slept == [1]


async def ask() -> tuple[str | None, Callable[[], float]]:
    return async_library(), async_time()


def test_under_asyncio() -> None:
    """In an asyncio task the library is asyncio, also with trio imported; time is the loop's."""

    async def main() -> None:
        library, now = await ask()
        assert library == "asyncio"
        assert now == asyncio.get_running_loop().time

    asyncio.run(main())


def test_under_trio() -> None:
    """In a trio task the library is trio, and time is trio's own, which a test may replace."""

    async def main() -> None:
        library, now = await ask()
        assert library == "trio"
        assert now() == trio.current_time() == 0.0

    trio.run(main, clock=trio.testing.MockClock())


def test_trio_as_a_guest_of_asyncio() -> None:
    """A trio task in guest mode runs in an asyncio loop too, and is still a trio task."""

    async def main() -> list[object]:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        trio.lowlevel.start_guest_run(
            ask, run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=done.set_result
        )
        outcome = await done
        return [outcome.unwrap()[0], async_library()]

    assert asyncio.run(main()) == ["trio", "asyncio"]


def test_under_no_library() -> None:
    """Without a library, driven by hand: the machine's clock, and no way to wait."""
    assert async_library() is None
    assert async_time() is time.monotonic
    with pytest.raises(StopIteration):
        async_sleep(0).__await__().__next__()
    with pytest.raises(RuntimeError, match=r"^cannot wait 0\.5 s: neither asyncio nor trio runs"):
        async_sleep(0.5).__await__().__next__()


def test_a_stream_under_no_library_says_that_it_cannot_wait() -> None:
    """An async stream driven by hand works without a wait, and is an error with one."""
    stream = Policy(retry_on=OSError, attempts=2, wait=2).astream([dead_async])
    with pytest.raises(RuntimeError, match="^cannot wait 2 s: neither asyncio nor trio"):
        stream.asend(None).send(None)
    stream = Policy(retry_on=OSError, attempts=2).astream([dead_async])
    with pytest.raises(ConnectionError):
        stream.asend(None).send(None)


@pytest.mark.parametrize("gone", ["trio", "asyncio"])
def test_what_is_not_imported_runs_nothing(gone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that nobody has imported is not asked, and not imported."""

    async def main() -> str | None:
        monkeypatch.delitem(sys.modules, gone)
        found = async_library()
        assert gone not in sys.modules
        monkeypatch.undo()
        return found

    assert asyncio.run(main()) == (None if gone == "asyncio" else "asyncio")


def test_waits_under_trio_are_trio_sleeps() -> None:
    """Under trio a stream waits by trio's clock: an hour passes at once on a mock clock."""

    async def main() -> None:
        stream = Policy(retry_on=OSError, attempts=2, wait=3600).astream([dead_async])
        with pytest.raises(ConnectionError):
            await anext(stream)
        assert trio.current_time() == 3600

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_waits_under_asyncio_are_asyncio_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under asyncio a stream waits with asyncio's sleep, for as long as it was told."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async def main() -> None:
        monkeypatch.setattr(asyncio, "sleep", sleep)
        stream = Policy(retry_on=OSError, attempts=2, wait=3600).astream([dead_async])
        with pytest.raises(ConnectionError):
            await anext(stream)

    asyncio.run(main())
    assert slept == [3600]


def test_a_pause_of_nothing_lets_others_run() -> None:
    """Under asyncio and trio a wait of 0 seconds is a checkpoint, so that no loop starves."""
    ran: list[str] = []

    async def in_asyncio() -> None:
        asyncio.get_running_loop().call_soon(ran.append, "asyncio")
        await async_sleep(0)
        assert ran == ["asyncio"]

    async def in_trio() -> None:
        with trio.testing.assert_checkpoints():
            await async_sleep(0)

    asyncio.run(in_asyncio())
    trio.run(in_trio)


def test_to_give_way_lets_the_others_run_once() -> None:
    """The other tasks run once, under trio also in a scope that is cancelled; else nothing does."""
    ran: list[str] = []

    async def in_asyncio() -> None:
        asyncio.get_running_loop().call_soon(ran.append, "asyncio")
        await give_way()
        assert ran == ["asyncio"]

    async def in_trio() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other_in_trio)
            nursery.cancel_scope.cancel()
            await give_way()
            ran.append("not cancelled")

    async def other_in_trio() -> None:
        ran.append("trio")

    asyncio.run(in_asyncio())
    trio.run(in_trio)
    assert sorted(ran) == ["asyncio", "not cancelled", "trio"]
    with pytest.raises(StopIteration):
        give_way().send(None)


def test_neither_library_is_imported_before_it_is_used() -> None:
    """To import the package, and to run a blocking stream, imports no asyncio and no trio."""
    script = (
        "import sys\n"
        "from failover_iter import failover_stream\n"
        "assert list(failover_stream([lambda: [1]], retry_on=OSError)) == [1]\n"
        "print({'asyncio', 'trio', 'logging'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_a_pause_longer_than_the_system_accepts(monkeypatch: pytest.MonkeyPatch) -> None:
    """`time.sleep` refuses 1e12 seconds: the clock sleeps day by day."""
    slept: list[float] = []
    monkeypatch.setattr("failover_iter._drivers.clock.block", slept.append)
    days = 1000
    SystemClock().sleep(days * 86_400 + 0.5)
    assert slept == [86_400] * days + [0.5]
