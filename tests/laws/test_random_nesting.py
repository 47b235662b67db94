"""Law 7 with random trees: a stream of groups of groups is the flat stream of their leaves.

Every level has the same policy, with one attempt; sources may have their own options. Compared
are the items, the markers, how the stream ends, the notes of its error, what each factory was told
(`Progress`, its failures too), and the order in which sources were opened, pulled and closed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from failover_iter import Decide, Policy, Progress, Resume, Skip, Source, SourceError
from failover_iter.testing._faults import Bug
from support.case import Case, Falsy, SourcePlan
from support.runners import (
    kind_of,
    run_asyncio,
    run_sync,
    run_trio,
)
from support.scenarios import by_total, is_even, is_three, never_after_two
from support.size import EXAMPLES
from support.strategies import openings, quietly

Tree = Any  # a number of a source, or a list of trees

UNDECIDED = Decide(never_after_two)
MODES: list[Any] = [
    None,
    "restart",
    "raise",
    "skip",
    "resume",
    Skip(key=str),
    Resume(keep=2),
    UNDECIDED,
    Decide(by_total),
]
OWN_MODES: list[Any] = [mode for mode in MODES if mode is not None]


@st.composite
def trees(draw: st.DrawFn, count: int) -> Tree:
    """Any way to put so many sources, in order, into groups."""

    def tree(first: int, last: int, depth: int) -> Any:
        if last - first == 1 and (depth > 3 or draw(st.integers(0, 3))):
            return first
        children, start = [], first
        while start < last:
            least = start + 1
            stop = draw(st.integers(least, last))
            whole = start == first and stop == last
            if whole and (depth > 3 or draw(st.booleans())):
                children += list(range(start, stop))
            else:
                children.append(tree(start, stop, depth + 1))
            start = stop
        return children

    made = tree(0, count, 0)
    return made if isinstance(made, list) else [made]


own_options = st.fixed_dictionaries(
    {},
    optional={
        "attempts": st.integers(1, 3),
        "commit_when": st.sampled_from([1, 2, is_even]),
        "complete_when": st.sampled_from([None, is_three]),
        "allow_empty": st.booleans(),
        "wait": st.sampled_from([0, 0.5]),
        "switch_on": st.sampled_from([None, Falsy, SourceError]),
    },
)


@dataclass(frozen=True)
class Nested:
    """A case, the options of its sources, and a tree of their numbers."""

    case: Case
    own: tuple[dict[str, Any], ...]
    tree: Tree


@st.composite
def nested_cases(draw: st.DrawFn) -> Nested:
    """A case with one to five sources and a tree of them."""
    mode = draw(st.sampled_from(MODES))
    count = draw(st.integers(1, 5))
    some = st.lists(openings(), min_size=1, max_size=2).map(tuple)
    sources = tuple(SourcePlan("abcde"[index], draw(some)) for index in range(count))
    if draw(st.booleans()):
        sources = tuple(map(quietly, sources))
    own = []
    for _ in sources:
        options = dict(draw(st.just({}) | own_options))
        # The answer of a `Decide`, "raise" too, applies to the sources of its level.
        if mode not in ("raise", UNDECIDED) and draw(st.integers(0, 3)) == 0:
            options["mid_stream"] = draw(st.sampled_from(OWN_MODES))
        elif mode == "raise" and draw(st.integers(0, 5)) == 0:
            options["mid_stream"] = "raise"
        own.append(options)
    switch_on = draw(st.sampled_from([None, None, Falsy, SourceError, Bug]))
    if switch_on is Bug:
        # The outer level is asked about what a source does not list itself.
        own = [{name: each[name] for name in each if name != "switch_on"} for each in own]
    case = Case(
        sources,
        switch_on=switch_on,
        mid_stream=mode,
        commit_when=draw(st.sampled_from([1, 1, 2, 3, is_even])),
        complete_when=draw(st.sampled_from([None, None, is_three])),
        allow_empty=draw(st.booleans()),
        mark_takeovers=draw(st.booleans()),
    )
    return Nested(case, tuple(own), draw(trees(count)))


def told(progress: Progress[Any]) -> Any:
    """A `Progress` as data."""
    failures = [
        (each.source, each.attempt, each.delivered, kind_of(each.error))
        for each in progress.failures
    ]
    fields = (progress.delivered, progress.last, progress.items, progress.total, progress.attempt)
    return ("told", fields, failures)


def combinator(make: Any, nested: Nested, tree: Tree, log: list[Any]) -> Any:
    """Return a combinator that puts its factories into this tree."""

    def stream(factories: list[Any], **options: Any) -> Any:
        mark_takeovers = options.pop("mark_takeovers", False)
        policy = Policy(**options)

        def leaf(index: int) -> Any:
            factory, own = factories[index], nested.own[index]

            def listening(*args: Any) -> Any:
                log.extend(map(told, args))
                return factory(*args)

            listening.__name__ = factory.__name__
            return Source(listening, **own) if own else listening

        def built(tree: Tree) -> list[Any]:
            return [
                policy.source(built(each)) if isinstance(each, list) else leaf(each)
                for each in tree
            ]

        return make(policy)(built(tree), mark_takeovers=mark_takeovers)

    return stream


def seen(run: Any, make: Any, nested: Nested, tree: Tree) -> Any:
    """Run the case with this tree; return all that can be told from outside."""
    log: list[Any] = []
    notes: list[Any] = []
    trace = run(nested.case, combinator(make, nested, tree, log), listen=False, notes=notes)
    return trace, log, notes


def sync(policy: Policy) -> Any:
    return policy.stream


def asynchronous(policy: Policy) -> Any:
    return policy.astream


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "make"), [(run_sync, sync), (run_asyncio, asynchronous), (run_trio, asynchronous)]
)
@settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
@given(nested_cases())
def test_nested_is_flat(run: Any, make: Any, nested: Nested) -> None:
    """A tree of groups cannot be told from the flat list, in any mode."""
    flat = seen(run, make, nested, list(range(len(nested.case.sources))))
    assert seen(run, make, nested, nested.tree) == flat
