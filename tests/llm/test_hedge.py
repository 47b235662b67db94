"""A hedge in a chat stream: the second provider is asked when the first is slow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from failover_iter import Budget, Event, Policy, Superseded, hedge
from failover_iter.health import Health
from failover_iter.llm import (
    Message,
    chat,
    chat_stream,
    collect,
    is_transient,
    requested_delay,
)
from failover_iter.testing import VirtualClock
from llm.fakes import MESSAGES, Client, record, source_of
from support.virtual import virtual_time


class Slow(Client):
    """A client whose answer takes a minute to begin."""

    def __init__(self, fake: VirtualClock, *events: Any) -> None:
        super().__init__(*events)
        self.fake = fake

    def __iter__(self) -> Iterator[Any]:
        self.fake.sleep(60)
        return super().__iter__()


def answers(text: str, *, is_cut: bool = False) -> list[Any]:
    """The events of an answer."""
    delta = {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": text}}}
    usage = {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 1}}}
    return [delta, usage, *([] if is_cut else [{"messageStop": {"stopReason": "end_turn"}}])]


def bedrock(client: Client) -> Any:
    return source_of("bedrock_converse", client, messages=MESSAGES)


@pytest.fixture
def fake() -> Iterator[VirtualClock]:
    """A virtual clock, on which streams and slow clients sleep."""
    with virtual_time(VirtualClock()) as fake:
        yield fake


def with_policy(sources: list[Any]) -> Any:
    return Policy(retry_on=is_transient, budget=Budget()).hedge(sources, after=1)


def without(sources: list[Any]) -> Any:
    return hedge(sources, after=1, retry_on=is_transient)


@pytest.mark.parametrize("race_of", [with_policy, without])
@pytest.mark.parametrize("read", [lambda race, **more: collect(chat_stream(race, **more)), chat])
def test_the_fast_provider_answers(
    fake: VirtualClock, race_of: Callable[[list[Any]], Any], read: Callable[..., Message]
) -> None:
    """Its answer is whole, and nothing of the slow one is in it."""
    slow, fast, last = Slow(fake, *answers("late")), Client(*answers("fast")), Client()
    events: list[Event] = []
    begun = fake.time()
    message = read(
        [race_of([bedrock(slow), bedrock(fast)]), bedrock(last)],
        health=Health(),
        on_event=events.append,
    )
    assert (message.text, fake.time()) == ("fast", begun + 1)
    assert [len(client.requests) for client in (slow, fast, last)] == [1, 1, 0]
    fake.wake_all()


def test_the_answer_of_the_winner_breaks(fake: VirtualClock) -> None:
    """The hedge has failed: the next source begins a new answer, under "restart"."""
    slow, cut = Slow(fake, *answers("late")), Client(*answers("Half ", is_cut=True))
    seen: list[Event] = []
    race = Policy(retry_on=is_transient, on_event=seen.append).hedge(
        [bedrock(slow), bedrock(cut)], after=1
    )
    message = collect(
        chat_stream([race, bedrock(Client(*answers("Whole.")))], mid_stream="restart")
    )
    assert (message.text, [each.usage.output_tokens for each in message.usage]) == (
        "Whole.",
        [1, 1],
    )
    assert any(isinstance(event, Superseded) for event in seen)
    fake.wake_all()


def test_a_provider_that_asks_for_a_pause_is_left_alone() -> None:
    """For as long as the SDK's error says, by all streams that share the health."""

    class Busy(Exception):
        response = record(headers={"Retry-After-Ms": "1500"}, status_code=429)

    health = Health(retry_after=requested_delay, failures=9, cooldown=60)
    busy, other = Client(Busy()), Client(*answers("other"))
    for _ in range(2):
        sources = [bedrock(busy), bedrock(other)]
        assert collect(chat_stream(sources, retry_on=Busy, health=health)).text == "other"
    assert (len(busy.requests), len(other.requests)) == (1, 2)
