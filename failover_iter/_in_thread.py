"""`in_thread`: a blocking source in an async stream."""

# Annotations here are objects, not strings: see `public`.

from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from functools import partial
from inspect import Signature, signature
from typing import Any, Generic, ParamSpec, overload

from failover_iter._drivers.thread_source import ThreadSource
from failover_iter._source import Source
from failover_iter._types import T, public
from failover_iter._validation import check_factory, is_async, shown

P = ParamSpec("P")


class InThread(Generic[P, T]):
    """An async factory made of a blocking one; see `in_thread`."""

    def __init__(self, factory: Callable[P, Iterable[T]]) -> None:
        #: The blocking factory.
        self.factory = factory

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """Return the async iterator. The thread starts with the first pull."""
        factory = partial(self.factory, **kwargs) if kwargs else self.factory
        return ThreadSource(factory, args, self.__name__)

    @property
    def __name__(self) -> str:
        """The name of the blocking factory."""
        factory: Any = self.factory
        while isinstance(factory, partial):
            factory = factory.func
        return str(getattr(factory, "__name__", type(factory).__name__))

    @property
    def __signature__(self) -> Signature:
        """The signature of the blocking factory."""
        return signature(self.factory)

    def __repr__(self) -> str:
        """Show the blocking factory."""
        return f"in_thread({shown(self.factory)})"


@overload
def in_thread(factory: Source[Iterable[T]]) -> Source[AsyncIterator[T]]: ...
@overload
def in_thread(factory: Callable[P, Iterable[T]]) -> Callable[P, AsyncIterator[T]]: ...
@public
def in_thread(factory: Any) -> Any:
    """Turn the factory of a blocking source into one of an async source.

    Each source that the new factory opens lives in its own daemon thread, with one copy of the
    context of the task that pulls it first. That thread calls `factory`, pulls the iterator and
    closes it, one item at a time, and only when the consumer asks. The task waits, and the event
    loop goes on. It works under asyncio and trio.

    `aclose` waits until the thread has closed the source. If the source blocks when a timeout
    expires or the consumer is cancelled, it is aborted (`Source(abort=...)`) and left to its
    thread, which closes it when the blocked call returns. An error that it raises then is logged.

    Args:
        factory: callable that opens a blocking stream: `() -> Iterable`, or
            `(Progress) -> Iterable` with `mid_stream="resume"`. Or a `Source` with such a factory.

    Returns:
        A factory with the same parameters, for `afailover_stream` or `Source`. It returns an async
        iterator. If `factory` is a `Source`, the result is an async source with the same name and
        options.

    Raises:
        TypeError: `factory` is not callable, or it is async.

    Example:
        >>> import asyncio
        >>> from failover_iter import afailover_stream, in_thread
        >>> def blocking_client():
        ...     yield from ("row 1", "row 2")
        >>> async def main():
        ...     stream = afailover_stream([in_thread(blocking_client)], retry_on=ConnectionError)
        ...     return [row async for row in stream]
        >>> asyncio.run(main())
        ['row 1', 'row 2']
    """
    if isinstance(factory, Source):
        source: Source[Any] = factory  # pyright: ignore[reportUnknownVariableType]
        return replace(source, factory=in_thread(source.factory))
    check_factory("in_thread(factory)", factory)
    if is_async(factory):
        raise TypeError(
            f"in_thread(factory) must be a blocking factory, got the async {shown(factory)}: pass "
            "it to the stream as it is"
        )
    return InThread(factory)
