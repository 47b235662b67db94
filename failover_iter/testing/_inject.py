"""`inject`: make a real source fail as a plan says."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import AsyncGenerator, Callable
from typing import Any

from failover_iter._drivers.clock import async_sleep, clock
from failover_iter.testing._either import Either, Ended, blocking_generator, is_async_iterable
from failover_iter.testing._faults import make_error
from failover_iter.testing._plans import Plan, SourceScript, check_plan, check_tick
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
            source cannot be reordered. Or the plan has no source, or the tick is no number of
            seconds.
        TypeError: the plan is not a `Plan`.

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
    check_plan(plan)
    check_tick(tick)
    if not plan.sources:
        raise ValueError(f"inject takes a plan of one source or more, got {plan!r}")
    for script in plan.sources[0]:
        _check_order(script, plan)
    numbers = itertools.count()

    @functools.wraps(factory)
    def injected(*args: Any, **kwargs: Any) -> Any:
        call = _Injected(plan, next(numbers), tick)
        if call.script.at == "call":
            raise call.error()
        source = factory(*args, **kwargs)
        if is_async_iterable(source):
            return call.items(Either(source))
        if inspect.isawaitable(source):
            return call.after_await(source)
        return blocking_generator(call.items(Either(source)), call)

    return injected


def _check_order(script: SourceScript, plan: Plan) -> None:
    once = "".join(letter for letter, _ in itertools.groupby(script.items))
    if not plan.items.startswith(once):
        raise ValueError(
            f"inject does not reorder items, so marbles must name them in the order of "
            f"{plan.items!r}; got {script.items!r}"
        )


class _Injected:
    """One call of a wrapped factory."""

    def __init__(self, plan: Plan, number: int, tick: float) -> None:
        self.plan = plan
        self.number = number
        self.tick = tick
        self.script = plan.script(0, number)
        #: The return value of the real source.
        self.value: Any = None

    def error(self, name: str | None = None) -> BaseException:
        """Return a new error; its message names the opening."""
        name = self.script.error if name is None else name
        return make_error(name, self.plan.errors, f"injected, opening {self.number + 1}")

    async def items(self, source: Either) -> AsyncGenerator[Any, Any]:
        """Yield the real items, then fail. Over a sync source, it never suspends."""
        script, before, item = self.script, "", None
        try:
            for place, letter in enumerate(script.items):
                await self._sleep(source, script.ticks_before(place) * self.tick)
                item = item if letter == before else await source.next()
                before = letter
                yield item
            last = script.ticks_before(len(script.items)) * self.tick
            await self._sleep(source, last + (STALL if script.end == "stalls" else 0))
            while script.end == "ends" and script.items == self.plan.items:
                yield await source.next()
            if script.end != "ends":
                raise self.error()
        except Ended as end:
            self.value = end.value
        finally:
            await source.close()
            if script.closing == "slow":
                await self._sleep(source, SLOW * self.tick)
            if script.closing in ("raises", "bug"):
                raise self.error("" if script.closing == "raises" else "bug")

    async def _sleep(self, source: Either, seconds: float) -> None:
        if source.is_async:
            await async_sleep(seconds)
        else:
            clock.get().sleep(seconds)

    async def after_await(self, awaitable: Any) -> Any:
        """Await the real source, or fail in the await."""
        source = await awaitable
        if self.script.at == "await":
            raise self.error()
        return self.items(Either(source))
