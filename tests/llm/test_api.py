"""`chat_stream` and `achat_stream`: their defaults and options."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from failover_iter import NoSources, Takeover, failover_stream
from failover_iter.llm import (
    Chunk,
    ProviderError,
    achat_stream,
    chat_stream,
    continue_with,
    is_transient,
    openai_chat,
)
from llm.faults import BACKUP_TEXT
from llm.harness import Harness
from llm.sdks import MESSAGES, SDKS

ROLE = Chunk(provider="a")
HELLO = Chunk(text="Hello")
END = Chunk(finish_reason="stop")


def busy() -> Iterator[Chunk]:
    """Yield the role, then fail."""
    yield ROLE
    raise ProviderError("busy")


def good() -> Iterator[Chunk]:
    """Yield a good answer."""
    yield from (HELLO, END)


async def abusy() -> AsyncIterator[Chunk]:
    """Yield the role, then fail."""
    yield ROLE
    raise ProviderError("busy")


async def agood() -> AsyncIterator[Chunk]:
    """Yield a good answer."""
    for chunk in (HELLO, END):
        yield chunk


def test_role_does_not_commit() -> None:
    """Chunks without content are held, and discarded if their provider fails."""
    assert list(chat_stream([busy, good])) == [HELLO, END]


def test_role_does_not_commit_async() -> None:
    """An async stream also holds chunks without content."""

    async def main() -> list[Any]:
        return [chunk async for chunk in achat_stream([abusy, agood])]

    assert asyncio.run(main()) == [HELLO, END]


def test_options_of_the_stream() -> None:
    """A chat stream takes the options of `failover_stream`."""
    events: list[Any] = []
    stream = chat_stream(
        [busy, good],
        commit_when=1,
        mid_stream="restart",
        mark_takeovers=True,
        on_event=events.append,
    )
    assert [type(item) for item in stream] == [Chunk, Takeover, Chunk, Chunk]
    assert events


def test_bug_is_not_an_outage() -> None:
    """An error that does not come from a provider is raised at once."""

    def wrong() -> Iterator[Chunk]:
        raise KeyError("choices")
        yield

    with pytest.raises(KeyError):
        list(chat_stream([wrong, good]))


@pytest.mark.parametrize("mode", ["raise", continue_with(["instruct", "restart"])])
def test_no_sources(mode: Any) -> None:
    """An empty list is refused at the call, in every mode."""
    with pytest.raises(NoSources):
        chat_stream([], mid_stream=mode)
    with pytest.raises(NoSources):
        achat_stream([], mid_stream=mode)


@pytest.mark.skipif(not SDKS["openai-chat"].installed, reason="openai is not installed ('.[test]')")
def test_wrong_flavour_is_refused_at_the_call(harness: Harness) -> None:
    """A blocking client in an async stream, or the reverse, makes no request."""
    sync, asynchronous = (
        harness.source(SDKS["openai-chat"], flavour, harness.model("ok"))
        for flavour in ("sync", "async")
    )
    with pytest.raises(TypeError, match="is sync: use failover_stream"):
        achat_stream([sync])
    with pytest.raises(TypeError, match="is async: use afailover_stream"):
        chat_stream([asynchronous])


@pytest.mark.skipif(not SDKS["openai-chat"].installed, reason="openai is not installed ('.[test]')")
def test_adapter_in_a_plain_failover_stream(harness: Harness) -> None:
    """`failover_stream` accepts an adapter's source beside any other factory."""
    client = harness.client(SDKS["openai-chat"], "sync")
    source = openai_chat(client, name="mine", model=harness.model("ok"), messages=MESSAGES)
    assert source.name == "mine"
    chunks = list(failover_stream([busy, source], retry_on=is_transient, commit_when=2))
    assert "".join(chunk.text for chunk in chunks) == BACKUP_TEXT
