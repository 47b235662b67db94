"""`in_thread`: a blocking source in an async stream, under asyncio and trio; its thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import pytest

from drivers.in_thread import each_loop
from drivers.threads import Endless, wait_until
from failover_iter import Source, in_thread
from support.loops import drained, stream_of

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

variable: ContextVar[str] = ContextVar("variable")


@each_loop
class TestThread:
    """One daemon thread, one copy of the context, one item at a time."""

    def test_one_thread_calls_pulls_and_closes(self, loop: Any) -> None:
        """It is a daemon thread, named after the source, and no other."""
        threads: list[threading.Thread] = []

        class Recorded(Endless):
            def __init__(self) -> None:
                threads.append(threading.current_thread())

            def __iter__(self) -> Any:
                threads.append(threading.current_thread())
                return self

            def __next__(self) -> int:
                threads.append(threading.current_thread())
                return 1

            def close(self) -> None:
                threads.append(threading.current_thread())

        async def main() -> None:
            source = Source(in_thread(Recorded), name="orders")
            async with aclosing(stream_of(source)) as stream:
                assert [await anext(stream), await anext(stream)] == [1, 1]

        loop.run(main)
        assert len(threads) == 5
        (thread,) = set(threads)
        assert (thread.name, thread.daemon) == ("failover_iter: orders", True)

    def test_a_source_keeps_its_name_and_options(self, loop: Any) -> None:
        """A `Source` becomes an async one, whose `close` still gets what the factory returned."""
        items, closed = [1, 2], []
        blocking = Source(lambda: items, name="orders", close=closed.append, attempts=3)
        source = in_thread(blocking)
        assert (source.name, source.close, source.attempts) == ("orders", blocking.close, 3)
        assert loop.run(lambda: drained(stream_of(source))) == items
        assert closed == [items]

    def test_one_copy_of_the_context(self, loop: Any) -> None:
        """The source sees the consumer's variables, and keeps what it sets; nothing leaks out."""
        seen: list[str] = []

        def source() -> Iterator[int]:
            seen.append(variable.get())
            token = variable.set("of the source")
            yield 1
            seen.append(variable.get())
            variable.reset(token)
            yield 2

        async def main() -> str:
            variable.set("of the consumer")
            assert await drained(stream_of(in_thread(source))) == [1, 2]
            return variable.get()

        assert loop.run(main) == "of the consumer"
        assert seen == ["of the consumer", "of the source"]

    def test_nothing_happens_before_the_first_pull(self, loop: Any) -> None:
        """Neither the call nor the close of a source that is not pulled starts a thread."""
        opened: list[int] = []

        async def main() -> None:
            source = in_thread(lambda: opened.append(1) or [1])()
            await source.aclose()  # type: ignore[attr-defined]
            assert [item async for item in source] == []

        loop.run(main)
        assert opened == []

    def test_never_ahead_of_the_consumer(self, loop: Any) -> None:
        """The source is pulled when the consumer asks for an item, and not before."""
        pulled: list[int] = []

        def source() -> Iterator[int]:
            for number in range(5):
                pulled.append(number)
                yield number

        async def main() -> None:
            async with aclosing(stream_of(in_thread(source))) as stream:
                for expected in range(3):
                    assert await anext(stream) == expected
                    assert pulled == list(range(expected + 1))

        loop.run(main)

    def test_the_loop_goes_on_while_the_source_blocks(self, loop: Any) -> None:
        """The source waits for what a callback of the loop does."""
        done = threading.Event()

        async def main() -> list[Any]:
            jump = loop.jumper()

            def source() -> Iterator[bool]:
                jump(1.0)  # in a callback of the loop
                wait_until(lambda: loop_time() > begin)
                yield done.wait(0)

            loop_time, begin = clock_of(loop), loop.time()
            done.set()
            return await drained(stream_of(in_thread(source)))

        assert loop.run(main) == [True]


def clock_of(loop: Any) -> Callable[[], float]:
    """The clock of the running loop, to be read in any thread."""
    return asyncio.get_running_loop().time if loop.name == "asyncio" else loop.clock.current_time
