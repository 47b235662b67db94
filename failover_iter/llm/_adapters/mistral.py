"""Adapter for Mistral's chat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, ClassVar, Final, Protocol

from failover_iter import Source
from failover_iter.llm._adapters.openai_chat import OpenAIChatAnswer, asks_for_several
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import has_format
from failover_iter.llm._messages import Arguments, prepare_chat, turn_of
from failover_iter.llm._reading import DualChatFactory, DualStream
from failover_iter.llm._status import as_mapping

__all__ = ["mistral_chat"]

_ID_LENGTH: Final = 9


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


def _prepare(arguments: Arguments) -> Arguments:
    """Convert what Mistral wants otherwise: the role of developers, and the ids of calls."""
    arguments = prepare_chat(arguments)
    arguments["messages"] = [_message(message) for message in arguments.get("messages", ())]
    return arguments


def _message(message: Any) -> Any:
    turn = turn_of(message)
    if turn is None:
        return message
    fields = dict(message) | {"role": turn.role}
    if turn.calls:
        calls = zip(fields["tool_calls"], turn.calls, strict=True)
        fields["tool_calls"] = [
            {**as_mapping(call), "id": _call_id(known.id)} for call, known in calls
        ]
    if turn.call_id:
        fields["tool_call_id"] = _call_id(turn.call_id)
    return fields


def _call_id(call_id: str) -> str:
    """Return an id as Mistral requires it, nine letters or digits; the same for the same id."""
    is_mistral = len(call_id) == _ID_LENGTH and call_id.isalnum()
    return call_id if is_mistral else sha256(call_id.encode()).hexdigest()[:_ID_LENGTH]


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
        prepare=_prepare,
        call=lambda arguments: chat.stream(**arguments),
        acall=lambda arguments: chat.stream_async(**arguments),
    ).source(name)
