"""The laws of the listeners, for sync streams, asyncio and trio; and listeners that break them."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from contextvars import copy_context
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import strategies as st

from failover_iter import (
    Closed,
    Completed,
    Decide,
    Ended,
    Exhausted,
    Failed,
    Opening,
    Policy,
    Switched,
)
from support.laws import SEARCH, each_law, each_mutant, table
from support.needs import needs
from support.worlds import World, check_law

needs("opentelemetry.sdk")
needs("prometheus_client")

from opentelemetry import context, trace

from observe.recorded import Recorded, current, number_of, parent_of

SECRET = "sk-secret"
MODES: list[Any] = ["restart", "raise", "skip", Decide(lambda progress: "raise")]


class Load:
    """Random streams that share one listener, with a consumer that may leave."""

    def __init__(self, world: World, data: Any) -> None:
        self.world = world
        self.data = data
        self.recorded = Recorded()
        #: The span that was current where a source, or its consumer, ran.
        self.seen: set[Any] = set()
        self.streams = 0

    def draw(self, *values: Any) -> Any:
        return self.data.draw(st.sampled_from(values))

    def source(self) -> Any:
        items, error = self.draw(0, 1, 2, 3), self.draw(OSError, OSError, KeyError, None)

        async def body(*_: object) -> AsyncIterator[str]:
            for item in range(items):
                self.seen.add(current())
                yield f"{SECRET} {item}"
            self.seen.add(current())
            if error is not None:
                raise error(f"Incorrect API key provided: {SECRET}")

        return self.world.source(self.draw("a", "b"), body)

    def factories(self, policy: Policy) -> list[Any]:
        sources = [self.source() for _ in range(self.draw(1, 2, 3))]
        if self.draw(False, False, True):
            sources.insert(0, policy.source([self.source(), self.source()], name="group"))
        return sources

    async def stream(self) -> None:
        """Play one stream: its consumer drains it, closes it, or throws."""
        self.streams += 1
        mode = self.draw(*MODES)
        policy = Policy(
            retry_on=OSError,
            attempts=self.draw(1, 2),
            wait=self.draw(0, 1, bad_wait),
            mid_stream=mode,
            commit_when=self.draw(1, 2),
            allow_empty=self.draw(True, False),
            total_timeout=self.draw(None, 0.5),
            on_exhausted=self.draw("last", "group"),
            on_event=self.recorded.listener,
        )
        inner = policy if isinstance(mode, str) else Policy(retry_on=OSError, mid_stream=mode)
        stream = self.world.stream(policy, self.factories(inner))
        leave = self.draw(None, None, "close", "throw")
        with suppress(Exception, ExceptionGroup):
            if leave is None:
                await self.world.rest(stream)
            else:
                await self.world.next(stream)
                self.seen.add(current())
                if leave == "close":
                    await self.world.close(stream)
                else:
                    await self.world.throw(stream, ValueError(SECRET))
        self.seen.add(current())


def bad_wait(_: Failed) -> float:
    """A callback with a bug: the stream ends, and no event says so."""
    raise LookupError(SECRET)


async def played(world: World, data: Any) -> Load:
    """Some streams, after their end."""
    load = Load(world, data)
    for _ in range(load.draw(1, 2)):
        await load.stream()
    return load


async def each_span_ends(world: World, data: Any) -> None:
    """However a stream ends, its spans have ended by then, and the listener keeps nothing."""
    recorded = (await played(world, data)).recorded
    assert sorted(map(number_of, recorded.started)) == sorted(map(number_of, recorded.spans))
    assert recorded.otel._streams == {}
    for span in recorded.spans:
        assert span.start_time <= span.end_time


async def the_spans_form_a_tree(world: World, data: Any) -> None:
    """An attempt is a child of its stream, and a group of the attempt that opened it."""
    load = Load(world, data)
    with load.recorded.span() as request:
        await load.stream()
    streams, attempts = load.recorded.named("stream"), load.recorded.named("attempt")
    assert parent_of(streams[0]) == number_of(request)
    openings = [event for event in load.recorded.events if type(event) is Opening]
    assert len(openings) == len(attempts)
    numbers = list(dict.fromkeys(event.stream for event in openings))
    spans = {stream: number_of(span) for stream, span in zip(numbers, streams, strict=True)}
    latest: dict[int, int] = {}  # the open attempt of each stream
    outer: dict[int, int] = {}
    for event, attempt in zip(openings, attempts, strict=True):
        assert parent_of(attempt) == spans[event.stream]
        latest[event.stream] = number_of(attempt)
        if event.parent is not None:
            outer.setdefault(event.stream, latest[event.parent])
    assert {stream: parent_of(span) for stream, span in zip(numbers, streams, strict=True)} == {
        numbers[0]: number_of(request)
    } | outer


async def no_span_is_current(world: World, data: Any) -> None:
    """Sources and consumer see the span that was current before, at each step."""
    load = Load(world, data)
    with load.recorded.span() as request:
        await load.stream()
        assert load.seen == {request}
    load.seen.clear()
    await load.stream()
    assert load.seen == {trace.INVALID_SPAN}


async def the_metrics_count_the_events(world: World, data: Any) -> None:
    """Both listeners count each attempt, each switch and each stream, once."""
    load = await played(world, data)
    recorded = load.recorded
    attempts, switches = Counter[Any](), Counter[Any]()
    for event in recorded.events:
        match event:
            case Failed() | Completed() | Closed():
                attempts[event.source, type(event).__name__.lower()] += 1
            case Switched():
                switches[event.source, event.to, event.mode or "start"] += 1
            case _:
                pass
    assert recorded.counts("attempts") == attempts
    assert recorded.counts("switches") == switches
    assert recorded.counts("stream.duration").total() == load.streams
    for (source, outcome), count in attempts.items():
        labels = {"source": source, "outcome": outcome}
        assert recorded.sample("attempts_total", **labels) == count
    for values, count in switches.items():
        labels = dict(zip(("from", "to", "mode"), values, strict=True))
        assert recorded.sample("switches_total", **labels) == count
    outcomes = ("completed", "failed", "closed")
    name = "stream_duration_seconds_count"
    total = sum(recorded.sample(name, outcome=outcome) for outcome in outcomes)
    assert total == load.streams


async def nothing_of_the_content_is_recorded(world: World, data: Any) -> None:
    """Neither an item nor the message of an error leaves the process."""
    dump = (await played(world, data)).recorded.dump()
    assert "failover_iter" in dump
    assert SECRET not in dump


LAWS = table(
    each_span_ends,
    the_spans_form_a_tree,
    no_span_is_current,
    the_metrics_count_the_events,
    nothing_of_the_content_is_recorded,
)


@each_law(LAWS)
def test_law(law: Any, flavour: str) -> None:
    """The law holds for sync streams, asyncio and trio."""
    check_law(law, flavour, max_examples=15)


# Mutants: listeners as one might write them, each with one bug.


def _ends_nothing(self: Any, ended: Any) -> None:
    """Forgets the streams that raise."""
    if not isinstance(ended.error, Exception):
        _STREAM_ENDED(self, ended)


def _makes_it_current(self: Any, event: Any, kind: Any) -> None:
    """Attaches the span, so that the calls of the source become its children."""
    _OPENING(self, event, kind)
    context.attach(trace.set_span_in_context(self._streams[event.stream].latest))


def _records_the_exception(self: Any, stream: Any, event: Any) -> None:
    """Records the error as OpenTelemetry does: with its message and its traceback."""
    stream.attempt_of(event)[0].record_exception(event.error)
    _FAILED(self, stream, event)


def _takes_the_current_span(self: Any, event: Any) -> Any:
    """A group becomes a child of the consumer's span."""
    return _BEGIN(self, replace(event, parent=None))


def _counts_openings(self: Any, event: Any, kind: Any) -> None:
    """Counts an attempt when it begins, and again when it ends."""
    _OPENING(self, event, kind)
    self._attempts.add(1, {"failover_iter.source": event.source, "outcome": "failed"})


def _times_every_stream(self: Any, ended: Any) -> None:
    """A group counts as a stream."""
    self._duration.labels("failed" if ended.error else "completed").observe(ended.elapsed)


_OTEL: Any = type(Recorded().otel)
_PROMETHEUS: Any = type(Recorded().prometheus)
_CALL, _STREAM_ENDED, _BEGIN = _OTEL.__call__, _OTEL.stream_ended, _OTEL._begin
_OPENING, _FAILED = _OTEL._opening, _OTEL._failed

MUTANTS: list[tuple[str, type, str, Any]] = [
    ("each_span_ends", _OTEL, "stream_ended", _ends_nothing),
    ("no_span_is_current", _OTEL, "_opening", _makes_it_current),
    ("nothing_of_the_content_is_recorded", _OTEL, "_failed", _records_the_exception),
    ("the_spans_form_a_tree", _OTEL, "_begin", _takes_the_current_span),
    ("the_metrics_count_the_events", _OTEL, "_opening", _counts_openings),
    ("the_metrics_count_the_events", _PROMETHEUS, "stream_ended", _times_every_stream),
]


def break_law(law: Any) -> None:
    check_law(law, "sync", max_examples=200, **SEARCH)


@each_mutant(MUTANTS)
def test_the_law_kills_the_mutant(law: str, mutated: None) -> None:
    """Wrong listeners break the law that they are about."""
    with pytest.raises((AssertionError, ExceptionGroup)):
        copy_context().run(break_law, LAWS[law])  # one of them attaches a span


def test_the_law_kills_a_listener_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The events alone do not say when each stream has ended."""
    monkeypatch.setattr(_OTEL, "stream_ended", lambda self, ended: None)

    def ends_with_the_last_event(self: Any, event: Any) -> None:
        _CALL(self, event)
        is_raised = isinstance(event, Failed) and not event.matched
        if is_raised or isinstance(event, Completed | Closed | Exhausted):
            _STREAM_ENDED(self, Ended("", 1, 0, 0.0, None, stream=event.stream))

    monkeypatch.setattr(_OTEL, "__call__", ends_with_the_last_event)
    with pytest.raises((AssertionError, ExceptionGroup)):
        break_law(each_span_ends)
