"""One answer of a provider, without I/O: SDK events go in, chunks and errors come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from secrets import token_hex
from typing import Any, ClassVar, Literal

from failover_iter.llm._chunk import AttemptUsage, Chunk, FinishReason, ToolCallDelta, Usage
from failover_iter.llm._errors import ProviderError

#: Numbers for the answers of this process.
_numbers = count(1)


class Answer:
    """The state of one answer; each adapter has a subclass that reads its SDK's events.

    An answer is complete when it had a finish reason and the SDK's iterator then ended without an
    error. A clean end alone proves nothing, and an error may still follow the finish reason, so
    the finish reason and the usage are held until the end.
    """

    provider: ClassVar[str]
    #: Maps the provider's finish reasons to ours; one that is missing here becomes "other".
    finish_reasons: ClassVar[Mapping[str, FinishReason]]
    #: The provider's finish reasons that mean that the provider has failed.
    failure_reasons: ClassVar[frozenset[str]] = frozenset()

    def __init__(
        self,
        model: str,
        *,
        source: str = "",
        structured: bool = False,
        finish_required: bool = True,
        refusals: Literal["answer", "switch"] = "answer",
    ) -> None:
        self.model = model
        self.source = source
        self.structured = structured
        self.finish_required = finish_required
        self.refusals = refusals
        self.number = next(_numbers)
        self.has_content = False
        #: Whether the answer continues what was delivered.
        self.continues = False
        #: Whether the request asked for the rest of an answer; only then it may be empty.
        self.is_continuation = False
        #: The id of a response that the provider goes on making when the stream breaks.
        self.response_id: str | None = None
        self.reason: str | None = None
        self.reason_event: Any = None
        self.usage: Usage | None = None
        #: The usage of the failed attempts before this one.
        self.earlier_usage: list[AttemptUsage] = []
        self.tool_indexes: dict[object, int] = {}
        #: Text that was delivered before and that the answer may repeat at its start.
        self.may_repeat = ""
        #: Text that is held until it is clear whether it is such a repetition.
        self.held = ""
        #: The delivered part of a response that is requested again: an event that holds the whole
        #: response repeats it.
        self.delivered_text = ""
        self.delivered_opaque: list[Mapping[str, Any]] = []

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one SDK event."""
        raise NotImplementedError

    def _chunk(self, raw: object, **fields: Any) -> Chunk:
        return Chunk(
            provider=self.provider,
            model=self.model,
            source=self.source,
            answer=self.number,
            continues=self.continues,
            raw=raw,
            **fields,
        )

    def text(self, text: str | None, raw: object) -> Iterator[Chunk]:
        """Yield a piece of text; nothing if it is empty, as in a ping."""
        if not isinstance(text, str | None):
            raise TypeError(f"a piece of text must be a str, got {type(text).__name__}")
        if text and self.may_repeat:
            text = self._without_repeat(text)
        if text:
            self.has_content = True
            yield self._chunk(raw, text=text, structured=self.structured)

    def _without_repeat(self, text: str) -> str:
        """Strip from the start of the answer the text that was delivered before."""
        self.held += text
        if self.may_repeat.startswith(self.held):
            return ""
        new = self.held.removeprefix(self.may_repeat)
        self.may_repeat = self.held = ""
        return new

    def refusal(self, text: str | None, raw: object) -> Iterator[Chunk]:
        """Yield a piece of the text of a refusal; raise if refusals should cause a switch."""
        if text and self.refusals == "switch":
            raise self.error("the model refused", code="refusal", raw=raw)
        return self.text(text, raw)

    def reasoning(self, text: str | None, raw: object) -> Iterator[Chunk]:
        """Yield a piece of reasoning; nothing if it is empty."""
        if text:
            self.has_content = True
            yield self._chunk(raw, reasoning=text)

    def tool(
        self,
        key: object,
        raw: object,
        *,
        id: str | None = None,  # noqa: A002 (the name that providers use)
        name: str | None = None,
        arguments: str | None = "",
    ) -> Iterator[Chunk]:
        """Yield a piece of a tool call; `key` identifies the call within the answer."""
        self.has_content = True
        if key not in self.tool_indexes:
            # Gemini and Ollama send no id. The result of the call, and a later turn of another
            # provider, need one that no other call of the conversation has.
            id = id or f"call_{token_hex(8)}"  # noqa: A001
        index = self.tool_indexes.setdefault(key, len(self.tool_indexes))
        call = ToolCallDelta(index=index, id=id, name=name, arguments=arguments or "")
        yield self._chunk(raw, tool_call=call)

    def other(self, kind: str, raw: object) -> Iterator[Chunk]:
        """Yield content that is neither text, reasoning nor a tool call; it is in `raw`."""
        self.has_content = True
        yield self._chunk(raw, other=kind)

    def opaque(self, part: Mapping[str, Any], raw: object) -> Iterator[Chunk]:
        """Yield what the next request has to send back, such as a signature; each part once."""
        if part not in self.delivered_opaque:
            yield self._chunk(raw, opaque=part)

    def set_finish_reason(self, reason: str | None, raw: object) -> None:
        """Hold the provider's finish reason until the end; raise if it means a failure."""
        if not reason:
            return
        if reason in self.failure_reasons:
            raise self.error(f"the answer ended with {reason!r}", code=reason, raw=raw)
        self.reason, self.reason_event = reason, raw

    def set_usage(
        self,
        raw: object,
        input_tokens: int | None,
        output_tokens: int | None,
        *,
        cached: int | None = None,
        reasoning: int | None = None,
    ) -> None:
        """Hold the usage until the end; a later report replaces an earlier one."""
        self.usage = Usage(
            input_tokens=input_tokens,
            cached_input_tokens=cached,
            output_tokens=output_tokens,
            reasoning_tokens=reasoning,
            raw=raw,
        )

    def end(self) -> Iterator[Chunk]:
        """Yield the rest after the SDK's iterator has ended; raise if the answer is incomplete."""
        if self.held != self.may_repeat:
            new, self.may_repeat = self.held, ""
            yield from self.text(new, None)
        yield self._last()

    def _last(self) -> Chunk:
        if self.reason is None and self.has_content and not self.finish_required:
            self.reason = "stop"
        if self.reason is None:
            if self.has_content:
                raise self.error("the answer was cut off: no finish reason arrived", code="cut")
            raise self.error("the stream ended without an answer", code="empty")
        reason = self.normalized_reason(self.reason)
        if reason == "content_filter" and self.refusals == "switch":
            raise self.error(
                "the answer was refused or filtered", code="content_filter", raw=self.reason_event
            )
        if not (self.has_content or self.is_continuation) and reason in {"stop", "tool_calls"}:
            raise self.error("the answer is empty", code="empty", raw=self.reason_event)
        return self._chunk(
            self.reason_event,
            finish_reason=reason,
            raw_finish_reason=self.reason,
            usage=self.usage,
            earlier_usage=tuple(self.earlier_usage),
        )

    def normalized_reason(self, reason: str) -> FinishReason:
        """Translate a finish reason; some providers say "stop" after a tool call."""
        known = self.finish_reasons.get(reason, "other")
        return "tool_calls" if known == "stop" and self.tool_indexes else known

    @property
    def attempt_usage(self) -> AttemptUsage:
        """The tokens that this answer uses, as far as the provider has reported them."""
        return AttemptUsage(
            provider=self.provider,
            model=self.model,
            source=self.source,
            usage=self.usage or Usage(),
        )

    def error(self, message: str, **fields: Any) -> ProviderError:
        """Build an error with this answer's provider, model and source."""
        return ProviderError(
            message, provider=self.provider, model=self.model, source=self.source, **fields
        )
