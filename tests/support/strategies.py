"""Cases at random."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from failover_iter import Decide, EmptyStream, Resume, Skip, SourceError
from failover_iter.testing._faults import Bug
from failover_iter.testing._plans import SourceScript

from .case import Case, Falsy, Retryable, SourcePlan
from .scenarios import by_total, is_even, is_three, never_after_two

#: Errors in marbles; most are failures of the usual kind.
errors = st.sampled_from([*[""] * 7, "SourceError", "group", "Falsy", "bug", "mixed", "base"])
items = st.integers(0, 4).map(lambda n: "1234"[:n]) | st.text("1234", max_size=4)
#: Where an opening fails: seldom before its items.
places = st.sampled_from([None] * 4 + ["pull"] * 4 + ["call", "iter"])
kinds = st.sampled_from(["generator", "iterator", "bare", "iterable"])
closings = st.sampled_from(["quietly", "quietly", "quietly", "raises", "bug"])


@st.composite
def openings(draw: st.DrawFn) -> SourceScript:
    """The script of a source for one opening, if time does not pass."""
    at, kind = draw(places), draw(kinds)
    shape: dict[str, Any] = {"kind": kind, "closing": draw(closings)}
    if at is None:
        return SourceScript(draw(items), **shape)
    shape |= {"end": "raises", "error": draw(errors)}
    if at == "pull":
        return SourceScript(draw(items), **shape)
    return SourceScript(at=at, **{**shape, "kind": "iterable" if at == "iter" else kind})


def quietly(plan: SourcePlan) -> SourcePlan:
    """The same source, but closing it never fails."""
    return replace(plan, openings=tuple(replace(one, closing="quietly") for one in plan.openings))


#: Values of `switch_on`.
switching: list[Any] = [SourceError, Falsy, Bug, Retryable, (Bug, EmptyStream)]
key_modes: list[Any] = [Skip(key=str), Skip(key=lambda item: item % 2)]
modes: list[Any] = [
    "restart",
    "skip",
    "resume",
    Resume(keep=2),
    Resume(keep=None),
    Decide(by_total),
    Decide(never_after_two),
    *key_modes,
]


@st.composite
def cases(draw: st.DrawFn, *, leaves: bool = True) -> Case:
    """Any case: one to four sources, any options, any consumer."""
    stream_mode = draw(st.sampled_from([None, "raise", *modes]))
    own = (
        st.none()
        if stream_mode == "raise"
        else st.sampled_from([None, None, None, "raise", *modes])
    )
    names = "abcd"[: draw(st.integers(1, 4))]
    sources = tuple(
        SourcePlan(
            name,
            tuple(draw(st.lists(openings(), min_size=1, max_size=3))),
            mid_stream=draw(own),
            attempts=draw(st.sampled_from([None, None, 2])),
            switch_on=draw(st.sampled_from([None, None, None, *switching])),
        )
        for name in names
    )
    resets = stream_mode in ("skip", "resume") and all(plan.mid_stream is None for plan in sources)
    case = Case(
        sources,
        switch_on=draw(st.sampled_from([None, *switching])),
        mid_stream=stream_mode,
        attempts=draw(st.sampled_from([1, 1, 2, 3])),
        reset_on_progress=resets and draw(st.booleans()),
        wait=draw(st.sampled_from([0, 0.5])),
        commit_when=draw(st.sampled_from([1, 1, 2, 3, is_even])),
        complete_when=draw(st.sampled_from([None, None, is_three])),
        allow_empty=draw(st.booleans()),
        on_exhausted=draw(st.sampled_from(["last", "group"])),
        mark_takeovers=draw(st.booleans()),
    )
    if not leaves:
        return case
    leave = draw(st.sampled_from(["drain", "drain", "close", "throw", "drop"]))
    if leave == "drain":
        return case
    # Other tests cover what a source raises when it is closed then.
    sources = tuple(map(quietly, sources))
    return replace(case, sources=sources, consumer=f"{leave} {draw(st.integers(0, 6))}")
