"""Adapter for Mistral's chat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Protocol

from failover_iter import Source
from failover_iter.llm._adapters.openai_chat import OpenAIChatAnswer, asks_for_several
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import has_format
from failover_iter.llm._reading import DualChatFactory, DualStream

__all__ = ["mistral_chat"]


class _Client(Protocol):
    """A `mistralai.Mistral`."""

    @property
    def chat(self) -> Any: ...


class MistralAnswer(OpenAIChatAnswer):
    """An answer like OpenAI's, with each chunk wrapped in an event."""

    provider = "mistral"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {
        **OpenAIChatAnswer.finish_reasons,
        "model_length": "length",
    }

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event."""
        return super().read(event.data)

    def read_tool_call(
        self, key: object, call_id: str | None, function: Any, event: object
    ) -> Iterator[Chunk]:
        """Yield a tool call; the SDK's default for a missing id is the word "null"."""
        call_id = None if call_id == "null" else call_id
        return super().read_tool_call(key, call_id, function, event)


def mistral_chat(
    client: _Client, *, name: str | None = None, **arguments: Any
) -> Source[DualStream]:
    """Return a source that asks Mistral through its chat API, for both kinds of chat stream.

    Create the client with a `timeout_ms`. It retries only if it has a `retry_config`.

    Args:
        client: A `mistralai.Mistral`, which is both a blocking and an async client.
        name: Name of the source in events, errors and the log; "mistral" and the model by default.
        arguments: Arguments of `client.chat.stream`: model, messages, ...

    Raises:
        AttributeError: `client` is not a client of this SDK.
        TypeError: `name` is not a str.

    Example:
        >>> from failover_iter.llm import mistral_chat
        >>> class Client:  # a stub for mistralai.Mistral(timeout_ms=10_000)
        ...     class chat:
        ...         def stream(**arguments): ...
        ...         async def stream_async(**arguments): ...
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> mistral_chat(Client(), model="small", messages=messages).name
        'mistral small'
    """
    chat = client.chat
    return DualChatFactory(
        client=client,
        answer_type=MistralAnswer,
        arguments=arguments,
        offers_tools=bool(arguments.get("tools")),
        structured=has_format(arguments.get("response_format")),
        answer_options={"several_choices": asks_for_several(arguments)},
        prefill_fields={"prefix": True},
        echoes_prefill=True,
        call=lambda arguments: chat.stream(**arguments),
        acall=lambda arguments: chat.stream_async(**arguments),
    ).source(name)
