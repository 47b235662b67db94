"""Code that type checkers must reject: chat streams. As in `wrong.py`, none of it is run."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from failover_iter import Source
from failover_iter.llm import (
    Chunk,
    achat_stream,
    chat_stream,
    continue_with,
    openai_sse,
    retry_after,
)


def wrong(sync: Source[Iterator[Chunk]], asynchronous: Source[AsyncIterator[Chunk]]) -> None:
    # A source of the other flavour.
    achat_stream([sync])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    chat_stream([asynchronous])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    # Options that do not exist, and values of a wrong type.
    chat_stream([sync], retries=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    chat_stream([sync], attempts="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    chat_stream([sync], on_usage=[])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    continue_with("guess")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    _ = openai_sse(chat_stream([sync]), keep_alive=5)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    retry_after(30)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
