"""`openai_sse` behind a real server, read by the real client of OpenAI."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from failover_iter.llm import (
    Chunk,
    ProviderError,
    ToolCallDelta,
    Usage,
    achat_stream,
    chat_stream,
    collect,
    error_kind,
    is_lasting,
    is_transient,
    openai_chat,
    openai_sse,
)
from support.needs import needs
from support.serving import serving

openai = needs("openai")
needs("uvicorn")
applications = needs("starlette.applications")
responses = needs("starlette.responses")
httpx = needs("httpx")

CALL = ToolCallDelta(index=0, id="c", name="weather", arguments='{"city": ')
GPT: Any = {"provider": "anthropic", "model": "gpt"}
ANSWER = [
    Chunk(reasoning="Hm.", **GPT),
    Chunk(text="Hel\u2028", **GPT),
    Chunk(text="lo", **GPT),
    Chunk(tool_call=CALL, **GPT),
    Chunk(tool_call=ToolCallDelta(index=0, arguments='"Ulm"}'), **GPT),
    Chunk(opaque={"signature": "s"}, **GPT),
    Chunk(
        finish_reason="tool_calls",
        **GPT,
        usage=Usage(input_tokens=7, output_tokens=12, cached_input_tokens=5, reasoning_tokens=3),
    ),
]
#: Each kind of error, its status in an HTTP response, and the kind that the client sees.
KINDS = [
    (ProviderError("x", code="rate_limit_exceeded"), 429, "rate_limit"),
    (ProviderError("x", code="insufficient_quota"), 429, "quota"),
    (ProviderError("x", code="server_error"), 503, "overloaded"),
    (TimeoutError("x"), 504, "timeout"),
    (ConnectionResetError("x"), 502, "overloaded"),
    (ProviderError("x", code="empty"), 502, "overloaded"),
    (ProviderError("x", code="invalid_api_key"), 500, "overloaded"),
    (ProviderError("x", code="model_not_found"), 404, "no_model"),
    (ProviderError("x", code="context_length_exceeded"), 400, "context"),
    (ProviderError("x", code="content_filter"), 400, "filtered"),
    (ProviderError("tool 3 has no name", code="invalid_request_error"), 400, "bad_request"),
]


class Gateway:
    """An application whose next answers are set by a test."""

    def __init__(self) -> None:
        self.items: list[Any] = []
        self.hangs = False
        self.closed = threading.Event()
        self.keep_alive = 0.02
        self.requests: list[Any] = []

    async def asource(self) -> AsyncIterator[Chunk]:
        """Yield the items, then hang or end."""
        try:
            for item in self.items:
                if isinstance(item, Exception):
                    raise item
                yield item
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.closed.set()

    def source(self) -> Iterator[Chunk]:
        """Yield the items."""
        for item in self.items:
            if isinstance(item, Exception):
                raise item
            yield item

    async def complete(self, request: Any) -> Any:
        """Answer a request for a chat completion."""
        body = json.loads(await request.body())
        self.requests.append(body)
        options = body.get("stream_options") or {}
        if body["model"] == "blocking":
            stream = chat_stream([self.source])
            made: Any = openai_sse(stream, include_usage=options.get("include_usage", False))
        else:
            made = await openai_sse(
                achat_stream([self.asource]),
                include_usage=options.get("include_usage", False),
                keep_alive=self.keep_alive,
            )
        return responses.StreamingResponse(made.body, made.status, made.headers)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Gateway, str]]:
    """The application and its address."""
    gateway = Gateway()
    app = applications.Starlette()
    app.add_route("/v1/chat/completions", gateway.complete, methods=["POST"])
    with serving(app) as server:
        yield gateway, f"{server.url}/v1"


@pytest.fixture
def gateway(running: tuple[Gateway, str]) -> Gateway:
    """The application, as new."""
    running[0].__init__()  # type: ignore[misc]
    return running[0]


@pytest.fixture
def client(running: tuple[Gateway, str]) -> Iterator[Any]:
    """The client of OpenAI."""
    with openai.OpenAI(base_url=running[1], api_key="none", max_retries=0) as client:
        yield client


BOTH = pytest.mark.parametrize("model", ["async", "blocking"])


def ask(client: Any, model: str = "async", **more: Any) -> Any:
    """Return the stream of the client."""
    return client.chat.completions.create(model=model, messages=[], stream=True, **more)


@BOTH
def test_the_client_reads_a_whole_answer(gateway: Gateway, client: Any, model: str) -> None:
    """Text, reasoning, a tool call, the finish reason and the usage arrive."""
    gateway.items = ANSWER
    events = list(ask(client, model, stream_options={"include_usage": True}))
    assert {(each.object, each.model) for each in events} == {("chat.completion.chunk", "gpt")}
    assert len({each.id for each in events}) == 1
    *_, finish, last = events
    deltas = [each.choices[0].delta for each in events[:-1]]
    assert [each.role for each in deltas] == ["assistant"] + [None] * 6
    assert "".join(each.content or "" for each in deltas) == "Hel\u2028lo"
    assert deltas[0].reasoning_content == "Hm."
    assert deltas[5].opaque == [{"provider": "anthropic", "part": {"signature": "s"}}]
    calls = [each.tool_calls[0] for each in deltas if each.tool_calls]
    assert [(call.index, call.id, call.function.name) for call in calls] == [
        (0, "c", "weather"),
        (0, None, None),
    ]
    assert "".join(call.function.arguments for call in calls) == '{"city": "Ulm"}'
    assert finish.choices[0].finish_reason == "tool_calls"
    assert (last.choices, last.usage.prompt_tokens, last.usage.total_tokens) == ([], 7, 19)
    assert last.usage.prompt_tokens_details.cached_tokens == 5
    assert last.usage.completion_tokens_details.reasoning_tokens == 3


@BOTH
def test_our_own_adapter_reads_it(gateway: Gateway, client: Any, model: str) -> None:
    """A gateway may be a source: the message is the same on both sides."""
    gateway.items = ANSWER
    message = collect(chat_stream([openai_chat(client, model=model, messages=[])]))
    first = collect(iter(ANSWER))
    for name in ("text", "reasoning", "tool_calls", "finish_reason"):
        assert getattr(message, name) == getattr(first, name)
    assert message.total_usage == first.total_usage


@BOTH
@pytest.mark.parametrize(("error", "status", "kind"), KINDS, ids=[str(each[1:]) for each in KINDS])
def test_the_status_is_known_before_the_first_byte(
    gateway: Gateway, client: Any, model: str, error: Exception, status: int, kind: str
) -> None:
    """If nothing was delivered, the client gets the status, and the same kind of error."""
    gateway.items = [Chunk(model="gpt"), error]
    with pytest.raises(openai.APIStatusError) as raised:
        ask(client, model)
    assert raised.value.status_code == status
    assert error_kind(raised.value) == kind
    own_request = status == 400
    assert (str(error) in raised.value.message) == own_request


@BOTH
@pytest.mark.parametrize(("error", "status", "kind"), KINDS, ids=[str(each[1:]) for each in KINDS])
def test_an_error_after_the_first_chunk_is_an_event(
    gateway: Gateway, client: Any, model: str, error: Exception, status: int, kind: str
) -> None:
    """The client gets what was delivered; then it raises, and the error has the same kind."""
    gateway.items = [Chunk(text="Hel", model="gpt"), error]
    stream = ask(client, model)
    assert next(stream).choices[0].delta.content == "Hel"
    with pytest.raises(openai.APIError) as raised:
        next(stream)
    assert error_kind(raised.value) == kind
    assert is_transient(raised.value) == (kind not in {"no_model", "context"} and status != 400)
    assert is_lasting(raised.value) == (kind in {"quota", "no_model"})


@BOTH
def test_a_bug_is_no_answer(gateway: Gateway, client: Any, model: str) -> None:
    """Before the first chunk, the framework answers with a 500 and reports the bug."""
    gateway.items = [KeyError("secret")]
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, model)
    assert "secret" not in str(raised.value)


@BOTH
def test_a_bug_after_the_first_chunk(gateway: Gateway, client: Any, model: str) -> None:
    """The client gets an event that says nothing of it."""
    gateway.items = [Chunk(text="Hel"), KeyError("secret")]
    stream = ask(client, model)
    next(stream)
    with pytest.raises(openai.APIError, match="internal error"):
        next(stream)


def test_retry_after_is_passed_on(gateway: Gateway, client: Any) -> None:
    """The client gets the pause that the last provider asked for, in whole seconds."""
    gateway.items = [ProviderError("busy", code="rate_limit_exceeded", retry_after=1.2)]
    with pytest.raises(openai.RateLimitError) as raised:
        ask(client)
    assert raised.value.response.headers["retry-after"] == "2"


def test_keep_alives(gateway: Gateway, running: tuple[Gateway, str]) -> None:
    """While no chunk arrives, comments do; the headers keep proxies from holding events back."""
    gateway.items, gateway.hangs = [Chunk(text="Hel")], True
    with httpx.stream("POST", f"{running[1]}/chat/completions", json={"model": "async"}) as got:
        assert got.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert got.headers["x-accel-buffering"] == "no"
        lines = got.iter_lines()
        assert next(lines).startswith("data: ")
        comments = [next(lines) for _ in range(5)]
    assert comments == ["", ": keep-alive", "", ": keep-alive", ""]
    assert gateway.closed.wait(30)


@pytest.mark.parametrize("silent", [False, True])
def test_a_client_that_leaves_closes_the_sources(
    gateway: Gateway, client: Any, silent: bool
) -> None:
    """The source is closed, whether or not it was being pulled, without garbage collection."""
    gateway.items = [Chunk(text="Hel")] * (1 if silent else 100_000)
    gateway.hangs = silent
    gc.disable()
    try:
        with ask(client) as stream:
            assert next(stream).choices[0].delta.content == "Hel"
        assert gateway.closed.wait(30)
    finally:
        gc.enable()
