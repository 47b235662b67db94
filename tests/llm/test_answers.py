"""What an answer is made of, by way of each real SDK: tools, thoughts, ends, messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from failover_iter.llm import Message, achat_stream, acollect, chat_stream, collect, is_transient
from llm.cases import cases
from llm.harness import Harness
from llm.sdks import MESSAGES, SDK


def message_of(harness: Harness, sdk: SDK, flavour: str, kind: str) -> Message:
    """The finished message of an answer of this kind."""
    source = harness.source(sdk, flavour, harness.model(kind))
    if flavour == "sync":
        return collect(chat_stream([source]))
    return harness.run(lambda: acollect(achat_stream([source])))


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_tool_calls(harness: Harness, sdk: SDK, flavour: str) -> None:
    """Tool calls come in order, with their ids, names and arguments put together."""
    message = message_of(harness, sdk, flavour, "tool-calls")
    calls = [(call.name, call.arguments) for call in message.tool_calls]
    assert calls == [("weather", {"city": "Ulm"}), ("time", {})]
    ids = [call.id for call in message.tool_calls]
    assert ids == ([None, None] if sdk.name == "ollama" else ["a", "b"])
    assert message.finish_reason == "tool_calls"
    assert message.text == ""


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_a_tool_call_that_is_cut(harness: Harness, sdk: SDK, flavour: str) -> None:
    """A stream that ends within a tool call has failed."""
    chunks, error = harness.deliver(
        flavour, [harness.source(sdk, flavour, harness.model("tool-cut"))]
    )
    assert chunks[-1].tool_call
    assert is_transient(error)


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_reasoning(harness: Harness, sdk: SDK, flavour: str) -> None:
    """Thoughts that the model shows are told from the text."""
    message = message_of(harness, sdk, flavour, "reasoning")
    assert (message.reasoning, message.text) == ("hm", "yes")


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_a_limit(harness: Harness, sdk: SDK, flavour: str) -> None:
    """An answer that a limit of tokens has ended is complete, and says so."""
    message = message_of(harness, sdk, flavour, "length")
    assert (message.text, message.finish_reason) == ("Because ", "length")


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_a_filter(harness: Harness, sdk: SDK, flavour: str) -> None:
    """A refusal is an answer, no failure; a reason that nobody knows is "other"."""
    message = message_of(harness, sdk, flavour, "filtered")
    unknown = sdk.name in {"cohere", "ollama"}
    assert message.finish_reason == ("other" if unknown else "content_filter")


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_no_usage(harness: Harness, sdk: SDK, flavour: str) -> None:
    """Where the provider tells no usage, none is made up; litellm counts by itself."""
    message = message_of(harness, sdk, flavour, "no-usage")
    assert message.text == "yes"
    told = [used.usage.output_tokens for used in message.usage]
    if sdk.protocol == "anthropic":
        assert told == [12]  # it always tells
    elif sdk.name == "ollama":
        assert told == [None]
    elif sdk.package != "litellm":
        assert told == []


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_the_provider_is_asked_in_its_own_form(harness: Harness, sdk: SDK, flavour: str) -> None:
    """A plain system message and a plain question reach the provider as such."""
    model = harness.model("ok")
    harness.deliver(flavour, [harness.source(sdk, flavour, model)])
    (body,) = harness.asked(model)
    said = json.dumps(body)
    assert said.count("Be brief.") == said.count("Why is the sky blue?") == 1
    assert FORMS[sdk.protocol](body)


def _by_role(messages: list[dict[str, Any]]) -> bool:
    return [message["role"] for message in messages] == ["system", "user"]


FORMS: dict[str, Any] = {
    "openai": lambda body: _by_role(body["messages"]),
    "responses": lambda body: body["input"] == MESSAGES,
    "groq": lambda body: body["messages"] == MESSAGES,
    "mistral": lambda body: _by_role(body["messages"]),
    "cohere": lambda body: _by_role(body["messages"]),
    "ollama": lambda body: _by_role(body["messages"]),
    "anthropic": lambda body: "Be brief." in json.dumps(body["system"]),
    "gemini": lambda body: "Be brief." in json.dumps(body["systemInstruction"]),
    "bedrock": lambda body: body["system"] == [{"text": "Be brief."}],
}
