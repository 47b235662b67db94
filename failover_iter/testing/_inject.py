"""`inject`: faults from a plan in one real source, for a staging run or a monkeypatch."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from typing import Any, cast

from failover_iter._drivers.clock import async_sleep, clock
from failover_iter.testing._consumers import is_async_iterable
from failover_iter.testing._faults import make_error
from failover_iter.testing._opening_steps import SLOW, STALL
from failover_iter.testing._plans import Plan, SourceScript


def inject(
    factory: Callable[..., Any], plan: Plan | str, *, tick: float = 1.0
) -> Callable[..., Any]:
    """Wrap one real source so that it fails as a plan says.

    Each letter of the marbles lets one real item through, whatever it is; a letter that comes
    twice repeats it. An opening that gives all items of the plan and ends well lets everything
    through, however much that is. What is wrapped is closed when the fault comes.

    Args:
        factory: gives an iterable, an async iterable or an awaitable of one.
        plan: its first source says what happens at each call; marbles alone will do.
        tick: real seconds that a tick takes, in the sleep of asyncio or trio for async sources.

    Returns:
        A function that is called as the factory is.

    Raises:
        ValueError: the marbles ask for items in another order, which cannot be had from a source
            that is passed on.

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
        given = factory(*args, **kwargs)
        if is_async_iterable(given):
            return faulty.asynchronous(given)
        if inspect.isawaitable(given):
            return faulty.awaited(given)
        return faulty.blocking(given)

    return injected


def _check_order(script: SourceScript, plan: Plan) -> None:
    once = "".join(letter for letter, _ in itertools.groupby(script.items))
    if not plan.items.startswith(once):
        raise ValueError(
            f"inject lets items through as they come, so marbles must name them in the order of "
            f"{plan.items!r}; got {script.items!r}"
        )


class _Faulty:
    """One call of a factory that is wrapped."""

    def __init__(self, plan: Plan, number: int, tick: float) -> None:
        self.plan = plan
        self.number = number
        self.tick = tick
        self.script = plan.script(0, number)

    def error(self, name: str | None = None) -> BaseException:
        """A new error, that says where it comes from."""
        name = self.script.error if name is None else name
        return make_error(name, self.plan.errors, f"injected, opening {self.number + 1}")

    def steps(self) -> Iterator[tuple[float, bool]]:
        """Seconds to wait before each item, and whether it is a new one."""
        ticks = (*self.script.ticks, *[0] * len(self.script.items))
        before = ""
        for letter, passed in zip(self.script.items, ticks, strict=False):
            yield passed * self.tick, letter != before
            before = letter

    @property
    def pause(self) -> float:
        """Seconds to wait before the end."""
        last = self.script.ticks[len(self.script.items) :]
        stalled = STALL if self.script.end == "stalls" else 0.0
        return sum(last) * self.tick + stalled

    @property
    def slow(self) -> float:
        """Seconds that closing takes."""
        return SLOW * self.tick if self.script.closing == "slow" else 0.0

    def closing_error(self) -> BaseException | None:
        """What closing raises."""
        name = {"raises": "", "bug": "bug"}.get(self.script.closing)
        return None if name is None else self.error(name)

    @property
    def lets_all_through(self) -> bool:
        """Whether it is as good as the real one."""
        return self.script.end == "ends" and self.script.items == self.plan.items

    def blocking(self, given: Any) -> Generator[Any, Any, Any]:
        """The real items, and the fault."""
        iterator = cast("Generator[Any, Any, Any]", iter(given))  # as much of one as it is
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
            for one in dict.fromkeys([id(iterator), id(given)]):
                getattr(iterator if one == id(iterator) else given, "close", bool)()
            clock.get().sleep(self.slow)
            if (error := self.closing_error()) is not None:
                raise error

    async def asynchronous(self, given: Any) -> AsyncGenerator[Any, Any]:
        """The same, async."""
        iterator: Any = aiter(given)
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
            for one in dict.fromkeys([id(iterator), id(given)]):
                close = getattr(iterator if one == id(iterator) else given, "aclose", None)
                if close is not None:
                    await close()
            await async_sleep(self.slow)
            if (error := self.closing_error()) is not None:
                raise error

    async def awaited(self, given: Any) -> Any:
        """What was awaited, and the fault in the await."""
        given = await given
        if self.script.at == "await":
            raise self.error()
        return self.asynchronous(given)
