"""The application of the FastAPI page in a real server: success, failure, and a disconnect."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from support.needs import needs
from support.serving import serving

needs("fastapi")
needs("uvicorn")
httpx = needs("httpx")

PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "web.md"


@pytest.fixture
def page() -> dict[str, Any]:
    """The namespace that results from the code blocks of the page."""
    document = Document.parse(str(PAGE), PythonCodeBlockParser())
    for example in document:
        example.evaluate()
    return document.namespace


@pytest.fixture
def server(page: dict[str, Any]) -> Iterator[Any]:
    """The application of the page, running in a real server."""
    with serving(page["app"]) as server:
        yield server


def test_the_response_survives_its_source(server: Any, page: dict[str, Any]) -> None:
    """The client receives each line once although the first source fails. Both are closed."""
    response = httpx.get(f"{server.url}/rows")
    assert (response.status_code, response.text) == (200, "one\ntwo\nthree\n")
    assert page["log"] == ["opened", "closed"]


def test_a_failure_before_the_first_item_is_a_503(server: Any) -> None:
    """If no source yields an item, the client receives a 503."""
    response = httpx.get(f"{server.url}/careful")
    assert (response.status_code, response.json()) == (503, {"detail": "nobody listens"})


@pytest.mark.parametrize("silent", [False, True])
def test_a_client_that_leaves_closes_the_source(
    server: Any, page: dict[str, Any], silent: bool
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
