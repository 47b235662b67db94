"""Nothing of an answer is lost, for SDKs that are not always installed: fake clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from failover_iter.llm import (
    Chunk,
    ProviderError,
    achat_stream,
    chat_stream,
    collect,
    gemini_chat,
    has_content,
    openai_sse,
)
from llm.fakes import MESSAGES, Client, record, records, source_of
from llm.parts import parts_of

ULM = {"city": "Ulm"}
SOURCES = {"citationSources": [{"uri": "http://x"}]}


def read(adapter: str, *events: Any) -> list[Chunk]:
    """Return the chunks of an answer."""
    return list(chat_stream([source_of(adapter, Client(*events))]))


def gemini(*parts: dict[str, Any], **members: Any) -> Any:
    """Return a chunk of google-genai."""
    candidate = {"content": {"parts": list(parts)}, "finish_reason": "STOP", **members}
    return records({"usage_metadata": None, "candidates": [candidate]})


def cohere(kind: str, **content: Any) -> Any:
    """Return an event of cohere's."""
    return records({"type": kind, "delta": {"message": {"content": content}}})


COHERE_END = records({"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": None}})
THOUGHT = {"reasoningContent": {"text": "hm"}}


def block(index: int, **given: Any) -> dict[str, Any]:
    """Return an event of a block of Bedrock's: its start or a piece."""
    kind = "contentBlockStart" if "start" in given else "contentBlockDelta"
    return {kind: {"contentBlockIndex": index, **given}}


BEDROCK_END = {"messageStop": {"stopReason": "end_turn"}}
MISTRAL_END = {"data": {"choices": [{"delta": {"content": ""}, "finish_reason": "stop"}]}}
FAKES: dict[str, tuple[str, list[Any], dict[str, Any]]] = {
    "gemini": (
        "gemini_chat",
        [
            gemini(
                {"function_call": {"id": "a", "name": "w", "args": ULM}, "thought_signature": b"s"},
                {"inline_data": b"PNG"},
                {"text": "hm", "thought": True},
                grounding_metadata=SOURCES,
            )
        ],
        {
            "reasoning": "hm",
            "calls": [("a", ULM)],
            "others": ["inline_data", "citation"],
            "opaque": [{"thought_signature": "cw==", "tool_call": 0}],
        },
    ),
    "cohere": (
        "cohere_chat",
        [
            cohere("content-start", text="H"),
            cohere("content-delta", text="i"),
            cohere("citation-start"),
            COHERE_END,
        ],
        {"text": "Hi", "others": ["citation"]},
    ),
    "ollama": (
        "ollama_chat",
        [
            records(
                {
                    "message": {
                        "thinking": None,
                        "content": "",
                        "tool_calls": None,
                        "images": ["PNG"],
                    },
                    "done": True,
                    "done_reason": "stop",
                    "prompt_eval_count": 1,
                    "eval_count": 1,
                }
            )
        ],
        {"others": ["image"]},
    ),
    "mistral": (
        "mistral_chat",
        [
            records({"data": {"choices": [{"delta": {"content": [{"type": "reference"}]}}]}}),
            records(MISTRAL_END),
        ],
        {"others": ["reference"]},
    ),
    "bedrock": (
        "bedrock_converse",
        [
            block(0, delta=THOUGHT),
            block(0, delta={"reasoningContent": {"signature": "SIG"}}),
            {"contentBlockStop": {"contentBlockIndex": 0}},
            block(1, delta={"reasoningContent": {"redactedContent": b"R"}}),
            block(2, start={"image": {"format": "png"}}),
            block(2, delta={"image": {"source": {"bytes": b"PNG"}}}),
            block(3, delta={"text": "Hi", "citation": {"title": "t"}}),
            block(3, delta={"SDK_UNKNOWN_MEMBER": {"name": "video"}}),  # of an older boto3
            {"contentBlockStop": {"contentBlockIndex": 3}},
            BEDROCK_END,
        ],
        {
            "text": "Hi",
            "reasoning": "hm",
            "others": ["image", "image", "citation", "video"],
            "opaque": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "SIG"}}},
                {"reasoningContent": {"redactedContent": "Ug=="}},
            ],
        },
    ),
}


@pytest.mark.parametrize("name", FAKES)
def test_it_is_delivered_from_a_fake(name: str) -> None:
    """All content of the SDK's objects reaches the consumer."""
    adapter, events, expected = FAKES[name]
    items = read(adapter, *events)
    assert parts_of(collect(items), items) == expected


def test_a_signature_is_not_content() -> None:
    """An answer of a signature alone is empty."""
    with pytest.raises(ProviderError, match=r"\[empty\]"):
        read("gemini_chat", gemini({"text": "", "thought_signature": b"s"}))
    assert not has_content(Chunk(opaque={}))


def test_calls_of_mistral_and_ollama() -> None:
    """A call without an id gets a new one; its arguments are an object."""
    call = {"id": "null", "index": 0, "function": records({"name": "w", "arguments": "{}"})}
    delta = {"content": None, "tool_calls": [call]}
    event = records({"data": {"choices": [{"delta": delta, "finish_reason": "tool_calls"}]}})
    (found,) = collect(read("mistral_chat", event)).tool_calls
    assert (str(found.id)[:5], len(str(found.id)), found.name) == ("call_", 21, "w")
    function = record(name="w", arguments=ULM)
    message = record(thinking="hm", content="", tool_calls=[record(function=function)])
    more = record(message=message, done=False)
    end = record(message=record(thinking=None, content="", tool_calls=None), done=True)
    end.done_reason, end.prompt_eval_count, end.eval_count = "stop", 1, 2
    answer = collect(read("ollama_chat", more, end))
    assert (answer.reasoning, answer.tool_calls[0].arguments) == ("hm", ULM)
    again = collect(read("ollama_chat", more, end))  # Anthropic refuses two calls of one id
    assert answer.tool_calls[0].id != again.tool_calls[0].id


def test_record_of_groq() -> None:
    """It reports failures and usage."""
    usage = {"usage": {"prompt_tokens": 7, "completion_tokens": 12}}
    choice = {"delta": {"content": "Hi"}, "finish_reason": "stop"}
    good = records({"choices": [choice], "x_groq": usage})
    assert collect(read("groq_chat", good)).total_usage.output_tokens == 12
    with pytest.raises(ProviderError, match="over capacity"):
        read("groq_chat", records({"choices": [], "x_groq": {"error": "over capacity"}}))


def test_leaving_gemini_cancels_its_read() -> None:
    """The SDK's stream is read once more, and that read is cancelled, whether or not it ends."""
    seen: list[str] = []

    async def main(*, ends: bool) -> None:
        async def events() -> AsyncIterator[Any]:
            try:
                yield gemini({"text": "Hi"}, finish_reason=None)
                if not ends:
                    await asyncio.sleep(3600)
            except asyncio.CancelledError:
                seen.append("cancelled")
                raise
            finally:
                seen.append("closed")

        async def call(**_: Any) -> Any:
            return events()

        class Aio:
            models = record(generate_content_stream=call)

        source: Any = gemini_chat(Aio(), model="m", messages=MESSAGES)
        async with aclosing(achat_stream([source])) as stream:
            assert (await anext(stream)).text == "Hi"

    asyncio.run(main(ends=False))
    asyncio.run(main(ends=True))
    assert seen == ["cancelled", "closed", "closed"]


@pytest.mark.parametrize("name", ["gemini", "bedrock"])
def test_opaque_parts_can_be_written_as_json(name: str) -> None:
    """Bytes of a provider are kept as a text, so that `openai_sse` can send them."""
    adapter, events, _ = FAKES[name]
    response = openai_sse(read(adapter, *events))
    assert any(b"opaque" in event for event in response.body)
