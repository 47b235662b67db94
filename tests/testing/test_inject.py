"""`inject` passes the items of a real source through, until the fault of the plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from failover_iter import afailover_stream, failover_stream
from failover_iter._drivers.clock import clock
from failover_iter.testing import Plan, VirtualClock, inject
from failover_iter.testing._faults import Bug


class Real:
    """A real source, sync or async, that logs opening and closing."""

    def __init__(self, flavour: str) -> None:
        self.flavour = flavour
        self.log: list[str] = []
        self.clock = VirtualClock()

    def rows(self, *, most: int = 4) -> Any:
        """Some rows."""
        return self.blocking(most) if self.flavour == "sync" else self.asynchronous(most)

    async def awaited(self) -> Any:
        return self.rows()

    def blocking(self, most: int) -> Iterator[int]:
        self.log.append("open")
        try:
            yield from range(most)
        finally:
            self.log.append("close")

    async def asynchronous(self, most: int) -> AsyncIterator[int]:
        for item in self.blocking(most):
            yield item

    def drained(self, opened: Any) -> tuple[list[Any], Any, float]:
        """Return the items, the error, and the duration."""
        if self.flavour != "sync":
            return self.adrained(opened)
        items: list[Any] = []
        error: Any = None
        token = clock.set(self.clock)
        began = self.clock.now
        try:
            items.extend(opened)
        except Exception as raised:
            error = raised
        finally:
            clock.reset(token)
        return items, error, self.clock.now - began

    def adrained(self, opened: Any) -> tuple[list[Any], Any, float]:
        items: list[Any] = []

        async def main() -> tuple[Any, float]:
            began = asyncio.get_running_loop().time()
            error: Any = None
            try:
                source = opened if hasattr(opened, "__aiter__") else await opened
                async for item in source:
                    items.append(item)
            except Exception as raised:
                error = raised
            return error, asyncio.get_running_loop().time() - began

        with asyncio.Runner(loop_factory=VirtualClock().new_event_loop) as runner:
            error, seconds = runner.run(main())
        return items, error, seconds


@pytest.fixture(params=["sync", "async"])
def real(request: pytest.FixtureRequest) -> Real:
    return Real(request.param)


@pytest.mark.parametrize(
    ("marbles", "items", "error", "seconds"),
    [
        ("ab#", [0, 1], ConnectionError, 0),
        ("--a-b#", [0, 1], ConnectionError, 3),
        ("aab#", [0, 0, 1], ConnectionError, 0),
        ("a--#bug", [0], Bug, 2),
        ("abc|", [0, 1, 2, 3], type(None), 0),
        ("abcdef#", [0, 1, 2, 3], type(None), 0),
        ("a", [0], ConnectionError, 7200),
        ("a# close=raises", [0], ConnectionError, 0),
        ("a| close=bug", [0, 1, 2, 3], Bug, 0),
        ("a# close=slow", [0], ConnectionError, 10),
    ],
)
def test_faults(real: Real, marbles: str, items: Any, error: Any, seconds: float) -> None:
    """The source yields one item for each letter, then fails; the real source is closed."""
    got, raised, passed = real.drained(inject(real.rows, marbles)())
    assert (got, type(raised), passed) == (items, error, seconds)
    assert real.log == ["open", "close"]


def test_an_early_end(real: Real) -> None:
    """A source that yields fewer items than the plan ends early."""
    assert real.drained(inject(real.rows, Plan("ab|", items="abc"))())[:2] == ([0, 1], None)


def test_each_call_is_an_opening(real: Real) -> None:
    """Each call of the factory uses the next script, and a failover stream survives them."""
    flaky = inject(real.rows, "a#; ab#; abc|")
    stream: Any = failover_stream if real.flavour == "sync" else afailover_stream
    opened = stream([flaky], retry_on=OSError, attempts=3, mid_stream="skip")
    assert real.drained(opened)[:2] == ([0, 1, 2, 3], None)
    assert real.log == ["open", "close"] * 3


def test_it_is_called_as_the_factory_is(real: Real) -> None:
    """Arguments are passed on; the name and the docstring are those of the factory."""
    flaky = inject(real.rows, "a|")
    assert real.drained(flaky(most=2))[0] == [0, 1]
    assert flaky.__name__ == "rows"
    assert flaky.__doc__ == "Some rows."


def test_a_fault_in_the_call(real: Real) -> None:
    """With a fault in the call, the real source is not opened."""
    with pytest.raises(ConnectionError, match="injected, opening 1"):
        inject(real.rows, "# at=call")()
    assert real.log == []


def test_a_fault_in_the_await() -> None:
    """The await raises; without a fault there, the awaited source is wrapped."""
    real = Real("async")
    items, error, _ = real.drained(inject(real.awaited, "# at=await; ab#")())
    assert (items, type(error)) == ([], ConnectionError)
    flaky = inject(real.awaited, "ab#")
    assert real.drained(flaky())[0] == [0, 1]


def test_an_iterable_is_closed_too(real: Real) -> None:
    """The iterable is closed as well as its iterator."""
    log = real.log

    class Response:
        def __iter__(self) -> Iterator[int]:
            return iter([1, 2])

        def close(self) -> None:
            log.append("response")

    class AsyncResponse:
        def __aiter__(self) -> AsyncIterator[int]:
            return real.asynchronous(2)

        async def aclose(self) -> None:
            log.append("response")

    response = Response if real.flavour == "sync" else AsyncResponse
    real.drained(inject(response, "a#")())
    assert log[-1] == "response"


def test_a_return_value_comes_through() -> None:
    """A generator that ends before the fault, or passes through completely, keeps its value."""

    def source() -> Iterator[int]:
        yield 1
        return "value"

    def delegated(marbles: str) -> Iterator[Any]:
        yield (yield from inject(source, marbles)())

    assert list(delegated("a|")) == list(delegated("abc#")) == [1, "value"]


def test_async_items_that_cannot_be_closed() -> None:
    """An async iterator without `aclose` is not closed."""

    class Bare:
        def __aiter__(self) -> Bare:
            return self

        async def __anext__(self) -> int:
            return 1

    assert Real("async").drained(inject(Bare, "ab#")())[0] == [1, 1]


def test_marbles_in_another_order_are_rejected() -> None:
    """A real source has its own order, so marbles in another order are a ValueError."""
    with pytest.raises(ValueError, match="in the order of 'ab'; got 'ba'"):
        inject(list, Plan("ba|", items="ab"))
