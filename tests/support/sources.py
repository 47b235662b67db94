"""The sources of a case, as the test kit makes them, and what is written down of them."""

from __future__ import annotations

from typing import Any

from failover_iter import Source
from failover_iter._drivers.clock import async_sleep, clock
from failover_iter.testing import Plan, SourceScript
from failover_iter.testing._async_sources import AsyncHost, async_factory
from failover_iter.testing._runs import Recorder
from failover_iter.testing._sync_sources import SyncHost, sync_factory

from .case import ERRORS, NAMES, Case, Opening, SourcePlan

Log = list[tuple[Any, ...]]
TICK = 0.1  # what delays are multiples of
CLOSINGS = {None: "quietly", "retryable": "raises", "transparent": "bug"}


class Tracer(Recorder):
    """Writes down, in the log of a trace, that sources are opened, pulled and closed."""

    def __init__(self, case: Case, trace: Log) -> None:
        scripts = [tuple(map(script_of, plan.openings)) for plan in case.sources]
        super().__init__(Plan(*scripts, items="", errors=ERRORS), int)
        self.names = [plan.name for plan in case.sources]
        self.trace = trace

    def note(self, what: Any, *, of: Any = (None, 0), **_: Any) -> None:
        if what in ("open", "pull", "close"):
            self.trace.append((what, self.names[of[0]]))


def script_of(opening: Opening) -> SourceScript:
    """Return the script of an opening of a case."""
    items = "".join(map(str, opening.items))
    shape: dict[str, Any] = {
        "kind": opening.kind,
        "closing": CLOSINGS[opening.closing],
        "opens": ticks(opening.opening_delay),
    }
    if opening.opening is not None:
        return SourceScript(end="raises", error=NAMES[opening.opening], at="call", **shape)
    if opening.iterating is not None and opening.kind == "iterable":
        return SourceScript(end="raises", error=NAMES[opening.iterating], at="iter", **shape)
    shape["ticks"] = tuple(map(ticks, opening.delays[: len(items) + 1]))
    if opening.fault is None:
        return SourceScript(items, **shape)
    return SourceScript(items, end="raises", error=NAMES[opening.fault], **shape)


def ticks(seconds: float) -> int:
    return round(seconds / TICK)


async def nap(seconds: float) -> None:
    """Sleep under asyncio or trio."""
    await async_sleep(seconds)


def make_sources(case: Case, log: Log, flavour: str) -> list[Any]:
    """The factories of a case, each in a `Source` where its plan has settings of its own."""
    tracer = Tracer(case, log)
    if flavour == "sync":
        host = SyncHost(clock.get().sleep, never)
        made = [sync_factory(tracer, host, n, TICK) for n in range(len(case.sources))]
    else:
        ahost = AsyncHost(async_sleep, never)
        made = [
            async_factory(
                tracer,
                ahost,
                n,
                TICK,
                awaited=any(opening.opening_delay for opening in plan.openings),
            )
            for n, plan in enumerate(case.sources)
        ]
    return [configured(factory, plan) for factory, plan in zip(made, case.sources, strict=True)]


def never(of: Any) -> Any:
    raise AssertionError("nobody intrudes here")


def configured(factory: Any, plan: SourcePlan) -> Any:
    factory.__name__ = plan.name
    own: dict[str, Any] = {}
    if plan.mid_stream is not None:
        own["mid_stream"] = plan.mid_stream
    if plan.attempts is not None:
        own["attempts"] = plan.attempts
    return Source(factory, **own) if own else factory
