"""`in_thread`: a blocking source in an async stream, under asyncio and trio."""

from __future__ import annotations

import asyncio
import gc
import inspect
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import aclosing
from contextvars import ContextVar
from functools import partial
from threading import get_ident
from typing import Any

import pytest
import trio

from drivers.threads import Endless, mailboxes, wait_until
from failover_iter import (
    Failed,
    Progress,
    ReusedIterator,
    Source,
    SourceTimeout,
    failover_stream,
    in_thread,
)
from failover_iter._drivers.thread_source import AsyncJob, _reply
from support.loops import drained, fallback, stream_of
from support.manual import MANUAL

pytestmark = pytest.mark.usefixtures("no_thread_is_left")

each_loop = pytest.mark.parametrize("loop", MANUAL, ids=lambda loop: loop.name)
variable: ContextVar[str] = ContextVar("variable")

LIMIT = 5.0  # seconds, of which none passes


def numbers() -> Iterator[int]:
    yield from (1, 2, 3)


class Blocks(Endless):
    """A source that blocks after its first item, until it is aborted; says so to the clock."""

    def __init__(self, says: Callable[[float], object], *, late: Exception | None = None) -> None:
        super().__init__()
        self.says = says
        self.late = late
        self.cut = threading.Event()
        self.count = 0

    def __next__(self) -> int:
        self.count += 1
        if self.count > 1:
            self.says(2 * LIMIT)
            self.cut.wait()
            self.log.append("returned")
            if self.late is not None:
                raise self.late
        return self.count

    def abort(self, opened: object, memo: dict[str, Any]) -> None:
        assert opened is self
        self.log.append("aborted")
        self.cut.set()


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


@each_loop
class TestProtocol:
    """Items, `send`, `throw`, errors: as a stream over an async generator."""

    def test_values_sent_and_thrown(self, loop: Any) -> None:
        """They reach the source in its thread, and its answers are items."""
        thrown = LookupError("mine")

        def source() -> Iterator[Any]:
            sent = yield 1
            try:
                yield sent
            except LookupError as error:
                yield error

        async def main() -> None:
            async with aclosing(stream_of(in_thread(source))) as stream:
                assert (await anext(stream), await stream.asend("sent")) == (1, "sent")
                assert await stream.athrow(thrown) is thrown
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)

        loop.run(main)

    def test_an_iterator_without_send_and_throw(self, loop: Any) -> None:
        """As without a thread: AttributeError, and what is thrown is raised at the `yield`."""

        async def main() -> None:
            async with aclosing(stream_of(in_thread(lambda: iter([1, 2])))) as stream:
                await anext(stream)
                with pytest.raises(AttributeError, match="has no attribute 'send'"):
                    await stream.asend(1)
            async with aclosing(stream_of(in_thread(lambda: iter([1, 2])), fallback)) as stream:
                await anext(stream)
                with pytest.raises(ConnectionError, match="mine"):
                    await stream.athrow(ConnectionError("mine"))

        loop.run(main)

    @pytest.mark.parametrize("where", ["factory", "iter", "pull"])
    def test_a_failure_switches(self, loop: Any, where: str) -> None:
        """Wherever in the thread it is raised."""

        class Broken:
            def __init__(self) -> None:
                if where == "factory":
                    raise ConnectionError

            def __iter__(self) -> Any:
                if where == "iter":
                    raise ConnectionError
                return self

            def __next__(self) -> Any:
                raise ConnectionError

        assert loop.run(lambda: drained(stream_of(in_thread(Broken), fallback))) == ["fallback"]

    def test_an_error_is_the_same_object(self, loop: Any) -> None:
        """It passes from the thread to the task unchanged."""
        error = ValueError("mine")

        def source() -> Iterator[int]:
            yield 1
            raise error

        async def main() -> None:
            with pytest.raises(ValueError, match="mine") as caught:
                await drained(stream_of(in_thread(source)))
            assert caught.value is error

        loop.run(main)

    @pytest.mark.parametrize("stop", [StopIteration, StopAsyncIteration])
    def test_a_stop_that_leaks(self, loop: Any, stop: type[Exception]) -> None:
        """It does not end the stream: PEP 479."""

        def factory() -> Any:
            if stop is StopIteration:
                raise stop
            yield 1
            raise stop

        def called() -> Any:
            raise stop

        async def main() -> None:
            with pytest.raises(RuntimeError, match=f"generator raised {stop.__name__}"):
                await drained(stream_of(in_thread(called if stop is StopIteration else factory)))

        loop.run(main)

    def test_it_ends_for_good(self, loop: Any) -> None:
        """A source that has ended, or is closed, yields nothing more."""

        async def main() -> None:
            source: Any = in_thread(numbers)()
            assert [item async for item in source] == [1, 2, 3]
            assert [item async for item in source] == []
            await source.aclose()
            await source.aclose()
            assert [item async for item in source] == []

        loop.run(main)

    def test_one_pull_at_a_time(self, loop: Any) -> None:
        """As with an async generator, another task may not pull it meanwhile."""

        async def main() -> None:
            blocks = Blocks(lambda _: None)
            source: Any = in_thread(lambda: blocks)()
            assert await anext(source) == 1
            pulled: list[Any] = []

            async def pull() -> None:
                try:
                    pulled.append(await anext(source))
                except RuntimeError as error:
                    pulled.append(str(error))

            async def meanwhile() -> None:
                wait_until(lambda: blocks.count == 2)
                with pytest.raises(RuntimeError, match="is being pulled already"):
                    await anext(source)
                await source.aclose()

            await both(loop, pull, meanwhile)
            blocks.cut.set()
            assert pulled == ["source '<lambda>' was closed while it was pulled"]
            with pytest.raises(RuntimeError, match="cannot be continued after"):
                await anext(source)

        loop.run(main)


async def both(loop: Any, first: Any, second: Any) -> None:
    """Run two tasks; the second starts when the first one waits."""
    if loop.name == "asyncio":
        task = asyncio.ensure_future(first())
        await asyncio.sleep(0)
        await second()
        await task
    else:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(second)


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


class TestWrongUse:
    """What `in_thread` and its factories accept."""

    def test_no_factory(self) -> None:
        """It takes the function, not its result."""
        with pytest.raises(TypeError, match=r"in_thread\(factory\) must be a factory"):
            in_thread([1])  # type: ignore[arg-type]

    def test_an_async_factory(self) -> None:
        """At the call, where it shows."""
        with pytest.raises(TypeError, match="must be a blocking factory, got the async"):
            in_thread(fallback)  # type: ignore[arg-type]

    @pytest.mark.parametrize("opened", ["async", "coroutine", 5])
    @each_loop
    def test_what_the_factory_returns(self, loop: Any, opened: Any) -> None:
        """Otherwise when it has been called, and the next source is opened only if it matches."""

        async def coroutine() -> None: ...

        def factory() -> Any:
            return {"async": fallback, "coroutine": coroutine}.get(opened, lambda: opened)()

        message = "must return an iterable" if opened == 5 else "returned something async"
        with pytest.raises(TypeError, match=message):
            loop.run(lambda: drained(stream_of(in_thread(factory))))

    @each_loop
    def test_a_text(self, loop: Any) -> None:
        """Its items would be characters."""
        with pytest.raises(TypeError, match="returned a str"):
            loop.run(lambda: drained(stream_of(in_thread(lambda: "text"))))

    @each_loop
    def test_a_generator_that_has_ended(self, loop: Any) -> None:
        """A factory that returns the same generator again has nothing to yield."""

        def fails() -> Iterator[int]:
            yield 1
            raise ConnectionError

        kept = fails()
        with pytest.raises(ReusedIterator):
            loop.run(lambda: drained(stream_of(in_thread(lambda: kept), attempts=2)))

    def test_a_blocking_stream(self) -> None:
        """It refuses the async iterator."""
        with pytest.raises(TypeError, match="is async: use afailover_stream"):
            list(failover_stream([in_thread(numbers)], retry_on=OSError))

    @each_loop
    def test_abort_of_an_async_source(self, loop: Any) -> None:
        """It would never be called."""
        source = Source(lambda: fallback(), name="unit", abort=print)
        with pytest.raises(TypeError, match=r"of 'unit' is for a blocking source: .* in_thread"):
            loop.run(lambda: drained(stream_of(source)))

    def test_no_event_loop(self) -> None:
        """It waits with asyncio or trio."""
        pull = in_thread(numbers)().__anext__()
        with pytest.raises(RuntimeError, match="in_thread needs asyncio or trio"):
            pull.send(None)  # type: ignore[attr-defined]

    def test_a_sync_factory_in_an_async_stream(self) -> None:
        """The error names `in_thread`."""
        with pytest.raises(TypeError, match=r"or in_thread\(factory\)$"):
            stream_of(numbers)


class TestFactory:
    """The async factory looks like the blocking one."""

    def test_its_name(self) -> None:
        """In events, errors and the log."""
        assert in_thread(numbers).__name__ == "numbers"
        assert in_thread(partial(numbers)).__name__ == "numbers"
        assert in_thread(Endless).__name__ == "Endless"
        assert repr(in_thread(len)) == "in_thread(<built-in function len>)"  # type: ignore[arg-type]

    def test_its_parameters(self) -> None:
        """A stream that resumes checks them at the call."""
        assert inspect.signature(in_thread(numbers)) == inspect.signature(numbers)
        with pytest.raises(TypeError, match="must take one positional argument, the Progress"):
            stream_of(in_thread(numbers), mid_stream="resume")

    @each_loop
    def test_it_passes_them_on(self, loop: Any) -> None:
        """The `Progress` of a stream that resumes, and what a caller passes by name."""

        def resumes(progress: Progress[int], end: int = 3) -> Iterator[int]:
            yield progress.delivered + 1
            if progress.delivered < end:
                raise ConnectionError

        async def main() -> None:
            stream = stream_of(in_thread(resumes), mid_stream="resume", attempts=9)
            assert await drained(stream) == [1, 2, 3, 4]
            source = in_thread(resumes)(Progress(delivered=1), end=1)
            assert [item async for item in source] == [2]
            await source.aclose()  # type: ignore[attr-defined]

        loop.run(main)

    def test_it_can_be_pickled(self) -> None:
        """If the blocking one can."""
        factory = pickle.loads(pickle.dumps(in_thread(range)))
        assert repr(factory) == repr(in_thread(range))  # type: ignore[arg-type]
