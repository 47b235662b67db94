"""The fallbacks of langchain-core, over the same sources as `failover_stream`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from langchain_core.runnables import Runnable, RunnableGenerator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence


def _generator(factory: Callable[[], Iterator[int]]) -> Runnable[Any, int]:
    def transform(_: Iterator[Any]) -> Iterator[int]:
        yield from factory()

    return RunnableGenerator(transform)


def _async_generator(factory: Callable[[], AsyncIterator[int]]) -> Runnable[Any, int]:
    async def transform(_: AsyncIterator[Any]) -> AsyncIterator[int]:
        async for item in factory():
            yield item

    return RunnableGenerator(transform)


class _Minimal(Runnable[None, int]):
    """A runnable that only returns the iterator of its factory: the cheapest one possible."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._factory = factory

    def invoke(self, input: None, config: Any = None, **_: Any) -> int:  # noqa: A002
        raise NotImplementedError

    def stream(self, input: None, config: Any = None, **_: Any) -> Iterator[int]:  # noqa: A002
        return self._factory()  # type: ignore[no-any-return]  # an iterator

    def astream(self, input: None, config: Any = None, **_: Any) -> AsyncIterator[int]:  # noqa: A002
        return self._factory()  # type: ignore[no-any-return]  # an async iterator


def generators(factories: Sequence[Callable[[], Any]], *, is_async: bool = False) -> Any:
    """Return a chain of a `RunnableGenerator` for each factory, as a user would write it."""
    return _chain([(_async_generator if is_async else _generator)(each) for each in factories])


def minimal(factories: Sequence[Callable[[], Any]]) -> Any:
    """Return a chain of runnables that cost next to nothing, so that only the chain is measured."""
    return _chain([_Minimal(each) for each in factories])


def _chain(runnables: Sequence[Runnable[Any, int]]) -> Any:
    first, *others = runnables
    return first.with_fallbacks(others, exceptions_to_handle=(OSError,))
