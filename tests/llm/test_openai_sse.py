"""`openai_sse`: its events, and when it closes the stream, without a server."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest

from failover_iter import AllSourcesFailed, Takeover
from failover_iter.llm import (
    AttemptUsage,
    Chunk,
    ProviderError,
    ToolCallDelta,
    Usage,
    achat_stream,
    openai_sse,
)

A: Any = {"provider": "p", "model": "a"}
B: Any = {"provider": "p", "model": "b"}
HEL = Chunk(text="Hel", answer=1, **A)
STOP = Chunk(finish_reason="stop", answer=1, **A)
STOP_2 = Chunk(finish_reason="stop", answer=2, continues=True, **B)
RESUMED = Takeover("resume", "b", ConnectionError(), 1)
RESTARTED = Takeover("restart", "b", ConnectionError(), 1)


def sent(body: bytes) -> Any:
    """Return what an event says."""
    text = body.decode()
    assert text.endswith("\n\n")
    return json.loads(text.removeprefix("data: ")) if text != "data: [DONE]\n\n" else "done"


class Source:
    """A stream of items, blocking and async, that knows whether it was closed."""

    def __init__(self, *items: Any, hangs: bool = False) -> None:
        self.items = items
        self.hangs = hangs
        self.pulled = 0
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        for item in self.items:
            self.pulled += 1
            if isinstance(item, Exception):
                raise item
            yield item

    async def __aiter__(self) -> AsyncIterator[Any]:
        for item in self:
            yield item
        if self.hangs:
            await asyncio.Event().wait()

    def close(self) -> None:
        """Close it."""
        self.closed += 1

    async def aclose(self) -> None:
        """Close it."""
        self.closed += 1


class Blocking:
    """A source that is only blocking."""

    def __init__(self, source: Source) -> None:
        self.close = source.close
        self.source = source

    def __iter__(self) -> Iterator[Any]:
        return iter(self.source)


def read(flavour: str, *items: Any, **options: Any) -> list[Any]:
    """Return the events of these items."""
    source = Source(*items)
    if flavour == "sync":
        events = [sent(each) for each in openai_sse(Blocking(source), **options).body]
    else:

        async def main() -> list[Any]:
            response = await openai_sse(source, **options)
            return [sent(each) async for each in response.body]

        events = asyncio.run(main())
    assert source.closed == 1
    return events


BOTH = pytest.mark.parametrize("flavour", ["sync", "async"])


@BOTH
@pytest.mark.parametrize(
    "items",
    [
        [HEL, Chunk(text="lo", answer=2, continues=True, **B), STOP_2],
        [HEL, RESUMED, Chunk(text="lo", answer=2, **B), STOP_2],
        # Nothing was shown of the first answer.
        [Chunk(answer=1, **A), HEL, Chunk(text="lo", answer=1, **A), STOP],
        [Chunk(**A), RESTARTED, HEL, Chunk(text="lo", answer=1, **A), STOP],
    ],
)
def test_an_answer_may_be_continued(flavour: str, items: list[Any]) -> None:
    """The rest follows, and one end."""
    *events, last = read(flavour, *items, model="mine")
    choices = [each["choices"][0] for each in events]
    assert "".join(each["delta"].get("content", "") for each in choices) == "Hello"
    assert [each["finish_reason"] for each in choices][-1] == "stop"
    assert {each["model"] for each in events} == {"mine"}
    assert last == "done"


@BOTH
@pytest.mark.parametrize(
    "items", [[HEL, Chunk(text="Hello", answer=2, **A)], [HEL, RESTARTED, Chunk(text="Hello", **B)]]
)
def test_an_answer_that_starts_over_is_an_error(flavour: str, items: list[Any]) -> None:
    """Two answers are never joined: an error event is the last one."""
    first, last = read(flavour, *items)
    assert first["choices"][0]["delta"]["content"] == "Hel"
    assert last["error"]["code"] == "server_error"


@BOTH
def test_what_openai_has_no_word_for(flavour: str) -> None:
    """An unknown end is a stop, with the provider's word; a call without an id gets one."""
    call = ToolCallDelta(index=0, name="f", arguments="{}")
    end = Chunk(finish_reason="pause", raw_finish_reason="pause_turn", **A)
    started, ended, _ = read(flavour, Chunk(tool_call=call, **A), Chunk(other="image", **A), end)
    (made,) = started["choices"][0]["delta"]["tool_calls"]
    assert (made["id"], made["function"]) == ("call_0", {"arguments": "{}", "name": "f"})
    choice = ended["choices"][0]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "pause_turn")


@BOTH
def test_usage_of_all_attempts(flavour: str) -> None:
    """It is the sum. Without a count, or a request for it, the event is left out."""
    earlier = (AttemptUsage(provider="p", model="b", usage=Usage(input_tokens=7)),)
    end = Chunk(finish_reason="stop", usage=Usage(output_tokens=2), earlier_usage=earlier, **A)
    *_, usage, _ = read(flavour, HEL, end, include_usage=True)
    counts = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert (usage["choices"], usage["usage"]) == ([], counts)
    assert len(read(flavour, HEL, end)) == 3
    assert len(read(flavour, HEL, STOP, include_usage=True)) == 3


@BOTH
def test_nothing_at_all(flavour: str) -> None:
    """An empty stream has an end."""
    assert read(flavour) == ["done"]


@BOTH
def test_the_last_error_of_a_group(flavour: str) -> None:
    """With `on_exhausted="group"` the last error decides."""
    errors = [KeyError("a"), ProviderError("busy", code="rate_limit_exceeded")]
    group = AllSourcesFailed("all failed", errors)
    source = Source(group)
    if flavour == "sync":
        assert openai_sse(Blocking(source)).status == 429
        return

    async def main() -> None:
        response = await openai_sse(source)
        assert response.status == 429
        (event,) = [each async for each in response.body]
        assert json.loads(event)["error"]["code"] == "rate_limit_exceeded"

    asyncio.run(main())


def test_a_bug_is_raised_after_its_event() -> None:
    """An unknown error is raised: before the first chunk, and after an event."""
    bug = KeyError("bug")
    with pytest.raises(KeyError):
        openai_sse(Blocking(Source(bug)))
    body = openai_sse(Blocking(Source(HEL, bug))).body
    assert "error" in [sent(next(body)), sent(next(body))][1]
    with pytest.raises(KeyError):
        next(body)

    async def main() -> None:
        with pytest.raises(KeyError):
            await openai_sse(Source(bug))
        body = (await openai_sse(Source(HEL, bug))).body
        assert "error" in [sent(await anext(body)), sent(await anext(body))][1]
        with pytest.raises(KeyError) as raised:
            await anext(body)
        assert raised.value is bug
        with pytest.raises(StopAsyncIteration):
            await anext(body)

    asyncio.run(main())


def test_nothing_is_read_in_advance() -> None:
    """The stream is pulled once for each event that is asked for."""
    source = Source(HEL, HEL, HEL)

    async def main() -> None:
        body = (await openai_sse(source)).body
        await asyncio.sleep(0.01)
        assert source.pulled == 1
        await anext(body)
        await anext(body)
        await asyncio.sleep(0.01)
        assert source.pulled == 2
        await body.aclose()  # type: ignore[attr-defined]
        assert source.closed == 1
        with pytest.raises(StopAsyncIteration):
            await anext(body)
        await body.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())
    assert source.closed == 1


def test_closing_a_blocking_body_closes_the_stream() -> None:
    """So does forgetting it."""
    for leave in (lambda body: body.close(), lambda body: None):
        source = Source(HEL, HEL)
        body = openai_sse(Blocking(source)).body
        next(body)
        leave(body)
        del body
        assert source.closed == 1


def test_the_stream_is_closed_with_the_task_that_reads() -> None:
    """A response that nobody reads on is closed, without garbage collection."""

    async def main() -> None:
        source = Source(HEL, hangs=True)
        body = (await openai_sse(source, keep_alive=timedelta(seconds=0.01))).body

        async def handle() -> list[bytes]:
            return [await anext(body) for _ in range(3)]

        _, *comments = await asyncio.ensure_future(handle())
        assert comments == [b": keep-alive\n\n"] * 2
        for _ in range(5):
            await asyncio.sleep(0)
        assert source.closed == 1
        with pytest.raises(RuntimeError, match="read the body in one task"):
            while True:
                await anext(body)

    gc.disable()
    try:
        asyncio.run(main())
    finally:
        gc.enable()


def test_another_task_may_go_on_reading() -> None:
    """The end of a task that read before does not close the stream."""

    async def main() -> None:
        source = Source(HEL, STOP)
        body = (await openai_sse(source)).body
        goes_on = asyncio.Event()

        async def first() -> None:
            await anext(body)
            await goes_on.wait()

        task = asyncio.ensure_future(first())
        await asyncio.sleep(0)
        second = await anext(body)
        goes_on.set()
        await task
        await asyncio.sleep(0)
        assert [sent(each) for each in [second, await anext(body)]][1] == "done"

    asyncio.run(main())


def test_a_body_that_is_never_read() -> None:
    """It closes the stream when it is forgotten, also after the loop has ended."""

    async def main() -> Source:
        source = Source(HEL)
        await openai_sse(source)
        for _ in range(5):
            await asyncio.sleep(0)
        assert source.closed == 1
        return source

    async def leave() -> Any:
        return (await openai_sse(Source(HEL))).body

    asyncio.run(main())
    body = asyncio.run(leave())
    del body


def test_a_request_that_is_cancelled_before_the_first_chunk() -> None:
    """The stream is closed before the cancellation goes on."""
    source = Source(hangs=True)

    async def main() -> None:
        task = asyncio.ensure_future(openai_sse(source))  # type: ignore[arg-type]
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert source.closed == 1

    asyncio.run(main())


def test_an_error_of_closing_is_raised() -> None:
    """Closing the body raises what closing the stream raises."""

    class Rude(Source):
        async def aclose(self) -> None:
            raise OSError("rude")

    async def main() -> None:
        body: Any = (await openai_sse(Rude(HEL, HEL))).body
        await anext(body)
        task = body._task
        await body.aclose()
        assert task.cancelled()  # the error of closing is in the notes

        class Late(Source):
            async def __aiter__(self) -> AsyncIterator[Any]:
                yield HEL
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    raise OSError("late") from None

        body = (await openai_sse(Late(), keep_alive=0.001)).body
        await anext(body)
        await anext(body)
        with pytest.raises(OSError, match="late"):
            await body.aclose()

    asyncio.run(main())


def test_it_reads_a_chat_stream() -> None:
    """The result of `achat_stream` is one of its inputs."""

    async def answer() -> AsyncIterator[Chunk]:
        yield HEL
        yield STOP

    async def main() -> int:
        response = await openai_sse(achat_stream([answer]), keep_alive=None)
        return len([event async for event in response.body])

    assert asyncio.run(main()) == 3


@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-1, ValueError), (float("inf"), ValueError), ("1", TypeError)],
)
def test_keep_alive_is_checked(value: Any, error: type[Exception]) -> None:
    """It is a positive duration or None; a bool is not."""
    with pytest.raises(error, match="keep_alive must be"):
        openai_sse(Source(), keep_alive=value)
    with pytest.raises(TypeError, match="keep_alive must be"):
        openai_sse(Source(), keep_alive=True)
