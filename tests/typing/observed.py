"""`failover_iter.observe`: what a type checker knows of its listeners."""

from __future__ import annotations

from typing import assert_type

from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.trace import NoOpTracerProvider
from prometheus_client import CollectorRegistry

from failover_iter import Ended, Event, Health, Policy, Trace
from failover_iter.observe import Listener, listeners, otel, prometheus


class Own:
    """A listener of the user's."""

    def __call__(self, event: Event) -> None:
        """Receive an event."""

    def stream_ended(self, ended: Ended) -> None:
        """Receive the end of a stream."""
        assert_type(ended.error, BaseException | None)


own: Listener = Own()
tracers, meters = NoOpTracerProvider(), NoOpMeterProvider()
spans = otel(tracer_provider=tracers, meter_provider=meters, health=Health())
metrics = prometheus(registry=CollectorRegistry(), health=Health())
assert_type(spans, Listener)
assert_type(metrics, Listener)
assert_type(listeners(Trace(), own, spans, lambda event: event.source), Listener)
policy = Policy(retry_on=OSError, on_event=spans)
