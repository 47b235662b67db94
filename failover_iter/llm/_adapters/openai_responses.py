"""Adapter for OpenAI's Responses API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, overload

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import AsyncClient, SyncClient, closer_of, has_format
from failover_iter.llm._field import as_list, field
from failover_iter.llm._messages import (
    Arguments,
    Image,
    Turn,
    format_of,
    function_of,
    turn_of,
    wants_any_json,
)
from failover_iter.llm._reading import factory_class
from failover_iter.llm._status import as_mapping

__all__ = ["openai_responses"]


class OpenAIResponsesAnswer(Answer):
    """An answer that arrives in typed events."""

    provider = "openai"
    finish_reasons: ClassVar[Mapping[str, FinishReason]] = {
        "completed": "stop",
        "max_output_tokens": "length",
        "content_filter": "content_filter",
        "refusal": "content_filter",
    }
    refused = False

    def __init__(self, *args: Any, in_background: bool = False, **options: Any) -> None:
        super().__init__(*args, **options)
        self.in_background = in_background
        #: The indexes of the function calls whose arguments have arrived in pieces.
        self.in_pieces: set[int] = set()

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event; most types of event are bookkeeping."""
        match event.type:
            case "response.created" if self.in_background:
                self.response_id = event.response.id
            case "poll":
                yield from self.read_poll(event.response, event)
            case "response.output_item.added" if event.item.type == "function_call":
                item = event.item
                yield from self.tool(event.output_index, event, id=item.call_id, name=item.name)
            case "response.output_item.done":
                yield from self.read_item(event.item, event.output_index, event)
            case "response.output_text.annotation.added":
                yield from self.other("citation", event)
            case "response.completed" | "response.incomplete":
                yield from self.read_missing(event.response, event)
                self.read_end(event.response, event)
            case "response.failed":
                self.response_id = None
                raise self.error_from(event.response.error, event)
            case "error":
                raise self.error_from(event, event)
            case kind if kind.endswith((".delta", ".partial_image")):
                yield from self.read_delta(kind, event)
            case _:
                pass

    def read_delta(self, kind: str, event: Any) -> Iterator[Chunk]:
        """Yield a piece of an item."""
        match kind:
            case "response.output_text.delta":
                yield from self.text(event.delta, event)
            case "response.refusal.delta":
                self.refused = True
                yield from self.refusal(event.delta, event)
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                yield from self.reasoning(event.delta, event)
            case "response.function_call_arguments.delta":
                self.in_pieces.add(event.output_index)
                yield from self.tool(event.output_index, event, arguments=event.delta)
            case _:  # audio, an image, code, the input of another tool
                yield from self.other(kind.split(".")[1], event)

    def read_item(self, item: Any, index: int, event: Any) -> Iterator[Chunk]:
        """Yield what only the finished item has: encrypted reasoning, an image, other calls."""
        match item.type:
            case "message":
                pass
            case "reasoning":
                if field(item, "encrypted_content"):
                    yield from self.opaque(_as_input(item), event)
            case "function_call":
                if index not in self.in_pieces and item.arguments:
                    self.in_pieces.add(index)
                    yield from self.tool(
                        index, event, id=item.call_id, name=item.name, arguments=item.arguments
                    )
            case kind:
                yield from self.other(kind, event)

    def read_missing(self, response: Any, event: Any) -> Iterator[Chunk]:
        """Yield the whole output of an answer of which nothing arrived before its end."""
        if self.has_content:
            return
        self.may_repeat = self.delivered_text
        for index, item in enumerate(as_list(field(response, "output"))):
            for part in as_list(field(item, "content")) if item.type == "message" else ():
                yield from self.text(field(part, "text"), event)
            yield from self.read_item(item, index, event)

    def read_poll(self, response: Any, event: Any) -> Iterator[Chunk]:
        """Yield a response that was asked for as a whole, because its stream has expired."""
        status = field(response, "status")
        if status in {"queued", "in_progress"}:
            raise self.error(f"the response is {status}", code="server_error", raw=event)
        if status not in {"completed", "incomplete"}:
            self.response_id = None
            raise self.error_from(field(response, "error"), event)
        yield from self.read_missing(response, event)
        self.read_end(response, event)

    def read_end(self, response: Any, event: Any) -> None:
        """Read the last event: the response is complete, or a limit or a filter ended it."""
        usage, details = response.usage, response.incomplete_details
        if usage:
            self.set_usage(
                usage,
                field(usage, "input_tokens"),
                field(usage, "output_tokens"),
                cached=field(usage, "input_tokens_details", "cached_tokens"),
                reasoning=field(usage, "output_tokens_details", "reasoning_tokens"),
            )
        reason = "refusal" if self.refused else "completed"
        if "incomplete" in {event.type.split(".")[-1], field(response, "status")}:
            reason = (details and details.reason) or "incomplete"
        self.set_finish_reason(reason, event)

    def error_from(self, details: Any, event: object) -> Exception:
        """Build the exception for an error object."""
        code, message = getattr(details, "code", None), getattr(details, "message", None)
        return self.error(message or "the provider sent an error", code=code, raw=event)


def _as_input(item: Any) -> dict[str, Any]:
    """Return a reasoning item in the form in which the next request sends it back."""
    names = ("id", "type", "encrypted_content")
    summary = [{"type": "summary_text", "text": part.text} for part in field(item, "summary") or ()]
    return {name: field(item, name) for name in names} | {"summary": summary}


def _prepare(arguments: Arguments) -> Arguments:
    """Convert OpenAI's chat form: messages become `input`, the format becomes `text`."""
    if "messages" in arguments:
        arguments["input"] = arguments.pop("messages")
    given = arguments.get("input")
    if isinstance(given, list):
        turns = [(turn_of(message), message) for message in as_list(given)]
        items = [[message] if turn is None else _items(turn) for turn, message in turns]
        arguments["input"] = [item for group in items for item in group]
    if "tools" in arguments:
        arguments["tools"] = [_tool(tool) for tool in arguments["tools"]]
    response_format = arguments.pop("response_format", None)
    schema = format_of(response_format)
    kind: dict[str, Any] = {"type": "json_object"}
    if schema is not None:
        kind = {"type": "json_schema", "name": schema.name, "schema": schema.schema}
        kind |= {} if schema.strict is None else {"strict": schema.strict}
    if schema is not None or wants_any_json(response_format):
        arguments["text"] = {**as_mapping(arguments.get("text")), "format": kind}
    return arguments


def _items(turn: Turn) -> list[dict[str, Any]]:
    """Return a turn as items: reasoning, a message, calls, or the output of a call."""
    if turn.role == "tool":
        return [{"type": "function_call_output", "call_id": turn.call_id, "output": turn.text}]
    items = [dict(part) for part in turn.opaque_of("openai") if part.get("type") == "reasoning"]
    if any(isinstance(part, Image) for part in turn.parts):
        items.append({"role": turn.role, "content": [_part(part) for part in turn.parts]})
    elif turn.parts:
        items.append({"role": turn.role, "content": turn.text})
    calls = [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.text}
        for call in turn.calls
    ]
    return items + calls


def _part(part: dict[str, Any] | Image) -> dict[str, Any]:
    if not isinstance(part, Image):
        return {"type": "input_text", "text": part["text"]}
    url = part.url or f"data:{part.media_type};base64,{part.data}"
    return {"type": "input_image", "image_url": url}


def _tool(tool: Any) -> Any:
    function = function_of(tool)
    return tool if function is None else {"type": "function", "strict": False, **function}


def _reattach(response_id: str, last: Any) -> tuple[Arguments, Arguments]:
    """Return the requests for the rest of a background response: its stream, then all of it."""
    number = field(last, "raw", "sequence_number")
    after = {} if number is None else {"starting_after": number}
    return {"response_id": response_id, "stream": True, **after}, {"response_id": response_id}


@dataclass(frozen=True)
class _Poll:
    """The event made from a response that was requested as a whole."""

    response: Any
    type: str = "poll"


def _call(client: Any, arguments: Arguments) -> Any:
    """Make a response, or ask for the rest of one."""
    if "response_id" not in arguments:
        return client.responses.create(**arguments, stream=True)
    answer = client.responses.retrieve(**arguments)
    return answer if "stream" in arguments else [_Poll(answer)]


async def _acall(client: Any, arguments: Arguments) -> Any:
    if "response_id" not in arguments:
        return await client.responses.create(**arguments, stream=True)
    answer = await client.responses.retrieve(**arguments)
    return answer if "stream" in arguments else _polled(answer)


async def _polled(answer: Any) -> AsyncIterator[Any]:
    yield _Poll(answer)


@overload
def openai_responses(
    client: SyncClient, *, name: str | None = None, **arguments: Any
) -> Source[Iterator[Chunk]]: ...
@overload
def openai_responses(
    client: AsyncClient, *, name: str | None = None, **arguments: Any
) -> Source[AsyncIterator[Chunk]]: ...
def openai_responses(client: Any, *, name: str | None = None, **arguments: Any) -> Source[Any]:
    """Return a source that asks OpenAI through its Responses API.

    Create the client with `max_retries=0`; otherwise its own retries delay a switch by seconds.

    With `background=True`, OpenAI keeps making the response when its stream breaks. The next
    attempt in the same stream asks for the rest of it, and never posts the request again. It
    continues the broken stream; if that has expired, it asks for the whole response. While the
    response is not finished, the attempt fails, so set `attempts` and `wait`. Once content was
    delivered, this needs `mid_stream=continue_with(...)` or "restart".

    Args:
        client: An `OpenAI` or `AsyncOpenAI`.
        name: Name of the source in events, errors and the log; "openai" and the model by default.
        arguments: Arguments of `client.responses.create`: model, input, ... You may pass plain
            messages as `messages`.

    Raises:
        AttributeError: `client` is not a client of this SDK.
        TypeError: `name` is not a str.

    Example:
        >>> from failover_iter.llm import openai_responses
        >>> class Client:  # a stub for openai.OpenAI(max_retries=0)
        ...     class responses:
        ...         def create(**arguments): ...
        ...     def close(self): ...
        >>> openai_responses(Client(), model="gpt", input="Why is the sky blue?").name
        'openai gpt'
    """
    in_background = bool(arguments.get("background"))
    factory = factory_class(closer_of(client))(
        client=client,
        answer_type=OpenAIResponsesAnswer,
        arguments=arguments,
        offers_tools=bool(arguments.get("tools")),
        messages_argument="messages" if "messages" in arguments else "input",
        structured=has_format(as_mapping(arguments.get("text")).get("format"))
        or has_format(arguments.get("response_format")),
        prepare=_prepare,
        answer_options={"in_background": in_background},
        reattach=_reattach if in_background else None,
        call=lambda arguments: _call(client, arguments),
        acall=lambda arguments: _acall(client, arguments),
    )
    return factory.source(name)
