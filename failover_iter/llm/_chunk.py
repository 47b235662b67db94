"""The items of a chat stream: `Chunk` and its parts, the same for every provider."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeAlias

__all__ = [
    "AttemptUsage",
    "Chunk",
    "FinishReason",
    "ToolCallDelta",
    "Usage",
    "has_answer",
    "has_content",
]

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

    The counts mean the same for every provider, so they add up: `input_tokens` includes the cached
    tokens, and `output_tokens` includes the reasoning.

    Example:
        >>> from failover_iter.llm import Usage
        >>> total = Usage(input_tokens=7, output_tokens=12) + Usage(input_tokens=7)
        >>> total.input_tokens, total.output_tokens, total.cached_input_tokens
        (14, 12, None)
    """

    input_tokens: int | None = None
    """Number of tokens in the conversation, cached or not."""
    cached_input_tokens: int | None = None
    """How many of them were read from the provider's cache."""
    output_tokens: int | None = None
    """Number of tokens in the answer, its reasoning included."""
    reasoning_tokens: int | None = None
    """How many of them are reasoning."""
    raw: Any = None
    """The provider's own usage record, which may hold more than these counts; `None` in a sum."""

    def __add__(self, other: Usage) -> Usage:
        """Return the sum of each count; a count that only one side has is kept."""
        counts = [each.name for each in fields(Usage) if each.name != "raw"]
        return Usage(**{name: _sum(getattr(self, name), getattr(other, name)) for name in counts})


def _sum(one: int | None, two: int | None) -> int | None:
    return two if one is None else one + (two or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptUsage:
    """The token usage of one attempt, as its provider reported it.

    Example:
        >>> from failover_iter.llm import Chunk, Usage, collect
        >>> last = Chunk(finish_reason="stop", model="gpt", usage=Usage(output_tokens=12))
        >>> [(each.model, each.usage.output_tokens) for each in collect([last]).usage]
        [('gpt', 12)]
    """

    provider: str
    """Name of the provider's protocol."""
    model: str
    """Name of the model that was asked."""
    source: str = ""
    """Name of the source."""
    usage: Usage
    """The reported token counts."""


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
    """The id of the call, made up if its provider sends none; set on its first piece."""
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
    earlier_usage: tuple[AttemptUsage, ...] = ()
    """What the attempts that failed before had used, as far as their providers reported it; set on
    the last chunk."""
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


def has_answer(chunk: Chunk) -> bool:
    """Whether a chunk holds a part of the answer itself: any content but reasoning.

    A value for `commit_when` in `chat_stream`: a source commits with the first piece of its answer.
    Its reasoning is held back until then, and discarded if it fails while it thinks.

    Args:
        chunk: A chunk of a chat stream.

    Example:
        >>> from failover_iter.llm import Chunk, has_answer
        >>> has_answer(Chunk(text="Hello")), has_answer(Chunk(reasoning="Hm"))
        (True, False)
    """
    return bool(chunk.text or chunk.tool_call or chunk.other)
