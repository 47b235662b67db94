"""`chat` and `achat`: whole answers, which may be refused as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from failover_iter import Source
from failover_iter.llm import (
    Chunk,
    Message,
    ProviderError,
    achat,
    chat,
    continue_with,
    error_kind,
)
from llm.cases import cases
from llm.fakes import Client, choice, source_of
from llm.faults import BACKUP_TEXT
from llm.harness import Harness
from llm.sdks import SDK


def ask(harness: Harness, flavour: str, sources: Any, **options: Any) -> Message:
    """Return the whole answer."""
    if flavour == "sync":
        return chat(sources, **options)

    async def main() -> Message:
        return await achat(sources, **options)

    message: Message = harness.run(main)
    return message


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_a_whole_answer(harness: Harness, sdk: SDK, flavour: str) -> None:
    """It is that of the provider which finished; an answer that is not accepted is not returned."""
    for fault, judge in (
        ("cut-after-3", None),
        ("rest", lambda message: message.text == BACKUP_TEXT),
    ):
        models = harness.model(fault), harness.model("ok")
        sources = [harness.source(sdk, flavour, model) for model in models]
        assert ask(harness, flavour, sources, judge=judge).text == BACKUP_TEXT
    source = harness.source(sdk, flavour, harness.model("ok"))
    with pytest.raises(ProviderError, match="not accepted") as raised:
        ask(harness, flavour, [source], judge=lambda message: False)
    assert (raised.value.code, error_kind(raised.value)) == ("not_accepted", "unreadable")


def test_continuing_is_possible() -> None:
    """Without a judge every mode of a stream may be chosen."""
    sources = [
        source_of("openai_chat", Client(choice(text), *end))
        for text, end in (("Be", []), ("cause", [choice(None, "stop")]))
    ]
    assert chat(sources, mid_stream=continue_with("instruct")).text == "Because"
    with pytest.raises(ValueError, match="judge needs whole answers"):
        chat(sources, mid_stream=continue_with(), judge=bool)
    with pytest.raises(TypeError, match="judge must be a function"):
        chat(sources, judge=True)  # type: ignore[arg-type]


def answers(*texts: str) -> list[Any]:
    """Return a plain source for each text."""

    def source(text: str) -> Any:
        def answer() -> Iterator[Chunk]:
            yield Chunk(text=text)
            yield Chunk(finish_reason="stop")

        return answer

    return [source(text) for text in texts]


def test_plain_sources() -> None:
    """A judge may raise a ValueError; other errors are bugs; sources need no adapter."""
    assert chat(answers("{", '{"a": 1}'), judge=lambda message: message.parse()).parse() == {"a": 1}
    with pytest.raises(KeyError):
        chat(answers("x", "y"), judge=lambda message: {}["x"])
    named = [Source(answers("x")[0], name="mine")]
    with pytest.raises(ProviderError) as raised:
        chat(named, judge=lambda message: False)
    assert "mine" not in str(raised.value)


def test_async_factories(harness: Harness) -> None:
    """A coroutine function may return the answer."""

    async def stream() -> AsyncIterator[Chunk]:
        yield Chunk(text="Hi")
        yield Chunk(finish_reason="stop")

    async def factory() -> AsyncIterator[Chunk]:
        return stream()

    assert ask(harness, "async", [factory], judge=bool).text == "Hi"


class Model:
    """A pydantic model."""

    @staticmethod
    def model_validate_json(text: str) -> str:
        """Return what it was given."""
        return f"validated {text}"


def test_a_model_parses() -> None:
    """`parse` uses the model."""
    assert chat(answers("x")).parse(Model) == "validated x"
