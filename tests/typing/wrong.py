"""Type checkers must refuse this.

Each call has an ignore for the expected error. If a checker no longer reports the error, it reports
the ignore. Nothing here is run.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

from failover_iter import Decide, Policy, Progress, Source, afailover_stream, failover
from failover_iter import failover_stream as stream
from failover_iter.observe import listeners, otel
from failover_iter.ray import aremote, remote
from failover_iter.typing import StreamOptions


def numbers() -> Iterator[int]:
    yield 1


async def anumbers() -> AsyncIterator[int]:
    yield 1


def table(name: str) -> Iterator[int]:
    yield len(name)


def number() -> int:
    return 1


def nothing() -> None: ...


@failover(table, retry_on=OSError)
def primary(name: str) -> Iterator[int]:
    yield len(name)


policy = Policy(retry_on=OSError)

# Not a list of factories.
stream(numbers, retry_on=OSError)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
stream([1, 2], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
stream([numbers()], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
stream("url", retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
stream(["url"], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
stream([nothing], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
stream(numbers, numbers, retry_on=OSError)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
stream([Source(numbers())], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
stream([Source(numbers, attempt=3)], retry_on=OSError)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
stream([number], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
stream([table], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
stream([Source(number)], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
policy.stream([number])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
policy.stream([numbers, 1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# The wrong flavour.
stream([anumbers], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
afailover_stream([numbers], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
policy.stream([anumbers])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
policy.astream([numbers])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
policy.hedge([numbers], after="1")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
policy.stream([policy.source([anumbers])])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
policy.astream([policy.source([numbers])])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# Options.
stream([numbers])  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
stream([numbers], retry_on=KeyboardInterrupt)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
stream([numbers], retry_on=[OSError])  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
stream([numbers], retry_on=OSError, mid_stream="retry")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
stream([numbers], retry_on=OSError, attempts="3")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
stream([numbers], retry_on=OSError, wait="1s")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
stream([numbers], retry_on=OSError, on_exhausted="first")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
stream([numbers], retry_on=OSError, retries=3)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
stream([numbers], OSError)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
stream([numbers], retry_on=OSError, commit_when="first")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
Policy()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Policy(retry_on=OSError, mark_takeovers=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Source(numbers, on_event=print)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
Source("numbers")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
Decide(lambda progress: "again")  # type: ignore[arg-type, return-value]  # pyright: ignore[reportArgumentType]
Progress(3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
policy.attempts = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]

without_retry_on: StreamOptions = {"attempts": 3}  # type: ignore[typeddict-item]  # pyright: ignore[reportAssignmentType]
misspelt: StreamOptions = {"retry_on": OSError, "attempt": 3}  # type: ignore[typeddict-unknown-key]  # pyright: ignore[reportAssignmentType]

# Results.
words: Iterator[str] = stream([numbers], retry_on=OSError)  # type: ignore[list-item]  # pyright: ignore[reportAssignmentType]
ints: Iterator[int] = stream([numbers], retry_on=OSError, mark_takeovers=True)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
awaited: AsyncIterator[int] = stream([numbers], retry_on=OSError)  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

# On a Ray cluster.
remote(number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
remote(anumbers)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
remote(table)(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
stream([aremote(numbers)], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

# The decorator.
primary()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
primary(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
primary("a", progress=Progress())  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
failover(table)(table)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
failover([table], retry_on=OSError)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
failover(table, retry_on=OSError)(number)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
policy.failover(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
described: Iterator[str] = primary("a")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]

otel(tracer_provider=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
listeners(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
