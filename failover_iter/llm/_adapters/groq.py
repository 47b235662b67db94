"""Groq's chat completions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from failover_iter.llm._adapters.openai_chat import ChatCompletion
from failover_iter.llm._chat import has_format, sync_or_async

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from failover_iter import Source
    from failover_iter.llm._chat import AsyncClient, SyncClient
    from failover_iter.llm._chunk import Chunk

__all__ = ["groq_chat"]


class GroqChat(ChatCompletion):
    """An answer as OpenAI's, with a record of Groq's own beside it."""

    provider = "groq"

    def read(self, event: Any) -> Iterator[Chunk]:
        """A chunk; Groq says in its own record that it failed, and what it used."""
        own = getattr(event, "x_groq", None)
        error = getattr(own, "error", None)
        if error:
            raise self.error(str(error), code="server_error", raw=event)
        yield from super().read(event)
        self.count(getattr(own, "usage", None))


@overload
def groq_chat(
    client: SyncClient, *, name: str | None = None, **arguments: Any
) -> Source[Iterator[Chunk]]: ...
@overload
def groq_chat(
    client: AsyncClient, *, name: str | None = None, **arguments: Any
) -> Source[AsyncIterator[Chunk]]: ...
def groq_chat(client: Any, *, name: str | None = None, **arguments: Any) -> Source[Any]:
    """Make a source of Groq's chat completions.

    Give the client `max_retries=0`, or its own retries hold up the switch for seconds.

    Args:
        client: a `Groq` or `AsyncGroq`.
        name: shown in events, errors and the log; "groq" and the model unless given.
        arguments: those of `client.chat.completions.create`: model, messages, ...

    Example:
        >>> from failover_iter.llm import groq_chat
        >>> class Client:  # stands for groq.Groq(max_retries=0)
        ...     class chat:
        ...         class completions:
        ...             def create(**arguments): ...
        ...     def close(self): ...
        >>> messages = [{"role": "user", "content": "Hi"}]
        >>> groq_chat(Client(), model="llama", messages=messages).name
        'groq llama'
    """
    create = client.chat.completions.create
    chat = sync_or_async(client.close)(
        answer=GroqChat,
        arguments=arguments,
        structured=has_format(arguments.get("response_format")),
        prefix={},
        call=lambda arguments: create(**arguments, stream=True),
    )
    return chat.source(name)
