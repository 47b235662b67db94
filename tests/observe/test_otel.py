"""`otel`: what is in its spans and metrics, and wrong use of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import (
    Closed,
    Committed,
    Decide,
    Health,
    Opening,
    PassedOver,
    Policy,
    Progress,
    Source,
    failover,
    failover_stream,
)
from failover_iter.testing import VirtualClock
from support.needs import needs
from support.runners import quiet
from support.virtual import virtual_time

needs("opentelemetry.sdk")
needs("prometheus_client")

from opentelemetry.trace import SpanKind, StatusCode

from failover_iter.observe import otel
from observe.recorded import Recorded


def broken() -> Iterator[int]:
    yield 1
    raise ConnectionError("lost")


def good() -> Iterator[int]:
    yield from (1, 2)


@pytest.fixture
def recorded() -> Recorded:
    return Recorded()


def events_of(span: Any) -> list[tuple[str, dict[str, Any]]]:
    return [(event.name, dict(event.attributes)) for event in span.events]


def test_the_spans_of_a_takeover(recorded: Recorded) -> None:
    """Each attempt has its source, mode and end; the stream has its switches, and no error."""
    sources = [Source(broken, attempts=2), good]
    policy = Policy(retry_on=OSError, mid_stream="skip", on_event=recorded.listener)
    with quiet():
        assert list(policy.stream(sources)) == [1, 2]
    assert [(span.name, dict(span.attributes or {})) for span in recorded.spans] == [
        (
            "failover_iter.attempt",
            {
                "failover_iter.source": "broken",
                "failover_iter.attempt": 1,
                "failover_iter.delivered": 1,
                "error.type": "ConnectionError",
            },
        ),
        (
            "failover_iter.attempt",
            {
                "failover_iter.source": "broken",
                "failover_iter.attempt": 2,
                "failover_iter.mode": "skip",
                "failover_iter.delivered": 1,
                "error.type": "ConnectionError",
            },
        ),
        (
            "failover_iter.attempt",
            {
                "failover_iter.source": "good",
                "failover_iter.attempt": 1,
                "failover_iter.mode": "skip",
                "failover_iter.delivered": 2,
            },
        ),
        ("failover_iter.stream", {"failover_iter.delivered": 2}),
    ]
    statuses = [span.status.status_code for span in recorded.spans]
    assert statuses == [StatusCode.ERROR] * 2 + [StatusCode.UNSET] * 2
    assert {span.kind for span in recorded.spans} == {SpanKind.INTERNAL}
    assert [events_of(span) for span in recorded.spans[:2]] == [[("committed", {})], []]
    assert events_of(recorded.spans[-1]) == [
        ("waiting", {"failover_iter.source": "broken", "failover_iter.seconds": 0}),
        (
            "switched",
            {
                "failover_iter.from": "broken",
                "failover_iter.to": "good",
                "failover_iter.mode": "skip",
            },
        ),
    ]


class Denied(Exception):
    """An error of the program."""


@pytest.mark.parametrize("mid_stream", ["raise", Decide(lambda progress: "raise")])
def test_a_stream_that_raises_has_an_error(recorded: Recorded, mid_stream: Any) -> None:
    """The status of its span is the class of the error, where no event follows `Failed`."""

    def denied() -> Iterator[int]:
        yield 1
        raise Denied("sk-secret")

    with quiet(), pytest.raises(Denied):
        list(
            failover_stream(
                [lambda *_: denied()],
                retry_on=Denied,
                mid_stream=mid_stream,
                on_event=recorded.listener,
            )
        )
    span = recorded.spans[-1]
    name = f"{__name__}.Denied"
    assert span.name == "failover_iter.stream"
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, name)
    assert dict(span.attributes or {}) == {"failover_iter.delivered": 1, "error.type": name}
    assert recorded.counts("stream.duration") == {("failed", name): 1}


@pytest.mark.parametrize(
    ("error", "attributes", "outcome"),
    [
        (None, {}, "closed"),
        (KeyError("consumer"), {"error.type": "KeyError"}, "failed"),
        (KeyboardInterrupt(), {"error.type": "KeyboardInterrupt"}, "closed"),
    ],
)
def test_a_consumer_that_leaves_is_no_failure(
    recorded: Recorded, error: Any, attributes: dict[str, str], outcome: str
) -> None:
    """The attempt is closed, without the status of an error."""
    stream = failover_stream([good], retry_on=OSError, on_event=recorded.listener)
    next(stream)
    if error is None:
        stream.close()
    else:
        with pytest.raises(type(error)):
            stream.throw(error)
    attempt, whole = recorded.spans
    assert attempt.status.status_code is StatusCode.UNSET
    own = dict(attempt.attributes or {})
    assert {name: own[name] for name in own if name == "error.type"} == attributes
    assert recorded.counts("attempts") == {("good", "closed"): 1}
    assert (whole.status.status_code is StatusCode.ERROR) == (outcome == "failed")
    assert recorded.sample("stream_duration_seconds_count", outcome=outcome) == 1


def test_the_times_are_in_seconds(recorded: Recorded) -> None:
    """The first item and the whole stream are measured from the first pull, in seconds."""
    world = VirtualClock()

    def slow() -> Iterator[int]:
        world.sleep(3)
        yield 1
        world.sleep(4)

    with virtual_time(world), quiet():
        list(failover_stream([broken_at_once, slow], retry_on=OSError, wait=0,
                             on_event=recorded.listener))  # fmt: skip
    metrics = recorded.metrics()
    (first,), (whole,) = (
        metrics[f"failover_iter.{name}"] for name in ("time_to_first_item", "stream.duration")
    )
    assert (first.sum, whole.sum) == (3, 7)
    assert dict(first.attributes) == {"failover_iter.source": "slow"}
    assert max(first.explicit_bounds) == 1000
    assert recorded.sample("time_to_first_item_seconds_sum", source="slow") == 3
    assert recorded.sample("stream_duration_seconds_sum", outcome="completed") == 7


def broken_at_once() -> Iterator[int]:
    raise ConnectionError("refused")
    yield


def test_the_first_item_is_measured_once(recorded: Recorded) -> None:
    """A takeover mid-stream is not the first item, nor is that of a group."""
    policy = Policy(retry_on=OSError, mid_stream="skip", on_event=recorded.listener)
    with quiet():
        assert list(policy.stream([policy.source([broken], name="group"), good])) == [1, 2]
    assert recorded.counts("time_to_first_item") == {("group",): 1}
    assert recorded.counts("stream.duration") == {("completed",): 1}


def test_the_first_item_of_a_stream_that_goes_on(recorded: Recorded) -> None:
    """It is measured too, although an earlier stream has delivered items."""

    @failover(retry_on=OSError, mid_stream="resume", on_event=recorded.listener)
    def read(*, progress: Progress = Progress()) -> Iterator[int]:
        yield from range(progress.delivered, 3)

    assert list(read(progress=Progress(delivered=2, total=2, last=1))) == [2]
    assert recorded.counts("time_to_first_item") == {("read",): 1}


def test_a_source_that_is_passed_over(recorded: Recorded) -> None:
    """It is an event of the stream's span, with the reason."""
    sources = [broken, Source(good, mid_stream="raise", name="cache"), good]
    with quiet():
        list(failover_stream(sources, retry_on=OSError, on_event=recorded.listener))
    assert (
        "passed over",
        {"failover_iter.source": "cache", "failover_iter.reason": "mid_stream"},
    ) in events_of(recorded.spans[-1])


def test_the_state_of_each_source() -> None:
    """With `health`, the state of each key is 1, and the others are 0."""
    health = Health(failures=1, clock=lambda: 0.0)
    recorded = Recorded(health=health)
    policy = Policy(retry_on=OSError, health=health, on_event=recorded.listener)
    with quiet():
        assert list(policy.stream([broken_at_once, good])) == [1, 2]
    states = {
        (point.attributes["failover_iter.key"], point.attributes["failover_iter.state"])
        for point in recorded.metrics()["failover_iter.health.state"]
        if point.value
    }
    assert states == {("broken_at_once", "out"), ("good", "ok")}
    for state, value in {"ok": 0, "out": 1, "probing": 0}.items():
        assert recorded.sample("health_state", key="broken_at_once", state=state) == value


def test_events_of_other_streams_are_ignored(recorded: Recorded) -> None:
    """A listener that was added later does no harm, nor does an event of a newer version."""
    listener = recorded.otel
    listener(PassedOver("a", 1, 0, 0.0, "health", stream=1))
    listener(Committed("a", 1, 0, 0.0, stream=1))
    listener.stream_ended(Closed("a", 1, 0, 0.0, None, stream=1))
    assert recorded.started == []
    listener(Opening("a", 1, 0, 0.0, stream=2, parent=1))
    listener(type("Superseded", (Opening,), {})("a", 1, 0, 0.0, stream=2))
    assert len(recorded.started) == 2
    listener(Closed("a", 1, 0, 0.0, None, stream=2))
    listener.stream_ended(Closed("a", 1, 0, 0.0, None, stream=2))
    assert len(recorded.spans) == 2


def test_without_an_sdk_nothing_happens() -> None:
    """With the API alone, the spans and metrics of the global providers go nowhere."""
    listener = otel()
    assert list(failover_stream([good], retry_on=OSError, on_event=listener)) == [1, 2]


def test_many_streams_at_once(recorded: Recorded) -> None:
    """One listener serves many streams, and keeps them apart."""

    async def source() -> Any:
        for item in range(3):
            await asyncio.sleep(0)
            yield item

    async def main() -> None:
        policy = Policy(retry_on=OSError, on_event=recorded.listener)

        async def consume() -> int:
            return sum([item async for item in policy.astream([source])])

        assert await asyncio.gather(*(consume() for _ in range(20))) == [3] * 20

    asyncio.run(main())
    parents = [span.parent.span_id for span in recorded.named("attempt") if span.parent]
    assert len(set(parents)) == 20
    assert recorded.otel._streams == {}


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("tracer_provider", "tracer_provider must have a method get_tracer, got 3"),
        ("meter_provider", "meter_provider must have a method get_meter, got 3"),
        ("health", "health must be a Health, or None, got 3"),
    ],
)
def test_wrong_options(option: str, message: str) -> None:
    """Wrong use fails at once, and the error names the option and the value."""
    with pytest.raises(TypeError, match=f"^{message}$"):
        otel(**{option: 3})
