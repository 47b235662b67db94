"""Closing the objects that a factory opened: an iterator, and the iterable it came from."""

from __future__ import annotations

from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any

from failover_iter._core.notes import note_close_error
from failover_iter._core.refusals import async_close
from failover_iter._core.usage import mark_usage_error
from failover_iter._validation import is_awaitable

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.sources import ResolvedSource


def has_ended(opened: object) -> bool:
    """Whether this is a generator, sync or async, that has ended."""
    if isinstance(opened, GeneratorType):
        return opened.gi_frame is None
    return isinstance(opened, AsyncGeneratorType) and opened.ag_frame is None


def is_unfinished(opened: object) -> bool:
    """Whether this is a generator, sync or async, that has not ended: it has raised no error."""
    if isinstance(opened, GeneratorType):
        return opened.gi_frame is not None
    return isinstance(opened, AsyncGeneratorType) and opened.ag_frame is not None


def needs_close(iterable: object, iterator: object, source: ResolvedSource) -> bool:
    """Whether a source that has ended may still have to be closed."""
    return iterable is not iterator or not has_ended(iterator) or source.closer is not None


def is_running(opened: object) -> bool:
    """Whether this is an async generator that is running just now."""
    return isinstance(opened, AsyncGeneratorType) and bool(opened.ag_running)


def close(opened: object) -> None:
    """Close an object that has a `close`."""
    closing = closer_of(opened)
    if closing is not None:
        closing()


def close_with(closer: Callable[[Any], object], name: str, opened: object) -> None:
    """Close an object with the function of `Source(close=...)`, in a blocking stream."""
    done: Any = closer(opened)
    if is_awaitable(done):
        error = async_close(name, done)
        if isinstance(done, CoroutineType):
            done.close()
        raise mark_usage_error(error)


def closer_of(opened: object) -> Callable[[], object] | None:
    """The `close` of an object, if it has one."""
    closing = getattr(opened, "close", None)
    return closing if callable(closing) else None


def acloser_of(opened: Any) -> Callable[[], object] | None:
    """The `aclose` or `close` of an object, if it has one."""
    if is_running(opened):
        return None  # the loop is closing it (shutdown_asyncgens) and waits for it itself
    closing = getattr(opened, "aclose", None) or getattr(opened, "close", None)
    return closing if callable(closing) else None


async def closed(done: Any) -> None:
    """Await the result of closing, if it is awaitable."""
    try:
        if is_awaitable(done):
            await done
    except RuntimeError as error:
        # The loop is closing an async generator that is wrapped in the object, as above.
        if "asynchronous generator is already running" not in str(error):
            raise


def has_begun(done: object) -> bool:
    """Whether a coroutine has begun: a signal handler may raise between its call and its start."""
    if isinstance(done, CoroutineType) and done.cr_frame is not None:
        done.close()  # it is made anew
        return False
    return True


def first_of(errors: list[BaseException], source: str) -> Exception:
    """Return the first error of closing, with the others in its notes; raise a BaseException."""
    errors.sort(key=lambda error: isinstance(error, Exception))  # stable: Ctrl-C comes first
    first, *others = errors
    errors.clear()
    try:
        for other in others:
            note_close_error(first, source, other)
        if isinstance(first, Exception):
            return first
        raise first
    finally:
        del first, others
