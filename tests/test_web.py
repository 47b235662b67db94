"""The application of the FastAPI page in a real server: success, failure, and a disconnect."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from support.needs import needs

needs("fastapi")
uvicorn = needs("uvicorn")
httpx = needs("httpx")

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "web.md"


class Server(uvicorn.Server):
    """A server in a thread, which sets an event when it is ready."""

    def __init__(self, app: Any) -> None:
        super().__init__(uvicorn.Config(app, log_level="critical", lifespan="off"))
        self.ready = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.socket.getsockname()[1]}"


@pytest.fixture
def page() -> dict[str, Any]:
    """The namespace that results from the code blocks of the page."""
    document = Document.parse(str(PAGE), PythonCodeBlockParser())
    for example in document:
        example.evaluate()
    return document.namespace


@pytest.fixture
def server(page: dict[str, Any]) -> Iterator[Server]:
    """The application of the page, running in a real server."""
    server = Server(page["app"])
    thread = threading.Thread(target=server.run, args=([server.socket],))
    thread.start()
    assert server.ready.wait(30)
    yield server
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


def test_the_response_survives_its_source(server: Server, page: dict[str, Any]) -> None:
    """The client receives each line once although the first source fails. Both are closed."""
    response = httpx.get(f"{server.url}/rows")
    assert (response.status_code, response.text) == (200, "one\ntwo\nthree\n")
    assert page["log"] == ["opened", "closed"]


def test_a_failure_before_the_first_item_is_a_503(server: Server) -> None:
    """If no source yields an item, the client receives a 503."""
    response = httpx.get(f"{server.url}/careful")
    assert (response.status_code, response.json()) == (503, {"detail": "nobody listens"})


@pytest.mark.parametrize("silent", [False, True])
def test_a_client_that_leaves_closes_the_source(
    server: Server, page: dict[str, Any], silent: bool
) -> None:
    """If the client disconnects after one line, even during a pull, the source is closed."""
    closed, opened = threading.Event(), []

    async def endless() -> AsyncIterator[str]:
        opened.append("endless")
        try:
            while True:
                yield "line\n"
                await (asyncio.Event().wait() if silent else asyncio.sleep(0))
        finally:
            closed.set()

    async def next_one() -> AsyncIterator[str]:
        opened.append("next_one")
        yield "never\n"

    from fastapi.responses import StreamingResponse

    @page["app"].get("/endless")
    async def _() -> StreamingResponse:
        return StreamingResponse(page["lines"]([endless, next_one]))

    with httpx.Client() as client, client.stream("GET", f"{server.url}/endless") as got:
        assert next(got.iter_lines()) == "line"
    assert closed.wait(30)
    assert opened == ["endless"]
