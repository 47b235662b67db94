"""`otel`: a span for each stream and for each attempt, and metrics, with OpenTelemetry.

No span is ever made current. A generator that attaches a span would keep it attached while its
consumer runs, and detach it in another context if a task or the garbage collector closes it: hence
"Failed to detach context", and spans that are children of the wrong stream. Here the parent of each
span is passed as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.metrics import CallbackOptions, Meter, MeterProvider, Observation
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, TracerProvider

from failover_iter.events import (
    Closed,
    Committed,
    Completed,
    Ended,
    Event,
    Failed,
    Opening,
    PassedOver,
    Superseded,
    Switched,
    Waiting,
)
from failover_iter.health import Health
from failover_iter.observe._gen_ai import ChatMetrics
from failover_iter.observe._listeners import Listener
from failover_iter.observe._records import (
    HEALTH_STATES,
    SECONDS,
    check_health,
    class_of,
    is_first_item,
    outcome_of,
    word_for,
)

_SCOPE: Final = "failover_iter"
_SOURCE: Final = "failover_iter.source"
_ATTEMPT: Final = "failover_iter.attempt"
_MODE: Final = "failover_iter.mode"
_DELIVERED: Final = "failover_iter.delivered"
_OUTCOME: Final = "failover_iter.outcome"
_ERROR: Final = "error.type"


class _Stream:
    """The spans of one stream that are open."""

    __slots__ = ("attempts", "began", "context", "latest", "mode", "span")

    def __init__(self, span: Span, began: int) -> None:
        self.span = self.latest = span
        #: The attempts that have not ended, by source and number: in a hedge there are several. Of
        #: each its span, and when it was opened.
        self.attempts: dict[tuple[str, int], tuple[Span, float]] = {}
        #: The context whose current span is that of the stream: the parent of its attempts.
        self.context: Context = trace.set_span_in_context(span)
        #: How many items had been delivered before it.
        self.began = began
        self.mode: str | None = None

    def attempt_of(self, event: Event) -> tuple[Span, float]:
        """The attempt that an event is about."""
        return self.attempts.get((event.source, event.attempt), (self.latest, event.elapsed))


class _Otel:
    """The listener that `otel` returns."""

    def __init__(self, tracer: Tracer, meter: Meter) -> None:
        self._tracer = tracer
        self._streams: dict[int, _Stream] = {}
        self._attempts = meter.create_counter(
            "failover_iter.attempts", "{attempt}", "Attempts that have ended."
        )
        self._switches = meter.create_counter(
            "failover_iter.switches", "{switch}", "Switches from a failed source to another one."
        )
        self._first_item = meter.create_histogram(
            "failover_iter.time_to_first_item",
            "s",
            "Time from the first pull to the first item.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._duration = meter.create_histogram(
            "failover_iter.stream.duration",
            "s",
            "Time from the first pull to the end of a stream.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._chats = ChatMetrics(meter)
        #: What records the events of a stream that has opened a source.
        self._handlers: dict[type, Callable[[_Stream, Any], None]] = {
            Committed: self._committed,
            Failed: self._failed,
            Completed: self._completed,
            Closed: self._closed,
            Superseded: self._superseded,
            Waiting: self._waiting,
            Switched: self._switched,
            PassedOver: self._passed_over,
        }

    def __call__(self, event: Event) -> None:
        """Record an event."""
        if type(event) is Opening:
            self._opening(event, SpanKind.INTERNAL)
            return
        handler, stream = self._handlers.get(type(event)), self._streams.get(event.stream)
        if handler is not None and stream is not None:  # else it is new to us, or too early
            handler(stream, event)

    def chat_event(self, event: Event, attempt: Any) -> None:
        """Record an event of a chat stream; `attempt`: what is known of the answer, or None."""
        if type(event) is Opening:
            self._opening(event, SpanKind.CLIENT)
            return
        stream = self._streams.get(event.stream)
        if stream is not None and attempt is not None:
            span, opened_at = stream.attempt_of(event)
            waited = event.elapsed - opened_at
            match event:
                case Committed():
                    self._chats.began(attempt, waited)
                case Completed():
                    self._chats.ended(span, attempt, waited, None)
                case Failed(error=error) | Closed(error=error):
                    self._chats.ended(span, attempt, waited, error)
                case Superseded():
                    self._chats.ended(span, attempt, None, None)
                case _:
                    pass
        self(event)

    def stream_ended(self, ended: Ended) -> None:
        """End the span of a stream."""
        stream = self._streams.pop(ended.stream, None)
        if stream is None:  # the listener was given to the stream after its first event
            return
        span, error = stream.span, ended.error
        attributes = {_OUTCOME: outcome_of(error)}
        span.set_attribute(_DELIVERED, ended.delivered)
        if isinstance(error, Exception):
            attributes[_ERROR] = name = class_of(error)
            span.set_attribute(_ERROR, name)
            span.set_status(StatusCode.ERROR, name)
        span.end()
        if ended.parent is None:
            self._duration.record(ended.elapsed, attributes)

    # The events of an attempt.

    def _opening(self, event: Opening, kind: SpanKind) -> None:
        stream = self._streams.get(event.stream)
        if stream is None:
            stream = self._streams[event.stream] = self._begin(event)
        attributes: dict[str, Any] = {_SOURCE: event.source, _ATTEMPT: event.attempt}
        if stream.mode is not None:
            attributes[_MODE] = stream.mode
        stream.latest = span = self._tracer.start_span(
            "failover_iter.attempt", stream.context, kind, attributes
        )
        stream.attempts[event.source, event.attempt] = span, event.elapsed

    def _begin(self, event: Event) -> _Stream:
        """Start the span of a stream: a child of the outer attempt, or of the current span."""
        outer = None if event.parent is None else self._streams.get(event.parent)
        context = None if outer is None else trace.set_span_in_context(outer.latest)
        return _Stream(self._tracer.start_span("failover_iter.stream", context), event.delivered)

    def _committed(self, stream: _Stream, event: Committed) -> None:
        stream.attempt_of(event)[0].add_event("committed")
        if is_first_item(event, stream.began):
            self._first_item.record(event.elapsed, {_SOURCE: event.source})

    def _failed(self, stream: _Stream, event: Failed) -> None:
        name, (span, _) = class_of(event.error), stream.attempt_of(event)
        span.set_attribute(_ERROR, name)
        span.set_status(StatusCode.ERROR, name)
        self._end_attempt(stream, event, "failed")

    def _completed(self, stream: _Stream, event: Completed) -> None:
        self._end_attempt(stream, event, "completed")

    def _closed(self, stream: _Stream, event: Closed) -> None:
        if event.error is not None and not isinstance(event.error, GeneratorExit):
            stream.attempt_of(event)[0].set_attribute(_ERROR, class_of(event.error))
        self._end_attempt(stream, event, "closed")

    def _superseded(self, stream: _Stream, event: Superseded) -> None:
        span, _ = stream.attempt_of(event)
        span.set_attribute(_OUTCOME, "superseded")
        if event.by is not None:
            span.set_attribute("failover_iter.superseded_by", event.by)
        self._end_attempt(stream, event, "superseded")

    def _end_attempt(self, stream: _Stream, event: Event, outcome: str) -> None:
        span, _ = stream.attempt_of(event)
        stream.attempts.pop((event.source, event.attempt), None)
        span.set_attribute(_DELIVERED, event.delivered)
        span.end()
        self._attempts.add(1, {_SOURCE: event.source, _OUTCOME: outcome})

    # The events between two attempts.

    def _waiting(self, stream: _Stream, event: Waiting) -> None:
        stream.mode = event.mode
        attributes: dict[str, Any] = {
            _SOURCE: event.source,
            "failover_iter.seconds": event.seconds,
        }
        stream.span.add_event("waiting", attributes)

    def _switched(self, stream: _Stream, event: Switched) -> None:
        stream.mode = event.mode
        attributes = {
            "failover_iter.from": event.source,
            "failover_iter.to": event.to,
            _MODE: word_for(event.mode),
        }
        stream.span.add_event("switched", attributes)
        self._switches.add(1, attributes)

    def _passed_over(self, stream: _Stream, event: PassedOver) -> None:
        attributes = {_SOURCE: event.source, "failover_iter.reason": event.reason}
        stream.span.add_event("passed over", attributes)


def otel(
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
    health: Health | None = None,
) -> Listener:
    """Return a listener that makes spans and metrics with OpenTelemetry.

    A span for each stream is a child of the span that is current when the first item is asked for.
    A span for each attempt is a child of the stream's, and the stream of a `Policy.source` is a
    child of the outer attempt. None of them is ever the current span, so nothing stays attached
    while the consumer runs or when a stream is abandoned. Spans that a source makes (of its HTTP
    client, for example) are children of the consumer's current span, not of the attempt.

    The attributes of spans are `failover_iter.source`, `.attempt`, `.mode`, `.delivered`, and
    `error.type`. The metrics are `failover_iter.attempts`, `.switches`, `.time_to_first_item`,
    `.stream.duration`, and `.health.state` if `health` is given; all times are in seconds. Streams
    of `failover_iter.llm` follow the conventions for generative AI: their attempts are client
    spans named `chat MODEL`, with the provider, the model and the tokens, and they are measured as
    `gen_ai.client.operation.duration`, `gen_ai.client.operation.time_to_first_chunk` and
    `gen_ai.client.token.usage`.

    No item and no message of an error is recorded: of an error, only its class.

    Args:
        tracer_provider: makes the tracer; the global one by default.
        meter_provider: makes the meter; the global one by default.
        health: the `Health` whose states are measured, with the clients of blocking streams.

    Raises:
        TypeError: an argument has the wrong type.

    Example:
        >>> from failover_iter import failover_stream
        >>> from failover_iter.observe import otel
        >>> from opentelemetry.sdk.trace import TracerProvider
        >>> from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        >>> from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
        >>> exporter, provider = InMemorySpanExporter(), TracerProvider()
        >>> provider.add_span_processor(SimpleSpanProcessor(exporter))
        >>> def numbers():
        ...     yield from (1, 2)
        >>> listener = otel(tracer_provider=provider)
        >>> list(failover_stream([numbers], retry_on=ConnectionError, on_event=listener))
        [1, 2]
        >>> [(span.name, dict(span.attributes)) for span in exporter.get_finished_spans()]
        ... # doctest: +NORMALIZE_WHITESPACE
        [('failover_iter.attempt', {'failover_iter.source': 'numbers', 'failover_iter.attempt': 1,
          'failover_iter.delivered': 2}),
         ('failover_iter.stream', {'failover_iter.delivered': 2})]
    """
    for option, provider, method in (
        ("tracer_provider", tracer_provider, "get_tracer"),
        ("meter_provider", meter_provider, "get_meter"),
    ):
        if provider is not None and not hasattr(provider, method):
            raise TypeError(f"{option} must have a method {method}, got {provider!r}")
    check_health(health)
    tracer = trace.get_tracer(_SCOPE, tracer_provider=tracer_provider)
    meter = metrics.get_meter(_SCOPE, meter_provider=meter_provider)
    if health is not None:
        _measure_health(meter, health)
    return _Otel(tracer, meter)


def _measure_health(meter: Meter, health: Health) -> None:
    def observe(_: CallbackOptions) -> Iterable[Observation]:
        for key, source in health.snapshot().items():
            for state in HEALTH_STATES:
                attributes = {"failover_iter.key": key, "failover_iter.state": state}
                yield Observation(int(source.state == state), attributes)

    meter.create_observable_gauge(
        "failover_iter.health.state", [observe], "1", "1 for the state of a source, 0 for others."
    )
