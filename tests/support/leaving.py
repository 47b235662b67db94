"""The rest of the reference model: what is left of a trace where the consumer leaves."""

from __future__ import annotations

from failover_iter.testing._plans import Consumer

from .case import Case
from .runners import Trace


def left(case: Case, whole: Trace, *, listen: bool) -> Trace:
    """Cut the trace where the consumer leaves, and close what is open there."""
    consumer = Consumer.read(case.consumer)
    if consumer.how in ("drain", "slow"):
        return whole
    places = [i for i, entry in enumerate(whole) if entry[0] in ("item", "marker")]
    if consumer.at > len(places):
        return whole
    leaves: Trace = [("leaves", consumer.how)]
    thrown: Trace = [("raised", "Retryable", 0)] if consumer.how == "throw" else []
    if consumer.at == 0:
        return leaves + thrown
    seen = whole[: places[consumer.at - 1] + 1]
    source = next(entry[1] for entry in reversed(seen) if entry[0] == "open")
    opened = sum(entry == ("open", source) for entry in seen) - 1
    plan = next(plan for plan in case.sources if plan.name == source)
    opening = plan.opening(opened)
    since = seen[max(i for i, entry in enumerate(seen) if entry == ("open", source)) :]
    closed_itself = ("close", source) in since
    closing: Trace = []
    if opening.kind != "bare" and not closed_itself:
        closing.append(("close", source))
    if listen:
        start = next(dict(entry[1]) for entry in reversed(seen) if entry[0] == "Opening")
        event = {
            "source": source,
            "attempt": start["attempt"],
            "elapsed": start["elapsed"],
            "delivered": sum(entry[0] == "item" for entry in seen),
            "error": "Retryable" if consumer.how == "throw" else "GeneratorExit",
            "abandoned": False,
        }
        closing.append(("Closed", tuple(sorted(event.items()))))
    return seen + leaves + closing + thrown
