"""`chat_stream` and `achat_stream`: the defaults, and that all options are open."""

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
    """Says its role, and fails."""
    yield ROLE
    raise ProviderError("busy")


def good() -> Iterator[Chunk]:
    """Is well."""
    yield from (HELLO, END)


async def abusy() -> AsyncIterator[Chunk]:
    """Says its role, and fails."""
    yield ROLE
    raise ProviderError("busy")


async def agood() -> AsyncIterator[Chunk]:
    """Is well."""
    for chunk in (HELLO, END):
        yield chunk


def test_a_role_commits_to_nothing() -> None:
    """What is no content is held, and thrown away with the provider that said it."""
    assert list(chat_stream([busy, good])) == [HELLO, END]


def test_a_role_commits_to_nothing_async() -> None:
    """The same, async."""

    async def main() -> list[Any]:
        return [chunk async for chunk in achat_stream([abusy, agood])]

    assert asyncio.run(main()) == [HELLO, END]


def test_options_are_open() -> None:
    """Each option of the stream underneath can be set."""
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


def test_a_bug_is_no_outage() -> None:
    """An error that is none of a provider's is the consumer's at once."""

    def wrong() -> Iterator[Chunk]:
        raise KeyError("choices")
        yield

    with pytest.raises(KeyError):
        list(chat_stream([wrong, good]))


@pytest.mark.parametrize("mode", ["raise", continue_with("instruct", or_restart=True)])
def test_no_sources(mode: Any) -> None:
    """An empty list is told at the call, whatever the mode."""
    with pytest.raises(NoSources):
        chat_stream([], mid_stream=mode)
    with pytest.raises(NoSources):
        achat_stream([], mid_stream=mode)


@pytest.mark.skipif(not SDKS["openai-chat"].installed, reason="openai is not installed ('.[test]')")
def test_the_wrong_flavour_is_told_at_the_call(harness: Harness) -> None:
    """A blocking client in an async stream, or the other way round, asks nobody."""
    sync, asynchronous = (
        harness.source(SDKS["openai-chat"], flavour, harness.model("ok"))
        for flavour in ("sync", "async")
    )
    with pytest.raises(TypeError, match="is sync: use failover_stream"):
        achat_stream([sync])
    with pytest.raises(TypeError, match="is async: use afailover_stream"):
        chat_stream([asynchronous])


@pytest.mark.skipif(not SDKS["openai-chat"].installed, reason="openai is not installed ('.[test]')")
def test_adapters_go_into_any_stream(harness: Harness) -> None:
    """A source of an adapter stands in `failover_stream` beside any other factory."""
    client = harness.client(SDKS["openai-chat"], "sync")
    source = openai_chat(client, name="mine", model=harness.model("ok"), messages=MESSAGES)
    assert source.name == "mine"
    chunks = list(failover_stream([busy, source], retry_on=is_transient, commit_when=2))
    assert "".join(chunk.text for chunk in chunks) == BACKUP_TEXT
