"""Cases at random."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from failover_iter import Decide, Resume, Skip

from .case import Case, Opening, SourcePlan
from .scenarios import by_total, is_even, is_three, never_after_two

FAULTS = ["retryable", "source", "group", "falsy", "transparent", "mixed", "base"]
faults = st.sampled_from(FAULTS[:1] * 6 + FAULTS)
items = st.integers(0, 4).map(lambda n: tuple(range(1, n + 1))) | st.lists(
    st.integers(1, 4), max_size=4
).map(tuple)
seldom = st.one_of(st.none(), st.none(), st.none(), st.none(), faults)

openings = st.builds(
    Opening,
    items=items,
    fault=st.none() | faults,
    opening=seldom,
    iterating=seldom,
    closing=st.one_of(
        st.none(), st.none(), st.none(), st.sampled_from(["retryable", "transparent"])
    ),
    kind=st.sampled_from(["generator", "iterator", "bare", "iterable"]),
)

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
            tuple(draw(st.lists(openings, min_size=1, max_size=3))),
            mid_stream=draw(own),
            attempts=draw(st.sampled_from([None, None, 2])),
        )
        for name in names
    )
    resets = stream_mode in ("skip", "resume") and all(plan.mid_stream is None for plan in sources)
    case = Case(
        sources,
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
    if leave != "drain":  # what a source raises when it is closed then is tested by itself
        sources = tuple(
            replace(plan, openings=tuple(replace(one, closing=None) for one in plan.openings))
            for plan in sources
        )
        case = replace(case, sources=sources, leave=leave, after=draw(st.integers(0, 6)))
    return case
