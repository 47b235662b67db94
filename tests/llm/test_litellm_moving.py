"""Runs each row about litellm on the page "Move over" against the local server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from failover_iter import Health
from failover_iter.llm import (
    ProviderError,
    achat_stream,
    chat_stream,
    continue_with,
    litellm_completion,
)
from llm.faults import BACKUP_TEXT, PARTIAL_TEXT
from llm.sdks import MESSAGES
from llm.server import Server, running

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "moving.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.read_text("utf-8").partition("## From LiteLLM")[2].splitlines()
    if line.startswith("| ") and not line.startswith("| LiteLLM ")
]
Outcome = tuple[str, type[BaseException] | None]


class Models:
    """Models on the server, named after their faults, asked through litellm and through us."""

    def __init__(self, server: Server, test: str) -> None:
        self.server = server
        self.test = test
        self.litellm = pytest.importorskip("litellm", reason="not installed ('.[litellm]')")

    def arguments(self, fault: str) -> dict[str, Any]:
        """Return litellm's arguments; "claude-..." is Anthropic's and takes a prefill."""
        provider, path = ("openai", "/openai/v1")
        if fault.startswith("claude-"):
            provider, path = ("anthropic", "/anthropic")
        return {
            "model": f"{provider}/{self.model(fault)}",
            "api_base": self.server.address + path,
            "api_key": "key",
            "timeout": 20,
            "max_retries": 0,
        }

    def model(self, fault: str) -> str:
        """Return a name that is unique to the test."""
        return f"{fault}~{self.test}"

    def count_requests(self, fault: str) -> int:
        """Return the number of requests for a model."""
        return len(self.server.requests[self.model(fault)])

    def router(self, *faults: str, retries: int = 0, **more: Any) -> Any:
        """Return a Router with these models; the others are fallbacks of the first."""
        known = [{"model_name": fault, "litellm_params": self.arguments(fault)} for fault in faults]
        if "context_window_fallbacks" not in more:
            more["fallbacks"] = [{faults[0]: list(faults[1:])}]
        return self.litellm.Router(model_list=known, num_retries=retries, **more)

    def through_router(self, *faults: str, **more: Any) -> list[Outcome]:
        """Return the outcomes of a Router's streams, blocking and async."""
        router = self.router(*faults, **more)
        return self.both(
            lambda: router.completion(faults[0], messages=MESSAGES, stream=True),
            lambda: router.acompletion(faults[0], messages=MESSAGES, stream=True),
        )

    def through_acompletion(self, first: str, second: str) -> Outcome:
        """Return the outcome of a single call of `acompletion` with a fallback."""

        async def opened() -> Any:
            return await self.litellm.acompletion(
                messages=MESSAGES,
                stream=True,
                num_retries=0,
                fallbacks=[self.arguments(second)],
                **self.arguments(first),
            )

        return asyncio.run(aread(opened))

    def through_us(self, *faults: str, **options: Any) -> list[Outcome]:
        """Return the outcomes of `chat_stream` and `achat_stream`."""
        sources = [
            litellm_completion(messages=MESSAGES, num_retries=0, **self.arguments(fault))
            for fault in faults
        ]

        async def opened() -> AsyncIterator[Any]:
            return achat_stream(sources, **options)

        return self.both(lambda: chat_stream(sources, **options), opened)

    def both(
        self, open_stream: Callable[[], Any], aopen_stream: Callable[[], Any]
    ) -> list[Outcome]:
        """Return the outcomes of a blocking and an async stream."""
        return [read(open_stream), asyncio.run(aread(aopen_stream))]


def text_of(chunk: Any) -> str:
    """Return the text of a chunk of litellm's or of ours."""
    if not hasattr(chunk, "choices"):
        return chunk.text
    return (chunk.choices[0].delta.content or "") if chunk.choices else ""


def read(open_stream: Callable[[], Any]) -> Outcome:
    """Return the text of a stream and the type of the error that ended it, if any."""
    text = ""
    try:
        for chunk in open_stream():
            text += text_of(chunk)
    except Exception as error:
        return text, type(error)
    return text, None


async def aread(open_stream: Callable[[], Any]) -> Outcome:
    """Return the text of an async stream and the type of the error that ended it, if any."""
    text = ""
    try:
        async for chunk in await open_stream():
            text += text_of(chunk)
    except Exception as error:
        return text, type(error)
    return text, None


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running() as made:
        yield made


@pytest.fixture
def models(server: Server, request: pytest.FixtureRequest) -> Models:
    return Models(server, str(request.node.callspec.params["place"]))


def a_call_that_fails(models: Models) -> None:
    whole = (BACKUP_TEXT, None)
    assert models.through_router("status-503", "ok") == [whole, whole]
    assert models.through_acompletion("status-503", "ok") == whole
    assert models.through_us("status-503", "ok") == [whole, whole]


def an_error_first(models: Models) -> None:
    whole = (BACKUP_TEXT, None)
    assert models.through_router("error-event-after-0", "ok") == [whole, whole]
    text, error = models.through_acompletion("error-event-after-0", "ok")
    assert text == ""
    assert error is not None
    assert models.through_us("error-event-after-0", "ok") == [whole, whole]


def an_error_after_the_first_word(models: Models) -> None:
    outcomes = models.through_router("drop-after-3", "ok")
    outcomes.append(models.through_acompletion("drop-after-3", "ok"))
    outcomes += models.through_us("drop-after-3", "ok")
    assert [text for text, _ in outcomes] == [PARTIAL_TEXT] * 5
    assert None not in [error for _, error in outcomes]
    assert models.count_requests("ok") == 0


def a_continuation(models: Models) -> None:
    router: dict[str, Any] = {"enable_mid_stream_fallback_continuation": True}
    unknown = models.through_router("drop-after-3", "claude-ok", **router)
    assert [text for text, _ in unknown] == [PARTIAL_TEXT, PARTIAL_TEXT]
    whole = (PARTIAL_TEXT + BACKUP_TEXT, None)
    ours = models.through_us("drop-after-3", "claude-ok", mid_stream=continue_with("prefill"))
    assert ours == [whole, whole]

    takes_it = {"litellm_provider": "anthropic", "mode": "chat", "supports_assistant_prefill": True}
    models.litellm.register_model({models.model("claude-ok"): takes_it})
    blocking, asynchronous = models.through_router("drop-after-3", "claude-ok", **router)
    assert blocking[0] == PARTIAL_TEXT
    assert asynchronous == whole


def retries(models: Models) -> None:
    pause = asyncio.sleep

    async def ended() -> Outcome:
        router = models.router("status-503", retries=2)
        with patch("asyncio.sleep", lambda _: pause(0)):  # the Router's own pauses
            return await aread(
                lambda: router.acompletion("status-503", messages=MESSAGES, stream=True)
            )

    assert asyncio.run(ended())[1] is models.litellm.ServiceUnavailableError
    assert models.count_requests("status-503") == 3
    models.through_router("drop-after-3", retries=2)
    assert models.count_requests("drop-after-3") == 2  # once each

    models.through_us("status-429", attempts=3)
    assert models.count_requests("status-429") == 6
    models.through_us("fin-after-3", attempts=3, mid_stream="restart")
    assert models.count_requests("fin-after-3") == 6


def a_long_prompt(models: Models) -> None:
    too_long, whole = "status-400-context-length", (BACKUP_TEXT, None)
    more = {"context_window_fallbacks": [{too_long: ["ok"]}]}
    assert models.through_router(too_long, "ok", **more) == [whole, whole]
    more = {"context_window_fallbacks": [{"status-503": ["ok"]}]}
    unavailable = ("", models.litellm.ServiceUnavailableError)
    assert models.through_router("status-503", "ok", **more) == [unavailable, unavailable]

    only: dict[str, Any] = {"retry_on": models.litellm.ContextWindowExceededError}
    assert models.through_us(too_long, "ok", **only) == [whole, whole]
    assert models.through_us("status-503", "ok", **only) == [unavailable, unavailable]


def a_cooldown(models: Models) -> None:
    whole = (BACKUP_TEXT, None)
    cooled: dict[str, Any] = {"allowed_fails": 0, "cooldown_time": 60}
    assert models.through_router("status-503", "ok", **cooled) == [whole, whole]
    assert models.count_requests("status-503") == 1

    health = Health(failures=1, cooldown=60)
    assert models.through_us("status-503", "ok", health=health) == [whole, whole]
    assert models.count_requests("status-503") == 2  # once by the first stream
    refused = ("", models.litellm.ServiceUnavailableError)
    assert models.through_us("status-503", health=health) == [refused, refused]
    assert models.count_requests("status-503") == 4


def an_empty_stream(models: Models) -> None:
    assert models.through_router("empty", "ok") == [("", None), ("", None)]
    assert models.through_acompletion("empty", "ok") == ("", None)
    assert models.through_us("empty") == [("", ProviderError), ("", ProviderError)]
    assert models.through_us("empty", "ok") == [(BACKUP_TEXT, None), (BACKUP_TEXT, None)]


CHECKS: list[tuple[str, Callable[[Models], None]]] = [
    ("`fallbacks` of a Router or of `acompletion`", a_call_that_fails),
    ("an error as the first event of a stream", an_error_first),
    ("an error after the first word", an_error_after_the_first_word),
    ("`enable_mid_stream_fallback_continuation`", a_continuation),
    ("`num_retries=2`", retries),
    ("`context_window_fallbacks`", a_long_prompt),
    ("`allowed_fails=0, cooldown_time=60`", a_cooldown),
    ("a stream that ends without a word", an_empty_stream),
]


def test_each_row_about_litellm_is_run() -> None:
    """The table of the page has one row for each check, in this order."""
    assert len(ROWS) == len(CHECKS)
    for (left, _), (begins, _) in zip(ROWS, CHECKS, strict=True):
        assert left.startswith(begins)


@pytest.mark.parametrize("place", range(len(CHECKS)), ids=[check.__name__ for _, check in CHECKS])
def test_row_about_litellm(place: int, models: Models) -> None:
    """litellm does what the left column says, and we do what the right column says."""
    CHECKS[place][1](models)
