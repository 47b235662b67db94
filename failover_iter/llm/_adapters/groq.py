"""Adapter for Groq's chat completions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, overload

from failover_iter import Source
from failover_iter.llm._adapters.openai_chat import OpenAIChatAnswer, asks_for_several
from failover_iter.llm._chunk import Chunk
from failover_iter.llm._factory import AsyncClient, SyncClient, closer_of, has_format
from failover_iter.llm._field import field
from failover_iter.llm._messages import prepare_chat
from failover_iter.llm._reading import factory_class

__all__ = ["groq_chat"]


class GroqAnswer(OpenAIChatAnswer):
    """An answer like OpenAI's, with an additional record by Groq in its chunks."""

    provider = "groq"

    def read(self, event: Any) -> Iterator[Chunk]:
        """Yield the chunks of one event; Groq's record reports failures and usage."""
        error = field(event, "x_groq", "error")
        if error:
            raise self.error(str(error), code="server_error", raw=event)
        yield from super().read(event)
        self.read_usage(field(event, "x_groq", "usage"))


@overload
def groq_chat(
    client: SyncClient, *, name: str | None = None, **arguments: Any
) -> Source[Iterator[Chunk]]: ...
@overload
def groq_chat(
    client: AsyncClient, *, name: str | None = None, **arguments: Any
) -> Source[AsyncIterator[Chunk]]: ...
def groq_chat(client: Any, *, name: str | None = None, **arguments: Any) -> Source[Any]:
    """Return a source that asks Groq through its chat completions.

    Create the client with `max_retries=0`; otherwise its own retries delay a switch by seconds.

    Args:
        client: A `Groq` or `AsyncGroq`.
        name: Name of the source in events, errors and the log; "groq" and the model by default.
        arguments: Arguments of `client.chat.completions.create`: model, messages, ...

    Raises:
        AttributeError: `client` is not a client of this SDK.
        TypeError: `name` is not a str.

    Example:
        >>> from failover_iter.llm import groq_chat
        >>> class Client:  # a stub for groq.Groq(max_retries=0)
        ...     class chat:
        ...         class completions:
        ...             def create(**arguments): ...
        ...     def close(self): ...
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> groq_chat(Client(), model="llama", messages=messages).name
        'groq llama'
    """
    create = client.chat.completions.create
    factory = factory_class(closer_of(client))(
        client=client,
        answer_type=GroqAnswer,
        arguments=arguments,
        offers_tools=bool(arguments.get("tools")),
        structured=has_format(arguments.get("response_format")),
        answer_options={"several_choices": asks_for_several(arguments)},
        prefill_fields={},
        prepare=prepare_chat,
        call=lambda arguments: create(**arguments, stream=True),
    )
    return factory.source(name)
