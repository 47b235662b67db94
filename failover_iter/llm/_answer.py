"""One answer of a provider, without I/O: the SDK's events in, chunks out, and what is amiss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from failover_iter.llm._chunk import Chunk, FinishReason, ToolCallDelta, Usage
from failover_iter.llm._errors import ProviderError


class Answer:
    """What an adapter knows of its protocol, and what one answer has said so far.

    An answer is complete when a reason to finish was seen, and the SDK's iterator then ended
    without an error: an error may come after the reason, and a clean end alone proves nothing.
    So the reason is held, with the usage, until the end.
    """

    provider: ClassVar[str]
    #: Reasons to finish, in the provider's words; those that it does not list are "other".
    finish_reasons: ClassVar[Mapping[str, FinishReason]]
    #: Those that say that the provider has failed.
    failure_reasons: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, model: str, *, structured: bool = False) -> None:
        """Begin with nothing said."""
        self.model = model
        self.structured = structured
        self.has_content = False
        #: It goes on with one that broke off, so there may be nothing left to say.
        self.is_continuation = False
        self.reason: str | None = None
        self.reason_event: Any = None
        self.usage: Usage | None = None
        self.tool_indexes: dict[object, int] = {}
        #: What the answer may begin with that was delivered before; what was held to see that.
        self.may_repeat = ""
        self.held = ""

    def read(self, event: Any) -> Iterator[Chunk]:
        """What an event of the SDK adds to the answer."""
        raise NotImplementedError

    def _chunk(self, raw: object, **said: Any) -> Chunk:
        return Chunk(provider=self.provider, model=self.model, raw=raw, **said)

    def text(self, text: str | None, raw: object) -> Iterator[Chunk]:
        """A piece of text; a ping if there is none in it."""
        if text and self.may_repeat:
            text = self._without_repeat(text)
        if text:
            self.has_content = True
            yield self._chunk(raw, text=text, structured=self.structured)

    def _without_repeat(self, text: str) -> str:
        """What of a text is new, at the start of an answer that may repeat what was delivered."""
        self.held += text
        if self.may_repeat.startswith(self.held):
            return ""
        new = self.held.removeprefix(self.may_repeat)
        self.may_repeat = self.held = ""
        return new

    def reasoning(self, text: str | None, raw: object) -> Iterator[Chunk]:
        """A piece of reasoning."""
        if text:
            self.has_content = True
            yield self._chunk(raw, reasoning=text)

    def tool(
        self,
        key: object,
        raw: object,
        *,
        id: str | None = None,  # noqa: A002 (the provider's word)
        name: str | None = None,
        arguments: str | None = "",
    ) -> Iterator[Chunk]:
        """A piece of the tool call that the provider knows by this key."""
        self.has_content = True
        index = self.tool_indexes.setdefault(key, len(self.tool_indexes))
        call = ToolCallDelta(index=index, id=id, name=name, arguments=arguments or "")
        yield self._chunk(raw, tool_call=call)

    def set_finish_reason(self, reason: str | None, raw: object) -> None:
        """The provider gives a reason to finish; told at the end."""
        if not reason:
            return
        if reason in self.failure_reasons:
            raise self.error(f"the answer ended with {reason!r}", code=reason, raw=raw)
        self.reason, self.reason_event = reason, raw

    def set_usage(self, record: object, read: int | None, written: int | None) -> None:
        """The provider says what the answer used; the last word counts."""
        self.usage = Usage(input_tokens=read, output_tokens=written, raw=record)

    def end(self) -> Iterator[Chunk]:
        """The last chunk, once the SDK's iterator has ended; raises if the answer is none."""
        if self.held != self.may_repeat:
            new, self.may_repeat = self.held, ""
            yield from self.text(new, None)
        yield self._last()

    def _last(self) -> Chunk:
        if self.reason is None:
            if self.has_content:
                raise self.error("the answer was cut: no reason to finish came", code="cut")
            raise self.error("the stream ended without an answer", code="empty")
        reason = self.normalized_reason(self.reason)
        if not (self.has_content or self.is_continuation) and reason in {"stop", "tool_calls"}:
            raise self.error("the answer is empty", code="empty", raw=self.reason_event)
        return self._chunk(
            self.reason_event, finish_reason=reason, raw_finish_reason=self.reason, usage=self.usage
        )

    def normalized_reason(self, reason: str) -> FinishReason:
        """The normalised reason; some providers say "stop" where tools are to be called."""
        known = self.finish_reasons.get(reason, "other")
        return "tool_calls" if known == "stop" and self.tool_indexes else known

    def error(self, message: str, **said: Any) -> ProviderError:
        """An error of this answer."""
        return ProviderError(message, provider=self.provider, model=self.model, **said)
