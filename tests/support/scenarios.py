"""The scenario table: named cases that both drivers run, one for each thing worth a name."""

from __future__ import annotations

from failover_iter import Decide, Progress, Resume, Skip, SourceError
from failover_iter._types import Mode
from failover_iter.testing import Bug

from .case import Case, Falsy, Retryable, source


def is_three(item: int) -> bool:
    return item == 3


def is_even(item: int) -> bool:
    return item % 2 == 0


def by_total(progress: Progress[int]) -> Mode:
    """Each of the modes that go on, in turn."""
    return ("skip", "resume", "restart")[progress.total % 3]


def never_after_two(progress: Progress[int]) -> Mode:
    return "raise" if progress.last == 2 else "resume"


A = source("a", "12#")
B = source("b", "123|")
DOWN = source("down", "# at=call")
RECOVERS = source("a", "12#; 123|")
CREEPS = source("a", "0#; 01#; 01#; 0123#; 012|")

SCENARIOS: dict[str, Case] = {
    "one source": Case((B,)),
    "one empty source": Case((source("a", "|"),)),
    "restart": Case((A, B)),
    "restart, said so": Case((A, B), mid_stream="restart"),
    "raise": Case((A, B), mid_stream="raise"),
    "raise before the first item": Case((source("a", "#"), A, B), mid_stream="raise"),
    "skip": Case((A, B), mid_stream="skip"),
    "skip, replay fails": Case((A, source("x", "1#"), B), mid_stream="skip"),
    "skip, replay too short": Case((A, source("x", "1|"), B), mid_stream="skip"),
    "skip, nothing new": Case((A, source("x", "12|")), mid_stream="skip"),
    "skip by key": Case((A, B), mid_stream=Skip(key=str)),
    "skip by key, diverged": Case((A, source("x", "173|"), B), mid_stream=Skip(key=str)),
    "skip without key, diverged": Case((A, source("x", "173|"), B), mid_stream="skip"),
    "resume": Case((A, B), mid_stream="resume"),
    "resume, nothing left": Case((source("a", "123#"), B), mid_stream="resume"),
    "resume with kept items": Case((A, B), mid_stream=Resume(keep=2)),
    "decide": Case((A, source("b", "123#"), source("c", "1234#"), B), mid_stream=Decide(by_total)),
    "decide to raise": Case((source("a", "1#"), A, B), mid_stream=Decide(never_after_two)),
    "decide, all fail": Case((DOWN, A, DOWN, A), mid_stream=Decide(by_total)),
    "own mode raise is passed over": Case((A, source("x", "123|", mid_stream="raise"), B)),
    "own mode raise, nobody else": Case((A, source("x", "1|", mid_stream="raise"))),
    "own mode raise opens first": Case((source("x", "12#", mid_stream="raise"), B)),
    "own mode skip": Case((A, source("x", "123|", mid_stream="skip"))),
    "own mode skip, then restart": Case((A, source("x", "123#", mid_stream="skip"), B)),
    "own mode resume": Case((A, source("x", "123|", mid_stream="resume"))),
    "own mode skip by key": Case((A, source("x", "173|", mid_stream=Skip(key=str)), B)),
    "own key judges its source alone": Case(
        (A, source("x", "173#"), source("y", "1234|", mid_stream=Skip(key=str))),
        mid_stream="skip",
    ),
    "own mode decides to raise": Case(
        (A, source("x", "9|", mid_stream=Decide(never_after_two)), B)
    ),
    "attempts": Case((RECOVERS,), attempts=2, mid_stream="skip"),
    "attempts, own": Case((source("a", "1#", attempts=3), B), mid_stream="skip"),
    "attempts run out": Case((A, source("b", "#")), attempts=3),
    "switch_on": Case((source("a", "1#Falsy; 12|"), B), attempts=3, switch_on=Falsy),
    "switch_on, after retries": Case(
        (source("a", "#; 1#; 12#Falsy; 123|"), B), attempts=9, switch_on=Falsy, mid_stream="skip"
    ),
    "switch_on, what retry_on does not list": Case((source("a", "1#bug"), B), switch_on=Bug),
    "switch_on, of a source": Case(
        (source("a", "#Falsy; 1|", switch_on=Falsy), source("b", "#Falsy; 2|")), attempts=2
    ),
    "switch_on, of one attempt": Case((source("a", "1#bug"), B), switch_on=(Bug,), attempts=1),
    "switch_on, then a retry": Case(
        (source("a", "#Falsy; 1|"), source("b", "#; 2|")), attempts=2, switch_on=Falsy
    ),
    "switch_on, not SourceError": Case(
        (source("a", "#SourceError; 1|"), B), attempts=2, switch_on=Falsy
    ),
    "switch_on, nobody else": Case((source("a", "#; #Falsy; 1|"),), switch_on=Falsy, attempts=5),
    "switch_on SourceError": Case(
        (source("a", "#SourceError; 1|"), source("b", "|; 2|"), source("c", "#; 3|")),
        switch_on=SourceError,
        attempts=2,
        allow_empty=False,
    ),
    "switch_on, each leaf": Case((source("a", "#group; 1|"), B), attempts=2, switch_on=Retryable),
    "switch_on, not each leaf": Case((source("a", "#mixed; 1|"), B), attempts=2, switch_on=Bug),
    "switch_on does not see another error": Case(
        (source("a", "#; 1|"), B), attempts=2, switch_on=Falsy
    ),
    "switch_on, passes": Case((source("a", "#mixed"), B), switch_on=Falsy),
    "switch_on beats reset_on_progress": Case(
        (source("a", "1#Falsy; 12|"), B),
        switch_on=Falsy,
        attempts=2,
        mid_stream="skip",
        reset_on_progress=True,
    ),
    "switch_on under raise": Case((source("a", "1#Falsy"), B), switch_on=Falsy, mid_stream="raise"),
    "an own attempt is passed over": Case(
        (source("a", "12#", mid_stream="raise", attempts=2), B), attempts=2
    ),
    "wait": Case((A, B), attempts=3, wait=0.5),
    "reset on progress": Case((CREEPS, B), mid_stream="skip", reset_on_progress=True),
    "reset on progress, resume": Case((CREEPS, B), mid_stream="resume", reset_on_progress=True),
    "commit at two": Case((source("a", "1#"), source("b", "78#"), B), commit_when=2),
    "commit at two, clean end": Case((source("a", "1#"), source("b", "7|")), commit_when=2),
    "commit at even": Case((source("a", "1#"), source("b", "789#"), B), commit_when=is_even),
    "commit and skip": Case((A, source("x", "12#"), B), commit_when=2, mid_stream="skip"),
    "commit and resume": Case((A, B), commit_when=2, mid_stream="resume"),
    "complete": Case((B,), complete_when=is_three),
    "cut": Case((source("a", "12|"), B), complete_when=is_three, mid_stream="skip"),
    "cut, nobody else": Case((source("a", "12|"),), complete_when=is_three),
    "cut before the first item": Case((source("a", "|"), B), complete_when=is_three),
    "complete by an earlier attempt": Case(
        (source("a", "123#"), source("b", "123|")), complete_when=is_three, mid_stream="resume"
    ),
    "not complete after an empty restart": Case(
        (source("a", "123#"), source("b", "|")), complete_when=is_three
    ),
    "an empty restart changes nothing": Case(
        (A, source("x", "|"), B), mark_takeovers=True, complete_when=is_three
    ),
    "an empty restart changes nothing for skip": Case(
        (A, source("x", "|", mid_stream="restart"), B),
        mark_takeovers=True,
        complete_when=is_three,
        mid_stream="skip",
    ),
    "empty is a failure": Case((source("a", "|"), B), allow_empty=False),
    "empty, nobody else": Case((source("a", "|"),), allow_empty=False),
    "empty, never committed": Case((source("a", "1|"), B), allow_empty=False, commit_when=2),
    "empty resume": Case(
        (source("a", "1#"), source("x", "|"), B), allow_empty=False, mid_stream="resume"
    ),
    "empty is no failure where it replayed": Case(
        (A, source("x", "12|")), allow_empty=False, mid_stream="skip"
    ),
    "mark_takeovers": Case((A, A, B), mark_takeovers=True),
    "mark_takeovers, skip": Case((A, DOWN, B), mark_takeovers=True, mid_stream="skip"),
    "mark_takeovers, resume": Case((A, B), mark_takeovers=True, mid_stream="resume"),
    "mark_takeovers, nothing delivered": Case((DOWN, B), mark_takeovers=True),
    "mark_takeovers and commit": Case(
        (A, source("x", "1#"), B), mark_takeovers=True, commit_when=2
    ),
    "exhausted": Case((A, DOWN, source("c", "#SourceError"))),
    "exhausted, group": Case((A, DOWN, source("c", "#SourceError")), on_exhausted="group"),
    "transparent": Case((DOWN, source("a", "1#bug"), B)),
    "transparent at the opening": Case((DOWN, source("a", "#bug at=call"), B)),
    "group of failures": Case((source("a", "1#group"), B)),
    "mixed group": Case((source("a", "1#mixed"), B)),
    "no exception": Case((DOWN, source("a", "1#base"), B)),
    "no exception at the opening": Case((DOWN, source("a", "#base at=call"), B)),
    "falsy error": Case((source("a", "1#Falsy"), B)),
    "falsy error, last": Case((B, source("a", "1#Falsy"))[1:]),
    "iter fails": Case((source("a", "# at=iter as=iterable"), B)),
    "iterators": Case((source("a", "12# as=iterator"), source("b", "123| as=iterator"))),
    "iterables": Case((source("a", "12# as=iterable"), source("b", "123| as=iterable"))),
    "bare iterators": Case((source("a", "12# as=bare"), source("b", "123| as=bare"))),
    "closing a failed source fails": Case((source("a", "1# as=iterator close=bug"), B)),
    "closing the last failed source fails": Case((DOWN, source("a", "1# as=iterable close=bug"))),
    "closing after the end fails": Case((DOWN, source("a", "1| as=iterator close=raises"), B)),
    "a generator fails in its finally": Case((source("a", "1| close=raises"), B)),
    "consumer closes": Case((A, B), consumer="close 3"),
    "consumer closes before the start": Case((A, B), consumer="close 0"),
    "consumer closes among held items": Case((B,), commit_when=3, consumer="close 1"),
    "consumer closes at a marker": Case((A, B), mark_takeovers=True, consumer="close 3"),
    "consumer throws": Case((A, B), consumer="throw 3"),
    "consumer throws before the start": Case((A, B), consumer="throw 0"),
    "consumer throws into an iterator": Case(
        (source("a", "12| as=iterator"), B), consumer="throw 1"
    ),
    "consumer throws among held items of a source that has ended": Case(
        (source("a", "12|"), B), commit_when=9, consumer="throw 1"
    ),
    "consumer lets go": Case((A, B), consumer="drop 3"),
}
