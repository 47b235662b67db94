"""One face for both drivers, so that a behaviour is written once and run on both."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from typing import Any

from failover_iter import Policy, afailover_stream, failover_stream
from failover_iter._drivers.clock import clock
from failover_iter.testing import VirtualClock

MISSING: Any = object()


class Ends(Exception):
    """Raised by the parts of a source: it ends, with this value."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


class SyncFlavour:
    """The blocking driver."""

    name = "sync"
    stop: type[Exception] = StopIteration

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.token = clock.set(self.clock)

    def finish(self) -> None:
        self.clock.wake_all()  # the abandoned sources
        clock.reset(self.token)

    def stream(self, factories: Iterable[Any], **options: Any) -> Any:
        options.setdefault("retry_on", ConnectionError)
        return failover_stream(factories, **options)

    def of(self, policy: Policy, factories: Iterable[Any], **options: Any) -> Any:
        return policy.stream(factories, **options)

    def generator(self, function: Callable[..., Iterable[Any]]) -> Any:
        """A generator function as a factory of this flavour."""
        return function

    def iterator(
        self,
        pull: Callable[[], Any],
        *,
        send: Any = MISSING,
        throw: Any = MISSING,
        close: Any = MISSING,
    ) -> Any:
        """An iterator made of its parts; a part raises `Ends` where the source ends."""
        parts = {"__next__": pull, "send": send, "throw": throw, "close": close}
        body = {name: _sync(part) for name, part in parts.items() if part is not MISSING}
        return type("Parts", (), {"__iter__": lambda self: self, **body})()

    def iterable(self, iterator: Any, close: Any = MISSING) -> Any:
        """An iterable over that iterator, with its own `close`."""
        body = {} if close is MISSING else {"close": lambda self: close()}
        return type("Iterable", (), {"__iter__": lambda self: iterator, **body})()

    def next(self, stream: Any) -> Any:
        return next(stream)

    def send(self, stream: Any, value: Any) -> Any:
        return stream.send(value)

    def throw(self, stream: Any, error: Any) -> Any:
        return stream.throw(error)

    def close(self, stream: Any) -> None:
        stream.close()

    def drain(self, stream: Any) -> list[Any]:
        return list(stream)

    def pass_time(self, seconds: float) -> None:
        """Let time pass while the consumer does something else."""
        self.clock.now += seconds

    def pausing(self, seconds: float, error: BaseException | None = None) -> Any:
        """A source that waits, and then fails or yields "late"."""

        def pausing(*_: object) -> Any:
            self.clock.sleep(seconds)
            if error is not None:
                raise error
            yield "late"

        return pausing

    def settle(self) -> None:
        gc.collect()

    def watched_error(self, stream: Any, pulls: int, throw: bool) -> Any:
        """Drain it, or throw after some pulls; a weak reference that lives as long as the error.

        No frame of ours may be in the traceback with the error in hand: hence no helper.
        """
        try:
            for _ in range(pulls):
                next(stream)
            if throw:
                stream.throw(ConnectionError("mine"))
            for _ in stream:
                pass
        except Exception as error:
            return watch(error)


class AsyncFlavour(SyncFlavour):
    """The async driver under asyncio: each call runs the loop until it is done."""

    name = "async"
    stop = StopAsyncIteration

    def __init__(self) -> None:
        self.loop = VirtualClock().new_event_loop()
        self.loop.set_exception_handler(lambda _, context: None)

    def finish(self) -> None:
        self.settle()  # what was let go is closed by a task: let it come to its end
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())
        self.loop.close()

    def run(self, awaitable: Any) -> Any:
        async def step() -> Any:
            return await awaitable

        return self.loop.run_until_complete(step())

    def stream(self, factories: Iterable[Any], **options: Any) -> Any:
        options.setdefault("retry_on", ConnectionError)
        return afailover_stream(factories, **options)

    def of(self, policy: Policy, factories: Iterable[Any], **options: Any) -> Any:
        return policy.astream(factories, **options)

    def generator(self, function: Callable[..., Iterable[Any]]) -> Any:
        async def generator(*args: Any, **kwargs: Any) -> Any:
            pulls = iter(function(*args, **kwargs))
            try:
                for item in pulls:
                    yield item
            finally:
                pulls.close()  # type: ignore[attr-defined]  # it is a generator

        generator.__name__ = function.__name__
        return generator

    def iterator(
        self,
        pull: Callable[[], Any],
        *,
        send: Any = MISSING,
        throw: Any = MISSING,
        close: Any = MISSING,
    ) -> Any:
        parts = {"__anext__": pull, "asend": send, "athrow": throw, "aclose": close}
        body = {name: _async(part) for name, part in parts.items() if part is not MISSING}
        return type("Parts", (), {"__aiter__": lambda self: self, **body})()

    def iterable(self, iterator: Any, close: Any = MISSING) -> Any:
        body = {} if close is MISSING else {"close": lambda self: close()}
        return type("Iterable", (), {"__aiter__": lambda self: iterator, **body})()

    def next(self, stream: Any) -> Any:
        return self.run(stream.__anext__())

    def send(self, stream: Any, value: Any) -> Any:
        return self.run(stream.asend(value))

    def throw(self, stream: Any, error: Any) -> Any:
        return self.run(stream.athrow(error))

    def close(self, stream: Any) -> None:
        self.run(stream.aclose())

    def drain(self, stream: Any) -> list[Any]:
        async def drained() -> list[Any]:
            return [item async for item in stream]

        return self.run(drained())  # type: ignore[no-any-return]  # a list

    def pass_time(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    def pausing(self, seconds: float, error: BaseException | None = None) -> Any:
        async def pausing(*_: object) -> Any:
            await asyncio.sleep(seconds)
            if error is not None:
                raise error
            yield "late"

        return pausing

    def settle(self) -> None:
        for _ in range(3):
            gc.collect()
            self.run(asyncio.sleep(0))

    def watched_error(self, stream: Any, pulls: int, throw: bool) -> Any:
        async def main() -> Any:
            try:
                for _ in range(pulls):
                    await anext(stream)
                if throw:
                    await stream.athrow(ConnectionError("mine"))
                async for _ in stream:
                    pass
            except Exception as error:
                return watch(error)

        return self.run(main())


class Thing:
    """Something that can be watched."""


def watch(error: BaseException) -> weakref.ref[Any]:
    """A weak reference to something that lives just as long as the error, or its first leaf."""
    leaf = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error
    thing = leaf.__dict__["thing"] = Thing()
    return weakref.ref(thing)


def _sync(part: Any) -> Any:
    def method(self: Any, *args: Any) -> Any:
        try:
            return part(*args)
        except Ends as end:
            raise StopIteration(end.value) from None

    return method


def _async(part: Any) -> Any:
    async def method(self: Any, *args: Any) -> Any:
        try:
            return part(*args)
        except Ends:
            raise StopAsyncIteration from None

    return method


def source(flavour: SyncFlavour, *items: Any, error: BaseException | None = None) -> Any:
    """A factory of a source that yields these items, and then raises the error."""

    def source(*_: object) -> Iterator[Any]:
        yield from items
        if error is not None:
            raise error

    return flavour.generator(source)


def drain(stream: Any) -> list[Any]:
    """All items of a stream of either flavour."""
    if isinstance(stream, Iterator):
        return list(stream)

    async def collect() -> list[Any]:
        async with aclosing(stream):
            return [item async for item in stream]

    return asyncio.run(collect())
