"""Listeners for `on_event` that report what streams do to monitoring systems.

`otel` makes spans and metrics with OpenTelemetry (extra `otel`), `prometheus` makes metrics with
prometheus_client (extra `prometheus`), and `listeners` joins several listeners. One listener serves
any number of streams, in all threads and tasks.

They record names of sources, numbers, times and the classes of errors: never an item, and never the
message of an error, which may hold a part of a prompt, an answer or a key.

>>> from failover_iter import Policy, Trace
>>> from failover_iter.observe import listeners
>>> trace, seen = Trace(), []
>>> policy = Policy(retry_on=ConnectionError, on_event=listeners(trace, seen.append))
>>> list(policy.stream([lambda: [1, 2]]))
[1, 2]
>>> len(trace.attempts), len(seen)
(1, 3)
"""

from __future__ import annotations

import typing as _typing

from failover_iter.observe._listeners import Listener, listeners

if _typing.TYPE_CHECKING:
    from failover_iter.observe._otel import otel
    from failover_iter.observe._prometheus import prometheus
else:

    def __getattr__(name: str) -> object:
        """Import what needs a third-party package on first access."""
        if name not in _PACKAGES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        package = _PACKAGES[name]
        try:
            import_module(package)
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(
                f"failover_iter.observe.{name} needs {package}: install failover-iter[{name}]",
                name=error.name,
            ) from error
        value = globals()[name] = getattr(import_module(f"{__name__}._{name}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


_PACKAGES = {"otel": "opentelemetry", "prometheus": "prometheus_client"}

__all__ = ["Listener", "listeners", "otel", "prometheus"]
