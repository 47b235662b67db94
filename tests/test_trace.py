"""`Trace` on real streams. `test_trace_any.py` tests every event order that the grammar allows."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter import Policy, Source, Trace, afailover_stream, failover_stream
from failover_iter.events import (
    Completed,
    Exhausted,
    Failed,
    Opening,
    Switched,
    Waiting,
)
from failover_iter.testing import VirtualClock
from support.virtual import virtual_time
from support.width import width

# Real streams with a virtual clock.


@pytest.fixture
def time() -> Iterator[VirtualClock]:
    with virtual_time(VirtualClock()) as fake:
        yield fake


def source(time: VirtualClock, name: str, *runs: tuple[int, Exception | None]) -> Source[Any]:
    """A source that yields the given number of items per run, 0.25 s apart, then fails."""
    left = iter(runs)

    def opened() -> Iterator[int]:
        items, error = next(left)
        for item in range(items):
            time.sleep(0.25)
            yield item
        time.sleep(0.25)
        if error is not None:
            raise error

    return Source(opened, name=name)


def summary(trace: Trace) -> list[tuple[Any, ...]]:
    return [
        (row.depth, row.source, row.attempt, row.takeover, row.delivered, row.outcome)
        for row in trace.attempts
    ]


TABLE = """\
source   #  start  first    end  delivered  outcome                                0           3.75s
primary  1    0ms  250ms  1.00s          3  failed ConnectionError: reset by peer  -===x
primary  2  1.50s      -  1.75s          0  failed TimeoutError: no answer             ..-x
replica  1  1.75s  2.75s  3.75s          4  completed                                     -----====|
takeover: skip
... waiting  --- until the first item  === delivering  x failed  | completed  / closed  > running"""


def test_empty() -> None:
    """An empty trace can be shown."""
    trace = Trace()
    assert trace.attempts == ()
    assert trace.events == []
    assert str(trace) == "no attempts yet"
    assert "no attempts yet" in trace._repr_html_()
    assert repr(trace) == "<Trace of 0 events>"


def test_table(time: VirtualClock) -> None:
    """The printed table of a stream with a retry, a pause and a switch."""
    primary = source(
        time, "primary", (3, ConnectionError("reset by peer")), (0, TimeoutError("no answer"))
    )
    replica = source(time, "replica", (7, None))
    trace = Trace()
    stream = failover_stream(
        [primary, replica],
        retry_on=OSError,
        mid_stream="skip",
        attempts=2,
        wait=0.5,
        on_event=trace,
    )
    assert list(stream) == list(range(7))
    assert str(trace) == TABLE
    assert repr(trace) == "<Trace of 10 events>"
    assert trace._repr_html_().count("<tr>") == 4


def test_exhausted(time: VirtualClock) -> None:
    """If the stream is exhausted, the last line says so."""
    trace = Trace()
    first = source(time, "a", (1, OSError("gone")))
    second = source(time, "b", (1, OSError("gone too")))
    with pytest.raises(OSError, match="gone too"):
        list(failover_stream([first, second], retry_on=OSError, on_event=trace))
    lines = str(trace).split("\n")
    assert lines[3] == "exhausted after 2 failures, 2 delivered: OSError: gone too"
    assert "exhausted after 2 failures" in trace._repr_html_()


def test_shown_while_it_runs(time: VirtualClock) -> None:
    """A running stream is shown as running, and a closed one as closed."""
    trace = Trace()
    with closing(
        failover_stream([source(time, "a", (3, None))], retry_on=OSError, on_event=trace)
    ) as stream:
        next(stream)
        assert summary(trace) == [(0, "a", 1, None, None, "running")]
    assert summary(trace) == [(0, "a", 1, None, 1, "closed")]
    assert "closed by the consumer" in str(trace)


def test_error_outside_retry_on(time: VirtualClock) -> None:
    """An error outside `retry_on` is shown, without a line that says "exhausted"."""
    trace = Trace()
    with pytest.raises(KeyError):
        list(
            failover_stream(
                [source(time, "a", (1, KeyError("x")))], retry_on=OSError, on_event=trace
            )
        )
    assert summary(trace) == [(0, "a", 1, None, 1, "failed")]
    assert "exhausted" not in str(trace)


def test_callback_that_raises(time: VirtualClock) -> None:
    """An attempt that ends because a callback raised is shown as closed by that error."""
    trace = Trace()
    stream = failover_stream(
        [source(time, "a", (1, None))],
        retry_on=OSError,
        commit_when=lambda item: 1 // item > 0,
        on_event=trace,
    )
    with pytest.raises(ZeroDivisionError):
        list(stream)
    assert "closed by ZeroDivisionError" in str(trace)


@pytest.mark.parametrize("name", ["region", "a"])
def test_inner_streams(time: VirtualClock, name: str) -> None:
    """An inner stream is indented on the outer timeline, even if it is named like its source."""
    trace = Trace()
    policy = Policy(retry_on=OSError, mid_stream="restart", on_event=trace)
    inner = policy.source(
        [source(time, "a", (1, OSError())), source(time, "b", (1, OSError()))], name=name
    )
    last = source(time, "c", (3, None))
    assert list(policy.stream([inner, last])) == [0, 0, 0, 1, 2]
    assert summary(trace) == [
        (0, name, 1, None, 2, "failed"),
        (1, "a", 1, None, 1, "failed"),
        (1, "b", 1, "restart", 1, "failed"),
        (0, "c", 1, "restart", 3, "completed"),
    ]
    assert [(row.start, row.end) for row in trace.attempts] == [
        (0.0, 1.0),
        (0.0, 0.5),
        (0.5, 1.0),
        (1.0, 2.0),
    ]
    assert [row.stream for row in trace.attempts] == [1] * 4


GROUPS = """\
source       #  start  first    end  delivered  outcome                   0                    1.50s
stream 1:
first        1    0ms  250ms  500ms          1  closed by the consumer    ----====/
stream 2:
region       1    0ms  250ms  1.00s          2  failed OSError: no route  ----=============x
  zone       1    0ms  250ms  500ms          1  failed OSError: gone      ----====x
    primary  1    0ms  250ms  500ms          1  failed OSError: gone      ----====x
    exhausted after 1 failure, 1 delivered: OSError: gone
  replica    1  500ms  750ms  1.00s          1  failed OSError: no route          ----=====x
  exhausted after 2 failures, 2 delivered: OSError: no route
cache        1  1.00s  1.25s  1.50s          1  completed                                  ----====|
takeover: restart
... waiting  --- until the first item  === delivering  x failed  | completed  / closed  > running"""


def test_groups_of_concurrent_streams(time: VirtualClock) -> None:
    """Each of two concurrent streams has its rows together, and its groups are indented."""
    trace = Trace()
    policy = Policy(retry_on=OSError, on_event=trace)
    zone = policy.source([source(time, "primary", (1, OSError("gone")))], name="zone")
    region = policy.source([zone, source(time, "replica", (1, OSError("no route")))], name="region")
    with closing(policy.stream([source(time, "first", (3, None))])) as first:
        next(first)
        second = policy.stream([region, source(time, "cache", (1, None))])
        assert next(second) == 0
        first.close()
        assert list(second) == [0, 0]
    assert str(trace) == GROUPS


def test_one_stream_after_the_other(time: VirtualClock) -> None:
    """Successive streams that share a trace are numbered."""
    trace = Trace()
    for _ in range(2):
        given_source = source(time, "a", (1, None))
        list(failover_stream([given_source], retry_on=OSError, on_event=trace))
    assert [row.stream for row in trace.attempts] == [1, 2]
    assert str(trace).count("\nstream ") == 2


def test_a_factory_that_opens_a_stream(time: VirtualClock) -> None:
    """A stream that a factory opens by itself is not nested: it is shown as a separate stream."""
    trace = Trace()
    policy = Policy(retry_on=OSError, on_event=trace)
    inner = source(time, "inner", (1, None))
    assert list(policy.stream([Source(lambda: policy.stream([inner]), name="outer")])) == [0]
    assert [(row.stream, row.depth, row.source) for row in trace.attempts] == [
        (1, 0, "outer"),
        (2, 0, "inner"),
    ]


def run_async(main: Callable[[], Any]) -> Any:
    with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
        return runner.run(main())


def test_async() -> None:
    """An async stream is traced like a sync one, with the clock of its loop."""

    async def opened() -> AsyncIterator[int]:
        await asyncio.sleep(0.25)
        yield 1
        raise OSError("gone")

    trace = Trace()

    async def main() -> None:
        stream = afailover_stream(
            [opened], retry_on=OSError, attempts=2, wait=2, mid_stream="skip", on_event=trace
        )
        async with aclosing(stream):
            with pytest.raises(OSError, match="gone"):
                async for _ in stream:
                    pass

    run_async(main)
    assert summary(trace) == [
        (0, "opened", 1, None, 1, "failed"),
        (0, "opened", 2, "skip", 0, "failed"),
    ]
    assert trace.attempts[1].waited == pytest.approx(2.0)
    assert trace.attempts[1].start == pytest.approx(2.25)


def test_cancelled_in_a_pause() -> None:
    """A stream that was cancelled during a pause is not confused with the next one."""

    async def opened() -> AsyncIterator[int]:
        raise OSError("gone")
        yield

    trace = Trace()

    async def consume() -> None:
        stream = afailover_stream([opened], retry_on=OSError, attempts=2, wait=60, on_event=trace)
        async with aclosing(stream), asyncio.timeout(1):
            await anext(stream)

    async def main() -> None:
        for _ in range(2):
            with pytest.raises(TimeoutError):
                await consume()

    run_async(main)
    assert [(row.stream, row.depth) for row in trace.attempts] == [(1, 0), (2, 0)]
    assert str(trace).count("waiting 60.0s, then opening opened") == 2


# Printing.


def hostile() -> Trace:
    """One failed attempt whose name and error could break the table."""
    trace = Trace()
    name = "再試行\x1b[2J\n<b>\ud800\u202e\t" * 5
    error = OSError("\x1b]0;title\x07 <script>alert('再')</script>\r\n" * 50)
    trace(Opening(name, 1, 0, 0.0))
    trace(Failed(name, 1, 0, 1.0, error, 1, 1, None))
    trace(Exhausted(name, 1, 0, 1.0, error, 1))
    return trace


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "latin-1", "utf-8", "utf-16"])
def test_print_in_any_encoding(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters that standard output cannot encode are escaped, so `print` never fails."""
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding, newline="\n"))
    print(hostile())
    sys.stdout.flush()
    lines = written.getvalue().decode(encoding).split("\n")
    assert len(lines) == 5
    assert max(map(width, lines)) <= 100


def test_a_table_in_a_narrow_terminal() -> None:
    """A narrow table leaves out the times, which the timeline shows, and breaks the legend."""
    trace, error = Trace(), OSError("gone")
    for event in (
        Opening("a long name of a source", 1, 0, 0.0),
        Failed("a long name of a source", 1, 3, 1.0, error, 1, 1, None),
        Switched("a long name of a source", 1, 3, 1.0, "b", error, 0.0, "skip"),
        Opening("b", 1, 3, 1.0),
        Completed("b", 1, 5, 2.0),
    ):
        trace(event)
    assert f"{trace:60}".splitlines() == [
        "source            #  delivered  outcome     0          2.00s",
        "a long nam…ource  1          3  failed ...  --------x",
        "b                 1          2  completed           -------|",
        "takeover: skip",
        "... waiting  --- until the first item  === delivering",
        "x failed  | completed  / closed  > running",
    ]
    assert f"{trace:100}" == f"{trace}" == str(trace)
    assert "#    end  delivered" in f"{trace:80}"


@pytest.mark.parametrize("columns", ["59", "x", "-1", "60.5", ">60"])
def test_a_table_in_no_width(columns: str) -> None:
    """A width must be a number, and not too small."""
    with pytest.raises(ValueError, match="must be at least 60, got"):
        format(Trace(), columns)


@pytest.mark.parametrize("stdout", [None, io.StringIO(), SimpleNamespace(encoding=7)])
def test_no_encoding(stdout: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """If standard output has no usable encoding, or is missing, nothing is escaped."""
    monkeypatch.setattr(sys, "stdout", stdout)
    text = str(hostile())
    monkeypatch.undo()
    assert text.startswith("source")
    assert "再試行" in text


def test_very_many_attempts() -> None:
    """A trace of 20,000 attempts is shown in a screenful of lines."""
    trace, error = Trace(), OSError("gone")
    for number in range(20_000):
        at = number * 1.0
        trace(Opening("a", number + 1, 0, at))
        trace(Failed("a", number + 1, 0, at, error, number + 1, 1, None))
        trace(Waiting("a", number + 1, 0, at, error, 1.0, None))
    lines = str(trace).split("\n")
    assert len(lines) == 43
    assert lines[21] == "... 19,961 attempts left out ..."
    assert lines[-2] == "waiting 1.00s, then opening a"
