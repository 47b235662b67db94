"""The driver's side of a task: starting it, getting its batches, ending it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from threading import Thread
from traceback import clear_frames
from typing import Any, Final, Generic, TypeVar

from failover_iter.ray._worker import Batch, Worker, kill_named, ray_module, run

T = TypeVar("T")

#: How many seconds a source may take to close. Ray looks for a cancellation once a second while
#: a source waits because it is `ahead`. After that time, the worker is killed.
PATIENCE: Final = 2.0
#: A value that is sent would have to reach the source between two items of a batch.
NO_SEND: Final = "a source on a Ray worker has no send()"
#: Ray colours its messages.
_COLOUR: Final = re.compile(r"\x1b\[\d+m")


class Opened(Generic[T]):
    """One opening of a remote source, on the driver of a blocking stream."""

    def __init__(self, start: Callable[[], Any], memo: dict[str, Any]) -> None:
        self._start = start
        self._memo = memo
        self._refs: Any = None
        self._worker: Worker | None = None
        self._is_aborted = False

    def __iter__(self) -> Iterator[T]:
        """Yield the items."""
        batch = None
        try:
            self._refs = self._start()
            while (batch := self._next()) is not None:
                self._worker = self._worker or batch.worker
                for item in batch.items:
                    if (yield item) is not None:
                        raise AttributeError(NO_SEND)
                batch.finish(self._memo)
        finally:
            if self._refs is not None:
                end(self._refs, self._worker)
                self._refs = None  # it holds the batches that nobody asked for
            del batch  # the traceback of an error refers to this frame

    def failover_abort(self) -> None:
        """Cancel the task from another thread, because the stream has left it."""
        refs = self._refs
        if refs is not None:
            self._is_aborted = True
            Thread(target=end, args=(refs, self._worker), daemon=True).start()

    def _next(self) -> Batch | None:
        try:
            return get(self._refs)
        except ray_module().exceptions.RayError:
            if self._is_aborted:
                return None  # it is what was asked for
            raise


@cache
def task() -> Any:
    """Return the Ray task that runs a source."""
    return ray_module().remote(num_returns="streaming", max_retries=0)(run)


@cache
def _killer() -> Any:
    return ray_module().remote(num_cpus=0, max_retries=0)(kill_named)


def get(refs: Any) -> Batch | None:
    """Wait for the next batch; None after the last one."""
    ray, ref = ray_module(), None
    try:
        ref = next(refs, None)
        return None if ref is None else ray.get(ref)
    except ray.exceptions.RayError as error:
        failure = _failure_of(error)
    finally:
        del refs, ref  # the traceback of an error refers to this frame
    try:
        raise failure
    finally:
        del failure


async def aget(refs: Any) -> Batch | None:
    """Wait for the next batch without blocking the event loop."""
    ray, ref = ray_module(), None
    try:
        ref = await anext(refs, None)
        return None if ref is None else await ref
    except ray.exceptions.RayError as error:
        failure = _failure_of(error)
    finally:
        del refs, ref
    try:
        raise failure
    finally:
        del failure


def _failure_of(error: Any) -> Exception:
    """Return what went wrong: the error of Ray, or the cause that it wraps.

    A task fails before or after its source if an item does not pickle, for example. Ray's wrapper
    is a `RayError` too: with it, such a bug would count as the failure of a worker.
    """
    clear_frames(error.__traceback__)  # ray.get() holds its error in a variable: a cycle
    if not isinstance(error, ray_module().exceptions.RayTaskError):
        failure: Exception = error
        return failure
    cause: Exception = error.cause
    BaseException.add_note(cause, f"in a Ray task: {_COLOUR.sub('', str(error))}")
    return cause


def end(refs: Any, worker: Worker | None) -> None:
    """Cancel a task, and wait until its source is closed; kill its worker if that takes long."""
    ray = ray_module()
    if not ray.is_initialized():
        return  # all tasks ended with the connection
    done: list[Any] = []
    ray.cancel(refs)
    try:
        done, _ = ray.wait([refs.completed()], timeout=PATIENCE)
    finally:
        if not done:
            _kill(refs, worker)


async def aend(refs: Any, worker: Worker | None, loop: Any) -> None:
    """Do the same without blocking the event loop."""
    import asyncio

    ray = ray_module()
    if not ray.is_initialized():
        return
    done: set[Any] = set()
    ray.cancel(refs)
    completed = asyncio.wrap_future(refs.completed().future(), loop=loop)
    completed.add_done_callback(lambda each: each.cancelled() or each.exception())
    try:
        done, _ = await asyncio.wait({completed}, timeout=PATIENCE)
    finally:
        if not done:
            completed.cancel()
            _kill(refs, worker)


def _kill(refs: Any, worker: Worker | None) -> None:
    """Kill the worker of a task. Return at once."""
    ray_module().cancel(refs, force=True)
    if worker is not None:
        scheduling = import_module("ray.util.scheduling_strategies")
        there = scheduling.NodeAffinitySchedulingStrategy(worker.node, soft=False)
        _killer().options(scheduling_strategy=there).remote(worker.pid, worker.name)


def running_loop() -> Any:
    """Return the loop of asyncio, without which Ray awaits nothing."""
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "aremote(...) needs asyncio: under trio, use in_thread(remote(...))"
        ) from None
