"""The reference model of the laws: the items that a combinator delivers in each mode.

It knows plans alone: any combinator can be compared with it, whatever its options and its time. The
tests of this library have a model of whole traces, and compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Literal

from failover_iter.testing._faults import Bug, make_error
from failover_iter.testing._plans import GENERATORS, Plan, SourceScript
from failover_iter.typing import Mode

Verdict = Literal["ends", "outage", "error"]


def delivered_under(mode: Mode) -> Callable[[Plan], Iterator[Any]]:
    """Return the model of a combinator in this mode that opens each source once."""

    def model(plan: Plan) -> Iterator[Any]:
        delivered = 0
        error: BaseException = Bug("there was no source")
        for scripts in plan.sources:
            script = scripts[0]
            if mode == "restart":
                delivered = 0
            items = _items_of(script)
            replayed = mode in ("skip", "resume")
            for item in items[delivered:] if replayed else items:
                delivered += 1
                yield item
            # In mode "skip", a sequence that is too short is a different one: it has failed.
            verdict = _verdict(script, is_short=mode == "skip" and len(items) < delivered)
            if verdict == "ends":
                return
            error = make_error(script.error, plan.errors, "the model")
            if verdict == "error" or (mode == "raise" and delivered):
                break
        raise error

    model.__name__ = f"the model of {mode!r}"
    return model


def _items_of(script: SourceScript) -> str:
    return script.items if script.at == "pull" else ""


def _verdict(script: SourceScript, *, is_short: bool) -> Verdict:
    """Return how an attempt ends, as its consumer sees it."""
    is_generator = script.kind in GENERATORS
    nothing_to_close = script.kind == "bare" or script.at in ("call", "await")
    closing = "quietly" if nothing_to_close else script.closing
    if closing == "base":
        return "error"
    if is_generator and closing in ("raises", "bug"):
        return "outage" if closing == "raises" else "error"  # raised in `finally`
    if script.end != "ends":
        return "error" if script.error in ("bug", "base", "mixed", "stop") else "outage"
    if is_short:
        return "outage"  # whatever closing does then
    if closing in ("raises", "bug"):
        return "error"  # closing failed after a normal end: the consumer gets the error
    return "ends"
