"""Corners of the adapters that no provider was seen to turn: what an SDK's types allow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from types import SimpleNamespace
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
    openai_chat,
    openai_responses,
)
from failover_iter.llm._answer import Answer

MESSAGES = [{"role": "user", "content": "Hi"}]


def record(**said: Any) -> Any:
    """An object with these attributes."""
    return SimpleNamespace(**said)


class Client:
    """A blocking client of any SDK: it gives these events, and remembers what it was asked."""

    def __init__(self, *events: Any, close: Callable[[], None] | None = None) -> None:
        self.events = events
        self.asked: list[Any] = []
        self.chat = record(completions=record(create=self.create))
        self.messages = self.responses = record(create=self.create)
        self.models = record(generate_content_stream=self.create)
        self.aio = record(models=record(generate_content_stream=None))
        self.on_close = close

    def create(self, **arguments: Any) -> Any:
        """Answer with the events."""
        self.asked.append(arguments)
        return self if self.on_close else iter(self.events)

    def converse_stream(self, **arguments: Any) -> Any:
        """The same, in the form of boto3."""
        return {"stream": self.create(**arguments)}

    def __iter__(self) -> Iterator[Any]:
        for event in self.events:
            if isinstance(event, Exception):
                raise event
            yield event

    def close(self) -> None:
        """Close the stream, or the client."""
        if self.on_close:
            self.on_close()


def choice(text: str | None, reason: str | None = None, index: int = 0) -> Any:
    """A chunk of chat completions."""
    delta = record(content=text, tool_calls=None)
    return record(choices=[record(index=index, delta=delta, finish_reason=reason)], usage=None)


def test_the_first_of_several_choices_is_delivered() -> None:
    """Of an answer with n=2 the second choice is left out."""
    client = Client(choice("a"), choice("b", index=1), choice(None, "stop"))
    chunks = list(chat_stream([openai_chat(client, model="m", messages=MESSAGES)]))
    assert [chunk.text for chunk in chunks] == ["a", ""]


def test_an_error_object_that_says_nothing() -> None:
    """It is an error all the same."""
    with pytest.raises(ProviderError, match="the provider sent an error"):
        list(chat_stream([openai_chat(Client(record(choices=None)), model="m", messages=[])]))


def test_a_refusal_in_a_chat_completion() -> None:
    """The refusal is the text, and the reason to finish says so."""
    delta = record(content=None, refusal="I cannot say that.", tool_calls=None)
    said = record(choices=[record(index=0, delta=delta, finish_reason=None)], usage=None)
    source = openai_chat(Client(said, choice(None, "stop")), model="m", messages=MESSAGES)
    *_, first, last = chat_stream([source])
    assert first.text == "I cannot say that."
    assert (last.finish_reason, last.raw_finish_reason) == ("content_filter", "stop")


def test_a_response_that_says_little() -> None:
    """Without usage, without details, without a code it is read as far as it goes."""
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
def test_anthropic_keeps_what_the_system_was_told(system: Any, blocks: list[str]) -> None:
    """System messages come behind what stands in `system`; without any it is left alone."""
    client = Client()
    messages = [{"role": "system", "content": "Be brief."}, *MESSAGES]
    given = {} if system is None else {"system": system}
    for said in (messages, MESSAGES):
        source = anthropic_messages(client, model="m", max_tokens=1, messages=said, **given)
        with pytest.raises(ProviderError, match="without an answer"):
            list(chat_stream([source]))
    assert [block["text"] for block in client.asked[0]["system"]] == blocks
    assert client.asked[1].get("system") == system
    assert client.asked[0]["messages"] == client.asked[1]["messages"] == MESSAGES


def test_bedrock_keeps_its_own_form() -> None:
    """Messages that are in the provider's form, and a system that is, pass untouched."""
    own = {"role": "user", "content": [{"image": {}}]}
    said = [{"role": "system", "content": "Be brief."}, own]
    client = Client()
    source = bedrock_converse(client, modelId="m", messages=said, system=[{"text": "Be kind."}])
    for each in (source, bedrock_converse(client, modelId="m", messages=[own])):
        with pytest.raises(ProviderError, match="without an answer"):
            list(chat_stream([each]))
    with_system, without = client.asked
    assert with_system["messages"] == without["messages"] == [own]
    assert with_system["system"] == [{"text": "Be kind."}, {"text": "Be brief."}]
    assert "system" not in without


class Config:
    """A config that is an object, as google-genai's."""

    def __init__(self, system_instruction: Any = None) -> None:
        self.system_instruction = system_instruction

    def model_copy(self, *, update: dict[str, Any]) -> Config:
        """As pydantic does it."""
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
def test_gemini_keeps_what_the_config_says(config: Any, instruction: str) -> None:
    """System messages come behind the instruction of the config, which itself is untouched."""
    client = Client()
    said = [{"role": "system", "content": "Be brief."}, *MESSAGES]
    with pytest.raises(ProviderError, match="without an answer"):
        list(chat_stream([gemini_chat(client, model="m", messages=said, config=config)]))
    (asked,) = client.asked
    got = asked["config"]
    assert (got["system_instruction"] if isinstance(got, dict) else got.system_instruction) == (
        instruction
    )
    assert asked["contents"] == [{"role": "user", "parts": [{"text": "Hi"}]}]
    assert config is None or got is not config


def test_gemini_refuses_what_it_cannot_join() -> None:
    """An instruction that is no text cannot have system messages behind it."""
    said = [{"role": "system", "content": "Be brief."}]
    config = {"system_instruction": {"parts": []}}
    with pytest.raises(TypeError, match="system_instruction is a str, got dict"):
        list(chat_stream([gemini_chat(Client(), model="m", messages=said, config=config)]))


def test_gemini_takes_contents_as_they_are() -> None:
    """A plain string, the provider's own form, and no system message: nothing is changed."""
    own: dict[str, Any] = {"role": "user", "parts": []}
    client = Client()
    for contents in ("Hi", [own]):
        with pytest.raises(ProviderError, match="without an answer"):
            list(chat_stream([gemini_chat(client, model="m", contents=contents)]))
    assert [asked["contents"] for asked in client.asked] == ["Hi", [own]]


def test_gemini_goes_on_with_a_plain_question() -> None:
    """A conversation that is one string becomes one of turns when an answer is continued."""
    client = Client()
    so_far = Progress(delivered=1, items=(Chunk(text="It"),))
    factory: Any = gemini_chat(client, model="m", contents="Hi").factory
    assert list(factory.request(so_far).arguments["contents"][0]["parts"]) == [{"text": "Hi"}]


def candidate(*parts: Any, reason: Any = None) -> Any:
    """A chunk of Gemini's."""
    content = record(parts=list(parts)) if parts else None
    return record(
        usage_metadata=None,
        candidates=[record(content=content, finish_reason=reason)],
        prompt_feedback=None,
    )


def test_gemini_without_content_or_reason() -> None:
    """A candidate that has neither is a ping; an unspecified reason is none."""
    part = record(function_call=None, thought=None, text="a")
    ends = [candidate(part), candidate(reason="FINISH_REASON_UNSPECIFIED")]
    with pytest.raises(ProviderError, match=r"\[cut\]"):
        list(chat_stream([gemini_chat(Client(*ends), model="m", contents="Hi")]))


@pytest.mark.parametrize(("reason", "transient"), [("OTHER", True), ("MALFORMED_RESPONSE", True)])
def test_gemini_ends_with_an_error(reason: str, transient: bool) -> None:
    """A reason to finish that is a failure of the provider causes a switch."""
    with pytest.raises(ProviderError, match=reason) as raised:
        list(chat_stream([gemini_chat(Client(candidate(reason=reason)), model="m", contents="Hi")]))
    assert is_transient(raised.value) == transient


def test_gemini_of_the_async_client_alone() -> None:
    """`client.aio` serves async streams; in a blocking one it is refused at the call."""

    class Aio:
        models = record(generate_content_stream=None)

    with pytest.raises(TypeError, match="is async"):
        chat_stream([gemini_chat(Aio(), model="m", contents="Hi")])


def test_cohere_sends_an_event_of_its_error() -> None:
    """Where the SDK lets an error event through, it is an error."""

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
    """Closes badly."""
    raise OSError("bad file descriptor")


def test_an_error_of_closing_hides_nothing() -> None:
    """What the stream failed with is raised; what closing it did stands in its notes."""
    client = Client(ConnectionError("reset"), close=fail_to_close)
    with pytest.raises(ConnectionError) as raised:
        list(chat_stream([openai_chat(client, model="m", messages=MESSAGES)]))
    assert "closing the stream raised OSError: bad file descriptor" in raised.value.__notes__


def test_an_error_of_closing_is_told() -> None:
    """After a good end, or when the consumer leaves, it is the consumer's."""
    client = Client(choice("a"), choice("b", "stop"), close=fail_to_close)
    for leave in (list, lambda stream: (next(stream), stream.close())):
        with pytest.raises(OSError, match="bad file descriptor"):
            leave(chat_stream([openai_chat(client, model="m", messages=MESSAGES)]))


def test_a_stream_that_cannot_be_closed() -> None:
    """A client may give any async iterable: there is nothing to close then."""

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
    """An async stream that closes badly."""

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


def test_an_error_of_closing_async() -> None:
    """The same, async."""

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


def test_what_is_not_new() -> None:
    """At its start an answer may repeat what was delivered, in pieces of any size."""

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
    assert text_after("It is", "It") == "It"  # it said so much, and no more
    assert text_after("It is", "It", " is") == ""
    assert text_after("", "It") == "It"
