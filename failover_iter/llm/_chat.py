"""What turns an SDK's call into a source: one opening is one request, closed on every way out."""

from __future__ import annotations

import inspect
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from failover_iter import Progress, Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._continue import ContinueWith
from failover_iter.llm._messages import Arguments
from failover_iter.llm._status import as_mapping, status_of

_FactoryT = TypeVar("_FactoryT", bound="ChatFactory")
_START: Progress[Any] = Progress()
#: How a provider says that it does not take a conversation like this.
_REJECTION_STATUSES = (400, 422)


class SyncClient(Protocol):
    """A blocking client of an SDK."""

    def close(self) -> None:
        """Close its connections."""
        ...


class AsyncClient(Protocol):
    """An async client of an SDK."""

    def close(self) -> Coroutine[Any, Any, None]:
        """Close its connections."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class ChatFactory:
    """A factory of answers; how its stream is read is the business of its subclasses."""

    answer_type: type[Answer]
    #: As the user gave them: plain messages, or what the SDK takes.
    arguments: Arguments
    #: Under which of them the conversation and the model are.
    messages_argument: str = "messages"
    model_argument: str = "model"
    #: Whether the answer is to be in a format.
    structured: bool = False
    #: The SDK's call, and the one for async streams where the client has both.
    call: Callable[[Arguments], Any]
    acall: Callable[[Arguments], Any] | None = None
    #: Turns plain messages into the provider's form.
    prepare: Callable[[Arguments], Arguments] = dict
    #: What a message has beside role and content to be the start of the answer; None: not taken.
    prefill_fields: Mapping[str, Any] | None = None
    #: Whether the provider gives such a start again.
    echoes_prefill: bool = False
    continuation: ContinueWith | None = None
    #: Told when a continuation was rejected.
    on_rejected: Callable[[], None] | None = None

    def request(self, progress: Progress[Any]) -> Request:
        """What is to be asked, from the start or for the rest."""
        answer = self.answer_type(
            str(self.arguments.get(self.model_argument, "")), structured=self.structured
        )
        text = _text_so_far(progress)
        if not text:
            return Request(self, progress, answer, self.prepare(dict(self.arguments)))
        return Request(self, progress, answer, self._continuation_arguments(text, answer))

    def _continuation_arguments(self, text: str, answer: Answer) -> Arguments:
        continuation = self.continuation or ContinueWith()
        answer.is_continuation = True
        if callable(continuation.how):
            return continuation.how(self.prepare(dict(self.arguments)), text)
        so_far: dict[str, Any] = {"role": "assistant", "content": text}
        if self.prefill_fields is None or continuation.how == "instruct":
            more = [so_far, {"role": "user", "content": continuation.instruction}]
        else:
            # Anthropic takes no start that ends with white space.
            start = text.rstrip()
            answer.may_repeat = text if self.echoes_prefill else text[len(start) :]
            more = [so_far | {"content": start, **self.prefill_fields}]
        return self.prepare(
            self.arguments | {self.messages_argument: [*self._messages(), *more]},
        )

    def _messages(self) -> list[Any]:
        said = self.arguments.get(self.messages_argument, [])
        return [{"role": "user", "content": said}] if isinstance(said, str) else list(said)

    def source(self, name: str | None) -> Source[Any]:
        """The source that a user gets."""
        model = self.arguments.get(self.model_argument, "")
        return Source(self, name=name or f"{self.answer_type.provider} {model}".strip())

    def __call__(self, progress: Progress[Any] = _START) -> Any:
        """Open one answer."""
        raise NotImplementedError


def _text_so_far(progress: Progress[Any]) -> str:
    if progress.delivered and len(progress.items) < progress.delivered:
        raise ValueError(
            f"to go on with an answer needs the text so far, of which {len(progress.items)} of "
            f"{progress.delivered} chunks were kept: set mid_stream=continue_with(...), or "
            "Resume(keep=None)"
        )
    return "".join(item.text for item in progress.items if isinstance(item, Chunk))


@dataclass(frozen=True)
class Request:
    """What is asked in one opening, and the answer that is read from it."""

    factory: ChatFactory
    progress: Progress[Any]
    answer: Answer
    arguments: Arguments

    def check_rejection(self, error: Exception) -> None:
        """Raise what the answer broke off with, if its continuation was rejected."""
        if (
            not self.answer.is_continuation
            or self.answer.has_content
            or status_of(error) not in _REJECTION_STATUSES
        ):
            return
        if self.factory.on_rejected is not None:
            self.factory.on_rejected()
        failures = (failed.error for failed in self.progress.failures if failed.delivered)
        broke_off = next(failures, None)
        if broke_off is None:
            return
        broke_off.add_note(
            f"{self.answer.provider} ({self.answer.model}) rejected the continuation: "
            f"{type(error).__name__}: {error}"
        )
        raise broke_off


class SyncChatFactory(ChatFactory):
    """A factory of blocking streams."""

    def __call__(self, progress: Progress[Any] = _START) -> Iterator[Chunk]:
        """Open one answer."""
        request = self.request(progress)
        answer = request.answer
        try:
            with _closing(self.call(request.arguments)) as events:
                for event in events:
                    yield from answer.read(event)
            yield from answer.end()
        except Exception as error:
            request.check_rejection(error)
            raise


class AsyncChatFactory(ChatFactory):
    """A factory of async streams."""

    async def __call__(self, progress: Progress[Any] = _START) -> AsyncIterator[Chunk]:
        """Open one answer."""
        request = self.request(progress)
        answer = request.answer
        opened = (self.acall or self.call)(request.arguments)
        try:
            if not hasattr(opened, "__aiter__"):
                opened = await opened
            async with _aclosing(opened) as events:
                async for event in events:
                    for chunk in answer.read(event):
                        yield chunk
            for chunk in answer.end():
                yield chunk
        except Exception as error:
            request.check_rejection(error)
            raise


class DualChatFactory(ChatFactory):
    """A factory of streams that are iterated either way, for clients that are both."""

    def __call__(self, progress: Progress[Any] = _START) -> DualStream:
        """Open one answer, when it is iterated."""
        return DualStream(self, progress)


@dataclass(frozen=True)
class DualStream(Iterable[Chunk], AsyncIterable[Chunk]):
    """A stream of a client that is both blocking and async: iterated as the one around it is."""

    factory: DualChatFactory
    progress: Progress[Any]

    def __iter__(self) -> Iterator[Chunk]:
        """Open a blocking stream."""
        return self._as(SyncChatFactory)(self.progress)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """Open an async stream."""
        return self._as(AsyncChatFactory)(self.progress)

    def _as(self, factory_type: type[_FactoryT]) -> _FactoryT:
        return factory_type(**vars(self.factory))


def factory_class(method: Callable[..., object]) -> type[SyncChatFactory | AsyncChatFactory]:
    """Which of the two a client is, told by one of its methods."""
    function = inspect.unwrap(method)
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    return AsyncChatFactory if is_async else SyncChatFactory


def has_format(value: object) -> bool:
    """Whether an argument asks for an answer in a format (JSON)."""
    return value is not None and as_mapping(value).get("type") != "text"


def with_continuation(
    source: Any, continuation: ContinueWith, on_rejected: Callable[[], None] | None
) -> Any:
    """A source that goes on in this way, if it is one of an adapter."""
    factory: Any = getattr(source, "factory", None)
    if not isinstance(factory, ChatFactory):
        return source
    continuing = replace(factory, continuation=continuation, on_rejected=on_rejected)
    return replace(source, factory=continuing)


def _add_close_note(error: BaseException, close_error: Exception) -> None:
    error.add_note(f"closing the stream raised {type(close_error).__name__}: {close_error}")


@contextmanager
def _closing(events: Any) -> Generator[Any, None, None]:
    """Close the SDK's stream; an error of that never hides why."""
    try:
        yield events
    except GeneratorExit:
        _close(events)
        raise
    except BaseException as error:
        try:
            _close(events)
        except Exception as close_error:  # noqa: BLE001 (whatever it is, it is told)
            _add_close_note(error, close_error)
        raise
    else:
        _close(events)


def _close(events: Any) -> None:
    close = getattr(events, "close", None)
    if close is not None:
        close()


@asynccontextmanager
async def _aclosing(events: Any) -> AsyncGenerator[Any, None]:
    """The async twin of `_closing`."""
    try:
        yield events
    except GeneratorExit:
        await _aclose(events)
        raise
    except BaseException as error:
        try:
            await _aclose(events)
        except Exception as close_error:  # noqa: BLE001 (whatever it is, it is told)
            _add_close_note(error, close_error)
        raise
    else:
        await _aclose(events)


async def _aclose(events: Any) -> None:
    close = getattr(events, "aclose", None) or getattr(events, "close", None)
    if close is not None:
        await close()
