"""`Opening`: one opening of a source, without I/O: requests, and what is read from the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from failover_iter import Progress
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import AttemptUsage, Chunk
from failover_iter.llm._context import ChatContext
from failover_iter.llm._continue import ContinueWith
from failover_iter.llm._errors import ProviderError
from failover_iter.llm._factory import ChatFactory
from failover_iter.llm._messages import Arguments
from failover_iter.llm._status import status_of

#: HTTP statuses with which a provider rejects a conversation that ends in a partial answer.
_REJECTION_STATUSES = (400, 422)


class Opening:
    """One opening of a source: a request for a whole answer, or for the rest of one."""

    answer: Answer

    def __init__(self, factory: ChatFactory, progress: Progress[Any]) -> None:
        self.factory = factory
        self.progress = progress
        self.context = factory.context or ChatContext()

    def request(self) -> Arguments:
        """Begin an answer, and return the arguments of its request."""
        factory = self.factory
        self.answer = factory.answer()
        text = _text_so_far(self.progress)
        if not text:
            return factory.prepare(dict(factory.arguments))
        return self._continuation(text)

    def _continuation(self, text: str) -> Arguments:
        factory, answer = self.factory, self.answer
        continuation = factory.continuation or ContinueWith()
        answer.is_continuation = True
        if callable(continuation.how):
            return continuation.how(factory.prepare(dict(factory.arguments)), text)
        so_far: dict[str, Any] = {"role": "assistant", "content": text}
        if factory.prefill_fields is None or continuation.how == "instruct":
            more = [so_far, {"role": "user", "content": continuation.instruction}]
        else:
            # Anthropic rejects a prefill that ends with white space.
            start = text.rstrip()
            answer.may_repeat = text if factory.echoes_prefill else text[len(start) :]
            more = [so_far | {"content": start, **factory.prefill_fields}]
        messages = [*factory.messages(), *more]
        return factory.prepare(factory.arguments | {factory.messages_argument: messages})

    def read(self, event: Any) -> list[Chunk]:
        """Return the chunks of one event of the SDK; raise if it cannot be read."""
        try:
            return list(self.answer.read(event))
        except ProviderError:
            raise
        except Exception as error:
            raise self.answer.error(
                f"an event could not be read ({type(error).__name__})", code="hole", raw=event
            ) from error

    def end(self) -> Iterator[Chunk]:
        """Yield what is left after the SDK's iterator has ended; raise if the answer is cut off."""
        self.answer.earlier_usage = self.context.failed_usage
        return self.answer.end()

    def failed(self, error: Exception) -> None:
        """Keep the usage; raise the error of the interruption if its continuation was rejected."""
        answer = self.answer
        if answer.usage is not None:
            self.context.failed_usage.append(
                AttemptUsage(
                    provider=answer.provider,
                    model=answer.model,
                    source=answer.source,
                    usage=answer.usage,
                )
            )
        if (
            not answer.is_continuation
            or answer.has_content
            or status_of(error) not in _REJECTION_STATUSES
        ):
            return
        if self.factory.on_rejected is not None:
            self.factory.on_rejected()
        failures = (failed.error for failed in self.progress.failures if failed.delivered)
        interruption = next(failures, None)
        if interruption is None:
            return
        interruption.add_note(
            f"{answer.provider} ({answer.model}) rejected the continuation: "
            f"{type(error).__name__}: {error}"
        )
        raise interruption


def _text_so_far(progress: Progress[Any]) -> str:
    if progress.delivered and len(progress.items) < progress.delivered:
        raise ValueError(
            f"cannot continue the answer: only {len(progress.items)} of {progress.delivered} "
            "chunks were kept; set mid_stream=continue_with(...) or Resume(keep=None)"
        )
    return "".join(item.text for item in progress.items if isinstance(item, Chunk))
