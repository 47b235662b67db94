"""`FailoverChatModel`: a chat model for LangChain, with the real langchain-core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from failover_iter.llm import (
    AttemptUsage,
    Chunk,
    ProviderError,
    ToolCallDelta,
    Usage,
    anthropic_messages,
    continue_with,
    openai_chat,
)
from llm.faults import BACKUP_TEXT, FULL_TEXT, PARTIAL_TEXT
from llm.harness import Harness
from llm.sdks import SDKS
from support.needs import needs

needs("langchain_core.language_models")

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage  # noqa: E402
from langchain_core.tools import tool  # noqa: E402

from failover_iter.llm.langchain import FailoverChatModel  # noqa: E402

A: Any = {"provider": "p", "model": "a", "source": "p a", "answer": 1}
EARLIER = (AttemptUsage(provider="p", model="b", usage=Usage(input_tokens=7)),)
ANSWER = [
    Chunk(reasoning="Hm.", **A),
    Chunk(text="Hel", **A),
    Chunk(text="lo", **A),
    Chunk(tool_call=ToolCallDelta(index=0, name="weather", arguments='{"city": '), **A),
    Chunk(tool_call=ToolCallDelta(index=0, arguments='"Ulm"}'), **A),
    Chunk(opaque={"signature": "s"}, **A),
    Chunk(
        finish_reason="tool_calls",
        usage=Usage(input_tokens=7, output_tokens=12, cached_input_tokens=5, reasoning_tokens=3),
        earlier_usage=EARLIER,
        **A,
    ),
]


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"12 °C in {city}"


class Models:
    """Models over scripted sources, blocking and async, and their requests."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def model(self, *answers: list[Any], kinds: str = "both", **options: Any) -> Any:
        """Return a model whose sources yield these answers."""

        def source(answer: list[Any]) -> Callable[[], Iterator[Any]]:
            def opened() -> Iterator[Any]:
                for item in answer:
                    if isinstance(item, Exception):
                        raise item
                    yield item

            return opened

        def asource(answer: list[Any]) -> Callable[[], AsyncIterator[Any]]:
            async def opened() -> AsyncIterator[Any]:
                for item in source(answer)():
                    yield item

            return opened

        def sources(**request: Any) -> list[Any]:
            self.requests.append(request)
            return [source(answer) for answer in answers]

        def asources(**request: Any) -> list[Any]:
            self.requests.append(request)
            return [asource(answer) for answer in answers]

        given: dict[str, Any] = {"sources": sources, "asources": asources}
        if kinds != "both":
            given = {kinds: given[kinds]}
        return FailoverChatModel(**given, options=options)


@pytest.fixture
def models() -> Models:
    """A maker of models."""
    return Models()


CALLS = pytest.mark.parametrize("call", ["invoke", "ainvoke", "stream", "astream"])


def ask(model: Any, call: str, question: Any = "Hi") -> Any:
    """Return the message that this method of a model returns, streamed or not."""

    async def streamed() -> Any:
        whole = None
        async for piece in model.astream(question):
            whole = piece if whole is None else whole + piece
        return whole

    match call:
        case "invoke":
            return model.invoke(question)
        case "ainvoke":
            return asyncio.run(model.ainvoke(question))
        case "astream":
            return asyncio.run(streamed())
        case _:
            first, *rest = model.stream(question)
            return sum(rest, first)


@CALLS
@pytest.mark.parametrize("kinds", ["both", "sources"])
def test_a_whole_answer(models: Models, call: str, kinds: str) -> None:
    """The text, the reasoning, the call, the usage and who answered, after a failover."""
    message = ask(models.model([ConnectionError("busy")], ANSWER, kinds=kinds), call)
    assert message.content == "Hello"
    (called,) = message.tool_calls
    assert (called["name"], called["args"], called["id"]) == ("weather", {"city": "Ulm"}, "call_0")
    assert message.usage_metadata == {
        "input_tokens": 14,
        "output_tokens": 12,
        "total_tokens": 26,
        "input_token_details": {"cache_read": 5},
        "output_token_details": {"reasoning": 3},
    }
    assert message.response_metadata == {
        "finish_reason": "tool_calls",
        "model_name": "a",
        "provider": "p",
        "source": "p a",
    }
    assert message.additional_kwargs == {
        "reasoning_content": "Hm.",
        "opaque": [{"provider": "p", "part": {"signature": "s"}}],
    }
    assert message.content_blocks[0] == {"type": "reasoning", "reasoning": "Hm."}


@CALLS
def test_a_conversation(models: Models, call: str) -> None:
    """Messages, results of tools and what a provider needs back are sent in OpenAI's form."""
    model = models.model(ANSWER).bind_tools([weather], tool_choice="any").bind(stop=["."])
    answer = ask(model, call, [SystemMessage("Be brief."), HumanMessage("Hi")])
    call_id = answer.tool_calls[0]["id"]
    ask(model, call, [HumanMessage("Hi"), answer, ToolMessage("12 °C", tool_call_id=call_id)])
    first, second = models.requests
    assert first["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Hi"},
    ]
    assert (first["tool_choice"], first["stop"]) == ("required", ["."])
    assert first["tools"][0]["function"]["name"] == "weather"
    _, turn, result = second["messages"]
    assert turn["tool_calls"][0]["function"]["name"] == "weather"
    assert turn["opaque"] == [{"provider": "p", "part": {"signature": "s"}}]
    assert (result["role"], result["tool_call_id"]) == ("tool", call_id)


def test_choices_of_a_tool(models: Models) -> None:
    """Words stay unchanged, a name is a function, and without a choice none is sent."""
    for choice, sent in (
        ("auto", "auto"),
        ("weather", {"type": "function", "function": {"name": "weather"}}),
    ):
        models.model(ANSWER).bind_tools([weather], tool_choice=choice).invoke("Hi")
        assert models.requests[-1]["tool_choice"] == sent
    models.model(ANSWER).bind_tools([weather]).invoke("Hi")
    assert "tool_choice" not in models.requests[-1]


class City(BaseModel):
    """A city."""

    name: str


def test_structured_output(models: Models) -> None:
    """The schema is a response format, and the answer is parsed."""

    def answers(text: str) -> Any:
        return models.model([Chunk(text=text, **A), Chunk(finish_reason="stop", **A)])

    good, bad = answers('{"name": "Ulm"}'), answers("Ulm")
    assert good.with_structured_output(City).invoke("Hi") == City(name="Ulm")
    format_ = models.requests[-1]["response_format"]["json_schema"]
    assert (format_["name"], list(format_["schema"]["properties"])) == ("City", ["name"])
    schema = City.model_json_schema()
    assert good.with_structured_output(schema).invoke("Hi") == {"name": "Ulm"}
    raw = good.with_structured_output(City, include_raw=True).invoke("Hi")
    assert (raw["parsed"], raw["parsing_error"]) == (City(name="Ulm"), None)
    raw = bad.with_structured_output(City, include_raw=True).invoke("Hi")
    assert raw["raw"].content == "Ulm"
    assert raw["parsed"] is None
    assert "Ulm" in str(raw["parsing_error"])
    call = ToolCallDelta(index=0, name="City", arguments='{"name": "Ulm"}')
    calls = models.model([Chunk(tool_call=call, **A), Chunk(finish_reason="tool_calls", **A)])
    chain = calls.with_structured_output(City, method="function_calling")
    assert chain.invoke("Hi") == City(name="Ulm")


@CALLS
def test_an_answer_that_breaks_off(models: Models, call: str) -> None:
    """A whole answer starts over; a stream raises after what it has delivered."""
    broken = [Chunk(text="Hel", **A), ProviderError("cut", code="cut")]
    other: Any = A | {"answer": 2}
    good = [Chunk(text="Hi", **other), Chunk(finish_reason="stop", **other)]
    if call in {"invoke", "ainvoke"}:
        assert ask(models.model(broken, good), call).content == "Hi"
        return
    with pytest.raises(ProviderError, match="cut"):
        ask(models.model(broken, good), call)
    with pytest.raises(ProviderError, match="the answer started over"):
        ask(models.model(broken, good, mid_stream="restart"), call)


def test_arguments_that_were_cut_off(models: Models) -> None:
    """A call whose arguments are not JSON is an invalid one."""
    call = Chunk(tool_call=ToolCallDelta(index=0, name="f", arguments='{"a'), **A)
    model = models.model([call, Chunk(finish_reason="length", **A)])
    (invalid,) = model.invoke("Hi").invalid_tool_calls
    assert (invalid["name"], invalid["args"]) == ("f", '{"a')
    assert model.invoke("Hi").usage_metadata is None


def test_sources_are_needed(models: Models) -> None:
    """One of the two functions is; a model with async sources alone says so."""
    with pytest.raises(ValueError, match="needs sources or asources"):
        FailoverChatModel()
    model = models.model(ANSWER, kinds="asources")
    assert ask(model, "ainvoke").content == "Hello"
    with pytest.raises(TypeError, match="only async sources"):
        model.invoke("Hi")
    assert model._llm_type == "failover-iter"


REAL = [SDKS["openai-chat"], SDKS["anthropic"]]
SDKS_NEEDED = pytest.mark.skipif(
    not all(sdk.installed for sdk in REAL), reason="openai is not installed ('.[test]')"
)


@SDKS_NEEDED
@pytest.mark.parametrize("call", ["stream", "astream"])
def test_real_sdks(harness: Harness, call: str) -> None:
    """OpenAI breaks off, Claude continues; the chain is LangChain's."""
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate

    flavour = "async" if call == "astream" else "sync"
    clients = [harness.client(sdk, flavour) for sdk in REAL]
    models = harness.model("cut-after-3"), harness.model("rest")

    def sources(**request: Any) -> list[Any]:
        gpt = openai_chat(clients[0], model=models[0], **request)
        claude = anthropic_messages(clients[1], model=models[1], max_tokens=64, **request)
        return [gpt, claude]

    given = {"asources" if flavour == "async" else "sources": sources}
    model = FailoverChatModel(**given, options={"mid_stream": continue_with("instruct")})
    prompt = ChatPromptTemplate.from_messages([("system", "Be brief."), ("user", "{question}")])
    chain: Any = prompt | model | StrOutputParser()

    async def streamed() -> list[str]:
        return [piece async for piece in chain.astream({"question": "Why?"})]

    pieces = harness.run(streamed) if flavour == "async" else list(chain.stream("Why?"))
    assert "".join(pieces) == FULL_TEXT
    (body,) = harness.requests(models[1])
    assert PARTIAL_TEXT in str(body["messages"])


@SDKS_NEEDED
def test_a_loop_with_a_tool(harness: Harness) -> None:
    """Claude calls a tool, OpenAI answers: the conversation is LangChain's messages."""
    clients = [harness.client(sdk, "sync") for sdk in REAL]
    calling, answering = harness.model("tool-calls"), harness.model("ok")
    busy = harness.model("status-503")
    turns = iter([(busy, calling), (answering, calling)])

    def sources(**request: Any) -> list[Any]:
        gpt, claude = next(turns)
        return [
            openai_chat(clients[0], model=gpt, **request),
            anthropic_messages(clients[1], model=claude, max_tokens=64, **request),
        ]

    model = FailoverChatModel(sources=sources).bind_tools([weather])
    messages: list[Any] = [HumanMessage("What is the weather?")]
    answer: AIMessage = model.invoke(messages)
    results = [ToolMessage("12 °C", tool_call_id=call["id"]) for call in answer.tool_calls]
    assert results
    assert model.invoke([*messages, answer, *results]).content == BACKUP_TEXT
