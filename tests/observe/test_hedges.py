"""The listeners and a hedge: each contender has its own span and measures, whatever overlaps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import strategies as st

from failover_iter import Health, Policy, Source
from failover_iter.llm import chat_stream, is_transient, openai_chat
from failover_iter.testing import VirtualClock
from llm.fakes import Client
from support.needs import needs
from support.virtual import virtual_time
from support.worlds import FLAVOURS, World, check_law, play

needs("opentelemetry.sdk")
needs("prometheus_client")

from opentelemetry.trace import StatusCode

from observe.recorded import Recorded, number_of, parent_of
from observe.test_chats import GOOD, OPENAI, QUESTION, attributes_of


def source(world: World, name: str, *steps: float, error: Exception | None = None) -> Any:
    """A source with a pause before each item."""

    async def body() -> AsyncIterator[str]:
        for seconds in steps:
            await world.sleep(seconds)
            if error is not None:
                raise error
            yield name

    return world.source(name, body)


def ends_of(recorded: Recorded) -> list[tuple[Any, ...]]:
    """Each span of an attempt: its source, its number, how it ended, and by whom."""
    return sorted(
        (
            own["failover_iter.source"],
            own["failover_iter.delivered"],
            own.get("failover_iter.outcome"),
            own.get("failover_iter.superseded_by"),
            own.get("error.type"),
        )
        for own in (dict(span.attributes or {}) for span in recorded.named("attempt"))
    )


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_each_contender_has_its_own_span(flavour: str) -> None:
    """A loser ends as superseded, without an error; a source that failed has its error."""

    async def scenario(world: World) -> None:
        recorded = Recorded()
        policy = Policy(retry_on=OSError, on_event=recorded.listener)
        race = policy.hedge(
            [
                source(world, "slow", 9),
                source(world, "down", 1.2, error=ConnectionError("down")),
                source(world, "good", 1, 1),
            ],
            after=0.5,
        )
        outer = Policy(retry_on=OSError)
        assert await world.drain(outer, [race]) == ["good", "good"]
        assert ends_of(recorded) == [
            ("down", 0, None, None, "ConnectionError"),
            ("good", 2, None, None, None),
            ("slow", 0, "superseded", "good", None),
        ]
        (stream,) = recorded.named("stream")
        statuses = {}
        for span in recorded.named("attempt"):
            assert parent_of(span) == number_of(stream)
            statuses[(span.attributes or {})["failover_iter.source"]] = span.status.status_code
        assert statuses["slow"] is statuses["good"] is StatusCode.UNSET
        assert statuses["down"] is StatusCode.ERROR
        assert len(recorded.spans) == len(recorded.started)
        committed = [span for span in recorded.named("attempt") if span.events]
        assert [(span.attributes or {})["failover_iter.source"] for span in committed] == ["good"]
        outcomes = {("slow", "superseded"): 1, ("down", "failed"): 1, ("good", "completed"): 1}
        assert recorded.counts("attempts") == outcomes
        for (name, outcome), count in outcomes.items():
            assert recorded.sample("attempts_total", source=name, outcome=outcome) == count

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("is_lazy", [True, False])
def test_one_source_beside_itself(flavour: str, is_lazy: bool) -> None:
    """Its two openings are told apart by name; to the health they are one source."""

    async def scenario(world: World) -> None:
        recorded, health = Recorded(), Health(clock=world.time)
        policy = Policy(retry_on=OSError, on_event=recorded.listener, health=health)
        steps = iter([9.0, 1.0])

        async def body() -> AsyncIterator[str]:
            await world.sleep(next(steps))
            yield "item"

        twice = [world.source("a", body)] * 2

        class Lazy:
            def __iter__(self) -> Iterator[Any]:
                return iter(twice)

        race = policy.hedge(Lazy() if is_lazy else twice, after=1)
        assert await world.drain(Policy(retry_on=OSError), [race]) == ["item"]
        assert ends_of(recorded) == [
            ("a", 0, "superseded", "a#2", None),
            ("a#2", 1, None, None, None),
        ]
        assert set(health.snapshot()) == {"a"}

    play(flavour, scenario)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_race_that_no_source_wins(flavour: str) -> None:
    """No source was faster than the one that was superseded; a `health_key` is kept."""

    async def scenario(world: World) -> None:
        recorded, health = Recorded(), Health(clock=world.time)
        policy = Policy(retry_on=OSError, on_event=recorded.listener, health=health)
        slow = Source(source(world, "slow", 9), health_key="key")

        async def leaves() -> AsyncIterator[str]:
            await world.sleep(1)
            raise Interrupt
            yield

        race = policy.hedge([slow, world.source("leaves", leaves)], after=1)
        with pytest.raises(Interrupt):
            await world.drain(Policy(retry_on=OSError), [race])
        assert ends_of(recorded) == [
            ("leaves", 0, None, None, f"{__name__}.Interrupt"),
            ("slow", 0, "superseded", None, None),
        ]
        assert set(health.snapshot()) == {"key", "leaves"}

    play(flavour, scenario)


class Interrupt(BaseException):
    """No `Exception`."""


async def each_opening_has_one_span(world: World, data: Any) -> None:
    """Whatever races: a span for each opening, which ends once, and nothing is kept."""
    recorded = Recorded()
    policy = Policy(
        retry_on=OSError,
        on_event=recorded.listener,
        attempts=data.draw(st.integers(1, 2)),
        wait=0.1,
        total_timeout=data.draw(st.sampled_from([None, 2])),
    )

    def drawn(name: str) -> Any:
        steps = data.draw(st.lists(st.sampled_from([0.0, 0.3, 1.0, 5.0]), min_size=1, max_size=2))
        error = data.draw(st.sampled_from([None, None, ConnectionError(name), KeyError(name)]))
        return source(world, name, *steps, error=error)

    sources = [drawn(data.draw(st.sampled_from("ab"))) for _ in range(data.draw(st.integers(2, 3)))]
    if data.draw(st.booleans()):
        sources.append(sources[0])
    if data.draw(st.booleans()):
        sources[0] = policy.source([sources[0], drawn("c")], name="group")
    race = policy.hedge(sources, after=data.draw(st.sampled_from([0.1, 0.5])))
    with suppress(OSError, KeyError, TimeoutError):
        await world.drain(Policy(retry_on=OSError, on_event=recorded.listener), [race])
    names = [type(event).__name__ for event in recorded.events]
    assert len(recorded.named("attempt")) == names.count("Opening")
    assert sorted(map(number_of, recorded.spans)) == sorted(map(number_of, recorded.started))
    counted = recorded.counts("attempts")
    for (_, outcome), count in counted.items():
        assert names.count(outcome.capitalize()) >= count
    assert sum(counted.values()) == names.count("Opening")
    assert recorded.otel._streams == {}


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_law(flavour: str) -> None:
    """The law holds for random races."""
    check_law(each_opening_has_one_span, flavour, max_examples=25, deadline=None)


def test_the_calls_of_providers_that_race() -> None:
    """Each has its own model and tokens; the one that was superseded is in no duration."""
    recorded, world = Recorded(), VirtualClock()

    class Slow(Client):
        seconds = 60.0

        def __iter__(self) -> Iterator[Any]:
            yield from ()
            world.sleep(self.seconds)
            yield from super().__iter__()

    def chat(model: str, seconds: float) -> Any:
        client = Slow(*GOOD)
        client.seconds = seconds
        return openai_chat(client, model=model, messages=QUESTION)

    policy = Policy(retry_on=is_transient, on_event=recorded.listener)
    with virtual_time(world):
        list(chat_stream([policy.hedge([chat("large", 60), chat("small", 2)], after=1)]))
    calls = {span.name: attributes_of(span) for span in recorded.spans if "chat" in span.name}
    assert set(calls) == {"chat large", "chat small"}
    assert "gen_ai.usage.input_tokens" not in calls["chat large"]
    assert calls["chat small"]["gen_ai.usage.input_tokens"] == 11
    metrics = recorded.metrics()
    small = OPENAI | {"gen_ai.request.model": "small"}
    (point,) = metrics["gen_ai.client.operation.duration"]
    assert (dict(point.attributes), point.sum) == (small, 2)
    (first,) = metrics["gen_ai.client.operation.time_to_first_chunk"]
    assert (dict(first.attributes), first.sum) == (small, 2)
