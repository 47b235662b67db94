"""Scenes of the demo with many streams: a primary that is down, and one that is slow."""

from __future__ import annotations

import asyncio
import socket
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from failover_iter import Health, Policy, Progress, Source
from failover_iter._cli.demo_servers import CUT, FAILURES, TEXT, TextServer, afetch, fetch
from failover_iter.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

_STREAMS: Final = 10
_ATTEMPTS: Final = 3
_AFTER: Final = 0.1


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene that was played."""

    title: str
    behaviour: str
    facts: tuple[str, ...]
    is_expected: bool
    trace: Trace | None = None
    is_async: bool = False


def play(primary: TextServer, replica: TextServer) -> Iterator[Scene]:
    """Play each scene."""
    yield _sick_primary(replica)
    yield _slow_primary(primary, replica)


def row_of(scene: Scene) -> tuple[str, bool | None, bool | None]:
    """The row of the closing table: the outcome, sync and async."""
    if scene.is_async:
        return scene.title, None, scene.is_expected
    return scene.title, scene.is_expected, None


def _sick_primary(replica: TextServer) -> Scene:
    without, complete = _openings(replica, None)
    with_health, complete_too = _openings(replica, Health(failures=3, cooldown=30))
    return Scene(
        f"health: {_STREAMS} streams, primary refuses connections",
        f"each stream tries its first source {_ATTEMPTS} times; streams that share a Health learn "
        "from each other, and ask a source that failed lately last",
        (
            f"without health: primary was opened {without} times",
            f"with health: primary was opened {with_health} times",
        ),
        complete and complete_too and (without, with_health) == (_STREAMS * _ATTEMPTS, 3),
    )


def _openings(replica: TextServer, health: Health | None) -> tuple[int, bool]:
    """How often the primary was opened; whether each stream was complete."""
    opened: list[int] = []
    with _refusing() as port:

        def primary() -> Iterator[str]:
            opened.append(port)
            yield from socket.create_connection(("127.0.0.1", port), timeout=1).makefile()

        policy = Policy(retry_on=FAILURES, attempts=_ATTEMPTS, health=health)
        sources: list[Any] = [primary, Source(partial(fetch, replica, "/whole"), name="replica")]
        streams = [tuple(policy.stream(sources)) for _ in range(_STREAMS)]
    return len(opened), set(streams) == {TEXT}


@contextmanager
def _refusing() -> Generator[int, None, None]:
    """A port on which nobody listens, and which nobody else gets."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


def _slow_primary(primary: TextServer, replica: TextServer) -> Scene:
    trace = Trace()
    lines = asyncio.run(_hedged(primary, replica, trace))
    outcomes = [row.outcome for row in trace.attempts[1:]]  # without that of the hedge itself
    return Scene(
        "hedge: primary is slow",
        f"primary sends no line; after {_AFTER:g} s the replica is opened beside it, and is first",
        (f"delivered: {len(lines)} lines",),
        tuple(lines) == TEXT and outcomes == ["superseded", "completed"],
        trace,
        is_async=True,
    )


async def _hedged(primary: TextServer, replica: TextServer, trace: Trace) -> list[str]:
    slow: Any = partial(afetch, primary, "/stall", Progress(delivered=CUT))
    policy = Policy(retry_on=FAILURES, on_event=trace)
    race = policy.hedge(
        [
            Source(slow, name="primary"),
            Source(partial(afetch, replica, "/whole"), name="replica"),
        ],
        after=_AFTER,
    )
    return [line async for line in policy.astream([race])]
