"""What a chat stream delivers: `Chunk` and its parts, the same for each provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["Chunk", "FinishReason", "ToolCallDelta", "Usage", "has_content"]

#: Why an answer ended, in one set of words; what the provider said itself is kept beside it.
#:
#: - "stop": the model was done, or came to a stop sequence.
#: - "length": a limit on tokens was reached.
#: - "tool_calls": it wants tools to be called.
#: - "content_filter": it was cut by a filter, or the model refused.
#: - "pause": the provider paused a long turn; send it back to have it go on.
#: - "other": a reason that this version does not know.
FinishReason: TypeAlias = Literal[
    "stop", "length", "tool_calls", "content_filter", "pause", "other"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """Tokens, as the provider counted them; what it did not say is `None`."""

    input_tokens: int | None = None
    """Tokens of the conversation."""
    output_tokens: int | None = None
    """Tokens of the answer."""
    raw: Any = None
    """The provider's own record, with all that it says beyond these two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallDelta:
    """A piece of a tool call."""

    index: int
    """Which call of this answer it belongs to, from 0."""
    id: str | None = None
    """The provider's id of the call; with its first piece."""
    name: str | None = None
    """Name of the tool; with its first piece."""
    arguments: str = ""
    """A piece of the arguments, which are JSON once all pieces are put together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of an answer. Pings and bookkeeping are none, so each one is progress.

    The last one of an answer has a `finish_reason`, and no text: it is delivered once the provider
    has ended the stream without an error, so an answer that has one is complete.

    Example:
        >>> from failover_iter.llm import Chunk
        >>> chunk = Chunk(text="Hello", provider="openai", model="gpt")
        >>> print(chunk.text, chunk.finish_reason)
        Hello None
    """

    text: str = ""
    """A piece of the answer."""
    reasoning: str = ""
    """A piece of the reasoning that the model shows."""
    tool_call: ToolCallDelta | None = None
    """A piece of a tool call."""
    finish_reason: FinishReason | None = None
    """Why the answer ended: with its last chunk."""
    raw_finish_reason: str | None = None
    """The same in the provider's words."""
    usage: Usage | None = None
    """Tokens used: with the last chunk, where the provider says so."""
    structured: bool = False
    """Whether the text is part of an output for which the request set a format (JSON)."""
    provider: str = ""
    """Name of the source's protocol: "openai", "anthropic", ..."""
    model: str = ""
    """The model that was asked."""
    raw: Any = None
    """The SDK's own object."""


def has_content(chunk: Chunk) -> bool:
    """Whether a chunk has something that a reader sees: with the first of these a source commits.

    The default of `commit_when` in `chat_stream`. A reason to finish is none.

    Example:
        >>> from failover_iter.llm import Chunk, has_content
        >>> has_content(Chunk(text="Hello")), has_content(Chunk(finish_reason="stop"))
        (True, False)
    """
    return bool(chunk.text or chunk.reasoning or chunk.tool_call)
