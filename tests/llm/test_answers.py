"""The parts of an answer, read through each real SDK: tools, reasoning, ends, messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from failover_iter.llm import (
    Message,
    achat_stream,
    acollect,
    chat_stream,
    collect,
    has_answer,
    is_transient,
)
from llm.cases import cases
from llm.faults import BACKUP_TEXT
from llm.harness import Harness
from llm.sdks import MESSAGES, SDK


def message_of(harness: Harness, sdk: SDK, flavour: str, kind: str) -> Message:
    """Return the finished message of an answer of this kind."""
    source = harness.source(sdk, flavour, harness.model(kind))
    if flavour == "sync":
        return collect(chat_stream([source]))
    return harness.run(lambda: acollect(achat_stream([source])))


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_tool_calls(harness: Harness, sdk: SDK, flavour: str) -> None:
    """Tool calls arrive in order, with ids and names, and their arguments are joined."""
    message = message_of(harness, sdk, flavour, "tool-calls")
    calls = [(call.name, call.arguments) for call in message.tool_calls]
    assert calls == [("weather", {"city": "Ulm"}), ("time", {})]
    ids = [call.id for call in message.tool_calls]
    if sdk.name == "ollama":  # it sends none
        assert len({id_ for id_ in ids if id_}) == 2
    else:
        assert ids == ["a", "b"]
    assert message.finish_reason == "tool_calls"
    assert message.text == ""


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_truncated_tool_call(harness: Harness, sdk: SDK, flavour: str) -> None:
    """A stream that ends within a tool call fails."""
    chunks, error = harness.deliver(
        flavour, [harness.source(sdk, flavour, harness.model("tool-cut"))]
    )
    assert chunks[-1].tool_call
    assert is_transient(error)


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_reasoning(harness: Harness, sdk: SDK, flavour: str) -> None:
    """Reasoning is kept apart from the text."""
    message = message_of(harness, sdk, flavour, "reasoning")
    assert (message.reasoning, message.text) == ("hm", "yes")


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_reasoning_may_be_held_back(harness: Harness, sdk: SDK, flavour: str) -> None:
    """The first reasoning commits; with `has_answer` it is discarded if the model breaks off."""
    models = harness.model("reasoning-cut"), harness.model("ok")
    sources = [harness.source(sdk, flavour, model) for model in models]
    chunks, error = harness.deliver(flavour, sources)
    assert ([chunk.reasoning for chunk in chunks], is_transient(error)) == (["hm"], True)
    chunks, error = harness.deliver(flavour, sources, commit_when=has_answer)
    assert (error, collect(chunks).reasoning, collect(chunks).text) == (None, "", BACKUP_TEXT)


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_token_limit(harness: Harness, sdk: SDK, flavour: str) -> None:
    """An answer that a token limit ends is complete, with the finish reason "length"."""
    message = message_of(harness, sdk, flavour, "length")
    assert (message.text, message.finish_reason) == ("Because ", "length")


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_content_filter(harness: Harness, sdk: SDK, flavour: str) -> None:
    """A refusal is an answer, not a failure; an unknown finish reason is "other"."""
    message = message_of(harness, sdk, flavour, "filtered")
    unknown = sdk.name in {"cohere", "ollama"}
    assert message.finish_reason == ("other" if unknown else "content_filter")


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_no_usage(harness: Harness, sdk: SDK, flavour: str) -> None:
    """If the provider reports no usage, the message has none; only litellm substitutes a count."""
    message = message_of(harness, sdk, flavour, "no-usage")
    assert message.text == "yes"
    reported = [attempt.usage.output_tokens for attempt in message.usage]
    if sdk.protocol == "anthropic":
        assert reported == [12]  # Anthropic always reports usage
    elif sdk.name == "ollama":
        assert reported == [None]
    elif sdk.package != "litellm":
        assert reported == []


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_plain_messages_are_converted(harness: Harness, sdk: SDK, flavour: str) -> None:
    """A plain system message and a plain question reach the provider in its own form."""
    model = harness.model("ok")
    harness.deliver(flavour, [harness.source(sdk, flavour, model)])
    (body,) = harness.requests(model)
    sent = json.dumps(body)
    assert sent.count("Be brief.") == sent.count("Why is the sky blue?") == 1
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
