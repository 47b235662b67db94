"""Mutants: wrong implementations. Each names its bug and where it was seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from failover_iter import failover_stream

Options = dict[str, Any]


def try_around_creation(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 1: wraps the factory call in `try`, not the iteration."""
    for factory in factories:
        try:
            stream = factory()
        except retry_on:
            continue
        yield from stream
        return


def yield_inside_the_try(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 2: handles an error that the consumer throws as a source failure."""
    *most, last = factories
    for factory in most:
        source = factory()
        try:
            for item in source:
                yield item
            return
        except retry_on:
            if hasattr(source, "close"):
                source.close()
    yield from last()


def bare_yield_from(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 2 again: `yield from` passes a throw on, but does not show who raised."""
    *most, last = factories
    for factory in most:
        try:
            return (yield from factory())
        except retry_on:
            pass
    return (yield from last())


def never_closes(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 3: a failed iterator stays open."""
    error = None
    for factory in factories:
        try:
            iterator = iter(factory())
            item = next(iterator)
        except StopIteration:
            return
        except retry_on as failed:
            error = failed
            continue
        while True:
            yield item
            try:
                item = next(iterator)
            except StopIteration:
                return
            except retry_on as failed:
                error = failed
                break
    raise error


def closes_after_opening(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Breaks law 8: opens the next source before it closes the failed one."""
    failed, error = None, None
    for factory in factories:
        try:
            source = factory()
            if hasattr(failed, "close"):
                failed.close()
            yield from source
            return
        except retry_on as caught:
            failed, error = source, caught
    raise error


def swallows_generator_exit(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Opens the next source when it is closed."""
    for factory in factories:
        try:
            yield from factory()
            return
        except (retry_on, GeneratorExit):
            continue


def recursion(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 17: each failure adds a stack frame and an exception context."""
    iterator = iter(factories)
    factory = next(iterator)
    try:
        yield from factory()
    except retry_on:
        yield from recursion(iterator, retry_on=retry_on)


def eager_list(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Reads the whole source before it delivers anything."""
    error = None
    for factory in factories:
        try:
            return iter(list(factory()))
        except retry_on as failed:
            error = failed
    raise error


def loses_errors(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 6: ends without an error when every source has failed."""
    for factory in factories:
        try:
            for item in factory():
                yield item
            return
        except retry_on:
            continue


def reads_ahead(factories: Any, *, retry_on: Any, **options: Any) -> Any:
    """Breaks law 2: pulls the next item before it yields the current one."""
    stream = failover_stream(factories, retry_on=retry_on, **options)
    missing = object()
    item = next(stream, missing)
    while item is not missing:
        following = next(stream, missing)
        yield item
        item = following


def opens_all_at_once(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Breaks law 2: calls every factory before the consumer asks for an item."""
    sources = [factory() for factory in factories]
    for source in sources:
        try:
            yield from source
            return
        except retry_on:
            continue


def catches_everything(factories: Any, *, retry_on: Any, **options: Any) -> Any:
    """Known bug 13: handles any exception as an outage."""
    return failover_stream(factories, retry_on=Exception, **options)


def first_item_only(factories: Any, *, retry_on: Any, **options: Any) -> Any:
    """LangChain: falls back only before the first item."""
    options.pop("mid_stream", None)
    return failover_stream(factories, retry_on=retry_on, mid_stream="raise", **options)


def counts_the_replay_wrong(factories: Any, *, retry_on: Any, **options: Any) -> Any:
    """Delivers the last item twice in mode "skip"."""
    if options.get("mid_stream") != "skip":
        return failover_stream(factories, retry_on=retry_on, **options)
    return _skips_one_too_few(factories, retry_on)


def _skips_one_too_few(factories: Any, retry_on: Any) -> Any:
    delivered = 0
    for factory in factories:
        try:
            for number, item in enumerate(factory()):
                if number + 1 >= delivered:
                    delivered += 1
                    yield item
            return
        except retry_on:
            continue


async def async_try_around_creation(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 1, async."""
    for factory in factories:
        try:
            stream = factory()
        except retry_on:
            continue
        async for item in stream:
            yield item
        return


async def async_yield_inside_the_try(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 2, async."""
    error = None
    for factory in factories:
        try:
            async for item in factory():
                yield item
            return
        except retry_on as failed:
            error = failed
    raise error


async def async_never_closes(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 10: leaves the source's async generator to the event loop."""
    error = None
    for factory in factories:
        iterator = aiter(factory())
        while True:
            try:
                item = await anext(iterator)
            except StopAsyncIteration:
                return
            except retry_on as failed:
                error = failed
                break
            yield item
    raise error


async def async_eager_list(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Reads the whole source before it delivers anything."""
    error = None
    for factory in factories:
        try:
            items = [item async for item in factory()]
        except retry_on as failed:
            error = failed
            continue
        for item in items:
            yield item
        return
    raise error


SYNC_MUTANTS: list[Callable[..., Any]] = [
    try_around_creation,
    yield_inside_the_try,
    bare_yield_from,
    never_closes,
    closes_after_opening,
    swallows_generator_exit,
    recursion,
    eager_list,
    loses_errors,
    reads_ahead,
    opens_all_at_once,
    catches_everything,
    first_item_only,
    counts_the_replay_wrong,
]
ASYNC_MUTANTS: list[Callable[..., Any]] = [
    async_try_around_creation,
    async_yield_inside_the_try,
    async_never_closes,
    async_eager_list,
]

#: The law of `check_failover_laws` that each mutant breaks.
LAW_OF = {
    try_around_creation: "switching",
    yield_inside_the_try: "blame",
    bare_yield_from: "blame",
    never_closes: "closing",
    closes_after_opening: "one at a time",
    swallows_generator_exit: "blame",
    recursion: "constant memory",
    eager_list: "laziness",
    loses_errors: "exhaustion",
    reads_ahead: "laziness",
    opens_all_at_once: "laziness",
    catches_everything: "transparency",
    first_item_only: "switching",
    counts_the_replay_wrong: "switching",
    async_try_around_creation: "switching",
    async_yield_inside_the_try: "blame",
    async_never_closes: "closing",
    async_eager_list: "laziness",
}
