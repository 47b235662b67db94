"""`in_thread(bedrock_converse(...))`: a blocking SDK in an async chat stream."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
import trio

from failover_iter import Takeover, in_thread
from failover_iter.llm import (
    AttemptUsage,
    Chunk,
    ProviderError,
    achat,
    achat_stream,
    acollect,
    collect,
    continue_with,
)
from llm.cases import skip_unless_installed
from llm.faults import BACKUP_TEXT, FULL_TEXT, PARTIAL_TEXT, REJECTS_CONTINUATION
from llm.harness import LONG, SHORT, Harness
from llm.sdks import SDKS
from llm.server import running

BEDROCK = SDKS["bedrock"]
pytestmark = list(skip_unless_installed(BEDROCK))


@pytest.fixture
def made(harness: Harness) -> Any:
    """Return a maker of a model and its source, in a thread."""

    def make(fault: str, seconds: float = LONG) -> tuple[str, Any]:
        model = harness.model(fault)
        source = harness.source(BEDROCK, "sync", model, seconds=seconds)
        return model, in_thread(source)

    return make


def test_it_keeps_its_name(made: Any) -> None:
    """The async source has the name of the blocking one."""
    model, source = made("ok")
    assert model in source.name
    assert source.name.startswith("bedrock ")


@pytest.mark.parametrize(
    ("fault", "before"),
    [
        ("status-503", ""),
        ("drop-after-0", ""),
        ("empty", ""),
        ("drop-after-3", PARTIAL_TEXT),
        ("cut-after-3", PARTIAL_TEXT),
        ("malformed-after-3", PARTIAL_TEXT),
        ("error-event-after-3", PARTIAL_TEXT),
    ],
)
def test_failover(harness: Harness, made: Any, fault: str, before: str) -> None:
    """A failure before and after the first content is noticed, and the next source asked."""
    sources = [made(fault)[1], made("ok")[1]]
    items, error = harness.deliver("async", sources, mid_stream="restart", mark_takeovers=True)
    assert error is None
    place = next((at for at, item in enumerate(items) if isinstance(item, Takeover)), 0)
    assert "".join(item.text for item in items[:place]) == before
    message = collect(items)
    assert (message.text, message.finish_reason) == (BACKUP_TEXT, "stop")
    assert message.total_usage.output_tokens == 12


def test_the_attempts_share_one_chat(harness: Harness, made: Any) -> None:
    """Usage, refusals and the ladder of the stream work in a thread too."""
    spent: list[AttemptUsage] = []
    items, error = harness.deliver("async", [made("ok")[1]], on_usage=spent.append)
    assert (error, collect(items).usage) == (None, tuple(spent))

    _, error = harness.deliver("async", [made("filtered")[1]], refusals="switch")
    assert isinstance(error, ProviderError)

    rejecting, source = made(REJECTS_CONTINUATION)
    ladder = continue_with(["instruct", "restart"])
    items, error = harness.deliver("async", [made("cut-after-3")[1], source], mid_stream=ladder)
    assert (error, collect(items).text) == (None, BACKUP_TEXT)
    assert len(harness.requests(rejecting)) == 2


def test_it_continues_an_answer(harness: Harness, made: Any) -> None:
    """It is asked for the rest of an answer, and an answer may be judged."""
    sources = [made("cut-after-3")[1], made("rest")[1]]
    items, error = harness.deliver("async", sources, mid_stream=continue_with("instruct"))
    text = "".join(item.text for item in items if isinstance(item, Chunk))
    assert (error, text) == (None, FULL_TEXT)

    async def judged() -> str:
        sources = [made("ok")[1], made("rest")[1]]
        return (await achat(sources, judge=lambda message: len(message.text) < 30)).text

    assert asyncio.run(judged()) == "scatters far more."


def test_a_stall_is_left_at_once(harness: Harness, made: Any) -> None:
    """With `idle_timeout` the stream goes on; the read ends at the client's own timeout."""
    model, stalled = made("stall-after-3", seconds=2 * SHORT)
    items, error = harness.deliver(
        "async",
        [stalled, made("ok")[1]],
        mid_stream="restart",
        idle_timeout=SHORT,
        first_item_timeout=LONG,
    )
    assert (error, collect(items).text) == (None, BACKUP_TEXT)
    assert harness.server.wait_closed(model, 2 * SHORT + 2)


async def _break_off(source: Any) -> str:
    async with aclosing(achat_stream([source])) as stream:
        return (await anext(stream)).text


def test_leaving_closes_it(harness: Harness, made: Any) -> None:
    """After a `break` the connection is closed."""
    model, source = made("stall-after-3")
    assert harness.run(_break_off, source) == "Because "
    assert harness.server.wait_closed(model, 1.0)


def test_it_works_under_trio() -> None:
    """Under trio it delivers after a failover."""
    with running() as server:
        client = BEDROCK.make("sync", server.address, LONG)
        models = ["drop-after-3~trio0", "ok~trio0"]
        sources = [in_thread(BEDROCK.source(client, model)) for model in models]

        async def main() -> str:
            return (await acollect(achat_stream(sources, mid_stream="restart"))).text

        assert trio.run(main) == BACKUP_TEXT
        client.close()
