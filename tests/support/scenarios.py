"""The scenario table: named cases that both drivers run, one for each thing worth a name."""

from __future__ import annotations

from failover_iter import Decide, Progress, Resume, Skip
from failover_iter._types import Mode

from .case import Case, Opening, SourcePlan, failing, plan


def is_three(item: int) -> bool:
    return item == 3


def is_even(item: int) -> bool:
    return item % 2 == 0


def by_total(progress: Progress[int]) -> Mode:
    """Each of the modes that go on, in turn."""
    return ("skip", "resume", "restart")[progress.total % 3]


def never_after_two(progress: Progress[int]) -> Mode:
    return "raise" if progress.last == 2 else "resume"


A = failing("a", 1, 2)
B = plan("b", 1, 2, 3)
DOWN = plan("down", opening="retryable")
RECOVERS = SourcePlan("a", (Opening((1, 2), fault="retryable"), Opening((1, 2, 3))))
CREEPS = SourcePlan(
    "a", (*(Opening(tuple(range(n)), fault="retryable") for n in (1, 2, 2, 4)), Opening((0, 1, 2)))
)

SCENARIOS: dict[str, Case] = {
    "one source": Case((B,)),
    "one empty source": Case((plan("a"),)),
    "restart": Case((A, B)),
    "restart, said so": Case((A, B), mid_stream="restart"),
    "raise": Case((A, B), mid_stream="raise"),
    "raise before the first item": Case((failing("a"), A, B), mid_stream="raise"),
    "skip": Case((A, B), mid_stream="skip"),
    "skip, replay fails": Case((A, failing("x", 1), B), mid_stream="skip"),
    "skip, replay too short": Case((A, plan("x", 1), B), mid_stream="skip"),
    "skip, nothing new": Case((A, plan("x", 1, 2)), mid_stream="skip"),
    "skip by key": Case((A, B), mid_stream=Skip(key=str)),
    "skip by key, diverged": Case((A, plan("x", 1, 7, 3), B), mid_stream=Skip(key=str)),
    "skip without key, diverged": Case((A, plan("x", 1, 7, 3), B), mid_stream="skip"),
    "resume": Case((A, B), mid_stream="resume"),
    "resume, nothing left": Case((failing("a", 1, 2, 3), B), mid_stream="resume"),
    "resume with kept items": Case((A, B), mid_stream=Resume(keep=2)),
    "decide": Case(
        (A, failing("b", 1, 2, 3), failing("c", 1, 2, 3, 4), B), mid_stream=Decide(by_total)
    ),
    "decide to raise": Case((failing("a", 1), A, B), mid_stream=Decide(never_after_two)),
    "decide, all fail": Case((DOWN, A, DOWN, A), mid_stream=Decide(by_total)),
    "own mode raise is passed over": Case((A, plan("x", 1, 2, 3, mid_stream="raise"), B)),
    "own mode raise, nobody else": Case((A, plan("x", 1, mid_stream="raise"))),
    "own mode raise opens first": Case((plan("x", 1, 2, mid_stream="raise", fault="retryable"), B)),
    "own mode skip": Case((A, plan("x", 1, 2, 3, mid_stream="skip"))),
    "own mode skip, then restart": Case((A, failing("x", 1, 2, 3, mid_stream="skip"), B)),
    "own mode resume": Case((A, plan("x", 1, 2, 3, mid_stream="resume"))),
    "own mode skip by key": Case((A, plan("x", 1, 7, 3, mid_stream=Skip(key=str)), B)),
    "own key judges its source alone": Case(
        (A, failing("x", 1, 7, 3), plan("y", 1, 2, 3, 4, mid_stream=Skip(key=str))),
        mid_stream="skip",
    ),
    "own mode decides to raise": Case((A, plan("x", 9, mid_stream=Decide(never_after_two)), B)),
    "attempts": Case((RECOVERS,), attempts=2, mid_stream="skip"),
    "attempts, own": Case((failing("a", 1, attempts=3), B), mid_stream="skip"),
    "attempts run out": Case((A, failing("b")), attempts=3),
    "wait": Case((A, B), attempts=3, wait=0.5),
    "reset on progress": Case((CREEPS, B), mid_stream="skip", reset_on_progress=True),
    "reset on progress, resume": Case((CREEPS, B), mid_stream="resume", reset_on_progress=True),
    "commit at two": Case((failing("a", 1), failing("b", 7, 8), B), commit_when=2),
    "commit at two, clean end": Case((failing("a", 1), plan("b", 7)), commit_when=2),
    "commit at even": Case((failing("a", 1), failing("b", 7, 8, 9), B), commit_when=is_even),
    "commit and skip": Case((A, failing("x", 1, 2), B), commit_when=2, mid_stream="skip"),
    "commit and resume": Case((A, B), commit_when=2, mid_stream="resume"),
    "complete": Case((B,), complete_when=is_three),
    "cut": Case((plan("a", 1, 2), B), complete_when=is_three, mid_stream="skip"),
    "cut, nobody else": Case((plan("a", 1, 2),), complete_when=is_three),
    "cut before the first item": Case((plan("a"), B), complete_when=is_three),
    "complete by an earlier attempt": Case(
        (failing("a", 1, 2, 3), plan("b", 1, 2, 3)), complete_when=is_three, mid_stream="resume"
    ),
    "not complete after an empty restart": Case(
        (failing("a", 1, 2, 3), plan("b")), complete_when=is_three
    ),
    "an empty restart changes nothing": Case(
        (A, plan("x"), B), mark_takeovers=True, complete_when=is_three
    ),
    "an empty restart changes nothing for skip": Case(
        (A, plan("x", mid_stream="restart"), B),
        mark_takeovers=True,
        complete_when=is_three,
        mid_stream="skip",
    ),
    "empty is a failure": Case((plan("a"), B), allow_empty=False),
    "empty, nobody else": Case((plan("a"),), allow_empty=False),
    "empty, never committed": Case((plan("a", 1), B), allow_empty=False, commit_when=2),
    "empty resume": Case((failing("a", 1), plan("x"), B), allow_empty=False, mid_stream="resume"),
    "empty is no failure where it replayed": Case(
        (A, plan("x", 1, 2)), allow_empty=False, mid_stream="skip"
    ),
    "mark_takeovers": Case((A, A, B), mark_takeovers=True),
    "mark_takeovers, skip": Case((A, DOWN, B), mark_takeovers=True, mid_stream="skip"),
    "mark_takeovers, resume": Case((A, B), mark_takeovers=True, mid_stream="resume"),
    "mark_takeovers, nothing delivered": Case((DOWN, B), mark_takeovers=True),
    "mark_takeovers and commit": Case((A, failing("x", 1), B), mark_takeovers=True, commit_when=2),
    "exhausted": Case((A, DOWN, failing("c", fault="source"))),
    "exhausted, group": Case((A, DOWN, failing("c", fault="source")), on_exhausted="group"),
    "transparent": Case((DOWN, failing("a", 1, fault="transparent"), B)),
    "transparent at the opening": Case((DOWN, plan("a", opening="transparent"), B)),
    "group of failures": Case((failing("a", 1, fault="group"), B)),
    "mixed group": Case((failing("a", 1, fault="mixed"), B)),
    "no exception": Case((DOWN, failing("a", 1, fault="base"), B)),
    "no exception at the opening": Case((DOWN, plan("a", opening="base"), B)),
    "falsy error": Case((failing("a", 1, fault="falsy"), B)),
    "falsy error, last": Case((B, failing("a", 1, fault="falsy"))[1:]),
    "iter fails": Case((plan("a", 1, kind="iterable", iterating="retryable"), B)),
    "iterators": Case((failing("a", 1, 2, kind="iterator"), plan("b", 1, 2, 3, kind="iterator"))),
    "iterables": Case((failing("a", 1, 2, kind="iterable"), plan("b", 1, 2, 3, kind="iterable"))),
    "bare iterators": Case((failing("a", 1, 2, kind="bare"), plan("b", 1, 2, 3, kind="bare"))),
    "closing a failed source fails": Case(
        (failing("a", 1, kind="iterator", closing="transparent"), B)
    ),
    "closing the last failed source fails": Case(
        (DOWN, failing("a", 1, kind="iterable", closing="transparent"))
    ),
    "closing after the end fails": Case(
        (DOWN, plan("a", 1, kind="iterator", closing="retryable"), B)
    ),
    "a generator fails in its finally": Case((plan("a", 1, closing="retryable"), B)),
    "consumer closes": Case((A, B), leave="close", after=3),
    "consumer closes before the start": Case((A, B), leave="close", after=0),
    "consumer closes among held items": Case((B,), commit_when=3, leave="close", after=1),
    "consumer closes at a marker": Case((A, B), mark_takeovers=True, leave="close", after=3),
    "consumer throws": Case((A, B), leave="throw", after=3),
    "consumer throws before the start": Case((A, B), leave="throw", after=0),
    "consumer throws into an iterator": Case(
        (plan("a", 1, 2, kind="iterator"), B), leave="throw", after=1
    ),
    "consumer throws among held items of a source that has ended": Case(
        (plan("a", 1, 2), B), commit_when=9, leave="throw", after=1
    ),
    "consumer lets go": Case((A, B), leave="drop", after=3),
}
