"""How the oldest supported releases of the SDKs differ, with fakes of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Self

import pytest

from failover_iter.llm import achat_stream, chat_stream, mistral_chat
from failover_iter.llm._adapters.cohere import _Watch
from llm.fakes import MESSAGES, choice, record
from llm.sdks import is_older


class ManagedStream:
    """A stream like mistralai 1's: a context manager without `close`, blocking and async."""

    def __init__(self) -> None:
        self.closed = 0

    def __iter__(self) -> Iterator[Any]:
        return iter([record(data=choice("a")), record(data=choice(None, "stop"))])

    async def __aiter__(self) -> AsyncIterator[Any]:
        for event in self:
            yield event

    def __enter__(self) -> Self:
        raise AssertionError("it is open already")

    def __exit__(self, *args: object) -> None:
        self.closed += 1

    async def __aexit__(self, *args: object) -> None:
        self.closed += 1


@pytest.mark.parametrize("leaves", [False, True])
def test_a_stream_without_close_is_exited(leaves: bool) -> None:
    """It is closed once, at its end and when the consumer leaves, blocking and async."""
    made: list[ManagedStream] = []

    def stream(**_: Any) -> ManagedStream:
        made.append(ManagedStream())
        return made[-1]

    async def stream_async(**arguments: Any) -> ManagedStream:
        return stream(**arguments)

    client = record(chat=record(stream=stream, stream_async=stream_async))
    source = mistral_chat(client, model="m", messages=MESSAGES)

    async def read() -> None:
        chunks = achat_stream([source])
        if leaves:
            await anext(chunks)
            await chunks.aclose()
        else:
            assert [chunk.text async for chunk in chunks] == ["a", ""]

    chunks = chat_stream([source])
    if leaves:
        next(chunks)
        chunks.close()
    else:
        assert [chunk.text for chunk in chunks] == ["a", ""]
    asyncio.run(read())
    assert [each.closed for each in made] == [1, 1]


def read_checked(flavour: str, pieces: list[bytes]) -> bytes:
    """Return what the SDK of Cohere gets of these pieces of a response."""
    if flavour == "sync":
        return b"".join(_Watch().bytes_of(iter(pieces)))

    async def source() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def main() -> bytes:
        return b"".join([piece async for piece in _Watch().abytes_of(source())])

    return asyncio.run(main())


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_no_event_of_cohere_is_split(flavour: str, end: str) -> None:
    """The text is the same, however the bytes arrive, and only real ends of lines are left."""
    text = "a\u2028b\u2029c\x85d \U0001f600"
    event = f"event: x{end}data: {json.dumps({'text': text}, ensure_ascii=False)}{end}{end}"
    whole = (event + "data: [DONE]").encode()
    for pieces in ([whole], [whole[place : place + 1] for place in range(len(whole))]):
        first, second, *rest = read_checked(flavour, pieces).decode().splitlines()
        assert (first, json.loads(second.removeprefix("data: "))) == ("event: x", {"text": text})
        assert rest == ["", "data: [DONE]"]
    with pytest.raises(json.JSONDecodeError):
        read_checked(flavour, [b'data: {"text": \n\n'])


def test_which_release_is_installed() -> None:
    """A package that is not installed has no older release."""
    assert is_older("pytest", 1_000_000)
    assert not is_older("pytest", 1)
    assert not is_older("nosuch", 1_000_000)
