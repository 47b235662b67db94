"""`prometheus`: metrics of streams, with prometheus_client."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from failover_iter.events import (
    Closed,
    Committed,
    Completed,
    Ended,
    Event,
    Failed,
    Opening,
    Superseded,
    Switched,
)
from failover_iter.health import Health
from failover_iter.observe._listeners import Listener
from failover_iter.observe._records import (
    HEALTH_STATES,
    SECONDS,
    check_health,
    is_first_item,
    outcome_of,
    word_for,
)


class _Prometheus:
    """The listener that `prometheus` returns."""

    def __init__(self, registry: CollectorRegistry) -> None:
        #: How many items had been delivered before each outermost stream that is open.
        self._began: dict[int, int] = {}
        self._attempts = Counter(
            "failover_iter_attempts",
            "Attempts that have ended.",
            ["source", "outcome"],
            registry=registry,
        )
        self._switches = Counter(
            "failover_iter_switches",
            "Switches from a failed source to another one.",
            ["from", "to", "mode"],
            registry=registry,
        )
        self._first_item = Histogram(
            "failover_iter_time_to_first_item_seconds",
            "Time from the first pull to the first item.",
            ["source"],
            registry=registry,
            buckets=SECONDS,
        )
        self._duration = Histogram(
            "failover_iter_stream_duration_seconds",
            "Time from the first pull to the end of a stream.",
            ["outcome"],
            registry=registry,
            buckets=SECONDS,
        )

    def __call__(self, event: Event) -> None:
        """Record an event."""
        match event:
            case Opening(parent=None):
                self._began.setdefault(event.stream, event.delivered)
            case Committed():
                if is_first_item(event, self._began.get(event.stream)):
                    self._first_item.labels(event.source).observe(event.elapsed)
            case Failed() | Completed() | Closed() | Superseded():
                self._attempts.labels(event.source, type(event).__name__.lower()).inc()
            case Switched():
                self._switches.labels(event.source, event.to, word_for(event.mode)).inc()
            case _:
                pass

    def stream_ended(self, ended: Ended) -> None:
        """Record how long an outermost stream took."""
        if ended.parent is None:
            self._began.pop(ended.stream, None)
            self._duration.labels(outcome_of(ended.error)).observe(ended.elapsed)


class _HealthCollector(Collector):
    def __init__(self, health: Health) -> None:
        self._health = health

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Name the metric, without asking the store."""
        return [self._gauge()]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Read the health of each key."""
        gauge = self._gauge()
        for key, source in self._health.snapshot().items():
            for state in HEALTH_STATES:
                gauge.add_metric([key, state], int(source.state == state))
        return [gauge]

    def _gauge(self) -> GaugeMetricFamily:
        return GaugeMetricFamily(
            "failover_iter_health_state",
            "1 for the state of a source, 0 for the others.",
            labels=["key", "state"],
        )


def prometheus(*, registry: CollectorRegistry = REGISTRY, health: Health | None = None) -> Listener:
    """Return a listener that makes metrics with prometheus_client.

    The metrics are `failover_iter_attempts_total` (by `source`, `outcome`),
    `failover_iter_switches_total` (by `from`, `to`, `mode`), the histograms
    `failover_iter_time_to_first_item_seconds` (by `source`) and
    `failover_iter_stream_duration_seconds` (by `outcome`), and `failover_iter_health_state` (by
    `key`, `state`) if `health` is given. The names of sources become labels, so they should be few.

    Make one listener for each registry, and share it between all policies.

    Args:
        registry: where the metrics are registered.
        health: the `Health` whose states are measured, with the clients of blocking streams.

    Raises:
        TypeError: an argument has the wrong type.
        ValueError: the registry has these metrics already.

    Example:
        >>> from failover_iter import failover_stream
        >>> from failover_iter.observe import prometheus
        >>> from prometheus_client import CollectorRegistry
        >>> registry = CollectorRegistry()
        >>> listener = prometheus(registry=registry)
        >>> def numbers():
        ...     yield from (1, 2)
        >>> list(failover_stream([numbers], retry_on=ConnectionError, on_event=listener))
        [1, 2]
        >>> labels = {"source": "numbers", "outcome": "completed"}
        >>> registry.get_sample_value("failover_iter_attempts_total", labels)
        1.0
    """
    if not hasattr(registry, "register"):
        raise TypeError(f"registry must be a CollectorRegistry, got {registry!r}")
    check_health(health)
    listener = _Prometheus(registry)
    if health is not None:
        registry.register(_HealthCollector(health))
    return listener
