"""Resources that a source opens: whether a function opens async ones, and how they are closed."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import Any

from failover_iter import Takeover


def is_async_function(function: Any) -> bool:
    """Whether a call returns an awaitable, an async context manager, or an async iterator."""
    while isinstance(function, partial):
        function = function.func
    owner = getattr(function, "__self__", None)
    if inspect.iscoroutinefunction(getattr(owner, "dispose", None)):
        return True  # `AsyncEngine.connect` returns an object that is awaited
    call, wrapped = getattr(function, "__call__", None), getattr(function, "__wrapped__", None)  # noqa: B004 (to look at it)
    candidates = (function, call, wrapped)
    return any(map(_is_async, candidates))


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def check_not_async(option: str, opened: Any) -> None:
    """Raise if a function that looks like a sync one has returned something async."""
    is_only_async = hasattr(opened, "__aiter__") and not hasattr(opened, "__iter__")
    if not (inspect.isawaitable(opened) or hasattr(opened, "__aenter__") or is_only_async):
        return
    if inspect.iscoroutine(opened):
        opened.close()
    raise TypeError(
        f"{option} is a plain function, and it has returned {type(opened).__name__}: for an async "
        "stream, pass the coroutine function itself (functools.partial adds its arguments), or "
        "write it as `async def`"
    )


def view_of(function: str, chunk: Any) -> memoryview:
    """The bytes of a chunk.

    Raises:
        TypeError: it is something else.
    """
    try:
        return memoryview(chunk)
    except TypeError:
        if inspect.iscoroutine(chunk):
            chunk.close()
        hint = ": leave out mark_takeovers" if isinstance(chunk, Takeover) else ""
        raise TypeError(
            f"{function} needs chunks of bytes, got {type(chunk).__name__}{hint}"
        ) from None


async def awaited(value: Any) -> Any:
    """The value, or what it is when it is awaited."""
    return await value if inspect.isawaitable(value) else value


@contextmanager
def closed_after(resource: Any) -> Generator[Any]:
    """Close it after the block; an error of closing never replaces one of the block."""
    try:
        yield resource
    except Exception:
        with suppress(Exception):
            _close(resource)
        raise
    except BaseException:
        _close(resource)
        raise
    _close(resource)


@asynccontextmanager
async def aclosed_after(resource: Any) -> AsyncGenerator[Any]:
    """`closed_after` for an async resource."""
    try:
        yield resource
    except Exception:
        with suppress(Exception):
            await _aclose(resource)
        raise
    except BaseException:
        await _aclose(resource)
        raise
    await _aclose(resource)


def _close(resource: Any) -> None:
    close = getattr(resource, "close", None)
    if close is not None:
        close()


async def _aclose(resource: Any) -> None:
    close = getattr(resource, "aclose", None) or getattr(resource, "close", None)
    if close is not None:
        await awaited(close())
