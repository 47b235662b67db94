"""Streams that survive their source: failover for any Python iterator, sync and async."""

from failover_iter._api import afailover_stream, failover_stream
from failover_iter._backoff import backoff
from failover_iter._decorator import failover
from failover_iter._options import Source
from failover_iter._strategies import Decide, Progress, Resume, Skip
from failover_iter.errors import (
    AllSourcesFailed,
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
    Event,
    Exhausted,
    Failed,
    Opening,
    Switched,
    Takeover,
    Waiting,
)
from failover_iter.policy import Policy
from failover_iter.trace import Trace

__all__ = [
    "AllSourcesFailed",
    "Closed",
    "Committed",
    "Completed",
    "Decide",
    "DivergedStream",
    "EmptyStream",
    "Event",
    "Exhausted",
    "Failed",
    "FailoverError",
    "NoSources",
    "Opening",
    "Policy",
    "Progress",
    "Resume",
    "ReusedIterator",
    "Skip",
    "Source",
    "SourceError",
    "SourceTimeout",
    "StreamTimeout",
    "Switched",
    "Takeover",
    "Trace",
    "TruncatedStream",
    "Waiting",
    "afailover_stream",
    "backoff",
    "failover",
    "failover_stream",
]
