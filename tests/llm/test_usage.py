"""The usage of an answer adds up: the same counts for every provider, and every attempt."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from failover_iter.llm import AttemptUsage, Usage, chat, chat_stream, collect
from llm.cases import cases, skip_unless_installed
from llm.fakes import Client, records, source_of
from llm.harness import Harness
from llm.other_protocols import PROTOCOLS
from llm.protocols import sse
from llm.sdks import SDK, SDKS

OPENAI, CLAUDE = PROTOCOLS["openai"], PROTOCOLS["anthropic"]
RESPONSES: Any = PROTOCOLS["responses"]


def counts(usage: Usage | None) -> tuple[int | None, ...]:
    """Return the counts: input, cached, output, reasoning."""
    assert usage is not None
    return (
        usage.input_tokens,
        usage.cached_input_tokens,
        usage.output_tokens,
        usage.reasoning_tokens,
    )


CACHES = {"cache_read_input_tokens": 9000, "cache_creation_input_tokens": 100}


def claude(start: dict[str, Any], end: dict[str, Any]) -> list[bytes]:
    """Return an answer of Claude's with these reports of usage."""
    wire: Any = CLAUDE
    message = {"id": "m", "type": "message", "role": "assistant", "content": [], "model": "m"}
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        wire.event("message_start", message=message | {"usage": start}),
        wire.token("Hi", 0),
        wire.event("message_delta", delta=delta, usage=end),
        *wire.done(),
    ]


#: SDK, the stream, and its counts.
REPORTS: list[tuple[str, list[bytes], tuple[int | None, ...]]] = [
    (
        "openai-chat",
        [
            OPENAI.token("Hi", 0),
            OPENAI.chunk({}, reason="stop"),
            sse(
                OPENAI.envelope([])
                | {
                    "usage": {
                        "prompt_tokens": 9105,
                        "completion_tokens": 3020,
                        "prompt_tokens_details": {"cached_tokens": 9000},
                        "completion_tokens_details": {"reasoning_tokens": 3000},
                    }
                }
            ),
            *OPENAI.done(),
        ],
        (9105, 9000, 3020, 3000),
    ),
    (
        "openai-responses",
        [
            RESPONSES.token("Hi", 0),
            RESPONSES.event(
                "response.completed",
                response=RESPONSES.response(
                    "completed",
                    usage={
                        "input_tokens": 9105,
                        "output_tokens": 3020,
                        "input_tokens_details": {"cached_tokens": 9000},
                        "output_tokens_details": {"reasoning_tokens": 3000},
                    },
                ),
            ),
        ],
        (9105, 9000, 3020, 3000),
    ),
    (
        "anthropic",
        claude({"input_tokens": 5, "output_tokens": 1, **CACHES}, {"output_tokens": 20}),
        (9105, 9000, 20, None),
    ),
    (
        "anthropic",
        claude(
            {"input_tokens": 5, "output_tokens": 1},
            {"input_tokens": 5, "output_tokens": 20, **CACHES},
        ),
        (9105, 9000, 20, None),
    ),
    ("anthropic", claude({}, {"output_tokens": 20}), (None, None, 20, None)),
]


@pytest.mark.parametrize("flavour", ["sync", "async"])
@pytest.mark.parametrize(
    "report",
    [
        pytest.param(each, id=each[0], marks=list(skip_unless_installed(SDKS[each[0]])))
        for each in REPORTS
    ],
)
def test_counts_mean_the_same(harness: Harness, report: Any, flavour: str) -> None:
    """The input includes what was cached, and the output the reasoning."""
    name, pieces, expected = report
    source = harness.source(SDKS[name], flavour, harness.scripted(pieces))
    items, error = harness.deliver(flavour, [source])
    assert error is None
    assert counts(items[-1].usage) == expected


def gemini(**given: int) -> Any:
    """Return a whole answer of Gemini's."""
    content = {"parts": [{"text": "Hi"}]}
    candidates = [{"content": content, "finish_reason": "STOP"}]
    return records({"usage_metadata": given or None, "candidates": candidates})


def bedrock(**given: int) -> list[Any]:
    """Return a whole answer of Bedrock's."""
    text = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hi"}}}
    return [text, {"messageStop": {"stopReason": "end_turn"}}, {"metadata": {"usage": given}}]


@pytest.mark.parametrize(
    ("adapter", "events", "expected"),
    [
        (
            "gemini_chat",
            [
                gemini(
                    prompt_token_count=9000,
                    tool_use_prompt_token_count=105,
                    cached_content_token_count=8000,
                    candidates_token_count=20,
                    thoughts_token_count=3000,
                )
            ],
            (9105, 8000, 3020, 3000),
        ),
        ("gemini_chat", [gemini(candidates_token_count=20)], (None, None, 20, None)),
        (
            "bedrock_converse",
            bedrock(
                inputTokens=5,
                cacheReadInputTokens=9000,
                cacheWriteInputTokens=100,
                outputTokens=20,
            ),
            (9105, 9000, 20, None),
        ),
        ("bedrock_converse", bedrock(outputTokens=20), (None, None, 20, None)),
    ],
)
def test_counts_of_a_fake(adapter: str, events: list[Any], expected: Any) -> None:
    """What Gemini and Bedrock count apart is added."""
    *_, last = chat_stream([source_of(adapter, Client(*events))])
    assert counts(last.usage) == expected


def test_no_usage_at_all() -> None:
    """An answer without a report has no usage."""
    *_, last = chat_stream([source_of("gemini_chat", Client(gemini()))])
    assert last.usage is None


@pytest.mark.parametrize(("sdk", "flavour"), cases())
@pytest.mark.parametrize("mode", ["raise", "restart"])
def test_attempts_that_failed(harness: Harness, sdk: SDK, flavour: str, mode: Any) -> None:
    """The message holds what a failed attempt reported, whether or not it delivered anything."""
    if sdk.package == "litellm":
        return  # it makes up the usage of an answer that was cut off
    fault = "preamble-only" if mode == "raise" else "cut-after-3"
    sources = [
        harness.source(sdk, flavour, harness.model(each), name=name)
        for each, name in ((fault, "east"), ("ok", "west"))
    ]
    items, error = harness.deliver(flavour, sources, mid_stream=mode)
    assert error is None
    message = collect(items)
    reported = [(each.source, each.usage.input_tokens) for each in message.usage]
    early = sdk.name == "anthropic" or (sdk.protocol == "gemini" and mode == "restart")
    assert reported == [("east", 7)] * early + [("west", 7)]
    assert message.total_usage.input_tokens == 7 * len(reported)


@pytest.mark.skipif(not SDKS["openai-chat"].installed, reason="openai is not installed ('.[test]')")
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_openai_is_asked_for_the_usage(harness: Harness, flavour: str) -> None:
    """The request asks for it, unless the user passes None or other options."""
    for given, sent in (
        ({}, {"include_usage": True}),
        ({"stream_options": None}, None),
        ({"stream_options": {"include_usage": False}}, {"include_usage": False}),
    ):
        model = harness.model("ok")
        source = harness.source(SDKS["openai-chat"], flavour, model, **given)
        assert harness.deliver(flavour, [source])[1] is None
        assert harness.requests(model)[0].get("stream_options") == sent


def test_sum() -> None:
    """A count that nobody reported stays None."""
    one, two = Usage(input_tokens=1, raw="x"), Usage(input_tokens=2, output_tokens=3)
    assert one + two == two + one == Usage(input_tokens=3, output_tokens=3)
    assert collect([]).total_usage == Usage()


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_usage_when_every_source_fails(harness: Harness, sdk: SDK, flavour: str) -> None:
    """`on_usage` is called once for each attempt that reported its usage."""
    if sdk.package == "litellm":
        return  # it makes up the usage of an answer that was cut off
    sources = [
        harness.source(sdk, flavour, harness.model("cut-after-3"), name=name)
        for name in ("east", "west")
    ]
    spent: list[AttemptUsage] = []
    _, error = harness.deliver(flavour, sources, mid_stream="restart", on_usage=spent.append)
    assert error is not None
    early = sdk.name == "anthropic" or sdk.protocol == "gemini"
    reported = [(each.source, each.usage.input_tokens) for each in spent]
    assert reported == [("east", 7), ("west", 7)] * early


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_usage_is_reported_once(harness: Harness, sdk: SDK, flavour: str) -> None:
    """`on_usage` is called for a complete answer too, between two events."""
    log: list[Any] = []
    source = harness.source(sdk, flavour, harness.model("ok"), name="east")
    harness.deliver(
        flavour,
        [source],
        on_usage=lambda usage: log.append(counts(usage.usage)[::2]),
        on_event=lambda event: log.append(type(event).__name__),
    )
    assert log == ["Opening", "Committed", (7, 12), "Completed"]


CLAUDE_START = [
    records({"type": "message_start", "message": {"usage": {"input_tokens": 7}}}),
    records({"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}),
    records(
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hi"}}
    ),
]


def test_usage_of_an_answer_that_is_left() -> None:
    """The usage so far is reported when the consumer leaves early."""
    spent: list[AttemptUsage] = []
    source = source_of("anthropic_messages", Client(*CLAUDE_START))
    with closing(chat_stream([source], on_usage=spent.append)) as stream:
        assert next(stream).text == "Hi"
        assert spent == []
    assert [each.usage.input_tokens for each in spent] == [7]


def test_usage_of_an_answer_that_is_refused() -> None:
    """An answer that the judge refuses was paid for: its usage is in the message."""
    first, second = (source_of("gemini_chat", Client(gemini(prompt_token_count=7))) for _ in "ab")
    verdicts = iter([False, True])
    message = chat([first, second], judge=lambda _: next(verdicts))
    assert message.total_usage.input_tokens == 14


def test_an_error_of_on_usage_is_raised() -> None:
    """It is an error of the caller, so it causes no switch."""

    def refuse(usage: AttemptUsage) -> None:
        raise ConnectionError("the books are closed")

    backup = Client(gemini(prompt_token_count=7))
    sources = [source_of("gemini_chat", Client(gemini(prompt_token_count=7))) for _ in "a"]
    with pytest.raises(ConnectionError, match="the books are closed"):
        list(chat_stream([*sources, source_of("gemini_chat", backup)], on_usage=refuse))
    assert backup.requests == []
    with pytest.raises(TypeError, match="on_usage must be a function"):
        chat_stream(sources, on_usage=[])  # type: ignore[call-overload]
