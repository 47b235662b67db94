"""`run_plan` runs a plan on a pipeline of any flavour and records what happens."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import aclosing, closing
from threading import Event, Thread
from typing import Any

import pytest

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import Plan, RunResult, VirtualClock, run_plan
from failover_iter.testing._faults import Bug, Interrupt
from failover_iter.testing._runs import Interruption, Runaway

FLAVOURS = ["sync", "asyncio", "trio"]


def passed_on(flavour: str) -> Any:
    """Return a pipeline that passes on the items of its first source."""

    def passes(source: Any, *_: Any) -> Iterator[Any]:
        with closing(source()) as items:
            yield from items

    async def apasses(source: Any, *_: Any) -> AsyncIterator[Any]:
        async with aclosing(source()) as items:
            async for item in items:
                yield item

    return passes if flavour == "sync" else apasses


def failover(flavour: str, **options: Any) -> Any:
    stream: Any = failover_stream if flavour == "sync" else afailover_stream
    return lambda *factories: stream(factories, retry_on=ConnectionError, **options)


def kinds(run: RunResult) -> list[str]:
    return [entry.what for entry in run.log]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_log_of_a_run(flavour: Any) -> None:
    """The log has what the consumer and the sources do, in order, with times."""
    run = run_plan(failover(flavour, mid_stream="skip"), Plan("--a#", "a-b|"), flavour=flavour)
    expected = (
        "call ask open live pull yield got ask pull fail close open live pull yield pull yield"
    )
    assert kinds(run) == [*expected.split(), "got", "ask", "pull", "stop", "close", "end"]
    assert run.delivered == ["a", "b"]
    assert (run.seconds, run.ended, run.error, run.switches) == (3.0, True, None, 1)
    assert run.switched_mid_stream
    assert run.flavour == flavour


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("how", ["close", "throw", "break", "drop", "cancel", "cancel_close"])
def test_consumers_that_leave(flavour: Any, how: str) -> None:
    """Each consumer leaves after one item, and the source is closed."""
    run = run_plan(passed_on(flavour), Plan("abc|", consumer=f"{how} 1"), flavour=flavour)
    assert run.delivered == ["a"]
    assert run.left is not None
    assert kinds(run).count("close") == 1
    if how in ("close", "break", "drop"):
        assert run.ending is None
    elif how == "throw":
        assert isinstance(run.error, ConnectionError)
    elif flavour == "sync":
        assert isinstance(run.error, Interruption)
    else:
        assert type(run.error).__name__ in ("CancelledError", "Cancelled")


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_consumer_that_sends(flavour: Any) -> None:
    """The value reaches the generator behind a stream that passes it on."""
    run = run_plan(failover(flavour), Plan("abc|", consumer="send 1"), flavour=flavour)
    assert [entry.value for entry in run.entries("sent")] == ["a value from the consumer"]
    assert run.delivered == ["a", "b", "c"]


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("how", ["reenter", "concurrent"])
def test_consumers_that_ask_twice_at_once(flavour: Any, how: str) -> None:
    """A generator refuses the second pull, and continues."""
    run = run_plan(passed_on(flavour), Plan("abc|", consumer=f"{how} 1"), flavour=flavour)
    (nested,) = run.entries("nested")
    assert "already" in str(nested.value)
    assert run.delivered == ["a", "b", "c"]


class Shared:
    """Yields an item for each pull, even during another pull."""

    def __init__(self, source: Any) -> None:
        self.items = iter("xyz")
        self.source = iter(source())

    def __iter__(self) -> Shared:
        return self

    def __next__(self) -> Any:
        next(self.source)
        return next(self.items)


def test_an_item_of_a_nested_pull_is_delivered_too() -> None:
    """If a pipeline allows nested pulls, their items are logged as delivered."""
    run = run_plan(Shared, Plan("abc| as=bare", consumer="reenter 0"))
    assert [entry.value for entry in run.entries("nested")] == [None]
    assert run.delivered == ["x", "y", "z"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_slow_consumer_does_not_count_as_waiting(flavour: Any) -> None:
    """The consumer's pauses take time, but do not count as waiting."""
    run = run_plan(passed_on(flavour), Plan("-ab|", consumer="slow 5"), flavour=flavour)
    assert run.log[-1].time == 11.0
    assert run.seconds == 1.0


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_stall_ends_after_two_hours(flavour: Any) -> None:
    """After two virtual hours, the source raises the first of the plan's errors."""
    run = run_plan(passed_on(flavour), Plan("a"), flavour=flavour)
    assert isinstance(run.error, ConnectionError)
    assert run.seconds == 7200.0


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_errors_while_opening(flavour: Any) -> None:
    """A source can fail in the call, in the await, or in `iter()`, after its ticks."""
    pipeline = failover(flavour)
    for marbles, phase in (("-# at=call", "call"), ("-# at=iter as=iterable", "iter")):
        run = run_plan(pipeline, Plan(marbles), flavour=flavour)
        assert [entry.phase for entry in run.entries("fail")] == [phase]
        assert run.seconds == (1.0 if flavour == "sync" else 0.0)  # async: cannot wait here
    run = run_plan(pipeline, Plan("-# at=await"), flavour=flavour, awaited=True)
    assert [entry.phase for entry in run.entries("fail")] == [
        "call" if flavour == "sync" else "await"
    ]
    assert run.seconds == 1.0
    assert run_plan(pipeline, Plan("a|"), flavour=flavour, awaited=True).delivered == ["a"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_an_opening_may_take_its_time(flavour: Any) -> None:
    """Opening takes time in the call, or in the await."""
    run = (
        run_plan(passed_on(flavour), Plan("a| open=5"), flavour="sync")
        if flavour == "sync"
        else (run_plan(failover(flavour), Plan("a| open=5"), flavour=flavour, awaited=True))
    )
    assert (run.delivered, run.seconds) == (["a"], 5.0)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_faults_while_closing(flavour: Any) -> None:
    """A close can raise, take time, or yield, which is a RuntimeError in Python."""
    for marbles, error, seconds in (
        ("ab| close=raises", ConnectionError, 0.0),
        ("ab| close=bug", Bug, 0.0),
        ("ab| close=slow", type(None), 10.0),
        ("ab| close=yields", RuntimeError, 0.0),
        ("ab| as=iterator close=raises", ConnectionError, 0.0),
        ("ab| as=iterable close=bug", Bug, 0.0),
    ):
        run = run_plan(failover(flavour), Plan(marbles, consumer="close 1"), flavour=flavour)
        assert isinstance(run.error, error), marbles
        assert run.seconds == seconds, marbles


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_same_iterator_twice(flavour: Any) -> None:
    """A factory can return the iterator that it returned before."""
    run = run_plan(
        failover(flavour, attempts=2), Plan("a#; b| as=same", items="ab"), flavour=flavour
    )
    assert type(run.error).__name__ == "ReusedIterator"
    run = run_plan(failover(flavour), Plan("ab| as=same"), flavour=flavour)
    assert run.delivered == ["a", "b"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_sources_resume(flavour: Any) -> None:
    """A factory accepts how many items to leave out, as a number or a `Progress`."""
    run = run_plan(failover(flavour, mid_stream="resume"), Plan("ab#", "abc|"), flavour=flavour)
    assert run.delivered == ["a", "b", "c"]
    assert [entry.value for entry in run.entries("yield")] == ["a", "b", "c"]
    if flavour == "sync":
        assert run_plan(lambda source: source(2), Plan("abc|")).delivered == ["c"]


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_errors_outside_the_run_reach_the_test(flavour: Any) -> None:
    """An error that is not part of the run, such as pytest.fail, is raised to the test."""

    def fails(_: Any) -> Iterator[Any]:
        pytest.fail("not part of the run")
        yield

    async def afails(_: Any) -> AsyncIterator[Any]:
        pytest.fail("not part of the run")
        yield

    with pytest.raises(pytest.fail.Exception, match="not part of the run"):
        run_plan(fails if flavour == "sync" else afails, Plan("a|"), flavour=flavour)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_groups_are_part_of_the_run(flavour: Any) -> None:
    """An ExceptionGroup from a source is an error of the run."""
    run = run_plan(passed_on(flavour), Plan("#group"), flavour=flavour)
    assert isinstance(run.error, ExceptionGroup)


def test_a_run_that_opens_without_end_is_stopped() -> None:
    """A pipeline that keeps opening sources ends with Runaway."""

    def stubborn(source: Any) -> Iterator[Any]:
        while True:
            try:
                yield from source()
            except ConnectionError:
                continue

    assert isinstance(run_plan(stubborn, Plan("#")).error, Runaway)


def test_a_run_that_delivers_without_end_is_stopped() -> None:
    """A pipeline that keeps yielding items ends with Runaway."""

    def endless(_: Any) -> Iterator[Any]:
        while True:
            yield "more"

    assert isinstance(run_plan(endless, Plan("a|")).error, Runaway)


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
def test_a_run_that_waits_without_end_is_stopped(flavour: Any) -> None:
    """A pipeline that waits forever ends with Runaway."""

    async def waits(_: Any) -> AsyncIterator[Any]:
        if flavour == "trio":
            import trio

            await trio.sleep_forever()
        import asyncio

        await asyncio.Event().wait()
        yield

    run = run_plan(waits, Plan("a|"), flavour=flavour)
    assert isinstance(run.error, Runaway)
    assert "never happens" in str(run.error)


def test_the_flavour_is_detected() -> None:
    """A pipeline that returns an async iterator, or an awaitable of one, runs under asyncio."""

    async def awaitable(source: Any) -> Any:
        return source()

    assert run_plan(passed_on("sync"), Plan("a|")).flavour == "sync"
    assert run_plan(passed_on("asyncio"), Plan("a|")).flavour == "asyncio"
    assert run_plan(awaitable, Plan("a|")).delivered == ["a"]


def test_wrong_pipelines_are_rejected() -> None:
    """A pipeline must return something iterable, of the flavour that the caller names."""
    with pytest.raises(ValueError, match="flavour must be one of sync, asyncio, trio"):
        run_plan(passed_on("sync"), Plan("a|"), flavour="curio")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="the pipeline is async"):
        run_plan(passed_on("asyncio"), Plan("a|"), flavour="sync")
    run = run_plan(lambda _: 1, Plan("a|"))
    assert str(run.error) == "the pipeline must return an iterator or async iterator, got 1"
    run = run_plan(lambda _: 1, Plan("a|"), flavour="asyncio")
    assert str(run.error) == "the pipeline must return an async iterator, got 1"


def test_a_pipeline_may_wait_on_the_clock_of_the_sources() -> None:
    """If a pipeline sleeps on the virtual clock, the consumer waits for that time."""
    clock = VirtualClock()

    def patient(source: Any) -> Iterator[Any]:
        clock.sleep(30)
        yield from source()

    assert run_plan(patient, Plan("a|"), clock=clock).seconds == 30.0
    assert clock.slept == [30]


def test_ticks_and_items() -> None:
    """`tick` sets the length of a tick, and `item` turns letters into items."""
    run = run_plan(lambda s: s(), Plan("--a|"), tick=0.5, item=str.upper)
    assert (run.delivered, run.seconds, run.expected) == (["A"], 1.0, ["A"])
    assert run.letter("A") == "a"
    assert run.letter("B") is None


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_stray_errors_are_logged(flavour: Any) -> None:
    """The error of an abandoned stream appears in the log, and nowhere else."""
    run = run_plan(failover(flavour), Plan("ab| close=raises", consumer="drop 1"), flavour=flavour)
    assert [type(entry.value) for entry in run.entries("stray")] == [ConnectionError]


def test_streams_without_the_methods_of_a_generator() -> None:
    """A stream without `close` is abandoned; a stream without `send` raises."""

    def listed(source: Any) -> Any:
        return list(source())

    assert run_plan(listed, Plan("ab|", consumer="close 1")).ending is None
    run = run_plan(listed, Plan("ab|", consumer="send 1"))
    assert isinstance(run.error, AttributeError)

    class Bare:
        def __init__(self, source: Any) -> None:
            self.source = source()

        def __aiter__(self) -> Bare:
            return self

        async def __anext__(self) -> Any:
            return await anext(self.source)

    assert run_plan(Bare, Plan("ab|", consumer="close 1"), flavour="asyncio").ending is None


@pytest.mark.parametrize("how", ["drop", "break"])
def test_an_abandoned_source_is_closed(how: str) -> None:
    """If the pipeline returns the source itself, the kit closes it when the consumer drops it."""
    assert kinds(run_plan(lambda s: s(), Plan("ab|", consumer=f"{how} 1")))[-2:] == [
        "close",
        "left",
    ]


def test_a_stream_in_a_reference_cycle_is_closed() -> None:
    """A stream abandoned in a reference cycle closes its source when it is collected."""

    class Cycle:
        def __init__(self, source: Any) -> None:
            self.me = self
            self.stream = passed_on("sync")(source)

        def __iter__(self) -> Cycle:
            return self

        def __next__(self) -> Any:
            return next(self.stream)

    run = run_plan(Cycle, Plan("ab|", consumer="drop 1"))
    assert kinds(run)[-1] == "close"


def test_errors_with_other_arguments() -> None:
    """A class that needs more than a message is rejected; a function that returns one works."""

    class Status(Exception):
        def __init__(self, code: int, *, reason: str) -> None:
            super().__init__(code, reason)

    def unavailable() -> Status:
        return Status(503, reason="unavailable")

    run = run_plan(lambda s: s(), Plan("a#", errors=[Status]))
    assert "cannot be constructed from a message alone" in str(run.error)
    run = run_plan(lambda s: s(), Plan("a#", errors=[unavailable]))
    assert run.error is not None
    assert run.error.args == (503, "unavailable")
    run = run_plan(lambda s: s(), Plan("a#falsy", errors=[lambda: OSError()]))
    assert not run.error
    assert isinstance(run.error, OSError)
    run = run_plan(lambda s: s(), Plan("#stop at=call"))
    assert run.error is not None
    assert isinstance(run.error.__cause__, StopIteration)  # coroutines and generators wrap it


def test_a_run_waits_for_the_thread_that_closes_a_source() -> None:
    """As that of a stream which was left open: what it closes is in the log."""
    may_close = Event()

    class Closing(Thread):
        def join(self, timeout: float | None = None) -> None:
            may_close.set()
            super().join(timeout)

    def pipeline(factory: Callable[[], Generator[str, None, None]]) -> Iterator[str]:
        source = factory()

        def close() -> None:
            may_close.wait()
            source.close()

        yield next(source)
        Closing(target=close, name="failover_iter: source").start()

    run = run_plan(pipeline, Plan("ab|"), flavour="sync")
    assert kinds(run)[-1] == "close"


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("marbles", ["----a|", "a----|", "a| open=4"])
def test_a_consumer_that_is_cancelled_at_a_time(flavour: Any, marbles: str) -> None:
    """It is cancelled wherever the stream then waits: for an item, the end or an opening."""
    run = run_plan(failover(flavour), Plan(marbles, "a|", consumer="cancel_at 2"), flavour=flavour)
    (entry,) = run.entries("interrupt")
    assert (entry.time, entry.source) == (2.5, 0)
    assert not isinstance(run.error, Exception | None)
    assert len(run.entries("open")) == 1


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_consumer_that_is_cancelled_in_a_pause_of_the_stream(flavour: Any) -> None:
    """The pause is not that of a source."""
    pipeline = failover(flavour, attempts=2, wait=5)
    run = run_plan(pipeline, Plan("#; a|", consumer="cancel_at 2"), flavour=flavour)
    (entry,) = run.entries("interrupt")
    assert (entry.time, entry.source) == (2.5, None)
    assert not isinstance(run.error, Exception | None)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_consumer_that_has_gone_is_not_cancelled(flavour: Any) -> None:
    """The time of the cancellation comes only after the end."""
    run = run_plan(passed_on(flavour), Plan("a|", consumer="cancel_at 50"), flavour=flavour)
    assert run.ended

    async def leaks(source: Any) -> AsyncIterator[Any]:
        source()
        yield "a"

    if flavour != "sync":
        plan = Plan("a| as=iterator", consumer="cancel_at 50")
        assert run_plan(leaks, plan, flavour=flavour).entries("interrupt") == []


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_generator_that_answers_a_throw(flavour: Any) -> None:
    """The answer is an item like any other, and the consumer goes on."""
    run = run_plan(
        failover(flavour), Plan("abc| as=answering", consumer="throw 1"), flavour=flavour
    )
    assert (run.delivered, run.ended, run.answered) == (["a", "b", "c"], True, True)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_close_that_raises_no_exception(flavour: Any) -> None:
    """The iterator raises it; the iterable that it came from is closed too."""
    for marbles in ("ab| close=base", "ab| as=both close=base"):
        run = run_plan(failover(flavour), Plan(marbles, consumer="close 1"), flavour=flavour)
        assert isinstance(run.error, Interrupt)
    assert [entry.phase for entry in run.entries("close")] == ["iterator", "iterable"]
