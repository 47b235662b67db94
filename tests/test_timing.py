"""The time of one stream in the core: its end, its outages, its pauses, streams inside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from failover_iter import Failed, Policy, Source, SourceTimeout, afailover_stream
from failover_iter._core.commands import Open, Raise, Sleep
from failover_iter._drivers.clock import clock
from failover_iter.testing import JumpingLoop, VirtualClock
from support.play import lost, named, run_of, show

A, B = named("a"), named("b")


def started_at(now: list[float], factories: Any, **options: Any) -> Any:
    """A core on a clock that is moved by hand, its first source open."""
    run = run_of(factories, **options)
    assert isinstance(run.start(lambda: now[0]), Open)
    return run


def fail(run: Any, *, received: bool = False) -> Any:
    return run.failed(lost(), None, received=received)


def test_the_time_of_the_stream_is_over_at_a_failure() -> None:
    """No other source is opened, and the failure stands in the notes."""
    now = [0.0]
    run = started_at(now, [A, B], total_timeout=5)
    now[0] = 5.0
    command = fail(run)
    assert isinstance(command, Raise)
    assert str(command.error) == "the stream was not at its end after 5 s (total_timeout)"
    assert command.error.__notes__ == ["failure 1 before it: a (attempt 1): ConnectionError: lost"]


def test_a_pause_ends_with_the_time_of_the_stream() -> None:
    """The driver sleeps for what is left, and is told then that it is over."""
    now = [0.0]
    run = started_at(now, [A], total_timeout=5, attempts=9, wait=60)
    now[0] = 2.0
    assert show(fail(run)) == "sleep 3"
    now[0] = 5.0
    assert isinstance(run.slept(), Raise)


@pytest.mark.parametrize(("pause", "gives_up"), [(0, False), (1, False), (2, True)])
def test_a_pause_that_leads_past_the_outage(pause: float, gives_up: bool) -> None:
    """It is not slept through: the stream is exhausted at once."""
    now = [0.0]
    run = started_at(now, [A], give_up_after=1.5, attempts=9, wait=pause)
    assert (type(fail(run)) is Raise) == gives_up


def test_an_outage_is_counted_from_its_first_failure() -> None:
    """Healthy delivery ends it, however long that was."""
    now = [0.0]
    run = started_at(now, [A], give_up_after=10, attempts=99)
    outcomes = []
    for when, received in [(50, False), (59, False), (900, True), (910, False), (911, False)]:
        now[0] = float(when)
        outcomes.append(type(fail(run, received=received)))
        run.slept()
    assert outcomes == [Sleep, Sleep, Sleep, Sleep, Raise]


def test_infinity_is_no_limit() -> None:
    """Also where it is written down."""
    run = started_at([0.0], [A, B], total_timeout=float("inf"), idle_timeout=float("inf"))
    assert isinstance(fail(run), Open)


class TestNested:
    """What an outer limit and an inner one mean to each other."""

    @pytest.fixture(autouse=True)
    def fake(self) -> Iterator[VirtualClock]:
        fake = VirtualClock()
        token = clock.set(fake)
        yield fake
        fake.wake_all()
        clock.reset(token)

    def test_an_outage_goes_on_through_a_stream_inside(self, fake: VirtualClock) -> None:
        """`[a, source([b, c])]` gives up where `[a, b, c]` does."""

        def slowly_failing(name: str) -> Any:
            def source() -> Iterator[int]:
                opened.append(name)
                fake.sleep(2)
                raise ConnectionError(name)
                yield

            return source

        policy = Policy(retry_on=ConnectionError, give_up_after=3)
        for nested in (False, True):
            opened: list[str] = []
            a, b, c, d = (slowly_failing(name) for name in "abcd")
            sources = [a, policy.source([b, c]), d] if nested else [a, b, c, d]
            with pytest.raises(ConnectionError, match="c"):
                list(policy.stream(sources))
            assert opened == ["a", "b", "c"]

    def test_an_outage_inside_goes_on_outside(self, fake: VirtualClock) -> None:
        """It began with the first failure inside, not with the end of the stream there."""

        def slowly_failing() -> Iterator[int]:
            opened.append(1)
            fake.sleep(2)
            raise ConnectionError("down")
            yield

        opened: list[int] = []
        policy = Policy(retry_on=ConnectionError, give_up_after=3)
        lenient = Policy(retry_on=ConnectionError)
        inner = lenient.source([slowly_failing] * 3)
        with pytest.raises(ConnectionError):
            list(policy.stream([inner, slowly_failing, slowly_failing]))
        assert len(opened) == 3

    def test_limits_inside_are_judged_inside(self, fake: VirtualClock) -> None:
        """Under the same policy a stalled source inside is left for the next one inside (law 7)."""
        policy = Policy(retry_on=OSError, idle_timeout=1, mid_stream="skip")
        inner = policy.source([self.stalls(fake), lambda: iter([1, 2])])
        assert list(policy.stream([inner])) == [1, 2]

    def test_limits_outside_hold_where_there_are_none_inside(self, fake: VirtualClock) -> None:
        """The stream inside is timed as one source then."""
        inner = Policy(retry_on=OSError).source([self.stalls(fake)])
        events: list[Any] = []
        policy = Policy(retry_on=OSError, idle_timeout=1, on_event=events.append, mid_stream="skip")
        assert list(policy.stream([inner, lambda: iter([1, 2])])) == [1, 2]
        failed = next(event for event in events if isinstance(event, Failed))
        assert (failed.source, type(failed.error)) == ("stalls", SourceTimeout)

    def stalls(self, fake: VirtualClock) -> Any:
        def stalls() -> Iterator[int]:
            yield 1
            fake.sleep(1e6)

        return stalls


def test_limits_of_the_source_itself_hold_anyway() -> None:
    """Said of this source, they are meant for it, whatever its own policy says."""

    async def stalls() -> AsyncIterator[int]:
        await asyncio.sleep(1e6)
        yield 1

    async def good() -> AsyncIterator[int]:
        yield 7

    async def main() -> list[int]:
        inner = Policy(retry_on=OSError, idle_timeout=50).source([stalls])
        own = Source(inner.factory, idle_timeout=1)
        stream = afailover_stream([own, good], retry_on=OSError, idle_timeout=99)
        items = [item async for item in stream]
        assert asyncio.get_running_loop().time() == pytest.approx(1001)
        return items

    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        assert runner.run(main()) == [7]
