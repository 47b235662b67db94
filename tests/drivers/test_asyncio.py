"""The async driver on a real asyncio loop: tasks, cancellation, contexts, the end of the loop."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import pytest

from failover_iter import afailover_stream
from support.flavour import AsyncFlavour

variable: ContextVar[str] = ContextVar("variable", default="unset")


def stream_of(*factories: Any, **options: Any) -> Any:
    return afailover_stream(list(factories), **{"retry_on": ConnectionError, **options})


async def fallback() -> AsyncIterator[str]:
    yield "fallback"


def run(main: Any, **kwargs: Any) -> tuple[Any, list[dict[str, Any]]]:
    """Run a coroutine to its end, and return the complaints of the loop."""
    complaints: list[dict[str, Any]] = []

    async def watched() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        return await main()

    return asyncio.run(watched(), **kwargs), complaints


def test_the_source_is_pulled_in_the_task_of_the_consumer() -> None:
    """It runs in the consumer's context, and its own time limit works across a yield."""

    async def source() -> AsyncIterator[Any]:
        yield asyncio.current_task()
        token = variable.set("in the source")
        yield variable.get()
        variable.reset(token)
        async with asyncio.timeout(60):
            await asyncio.sleep(0)
        yield "done"

    async def main() -> list[Any]:
        items = [item async for item in stream_of(source)]
        assert items[0] is asyncio.current_task()
        assert variable.get() == "unset"
        return items[1:]

    assert run(main) == (["in the source", "done"], [])


def test_the_sources_own_timeout_is_a_failure_like_any_other() -> None:
    """A TimeoutError of a limit inside the source switches where it is named."""

    async def stalls() -> AsyncIterator[str]:
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
        yield "never"

    async def main() -> list[str]:
        return [item async for item in stream_of(stalls, fallback, retry_on=TimeoutError)]

    assert run(main) == (["fallback"], [])


@pytest.mark.parametrize("where", ["opening", "pull", "closing", "wait"])
def test_a_cancellation_goes_through(where: str) -> None:
    """Wherever it strikes, the source is closed and no other is opened."""
    log: list[str] = []
    blocked: asyncio.Event

    async def block() -> None:
        blocked.set()
        await asyncio.Event().wait()

    class Source:
        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> str:
            if where == "pull":
                await block()
            raise ConnectionError

        async def aclose(self) -> None:
            log.append("closing")
            if where == "closing":
                await block()

    async def factory() -> Source:
        log.append("opening")
        if where == "opening":
            await block()
        return Source()

    def wait(_: Any) -> float:
        blocked.set()
        return 3600.0

    async def main() -> bool:
        nonlocal blocked
        blocked = asyncio.Event()

        async def consume() -> None:
            async for _ in stream_of(factory, attempts=2, wait=wait):
                pass

        task = asyncio.create_task(consume())
        await blocked.wait()
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            return task.cancelled()
        return False

    assert run(main) == (True, [])
    assert log == (["opening"] if where == "opening" else ["opening", "closing"])


def test_a_cancelled_consumer_may_take_the_cancellation_back() -> None:
    """`Task.uncancel` bookkeeping is left alone: an `asyncio.timeout` around a pull works."""

    async def stalls() -> AsyncIterator[str]:
        yield "one"
        await asyncio.Event().wait()

    async def main() -> list[str]:
        got = []
        async with aclosing(stream_of(stalls, fallback, retry_on=Exception)) as stream:
            got.append(await anext(stream))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await anext(stream)
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        return got

    assert run(main) == (["one"], [])


@pytest.mark.parametrize("how", ["dropped", "left to the end of the loop", "broken off"])
def test_an_abandoned_stream_is_closed_by_the_loop(how: str) -> None:
    """The source is closed too, at the latest when the loop ends, and nobody complains."""
    closed: list[str] = []
    kept: list[Any] = []

    async def source() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0)
            closed.append("closed")

    async def main() -> None:
        stream = stream_of(source, fallback)
        if how == "broken off":
            async for _ in stream:
                break
        else:
            await anext(stream)
        if how == "left to the end of the loop":
            kept.append(stream)
        else:
            del stream
            gc.collect()
            for _ in range(5):
                await asyncio.sleep(0)
            assert closed == ["closed"]

    assert run(main) == (None, [])
    assert closed == ["closed"]


def test_a_stop_thrown_in_is_an_error() -> None:
    """StopAsyncIteration thrown into a stream is PEP 479's RuntimeError, as in any generator."""

    async def main() -> None:
        stream = stream_of(fallback)
        await anext(stream)
        with pytest.raises(RuntimeError, match="raised StopAsyncIteration"):
            await stream.athrow(StopAsyncIteration())

    assert run(main) == (None, [])


def test_an_awaitable_is_awaited_only_if_it_is_no_async_iterable() -> None:
    """An object with `__aiter__` is iterated, even if it could be awaited (some SDKs' streams)."""

    class Both:
        def __aiter__(self) -> AsyncIterator[str]:
            return fallback()

        def __await__(self) -> Any:
            pytest.fail("awaited")

    async def gives() -> Both:
        return Both()

    async def main() -> list[str]:
        return [item async for item in stream_of(Both)] + [item async for item in stream_of(gives)]

    assert run(main) == (["fallback", "fallback"], [])


def test_close_may_be_plain_or_give_an_awaitable() -> None:
    """`aclose` goes before `close`, and what `close` gives is awaited if it can be."""
    log: list[str] = []

    class Base:
        def __aiter__(self) -> Base:
            return self

        async def __anext__(self) -> str:
            raise StopAsyncIteration

    class Plain(Base):
        def close(self) -> None:
            log.append("plain")

    class Awaitable(Base):
        async def close(self) -> None:
            log.append("awaited")

    class Both(Awaitable):
        async def aclose(self) -> None:
            log.append("aclose")

    async def main() -> None:
        for source in (Plain, Awaitable, Both):
            assert [item async for item in stream_of(source)] == []

    assert run(main) == (None, [])
    assert log == ["plain", "awaited", "aclose"]


def test_pauses_let_other_tasks_run() -> None:
    """Opening the same source again gives way to the loop, also where `wait` is 0."""
    steps: list[str] = []

    async def fails() -> AsyncIterator[str]:
        steps.append("attempt")
        raise ConnectionError
        yield ""

    async def other() -> None:
        for _ in range(3):
            steps.append("other")
            await asyncio.sleep(0)

    async def main() -> None:
        task = asyncio.create_task(other())
        with pytest.raises(ConnectionError):
            await anext(stream_of(fails, attempts=3))
        await task

    assert run(main) == (None, [])
    assert steps == ["attempt", "other", "attempt", "other", "attempt", "other"]


def test_an_error_keeps_its_own_context() -> None:
    """Also where the consumer is handling another error when it arrives."""

    async def late() -> AsyncIterator[int]:
        yield 1
        try:
            raise KeyError("cause")
        except KeyError:
            raise ConnectionError("late")  # noqa: B904 (the context is what is tested)

    async def main() -> BaseException | None:
        stream = stream_of(late)
        await anext(stream)
        try:
            raise LookupError("of the consumer")
        except LookupError:
            try:
                await anext(stream)
            except ConnectionError as error:
                return error.__context__
        return None

    context, complaints = run(main)
    assert isinstance(context, KeyError)
    assert complaints == []


def test_a_source_with_a_blocking_close() -> None:
    """It is called, and its result is not awaited."""
    closed: list[str] = []

    class Numbers:
        def __init__(self) -> None:
            self.left = [1, 2]

        def __aiter__(self) -> Numbers:
            return self

        async def __anext__(self) -> int:
            if not self.left:
                raise StopAsyncIteration
            return self.left.pop(0)

        def close(self) -> None:
            closed.append("closed")

    flavour = AsyncFlavour()
    assert flavour.drain(flavour.stream([Numbers])) == [1, 2]
    assert closed == ["closed"]
    flavour.finish()


def test_a_generator_inside_a_source_that_the_loop_is_closing() -> None:
    """Closing it twice at a time is refused by Python, and no error: the loop closes it."""

    class Wrapper:
        def __aiter__(self) -> Wrapper:
            return self

        async def __anext__(self) -> int:
            raise StopAsyncIteration

        async def aclose(self) -> None:
            raise RuntimeError("aclose(): asynchronous generator is already running")

    flavour = AsyncFlavour()
    assert flavour.drain(flavour.stream([Wrapper])) == []
    flavour.finish()


def test_a_source_that_the_loop_is_closing() -> None:
    """A stream that is closed meanwhile leaves the source to the loop."""
    opened: list[Any] = []
    log: list[str] = []

    async def main() -> None:
        resumed = asyncio.Event()

        async def source() -> AsyncIterator[int]:
            try:
                yield 1
            finally:
                await resumed.wait()
                log.append("closed")

        def factory() -> Any:
            opened.append(source())
            return opened[0]

        stream = stream_of(factory)
        await anext(stream)
        closing = asyncio.ensure_future(opened[0].aclose())
        await asyncio.sleep(0)
        await stream.aclose()
        assert log == []
        resumed.set()
        await closing

    _, complaints = run(main)
    assert log == ["closed"]
    assert complaints == []
