"""A `Policy.source` in a chat stream: the sources in it are parts of the stream as all others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from failover_iter import Policy, Source, in_thread
from failover_iter.health import Health
from failover_iter.llm import (
    AttemptUsage,
    ChatOptions,
    Chunk,
    Message,
    ProviderError,
    achat,
    achat_stream,
    acollect,
    chat,
    chat_stream,
    collect,
    continue_with,
    is_transient,
)
from llm.fakes import MESSAGES, Client, source_of

FLAVOURS = pytest.mark.parametrize("flavour", ["sync", "async"])
RETRY: dict[str, Any] = {"retry_on": is_transient}
USAGE = {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 1}}}


def nova(text: str, reason: str | None = "end_turn") -> Client:
    """Return a client that answers with this text; without a reason it is cut off."""
    delta = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}}}
    return Client(delta, USAGE, *([{"messageStop": {"stopReason": reason}}] if reason else []))


def source(client: Client, flavour: str) -> Source[Any]:
    """Return a source for this flavour."""
    blocking = source_of("bedrock_converse", client, messages=MESSAGES)
    return blocking if flavour == "sync" else in_thread(blocking)


def answer(flavour: str, sources: Iterable[Any], **options: Any) -> Message:
    """Return what a chat stream delivers."""
    if flavour == "sync":
        return collect(chat_stream(sources, **options))

    async def run() -> Message:
        return await acollect(achat_stream(sources, **options))

    return asyncio.run(run())


def last_text(client: Client) -> Any:
    """Return the last text of the request."""
    return client.requests[0]["messages"][-1]["content"][0]["text"]


def lazy(sources: list[Any]) -> Any:
    """Return the sources as an iterable, not a list, that can be read more than once."""
    return dict.fromkeys(sources)


@FLAVOURS
@pytest.mark.parametrize("given", [list, lazy])
@pytest.mark.parametrize("own", [True, False], ids=["of-the-group", "of-the-stream"])
def test_an_answer_is_continued(flavour: str, given: Callable[..., Any], *, own: bool) -> None:
    """The group has its own mode, or that of the stream."""
    half, rest = nova("Half ", None), nova("rest.")
    mode: dict[str, Any] = {"mid_stream": continue_with("instruct", instruction="WEITER")}
    policy = Policy(**RETRY, **(mode if own else {}))
    group: Any = policy.source(given([source(half, flavour), source(rest, flavour)]))
    message = answer(flavour, [group], **({} if own else mode))
    assert (message.text, last_text(rest)) == ("Half rest.", "WEITER")


@FLAVOURS
def test_a_group_continues_the_source_before_it(flavour: str) -> None:
    """Neither it nor a group in it needs its own mode for that."""
    half, rest = nova("Half ", None), nova("rest.")
    inner = Policy(**RETRY).source([source(rest, flavour)])
    outer = Policy(**RETRY).source([inner])
    mode = continue_with("instruct", instruction="WEITER")
    message = answer(flavour, [source(half, flavour), outer], mid_stream=mode)
    assert (message.text, last_text(rest)) == ("Half rest.", "WEITER")


@FLAVOURS
def test_two_answers_are_not_glued(flavour: str) -> None:
    """The default of the stream holds in the group: the error after the first content is raised."""
    group: Any = Policy(**RETRY).source(
        [source(nova("Half ", None), flavour), source(nova("x"), flavour)]
    )
    with pytest.raises(ProviderError, match="cut"):
        answer(flavour, [group])


@FLAVOURS
def test_refusals_and_usage(flavour: str) -> None:
    """A refusal in the group switches, and its usage counts."""
    spent: list[AttemptUsage] = []
    sources = [source(nova("no", "guardrail_intervened"), flavour), source(nova("yes"), flavour)]
    message = answer(
        flavour,
        [Policy(**RETRY).source(sources)],
        refusals="switch",
        mid_stream="restart",
        on_usage=spent.append,
    )
    assert (message.text, message.total_usage.input_tokens, len(spent)) == ("yes", 14, 2)


@FLAVOURS
def test_the_judge_judges_in_the_group(flavour: str) -> None:
    """An answer that it refuses is followed by the next source of the group."""
    group: Any = Policy(**RETRY).source(
        [source(nova("bad"), flavour), source(nova("good"), flavour)]
    )

    def judge(message: Message) -> bool:
        return message.text == "good"

    if flavour == "sync":
        assert chat([group], judge=judge).text == "good"
    else:
        assert asyncio.run(achat([group], judge=judge)).text == "good"


def test_skip_is_refused_in_a_group() -> None:
    """Another answer never repeats what was delivered."""

    def good() -> list[Chunk]:
        return [Chunk(text="Hi"), Chunk(finish_reason="stop")]

    skipping = Policy(**RETRY, mid_stream="skip").source([good])
    inner = Policy(**RETRY).source([replace(Source(good), mid_stream="skip")])
    for group in (skipping, inner, Policy(**RETRY).source([skipping])):
        with pytest.raises(ValueError, match="another answer never repeats"):
            chat_stream([group])


def test_health_keeps_to_the_retry_after() -> None:
    """A provider that asks for a pause is not asked again before."""
    now = [0.0]
    busy = Client(ProviderError("busy", status=429, retry_after=90))
    options: ChatOptions = {"health": Health(cooldown=5, clock=lambda: now[0])}
    for _ in range(2):
        answer = chat([source(busy, "sync"), source(nova("yes"), "sync")], **options)
        assert answer.text == "yes"
    assert len(busy.requests) == 1
    now[0] = 91.0
    chat([source(busy, "sync"), source(nova("yes"), "sync")], **options)
    assert len(busy.requests) == 2
