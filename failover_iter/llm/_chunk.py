"""The items of a chat stream: `Chunk` and its parts, the same for every provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Chunk", "FinishReason", "ToolCallDelta", "Usage", "has_content"]

#: Why an answer ended, in the same words for every provider. `Chunk.raw_finish_reason` keeps the
#: provider's own word.
#:
#: - "stop": the model was done, or reached a stop sequence.
#: - "length": the answer reached a token limit.
#: - "tool_calls": the model wants tools to be called.
#: - "content_filter": a filter cut the answer off, or the model refused.
#: - "pause": the provider paused a long turn; send the answer back to let it continue.
#: - "other": a reason that this version does not know.
FinishReason: TypeAlias = Literal[
    "stop", "length", "tool_calls", "content_filter", "pause", "other"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Token counts as reported by the provider; `None` for a count that it did not report.

    Example:
        >>> from failover_iter.llm import Usage
        >>> usage = Usage(output_tokens=12)
        >>> usage.input_tokens, usage.output_tokens
        (None, 12)
    """

    input_tokens: int | None = None
    """Number of tokens in the conversation."""
    output_tokens: int | None = None
    """Number of tokens in the answer."""
    raw: Any = None
    """The provider's own usage record, which may hold more than these two counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of a tool call.

    Example:
        >>> from failover_iter.llm import ToolCallDelta
        >>> first = ToolCallDelta(index=0, id="call_1", name="weather", arguments='{"city": ')
        >>> second = ToolCallDelta(index=0, arguments='"Ulm"}')
        >>> first.arguments + second.arguments
        '{"city": "Ulm"}'
    """

    index: int
    """Number of the tool call within the answer, from 0."""
    id: str | None = None
    """The provider's id of the call; set on its first piece."""
    name: str | None = None
    """Name of the tool; set on the first piece."""
    arguments: str = ""
    """A piece of the arguments. All pieces joined are a JSON document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of an answer.

    A provider's pings and bookkeeping events are not delivered as chunks, so every chunk is
    progress. The last chunk of an answer has a `finish_reason` and no text. It is delivered after
    the provider has ended the stream without an error, so an answer that has one is complete.
    `answer` changes where another attempt takes over: what was delivered before is then void,
    unless `continues` is true.

    Example:
        >>> from failover_iter.llm import Chunk
        >>> chunk = Chunk(text="Hello", provider="openai", model="gpt")
        >>> print(chunk.text, chunk.finish_reason)
        Hello None
    """

    text: str = ""
    """A piece of the answer."""
    reasoning: str = ""
    """A piece of the reasoning that the model reveals."""
    tool_call: ToolCallDelta | None = None
    """A piece of a tool call."""
    other: str = ""
    """Kind of content that is none of the above, in the provider's word: an image, audio, a
    citation ("citation"), a tool that the provider runs. The content itself is in `raw`."""
    opaque: Mapping[str, Any] | None = None
    """What this provider's next request needs back unchanged: a signature, encrypted reasoning."""
    finish_reason: FinishReason | None = None
    """Why the answer ended; set on the last chunk."""
    raw_finish_reason: str | None = None
    """The provider's own word for the finish reason."""
    usage: Usage | None = None
    """Token counts; set on the last chunk if the provider reports them."""
    structured: bool = False
    """Whether the text is part of structured output: the request asked for a format (JSON)."""
    provider: str = ""
    """Name of the provider's protocol: "openai", "anthropic", ..."""
    model: str = ""
    """Name of the model that was asked."""
    source: str = ""
    """Name of the source, which tells two deployments of one model apart."""
    answer: int = 0
    """Number of the answer that the chunk belongs to, unique within the process; each attempt makes
    a new answer. 0 in chunks that come from no adapter."""
    continues: bool = False
    """Whether this answer continues the one delivered before it. If it does not, it starts over."""
    raw: Any = None
    """The SDK object that the chunk was made from."""


def has_content(chunk: Chunk) -> bool:
    """Whether a chunk holds content: text, reasoning, a piece of a tool call, or anything else.

    This is the default of `commit_when` in `chat_stream`: a source commits with its first content.
    A finish reason and a signature are not content.

    Args:
        chunk: A chunk of a chat stream.

    Example:
        >>> from failover_iter.llm import Chunk, has_content
        >>> has_content(Chunk(text="Hello")), has_content(Chunk(finish_reason="stop"))
        (True, False)
    """
    return bool(chunk.text or chunk.reasoning or chunk.tool_call or chunk.other)
