"""The law of identity finds streams that differ from `yield from` in one method."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import nullcontext, suppress
from typing import Any

import pytest
from hypothesis import Phase, settings

from failover_iter import afailover_stream, failover_stream
from laws.identity import check_identity
from support.needs import needs


class Wrapped:
    """A stream that passes everything on."""

    def __init__(self, factories: Any) -> None:
        self.stream = failover_stream(factories, retry_on=ConnectionError)

    def __iter__(self) -> Wrapped:
        return self

    def __next__(self) -> Any:
        return next(self.stream)

    def send(self, value: Any) -> Any:
        return self.stream.send(value)

    def throw(self, *error: Any) -> Any:
        return self.stream.throw(*error)

    def close(self) -> None:
        self.stream.close()


class SwallowsErrorsOfClose(Wrapped):
    def close(self) -> None:
        with suppress(Exception):
            self.stream.close()


class ClosesOnThrow(Wrapped):
    def throw(self, *error: Any) -> Any:
        self.stream.close()
        raise error[0]


class AsyncWrapped:
    """Its async twin."""

    def __init__(self, factories: Any) -> None:
        self.stream = afailover_stream(factories, retry_on=ConnectionError)

    def __aiter__(self) -> AsyncWrapped:
        return self

    def __anext__(self) -> Any:
        return self.stream.__anext__()

    def asend(self, value: Any) -> Any:
        return self.stream.asend(value)

    def athrow(self, error: Any) -> Any:
        return self.stream.athrow(error)

    async def aclose(self) -> None:
        await self.stream.aclose()


class AsyncSwallowsErrorsOfClose(AsyncWrapped):
    async def aclose(self) -> None:
        with suppress(Exception):
            await self.stream.aclose()


class AsyncClosesNothing(AsyncWrapped):
    async def aclose(self) -> None:
        """Leave the stream open."""


def passes_on(scope: Callable[[], Any]) -> Any:
    """A generator that passes everything on, in a scope that it holds across each `yield`."""

    async def combinator(factories: Any) -> AsyncGenerator[Any, Any]:
        stream = afailover_stream(factories, retry_on=ConnectionError)
        with scope():
            try:
                item: Any = await anext(stream)
                while True:
                    try:
                        sent = yield item
                    except GeneratorExit:
                        raise
                    except BaseException as error:
                        item = await stream.athrow(error)
                    else:
                        item = await stream.asend(sent)
            except StopAsyncIteration:
                return
            finally:
                await stream.aclose()

    return combinator


def is_found(combinator: Any, flavour: Any) -> bool:
    search = settings(
        max_examples=400, phases=[Phase.generate], derandomize=True, database=None, deadline=None
    )
    try:
        check_identity(combinator, ConnectionError, flavour=flavour, settings=search)
    except (AssertionError, RuntimeError, ExceptionGroup):
        return True
    return False


@pytest.mark.parametrize("mutant", [SwallowsErrorsOfClose, ClosesOnThrow])
def test_sync(mutant: Any) -> None:
    """A wrong method is found, and what passes everything on is right."""
    assert is_found(mutant, "sync")
    assert not is_found(Wrapped, "sync")


@pytest.mark.parametrize("flavour", ["asyncio", "trio"])
@pytest.mark.parametrize("mutant", [AsyncSwallowsErrorsOfClose, AsyncClosesNothing])
@pytest.mark.filterwarnings("ignore")  # of what the mutants leave open
def test_async(mutant: Any, flavour: Any) -> None:
    """The same for async streams."""
    assert is_found(mutant, flavour)
    assert not is_found(AsyncWrapped, flavour)


@pytest.mark.filterwarnings("ignore")
def test_a_scope_that_is_held_across_a_yield() -> None:
    """One task enters it and another one leaves it: PEP 789 is about that. trio permits it."""
    assert is_found(passes_on(needs("anyio").CancelScope), "asyncio")
    assert not is_found(passes_on(nullcontext), "asyncio")
