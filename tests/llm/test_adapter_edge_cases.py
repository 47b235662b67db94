"""Edge cases of the adapters: events that an SDK's types allow but no provider was seen to send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from failover_iter import Progress
from failover_iter.llm import (
    Chunk,
    ProviderError,
    achat_stream,
    anthropic_messages,
    bedrock_converse,
    chat_stream,
    cohere_chat,
    gemini_chat,
    is_transient,
    litellm_completion,
    openai_chat,
    openai_responses,
)
from failover_iter.llm._answer import Answer
from failover_iter.llm._opening import Opening
from llm.fakes import MESSAGES, Client, choice, record
from llm.harness import Harness
from llm.other_protocols import PROTOCOLS
from llm.sdks import SDKS

COHERE = SDKS["cohere"]


def test_repr_hides_the_arguments() -> None:
    """The repr of a source contains neither the prompt nor a key."""
    dual = litellm_completion(model="m", messages=MESSAGES, api_key="secret")
    blocking = openai_chat(Client(), model="m", messages=MESSAGES)
    factory: Any = blocking.factory
    shown = repr([dual, dual.factory(), blocking, Opening(factory, Progress())])
    assert "Hi" not in shown
    assert "secret" not in shown


def test_the_first_of_several_choices_is_delivered() -> None:
    """With n=2 the second choice is not delivered."""
    client = Client(choice("a"), choice("b", index=1), choice(None, "stop"))
    chunks = list(chat_stream([openai_chat(client, model="m", messages=MESSAGES, n=2)]))
    assert [chunk.text for chunk in chunks] == ["a", ""]


def test_error_object_without_details() -> None:
    """An error object without code and message raises, too."""
    with pytest.raises(ProviderError, match="the provider sent an error"):
        list(chat_stream([openai_chat(Client(record(choices=None)), model="m", messages=[])]))


def test_refusal_in_a_chat_completion() -> None:
    """The refusal is the text, and the finish reason is "content_filter"."""
    delta = record(content=None, refusal="I cannot say that.", tool_calls=None)
    refusal = record(choices=[record(index=0, delta=delta, finish_reason=None)], usage=None)
    source = openai_chat(Client(refusal, choice(None, "stop")), model="m", messages=MESSAGES)
    *_, first, last = chat_stream([source])
    assert first.text == "I cannot say that."
    assert (last.finish_reason, last.raw_finish_reason) == ("content_filter", "stop")


def test_response_without_details() -> None:
    """A response without usage, details or error code can be read."""
    text = record(type="response.output_text.delta", delta="a")
    response = record(usage=None, incomplete_details=None, error=None)
    ended = record(type="response.incomplete", response=response)
    *_, last = chat_stream([openai_responses(Client(text, ended), model="m", input="Hi")])
    assert (last.finish_reason, last.raw_finish_reason) == ("other", "incomplete")
    failed = record(type="response.failed", response=response)
    with pytest.raises(ProviderError, match="the provider sent an error"):
        list(chat_stream([openai_responses(Client(failed), model="m", input="Hi")]))


@pytest.mark.parametrize(
    ("system", "blocks"),
    [
        ("Be kind.", ["Be kind.", "Be brief."]),
        ([{"type": "text", "text": "Be kind."}], ["Be kind.", "Be brief."]),
        (None, ["Be brief."]),
    ],
)
def test_anthropic_keeps_the_system_argument(system: Any, blocks: list[str]) -> None:
    """System messages are appended to `system`; without system messages it is unchanged."""
    client = Client()
    messages = [{"role": "system", "content": "Be brief."}, *MESSAGES]
    own = {} if system is None else {"system": system}
    for turns in (messages, MESSAGES):
        source = anthropic_messages(client, model="m", max_tokens=1, messages=turns, **own)
        with pytest.raises(ProviderError, match="without an answer"):
            list(chat_stream([source]))
    assert [block["text"] for block in client.requests[0]["system"]] == blocks
    assert client.requests[1].get("system") == system
    assert client.requests[0]["messages"] == client.requests[1]["messages"] == MESSAGES


def test_bedrock_keeps_its_own_form() -> None:
    """Messages and a `system` in the provider's form are passed unchanged."""
    own = {"role": "user", "content": [{"image": {}}]}
    messages = [{"role": "system", "content": "Be brief."}, own]
    client = Client()
    source = bedrock_converse(client, modelId="m", messages=messages, system=[{"text": "Be kind."}])
    for each in (source, bedrock_converse(client, modelId="m", messages=[own])):
        with pytest.raises(ProviderError, match="without an answer"):
            list(chat_stream([each]))
    with_system, without = client.requests
    assert with_system["messages"] == without["messages"] == [own]
    assert with_system["system"] == [{"text": "Be kind."}, {"text": "Be brief."}]
    assert "system" not in without


class Config:
    """A config object like google-genai's."""

    def __init__(self, system_instruction: Any = None) -> None:
        self.system_instruction = system_instruction

    def model_copy(self, *, update: dict[str, Any]) -> Config:
        """Copy as pydantic does."""
        return Config(**update)


@pytest.mark.parametrize(
    ("config", "instruction"),
    [
        (None, "Be brief."),
        ({"system_instruction": "Be kind."}, "Be kind.\n\nBe brief."),
        (Config(), "Be brief."),
        (Config("Be kind."), "Be kind.\n\nBe brief."),
    ],
)
def test_gemini_keeps_the_config(config: Any, instruction: str) -> None:
    """System messages are appended to the config's instruction in a copy of the config."""
    client = Client()
    messages = [{"role": "system", "content": "Be brief."}, *MESSAGES]
    with pytest.raises(ProviderError, match="without an answer"):
        list(chat_stream([gemini_chat(client, model="m", messages=messages, config=config)]))
    (request,) = client.requests
    got = request["config"]
    assert (got["system_instruction"] if isinstance(got, dict) else got.system_instruction) == (
        instruction
    )
    assert request["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert config is None or got is not config


def test_gemini_refuses_what_it_cannot_join() -> None:
    """System messages cannot be appended to an instruction that is not text."""
    messages = [{"role": "system", "content": "Be brief."}]
    config = {"system_instruction": {"parts": []}}
    with pytest.raises(TypeError, match="system_instruction is a str, got dict"):
        list(chat_stream([gemini_chat(Client(), model="m", messages=messages, config=config)]))


def test_gemini_contents_are_passed_unchanged() -> None:
    """A plain string, and contents in the provider's form, are passed unchanged."""
    own: dict[str, Any] = {"role": "user", "parts": []}
    client = Client()
    for contents in ("Hi", [own]):
        with pytest.raises(ProviderError, match="without an answer"):
            list(chat_stream([gemini_chat(client, model="m", contents=contents)]))
    assert [each["contents"] for each in client.requests] == ["Hi", [own]]


def test_gemini_continues_after_a_plain_question() -> None:
    """A conversation that is a string becomes a list of turns when an answer is continued."""
    client = Client()
    so_far = Progress(delivered=1, items=(Chunk(text="It"),))
    factory: Any = gemini_chat(client, model="m", contents="Hi").factory
    assert list(next(Opening(factory, so_far).requests())["contents"][0]["parts"]) == [
        {"text": "Hi"}
    ]


def candidate(*parts: Any, reason: Any = None) -> Any:
    """Return a chunk of Gemini's."""
    content = record(parts=list(parts)) if parts else None
    return record(
        usage_metadata=None,
        candidates=[record(content=content, finish_reason=reason)],
        prompt_feedback=None,
    )


def test_gemini_without_content_or_reason() -> None:
    """A candidate without both is a ping; an unspecified finish reason does not count."""
    part = record(function_call=None, thought=None, text="a")
    ends = [candidate(part), candidate(reason="FINISH_REASON_UNSPECIFIED")]
    with pytest.raises(ProviderError, match=r"\[cut\]"):
        list(chat_stream([gemini_chat(Client(*ends), model="m", contents="Hi")]))


@pytest.mark.parametrize(("reason", "transient"), [("OTHER", True), ("MALFORMED_RESPONSE", True)])
def test_gemini_ends_with_an_error(reason: str, transient: bool) -> None:
    """A finish reason that means a failure of the provider causes a switch."""
    with pytest.raises(ProviderError, match=reason) as raised:
        list(chat_stream([gemini_chat(Client(candidate(reason=reason)), model="m", contents="Hi")]))
    assert is_transient(raised.value) == transient


def test_gemini_async_client_alone() -> None:
    """`client.aio` works in async streams; a blocking stream refuses it at the call."""

    class Aio:
        models = record(generate_content_stream=None)

    with pytest.raises(TypeError, match="is async"):
        chat_stream([gemini_chat(Aio(), model="m", contents="Hi")])


def test_cohere_error_event() -> None:
    """An error event that the SDK lets through raises."""

    class CohereClient:
        class with_raw_response:  # noqa: N801 (the SDK's name)
            @staticmethod
            def chat_stream(**_: Any) -> Any: ...

        chat_stream: Any = None

    source = cohere_chat(CohereClient(), model="m", messages=MESSAGES)
    answer = source.factory.answer_type("m")  # type: ignore[union-attr]
    with pytest.raises(ProviderError, match="overloaded"):
        list(answer.read(record(type="error", message="overloaded")))
    assert list(answer.read(record(type="debug"))) == []


def fail_to_close() -> None:
    """Raise an error on closing."""
    raise OSError("bad file descriptor")


@pytest.mark.skipif(not COHERE.installed, reason="cohere is not installed ('.[test-llm]')")
@pytest.mark.parametrize("flavour", ["sync", "async"])
def test_an_event_that_cohere_drops(harness: Harness, flavour: str) -> None:
    """It is missed at once, or at the end if all arrived together; one of a new type is not."""
    wire: Any = PROTOCOLS["cohere"]
    before, after = [*wire.start(), wire.token("a", 0)], [wire.token("b", 1), *wire.finish()]
    for odd, texts in ((wire.unreadable(), "a"), (wire.event("mood", mood="good"), "ab")):
        pieces = [*before, odd, *after, *wire.done()]
        for sent in (pieces, [b"".join(pieces).replace(b"\n", b"\r\n")]):
            source = harness.source(COHERE, flavour, harness.scripted(sent))
            items, error = harness.deliver(flavour, [source])
            assert "".join(item.text for item in items).startswith(texts)
            assert getattr(error, "code", None) == ("hole" if texts == "a" else None)


def test_close_error_after_a_failure() -> None:
    """The error of the stream is raised, with the error of closing in its notes."""
    client = Client(ConnectionError("reset"), close=fail_to_close)
    with pytest.raises(ConnectionError) as raised:
        list(chat_stream([openai_chat(client, model="m", messages=MESSAGES)]))
    assert "closing the stream raised OSError: bad file descriptor" in raised.value.__notes__


def test_close_error_after_a_good_end() -> None:
    """After a good end, or when the consumer leaves, an error of closing is raised."""
    client = Client(choice("a"), choice("b", "stop"), close=fail_to_close)
    for leave in (list, lambda stream: (next(stream), stream.close())):
        with pytest.raises(OSError, match="bad file descriptor"):
            leave(chat_stream([openai_chat(client, model="m", messages=MESSAGES)]))


def test_stream_without_close() -> None:
    """A client may return an iterable that has no `close`, blocking or async."""
    plain: Any = Client()
    plain.chat.completions = record(create=lambda **_: iter([choice("a", "stop")]))
    stream = chat_stream([openai_chat(plain, model="m", messages=MESSAGES)])
    assert [chunk.text for chunk in stream] == ["a", ""]

    class Bare:
        async def __aiter__(self) -> AsyncIterator[Any]:
            yield choice("a", "stop")

    async def close() -> None: ...

    async def main() -> list[str]:
        made = record(create=lambda **_: Bare())
        client: Any = record(chat=record(completions=made), close=close)
        source = openai_chat(client, model="m", messages=MESSAGES)
        return [chunk.text async for chunk in achat_stream([source])]

    assert asyncio.run(main()) == ["a", ""]


class AsyncStream:
    """An async stream that raises an error on closing."""

    def __init__(self, *events: Any) -> None:
        self.events = events

    async def __aiter__(self) -> AsyncIterator[Any]:
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            yield event

    async def close(self) -> None:
        """Close it."""
        fail_to_close()


def test_close_error_async() -> None:
    """An error of closing an async stream is noted after a failure, else raised."""

    def source(*events: Any) -> Any:
        async def create(**_: Any) -> Any:
            return AsyncStream(*events)

        client: Any = record(chat=record(completions=record(create=create)))

        async def close() -> None: ...

        client.close = close
        return openai_chat(client, model="m", messages=MESSAGES).factory

    async def main() -> None:
        with pytest.raises(ConnectionError) as raised:
            await anext(source(ConnectionError("reset"))())
        assert "closing the stream raised OSError: bad file descriptor" in raised.value.__notes__
        stream = source(choice("a"))()
        await anext(stream)
        with pytest.raises(OSError, match="bad file descriptor"):
            await stream.aclose()

    asyncio.run(main())


def test_repeated_prefill() -> None:
    """Text that the answer repeats at its start is dropped, in pieces of any size."""

    class Plain(Answer):
        provider = "mine"
        finish_reasons = {"stop": "stop"}  # noqa: RUF012

    def text_after(drop: str, *pieces: str) -> str:
        answer = Plain("m")
        answer.may_repeat, answer.is_continuation = drop, True
        chunks = [chunk for piece in pieces for chunk in answer.text(piece, None)]
        answer.set_finish_reason("stop", None)
        return "".join(chunk.text for chunk in [*chunks, *answer.end()])

    assert text_after("It is", "It", " is so") == " so"
    assert text_after("It is", "It is", " so") == " so"
    assert text_after("It is", "It", " was") == "It was"
    assert text_after("It is", "It") == "It"  # a partial repetition is not dropped
    assert text_after("It is", "It", " is") == ""
    assert text_after("", "It") == "It"
