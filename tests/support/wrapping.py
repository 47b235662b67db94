"""Good streams in mode "skip", and what wraps their sources: the parts of subtle mutants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from failover_iter import afailover_stream, failover_stream


def right(factories: Any, **options: Any) -> Any:
    return failover_stream(factories, mid_stream="skip", **{"retry_on": ConnectionError, **options})


def aright(factories: Any, **options: Any) -> Any:
    return afailover_stream(
        factories, mid_stream="skip", **{"retry_on": ConnectionError, **options}
    )


def wrapped(factories: Any, wrap: Callable[[Any, Any], Any]) -> Iterator[Any]:
    """Let `wrap` open each source: it gets the factory and its arguments."""
    for factory in factories:
        yield lambda *args, factory=factory: wrap(factory, args)


def relayed(stream: Any, change: Callable[[Any], list[Any]]) -> Any:
    """Do as `yield from stream` does, but yield what `change` makes of each item."""
    call = partial(next, stream)
    try:
        while True:
            try:
                item = call()
            except StopIteration as stop:
                return stop.value
            sent = None
            for each in change(item):
                try:
                    sent = yield each
                except GeneratorExit:
                    raise
                except BaseException as error:
                    call = partial(stream.throw, error)
                    break
            else:
                call = partial(stream.send, sent)
    finally:
        stream.close()


class WithoutClose:
    """An iterator that hides the `close` of another one."""

    def __init__(self, iterator: Any) -> None:
        self.iterator = iterator

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return next(self.iterator)

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return await anext(self.iterator)
