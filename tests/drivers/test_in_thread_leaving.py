"""`in_thread`: timeouts, cancellation, `abort`, closing."""

from __future__ import annotations

import asyncio
import gc
import threading
from contextlib import aclosing
from threading import get_ident
from typing import Any

import pytest

from drivers.in_thread import LIMIT, Blocks, each_loop, numbers
from drivers.threads import Endless, mailboxes, wait_until
from failover_iter import Failed, Source, SourceTimeout, in_thread
from failover_iter._drivers.thread_source import AsyncJob, _reply
from support.loops import drained, fallback, stream_of

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@each_loop
class TestLeaving:
    """Timeouts, cancellation, `abort`, closing."""

    def test_a_timeout(self, loop: Any) -> None:
        """The blocked source is aborted, left to its thread, and closed there; the next goes on."""
        events: list[Any] = []

        async def main() -> Blocks:
            blocks = Blocks(loop.jumper())
            source = Source(in_thread(lambda: blocks), abort=blocks.abort)
            stream = stream_of(source, fallback, idle_timeout=LIMIT, on_event=events.append)
            assert await drained(stream) == [1, "fallback"]
            return blocks

        blocks = loop.run(main)
        wait_until(lambda: len(blocks.log) == 3)
        assert blocks.log == ["aborted", "returned", "closed"]
        (failed,) = [event for event in events if isinstance(event, Failed)]
        assert (type(failed.error), failed.abandoned) == (SourceTimeout, True)

    def test_a_factory_that_blocks(self, loop: Any) -> None:
        """There is nothing to abort; what it returns late is closed."""
        calls, let_go, late = list[Any](), threading.Event(), Endless()

        async def main() -> None:
            jump = loop.jumper()

            def factory() -> Endless:
                jump(2 * LIMIT)
                let_go.wait()
                return late

            source = Source(in_thread(factory), abort=lambda *called: calls.append(called))
            stream = stream_of(source, fallback, first_item_timeout=LIMIT)
            assert await drained(stream) == ["fallback"]

        loop.run(main)
        assert late.log == []
        let_go.set()
        wait_until(lambda: late.log)
        assert (late.log, calls) == (["closed"], [])

    def test_a_late_error_is_logged(self, loop: Any, caplog: pytest.LogCaptureFixture) -> None:
        """Of the pull that was abandoned, and of closing."""

        class Rude(Blocks):
            def close(self) -> None:
                super().close()
                raise ValueError("while closing")

        async def main() -> None:
            rude = Rude(loop.jumper(), late=OSError("cut"))
            source = Source(in_thread(lambda: rude), name="rude", abort=rude.abort)
            await drained(stream_of(source, fallback, idle_timeout=LIMIT))

        loop.run(main)
        wait_until(lambda: len(caplog.messages) == 3)
        assert [message for message in caplog.messages if "raised" in message] == [
            "rude raised OSError: cut after it was abandoned",
            "rude raised ValueError: while closing while its thread closed it",
        ]

    @pytest.mark.parametrize("timeout", [None, 100 * LIMIT])
    def test_a_cancellation_while_it_blocks(self, loop: Any, timeout: float | None) -> None:
        """The task goes on at once; the source is aborted and closed."""

        async def main() -> Blocks:
            blocks = Blocks(loop.jumper())
            source = Source(in_thread(lambda: blocks), abort=blocks.abort)
            stream = stream_of(source, fallback, idle_timeout=timeout)
            await loop.cancel_at(LIMIT, lambda: drained(stream))
            return blocks

        blocks = loop.run(main)
        wait_until(lambda: len(blocks.log) == 3)
        assert blocks.log == ["aborted", "returned", "closed"]

    def test_a_cancellation_while_it_blocks_without_abort(self, loop: Any) -> None:
        """The task goes on all the same."""

        async def main() -> Blocks:
            blocks = Blocks(loop.jumper())
            await loop.cancel_at(LIMIT, lambda: drained(stream_of(in_thread(lambda: blocks))))
            return blocks

        blocks = loop.run(main)
        assert blocks.log == []
        blocks.cut.set()
        wait_until(lambda: len(blocks.log) == 2)
        assert blocks.log == ["returned", "closed"]

    def test_a_cancellation_at_rest(self, loop: Any) -> None:
        """The thread has closed the source, unaborted, when the consumer has gone."""
        source, calls = Endless(), list[Any]()

        async def main() -> None:
            async def consume() -> None:
                options = Source(in_thread(lambda: source), abort=lambda *args: calls.append(args))
                async with aclosing(stream_of(options)) as stream:
                    await anext(stream)
                    loop.jumper()(2 * LIMIT)
                    await loop.sleep(100 * LIMIT)

            await loop.cancel_at(LIMIT, consume)
            assert source.log == ["closed"]

        loop.run(main)
        assert calls == []

    def test_closing_waits(self, loop: Any) -> None:
        """The source is closed when `aclose` returns: the iterator, then the iterable."""
        log: list[str] = []

        class Parts(Endless):
            def close(self) -> None:
                log.append("iterator")

        class Response:
            def __iter__(self) -> Any:
                return Parts()

            def close(self) -> None:
                log.append("response")

        async def main() -> None:
            stream = stream_of(in_thread(Response))
            assert await anext(stream) == 1
            await stream.aclose()
            assert log == ["iterator", "response"]

        loop.run(main)

    def test_errors_of_closing_are_raised(self, loop: Any) -> None:
        """Law 9: to the consumer who closes, the second one as a note; both are closed."""

        class Rude(Endless):
            def close(self) -> None:
                raise OSError("iterator")

        class Response:
            def __iter__(self) -> Any:
                return Rude()

            def close(self) -> None:
                raise OSError("response")

        async def main() -> None:
            stream = stream_of(Source(in_thread(Response), name="unit"))
            assert await anext(stream) == 1
            with pytest.raises(OSError, match="iterator") as caught:
                await stream.aclose()
            assert caught.value.__notes__ == ["closing unit raised OSError: response"]

        loop.run(main)

    @pytest.mark.parametrize("close", [False, True])
    def test_what_close_says_is_done_in_the_thread(self, loop: Any, close: bool) -> None:
        """`close=False` leaves the source open, a function closes it; the thread ends."""
        source, threads = Endless(), list[int]()

        def closes(opened: Any) -> None:
            assert opened is source
            threads.append(get_ident())

        async def main() -> None:
            options = Source(in_thread(lambda: source), close=closes if close else False)
            async with aclosing(stream_of(options)) as stream:
                await anext(stream)

        loop.run(main)
        assert source.log == []
        assert len(set(threads) - {get_ident()}) == close

    def test_a_stream_that_is_dropped(self, loop: Any) -> None:
        """The loop closes it, and so its thread ends."""
        source = Endless()

        async def main() -> None:
            async def drop() -> None:
                await anext(stream_of(in_thread(lambda: source)))

            await drop()
            gc.collect()
            await loop.sleep(0)

        if loop.name == "trio":
            with pytest.warns(ResourceWarning, match="was garbage collected"):
                loop.run(main)
        else:
            loop.run(main)
        wait_until(lambda: source.log)
        assert source.log == ["closed"]

    def test_one_that_is_dropped_itself(self, loop: Any) -> None:
        """Nobody closes it: an idle thread refers to no source, so the collector finds it."""
        source = Endless()

        async def main() -> None:
            await anext(in_thread(lambda: source)())

        loop.run(main)
        gc.collect()
        wait_until(lambda: source.log)
        assert source.log == ["closed"]

    def test_in_a_child_process(self, loop: Any) -> None:
        """The thread exists only in the parent: one clear error."""

        async def main() -> None:
            source: Any = in_thread(numbers)()
            await anext(source)
            (box,) = mailboxes()
            box.gone = "in a forked child process: its thread exists only in the parent"
            with pytest.raises(RuntimeError, match="cannot be continued in a forked child process"):
                await anext(source)
            await source.aclose()
            del source

        loop.run(main)


def test_a_close_that_is_cancelled(caplog: pytest.LogCaptureFixture) -> None:
    """Under asyncio the task stops waiting; the thread closes the rest, and logs the errors."""
    let_go, source = threading.Event(), Endless()

    async def main() -> None:
        begun, loop = asyncio.Event(), asyncio.get_running_loop()

        def close(_: object) -> None:
            loop.call_soon_threadsafe(begun.set)
            let_go.wait()
            source.log.append("closed")
            raise OSError("late")

        stream = stream_of(Source(in_thread(lambda: source), close=close))
        await anext(stream)
        closing = asyncio.ensure_future(stream.aclose())
        await begun.wait()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        assert source.log == []

    asyncio.run(main())
    let_go.set()
    wait_until(lambda: caplog.messages)
    assert source.log == ["closed"]
    assert [message for message in caplog.messages if "raised OSError: late" in message]


def test_an_async_close() -> None:
    """The thread of a blocking source cannot await: it is refused, and the source is closed."""
    source = Endless()

    async def close(_: object) -> None:
        raise AssertionError

    async def main() -> None:
        stream = stream_of(Source(in_thread(lambda: source), close=close))
        with pytest.raises(TypeError, match="a blocking source, whose thread cannot await"):
            await anext(stream)

    asyncio.run(main())


def test_a_reply_to_a_loop_that_has_gone() -> None:
    """The thread cannot wake anybody, and does not fail."""
    calls: list[int] = []

    def wake() -> None:
        calls.append(1)
        raise RuntimeError("Event loop is closed")

    job = AsyncJob(list, wake)
    _reply(job)
    _reply(job)
    assert calls == [1]


def test_an_error_that_comes_while_another_task_closes() -> None:
    """The task that waits for an item gets it: an aborted read raises, and yields no item."""

    class Aborted(Endless):
        def __init__(self) -> None:
            super().__init__()
            self.is_aborted = threading.Event()

        def __next__(self) -> int:
            self.log.append("pulled")
            if len(self.log) > 1:
                assert self.is_aborted.wait(60)
                self.log.append("raised")
                raise ConnectionError("reset")
            return 1

        def failover_abort(self) -> None:
            self.is_aborted.set()
            wait_until(lambda: "raised" in self.log)

    async def main() -> None:
        source = Aborted()
        iterator = aiter(in_thread(lambda: source)())
        assert await anext(iterator) == 1
        waiting = asyncio.ensure_future(anext(iterator))
        await asyncio.to_thread(wait_until, lambda: len(source.log) > 1)
        await iterator.aclose()
        with pytest.raises(ConnectionError, match="reset"):
            await waiting

    asyncio.run(main())
