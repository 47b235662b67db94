"""`collect` and `acollect`: the finished message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
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
    """What stands before the first chunk of a takeover."""
    return Takeover(mode, "b", OSError("reset"), 1)


async def _async(items: list[Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item


class _Bare:
    """An async iterable that has no aclose."""

    def __init__(self, items: list[Any]) -> None:
        self._items = items

    def __aiter__(self) -> AsyncIterator[Any]:
        return _async(self._items)


def both(items: list[Any]) -> Message:
    """The message, collected in each way, which must be the same."""
    message = collect(items)
    assert collect(iter(items)) == message
    assert collect(item for item in items) == message
    assert asyncio.run(acollect(_async(items))) == message
    assert asyncio.run(acollect(_Bare(items))) == message
    return message


def test_a_restart_starts_afresh() -> None:
    """What was said before it is forgotten; what was used is not."""
    rest = Chunk(text="Hello", reasoning="hm", provider="b", model="2")
    message = both([FIRST, TOOL, USED, marker("restart"), rest, LAST])
    assert (message.text, message.reasoning, message.tool_calls) == ("Hello", "hm", ())
    assert [(used.provider, used.usage.output_tokens) for used in message.usage] == [
        ("a", 9),
        ("b", 2),
    ]
    assert (message.provider, message.model, message.finish_reason) == ("b", "2", "stop")


def test_a_resume_goes_on() -> None:
    """The message is one, and is served by whoever ended it."""
    rest = Chunk(text="lo", provider="b", model="2")
    message = both([FIRST, marker("resume"), rest, LAST])
    assert (message.text, message.provider) == ("Hello", "b")


def test_an_unmarked_takeover_is_refused() -> None:
    """Another provider without a marker: nobody can tell whether the text goes on."""
    with pytest.raises(
        ValueError, match=r"b \(2\) took over from a \(1\) without a Takeover marker"
    ):
        collect([FIRST, LAST])
    with pytest.raises(ValueError, match="mark_takeovers=True"):
        asyncio.run(acollect(_async([FIRST, LAST])))


def test_nothing() -> None:
    """A stream without a chunk gives an empty message."""
    message = both([])
    assert (message.text, message.finish_reason, message.provider) == ("", None, "")


def test_something_else_is_refused() -> None:
    """A stream of other items is no chat stream."""
    with pytest.raises(TypeError, match="yields Chunk and Takeover objects, got 'text'"):
        collect(["text"])  # type: ignore[list-item]


def test_arguments_that_are_no_json() -> None:
    """They are kept as they came; to parse them says what is wrong."""
    (call,) = collect([TOOL]).tool_calls
    assert call.text == "{"
    with pytest.raises(ValueError, match="arguments of tool None are not valid JSON: '{'"):
        _ = call.arguments


def test_it_closes_the_stream() -> None:
    """Whatever happens, the stream is closed when it returns."""
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
