"""Which SDKs work under trio: they deliver, fail over, and close their streams."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import trio

from failover_iter.llm import achat_stream, acollect
from llm.cases import skip_unless_installed
from llm.faults import BACKUP_TEXT
from llm.harness import LONG, close
from llm.sdks import SDKS, is_older
from llm.server import running

#: Those whose async client runs on trio; the table in docs/llm.md says the same.
WORKS = {
    "openai-chat": True,
    "openai-responses": True,
    "anthropic": True,
    "google-genai": False,  # with aiohttp, which needs asyncio
    "google-genai-noaiohttp": True,
    "mistralai": is_older("mistralai", 2),  # later releases call asyncio themselves
    "cohere": True,
    "ollama": True,
    "groq": True,
}
#: When a read fails, SDKs leave their generators to the garbage collector.
SDK_LEAVES_GENERATORS = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
PAGE = Path(__file__).parents[2] / "docs" / "llm.md"


async def use(name: str, server: Any) -> tuple[str, bool, bool]:
    """Return the text after a failover, and whether the stream was closed: left, and cancelled."""
    sdk = SDKS[name]
    client = sdk.make("async", server.address, LONG)

    def stream(*faults: str, **options: Any) -> Any:
        models = [f"{fault}~{name}{len(server.requests)}" for fault in faults]
        return achat_stream([sdk.source(client, model) for model in models], **options), models[0]

    answer, _ = stream("drop-after-3", "ok", mid_stream="restart")
    text = (await acollect(answer)).text
    left, model = stream("stall-after-3")
    async with aclosing(left):
        await anext(left)
    was_left = await trio.to_thread.run_sync(server.wait_closed, model, 2.0)
    cancelled, model = stream("stall-after-3")
    chunks = 0
    with trio.CancelScope() as scope:
        async with aclosing(cancelled):
            async for _ in cancelled:
                chunks += 1
                if chunks == 3:
                    scope.deadline = trio.current_time() + 0.05
    was_cancelled = await trio.to_thread.run_sync(server.wait_closed, model, 2.0)
    await close(getattr(client, "aio", None))
    return text, was_left, was_cancelled


@SDK_LEAVES_GENERATORS
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=list(skip_unless_installed(SDKS[name])))
        for name, works in WORKS.items()
        if works
    ],
)
def test_it_works(name: str) -> None:
    """It delivers after a failover, and closes the stream that is left or cancelled."""
    with running() as server:
        assert trio.run(use, name, server) == (BACKUP_TEXT, True, True)


@SDK_LEAVES_GENERATORS
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=list(skip_unless_installed(SDKS[name])))
        for name, works in WORKS.items()
        if not works
    ],
)
def test_it_does_not_work(name: str) -> None:
    """It fails at once; the page says so."""
    with running() as server, pytest.raises(Exception):  # noqa: B017 (an error of any kind)
        trio.run(use, name, server)


def test_the_page_has_the_table() -> None:
    """The page names what works and what does not."""
    text = PAGE.read_text("utf-8")
    assert "| openai, anthropic, cohere, ollama, groq | yes |" in text
    assert "| google-genai | yes, with `httpx_async_client`; not with aiohttp |" in text
    assert "| mistralai | no; version 1 does |" in text
