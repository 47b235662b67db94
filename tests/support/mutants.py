"""Mutants: failover as one might write it, each with one bug. Every suite of tests kills them all.

A mutant is called as `failover_stream` is. It restarts, or skips what was delivered under
`mid_stream="skip"`, and ignores all other options. Each names its bug and where it was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from failover_iter import failover_stream
from support.async_mutants import (
    async_eager_list,
    async_never_closes,
    async_try_around_creation,
    async_yield_inside_the_try,
)

Combinator = Callable[..., Any]


def try_around_creation(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 1: wraps the factory call in `try`, not the iteration."""
    for factory in factories:
        try:
            stream = factory()
        except retry_on:
            continue
        yield from stream
        return


def yield_inside_the_try(factories: Any, *, retry_on: Any, mid_stream: str = "", **_: Any) -> Any:
    """Known bug 2: handles an error that the consumer throws as a source failure."""
    delivered, error = 0, None
    for factory in factories:
        try:
            source = factory()
            try:
                for place, item in enumerate(source):
                    if place >= delivered:
                        delivered += mid_stream == "skip"
                        yield item
                return
            finally:
                close(source)
        except retry_on as failed:
            error = failed
    raise error


def bare_yield_from(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Known bug 2 again: `yield from` passes a throw on, but does not show who raised."""
    *most, last = factories
    for factory in most:
        try:
            return (yield from factory())
        except retry_on:
            pass
    return (yield from last())


def never_closes(factories: Any, *, retry_on: Any, mid_stream: str = "", **_: Any) -> Any:
    """Known bug 3: a failed iterator stays open."""
    delivered, error = 0, None
    for factory in factories:
        try:
            iterator = iter(factory())
        except retry_on as failed:
            error = failed
            continue
        place = 0
        while True:
            try:
                item = next(iterator)
            except StopIteration:
                return
            except retry_on as failed:
                error = failed
                break
            place += 1
            if place > delivered:
                delivered += mid_stream == "skip"
                yield item
    raise error


class LeaksOnBreak:
    """Closes a source that fails or ends, but has no `close` for a consumer that leaves early."""

    def __init__(self, factories: Any, retry_on: Any, mid_stream: str) -> None:
        self.factories = list(factories)
        self.retry_on, self.skips = retry_on, mid_stream == "skip"
        self.source: Any = None
        self.delivered = 0

    def __iter__(self) -> LeaksOnBreak:
        return self

    def __next__(self) -> Any:
        while True:
            try:
                if self.source is None:
                    self.source = self.factories.pop(0)()
                    self.items = iter(self.source)
                    for _ in range(self.delivered):
                        next(self.items)
                item = next(self.items)
            except StopIteration:
                self.close_source()
                raise
            except self.retry_on:
                self.close_source()
                if not self.factories:
                    raise
            else:
                self.delivered += self.skips
                return item

    def close_source(self) -> None:
        source, self.source = self.source, None
        close(source)


def leaks_on_break(factories: Any, *, retry_on: Any, mid_stream: str = "", **_: Any) -> Any:
    """An iterator class without `close`: a consumer that leaves early cannot close the source."""
    return LeaksOnBreak(factories, retry_on, mid_stream)


def closes_after_opening(factories: Any, *, retry_on: Any, mid_stream: str = "", **_: Any) -> Any:
    """Breaks law 8: opens the next source before it closes the failed one."""
    failed, error, delivered = None, None, 0
    for factory in factories:
        try:
            source = factory()
            close(failed)
            for place, item in enumerate(source):
                if place >= delivered:
                    delivered += mid_stream == "skip"
                    yield item
            return
        except retry_on as caught:
            failed, error = source, caught
    raise error


def swallows_generator_exit(
    factories: Any, *, retry_on: Any, mid_stream: str = "", **_: Any
) -> Any:
    """Opens the next source when it is closed."""
    delivered = 0
    for factory in factories:
        source = None
        try:
            source = factory()
            for place, item in enumerate(source):
                if place >= delivered:
                    delivered += mid_stream == "skip"
                    yield item
            return
        except (retry_on, GeneratorExit):
            close(source)


def recursion(
    factories: Any, *, retry_on: Any, mid_stream: str = "", delivered: int = 0, **_: Any
) -> Any:
    """Known bug 17: each failure adds a stack frame and an exception context."""
    factory, *others = factories
    try:
        for place, item in enumerate(factory()):
            if place >= delivered:
                delivered += mid_stream == "skip"
                yield item
    except retry_on:
        if not others:
            raise
        yield from recursion(others, retry_on=retry_on, mid_stream=mid_stream, delivered=delivered)


def eager_list(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Reads the whole source before it delivers anything."""
    error = None
    for factory in factories:
        try:
            return iter(list(factory()))
        except retry_on as failed:
            error = failed
    raise error


def loses_errors(factories: Any, *, retry_on: Any, mid_stream: str = "", **_: Any) -> Any:
    """Known bug 6: ends without an error when every source has failed."""
    delivered = 0
    for factory in factories:
        try:
            for place, item in enumerate(factory()):
                if place >= delivered:
                    delivered += mid_stream == "skip"
                    yield item
            return
        except retry_on:
            continue


def silent_truncator(factories: Any, *, retry_on: Any, **_: Any) -> Any:
    """Handles a mid-stream failure as the end."""
    for factory in factories:
        delivered = False
        try:
            for item in factory():
                delivered = True
                yield item
            return
        except retry_on:
            if delivered:
                return


def falsy_swallower(factories: Any, *, retry_on: Any, mid_stream: str = "", **_: Any) -> Any:
    """Known bug 16: tests the truth of the error instead of `error is not None`."""
    error, delivered = None, 0
    for factory in factories:
        source, error = None, None
        try:
            source = factory()
            for item in without_the_first(source, delivered):
                delivered += mid_stream == "skip"
                yield item
        except retry_on as failed:
            error = failed
        finally:
            close(source)
        if not error:
            return
    raise error  # type: ignore[misc]  # there was one


def reads_ahead(factories: Any, *, retry_on: Any, **options: Any) -> Any:
    """Breaks law 2: pulls the next item before it yields the current one."""
    stream = failover_stream(factories, retry_on=retry_on, **options)
    missing = object()
    item = next(stream, missing)
    while item is not missing:
        following = next(stream, missing)
        yield item
        item = following


def opens_all_at_once(factories: Any, *, retry_on: Any, mid_stream: str = "", **_: Any) -> Any:
    """Breaks law 2: calls every factory before the consumer asks for an item."""
    sources = [factory() for factory in factories]
    delivered = 0
    for source in sources:
        try:
            for place, item in enumerate(source):
                if place >= delivered:
                    delivered += mid_stream == "skip"
                    yield item
            return
        except retry_on:
            continue


def catches_everything(factories: Any, *, retry_on: Any, **options: Any) -> Any:
    """Known bug 13: handles any exception as an outage."""
    return failover_stream(factories, retry_on=Exception, **options)


def first_item_only(factories: Any, *, retry_on: Any, **options: Any) -> Any:
    """LangChain: falls back only before the first item."""
    return failover_stream(factories, **{**options, "retry_on": retry_on, "mid_stream": "raise"})


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


def close(source: Any) -> None:
    """Close a source that can be closed."""
    if hasattr(source, "close"):
        source.close()


def without_the_first(source: Any, number: int) -> Iterator[Any]:
    """Iterate over a source without its first items."""
    for place, item in enumerate(source):
        if place >= number:
            yield item


@dataclass(frozen=True)
class Mutant:
    """A wrong implementation, and what has to find its bug."""

    stream: Combinator
    #: The law of `check_failover_laws` that it breaks.
    law: str
    #: The oracles of `verify` of which it breaks at least one.
    oracles: frozenset[str]
    #: How many plans `verify` needs: bugs that only few plans show are found with more.
    plans: int = 100

    @property
    def name(self) -> str:
        return self.stream.__name__

    @property
    def is_async(self) -> bool:
        return self.name.startswith("async_")

    def pipeline(self, *factories: Any) -> Any:
        """Deliver exactly once, but for the bug."""
        return self.stream(factories, retry_on=ConnectionError, mid_stream="skip")


def _mutant(stream: Combinator, law: str, *oracles: str, plans: int = 100) -> Mutant:
    return Mutant(stream, law, frozenset(oracles), plans)


MUTANTS = [
    _mutant(try_around_creation, "switching", "no_loss"),
    _mutant(yield_inside_the_try, "blame", "transparent", "no_reopen"),
    _mutant(bare_yield_from, "blame", "no_duplicates"),
    _mutant(never_closes, "closing", "no_leak"),
    _mutant(leaks_on_break, "closing", "no_leak"),
    _mutant(closes_after_opening, "one at a time", "one_open"),
    _mutant(swallows_generator_exit, "blame", "no_reopen", "transparent"),
    _mutant(recursion, "constant memory", "transparent", "no_reopen"),
    _mutant(eager_list, "laziness", "lazy", "no_read_ahead"),
    _mutant(loses_errors, "exhaustion", "no_loss", "same_error"),
    _mutant(silent_truncator, "switching", "no_loss", "same_error"),
    _mutant(falsy_swallower, "exhaustion", "no_loss", "same_error"),
    _mutant(reads_ahead, "laziness", "no_read_ahead"),
    _mutant(opens_all_at_once, "laziness", "lazy", "one_open"),
    _mutant(catches_everything, "transparency", "transparent", plans=500),
    _mutant(first_item_only, "switching", "no_loss"),
    _mutant(counts_the_replay_wrong, "switching", "no_duplicates"),
    _mutant(async_try_around_creation, "switching", "no_loss"),
    _mutant(async_yield_inside_the_try, "blame", "transparent", "no_reopen"),
    _mutant(async_never_closes, "closing", "no_leak"),
    _mutant(async_eager_list, "laziness", "no_read_ahead"),
]
