"""Runs a case on a combinator and writes down all that can be seen from outside.

The test kit makes the sources, the consumer and the virtual time. Its log is written as a trace,
with the events of the stream in their places.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from failover_iter import Event, Source, Takeover, afailover_stream, failover_stream
from failover_iter.testing._run import PlanRun
from failover_iter.testing._sources import factories_of
from failover_iter.testing._verify import world_of

from .case import OWN, TICK, Case, Retryable, SourcePlan

Trace = list[tuple[Any, ...]]
Combinator = Callable[..., Any]


@contextmanager
def quiet() -> Iterator[None]:
    """No log, and no warning of trio that a stream was let go."""
    logger = logging.getLogger("failover_iter")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        logger.disabled = True
        try:
            yield
        finally:
            logger.disabled = False


def kind_of(error: BaseException | None) -> str | None:
    """An error as data: its class, and those of its leaves."""
    if isinstance(error, BaseExceptionGroup):
        leaves = ",".join(str(kind_of(leaf)) for leaf in error.exceptions)
        return f"{type(error).__name__}[{leaves}]"
    return None if error is None else type(error).__name__


#: The fields of events that a trace shows.
FIELDS = (
    "source", "attempt", "delivered", "to", "seconds", "mode", "failures", "consecutive",
    "abandoned", "matched", "reason",
)  # fmt: skip


def event_entry(event: Event) -> tuple[Any, ...]:
    """An event as data."""
    fields = {name: getattr(event, name) for name in FIELDS if hasattr(event, name)}
    fields["elapsed"] = round(event.elapsed, 6)
    for name in ("error", "close_error"):
        if hasattr(event, name):
            fields[name] = kind_of(getattr(event, name))
    return (type(event).__name__, tuple(sorted(fields.items())))


class Tracer(PlanRun):
    """Writes the log of a run as a trace, and what abandoned sources do at its end."""

    def __init__(self, case: Case, flavour: Any) -> None:
        awaited = any(each.opens for plan in case.sources for each in plan.openings)
        super().__init__(case.plan, int, world_of(flavour), TICK, is_awaited=awaited)
        self.names = [plan.name for plan in case.sources]
        self.trace: Trace = []
        self.late: Trace = []
        self.notes: list[str] = []

    def note(self, what: Any, *, of: Any = (None, 0), value: Any = None, **more: Any) -> None:
        if self.world.is_late():
            if what == "close":
                self.late.append(("late close", self.names[of[0]]))
            return
        super().note(what, of=of, value=value, **more)
        match what:
            case "open" | "pull" | "close":
                self.trace.append((what, self.names[of[0]]))
            case "got" if isinstance(value, Takeover):
                error = kind_of(value.error)
                self.trace.append(("marker", value.mode, value.source, error, value.delivered))
            case "got":
                self.trace.append(("item", value))
            case "leave":
                self.trace.append(("leaves", value))
            case "end":
                self.trace.append(("ended",))
            case "raised":
                self.notes = list(getattr(value, "__notes__", ()))
                self.trace.append(("raised", kind_of(value), len(self.notes)))


def run(
    flavour: str,
    case: Case,
    combinator: Combinator | None = None,
    *,
    listen: bool = True,
    notes: list[str] | None = None,
) -> Trace:
    """Run a case on a combinator; add the notes of the error that ends it to `notes`."""
    tracer = Tracer(case, flavour)
    options = {"retry_on": Retryable, **case.options}
    if listen:
        options["on_event"] = lambda event: tracer.trace.append(event_entry(event))
    made = combinator or (failover_stream if flavour == "sync" else afailover_stream)

    def pipeline() -> Any:
        return made(list(map(configured, factories_of(tracer), case.sources)), **options)

    with quiet():
        tracer.play(pipeline)
    if notes is not None:
        notes += tracer.notes
    return tracer.trace + sorted(tracer.late)


def configured(factory: Any, plan: SourcePlan) -> Any:
    """A factory with its name in the case, in a `Source` if the case sets options for it."""
    factory.__name__ = plan.name
    own = {name: value for name in OWN if (value := getattr(plan, name)) is not None}
    return Source(factory, **own) if own else factory


run_sync = partial(run, "sync")
run_asyncio = partial(run, "asyncio")
run_trio = partial(run, "trio")
