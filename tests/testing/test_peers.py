"""What the kit finds in released packages, each skipped where it is not installed.

They retry a stream by starting over, so they are asked for less than `exactly_once`: only that
they let through what is none of their business, and close what they have opened.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any

import pytest
from hypothesis import given, seed, settings

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import BrokenLaw, Plan, plans, verify

pytestmark = pytest.mark.slow

ERRORS = [ConnectionError]
#: One source, of which two openings may differ; every shape has a `close` that has to be called.
one_source = plans(sources=1, errors=ERRORS, openings=2)


def broken(pipeline: Any, *, oracles: Any, flavour: Any, **more: Any) -> BrokenLaw:
    """What the kit shows, found with a fixed seed."""

    @seed(1)
    @settings(database=None)
    @given(plans(sources=1, errors=ERRORS, openings=2, **more))
    def test(plan: Plan) -> None:
        verify(pipeline, plan, oracles=oracles, flavour=flavour)

    with pytest.raises(BrokenLaw) as caught:
        test()
    return caught.value


def closes(source: Any) -> Iterator[Any]:
    """What a careful user decorates: it closes its own source, where it can."""
    given = source()
    if hasattr(given, "close"):
        with closing(given):
            yield from given
    else:
        yield from given


async def acloses(source: Any) -> AsyncIterator[Any]:
    """The same, async."""
    given = source()
    if hasattr(given, "aclose"):
        async with aclosing(given):
            async for item in given:
                yield item
    else:
        async for item in given:
            yield item


def delegates(source: Any) -> Iterator[Any]:
    """What most users decorate."""
    yield from source()


@pytest.fixture
def stamina() -> Iterator[Any]:
    stamina = pytest.importorskip("stamina")
    with stamina.set_testing(True, attempts=3):  # no waits
        yield stamina


@pytest.fixture
def retry() -> Any:
    return pytest.importorskip("google.api_core.retry")


def with_stamina(stamina: Any, function: Any) -> Any:
    return lambda source: stamina.retry(on=ConnectionError)(function)(source)


def with_google(retry: Any, asynchronous: bool) -> Any:
    """Its streaming retry, with three attempts and without waits."""

    def pipeline(source: Any) -> Any:
        failures = 0

        def few(error: Exception) -> bool:
            nonlocal failures
            failures += 1
            return isinstance(error, ConnectionError) and failures < 3

        made = retry.AsyncStreamingRetry if asynchronous else retry.StreamingRetry
        return made(predicate=few, initial=0.0, timeout=None)(lambda: source())()

    return pipeline


@pytest.mark.parametrize(("function", "flavour"), [(closes, "sync"), (acloses, "asyncio")])
def test_stamina_takes_the_consumers_error_for_the_sources(
    stamina: Any, function: Any, flavour: str
) -> None:
    """A retryable error that the consumer throws in opens the source once more."""
    found = broken(with_stamina(stamina, function), oracles="transparent", flavour=flavour)
    assert found.run.plan.consumer.how == "throw"
    assert len(found.run.entries("open")) == 2


@pytest.mark.parametrize(("function", "flavour"), [(closes, "sync"), (acloses, "asyncio")])
def test_stamina_opens_for_a_consumer_that_has_left(
    stamina: Any, function: Any, flavour: str
) -> None:
    """So does an error in the clean-up of a source that is being closed."""
    found = broken(
        with_stamina(stamina, function),
        oracles="no_reopen",
        flavour=flavour,
        consumers=("close",),
    )
    assert found.run.plan.sources[0][0].closing == "raises"


def test_stamina_leaks(stamina: Any) -> None:
    """An iterator behind the usual `yield from` is closed by nobody before the next attempt."""
    found = broken(with_stamina(stamina, delegates), oracles="one_open", flavour="sync")
    assert found.run.plan.faults == 1
    broken(with_stamina(stamina, delegates), oracles="no_leak", flavour="sync")


@pytest.mark.parametrize("flavour", ["sync", "asyncio"])
def test_google_api_core_takes_the_consumers_error_for_the_sources(
    retry: Any, flavour: str
) -> None:
    """A retryable error that the consumer throws in opens the source once more."""
    pipeline = with_google(retry, flavour == "asyncio")
    found = broken(pipeline, oracles="transparent", flavour=flavour)
    assert found.run.plan.consumer.how == "throw"


@pytest.mark.parametrize("flavour", ["sync", "asyncio"])
def test_google_api_core_leaks(retry: Any, flavour: str) -> None:
    """A failed iterator is never closed, and the next one opened beside it."""
    pipeline = with_google(retry, flavour == "asyncio")
    broken(pipeline, oracles="no_leak", flavour=flavour)
    found = broken(pipeline, oracles="one_open", flavour=flavour)
    assert found.run.plan.faults == 1


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_our_own_keeps_to_them(flavour: Any) -> None:
    """The same plans, asked for all that they were asked for and more."""
    stream: Any = failover_stream if flavour == "sync" else afailover_stream

    @given(one_source)
    def test(plan: Plan) -> None:
        verify(
            lambda source: stream([source], retry_on=ConnectionError, attempts=3),
            plan,
            oracles=["transparent", "no_reopen", "no_leak", "one_open", "closed_once"],
            flavour=flavour,
        )

    test()
