"""What a combinator delivers from a plan, by how it takes over: the model of the laws."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from failover_iter.testing._faults import Bug, make_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from failover_iter.testing._plans import Opening, Plan
    from failover_iter.typing import Mode

Verdict = Literal["ends", "outage", "error"]


def delivered_under(mode: Mode) -> Callable[[Plan], Iterator[Any]]:
    """The model of a combinator that opens each source once and takes over so."""

    def model(plan: Plan) -> Iterator[Any]:
        delivered = 0
        error: BaseException = Bug("there was no source")
        for script in plan.sources:
            opening = script[0]
            if mode == "restart":
                delivered = 0
            items = _given(opening)
            replayed = mode in ("skip", "resume")
            for item in items[delivered:] if replayed else items:
                delivered += 1
                yield item
            verdict = _verdict(opening)
            if mode == "skip" and verdict == "ends" and len(items) < delivered:
                verdict = "outage"  # it is not the same sequence: never a quiet end
            if verdict == "ends":
                return
            error = make_error(opening.error, plan.errors, "the model")
            if verdict == "error" or (mode == "raise" and delivered):
                break
        raise error

    model.__name__ = f"the model of {mode!r}"
    return model


def _given(opening: Opening) -> str:
    return opening.items if opening.at == "pull" else ""


def _verdict(opening: Opening) -> Verdict:
    """What becomes of an attempt, as its consumer sees it."""
    started = opening.at == "pull"
    if opening.kind == "generator" and started and opening.closing in ("raises", "bug"):
        return "outage" if opening.closing == "raises" else "error"  # out of its own `finally`
    if opening.end != "ends":
        return "error" if opening.error in ("bug", "base", "mixed", "stop") else "outage"
    if opening.kind in ("iterator", "iterable") and opening.closing in ("raises", "bug"):
        return "error"  # closing after a good end failed: the consumer is told
    return "ends"
