"""Fake clients of the SDKs: they answer with given events, and keep the requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from failover_iter import Source
from failover_iter.llm import (
    anthropic_messages,
    bedrock_converse,
    cohere_chat,
    gemini_chat,
    groq_chat,
    mistral_chat,
    ollama_chat,
    openai_chat,
    openai_responses,
)

MESSAGES = [{"role": "user", "content": "Hi"}]


def record(**attributes: Any) -> Any:
    """Return an object with these attributes."""
    return SimpleNamespace(**attributes)


def records(value: Any) -> Any:
    """Return the value with a record instead of each dict, but for the arguments of a call."""
    if isinstance(value, dict):
        members = {name: each if name == "args" else records(each) for name, each in value.items()}
        return SimpleNamespace(**members)
    return [records(each) for each in value] if isinstance(value, list) else value


class _Chat:
    """The attribute `chat` of a client: Ollama calls it, the others its attributes."""

    def __init__(self, create: Callable[..., Any]) -> None:
        self.completions = record(create=create)
        self.stream = self.stream_async = create
        self.create = create

    def __call__(self, **arguments: Any) -> Any:
        return self.create(**arguments)


class Client:
    """A fake of any blocking client."""

    def __init__(self, *events: Any, close: Callable[[], None] | None = None) -> None:
        self.events = events
        self.requests: list[Any] = []
        self.chat = _Chat(self.create)
        self.messages = self.responses = record(create=self.create)
        self.models = record(generate_content_stream=self.create)
        self.aio = record(models=record(generate_content_stream=None))
        self.with_raw_response = record(chat_stream=self._raw)
        self.on_close = close

    def create(self, **arguments: Any) -> Any:
        """Answer with the events."""
        self.requests.append(arguments)
        return self if self.on_close else iter(self)

    chat_stream: Any = create

    @contextmanager
    def _raw(self, **arguments: Any) -> Iterator[Any]:
        yield record(response=record(iter_bytes=list), data=self.create(**arguments))

    def converse_stream(self, **arguments: Any) -> Any:
        """Answer with the events in the form of boto3."""
        return {"stream": self.create(**arguments)}

    def __iter__(self) -> Iterator[Any]:
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            yield event

    def close(self) -> None:
        """Close the stream, or the client."""
        if self.on_close:
            self.on_close()


def choice(text: str | None, reason: str | None = None, index: int = 0) -> Any:
    """Return a chunk of chat completions."""
    delta = record(content=text, tool_calls=None)
    return record(choices=[record(index=index, delta=delta, finish_reason=reason)], usage=None)


#: Each adapter, and the argument that names its model.
ADAPTERS: dict[str, tuple[Callable[..., Source[Any]], str]] = {
    "openai_chat": (openai_chat, "model"),
    "openai_responses": (openai_responses, "model"),
    "anthropic_messages": (anthropic_messages, "model"),
    "gemini_chat": (gemini_chat, "model"),
    "mistral_chat": (mistral_chat, "model"),
    "cohere_chat": (cohere_chat, "model"),
    "ollama_chat": (ollama_chat, "model"),
    "groq_chat": (groq_chat, "model"),
    "bedrock_converse": (bedrock_converse, "modelId"),
}


def source_of(adapter: str, client: Any, model: str = "m", **arguments: Any) -> Source[Any]:
    """Return a source of this adapter."""
    make, model_argument = ADAPTERS[adapter]
    return make(client, **{model_argument: model, "messages": MESSAGES, **arguments})
