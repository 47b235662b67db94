"""One listener can tell many streams apart, and `Trace` shows the rows of each one together."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from failover_iter import Policy, Source, SourceError, Trace
from failover_iter._drivers.clock import async_sleep
from failover_iter.events import Committed, Event, Opening
from failover_iter.testing import VirtualClock
from failover_iter.trace import TracedAttempt

# Random streams. The name of a source contains the names of the groups that it is in: "s0/1/0".


@dataclass(frozen=True)
class Plan:
    """A source: for each opening its items, the pause between them, and how it ends."""

    name: str
    openings: tuple[tuple[int, float, Literal["ends", "fails", "breaks"]], ...]


@dataclass(frozen=True)
class Group:
    """A stream, or a `Policy.source` in it."""

    name: str
    members: tuple[Plan | Group, ...]
    options: dict[str, Any]
    #: What takes virtual time; left out in threads.
    timed: dict[str, Any]
    leaves_after: int | None = None
    cancelled_after: float | None = None


openings = st.tuples(
    st.integers(0, 3),
    st.sampled_from([0.0, 0.0, 0.25]),
    st.sampled_from(["ends", "fails", "fails", "fails", "breaks"]),
)
options = st.fixed_dictionaries(
    {},
    optional={
        "attempts": st.just(2),
        "mid_stream": st.sampled_from(["restart", "skip", "raise"]),
        "commit_when": st.just(2),
        "allow_empty": st.just(False),
        "on_exhausted": st.just("group"),
    },
)
timed = st.fixed_dictionaries(
    {},
    optional={
        "wait": st.sampled_from([0.25, 1]),
        "idle_timeout": st.just(0.125),
        "total_timeout": st.sampled_from([0.125, 1]),
    },
)


@st.composite
def groups(draw: st.DrawFn, name: str, depth: int = 0) -> Group:
    members: list[Plan | Group] = []
    for number in range(draw(st.integers(1, 3))):
        inner = f"{name}/{number}"
        if depth < 3 and draw(st.booleans()):
            members.append(draw(groups(inner, depth + 1)))
        else:
            runs = draw(st.lists(openings, min_size=1, max_size=2))
            members.append(Plan(inner, tuple(runs)))
    return Group(name, tuple(members), draw(options), draw(timed))


@st.composite
def scripts(draw: st.DrawFn) -> list[Group]:
    roots = []
    for number in range(draw(st.integers(2, 5))):
        root = draw(groups(f"s{number}"))
        leaves = draw(st.sampled_from([None, None, 0, 1, 3]))
        cancelled = draw(st.sampled_from([None, None, 0.0, 0.5]))
        root = Group(root.name, root.members, root.options, root.timed, leaves, cancelled)
        roots.append(root)
    return roots


def policy_of(group: Group, listener: Any, flavour: str) -> Policy:
    timed = group.timed if flavour == "async" else {}
    return Policy(retry_on=OSError, on_event=listener, **group.options, **timed)


def sources_of(group: Group, listener: Any, flavour: str) -> list[Any]:
    made: list[Any] = []
    for member in group.members:
        if isinstance(member, Plan):
            factory = sync_factory(member) if flavour == "sync" else async_factory(member)
            made.append(Source(factory, name=member.name))
        else:
            inner = policy_of(member, listener, flavour)
            factories = sources_of(member, listener, flavour)
            made.append(inner.source(factories, name=member.name))
    return made


def finish(end: str) -> None:
    if end != "ends":
        raise (OSError if end == "fails" else KeyError)(end)


def sync_factory(plan: Plan) -> Callable[[], Iterator[int]]:
    left = iter(plan.openings * 50)

    def opened() -> Iterator[int]:
        items, _, end = next(left)
        for item in range(items):
            time.sleep(0)  # lets another thread run
            yield item
        finish(end)

    return opened


def async_factory(plan: Plan) -> Callable[[], AsyncIterator[int]]:
    left = iter(plan.openings * 50)

    async def opened() -> AsyncIterator[int]:
        items, pause, end = next(left)
        for item in range(items):
            await async_sleep(pause)
            yield item
        await async_sleep(pause)
        finish(end)

    return opened


# Consumers: one per stream, all of them at the same time.

ERRORS = (OSError, KeyError, SourceError, ExceptionGroup)


def consume(root: Group, listener: Any) -> Iterator[None]:
    """Pull a sync stream until it ends or the consumer leaves; suspended after each item."""
    factories = sources_of(root, listener, "sync")
    left = root.leaves_after
    with suppress(*ERRORS), closing(policy_of(root, listener, "sync").stream(factories)) as stream:
        for _ in stream:
            yield
            if left == 0:
                break
            left = None if left is None else left - 1


async def aconsume(root: Group, listener: Any) -> None:
    factories = sources_of(root, listener, "async")
    left = root.leaves_after
    stream = policy_of(root, listener, "async").astream(factories)
    with suppress(*ERRORS):
        async with aclosing(stream):
            async for _ in stream:
                if left == 0:
                    break
                left = None if left is None else left - 1


def run_in_turns(roots: list[Group], listener: Any, random: Random) -> None:
    """One thread pulls the streams in random order."""
    running = [consume(root, listener) for root in roots]
    while running:
        stream = random.choice(running)
        if next(stream, "ended") == "ended":
            running.remove(stream)


def run_threads(roots: list[Group], listener: Any, _: Random) -> None:
    start = threading.Barrier(len(roots), timeout=60)
    failures: list[BaseException] = []

    def main(root: Group) -> None:
        try:
            start.wait()
            for _ in consume(root, listener):
                time.sleep(0)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=main, args=(root,)) for root in roots]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []


def run_asyncio(roots: list[Group], listener: Any, _: Random) -> None:
    async def task(root: Group) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(root.cancelled_after):
                await aconsume(root, listener)

    async def main() -> None:
        async with asyncio.TaskGroup() as tasks:
            for root in roots:
                tasks.create_task(task(root))

    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        runner.run(main())


def run_trio(roots: list[Group], listener: Any, _: Random) -> None:
    async def task(root: Group) -> None:
        limit = float("inf") if root.cancelled_after is None else root.cancelled_after
        with trio.move_on_after(limit):
            await aconsume(root, listener)

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            for root in roots:
                nursery.start_soon(task, root)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


RUNNERS = [run_in_turns, run_threads, run_asyncio, run_trio]

# The laws.

#: That of events.py. A stream that is interrupted during a pause ends there.
GRAMMAR = re.compile(
    "Opening (Committed )?"
    "(Failed (Waiting |Switched )Opening (Committed )?)*"
    "(Failed (Exhausted |Waiting |Switched )?|Completed |Closed )"
)


def group_of(name: str) -> str:
    return name.rpartition("/")[0]


@dataclass
class Listened:
    """The streams, as a listener knows them from the events alone."""

    #: By number: the events, the outer stream, and the group (or the stream) that it is.
    events: dict[int, list[Event]] = field(default_factory=lambda: defaultdict(list))
    parents: dict[int, int | None] = field(default_factory=dict)
    groups: dict[int, str] = field(default_factory=dict)


def check_events(events: list[Event]) -> Listened:
    """Each stream follows the grammar, within the outer attempt that opened it."""
    heard = Listened()
    opened_by: dict[int, int] = {}  # the opening of the outer stream, as an index of its events
    for event in events:
        number, outer = event.stream, event.parent
        group = group_of(event.source)
        assert heard.parents.setdefault(number, outer) == outer
        assert heard.groups.setdefault(number, group) == group
        if outer is None:
            assert "/" not in group
        else:
            around = heard.events[outer]
            assert isinstance(around[-1], Opening | Committed)
            assert around[-1].source == group
            latest = max(at for at, seen in enumerate(around) if isinstance(seen, Opening))
            assert opened_by.setdefault(number, latest) == latest
        heard.events[number].append(event)
    roots = [group for group in heard.groups.values() if "/" not in group]
    assert len(roots) == len(set(roots))
    inner = [(heard.parents[number], latest) for number, latest in opened_by.items()]
    assert len(inner) == len(set(inner))  # an attempt opens its group once
    for seen in heard.events.values():
        assert GRAMMAR.fullmatch("".join(f"{type(event).__name__} " for event in seen))
    return heard


def check_rows(rows: tuple[TracedAttempt, ...], events: list[Event]) -> None:
    """The rows of a stream are together, each group below the attempt that opened it."""
    names = [event.source for event in events if isinstance(event, Opening)]
    began = list(dict.fromkeys(name.partition("/")[0] for name in names))
    expected = sorted(names, key=lambda name: began.index(name.partition("/")[0]))
    assert [row.source for row in rows] == expected
    above: list[TracedAttempt] = []  # the attempt that each level is in
    for row in rows:
        assert row.stream == began.index(row.source.partition("/")[0]) + 1
        assert row.depth == row.source.count("/") - 1
        assert row.outcome != "running" or row.depth < len(above)
        del above[row.depth :]
        if row.depth:
            outer = above[-1]
            assert (outer.source, outer.stream) == (group_of(row.source), row.stream)
            assert outer.start <= row.start
            assert row.end is not None
            assert outer.end is not None
            assert row.end <= outer.end + 1e-9
        above.append(row)


def check_text(text: str, rows: tuple[TracedAttempt, ...]) -> None:
    """The rows below the heading of a stream are those of that stream, indented by their depth."""
    _, *sections = re.split(r"^stream (\d+):$", text, flags=re.MULTILINE)
    assert list(map(int, sections[::2])) == sorted({row.stream for row in rows})
    for number, section in zip(sections[::2], sections[1::2], strict=True):
        shown = re.findall(r"^( *s\d\S*)  ", section, flags=re.MULTILINE)
        expected = [row for row in rows if row.stream == int(number)]
        assert shown == ["  " * row.depth + row.source for row in expected]


@pytest.mark.parametrize("run", RUNNERS)
@given(roots=scripts(), random=st.randoms(use_true_random=False))
def test_streams_at_the_same_time(run: Any, roots: list[Group], random: Random) -> None:
    """One listener tells any concurrent, nested streams apart, and `Trace` shows each together."""
    trace = Trace()
    run(roots, trace, random)
    heard = check_events(trace.events)
    names = {root.name for root in roots if root.cancelled_after != 0.0}
    assert names <= {group for group in heard.groups.values() if "/" not in group}
    rows = trace.attempts
    check_rows(rows, trace.events)
    if len(trace.events) <= 40 and len({row.stream for row in rows}) > 1:
        check_text(str(trace), rows)
