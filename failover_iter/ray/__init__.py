"""`remote` and `aremote`: sources that run on the workers of a Ray cluster.

It needs Ray, and failover-iter on each node: `pip install 'failover-iter[ray]'`.
"""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Any, Final, Generic, ParamSpec, TypeVar

from failover_iter import Source
from failover_iter.ray._driver import NO_SEND, Opened, aend, aget, running_loop, task
from failover_iter.ray._worker import is_progress, memo_of

__all__ = ["aremote", "remote"]

P = ParamSpec("P")
T = TypeVar("T")

#: The options of a Ray task that are set here.
_RESERVED: Final = {
    "num_returns",
    "max_retries",
    "retry_exceptions",
    "_generator_backpressure_num_objects",
}


def remote(
    source_function: Callable[P, Iterable[T]],
    *,
    batch: int = 100,
    ahead: int = 2,
    **ray_options: Any,
) -> Callable[P, Iterable[T]]:
    """Make a factory that runs a source on a worker of a Ray cluster.

    Each opening starts one Ray task. It calls `source_function` with the arguments of the factory:
    with a `Progress`, if the stream has `mid_stream="resume"` or `Decide`. The items come back in
    batches. If the worker or its node dies, the attempt fails with a `RayError`, and the stream
    takes over on another worker. Ray itself retries nothing, because it would replay the source
    from the start. Closing the stream cancels the task, and waits until the source is closed. If
    that takes longer than two seconds, the worker is killed.

    An error that the source raises keeps its class and its attributes, so `retry_on` sees it as if
    the source ran here. Its notes have the traceback of the worker. `Progress.failures` is empty
    on the worker; what the source puts into `Progress.memo` comes back with the next batch. The
    source has no `send` and no `throw` on the driver, and its return value stays on the worker.

    Args:
        source_function: a generator function, or another function that returns an iterable. Ray
            sends it to the worker, and its arguments too.
        batch: how many items one message holds at most. A source that pauses does not wait until
            a batch is full: an item that comes 10 ms after the last batch is sent at once.
        ahead: how many batches the source may produce before the stream asks for them.
        ray_options: options of the Ray task, such as `num_cpus`, `resources`, `runtime_env` or
            `scheduling_strategy`.

    Returns:
        A factory with the same parameters, for `failover_stream` or `Source`. Use
        `in_thread(remote(...))` for async streams under trio.

    Raises:
        TypeError: `source_function` is not callable, or it is async; `batch` or `ahead` is not an
            int.
        ValueError: `batch` or `ahead` is less than 1; Ray does not know an option, or `remote` sets
            it.
        ModuleNotFoundError: Ray is not installed.

    Example:
        >>> import ray
        >>> from failover_iter import failover_stream
        >>> from failover_iter.ray import remote
        >>> def rows(progress):
        ...     yield from range(progress.delivered, 1000)
        >>> with ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False):
        ...     stream = failover_stream([remote(rows)], attempts=3, mid_stream="resume",
        ...                              retry_on=ray.exceptions.RayError)
        ...     print(sum(stream))
        499500
    """
    return _Remote("remote", source_function, batch, ahead, ray_options)


def aremote(
    source_function: Callable[P, Iterable[T]],
    *,
    batch: int = 100,
    ahead: int = 2,
    **ray_options: Any,
) -> Callable[P, AsyncIterator[T]]:
    """Make an async factory that runs a source on a worker of a Ray cluster.

    It is `remote` for `afailover_stream` under asyncio. `source_function` is a plain function here
    too: it runs on the worker, not in the event loop.

    Args:
        source_function: as for `remote`.
        batch: as for `remote`.
        ahead: as for `remote`.
        ray_options: as for `remote`.

    Returns:
        An async factory with the same parameters, for `afailover_stream` or `Source`.

    Raises:
        TypeError: as for `remote`.
        ValueError: as for `remote`.
        ModuleNotFoundError: Ray is not installed.

    Example:
        >>> import asyncio
        >>> import ray
        >>> from failover_iter import afailover_stream
        >>> from failover_iter.ray import aremote
        >>> def rows(progress):
        ...     yield from range(progress.delivered, 1000)
        >>> async def main():
        ...     stream = afailover_stream([aremote(rows)], attempts=3, mid_stream="resume",
        ...                               retry_on=ray.exceptions.RayError)
        ...     return sum([row async for row in stream])
        >>> with ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False):
        ...     asyncio.run(main())
        499500
    """
    return _ARemote("aremote", source_function, batch, ahead, ray_options)


# The factories.


class _Factory(Generic[P, T]):
    """What both factories are: a function, and how Ray runs it."""

    def __init__(
        self,
        maker: str,
        source: Callable[P, Iterable[T]],
        batch: int,
        ahead: int,
        options: dict[str, Any],
    ) -> None:
        _check_source(maker, source)
        _check_count(f"{maker}(batch=...)", batch)
        _check_count(f"{maker}(ahead=...)", ahead)
        for option in sorted(_RESERVED & options.keys()):
            raise ValueError(f"{maker}({option}=...) cannot be set: failover_iter sets it")
        self._maker = maker
        self._source = source
        self._batch = batch
        self._options = options | {"_generator_backpressure_num_objects": ahead}
        task().options(**self._options)  # Ray checks them

    def _start(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Start the task; returns Ray's iterator of references to batches."""
        source: Any = partial(self._source, *map(_sendable, args), **kwargs)
        return task().options(**self._options).remote(source, self._batch)

    @property
    def __name__(self) -> str:
        """The name of the function."""
        return str(getattr(_function(self._source), "__name__", "remote"))

    @property
    def __signature__(self) -> inspect.Signature:
        """The signature of the function."""
        return inspect.signature(self._source)

    def __repr__(self) -> str:
        """Show the function."""
        return f"{self._maker}({self.__name__})"


class _Remote(_Factory[P, T]):
    """The factory that `remote` returns."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterable[T]:
        """Return an iterable. The task starts with the first pull."""
        return Opened(partial(self._start, args, kwargs), memo_of(args))


class _ARemote(_Factory[P, T]):
    """The factory that `aremote` returns."""

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncGenerator[T, Any]:
        """Yield the items. The task starts with the first pull."""
        loop = running_loop()
        refs = worker = batch = None
        try:
            refs = self._start(args, kwargs)
            while (batch := await aget(refs)) is not None:
                worker = worker or batch.worker
                for item in batch.items:
                    if (yield item) is not None:
                        raise AttributeError(NO_SEND)
                batch.finish(memo_of(args))
        finally:
            if refs is not None:
                await aend(refs, worker, loop)
            del refs, batch  # the traceback of an error refers to this frame


def _check_source(maker: str, source: object) -> None:
    wanted = f"{maker}(source_function) must be a function that returns an iterable"
    if isinstance(source, Source):
        raise TypeError(f"{wanted}, got {source!r}: use Source({maker}(function), ...)")
    if not callable(source):
        raise TypeError(f"{wanted}, got {source!r}")
    function = _function(source)
    if inspect.isasyncgenfunction(function) or inspect.iscoroutinefunction(function):
        raise TypeError(f"{wanted}, got an async function: a Ray task runs plain functions")


def _check_count(option: str, value: object) -> None:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{option} must be an int of at least 1, got {value!r}")
    if value < 1:
        raise ValueError(f"{option} must be an int of at least 1, got {value}")


def _function(source: Any) -> Any:
    while isinstance(source, partial):
        source = source.func
    return source


def _sendable(arg: Any) -> Any:
    """Leave the errors of earlier attempts here, because they may not pickle."""
    return replace(arg, failures=()) if is_progress(arg) else arg
