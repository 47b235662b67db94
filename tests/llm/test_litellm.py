"""What litellm hides and how it is seen through, on a stream that stands for its own."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from failover_iter.llm import (
    ProviderError,
    achat_stream,
    acollect,
    chat_stream,
    collect,
    litellm_completion,
)

ARGUMENTS: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def chunk(text: str = "", reason: str | None = None) -> Any:
    """A chunk as litellm gives it."""
    delta = SimpleNamespace(content=text, tool_calls=None)
    choice = SimpleNamespace(index=0, delta=delta, finish_reason=reason)
    return SimpleNamespace(choices=[choice])


class Wrapper:
    """litellm's stream: it gives a "stop", whether it was told or not, and does not look on."""

    def __init__(self, text: list[str], told: str | None, rest: list[Any]) -> None:
        self._text = text
        self.received_finish_reason = told
        self.intermittent_finish_reason = None
        self.completion_stream: Any = self._provider(rest)
        self.closed = 0

    def _provider(self, rest: list[Any]) -> Iterator[Any]:
        for event in rest:
            if isinstance(event, Exception):
                raise event
            yield event

    def __iter__(self) -> Iterator[Any]:
        yield from map(chunk, self._text)
        yield chunk(reason="stop")

    def close(self) -> None:
        """Close it."""
        self.closed += 1


class AsyncWrapper(Wrapper):
    """The same, async."""

    def __init__(self, text: list[str], told: str | None, rest: list[Any]) -> None:
        super().__init__(text, told, rest)
        self.completion_stream = self._aprovider(rest)

    async def _aprovider(self, rest: list[Any]) -> AsyncIterator[Any]:
        for event in self._provider(rest):
            yield event

    async def __aiter__(self) -> AsyncIterator[Any]:
        for event in super().__iter__():
            yield event

    async def aclose(self) -> None:
        """Close it."""
        self.close()
        rest = [event async for event in self.completion_stream]
        assert rest in ([], ["usage"])


def answer(
    flavour: str, monkeypatch: pytest.MonkeyPatch, text: list[str], told: str | None, *rest: Any
) -> Any:
    """The message of an answer; its stream was closed once."""
    wrapper = (Wrapper if flavour == "sync" else AsyncWrapper)(text, told, list(rest))

    async def acompletion(**_: Any) -> Any:
        return wrapper

    module: Any = ModuleType("litellm")
    module.completion = lambda **_: wrapper
    module.acompletion = acompletion
    monkeypatch.setitem(sys.modules, "litellm", module)
    source = litellm_completion(**ARGUMENTS)
    try:
        if flavour == "sync":
            return collect(chat_stream([source]))
        return asyncio.run(acollect(achat_stream([source])))
    finally:
        assert wrapper.closed == 1


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_a_stop_that_was_told(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is one, and litellm gets back what was read ahead of it."""
    message = answer(flavour, monkeypatch, ["Hel", "lo"], "stop", "usage")
    assert (message.text, message.finish_reason) == ("Hello", "stop")


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_a_stop_that_is_made_up(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer was cut, or there was none."""
    with pytest.raises(ProviderError, match=r"\[cut\]"):
        answer(flavour, monkeypatch, ["Hel"], None)
    with pytest.raises(ProviderError, match=r"\[empty\]"):
        answer(flavour, monkeypatch, [], None)


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_an_error_behind_the_stop(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is read, and raised as the provider's SDK does."""
    with pytest.raises(ConnectionError, match="overloaded"):
        answer(flavour, monkeypatch, ["Hel"], "stop", ConnectionError("overloaded"))


def test_a_version_that_keeps_nothing() -> None:
    """Where litellm does not keep what it was told, its word is all there is."""
    from failover_iter.llm._adapters.litellm import _was_truncated

    assert not _was_truncated(SimpleNamespace())
