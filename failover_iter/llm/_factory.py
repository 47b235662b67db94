"""`ChatFactory`: what an adapter knows of its provider's call, as a factory of answers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from failover_iter import Progress, Source, in_thread
from failover_iter.llm._answer import Answer
from failover_iter.llm._context import ChatContext, SourceState
from failover_iter.llm._continue import ContinueWith
from failover_iter.llm._messages import Arguments
from failover_iter.llm._status import as_mapping

_START: Progress[Any] = Progress()


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
    #: More arguments for the answer.
    answer_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    #: The SDK's call; `acall` is the async one if the client has both.
    call: Callable[[Arguments], Any]
    acall: Callable[[Arguments], Any] | None = None
    #: Converts plain messages into the provider's form.
    prepare: Callable[[Arguments], Arguments] = dict
    #: Extra fields that mark a message as the start of the answer (a prefill); None if the
    #: provider takes no prefill.
    prefill_fields: Mapping[str, Any] | None = None
    #: Arguments that a request with a prefill needs.
    prefill_arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])
    #: Whether the provider's answer repeats the prefill.
    echoes_prefill: bool = False
    #: Whether the request offers tools.
    offers_tools: bool = False
    #: Requests for the rest of a response that the provider goes on making: first its stream, then
    #: all of it. It gets the id, and the last chunk that was delivered, or None.
    reattach: Callable[[str, Any], tuple[Arguments, Arguments]] | None = None
    #: State that the attempts of the stream, and those of this source, share; outside of a chat
    #: stream each attempt stands alone.
    context: ChatContext | None = field(default=None, repr=False)
    state: SourceState | None = field(default=None, repr=False)
    continuation: ContinueWith = field(default=ContinueWith())

    def answer(self) -> Answer:
        """Return a new answer."""
        return self.answer_type(
            str(self.arguments.get(self.model_argument, "")),
            source=self.name,
            structured=self.structured,
            refusals=self.context.refusals if self.context else "answer",
            **self.answer_options,
        )

    def messages(self) -> list[Any]:
        """Return the conversation; a text is a question of the user."""
        messages = self.arguments.get(self.messages_argument, [])
        if isinstance(messages, str):
            return [{"role": "user", "content": messages}]
        return list(messages)

    def source(self, name: str | None) -> Source[Any]:
        """Return the source for the user, named after provider, model and place by default."""
        model = self.arguments.get(self.model_argument, "")
        place = _place(self.client)
        parts = [self.answer_type.provider, str(model), f"({place})" if place else ""]
        name = name or " ".join(part for part in parts if part)
        return Source(replace(self, name=name), name=name)

    def __call__(self, progress: Progress[Any] = _START) -> Any:
        """Open one answer."""
        raise NotImplementedError


def closer_of(client: Any) -> Callable[..., object]:
    """Return the method that closes a client, or the client that a `client.beta` belongs to."""
    owner = client if hasattr(client, "close") else client._client  # noqa: SLF001
    close: Callable[..., object] = owner.close
    return close


#: The hosts of the providers themselves; any other tells deployments of one model apart.
_HOSTS = ("api.openai.com", "api.anthropic.com", "api.groq.com")


def _place(client: Any) -> str:
    """Return the host that a client asks, or its region; empty for the provider's own host."""
    client = client if hasattr(client, "base_url") else getattr(client, "_client", client)
    host = urlsplit(str(getattr(client, "base_url", ""))).netloc.rpartition("@")[2]
    region = getattr(getattr(client, "meta", None), "region_name", None)
    return "" if host in _HOSTS else host or str(region or "")


def has_format(value: object) -> bool:
    """Whether the value of a format argument asks for structured output (JSON)."""
    return value is not None and as_mapping(value).get("type") != "text"


def chat_factory_of(source: Any) -> ChatFactory | None:
    """Return the factory of an adapter's source, also if it lives in a thread; else None."""
    factory: Any = getattr(source, "factory", None)
    factory = getattr(factory, "factory", factory)
    return factory if isinstance(factory, ChatFactory) else None


def group_of(source: Any) -> Any:
    """Return the group of a `Policy.source`; None for any other source."""
    group = getattr(source, "factory", None)
    return group if hasattr(group, "changed") else None


def in_context(source: Any, context: ChatContext, continuation: ContinueWith | None) -> Any:
    """Return an adapter's source as a part of this chat stream; any other source unchanged."""
    factory = chat_factory_of(source)
    if factory is None:
        return source
    changes: dict[str, Any] = {"context": context, "state": SourceState()}
    if continuation is not None:
        changes["continuation"] = continuation
    part: Any = replace(factory, **changes)
    return replace(source, factory=part if source.factory is factory else in_thread(part))
