"""What `otel()` costs a stream, beside the same calls of OpenTelemetry's API in the same places."""

from __future__ import annotations

from itertools import cycle
from time import thread_time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

from failover_iter import Policy
from failover_iter.observe import otel

from .measure import MICROSECONDS, OPENINGS, fastest, rounds
from .streams import drain, one_item, quiet_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: The goal for the cost of `otel()`, as a ratio to that of the calls.
GOAL: Final = 1.3


def lost() -> Iterator[int]:
    """A source that cannot be opened."""
    raise ConnectionError("refused")
    yield


#: The sources of each stream, and the methods of `ByHand` for its events, in order.
SHAPES: dict[str, tuple[list[Any], str]] = {
    "one source": ([one_item], "opened committed completed"),
    "a switch": ([lost, one_item], "opened failed switched reopened committed completed"),
}


def everything(seconds: float) -> dict[str, dict[str, float]]:
    """Measure everything in this module: microseconds per stream of each shape."""
    quiet_logger()
    return {shape: _costs(*parts, seconds) for shape, parts in SHAPES.items()}


def _costs(sources: list[Any], script: str, seconds: float) -> dict[str, float]:
    tracers, meters = _providers()
    kinds: dict[str, Any] = {
        "a silent listener": Silent(),
        "the calls by hand": ByHand(script, tracers, meters),
        "otel()": otel(tracer_provider=tracers, meter_provider=meters),
    }
    times = rounds({name: _timer(sources, each) for name, each in kinds.items()}, seconds)
    return {name: fastest(each) for name, each in times.items()}


def _timer(sources: list[Any], listener: Any) -> Callable[[], float]:
    policy = Policy(retry_on=OSError, on_event=listener)

    # In CPU time: nothing waits here, and other work on the machine does not count.
    def timed() -> float:
        start = thread_time()
        for _ in range(OPENINGS):
            drain(policy.stream(sources))
        return (thread_time() - start) / OPENINGS * MICROSECONDS

    return timed


def _providers() -> tuple[Any, Any]:
    """The providers of the SDK. They export nothing: that is not a cost of the stream."""
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SpanProcessor())
    return tracers, MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


class Silent:
    """A listener that does nothing."""

    def __call__(self, event: object) -> None:
        """Receive an event."""

    def stream_ended(self, ended: object) -> None:
        """Receive the end of a stream."""


class ByHand:
    """Makes the calls that `otel()` makes, in the same places, and looks at no event."""

    def __init__(self, script: str, tracers: Any, meters: Any) -> None:
        self.tracer = tracers.get_tracer("by hand")
        meter = meters.get_meter("by hand")
        self.attempts = meter.create_counter("attempts")
        self.switches = meter.create_counter("switches")
        self.first = meter.create_histogram("first")
        self.duration = meter.create_histogram("duration")
        self.next_call = cycle([getattr(self, name) for name in script.split()]).__next__

    def __call__(self, event: object) -> None:
        """Make the calls for this event."""
        self.next_call()()

    def opened(self) -> None:
        """The first attempt begins, and the stream."""
        self.span = self.tracer.start_span("stream", None)
        self.context = set_span_in_context(self.span)
        self.reopened()

    def reopened(self) -> None:
        """An attempt begins."""
        attributes = {"failover_iter.source": "one_item", "failover_iter.attempt": 1}
        self.attempt = self.tracer.start_span(
            "attempt", self.context, SpanKind.INTERNAL, attributes
        )

    def committed(self) -> None:
        """The first item arrives."""
        self.attempt.add_event("committed")
        self.first.record(0.001, {"failover_iter.source": "one_item"})

    def failed(self) -> None:
        """An attempt fails."""
        self.attempt.set_attribute("error.type", "ConnectionError")
        self.attempt.set_status(StatusCode.ERROR, "ConnectionError")
        self.end_attempt("failed")

    def completed(self) -> None:
        """An attempt completes."""
        self.end_attempt("completed")

    def end_attempt(self, outcome: str) -> None:
        """An attempt ends."""
        self.attempt.set_attribute("failover_iter.delivered", 1)
        self.attempt.end()
        attributes = {"failover_iter.source": "one_item", "failover_iter.outcome": outcome}
        self.attempts.add(1, attributes)

    def switched(self) -> None:
        """The stream switches."""
        attributes = {
            "failover_iter.from": "lost",
            "failover_iter.to": "one_item",
            "failover_iter.mode": "start",
        }
        self.span.add_event("switched", attributes)
        self.switches.add(1, attributes)

    def stream_ended(self, ended: object) -> None:
        """The stream ends."""
        self.span.set_attribute("failover_iter.delivered", 1)
        self.span.end()
        self.duration.record(0.001, {"failover_iter.outcome": "completed"})
