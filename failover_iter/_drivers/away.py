"""Calling a function that blocks from async code: in a thread, and never left alone there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_iter._drivers.clock import async_library

if TYPE_CHECKING:
    from collections.abc import Callable


async def away(function: Callable[[], Any]) -> Any:
    """Call a function in a thread, and wait until it has returned, whoever cancels meanwhile.

    A call that went on after its caller had gone could save an outdated state.
    """
    match async_library():
        case "trio":
            import trio

            with trio.CancelScope(shield=True):
                return await trio.to_thread.run_sync(function)
        case "asyncio":
            return await _under_asyncio(function)
        case _:
            return function()


async def _under_asyncio(function: Callable[[], Any]) -> Any:
    import asyncio

    future = asyncio.get_running_loop().run_in_executor(None, function)
    cancelled: BaseException | None = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None and future.exception() is None:
        try:
            raise cancelled
        finally:
            del cancelled
    return future.result()
