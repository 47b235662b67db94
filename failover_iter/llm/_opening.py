"""`Opening`: one opening of a source, without I/O: requests, and what is read from the answer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from failover_iter import Progress
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._context import ChatContext, SourceState
from failover_iter.llm._continue import How
from failover_iter.llm._errors import ProviderError
from failover_iter.llm._factory import ChatFactory
from failover_iter.llm._kinds import error_kind
from failover_iter.llm._messages import Arguments

#: With these errors a provider rejects a conversation that ends in a partial answer.
_REJECTIONS = frozenset({"bad_request", "context"})


class Opening:
    """One opening of a source: a request for a whole answer, or for the rest of one.

    A provider may reject the request for the rest. Then it is asked in the next way of the ladder.
    """

    answer: Answer

    def __init__(self, factory: ChatFactory, progress: Progress[Any]) -> None:
        self.factory = factory
        self.progress = progress
        self.context = factory.context or ChatContext()
        self.state = factory.state or SourceState()
        #: Whether there is another way if the provider rejects the current request.
        self.may_be_rejected = False
        self.rejection: Exception | None = None
        self.completed = False

    def requests(self) -> Iterator[Arguments]:
        """Begin an answer, and yield the arguments of its request; again after a rejection."""
        factory = self.factory
        self.context.offered_tools = factory.offers_tools
        text = _text_so_far(self.progress)
        if factory.reattach and self.state.response_id:
            yield from self._reattach(self.state.response_id, text)
        elif not text.strip():  # nobody accepts white space as the start of an answer
            self._begin()
            yield factory.prepare(dict(factory.arguments))
        else:
            yield from self._ladder(text)

    def _begin(self) -> None:
        self.answer = self.context.answers[self.factory.name] = self.factory.answer()
        self.answer.continues = self.progress.delivered > 0
        self.answer.response_id = self.state.response_id

    def _ladder(self, text: str) -> Iterator[Arguments]:
        """Yield the requests for the rest of the answer that the provider has not rejected yet."""
        rungs: list[How] = [rung for rung in self.factory.continuation.ladder if rung != "restart"]
        if self.factory.prefill_fields is None:
            rungs = ["instruct" if rung == "prefill" else rung for rung in rungs]
        for rung in list(dict.fromkeys(rungs))[self.state.rejected :]:
            self._begin()
            self.answer.is_continuation = self.may_be_rejected = True
            yield self._continuation(rung, text)
            self.state.rejected += 1
        self.state.rejected_all = True

    def _continuation(self, how: How, text: str) -> Arguments:
        factory, answer = self.factory, self.answer
        if callable(how):
            return how(factory.prepare(dict(factory.arguments)), text)
        so_far: dict[str, Any] = {"role": "assistant", "content": text}
        arguments = dict(factory.arguments)
        if how == "instruct":
            more = [so_far, {"role": "user", "content": factory.continuation.instruction}]
        else:
            # Anthropic rejects a prefill that ends with white space.
            start = text.rstrip()
            answer.may_repeat = text if factory.echoes_prefill else text[len(start) :]
            more = [so_far | {"content": start, **(factory.prefill_fields or {})}]
            for name, value in factory.prefill_arguments.items():
                arguments[name] = {**(arguments.get(name) or {}), **value}
        messages = [*factory.messages(), *more]
        return factory.prepare(arguments | {factory.messages_argument: messages})

    def _reattach(self, response_id: str, text: str) -> Iterator[Arguments]:
        """Yield the requests for the rest of a response that the provider goes on making."""
        assert self.factory.reattach is not None  # noqa: S101 (for the type checkers)
        last = self.progress.last if self.progress.delivered else None
        its_stream, all_of_it = self.factory.reattach(response_id, last)
        self._begin_again(text)
        self.may_be_rejected = True
        yield its_stream
        self._begin_again(text)
        self.may_be_rejected = False
        yield all_of_it

    def _begin_again(self, text: str) -> None:
        self._begin()
        self.answer.is_continuation = True
        self.answer.delivered_text = text
        self.answer.delivered_opaque = _opaque_so_far(self.progress)

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

    def was_rejected(self, error: Exception) -> bool:
        """Whether the provider may be asked in another way."""
        answer = self.answer
        self.state.response_id = answer.response_id
        if not self.may_be_rejected or answer.has_content or error_kind(error) not in _REJECTIONS:
            return False
        self.rejection = error
        return True

    def settle(self) -> None:
        """Keep the usage of a request that has ended, however it has ended."""
        answer = self.answer
        if answer.usage is not None:
            self.context.add_usage(answer.attempt_usage, completed=self.completed)

    def interruption(self) -> Exception:
        """Return the error that interrupted the answer, after every continuation was rejected."""
        failures = (failed.error for failed in self.progress.failures if failed.delivered)
        error = next(failures, None) or self.rejection
        if error is None:
            return self.factory.answer().error("the provider rejected every continuation")
        if error is not self.rejection and self.rejection is not None:
            error.add_note(
                f"{self.factory.name} rejected the continuation: {type(self.rejection).__name__}"
            )
        self.context.interruption = error
        return error


def _text_so_far(progress: Progress[Any]) -> str:
    if progress.delivered and len(progress.items) < progress.delivered:
        raise ValueError(
            f"cannot continue the answer: only {len(progress.items)} of {progress.delivered} "
            "chunks were kept; set mid_stream=continue_with(...) or Resume(keep=None)"
        )
    return "".join(item.text for item in progress.items if isinstance(item, Chunk))


def _opaque_so_far(progress: Progress[Any]) -> list[Any]:
    return [item.opaque for item in progress.items if isinstance(item, Chunk) and item.opaque]
