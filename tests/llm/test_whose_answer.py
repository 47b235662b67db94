"""Each chunk says whose answer it belongs to, so two answers are never joined into one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from typing import Any

import pytest

from failover_iter import Skip, Source
from failover_iter.llm import Chunk, achat_stream, acollect, chat_stream, collect, continue_with
from llm.cases import cases
from llm.fakes import ADAPTERS, Client, choice, source_of
from llm.faults import BACKUP_TEXT, FULL_TEXT
from llm.harness import Harness
from llm.sdks import SDK


def collected(harness: Harness, flavour: str, sources: Any, **options: Any) -> Any:
    """Return the message of a stream without markers."""
    if flavour == "sync":
        return collect(chat_stream(sources, **options))

    async def main() -> Any:
        return await acollect(achat_stream(sources, **options))

    return harness.run(main)


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_a_half_tool_call_is_not_glued(harness: Harness, sdk: SDK, flavour: str) -> None:
    """The calls are those of the second attempt alone, on the same source and model."""
    source = harness.source(sdk, flavour, harness.model("tool-cut+tool-calls"))
    message = collected(harness, flavour, [source], mid_stream="restart", attempts=2)
    assert [(call.name, call.arguments) for call in message.tool_calls] == [
        ("weather", {"city": "Ulm"}),
        ("time", {}),
    ]


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_two_deployments_of_a_model(harness: Harness, sdk: SDK, flavour: str) -> None:
    """The message is that of the second deployment, and says so."""
    model = harness.model("cut-after-3+ok")
    sources = [
        harness.source(sdk, flavour, model, name=name) for name in ("azure-east", "azure-west")
    ]
    message = collected(harness, flavour, sources, mid_stream="restart")
    assert (message.text, message.source) == (BACKUP_TEXT, "azure-west")


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_chunks_say_whose_they_are(harness: Harness, sdk: SDK, flavour: str) -> None:
    """Source and answer change at the takeover; only a continuation says that it continues."""
    for mode, rest in (("restart", "ok"), (continue_with("instruct"), "rest")):
        sources = [
            harness.source(sdk, flavour, harness.model(fault), name=fault)
            for fault in ("cut-after-3", rest)
        ]
        items, error = harness.deliver(flavour, sources, mid_stream=mode)
        assert error is None
        answers = [
            key for key, _ in groupby(items, lambda it: (it.source, it.answer, it.continues))
        ]
        (first, one, begins), (second, two, continues) = answers
        assert (first, second, one != two) == ("cut-after-3", rest, True)
        assert (begins, continues) == (False, rest == "rest")
        if rest == "rest":
            again = [harness.source(sdk, flavour, harness.model("cut-after-3+rest"))]
            message = collected(harness, flavour, again, mid_stream=mode, attempts=2)
            assert message.text == FULL_TEXT


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_sources_have_names(adapter: str) -> None:
    """Without a name, it is that of the protocol and the model."""
    protocol = {"openai_responses": "openai"}.get(adapter, adapter.partition("_")[0])
    assert source_of(adapter, Client()).name == f"{protocol} m"
    assert source_of(adapter, Client(), name="mine").name == "mine"


def test_skip_is_refused() -> None:
    """An answer cannot be replayed, so "skip" is refused at the call, wherever it is set."""
    good: Any = source_of("openai_chat", Client(choice("Hi", "stop")))

    async def agood() -> AsyncIterator[Chunk]:
        yield Chunk(text="Hi")

    for mode in ("skip", Skip(key=str)):
        with pytest.raises(ValueError, match="mid_stream must be 'raise', 'restart' or continue"):
            chat_stream([good], mid_stream=mode)  # type: ignore[call-overload]
        with pytest.raises(ValueError, match="another answer never repeats"):
            achat_stream([agood], mid_stream=mode)  # type: ignore[call-overload]
        with pytest.raises(ValueError, match=r"Source\(mid_stream=...\) must be 'raise'"):
            chat_stream([good, Source(good.factory, mid_stream=mode)])
    lazy: Iterator[Any] = iter([good])
    assert [chunk.text for chunk in chat_stream(lazy, mid_stream="raise")] == ["Hi", ""]
