"""Cases in which time passes: named ones that both drivers run, and cases at random.

Limits have digits that no sum of the delays has: nothing happens at the same moment as a limit.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from failover_iter import Skip

from .case import Case, Opening, SourcePlan, failing, plan
from .scenarios import is_three
from .strategies import cases

FIRST, IDLE, TOTAL, GIVE_UP = 2.03, 1.01, 5.378, 3.134

B = plan("b", 1, 2, 3)
SILENT = plan("a", 1, 2, delays=(9,))
STALLS = plan("a", 1, 2, 3, delays=(0, 0.5, 9))
STALLS_AT_THE_END = plan("a", 1, 2, 3, delays=(0, 0, 0, 9))
ALIVE = plan("a", 1, 2, 3, 4, delays=(0.9, 0.9, 0.9, 0.9))
SLOW_TO_OPEN = plan("a", 1, 2, opening_delay=9)
DOWN = plan("down", opening="retryable")

TIMED: dict[str, Case] = {
    "stall before the first item": Case((SILENT, B), first_item_timeout=FIRST),
    "stall before the first item, idle alone": Case((SILENT, B), idle_timeout=IDLE),
    "slow to open": Case((SLOW_TO_OPEN, B), first_item_timeout=FIRST),
    "slow to open, idle alone": Case((SLOW_TO_OPEN, B), idle_timeout=IDLE),
    "opening and first item share the time": Case(
        (plan("a", 1, opening_delay=1.5, delays=(1.5,)), B), first_item_timeout=FIRST
    ),
    "slow first item in time": Case(
        (plan("a", 1, 2, delays=(1.9,)), B), first_item_timeout=FIRST, idle_timeout=IDLE
    ),
    "only the first item is timed": Case((STALLS, B), first_item_timeout=FIRST),
    "stall midway": Case((STALLS, B), idle_timeout=IDLE, mid_stream="skip"),
    "stall midway, restart": Case((STALLS, B), idle_timeout=IDLE, mark_takeovers=True),
    "stall midway, raise": Case((STALLS, B), idle_timeout=IDLE, mid_stream="raise"),
    "stall midway, resume": Case((STALLS, B), idle_timeout=IDLE, mid_stream="resume"),
    "stall midway, skip by key": Case((STALLS, B), idle_timeout=IDLE, mid_stream=Skip(key=str)),
    "stall while replaying": Case(
        (failing("x", 1, 2), STALLS, B), idle_timeout=IDLE, mid_stream="skip"
    ),
    "stall at the end": Case((STALLS_AT_THE_END, B), idle_timeout=IDLE, mid_stream="skip"),
    "stall while held": Case((STALLS, B), idle_timeout=IDLE, commit_when=3),
    "stall, nobody else": Case((STALLS,), idle_timeout=IDLE),
    "stalls, group": Case((SILENT, STALLS), idle_timeout=IDLE, on_exhausted="group"),
    "stall, the same source again": Case(
        (SourcePlan("a", (Opening((1, 2), delays=(0, 9)), Opening((1, 2)))),),
        idle_timeout=IDLE,
        attempts=2,
        wait=0.5,
        mid_stream="skip",
    ),
    "stall of an iterator": Case(
        (plan("a", 1, 2, delays=(0, 9), kind="iterator"), B), idle_timeout=IDLE, mid_stream="skip"
    ),
    "stall of an iterable": Case(
        (plan("a", 1, 2, delays=(0, 9), kind="iterable"), B), idle_timeout=IDLE, mid_stream="skip"
    ),
    "stall of what cannot be closed": Case(
        (plan("a", 1, 2, delays=(0, 9), kind="bare"), B), idle_timeout=IDLE, mid_stream="skip"
    ),
    "slow but alive": Case((ALIVE, B), idle_timeout=IDLE),
    "slow consumer": Case((B,), idle_timeout=IDLE, first_item_timeout=FIRST, pace=30),
    "failures under a limit": Case((DOWN, failing("a", 1), B), idle_timeout=IDLE),
    "bug under a limit": Case((failing("a", 1, fault="transparent"), B), idle_timeout=IDLE),
    "no exception under a limit": Case((failing("a", 1, fault="base"), B), idle_timeout=IDLE),
    "cut under a limit": Case(
        (plan("a", 1), B), idle_timeout=IDLE, complete_when=is_three, mid_stream="skip"
    ),
    "total, in time": Case((ALIVE,), total_timeout=TOTAL),
    "total, in a pull": Case((DOWN, STALLS, B), total_timeout=TOTAL),
    "total, at the opening": Case((DOWN, SLOW_TO_OPEN, B), total_timeout=TOTAL),
    "total, before idle": Case(
        (plan("a", 1, 2, delays=(0, 9)), B), total_timeout=0.5, idle_timeout=1
    ),
    "total, by many stalls": Case((SILENT,), attempts=9, total_timeout=TOTAL, idle_timeout=IDLE),
    "total, in a pause": Case((DOWN,), attempts=9, wait=2, total_timeout=TOTAL),
    "total, by the consumer": Case((plan("a", *range(9)), B), total_timeout=TOTAL, pace=1),
    "total, by the consumer, before the end": Case((plan("a", 1, 2),), total_timeout=TOTAL, pace=3),
    "total, among held items": Case(
        (plan("a", *range(9)), B), total_timeout=TOTAL, pace=1, commit_when=8
    ),
    "total, among held items of a source that has ended": Case(
        (plan("a", *range(9)), B), total_timeout=TOTAL, pace=1, commit_when=99
    ),
    "give up, by pauses": Case((DOWN,), attempts=99, wait=0.5, give_up_after=GIVE_UP),
    "give up, by slow failures": Case(
        (failing("a", delays=(0.7,)),), attempts=99, give_up_after=GIVE_UP
    ),
    "give up, not for a first source that hangs": Case(
        (failing("a", delays=(9,)), B), give_up_after=GIVE_UP
    ),
    "give up, not for healthy delivery": Case(
        (failing("a", 1, 2, 3, delays=(3, 3, 3, 3), attempts=3), B),
        give_up_after=GIVE_UP,
        mid_stream="skip",
    ),
    "give up, not for the consumer": Case((failing("a", 1, 2), B), give_up_after=GIVE_UP, pace=9),
    "give up, switching": Case(
        (failing("a", delays=(3,)), failing("b", delays=(3,)), failing("c", delays=(3,)), B),
        give_up_after=GIVE_UP,
    ),
    "give up with stalls": Case(
        (SILENT,), attempts=99, idle_timeout=IDLE, give_up_after=GIVE_UP, on_exhausted="group"
    ),
    "give up, endless": Case(
        (failing("a", 1, 2),), attempts=5, mid_stream="resume", wait=1, give_up_after=GIVE_UP
    ),
}

delays = st.lists(st.sampled_from([0, 0, 0, 0.3, 0.9, 1.5, 3, 20]), max_size=5).map(tuple)
opening_delays = st.sampled_from([0, 0, 0, 0.7, 1.9, 20])


@st.composite
def timed_cases(draw: st.DrawFn) -> Case:
    """Any case that is drained, with delays and limits."""
    case = draw(cases(leaves=False))
    sources = tuple(
        replace(
            source,
            openings=tuple(
                replace(one, delays=draw(delays), opening_delay=draw(opening_delays))
                for one in source.openings
            ),
        )
        for source in case.sources
    )
    return replace(
        case,
        sources=sources,
        first_item_timeout=draw(st.sampled_from([None, None, FIRST])),
        idle_timeout=draw(st.sampled_from([None, IDLE, IDLE])),
        total_timeout=draw(st.sampled_from([None, None, TOTAL])),
        give_up_after=draw(st.sampled_from([None, None, GIVE_UP])),
        pace=draw(st.sampled_from([0, 0, 0.4, 7])),
    )
