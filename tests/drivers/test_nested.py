"""Streams in streams, seen by a consumer of either flavour: nobody inside is blamed for others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from drivers.base import reset, source
from failover_iter import Closed, Decide, Failed, Policy, ReusedIterator, Skip
from failover_iter._core.usage import mark_usage_error
from support.flavour import SyncFlavour

EAGER = Policy(retry_on=Exception)


def inside(*factories: Any, depth: int = 1, **options: Any) -> Any:
    """A nested source, `depth` streams deep, that takes every error for an outage."""
    policy = Policy(**{"retry_on": Exception, **options})
    nested = policy.source(list(factories))
    return nested if depth == 1 else inside(nested, depth=depth - 1, **options)


def never(*_: object) -> Any:
    raise AssertionError("a source was opened that nobody needs")


def test_a_value_for_a_source_without_send(flavour: SyncFlavour, depth: int) -> None:
    """The consumer receives the AttributeError of a source without `send`, from any depth."""
    nested = inside(lambda: flavour.iterator(lambda: 1), never, depth=depth)
    stream = flavour.of(EAGER, [nested, never])
    flavour.next(stream)
    with pytest.raises(AttributeError, match="send"):
        flavour.send(stream, "value")


def test_a_value_for_held_items(flavour: SyncFlavour, depth: int) -> None:
    """The consumer receives the TypeError for a value sent too early, from any depth."""
    nested = inside(source(flavour, 1, 2, 3), never, depth=depth, commit_when=2)
    stream = flavour.of(EAGER, [nested, never])
    flavour.next(stream)
    with pytest.raises(TypeError, match="^cannot send a str while held items are delivered"):
        flavour.send(stream, "value")


def test_what_the_consumer_throws(flavour: SyncFlavour, depth: int) -> None:
    """An error that is thrown in is raised as the same object, and opens no source."""
    thrown = reset()
    stream = flavour.of(EAGER, [inside(source(flavour, 1, 2), never, depth=depth), never])
    flavour.next(stream)
    with pytest.raises(ConnectionError) as caught:
        flavour.throw(stream, thrown)
    assert caught.value is thrown


def test_an_error_that_answers_a_throw(flavour: SyncFlavour, depth: int) -> None:
    """The consumer also receives what a source raises in answer, whatever its class."""

    def throw(*_: object) -> Any:
        raise OSError("answer")

    nested = inside(lambda: flavour.iterator(lambda: 1, throw=throw), never, depth=depth)
    stream = flavour.of(EAGER, [nested, never])
    flavour.next(stream)
    with pytest.raises(OSError, match="answer"):
        flavour.throw(stream, reset())


def test_after_an_answered_throw_the_source_is_to_blame_again(
    flavour: SyncFlavour, depth: int
) -> None:
    """A throw that a source inside answers with an item excuses no failure that comes later."""
    pulls = iter([1])

    def pull() -> int:
        for item in pulls:
            return item
        raise reset()

    first = flavour.iterator(pull, throw=lambda *_: "answer")
    stream = flavour.of(EAGER, [inside(lambda: first, depth=depth), source(flavour, 2)])
    assert flavour.next(stream) == 1
    assert flavour.throw(stream, KeyError("mine")) == "answer"
    assert flavour.drain(stream) == [2]


def test_a_closing_error_of_a_closing_consumer(flavour: SyncFlavour, depth: int) -> None:
    """The consumer receives what a source raises at a close, and no source is opened."""

    def close() -> None:
        raise OSError("closing")

    nested = inside(lambda: flavour.iterator(lambda: 1, close=close), never, depth=depth)
    stream = flavour.of(EAGER, [nested, never])
    flavour.next(stream)
    with pytest.raises(OSError, match="closing"):
        flavour.close(stream)


def test_a_source_that_ends_when_it_is_sent_a_value(flavour: SyncFlavour, depth: int) -> None:
    """It has ended well, and so have all streams around it."""

    def takes_one() -> Iterator[Any]:
        yield "first"

    stream = flavour.of(EAGER, [inside(flavour.generator(takes_one), never, depth=depth), never])
    assert flavour.next(stream) == "first"
    with pytest.raises(flavour.stop):
        flavour.send(stream, "value")


def test_a_loop_that_closes_all_streams_at_once(depth: int) -> None:
    """When asyncio shuts down, each abandoned stream and its source are closed without a word."""
    complaints: list[Any] = []
    closed: list[str] = []

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            await asyncio.sleep(0)
            closed.append("source")

    async def main() -> Any:
        asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
        streams = [EAGER.astream([inside(endless, depth=depth)]) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        return streams

    with asyncio.Runner() as runner:
        kept = runner.run(main())
    assert (closed, complaints, len(kept)) == (["source"] * 3, [], 3)


def raises(*_: object) -> Any:
    raise ConnectionError("callback")


def at(kind: type) -> Any:
    return lambda event: raises() if isinstance(event, kind) else None


@pytest.mark.parametrize(
    "options",
    [
        {"retry_on": raises},
        {"wait": raises, "attempts": 2},
        {"commit_when": raises},
        {"complete_when": raises},
        {"on_event": raises},
        {"on_event": at(Failed)},
        {"mid_stream": Skip(key=raises)},
        {"mid_stream": Decide(raises)},
    ],
    ids=lambda options: ", ".join(options),
)
def test_a_callback_that_raises(flavour: SyncFlavour, depth: int, options: dict[str, Any]) -> None:
    """Its error reaches the consumer at once, though it is of a class that all streams retry."""
    fails = () if "complete_when" in options else (reset(),)
    error = fails[0] if fails else None
    policy = Policy(**{"retry_on": Exception, **options})
    nested = policy.source([source(flavour, 1, error=error), never])
    for _ in range(depth - 1):
        nested = EAGER.source([nested, never])
    with pytest.raises(ConnectionError, match=r"^callback(\n|$)"):
        flavour.drain(flavour.of(EAGER, [nested, never]))


def test_what_a_callback_raised_is_told_around(flavour: SyncFlavour) -> None:
    """The stream around tells its listener that it was ended from outside, and by what."""
    events: list[Any] = []
    nested = inside(source(flavour, 1), commit_when=raises)
    policy = Policy(retry_on=Exception, on_event=events.append)
    with pytest.raises(ConnectionError, match="callback") as caught:
        flavour.drain(flavour.of(policy, [nested, never]))
    assert isinstance(events[-1], Closed)
    assert events[-1].error is caught.value


@pytest.mark.parametrize(
    "wrong",
    [mark_usage_error(TypeError("wrong")), ReusedIterator("wrong"), mark_usage_error(reset())],
)
def test_a_wrong_use_in_a_group_is_no_outage(
    flavour: SyncFlavour, depth: int, wrong: Exception
) -> None:
    """A task group around a wrong use does not hide it: no stream takes it for an outage."""
    group = ExceptionGroup("tasks", [reset(), ExceptionGroup("more", [wrong])])
    for retry_on in (Exception, (ExceptionGroup,), lambda error: True):
        nested = inside(source(flavour, error=group), never, depth=depth, retry_on=retry_on)
        for sources in ([source(flavour, error=group), never], [nested, never]):
            with pytest.raises(ExceptionGroup) as caught:
                flavour.drain(flavour.stream(sources, retry_on=retry_on))
            assert caught.value is group


def test_a_group_of_outages_is_one(flavour: SyncFlavour, depth: int) -> None:
    """A group without a wrong use goes on to the next source, inside and around."""
    group = ExceptionGroup("tasks", [reset(), reset()])
    nested = inside(source(flavour, error=group), depth=depth)
    assert flavour.drain(flavour.of(EAGER, [nested, source(flavour, 1)])) == [1]


def test_a_listener_that_raises_when_a_group_is_closed(flavour: SyncFlavour) -> None:
    """The outer listener gets an event that its source was closed, with the reason."""
    events: list[Any] = []
    nested = inside(source(flavour, 1, 2), on_event=at(Closed))
    stream = flavour.of(Policy(retry_on=Exception, on_event=events.append), [nested, never])
    flavour.next(stream)
    with pytest.raises(ConnectionError, match="callback") as caught:
        flavour.close(stream)
    assert isinstance(events[-1], Closed)
    assert events[-1].error is caught.value
