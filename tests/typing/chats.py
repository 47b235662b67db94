"""Code that type checkers must accept: sources and streams of LLM providers."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Any, assert_type

from failover_iter import Policy, Source, Takeover, backoff, failover_stream, in_thread
from failover_iter.llm import (
    Chunk,
    Message,
    SSEResponse,
    achat_stream,
    anthropic_messages,
    bedrock_converse,
    chat_stream,
    collect,
    continue_with,
    gemini_chat,
    is_transient,
    is_unavailable,
    litellm_completion,
    mistral_chat,
    openai_chat,
    openai_sse,
    retry_after,
)

Chunks = Generator[Chunk, Any, Any]
AsyncChunks = AsyncGenerator[Chunk, Any]


class _Calls:
    """A stub for the calls of any SDK."""

    def __init__(self) -> None:
        self.completions: Any = self

    def create(self, **_: Any) -> Iterator[Any]:
        """Make a request."""
        raise NotImplementedError

    stream = stream_async = generate_content_stream = create


class Client:
    """A blocking client."""

    chat = messages = _Calls()

    def close(self) -> None:
        """Close it."""


class AsyncClient:
    """An async client."""

    chat = messages = _Calls()

    async def close(self) -> None:
        """Close it."""


class Aio:
    """The async half of a client that is both blocking and async."""

    models = _Calls()


class DualClient:
    """A client that is both blocking and async."""

    chat = models = _Calls()
    aio = Aio()


client, aclient, dual = Client(), AsyncClient(), DualClient()
one, other = openai_chat(client, model="m"), anthropic_messages(client, model="m")
aone, aother = openai_chat(aclient, model="m"), anthropic_messages(aclient, model="m")

assert_type(one, Source[Iterator[Chunk]])
assert_type(aone, Source[AsyncIterator[Chunk]])
assert_type(chat_stream([one, other]), Chunks)
assert_type(achat_stream([aone, aother]), AsyncChunks)

# A client that is both works in either kind of stream, alone or beside others.
assert_type(chat_stream([mistral_chat(dual, model="m")]), Chunks)
assert_type(achat_stream([gemini_chat(dual, model="m"), aone]), AsyncChunks)
assert_type(chat_stream([one, gemini_chat(dual, model="m"), litellm_completion(model="m")]), Chunks)
assert_type(achat_stream([gemini_chat(dual.aio, model="m")]), AsyncChunks)

# A blocking source works in an async stream if it lives in a thread.
assert_type(in_thread(one), Source[AsyncIterator[Chunk]])
assert_type(achat_stream([aone, in_thread(bedrock_converse(client, modelId="m"))]), AsyncChunks)

# A chat stream takes every option.
assert_type(chat_stream([one], mark_takeovers=True), Generator[Chunk | Takeover, Any, Any])
assert_type(achat_stream([aone], mark_takeovers=True), AsyncGenerator[Chunk | Takeover, Any])
assert_type(
    chat_stream(
        [one],
        retry_on=is_unavailable,
        mid_stream=continue_with("instruct", with_tools="continue"),
        attempts=2,
        wait=retry_after(maximum=3, otherwise=backoff(1)),
        idle_timeout=10,
        complete_when=lambda chunk: chunk.finish_reason == "stop",
        on_usage=lambda spent: print(spent.usage.input_tokens),
    ),
    Chunks,
)
assert_type(failover_stream([one, other], retry_on=is_transient), Chunks)
assert_type(Policy(retry_on=is_transient).stream([one]), Chunks)


def response() -> SSEResponse[Iterator[bytes]]:
    """Return the response of a blocking stream."""
    return openai_sse(chat_stream([one], mark_takeovers=True))


async def aresponse() -> SSEResponse[AsyncIterator[bytes]]:
    """Return the response of an async stream."""
    return await openai_sse(achat_stream([aone]), model="gpt", keep_alive=5)


def final() -> Message:
    """Collect a message from a stream with or without markers."""
    collect(chat_stream([one]))
    return collect(chat_stream([one], mark_takeovers=True))
