"""The attempts of chat streams, by the conventions of OpenTelemetry for generative AI.

The names are those of the GenAI semantic conventions. They are written here because the package
that lists them is unstable, and moves them.
"""

from __future__ import annotations

from typing import Any, Final

from opentelemetry.metrics import Meter
from opentelemetry.trace import Span

from failover_iter.observe._records import SECONDS, class_of

_OPERATION: Final = "chat"
#: The conventions' names of the providers that have another name in `failover_iter.llm`.
_PROVIDERS: Final = {"bedrock": "aws.bedrock", "gemini": "gcp.gemini", "mistral": "mistral_ai"}
_TOKENS: Final = tuple(4.0**power for power in range(14))
#: The counts of a usage record, and what they are called.
_COUNTS: Final = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
}


class ChatMetrics:
    """The metrics of the calls of providers, and the attributes of their spans."""

    def __init__(self, meter: Meter) -> None:
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "GenAI operation duration.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._first_chunk = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            "s",
            "Time to receive the first chunk.",
            explicit_bucket_boundaries_advisory=SECONDS,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )

    def began(self, attempt: Any, seconds: float) -> None:
        """The provider has sent its first content after this time."""
        self._first_chunk.record(seconds, _attributes_of(attempt))

    def ended(
        self, span: Span, attempt: Any, seconds: float | None, error: BaseException | None
    ) -> None:
        """The call of the provider has ended after this time; None: another one was faster."""
        attributes = _attributes_of(attempt)
        span.update_name(f"{_OPERATION} {attempt.model}".rstrip())
        span.set_attributes(attributes)
        for count, name in _COUNTS.items():
            tokens = getattr(attempt.usage, count)
            if tokens is not None:
                span.set_attribute(name, tokens)
        for kind, tokens in (
            ("input", attempt.usage.input_tokens),
            ("output", attempt.usage.output_tokens),
        ):
            if tokens is not None:
                self._tokens.record(tokens, {**attributes, "gen_ai.token.type": kind})
        if error is not None and not isinstance(error, GeneratorExit):
            attributes["error.type"] = class_of(error)
        if seconds is not None:
            self._duration.record(seconds, attributes)


def _attributes_of(attempt: Any) -> dict[str, Any]:
    """The operation, the provider and the model of an attempt."""
    return {
        "gen_ai.operation.name": _OPERATION,
        "gen_ai.provider.name": _PROVIDERS.get(attempt.provider, attempt.provider),
        "gen_ai.request.model": attempt.model,
    }
