"""Cases in which time passes: named ones that both drivers run, and cases at random.

Limits have digits that no sum of the delays has: nothing happens at the same moment as a limit.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from failover_iter import Skip
from failover_iter.testing._plans import SourceScript

from .case import Case, source
from .scenarios import is_three
from .strategies import cases

FIRST, IDLE, TOTAL, GIVE_UP = 2.03, 1.01, 5.378, 3.134

B = source("b", "123|")
SILENT = source("a", "{90}12|")
STALLS = source("a", "1-----2{90}3|")
STALLS_AT_THE_END = source("a", "123{90}|")
ALIVE = source("a", "{9}1{9}2{9}3{9}4|")
SLOW_TO_OPEN = source("a", "12| open=90")
DOWN = source("down", "# at=call")

TIMED: dict[str, Case] = {
    "stall before the first item": Case((SILENT, B), first_item_timeout=FIRST),
    "stall before the first item, idle alone": Case((SILENT, B), idle_timeout=IDLE),
    "slow to open": Case((SLOW_TO_OPEN, B), first_item_timeout=FIRST),
    "slow to open, idle alone": Case((SLOW_TO_OPEN, B), idle_timeout=IDLE),
    "opening and first item share the time": Case(
        (source("a", "{15}1| open=15"), B), first_item_timeout=FIRST
    ),
    "slow first item in time": Case(
        (source("a", "{19}12|"), B), first_item_timeout=FIRST, idle_timeout=IDLE
    ),
    "only the first item is timed": Case((STALLS, B), first_item_timeout=FIRST),
    "stall midway": Case((STALLS, B), idle_timeout=IDLE, mid_stream="skip"),
    "stall midway, restart": Case((STALLS, B), idle_timeout=IDLE, mark_takeovers=True),
    "stall midway, raise": Case((STALLS, B), idle_timeout=IDLE, mid_stream="raise"),
    "stall midway, resume": Case((STALLS, B), idle_timeout=IDLE, mid_stream="resume"),
    "stall midway, skip by key": Case((STALLS, B), idle_timeout=IDLE, mid_stream=Skip(key=str)),
    "stall while replaying": Case(
        (source("x", "12#"), STALLS, B), idle_timeout=IDLE, mid_stream="skip"
    ),
    "stall at the end": Case((STALLS_AT_THE_END, B), idle_timeout=IDLE, mid_stream="skip"),
    "stall while held": Case((STALLS, B), idle_timeout=IDLE, commit_when=3),
    "stall, nobody else": Case((STALLS,), idle_timeout=IDLE),
    "stalls, group": Case((SILENT, STALLS), idle_timeout=IDLE, on_exhausted="group"),
    "stall, the same source again": Case(
        (source("a", "1{90}2|; 12|"),),
        idle_timeout=IDLE,
        attempts=2,
        wait=0.5,
        mid_stream="skip",
    ),
    "stall of an iterator": Case(
        (source("a", "1{90}2| as=iterator"), B), idle_timeout=IDLE, mid_stream="skip"
    ),
    "stall of an iterable": Case(
        (source("a", "1{90}2| as=iterable"), B), idle_timeout=IDLE, mid_stream="skip"
    ),
    "stall of what cannot be closed": Case(
        (source("a", "1{90}2| as=bare"), B), idle_timeout=IDLE, mid_stream="skip"
    ),
    "slow but alive": Case((ALIVE, B), idle_timeout=IDLE),
    "slow consumer": Case((B,), idle_timeout=IDLE, first_item_timeout=FIRST, consumer="slow 300"),
    "failures under a limit": Case((DOWN, source("a", "1#"), B), idle_timeout=IDLE),
    "bug under a limit": Case((source("a", "1#bug"), B), idle_timeout=IDLE),
    "no exception under a limit": Case((source("a", "1#base"), B), idle_timeout=IDLE),
    "cut under a limit": Case(
        (source("a", "1|"), B), idle_timeout=IDLE, complete_when=is_three, mid_stream="skip"
    ),
    "total, in time": Case((ALIVE,), total_timeout=TOTAL),
    "total, in a pull": Case((DOWN, STALLS, B), total_timeout=TOTAL),
    "total, at the opening": Case((DOWN, SLOW_TO_OPEN, B), total_timeout=TOTAL),
    "total, before idle": Case((source("a", "1{90}2|"), B), total_timeout=0.5, idle_timeout=1),
    "total, by many stalls": Case((SILENT,), attempts=9, total_timeout=TOTAL, idle_timeout=IDLE),
    "total, in a pause": Case((DOWN,), attempts=9, wait=2, total_timeout=TOTAL),
    "total, by the consumer": Case(
        (source("a", "012345678|"), B), total_timeout=TOTAL, consumer="slow 10"
    ),
    "total, by the consumer, before the end": Case(
        (source("a", "12|"),), total_timeout=TOTAL, consumer="slow 30"
    ),
    "total, among held items": Case(
        (source("a", "012345678|"), B), total_timeout=TOTAL, consumer="slow 10", commit_when=8
    ),
    "total, among held items of a source that has ended": Case(
        (source("a", "012345678|"), B), total_timeout=TOTAL, consumer="slow 10", commit_when=99
    ),
    "give up, by pauses": Case((DOWN,), attempts=99, wait=0.5, give_up_after=GIVE_UP),
    "give up, by slow failures": Case((source("a", "{7}#"),), attempts=99, give_up_after=GIVE_UP),
    "give up, not for a first source that hangs": Case(
        (source("a", "{90}#"), B), give_up_after=GIVE_UP
    ),
    "give up, not for healthy delivery": Case(
        (source("a", "{30}1{30}2{30}3{30}#", attempts=3), B),
        give_up_after=GIVE_UP,
        mid_stream="skip",
    ),
    "give up, not for the consumer": Case(
        (source("a", "12#"), B), give_up_after=GIVE_UP, consumer="slow 90"
    ),
    "give up, switching": Case(
        (source("a", "{30}#"), source("b", "{30}#"), source("c", "{30}#"), B),
        give_up_after=GIVE_UP,
    ),
    "give up with stalls": Case(
        (SILENT,), attempts=99, idle_timeout=IDLE, give_up_after=GIVE_UP, on_exhausted="group"
    ),
    "give up, endless": Case(
        (source("a", "12#"),), attempts=5, mid_stream="resume", wait=1, give_up_after=GIVE_UP
    ),
}

ticks = st.lists(st.sampled_from([0, 0, 0, 3, 9, 15, 30, 200]), max_size=5).map(tuple)
opens = st.sampled_from([0, 0, 0, 7, 19, 200])


@st.composite
def timed_cases(draw: st.DrawFn) -> Case:
    """Any case that is drained, with delays and limits."""
    case = draw(cases(leaves=False))

    def delayed(one: SourceScript) -> SourceScript:
        return replace(one, opens=draw(opens), ticks=draw(ticks) if one.at == "pull" else ())

    sources = tuple(
        replace(each, openings=tuple(map(delayed, each.openings))) for each in case.sources
    )
    return replace(
        case,
        sources=sources,
        first_item_timeout=draw(st.sampled_from([None, None, FIRST])),
        idle_timeout=draw(st.sampled_from([None, IDLE, IDLE])),
        total_timeout=draw(st.sampled_from([None, None, TOTAL])),
        give_up_after=draw(st.sampled_from([None, None, GIVE_UP])),
        consumer=draw(st.sampled_from(["drain", "drain", "slow 4", "slow 70"])),
    )
