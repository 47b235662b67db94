"""Adapter for OpenAI's Responses API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any, ClassVar, overload

from failover_iter import Source
from failover_iter.llm._answer import Answer
from failover_iter.llm._chunk import Chunk, FinishReason
from failover_iter.llm._factory import AsyncClient, SyncClient, has_format
from failover_iter.llm._messages import Arguments
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

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event; most types of event are bookkeeping."""
        match event.type:
            case "response.output_text.delta":
                yield from self.text(event.delta, event)
            case "response.refusal.delta":
                self.refused = True
                yield from self.text(event.delta, event)
            case "response.reasoning_text.delta" | "response.reasoning_summary_text.delta":
                yield from self.reasoning(event.delta, event)
            case "response.output_item.added" if event.item.type == "function_call":
                item = event.item
                yield from self.tool(event.output_index, event, id=item.call_id, name=item.name)
            case "response.function_call_arguments.delta":
                yield from self.tool(event.output_index, event, arguments=event.delta)
            case "response.completed" | "response.incomplete":
                self.read_end(event.response, event)
            case "response.failed":
                raise self.error_from(event.response.error, event)
            case "error":
                raise self.error_from(event, event)
            case _:
                pass

    def read_end(self, response: Any, event: Any) -> None:
        """Read the last event: the response is complete, or a limit or a filter ended it."""
        usage, details = response.usage, response.incomplete_details
        if usage:
            self.set_usage(usage, usage.input_tokens, usage.output_tokens)
        reason = "refusal" if self.refused else "completed"
        if event.type == "response.incomplete":
            reason = (details and details.reason) or "incomplete"
        self.set_finish_reason(reason, event)

    def error_from(self, details: Any, event: object) -> Exception:
        """Build the exception for an error object."""
        code, message = getattr(details, "code", None), getattr(details, "message", None)
        return self.error(message or "the provider sent an error", code=code, raw=event)


def _prepare(arguments: Arguments) -> Arguments:
    """Pass `messages` as `input`, which accepts the same plain messages."""
    if "messages" in arguments:
        arguments["input"] = arguments.pop("messages")
    return arguments


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
    create = client.responses.create
    factory = factory_class(client.close)(
        client=client,
        answer_type=OpenAIResponsesAnswer,
        arguments=arguments,
        messages_argument="messages" if "messages" in arguments else "input",
        structured=has_format(as_mapping(arguments.get("text")).get("format")),
        prepare=_prepare,
        call=lambda arguments: create(**arguments, stream=True),
    )
    return factory.source(name)
