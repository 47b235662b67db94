"""What OpenTelemetry and Prometheus have recorded, with their own SDKs, in memory."""

from __future__ import annotations

from collections import Counter
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from prometheus_client import CollectorRegistry, generate_latest

from failover_iter.observe import listeners, otel, prometheus


class _Spans(SpanProcessor):
    """The spans that were started and ended, in order."""

    def __init__(self) -> None:
        self.started: list[ReadableSpan] = []
        self.ended: list[ReadableSpan] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.started.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        self.ended.append(span)


class Recorded:
    """The listener of a test, and what it has recorded."""

    def __init__(self, **options: Any) -> None:
        self._spans = _Spans()
        self._provider = TracerProvider(shutdown_on_exit=False)
        self._provider.add_span_processor(self._spans)
        self._reader = InMemoryMetricReader()
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.registry = CollectorRegistry()
        self.otel: Any = otel(tracer_provider=self._provider, meter_provider=meters, **options)
        self.prometheus: Any = prometheus(registry=self.registry, **options)
        self.events: list[Any] = []
        self.listener = listeners(self.events.append, self.otel, self.prometheus)

    def span(self, name: str = "request") -> Any:
        """Start a span of the program, and make it current while the block runs."""
        return self._provider.get_tracer("program").start_as_current_span(name)

    @property
    def started(self) -> list[ReadableSpan]:
        return self._spans.started

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended."""
        return self._spans.ended

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.started if span.name == f"failover_iter.{name}"]

    def metrics(self) -> dict[str, Any]:
        """The data points of each metric."""
        data = self._reader.get_metrics_data()
        if data is None:
            return {}
        return {
            metric.name: metric.data.data_points
            for resource in data.resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def counts(self, name: str) -> Counter[tuple[str, ...]]:
        """How often a metric was recorded with these values of its attributes."""
        counts = Counter[tuple[str, ...]]()
        for point in self.metrics().get(f"failover_iter.{name}", ()):
            values = tuple(map(str, point.attributes.values()))
            counts[values] += getattr(point, "count", None) or point.value
        return counts

    def sample(self, name: str, **labels: str) -> float:
        """A sample of Prometheus; 0 if there is none."""
        return self.registry.get_sample_value(f"failover_iter_{name}", labels) or 0.0

    def dump(self) -> str:
        """All that has left the process, as text."""
        spans = "".join(span.to_json() for span in self.spans)
        metrics = "".join(f"{name}{points}" for name, points in self.metrics().items())
        return f"{spans}{metrics}{generate_latest(self.registry).decode()}"


def parent_of(span: ReadableSpan) -> int | None:
    """The number of the parent of a span."""
    return None if span.parent is None else span.parent.span_id


def number_of(span: ReadableSpan) -> int:
    """The number of a span."""
    assert span.context is not None
    return span.context.span_id


def current() -> Any:
    """The span that is current here."""
    return trace.get_current_span()
