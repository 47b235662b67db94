"""Law 7: nested streams deliver the same items as flat ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from failover_iter import Decide, Policy, Resume, Skip, SourceError
from failover_iter.testing import Bug
from support.case import Case, Falsy, SourcePlan
from support.runners import run_asyncio, run_sync
from support.scenarios import is_even, is_three, never_after_two
from support.size import explore
from support.strategies import openings, quietly


def nested(shape: str) -> Any:
    """Return a combinator that nests its factories, such as "a(bc)" or "(ab)c"."""

    def combinator(make: Any) -> Any:
        def stream(factories: list[Any], **options: Any) -> Any:
            options.pop("on_event", None)
            mark_takeovers = options.pop("mark_takeovers", False)
            policy = Policy(**options)
            match shape:
                case "a(bc)":
                    sources = [factories[0], policy.source(factories[1:])]
                case "(ab)c":
                    sources = [policy.source(factories[:-1]), factories[-1]]
                case "((a))":
                    sources = [policy.source([policy.source(factories)])]
                case _:
                    sources = factories
            return make(policy)(sources, mark_takeovers=mark_takeovers)

        return stream

    return combinator


def delivered(trace: list[Any]) -> list[Any]:
    """Return what the consumer received: items, modes of markers, and the class of the error."""
    shown: list[Any] = []
    for entry in trace:
        if entry[0] == "item":
            shown.append(entry)
        elif entry[0] == "marker":
            shown.append(("marker", entry[1]))
        elif entry[0] == "raised":
            shown.append(entry[:2])
        elif entry[0] == "ended":
            shown.append(entry)
    return shown


modes: list[Any] = [
    None,
    "raise",
    "skip",
    "resume",
    Skip(key=str),
    Resume(keep=2),
    Decide(never_after_two),
]
plans = st.lists(openings(), min_size=1, max_size=1).map(tuple)


@st.composite
def flat_cases(draw: st.DrawFn) -> Case:
    sources = tuple(quietly(SourcePlan(name, draw(plans))) for name in "abc")
    return Case(
        sources,
        switch_on=draw(st.sampled_from([None, None, Falsy, SourceError, Bug])),
        mid_stream=draw(st.sampled_from(modes)),
        commit_when=draw(st.sampled_from([1, 1, 2, is_even])),
        complete_when=draw(st.sampled_from([None, is_three])),
        allow_empty=draw(st.booleans()),
        mark_takeovers=draw(st.booleans()),
    )


@explore(flat_cases(), st.sampled_from(["a(bc)", "((a))"]))
def test_nested_delivers_what_flat_delivers(case: Case, shape: str) -> None:
    """`[a, policy.source([b, c])]` delivers what `[a, b, c]` delivers, in every mode."""
    flat = delivered(run_sync(case))
    assert delivered(run_sync(case, nested(shape)(lambda policy: policy.stream))) == flat
    assert delivered(run_asyncio(case, nested(shape)(lambda policy: policy.astream))) == flat


@explore(st.lists(openings(), min_size=3, max_size=3), flat_cases())
def test_three_times_one_source_is_three_attempts(three: list[Any], case: Case) -> None:
    """`[f, f, f]` delivers what `f` with `attempts=3` delivers, if nothing is in `switch_on`."""
    many = replace(
        case, switch_on=None, sources=(SourcePlan("a", tuple(three), attempts=None),), attempts=3
    )
    once = replace(many, attempts=1)

    def thrice(make: Any) -> Any:
        return lambda factories, **options: make(factories * 3, **options)

    from failover_iter import afailover_stream, failover_stream

    assert delivered(run_sync(once, thrice(failover_stream))) == delivered(run_sync(many))
    assert delivered(run_asyncio(once, thrice(afailover_stream))) == delivered(run_asyncio(many))
