"""Turns an SDK's call into a source: each opening makes one request and always closes it."""

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
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from failover_iter import Progress, Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._continue import ContinueWith
from failover_iter.llm._messages import Arguments
from failover_iter.llm._status import as_mapping, status_of

_FactoryT = TypeVar("_FactoryT", bound="ChatFactory")
_START: Progress[Any] = Progress()
#: HTTP statuses with which a provider rejects a conversation that ends in a partial answer.
_REJECTION_STATUSES = (400, 422)


class SyncClient(Protocol):
    """A blocking client of an SDK."""

    def close(self) -> None:
        """Close the client's connections."""
        ...


class AsyncClient(Protocol):
    """An async client of an SDK."""

    def close(self) -> Coroutine[Any, Any, None]:
        """Close the client's connections."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class ChatFactory:
    """A factory of answers; its subclasses read the stream, blocking or async."""

    answer_type: type[Answer]
    #: Name of the source.
    name: str = ""
    #: The SDK's client. Some clients close their connections when they are collected, so the source
    #: keeps it alive: it may be the only one that does.
    client: Any = field(default=None, repr=False)
    #: The arguments that the user passed: plain messages, or messages in the SDK's own form. They
    #: are not shown in a repr, which may end up in a message: they hold prompts, and maybe a key.
    arguments: Arguments = field(repr=False)
    #: Names of the arguments that hold the conversation and the model.
    messages_argument: str = "messages"
    model_argument: str = "model"
    #: Whether the request asks for a format (JSON).
    structured: bool = False
    #: The SDK's call; `acall` is the async one if the client has both.
    call: Callable[[Arguments], Any]
    acall: Callable[[Arguments], Any] | None = None
    #: Converts plain messages into the provider's form.
    prepare: Callable[[Arguments], Arguments] = dict
    #: Extra fields that mark a message as the start of the answer (a prefill); None if the
    #: provider takes no prefill.
    prefill_fields: Mapping[str, Any] | None = None
    #: Whether the provider's answer repeats the prefill.
    echoes_prefill: bool = False
    continuation: ContinueWith | None = None
    #: Called when a continuation is rejected.
    on_rejected: Callable[[], None] | None = None

    def request(self, progress: Progress[Any]) -> Request:
        """Build the request for a whole answer, or for the rest of an interrupted one."""
        answer = self.answer_type(
            str(self.arguments.get(self.model_argument, "")),
            source=self.name,
            structured=self.structured,
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
            # Anthropic rejects a prefill that ends with white space.
            start = text.rstrip()
            answer.may_repeat = text if self.echoes_prefill else text[len(start) :]
            more = [so_far | {"content": start, **self.prefill_fields}]
        return self.prepare(
            self.arguments | {self.messages_argument: [*self._messages(), *more]},
        )

    def _messages(self) -> list[Any]:
        messages = self.arguments.get(self.messages_argument, [])
        if isinstance(messages, str):
            return [{"role": "user", "content": messages}]
        return list(messages)

    def source(self, name: str | None) -> Source[Any]:
        """Return the source for the user, named after provider and model by default."""
        model = self.arguments.get(self.model_argument, "")
        name = name or f"{self.answer_type.provider} {model}".strip()
        return Source(replace(self, name=name), name=name)

    def __call__(self, progress: Progress[Any] = _START) -> Any:
        """Open one answer."""
        raise NotImplementedError


def _text_so_far(progress: Progress[Any]) -> str:
    if progress.delivered and len(progress.items) < progress.delivered:
        raise ValueError(
            f"cannot continue the answer: only {len(progress.items)} of {progress.delivered} "
            "chunks were kept; set mid_stream=continue_with(...) or Resume(keep=None)"
        )
    return "".join(item.text for item in progress.items if isinstance(item, Chunk))


@dataclass(frozen=True)
class Request:
    """The request of one opening, and the answer that is read from its stream."""

    factory: ChatFactory
    progress: Progress[Any]
    answer: Answer
    arguments: Arguments = field(repr=False)

    def check_rejection(self, error: Exception) -> None:
        """Raise the error that interrupted the answer if its continuation was rejected."""
        if (
            not self.answer.is_continuation
            or self.answer.has_content
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
            f"{self.answer.provider} ({self.answer.model}) rejected the continuation: "
            f"{type(error).__name__}: {error}"
        )
        raise interruption


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
    """A factory of streams for both kinds of iteration, for clients that are sync and async."""

    def __call__(self, progress: Progress[Any] = _START) -> DualStream:
        """Return one answer; iterating it makes the request."""
        return DualStream(self, progress)


@dataclass(frozen=True)
class DualStream(Iterable[Chunk], AsyncIterable[Chunk]):
    """One answer of a client that is both blocking and async; `for` and `async for` both work."""

    factory: DualChatFactory
    progress: Progress[Any]

    def __iter__(self) -> Iterator[Chunk]:
        """Make the request with the blocking call."""
        return self._as(SyncChatFactory)(self.progress)

    def __aiter__(self) -> AsyncIterator[Chunk]:
        """Make the request with the async call."""
        return self._as(AsyncChatFactory)(self.progress)

    def _as(self, factory_type: type[_FactoryT]) -> _FactoryT:
        return factory_type(**vars(self.factory))


def factory_class(method: Callable[..., object]) -> type[SyncChatFactory | AsyncChatFactory]:
    """Return the factory class for a client: async if this method of the client is async."""
    function = inspect.unwrap(method)
    is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
    return AsyncChatFactory if is_async else SyncChatFactory


def has_format(value: object) -> bool:
    """Whether the value of a format argument asks for structured output (JSON)."""
    return value is not None and as_mapping(value).get("type") != "text"


def with_continuation(
    source: Any, continuation: ContinueWith, on_rejected: Callable[[], None] | None
) -> Any:
    """Return an adapter's source set up to continue in this way; any other source unchanged."""
    factory: Any = getattr(source, "factory", None)
    if not isinstance(factory, ChatFactory):
        return source
    continuing = replace(factory, continuation=continuation, on_rejected=on_rejected)
    return replace(source, factory=continuing)


def _add_close_note(error: BaseException, close_error: Exception) -> None:
    error.add_note(f"closing the stream raised {type(close_error).__name__}: {close_error}")


@contextmanager
def _closing(events: Any) -> Generator[Any, None, None]:
    """Close the SDK's stream; an error while closing never hides an earlier one."""
    try:
        yield events
    except GeneratorExit:
        _close(events)
        raise
    except BaseException as error:
        try:
            _close(events)
        except Exception as close_error:  # noqa: BLE001 (any error goes into the notes)
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
    """Close the SDK's async stream, as `_closing` does."""
    try:
        yield events
    except GeneratorExit:
        await _aclose(events)
        raise
    except BaseException as error:
        try:
            await _aclose(events)
        except Exception as close_error:  # noqa: BLE001 (any error goes into the notes)
            _add_close_note(error, close_error)
        raise
    else:
        await _aclose(events)


async def _aclose(events: Any) -> None:
    close = getattr(events, "aclose", None) or getattr(events, "close", None)
    if close is not None:
        await close()
