"""Adapter for Cohere's chat, version 2."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from types import SimpleNamespace
from typing import Any, ClassVar, Protocol, overload

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import has_format
from failover_iter.llm._field import field
from failover_iter.llm._messages import Arguments, format_of, turn_of, without_opaque
from failover_iter.llm._reading import factory_class

__all__ = ["cohere_chat"]


class _Client(Protocol):
    """A `cohere.ClientV2`."""

    @property
    def chat_stream(self) -> Callable[..., Iterator[Any]]: ...


class _AsyncClient(Protocol):
    """A `cohere.AsyncClientV2`."""

    @property
    def chat_stream(self) -> Callable[..., AsyncIterator[Any]]: ...


class CohereAnswer(Answer):
    """An answer that arrives in typed events."""

    provider = "cohere"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {
        "COMPLETE": "stop",
        "STOP_SEQUENCE": "stop",
        "MAX_TOKENS": "length",
        "TOOL_CALL": "tool_calls",
    }
    failure_reasons = frozenset({"ERROR", "ERROR_LIMIT", "TIMEOUT"})

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event; an error event raises, an unknown one is ignored."""
        delta: Any = getattr(event, "delta", None)
        match event.type:
            case "content-start" | "content-delta":
                content = field(delta, "message", "content")
                yield from self.reasoning(field(content, "thinking"), event)
                yield from self.text(field(content, "text"), event)
            case "citation-start":
                yield from self.other("citation", event)
            case "tool-plan-delta":
                yield from self.reasoning(delta.message.tool_plan, event)
            case "tool-call-start" | "tool-call-delta":
                yield from self.read_tool_call(event.index, delta.message.tool_calls, event)
            case "message-end":
                self.read_end(delta, event)
            case "dropped":
                raise self.error("the SDK dropped an event that it could not read", code="hole")
            case "error":
                raise self.error(str(getattr(event, "message", "an error event")), raw=event)
            case _:
                pass

    def read_tool_call(self, index: object, call: Any, event: object) -> Iterator[Chunk]:
        """Yield a piece of a tool call."""
        function = call.function
        id_, name = getattr(call, "id", None), getattr(function, "name", None)
        yield from self.tool(index, event, id=id_, name=name, arguments=function.arguments)

    def read_end(self, delta: Any, event: object) -> None:
        """Read the last event, which may report that the answer failed."""
        usage = delta.usage
        tokens = usage and usage.tokens
        if tokens:
            self.set_usage(usage, _as_int(tokens.input_tokens), _as_int(tokens.output_tokens))
        error = getattr(delta, "error", None)
        if error:
            raise self.error(str(error), code=delta.finish_reason, raw=event)
        self.set_finish_reason(delta.finish_reason, event)


def _as_int(tokens: float | None) -> int | None:
    return None if tokens is None else int(tokens)


#: The events that an answer is made of. The SDK also drops events that are new to it; those are
#: not missed.
_ESSENTIAL = frozenset(
    {
        "content-start",
        "content-delta",
        "citation-start",
        "tool-plan-delta",
        "tool-call-start",
        "tool-call-delta",
        "message-end",
    }
)
#: The mark for an event that the SDK has dropped.
_DROPPED = SimpleNamespace(type="dropped")


def _escaped(lines: bytes) -> bytes:
    """Escape characters that JSON allows in a text, but that end a line for the SDK.

    Before version 6 the async client splits lines as `str.splitlines` does, and drops the event.
    """
    for character in "\u2028\u2029\x85":
        lines = lines.replace(character.encode(), b"\\u%04x" % ord(character))
    return lines


class _Watch:
    """Compares the SDK's events with the bytes that arrive.

    The SDK drops an event that it cannot read, and only logs a warning.
    """

    def __init__(self) -> None:
        self.left = b""
        #: The type of the event whose end has not arrived.
        self.type = ""
        #: How many essential events have arrived, and how many the SDK has delivered.
        self.arrived = self.delivered = 0
        self.has_dropped = False

    def feed(self, chunk: bytes) -> bytes:
        """Return the lines that are whole by now; raise if an event is not JSON."""
        received = self.left + chunk
        end = 1 + max(received.rfind(b"\n"), received.rfind(b"\r"))
        whole, self.left = received[:end], received[end:]
        for line in whole.replace(b"\r", b"\n").split(b"\n")[:-1]:
            data = line.removeprefix(b"data:").strip()
            if data != line.strip() and data not in {b"", b"[DONE]"}:
                self.type = str(field(json.loads(data), "type"))
            elif not line:  # the end of an event
                self.arrived += self.type in _ESSENTIAL
                self.type = ""
        return _escaped(whole)

    def check(self) -> None:
        """Note whether the SDK has dropped an event, when it has read all that has arrived."""
        self.has_dropped = self.delivered < self.arrived

    def bytes_of(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the bytes; the SDK asks for more when it has read what it has."""
        for chunk in chunks:
            yield self.feed(chunk)
            self.check()
        yield _escaped(self.left)

    async def abytes_of(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the bytes, as `bytes_of` does."""
        async for chunk in chunks:
            yield self.feed(chunk)
            self.check()
        yield _escaped(self.left)

    def events_of(self, event: Any) -> Iterator[Any]:
        """Yield an event, after a mark if one before it is missing."""
        if self.has_dropped:
            yield _DROPPED
        self.delivered += event.type in _ESSENTIAL
        yield event

    def end(self) -> Iterator[Any]:
        """Yield a mark if an event is missing at the end."""
        self.check()
        if self.has_dropped:
            yield _DROPPED


def _http_response(opened: Any) -> Any:
    """The response of httpx: not all releases have a public name for it."""
    public = getattr(opened, "response", None)
    return opened._response if public is None else public  # noqa: SLF001


def _events(client: Any, arguments: Arguments) -> Iterator[Any]:
    """Yield the SDK's events, and a mark for each place where it has dropped one."""
    watch = _Watch()
    with client.with_raw_response.chat_stream(**arguments) as opened:
        response = _http_response(opened)
        response.iter_bytes = lambda read=response.iter_bytes: watch.bytes_of(read())
        for event in opened.data:
            yield from watch.events_of(event)
        yield from watch.end()


async def _aevents(client: Any, arguments: Arguments) -> AsyncIterator[Any]:
    watch = _Watch()
    async with client.with_raw_response.chat_stream(**arguments) as opened:
        response = _http_response(opened)
        response.aiter_bytes = lambda read=response.aiter_bytes: watch.abytes_of(read())
        async for event in opened.data:
            for each in watch.events_of(event):
                yield each
        for each in watch.end():
            yield each


def _prepare(arguments: Arguments) -> Arguments:
    """Convert what Cohere wants otherwise: the format, and no content instead of None."""
    schema = format_of(arguments.get("response_format"))
    if schema is not None:
        arguments["response_format"] = {"type": "json_object", "schema": schema.schema}
    messages = without_opaque(arguments.get("messages", ()))
    arguments["messages"] = [_message(message) for message in messages]
    return arguments


def _message(message: Any) -> Any:
    turn = turn_of(message)
    if turn is None:
        return message
    fields = {name: value for name, value in message.items() if value is not None}
    return fields | {"role": turn.role}


@overload
def cohere_chat(
    client: _Client, *, name: str | None = None, **arguments: Any
) -> Source[Iterator[Chunk]]: ...
@overload
def cohere_chat(
    client: _AsyncClient, *, name: str | None = None, **arguments: Any
) -> Source[AsyncIterator[Chunk]]: ...
def cohere_chat(client: Any, *, name: str | None = None, **arguments: Any) -> Source[Any]:
    """Return a source that asks Cohere through its chat API.

    Create the client with a `timeout` and `max_retries=0`.

    Args:
        client: A `cohere.ClientV2` or `AsyncClientV2`.
        name: Name of the source in events, errors and the log; "cohere" and the model by default.
        arguments: Arguments of `client.chat_stream`: model, messages, ...

    Raises:
        AttributeError: `client` is not a client of this SDK.
        TypeError: `name` is not a str.

    Example:
        >>> from failover_iter.llm import cohere_chat
        >>> class Client:  # a stub for cohere.ClientV2(timeout=10, max_retries=0)
        ...     class with_raw_response:
        ...         def chat_stream(**arguments): ...
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> cohere_chat(Client(), model="command", messages=messages).name
        'cohere command'
    """
    # The SDK wraps the client's own methods, so only these show whether the client is async.
    factory = factory_class(client.with_raw_response.chat_stream)(
        client=client,
        answer_type=CohereAnswer,
        arguments=arguments,
        offers_tools=bool(arguments.get("tools")),
        structured=has_format(arguments.get("response_format")),
        prepare=_prepare,
        call=lambda arguments: _events(client, arguments),
        acall=lambda arguments: _aevents(client, arguments),
    )
    return factory.source(name)
