"""Limits of time in async streams: the same tests under asyncio and under trio."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import pytest
import trio

from failover_iter import Event, Failed, SourceTimeout, StreamTimeout, Switched
from support.loops import FOREVER, LOOPS, drained, fallback, stream_of

loops = pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.name)
variable: ContextVar[str] = ContextVar("variable", default="unset")


@loops
def test_the_source_is_pulled_in_the_task_of_the_consumer(loop: Any) -> None:
    """Under a limit too: same task, same context, a token resets where it was made."""

    async def source() -> AsyncIterator[Any]:
        token = variable.set("in the source")
        yield loop.task()
        await loop.sleep(1)
        yield variable.get()
        variable.reset(token)

    async def main() -> None:
        task, seen = await drained(stream_of(source, idle_timeout=5, total_timeout=60))
        assert (task, seen) == (loop.task(), "in the source")
        assert variable.get() == "unset"

    loop.run(main)


@loops
def test_the_sources_own_limit_works_across_pulls(loop: Any) -> None:
    """A source may limit its own waits inside those of the stream: the tighter one ends them."""

    async def source() -> AsyncIterator[str]:
        yield "one"
        async with loop.fail_after(1):
            await loop.sleep(FOREVER)

    async def main() -> None:
        stream = stream_of(source, fallback, idle_timeout=5, retry_on=loop.too_slow)
        assert await drained(stream) == ["one", "fallback"]

    loop.run(main)


@loops
def test_the_consumers_own_limit_is_never_taken_for_ours(loop: Any) -> None:
    """It ends the consumer, no other source is opened, and the source is closed."""
    log: list[str] = []

    async def source() -> AsyncIterator[str]:
        try:
            await loop.sleep(FOREVER)
            yield "never"
        finally:
            log.append("closed")

    async def second() -> AsyncIterator[str]:
        log.append("opened")
        yield "never"

    async def main() -> None:
        with pytest.raises(loop.too_slow):
            async with loop.fail_after(1):
                await drained(stream_of(source, second, idle_timeout=5, retry_on=Exception))

    loop.run(main)
    assert log == ["closed"]


@loops
@pytest.mark.parametrize("when", [0.5, 1.0])
def test_a_cancellation_of_the_consumer_goes_first(loop: Any, when: float) -> None:
    """Before our limit, and at the very same moment: no other source is opened."""
    opened: list[str] = []

    async def first() -> AsyncIterator[str]:
        opened.append("first")
        await loop.sleep(FOREVER)
        yield "never"

    async def second() -> AsyncIterator[str]:
        opened.append("second")
        yield "never"

    async def main() -> None:
        stream = stream_of(first, second, idle_timeout=1.0, retry_on=Exception)
        await loop.cancel_at(when, lambda: drained(stream))

    loop.run(main)
    assert opened == ["first"]


def late_answers(loop: Any) -> dict[str, Any]:
    """How a source may answer a cancellation."""

    async def swallows() -> AsyncIterator[Any]:
        yield 1
        try:
            await loop.sleep(FOREVER)
        except loop.cancelled:
            yield "late"

    async def ends() -> AsyncIterator[Any]:
        yield 1
        try:
            await loop.sleep(FOREVER)
        except loop.cancelled:
            return

    async def raises() -> AsyncIterator[Any]:
        yield 1
        try:
            await loop.sleep(FOREVER)
        except loop.cancelled:
            raise LookupError("instead") from None

    async def raises_in_finally() -> AsyncIterator[Any]:
        yield 1
        try:
            await loop.sleep(FOREVER)
        finally:
            raise LookupError("instead")

    return {
        "swallows": swallows,
        "ends": ends,
        "raises": raises,
        "raises in finally": raises_in_finally,
    }


@loops
@pytest.mark.parametrize("answer", late_answers(None))
def test_what_comes_after_the_limit_is_late(loop: Any, answer: str) -> None:
    """Whatever the source makes of it, it was timed out: the item is dropped, the error a cause."""
    events: list[Event] = []

    async def main() -> None:
        source = late_answers(loop)[answer]
        stream = stream_of(source, fallback, idle_timeout=1, on_event=events.append)
        assert await drained(stream) == [1, "fallback"]

    loop.run(main)
    error = next(event.error for event in events if isinstance(event, Failed))
    assert type(error) is SourceTimeout
    assert type(error.__cause__) is (LookupError if "raises" in answer else type(None))


@loops
def test_an_interrupt_is_no_answer(loop: Any) -> None:
    """A BaseException passes, even after the limit."""

    async def source() -> AsyncIterator[Any]:
        try:
            await loop.sleep(FOREVER)
        except loop.cancelled:
            raise KeyboardInterrupt from None
        yield "never"

    async def main() -> None:
        with pytest.raises(KeyboardInterrupt):
            await drained(stream_of(source, fallback, idle_timeout=1))

    loop.run(main)


@loops
def test_the_consumers_time_is_no_fault_of_the_source(loop: Any) -> None:
    """A consumer that takes an hour for each item times nothing out."""

    async def source() -> AsyncIterator[int]:
        for number in range(3):
            await loop.sleep(0.5)
            yield number

    async def main() -> list[int]:
        items = []
        async with aclosing(stream_of(source, idle_timeout=1, first_item_timeout=1)) as stream:
            async for item in stream:
                items.append(item)
                await loop.sleep(3600)
        return items

    assert loop.run(main) == [0, 1, 2]


@loops
def test_a_source_that_only_gives_way_is_timed(loop: Any) -> None:
    """sleep(0) leaves nothing that a timer could cancel; the clock is looked at all the same."""

    async def busy() -> AsyncIterator[str]:
        yield "one"
        start = loop.time()
        while True:
            if loop.name == "asyncio":
                asyncio.get_running_loop().clock.now += 0.25  # type: ignore[attr-defined]  # ours
                await asyncio.sleep(0)
            else:
                await trio.sleep(0.25)
            assert loop.time() - start < 60, "nobody stopped it"

    async def main() -> None:
        assert await drained(stream_of(busy, fallback, idle_timeout=1)) == ["one", "fallback"]

    loop.run(main)


@loops
def test_an_item_in_many_steps_has_one_limit(loop: Any) -> None:
    """The limit is for the item, however often the source suspends for it."""

    async def source() -> AsyncIterator[str]:
        yield "one"
        for _ in range(4):
            await loop.sleep(0.4)
            await loop.sleep(0)
        yield "never"

    async def main() -> None:
        assert await drained(stream_of(source, fallback, idle_timeout=1)) == ["one", "fallback"]

    loop.run(main)


@loops
def test_send_is_a_pull_and_throw_is_not(loop: Any) -> None:
    """The answer to a send has a time limit, as an item; the answer to a throw has none."""

    async def source() -> AsyncIterator[Any]:
        yield "one"
        try:
            yield "two"
        except LookupError:
            await loop.sleep(60)
            assert (yield "three") is None
            sent = yield "four"
            await loop.sleep(60)
            yield sent

    async def main() -> None:
        stream = stream_of(source, fallback, idle_timeout=1)
        assert [await anext(stream), await anext(stream)] == ["one", "two"]
        assert await stream.athrow(LookupError()) == "three"
        assert await anext(stream) == "four"
        assert await stream.asend("five") == "fallback"
        await stream.aclose()

    loop.run(main)


@loops
def test_closing_is_not_timed(loop: Any) -> None:
    """A source may take its time to close, after a failure and after being timed out."""

    async def slow_to_close(stalls: bool) -> AsyncIterator[str]:
        try:
            if stalls:
                await loop.sleep(FOREVER)
            raise ConnectionError
            yield "never"
        finally:
            if loop.name == "asyncio":
                await asyncio.sleep(60)
            else:
                with trio.CancelScope(shield=True):
                    await trio.sleep(60)

    async def main() -> None:
        for stalls in (False, True):
            stream = stream_of(
                lambda stalls=stalls: slow_to_close(stalls), fallback, idle_timeout=1
            )
            assert await drained(stream) == ["fallback"]

    loop.run(main)


@loops
def test_the_time_of_the_stream_ends_a_pause(loop: Any) -> None:
    """A pause that would go on past it is cut, and nothing is opened then."""

    async def down() -> AsyncIterator[Any]:
        raise ConnectionError("refused")
        yield

    async def main() -> float:
        start = loop.time()
        with pytest.raises(StreamTimeout) as caught:
            await drained(stream_of(down, attempts=9, wait=60, total_timeout=5))
        assert len(caught.value.__notes__) == 1
        return loop.time() - start  # type: ignore[no-any-return]  # a float

    assert loop.run(main) == pytest.approx(5)


@loops
def test_an_iterator_of_awaitables(loop: Any) -> None:
    """`__anext__` may give anything that can be awaited, not only coroutines."""

    class Awaitable:
        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

        def __await__(self) -> Any:
            yield from loop.sleep(self.seconds).__await__()
            return self.seconds

    class Source:
        def __init__(self) -> None:
            self.pulls = iter([0.5, 0.6, 60])

        def __aiter__(self) -> Source:
            return self

        def __anext__(self) -> Any:
            return Awaitable(next(self.pulls))

    async def main() -> None:
        assert await drained(stream_of(Source, fallback, idle_timeout=1)) == [0.5, 0.6, "fallback"]

    loop.run(main)


@loops
def test_an_awaited_factory_is_timed(loop: Any) -> None:
    """The time until the first item includes what the factory takes."""

    async def opens_slowly() -> AsyncIterator[str]:
        await loop.sleep(60)
        return fallback()

    async def main() -> None:
        events: list[Event] = []
        stream = stream_of(opens_slowly, fallback, first_item_timeout=1, on_event=events.append)
        assert await drained(stream) == ["fallback"]
        switched = next(event for event in events if isinstance(event, Switched))
        assert switched.elapsed == pytest.approx(1)

    loop.run(main)


@loops
def test_nothing_is_left_behind(loop: Any) -> None:
    """No cycle keeps a stream that was timed out, nor its source, alive."""

    async def source() -> AsyncIterator[Any]:
        yield 1
        await loop.sleep(FOREVER)

    async def main() -> None:
        await drained(stream_of(source, fallback, idle_timeout=1))
        while gc.collect():  # of what other tests have left
            pass
        gc.disable()
        try:
            for _ in range(3):
                await drained(stream_of(source, fallback, idle_timeout=1))
            assert gc.collect() == 0
        finally:
            gc.enable()

    loop.run(main)


def test_a_limit_needs_a_library() -> None:
    """A stream that is stepped by hand cannot be timed, and says so."""

    async def main() -> list[Any]:
        return await drained(stream_of(fallback, idle_timeout=1))

    with pytest.raises(RuntimeError, match="needs asyncio or trio: neither runs this stream"):
        main().send(None)
