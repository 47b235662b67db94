"""Chat streams, by the conventions of OpenTelemetry for generative AI."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from failover_iter.llm import Chunk, achat_stream, chat_stream, continue_with, openai_chat
from failover_iter.testing import VirtualClock
from llm.fakes import Client, choice, record, source_of
from support.needs import needs
from support.runners import quiet
from support.virtual import virtual_time

needs("opentelemetry.sdk")
needs("prometheus_client")

from opentelemetry.trace import SpanKind, StatusCode

from observe.recorded import Recorded

PROMPT, ANSWER, KEY = "how do I hide it", "under the mat", "sk-123456"
QUESTION = [{"role": "user", "content": PROMPT}]


def usage(prompt: int, completion: int) -> Any:
    """The last chunk of chat completions, which reports the tokens."""
    details = {"prompt_tokens_details": record(cached_tokens=3), "completion_tokens_details": None}
    tokens = record(prompt_tokens=prompt, completion_tokens=completion, **details)
    return record(choices=[], usage=tokens)


GOOD = (choice(ANSWER), choice(None, "stop"), usage(11, 5))
LOST = (choice(ANSWER), ConnectionError(f"Incorrect API key provided: {KEY}; {PROMPT}"))


def chat(model: str, *events: Any, **options: Any) -> Any:
    """A source of OpenAI's protocol with these events."""
    return openai_chat(Client(*events), model=model, messages=QUESTION, **options)


def attributes_of(span: Any) -> dict[str, Any]:
    """Those of the conventions."""
    return {name: value for name, value in span.attributes.items() if name.startswith("gen_ai.")}


OPENAI = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai"}


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def test_the_span_of_a_call(recorded: Recorded) -> None:
    """It is a client span, named after the model, with the provider and the tokens."""
    chunks = list(chat_stream([chat("gpt", *GOOD)], on_event=recorded.listener))
    assert "".join(chunk.text for chunk in chunks) == ANSWER
    call, whole = recorded.spans
    assert (call.name, call.kind) == ("chat gpt", SpanKind.CLIENT)
    assert attributes_of(call) == OPENAI | {
        "gen_ai.request.model": "gpt",
        "gen_ai.usage.input_tokens": 11,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 3,
    }
    assert (whole.name, attributes_of(whole)) == ("failover_iter.stream", {})


def test_the_metrics_of_a_call(recorded: Recorded) -> None:
    """Duration, time to the first chunk and tokens, by provider and model, and by error."""
    world = VirtualClock()

    class Slow(Client):
        def __iter__(self) -> Any:
            for event in super().__iter__():
                world.sleep(1)
                yield event

    sources = [
        openai_chat(Slow(*events), model=model, messages=QUESTION)
        for model, events in (("small", (choice(None), ConnectionError(KEY))), ("large", GOOD))
    ]
    with virtual_time(world), quiet():
        list(chat_stream(sources, on_event=recorded.listener))
    metrics = recorded.metrics()
    small = OPENAI | {"gen_ai.request.model": "small", "error.type": "ConnectionError"}
    large = OPENAI | {"gen_ai.request.model": "large"}
    calls = metrics["gen_ai.client.operation.duration"]
    assert [dict(point.attributes) for point in calls] == [small, large]
    assert [point.sum for point in calls] == [1, 3]
    (first,) = metrics["gen_ai.client.operation.time_to_first_chunk"]
    assert (dict(first.attributes), first.sum) == (large, 1)
    tokens = metrics["gen_ai.client.token.usage"]
    assert [(dict(point.attributes), point.sum) for point in tokens] == [
        (large | {"gen_ai.token.type": "input"}, 11),
        (large | {"gen_ai.token.type": "output"}, 5),
    ]


@pytest.mark.parametrize(
    ("adapter", "provider"),
    [
        ("anthropic_messages", "anthropic"),
        ("bedrock_converse", "aws.bedrock"),
        ("gemini_chat", "gcp.gemini"),
        ("mistral_chat", "mistral_ai"),
    ],
)
def test_the_provider_has_its_conventional_name(
    recorded: Recorded, adapter: str, provider: str
) -> None:
    """Some providers have another name there than here."""
    source = source_of(adapter, Client(ConnectionError("lost")))
    with quiet(), pytest.raises(ConnectionError):
        list(chat_stream([source], on_event=recorded.listener))
    call = recorded.spans[0]
    assert attributes_of(call)["gen_ai.provider.name"] == provider
    assert call.status.status_code is StatusCode.ERROR


def test_a_consumer_that_leaves(recorded: Recorded) -> None:
    """The call has a duration, and no error."""
    stream = chat_stream([chat("gpt", *GOOD)], on_event=recorded.listener)
    next(stream)
    stream.close()
    (point,) = recorded.metrics()["gen_ai.client.operation.duration"]
    assert dict(point.attributes) == OPENAI | {"gen_ai.request.model": "gpt"}


def test_a_source_that_is_no_adapter(recorded: Recorded) -> None:
    """Its provider is not known: its span has the kind of a call, and no more."""
    source = [Chunk(text="Hi"), Chunk(finish_reason="stop")]
    sources = [chat("gpt", ConnectionError("lost")), lambda: source]
    with quiet():
        list(chat_stream(sources, on_event=recorded.listener))
    call, other, _ = recorded.spans
    assert (call.name, other.name) == ("chat gpt", "failover_iter.attempt")
    assert (other.kind, attributes_of(other)) == (SpanKind.CLIENT, {})


@pytest.mark.parametrize("mode", ["raise", "restart", continue_with()])
def test_nothing_of_prompt_answer_or_key_is_recorded(recorded: Recorded, mode: Any) -> None:
    """Not even what the message of an error repeats of them."""
    sources = [chat("gpt", *LOST), chat("gpt", *LOST), chat("gpt", *GOOD)]
    with quiet():
        try:
            list(chat_stream(sources, mid_stream=mode, on_event=recorded.listener))
        except ConnectionError:
            assert mode == "raise"
    dump = recorded.dump()
    assert "gpt" in dump
    for secret in (PROMPT, ANSWER, KEY):
        assert secret not in dump


def test_an_async_chat(recorded: Recorded) -> None:
    """The same for `achat_stream`."""

    class AsyncClient:
        async def close(self) -> None: ...

        async def create(self, **arguments: Any) -> AsyncIterator[Any]:
            async def events() -> AsyncIterator[Any]:
                for event in GOOD:
                    yield event

            return events()

        @property
        def chat(self) -> Any:
            return record(completions=self)

    async def main() -> list[Chunk]:
        client: Any = AsyncClient()
        source = openai_chat(client, model="gpt", messages=QUESTION)
        return [chunk async for chunk in achat_stream([source], on_event=recorded.listener)]

    assert asyncio.run(main())[0].text == ANSWER
    assert attributes_of(recorded.spans[0])["gen_ai.usage.output_tokens"] == 5


def test_another_listener_is_called_as_ever(recorded: Recorded) -> None:
    """Neither a method for chats nor one for the end is needed."""
    seen: list[Any] = []

    class OnlyChats:
        def __call__(self, event: Any) -> None: ...

        def chat_event(self, event: Any, attempt: Any) -> None:
            seen.append((type(event).__name__, attempt and attempt.model))

    list(chat_stream([chat("gpt", *GOOD)], on_event=seen.append))
    assert [type(event).__name__ for event in seen] == ["Opening", "Committed", "Completed"]
    seen.clear()
    list(chat_stream([chat("gpt", *GOOD)], on_event=OnlyChats()))
    assert seen == [("Opening", None), ("Committed", "gpt"), ("Completed", "gpt")]
