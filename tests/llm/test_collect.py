"""`collect` and `acollect`: the finished message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from failover_iter import Takeover
from failover_iter.llm import Chunk, Message, ToolCallDelta, Usage, acollect, collect

FIRST = Chunk(text="Hel", provider="a", model="1")
LAST = Chunk(
    finish_reason="stop", provider="b", model="2", usage=Usage(input_tokens=3, output_tokens=2)
)
USED = Chunk(usage=Usage(output_tokens=9), provider="a", model="1")
TOOL = Chunk(tool_call=ToolCallDelta(index=0, arguments="{"), provider="a", model="1")


def marker(mode: Any) -> Takeover:
    """Return the marker before the first chunk of a takeover."""
    return Takeover(mode, "b", OSError("reset"), 1)


async def _async(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


class _Bare:
    """An async iterable without `aclose`."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __aiter__(self) -> AsyncIterator[Any]:
        return _async(self._items)


def message_of(items: list[Any]) -> Message:
    """Collect the message from each kind of iterable, and check that all agree."""
    message = collect(items)
    assert collect(iter(items)) == message
    assert collect(item for item in items) == message
    assert asyncio.run(acollect(_async(items))) == message
    assert asyncio.run(acollect(_Bare(items))) == message
    return message


def test_restart() -> None:
    """A restart discards the message so far, but keeps the usage."""
    rest = Chunk(text="Hello", reasoning="hm", provider="b", model="2")
    message = message_of([FIRST, TOOL, USED, marker("restart"), rest, LAST])
    assert (message.text, message.reasoning, message.tool_calls) == ("Hello", "hm", ())
    assert [(each.provider, each.usage.output_tokens) for each in message.usage] == [
        ("a", 9),
        ("b", 2),
    ]
    assert (message.provider, message.model, message.finish_reason) == ("b", "2", "stop")


def test_resume() -> None:
    """A resumed message is in one piece; its provider is the one that finished it."""
    rest = Chunk(text="lo", provider="b", model="2")
    message = message_of([FIRST, marker("resume"), rest, LAST])
    assert (message.text, message.provider) == ("Hello", "b")


def test_unmarked_restart_of_an_adapter() -> None:
    """A chunk of another answer starts the message over, although the model is the same."""
    old = replace(TOOL, answer=1, text="Hel", source="east")
    new = replace(LAST, provider="a", model="1", answer=2, source="west")
    message = message_of([old, replace(USED, answer=1, source="east"), new])
    assert (message.text, message.tool_calls, message.source) == ("", (), "west")
    assert [each.source for each in message.usage] == ["east", "west"]


def test_unmarked_continuation_of_an_adapter() -> None:
    """A chunk of an answer that continues the one before goes on with the message."""
    parts = [replace(FIRST, answer=1), Chunk(text="lo", answer=2, continues=True)]
    assert message_of(parts).text == "Hello"
    more = Chunk(text="!", answer=2, continues=True)
    assert message_of([*parts, more]).text == "Hello!"


def test_unmarked_takeover_is_refused() -> None:
    """Nobody knows whether a source without an adapter continues the text."""
    with pytest.raises(
        ValueError, match=r"b \(2\) took over from a \(1\) without a Takeover marker"
    ):
        collect([FIRST, LAST])
    with pytest.raises(ValueError, match="mark_takeovers=True"):
        asyncio.run(acollect(_async([FIRST, LAST])))


def test_empty_stream() -> None:
    """A stream without chunks makes an empty message."""
    message = message_of([])
    assert (message.text, message.finish_reason, message.provider) == ("", None, "")


def test_other_items_are_refused() -> None:
    """A stream of other items is refused."""
    with pytest.raises(TypeError, match="yields Chunk and Takeover objects, got a str"):
        collect(["text"])  # type: ignore[list-item]


def test_invalid_arguments() -> None:
    """Arguments that are not JSON are kept as text; parsing them raises."""
    (call,) = collect([TOOL]).tool_calls
    assert call.text == "{"
    with pytest.raises(ValueError, match="of tool None are not valid JSON \\(length 1\\)"):
        _ = call.arguments


def test_it_closes_the_stream() -> None:
    """The stream is closed when `collect` returns or raises."""
    closed: list[str] = []

    def stream() -> Iterator[Any]:
        try:
            yield FIRST
            yield "text"
        finally:
            closed.append("sync")

    async def astream() -> AsyncIterator[Any]:
        try:
            yield FIRST
            yield "text"
        finally:
            closed.append("async")

    with pytest.raises(TypeError):
        collect(stream())
    with pytest.raises(TypeError):
        asyncio.run(acollect(astream()))
    assert closed == ["sync", "async"]
