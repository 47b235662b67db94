"""The bugs that the kit finds in released packages; a package that is not installed is skipped.

These packages retry a stream from the start, so `exactly_once` is not checked: only that they let
other errors through, and close what they open.
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
#: One source with two different openings; every kind has a `close` that must be called.
one_source = plans(sources=1, errors=ERRORS, openings=2)


def broken(pipeline: Any, *, oracles: Any, flavour: Any, **more: Any) -> BrokenLaw:
    """Return the broken law that the kit finds with a fixed seed."""

    @seed(1)
    @settings(max_examples=300, database=None)
    @given(plans(sources=1, errors=ERRORS, openings=2, **more))
    def test(plan: Plan) -> None:
        verify(pipeline, plan, oracles=oracles, flavour=flavour)

    with pytest.raises(BrokenLaw) as caught:
        test()
    return caught.value


def closes(source: Any) -> Iterator[Any]:
    """A careful user's function: it closes its source if possible."""
    given = source()
    if hasattr(given, "close"):
        with closing(given):
            yield from given
    else:
        yield from given


async def acloses(source: Any) -> AsyncIterator[Any]:
    """The async version of `closes`."""
    given = source()
    if hasattr(given, "aclose"):
        async with aclosing(given):
            async for item in given:
                yield item
    else:
        async for item in given:
            yield item


def delegates(source: Any) -> Iterator[Any]:
    """The function that most users write."""
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
    """Return a pipeline with the streaming retry of google-api-core: three attempts, no waits."""

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
def test_stamina_blames_the_source_for_the_consumers_error(
    stamina: Any, function: Any, flavour: str
) -> None:
    """A retryable error that the consumer throws opens the source again."""
    found = broken(with_stamina(stamina, function), oracles="transparent", flavour=flavour)
    assert found.run.plan.consumer.how == "throw"
    assert len(found.run.entries("open")) == 2


@pytest.mark.parametrize(("function", "flavour"), [(closes, "sync"), (acloses, "asyncio")])
def test_stamina_opens_a_source_after_the_consumer_left(
    stamina: Any, function: Any, flavour: str
) -> None:
    """An error in the cleanup of a source that is being closed opens the source again."""
    found = broken(
        with_stamina(stamina, function),
        oracles="no_reopen",
        flavour=flavour,
        consumers=("close",),
    )
    assert found.run.plan.sources[0][0].closing == "raises"


def test_stamina_leaks(stamina: Any) -> None:
    """Nothing closes an iterator behind `yield from` before the next attempt."""
    found = broken(with_stamina(stamina, delegates), oracles="one_open", flavour="sync")
    assert found.run.plan.faults == 1
    broken(with_stamina(stamina, delegates), oracles="no_leak", flavour="sync")


@pytest.mark.parametrize("flavour", ["sync", "asyncio"])
def test_google_api_core_blames_the_source_for_the_consumers_error(
    retry: Any, flavour: str
) -> None:
    """A retryable error that the consumer throws opens the source again."""
    pipeline = with_google(retry, flavour == "asyncio")
    found = broken(pipeline, oracles="transparent", flavour=flavour)
    assert found.run.plan.consumer.how == "throw"


@pytest.mark.parametrize("flavour", ["sync", "asyncio"])
def test_google_api_core_leaks(retry: Any, flavour: str) -> None:
    """A failed iterator is never closed, and the next one is opened while it is open."""
    pipeline = with_google(retry, flavour == "asyncio")
    broken(pipeline, oracles="no_leak", flavour=flavour)
    found = broken(pipeline, oracles="one_open", flavour=flavour)
    assert found.run.plan.faults == 1


@pytest.mark.parametrize("flavour", ["sync", "asyncio", "trio"])
def test_our_own_streams_obey_these_laws(flavour: Any) -> None:
    """Our own streams obey all laws that were checked above, and more, for the same plans."""
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
