"""Adapter for Ollama's chat."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar, overload

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import AsyncClient, SyncClient, has_format
from failover_iter.llm._field import field
from failover_iter.llm._messages import Arguments, Image, Turn, format_of, turn_of, wants_any_json
from failover_iter.llm._reading import factory_class

__all__ = ["ollama_chat"]


class OllamaAnswer(Answer):
    """An answer that arrives in lines of JSON."""

    provider = "ollama"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {"stop": "stop", "length": "length"}
    failure_reasons = frozenset({"load", "unload"})

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one line; tool calls arrive whole, and the last line is marked."""
        message = event.message
        yield from self.reasoning(message.thinking, event)
        yield from self.text(message.content, event)
        for call in message.tool_calls or ():
            arguments = json.dumps(dict(call.function.arguments))
            key, name = len(self.tool_indexes), call.function.name
            yield from self.tool(key, event, name=name, arguments=arguments)
        if field(message, "images"):
            yield from self.other("image", event)
        if event.done:
            self.set_usage(event, event.prompt_eval_count, event.eval_count)
            # Old servers send no reason. An empty one means that the connection was closed.
            reason = event.done_reason
            self.set_finish_reason("stop" if reason is None else reason, event)


def _prepare(arguments: Arguments) -> Arguments:
    """Convert OpenAI's form: images, tool calls and their results, and the format."""
    response_format = arguments.pop("response_format", None)
    schema = format_of(response_format)
    if schema is not None:
        arguments["format"] = schema.schema
    elif wants_any_json(response_format):
        arguments["format"] = "json"
    names: dict[str, str] = {}
    messages: list[Any] = []
    for message in arguments.get("messages", ()):
        turn = turn_of(message)
        names.update({call.id: call.name for call in turn.calls} if turn else {})
        messages.append(message if turn is None else _own(message) | _message(turn, names))
    arguments["messages"] = messages
    return arguments


def _own(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of Ollama's own form, which is otherwise like OpenAI's."""
    return {name: message[name] for name in ("images", "thinking") if name in message}


def _message(turn: Turn, names: dict[str, str]) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": turn.role, "content": turn.text}
    images = [part for part in turn.parts if isinstance(part, Image)]
    if any(image.url for image in images):
        raise ValueError("Ollama takes images as data (a data: URL), not by their address")
    if images:
        fields["images"] = [image.data for image in images]
    if turn.calls:
        fields["tool_calls"] = [
            {"function": {"name": call.name, "arguments": call.arguments}} for call in turn.calls
        ]
    if turn.role == "tool":
        fields["tool_name"] = names.get(turn.call_id, "")
    return fields


@overload
def ollama_chat(
    client: SyncClient, *, name: str | None = None, **arguments: Any
) -> Source[Iterator[Chunk]]: ...
@overload
def ollama_chat(
    client: AsyncClient, *, name: str | None = None, **arguments: Any
) -> Source[AsyncIterator[Chunk]]: ...
def ollama_chat(client: Any, *, name: str | None = None, **arguments: Any) -> Source[Any]:
    """Return a source that asks Ollama through its chat API.

    Create the client with a `timeout`. It has no default, so without one a dead server blocks
    the stream forever.

    Args:
        client: An `ollama.Client` or `AsyncClient`.
        name: Name of the source in events, errors and the log; "ollama" and the model by default.
        arguments: Arguments of `client.chat`: model, messages, ...

    Raises:
        AttributeError: `client` is not a client of this SDK.
        TypeError: `name` is not a str.

    Example:
        >>> from failover_iter.llm import ollama_chat
        >>> class Client:  # a stub for ollama.Client(timeout=10)
        ...     def chat(self, **arguments): ...
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> ollama_chat(Client(), model="llama", messages=messages).name
        'ollama llama'
    """
    factory = factory_class(client.chat)(
        client=client,
        answer_type=OllamaAnswer,
        arguments=arguments,
        offers_tools=bool(arguments.get("tools")),
        structured=bool(arguments.get("format")) or has_format(arguments.get("response_format")),
        prefill_fields={},
        prepare=_prepare,
        call=lambda arguments: client.chat(**arguments, stream=True),
    )
    return factory.source(name)
