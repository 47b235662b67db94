"""`inject`: make a real source fail as a plan says."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any, cast

from failover_iter._drivers.clock import async_sleep, clock
from failover_iter.testing._consumers import is_async_iterable
from failover_iter.testing._faults import make_error
from failover_iter.testing._plans import Plan, SourceScript
from failover_iter.testing._sources import SLOW, STALL


def inject(
    factory: Callable[..., Any], plan: Plan | str, *, tick: float = 1.0
) -> Callable[..., Any]:
    """Wrap a real source so that it fails as a plan says: for staging, or with `monkeypatch`.

    Each letter in the marbles passes one real item through, whatever its value; a repeated letter
    repeats the item. An opening that yields all items of the plan and ends normally passes all
    real items through. The real source is closed when the fault occurs.

    Args:
        factory: returns an iterable, an async iterable or an awaitable of one.
        plan: its first source describes each call of the factory; a string of marbles is enough.
        tick: the length of a tick in real seconds. Async sources sleep with asyncio or trio.

    Returns:
        A function with the signature of the factory.

    Raises:
        ValueError: the marbles name items in another order than the plan. The items of a real
            source cannot be reordered.

    Example:
        >>> from failover_iter import failover_stream
        >>> from failover_iter.testing import inject
        >>> def rows():
        ...     yield from range(5)
        >>> flaky = inject(rows, "ab#; abc|")
        >>> list(failover_stream([flaky], retry_on=OSError, attempts=2, mid_stream="skip"))
        [0, 1, 2, 3, 4]
    """
    plan = Plan(plan) if isinstance(plan, str) else plan
    for script in plan.sources[0]:
        _check_order(script, plan)
    numbers = itertools.count()

    @functools.wraps(factory)
    def injected(*args: Any, **kwargs: Any) -> Any:
        faulty = _Faulty(plan, next(numbers), tick)
        if faulty.script.at == "call":
            raise faulty.error()
        source = factory(*args, **kwargs)
        if is_async_iterable(source):
            return faulty.asynchronous(source)
        if inspect.isawaitable(source):
            return faulty.awaited(source)
        return faulty.blocking(source)

    return injected


def _check_order(script: SourceScript, plan: Plan) -> None:
    once = "".join(letter for letter, _ in itertools.groupby(script.items))
    if not plan.items.startswith(once):
        raise ValueError(
            f"inject does not reorder items, so marbles must name them in the order of "
            f"{plan.items!r}; got {script.items!r}"
        )


class _Faulty:
    """One call of a wrapped factory."""

    def __init__(self, plan: Plan, number: int, tick: float) -> None:
        self.plan = plan
        self.number = number
        self.tick = tick
        self.script = plan.script(0, number)

    def error(self, name: str | None = None) -> BaseException:
        """Return a new error; its message names the opening."""
        name = self.script.error if name is None else name
        return make_error(name, self.plan.errors, f"injected, opening {self.number + 1}")

    def steps(self) -> Iterator[tuple[float, bool]]:
        """Yield, for each item, the seconds to wait before it and whether it is a new one."""
        ticks = (*self.script.ticks, *[0] * len(self.script.items))
        before = ""
        for letter, passed in zip(self.script.items, ticks, strict=False):
            yield passed * self.tick, letter != before
            before = letter

    @property
    def pause(self) -> float:
        """The seconds to wait before the end."""
        last = self.script.ticks[len(self.script.items) :]
        stalled = STALL if self.script.end == "stalls" else 0.0
        return sum(last) * self.tick + stalled

    @property
    def slow(self) -> float:
        """The seconds that closing takes."""
        return SLOW * self.tick if self.script.closing == "slow" else 0.0

    def closing_error(self) -> BaseException | None:
        """Return the error that closing raises, if any."""
        name = {"raises": "", "bug": "bug"}.get(self.script.closing)
        return None if name is None else self.error(name)

    @property
    def lets_all_through(self) -> bool:
        """Whether this call behaves exactly like the real source."""
        return self.script.end == "ends" and self.script.items == self.plan.items

    def blocking(self, source: Any) -> Generator[Any, Any, Any]:
        """Yield the real items, then fail."""
        iterator = cast("Generator[Any, Any, Any]", iter(source))  # or any other iterator
        try:
            for seconds, new in self.steps():
                clock.get().sleep(seconds)
                if new:
                    try:
                        item = next(iterator)
                    except StopIteration as stop:
                        return stop.value
                yield item  # pyright: ignore[reportPossiblyUnboundVariable]  # the first is new
            clock.get().sleep(self.pause)
            if self.lets_all_through:
                return (yield from iterator)
            if self.script.end != "ends":
                raise self.error()
        finally:
            for one in dict.fromkeys([id(iterator), id(source)]):
                getattr(iterator if one == id(iterator) else source, "close", bool)()
            clock.get().sleep(self.slow)
            if (error := self.closing_error()) is not None:
                raise error

    async def asynchronous(self, source: Any) -> AsyncGenerator[Any, Any]:
        """Yield the real items of an async source, then fail."""
        iterator: Any = aiter(source)
        try:
            for seconds, new in self.steps():
                await async_sleep(seconds)
                if new:
                    try:
                        item = await anext(iterator)
                    except StopAsyncIteration:
                        return
                yield item  # pyright: ignore[reportPossiblyUnboundVariable]  # the first is new
            await async_sleep(self.pause)
            if self.lets_all_through:
                async for item in iterator:
                    yield item
            elif self.script.end != "ends":
                raise self.error()
        finally:
            for one in dict.fromkeys([id(iterator), id(source)]):
                close = getattr(iterator if one == id(iterator) else source, "aclose", None)
                if close is not None:
                    await close()
            await async_sleep(self.slow)
            if (error := self.closing_error()) is not None:
                raise error

    async def awaited(self, awaitable: Any) -> Any:
        """Await the real source, or fail in the await."""
        source = await awaitable
        if self.script.at == "await":
            raise self.error()
        return self.asynchronous(source)
