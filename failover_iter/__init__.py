"""Streams that survive their source: failover for any Python iterator, sync and async.

When a source fails, even mid-stream, the next one takes over. `failover_stream` and
`afailover_stream` make one stream from several sources; their documentation explains the options.
`failover` decorates a function that returns a stream. A `Policy` holds options for many streams, a
`Source` holds options for one source, and a `Trace` shows what happened. A `hedge` opens a second
source when the first is slow. Streams that share a `Health` try a source that failed lately last,
and streams that share a `Budget` retry no more than it allows. With a `Checkpoint`, the next
process continues where a stream stopped.

`failover_iter.llm` has adapters for the SDKs of LLM providers. `failover_iter.testing` tests any
pipeline of iterators. `failover_iter.observe` reports to OpenTelemetry and Prometheus.
`failover_iter.redis` shares health through Redis. `failover_iter.typing` has the types of the
options.

>>> from failover_iter import failover_stream
>>> def primary():
...     yield 1
...     raise ConnectionError("reset by peer")
>>> def replica():
...     yield from (1, 2)
>>> list(failover_stream([primary, replica], retry_on=ConnectionError, mid_stream="skip"))
[1, 2]
"""

import typing as _typing  # `failover_iter.typing` is a module of this package

if _typing.TYPE_CHECKING:
    from failover_iter._api import afailover_stream, failover, failover_stream
    from failover_iter._backoff import backoff
    from failover_iter._hedge import hedge
    from failover_iter._in_thread import in_thread
    from failover_iter._mid_stream import Bookmark, Decide, Progress, Resume, Skip
    from failover_iter._percentile import Percentile
    from failover_iter._source import Source
    from failover_iter.budget import Budget
    from failover_iter.checkpoint import Checkpoint
    from failover_iter.errors import (
        AllSourcesFailed,
        CheckpointError,
        DivergedStream,
        EmptyStream,
        FailoverError,
        NoSources,
        ReusedIterator,
        SourceError,
        SourceTimeout,
        StreamTimeout,
        TruncatedStream,
    )
    from failover_iter.events import (
        Closed,
        Committed,
        Completed,
        Contending,
        Ended,
        Event,
        Exhausted,
        Failed,
        Opening,
        PassedOver,
        Superseded,
        Switched,
        Takeover,
        Waiting,
    )
    from failover_iter.health import Health
    from failover_iter.policy import Policy
    from failover_iter.trace import Trace
else:
    # Each name is imported on first access, so that a program pays only for what it uses.
    _MODULES = ("budget", "checkpoint", "errors", "events", "health", "policy", "trace", "typing")
    _NAMES = {
        "_api": "afailover_stream failover failover_stream",
        "_backoff": "backoff",
        "_hedge": "hedge",
        "_in_thread": "in_thread",
        "_mid_stream": "Bookmark Decide Progress Resume Skip",
        "_percentile": "Percentile",
        "_source": "Source",
        "budget": "Budget",
        "checkpoint": "Checkpoint",
        "errors": "AllSourcesFailed CheckpointError DivergedStream EmptyStream FailoverError "
        "NoSources ReusedIterator SourceError SourceTimeout StreamTimeout TruncatedStream",
        "events": "Closed Committed Completed Contending Ended Event Exhausted Failed Opening "
        "PassedOver Superseded Switched Takeover Waiting",
        "health": "Health",
        "policy": "Policy",
        "trace": "Trace",
    }
    _HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}

    def __getattr__(name: str) -> object:  # type checkers would accept any name
        from importlib import import_module

        if name in _MODULES:
            return import_module(f"{__name__}.{name}")
        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *_MODULES, *__all__})


__all__ = [
    "AllSourcesFailed",
    "Bookmark",
    "Budget",
    "Checkpoint",
    "CheckpointError",
    "Closed",
    "Committed",
    "Completed",
    "Contending",
    "Decide",
    "DivergedStream",
    "EmptyStream",
    "Ended",
    "Event",
    "Exhausted",
    "Failed",
    "FailoverError",
    "Health",
    "NoSources",
    "Opening",
    "PassedOver",
    "Percentile",
    "Policy",
    "Progress",
    "Resume",
    "ReusedIterator",
    "Skip",
    "Source",
    "SourceError",
    "SourceTimeout",
    "StreamTimeout",
    "Superseded",
    "Switched",
    "Takeover",
    "Trace",
    "TruncatedStream",
    "Waiting",
    "afailover_stream",
    "backoff",
    "failover",
    "failover_stream",
    "hedge",
    "in_thread",
]
