"""`collect` and `acollect`: the finished message of a chat stream."""

from __future__ import annotations

import json
from collections.abc import AsyncIterable, Iterable, Mapping
from contextlib import aclosing, closing, nullcontext
from dataclasses import dataclass
from typing import Any

from failover_iter import Takeover
from failover_iter.llm._chunk import AttemptUsage, Chunk, FinishReason, ToolCallDelta, Usage

__all__ = ["Message", "ToolCall", "acollect", "collect"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCall:
    """A whole tool call.

    Example:
        >>> from failover_iter.llm import ToolCall
        >>> ToolCall(id=None, name="weather", text='{"city": "Ulm"}').arguments
        {'city': 'Ulm'}
    """

    id: str | None
    """The provider's id of the call, or `None` if it has none."""
    name: str | None
    """Name of the tool."""
    text: str
    """The arguments as the model wrote them: JSON, unless a token limit cut the answer off."""

    @property
    def arguments(self) -> Any:
        """The parsed arguments; an empty dict if there are none.

        Raises:
            ValueError: The arguments are not valid JSON.
        """
        try:
            return json.loads(self.text or "{}")
        except ValueError as error:
            raise ValueError(
                f"the arguments of tool {self.name!r} are not valid JSON (length {len(self.text)})"
            ) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A finished answer, as returned by `collect` and `acollect`.

    Example:
        >>> from failover_iter.llm import Chunk, collect
        >>> message = collect([Chunk(text="Hel"), Chunk(text="lo"), Chunk(finish_reason="stop")])
        >>> message.text, message.finish_reason
        ('Hello', 'stop')
    """

    text: str
    """The whole text."""
    reasoning: str
    """All reasoning that the model revealed."""
    tool_calls: tuple[ToolCall, ...]
    """The tool calls, in order."""
    others: tuple[Chunk, ...] = ()
    """The chunks with other content (images, audio, citations), which is in their `raw`."""
    opaque: tuple[Mapping[str, Any], ...] = ()
    """Parts that the next request must send back unchanged, with the provider's name."""
    finish_reason: FinishReason | None
    """Why the answer ended; `None` if the last chunk had no finish reason, or none arrived."""
    usage: tuple[AttemptUsage, ...]
    """The usage of each attempt that reported it, in order, also of those that failed; never
    estimated. `total_usage` adds it up."""
    provider: str
    """Name of the provider that finished the answer."""
    model: str
    """Name of the model that finished the answer."""
    source: str = ""
    """Name of the source that finished the answer."""

    def parse(self, model: Any = None) -> Any:
        """Return the text as what it says: JSON, or an object of a pydantic model.

        Args:
            model: A pydantic model; None returns what `json.loads` does.

        Raises:
            ValueError: The text is not valid.

        Example:
            >>> from failover_iter.llm import Chunk, collect
            >>> collect([Chunk(text='{"city": "Ulm"}')]).parse()
            {'city': 'Ulm'}
        """
        return json.loads(self.text) if model is None else model.model_validate_json(self.text)

    def as_turns(self) -> list[dict[str, Any]]:
        """Return the message as turns to append to the conversation.

        They are in the form that every adapter understands, that of OpenAI's chat completions.
        Signatures and encrypted reasoning are kept for the provider that they came from; the
        adapters of the other providers drop them.

        Example:
            >>> from failover_iter.llm import Chunk, collect
            >>> collect([Chunk(text="Hello"), Chunk(finish_reason="stop")]).as_turns()
            [{'role': 'assistant', 'content': 'Hello'}]
        """
        turn: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        if self.tool_calls:
            turn["tool_calls"] = [
                {
                    "id": call.id or f"call_{place}",
                    "type": "function",
                    "function": {"name": call.name, "arguments": call.text or "{}"},
                }
                for place, call in enumerate(self.tool_calls)
            ]
        if self.opaque:
            turn["opaque"] = list(self.opaque)
        return [turn]

    @property
    def total_usage(self) -> Usage:
        """The usage of all attempts, added up."""
        return sum((attempt.usage for attempt in self.usage), Usage())


class _Collector:
    def __init__(self) -> None:
        self.usage: list[AttemptUsage] = []
        self.marked = True
        self.restart()

    def restart(self) -> None:
        self.text: list[str] = []
        self.reasoning: list[str] = []
        self.calls: dict[int, list[ToolCallDelta]] = {}
        self.others: list[Chunk] = []
        self.opaque: list[Mapping[str, Any]] = []
        self.last: Chunk | None = None

    def add(self, item: object) -> None:
        if isinstance(item, Takeover):
            if item.mode == "restart":
                self.restart()
            self.marked = True
        elif isinstance(item, Chunk):
            self._add(item)
            self.marked = False
        else:
            raise TypeError(
                f"a chat stream yields Chunk and Takeover objects, got a {type(item).__name__}"
            )

    def _add(self, chunk: Chunk) -> None:
        if self.last and not self.marked and starts_over(self.last, chunk):
            self.restart()
        self.last = chunk
        self.text.append(chunk.text)
        self.reasoning.append(chunk.reasoning)
        if chunk.tool_call:
            self.calls.setdefault(chunk.tool_call.index, []).append(chunk.tool_call)
        if chunk.opaque is not None:
            self.opaque.append({"provider": chunk.provider, "part": chunk.opaque})
        if chunk.other:
            self.others.append(chunk)
        self.usage += chunk.earlier_usage
        if chunk.usage:
            self.usage.append(
                AttemptUsage(
                    provider=chunk.provider,
                    model=chunk.model,
                    source=chunk.source,
                    usage=chunk.usage,
                )
            )

    def message(self) -> Message:
        last = self.last or Chunk()
        return Message(
            text="".join(self.text),
            reasoning="".join(self.reasoning),
            tool_calls=tuple(_join_pieces(pieces) for _, pieces in sorted(self.calls.items())),
            others=tuple(self.others),
            opaque=tuple(self.opaque),
            finish_reason=last.finish_reason,
            usage=tuple(self.usage),
            provider=last.provider,
            model=last.model,
            source=last.source,
        )


def starts_over(last: Chunk, chunk: Chunk) -> bool:
    """Whether the chunk begins a new answer, without a marker; raise if that is unknown."""
    if last.answer and chunk.answer:
        return last.answer != chunk.answer and not chunk.continues
    if _label(last) != _label(chunk):
        raise ValueError(
            f"{_label(chunk)} took over from {_label(last)} without a Takeover marker: to read a "
            "stream whose chunks come from no adapter, make it with mark_takeovers=True"
        )
    return False


def _label(chunk: Chunk) -> str:
    return f"{chunk.provider} ({chunk.model})"


def _join_pieces(pieces: list[ToolCallDelta]) -> ToolCall:
    return ToolCall(
        id=next((piece.id for piece in pieces if piece.id), None),
        name=next((piece.name for piece in pieces if piece.name), None),
        text="".join(piece.arguments for piece in pieces),
    )


def collect(stream: Iterable[Chunk | Takeover]) -> Message:
    """Read a chat stream to its end, close it, and return the finished message.

    Where another attempt took over, its answer replaces the message so far, or continues it. The
    chunks of the adapters say which (`Chunk.answer`, `Chunk.continues`). For chunks that you make
    yourself, the `Takeover` markers do: pass `mark_takeovers=True` to `chat_stream` if another
    provider may take over mid-stream.

    Args:
        stream: A stream made by `chat_stream`.

    Raises:
        ValueError: A source other than an adapter took over without a `Takeover` marker.
        TypeError: The stream yields something other than chunks and `Takeover` markers.

    An error that the stream raises is raised unchanged.

    Example:
        >>> from failover_iter.llm import Chunk, ToolCallDelta, collect
        >>> call = ToolCallDelta(index=0, name="weather", arguments='{"city": "Ulm"}')
        >>> message = collect([Chunk(tool_call=call), Chunk(finish_reason="tool_calls")])
        >>> message.tool_calls[0].arguments, message.finish_reason
        ({'city': 'Ulm'}, 'tool_calls')
    """
    collector = _Collector()
    closable: Any = stream
    with closing(closable) if hasattr(closable, "close") else nullcontext():
        for item in stream:
            collector.add(item)
    return collector.message()


async def acollect(stream: AsyncIterable[Chunk | Takeover]) -> Message:
    """Read an async chat stream to its end, close it, and return the finished message.

    This is the async version of `collect`.

    Args:
        stream: A stream made by `achat_stream`.

    Raises:
        ValueError: A source other than an adapter took over without a `Takeover` marker.
        TypeError: The stream yields something other than chunks and `Takeover` markers.

    An error that the stream raises is raised unchanged.

    Example:
        >>> import asyncio
        >>> from failover_iter.llm import Chunk, acollect, achat_stream
        >>> async def answer():
        ...     yield Chunk(text="Hello", provider="mine")
        ...     yield Chunk(finish_reason="stop", provider="mine")
        >>> asyncio.run(acollect(achat_stream([answer]))).text
        'Hello'
    """
    collector = _Collector()
    closable: Any = stream
    async with aclosing(closable) if hasattr(closable, "aclose") else nullcontext():
        async for item in stream:
            collector.add(item)
    return collector.message()
