"""How the adapter detects what litellm hides, with a fake litellm stream."""

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
from llm.fakes import records
from llm.parts import parts_of

ARGUMENTS: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}


def chunk(text: str = "", reason: str | None = None) -> Any:
    """Return a chunk as litellm does."""
    delta = SimpleNamespace(content=text, tool_calls=None)
    choice = SimpleNamespace(index=0, delta=delta, finish_reason=reason)
    return SimpleNamespace(choices=[choice])


class Wrapper:
    """A fake of litellm's stream: it always yields a "stop", and reads nothing after it."""

    def __init__(self, text: list[str], received: str | None, rest: list[Any]) -> None:
        self._text = text
        self.received_finish_reason = received
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
    """A fake of litellm's async stream."""

    def __init__(self, text: list[str], received: str | None, rest: list[Any]) -> None:
        super().__init__(text, received, rest)
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
    flavour: str, monkeypatch: pytest.MonkeyPatch, text: list[str], received: str | None, *rest: Any
) -> Any:
    """Return the message of an answer, and check that its stream was closed once."""
    wrapper = (Wrapper if flavour == "sync" else AsyncWrapper)(text, received, list(rest))

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
def test_received_stop(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A received "stop" ends the answer, and litellm gets back the events read ahead."""
    message = answer(flavour, monkeypatch, ["Hel", "lo"], "stop", "usage")
    assert (message.text, message.finish_reason) == ("Hello", "stop")


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_made_up_stop(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A made-up "stop" means that the answer is cut off or empty."""
    with pytest.raises(ProviderError, match=r"\[cut\]"):
        answer(flavour, monkeypatch, ["Hel"], None)
    with pytest.raises(ProviderError, match=r"\[empty\]"):
        answer(flavour, monkeypatch, [], None)


@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_error_after_the_stop(flavour: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error after the "stop" is read, and raised as the provider's SDK raises it."""
    with pytest.raises(ConnectionError, match="overloaded"):
        answer(flavour, monkeypatch, ["Hel"], "stop", ConnectionError("overloaded"))


def test_what_only_some_providers_send(monkeypatch: pytest.MonkeyPatch) -> None:
    """Signed reasoning goes back in litellm's form; citations and the provider's tools count."""
    blocks: list[dict[str, Any]] = [
        {"type": "thinking", "thinking": "hm", "index": 0},
        {"type": "thinking", "thinking": "", "signature": "SIG", "index": 0},
        {"type": "redacted_thinking", "data": "R", "index": 1},
    ]
    deltas = [{"thinking_blocks": [block], "reasoning_content": "hm"} for block in blocks[:1]]
    deltas += [{"thinking_blocks": blocks[1:], "provider_specific_fields": None}]
    deltas += [{"provider_specific_fields": {"citation": {"cited_text": "c"}}, "content": "Hi"}]
    choices = [{"delta": delta, "finish_reason": None} for delta in deltas]
    events = [{"choices": [each]} for each in [*choices, {"delta": {}, "finish_reason": "stop"}]]
    module: Any = ModuleType("litellm")
    requests: list[Any] = []

    class Answered(Wrapper):
        def __iter__(self) -> Iterator[Any]:
            yield from records(events)

    def completion(**arguments: Any) -> Any:
        requests.append(arguments)
        return Answered([], "stop", [])

    module.completion = completion
    monkeypatch.setitem(sys.modules, "litellm", module)
    items = list(chat_stream([litellm_completion(**ARGUMENTS)]))
    message = collect(items)
    signed = {"type": "thinking", "thinking": "hm", "signature": "SIG"}
    redacted = {"type": "redacted_thinking", "data": "R"}
    assert parts_of(message, items) == {
        "text": "Hi",
        "reasoning": "hm",
        "others": ["citation"],
        "opaque": [signed, redacted],
    }
    turns = [*ARGUMENTS["messages"], *message.as_turns()]
    collect(chat_stream([litellm_completion(model="m", messages=turns)]))
    collect(chat_stream([litellm_completion(model="m", prompt="Hi")]))
    answer_turn = {"role": "assistant", "content": "Hi", "thinking_blocks": [signed, redacted]}
    assert requests[1]["messages"] == [*ARGUMENTS["messages"], answer_turn]


def test_version_without_the_attributes() -> None:
    """If litellm does not keep the received finish reason, the adapter trusts its "stop"."""
    from failover_iter.llm._adapters.litellm import _was_truncated

    assert not _was_truncated(SimpleNamespace())
