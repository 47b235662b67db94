"""A blocking source as an async iterator: the source lives in its own thread.

The task waits for the thread, the event loop does not. If that wait is cancelled while the source
blocks, the source is aborted and left to its thread, which closes it when the call returns.
Otherwise only `aclose` ends the thread, or the garbage collector: `mailbox` says how.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from failover_iter._core.notes import leaked
from failover_iter._core.refusals import async_close, not_iterable, refuse_text
from failover_iter._core.usage import mark_usage_error
from failover_iter._drivers.clock import async_library
from failover_iter._drivers.closing import has_ended
from failover_iter._drivers.mailbox import Job
from failover_iter._drivers.source_thread import SourceThread
from failover_iter._validation import is_async, offers, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._drivers.opened import OpenedSource
    from failover_iter._source import Abort

#: What there is to pull while nothing is open.
_NOTHING: Final = iter(())
#: The result of a pull that found the end: no coroutine can raise StopIteration.
_END: Final = object()


class AsyncJob(Job):
    """A job that a task waits for."""

    __slots__ = ("wake",)

    def __init__(self, call: Callable[[], Any], wake: Callable[..., object]) -> None:
        super().__init__(call)
        #: Wakes the task; may be called in any thread, and more than once.
        self.wake: Callable[..., object] | None = wake


class ThreadSource:
    """An async iterator over what a blocking factory opens."""

    #: The thread, once the first item was asked for.
    _thread: SourceThread | None = None
    _iterator: Any = _NOTHING
    _job: AsyncJob | None = None
    _is_closed = False
    # A `Source` may change these, before the thread starts.
    _owned = True
    _closer: Callable[[Any], object] | None = None
    _abort: tuple[Abort, dict[str, Any]] | None = None
    #: Refuses a generator that has ended, if it comes after a failure.
    _opened_ended: Callable[[], None] | None = None

    def __init__(self, factory: Callable[..., Any], args: tuple[Any, ...], name: str) -> None:
        self._factory = factory
        self._args = args
        self._name = name

    def serve(self, source: OpenedSource) -> None:
        """Become the source of a stream, with the options of its `Source`."""
        settings = source.attempt.source
        if settings.closer is not None and is_async(settings.closer):
            raise mark_usage_error(async_close(settings.name, settings.closer))
        self._name, self._owned, self._closer = settings.name, settings.owned, settings.closer
        self._abort = source.abort
        self._opened_ended = source.run.opened_ended

    @property
    def abandoned(self) -> bool:
        """Whether the source was left while it was blocked."""
        return self._thread is not None and self._thread.abandoned

    def __aiter__(self) -> ThreadSource:
        """Return the iterator: this."""
        return self

    async def __anext__(self) -> Any:
        """Pull an item, in the thread; the first pull opens the source."""
        if self._thread is None and not self._is_closed:
            self._thread = SourceThread(
                self._name,
                _reply,
                owned=self._owned,
                closer=self._closer,
                abort=self._abort,
            )
            call = partial(self._start, self._factory, self._args)
            del self._factory, self._args
            return await self._pull(call)
        return await self._pull(partial(next, self._iterator))

    @property
    def asend(self) -> Callable[[Any], Any]:
        """A pull that sends a value, if the source has a `send`."""
        send = self._iterator.send
        return lambda value: self._pull(partial(send, value))

    @property
    def athrow(self) -> Callable[..., Any]:
        """The `throw` of the source, if it has one."""
        throw = self._iterator.throw
        return lambda *thrown: self._pull(partial(throw, *thrown))

    async def aclose(self) -> None:
        """Close the source, and wait until it is closed; do not wait for one that is blocked."""
        thread, self._is_closed = self._thread, True
        if self._is_blocked:
            self._leave_blocked()
        if thread is None or thread.mailbox.gone:
            return
        if async_library() is None:  # the loop has gone: nobody can wait for the thread
            thread.stop()
            return
        thread.begin_to_close()
        try:
            await self._ask(thread, thread.close_all, is_closing=True)
        finally:
            thread.stop()
            self._iterator = _NOTHING

    @property
    def _is_blocked(self) -> bool:
        return self._job is not None and not self._job.finished

    async def _pull(self, call: Callable[[], Any]) -> Any:
        thread = self._thread
        if thread is None or (self._is_closed and not thread.abandoned):
            raise StopAsyncIteration
        if self._is_blocked and not thread.abandoned:
            raise RuntimeError(f"source {self._name!r} is being pulled already, by another task")
        item = await self._ask(thread, partial(_pulled, call))
        if item is _END:
            raise StopAsyncIteration
        return item

    def _start(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Open the source, in the thread, and pull it for the first time."""
        thread: Any = self._thread
        try:
            iterable = thread.open(factory, args)
            _check_opened(self._name, iterable)
            if self._opened_ended is not None and has_ended(iterable):
                self._opened_ended()
            self._iterator = thread.iterate(iterable)
        except StopIteration as stop:
            raise leaked(stop, "generator")  # noqa: B904 (it has its cause)
        return next(self._iterator)

    async def _ask(
        self, thread: SourceThread, call: Callable[[], Any], *, is_closing: bool = False
    ) -> Any:
        """Have the thread make a call, and wait for the outcome."""
        if thread.mailbox.gone:
            raise mark_usage_error(
                RuntimeError(f"a source in a thread cannot be continued {thread.mailbox.gone}")
            )
        wake, woken = _alarm(shield=is_closing)
        self._job = job = AsyncJob(call, wake)
        del call
        try:
            thread.mailbox.requests.put(job)
            await woken()
        except BaseException:
            if not job.finished and not is_closing:
                self._leave_blocked()
            raise
        finally:
            job.wake = None  # the thread keeps its last job, and this refers to the loop
        if not job.finished:
            raise RuntimeError(f"source {self._name!r} was closed while it was pulled")
        return job.take()

    def _leave_blocked(self) -> None:
        """Leave the blocked source to its thread, and wake the task that waits for it."""
        thread: Any = self._thread
        try:
            thread.abandon()
        finally:
            _reply(self._job)


def _pulled(call: Callable[[], Any]) -> Any:
    """Pull the source, in the thread."""
    try:
        return call()
    except StopIteration:
        return _END
    except StopAsyncIteration as stop:
        raise leaked(stop, "async generator")  # noqa: B904 (it has its cause)


def _check_opened(name: str, opened: object) -> None:
    """Refuse an object that a thread cannot iterate."""
    refuse_text(name, opened)
    if offers(opened, "__iter__") or offers(opened, "__getitem__"):
        return
    if offers(opened, "__aiter__") or offers(opened, "__await__"):
        raise mark_usage_error(
            TypeError(
                f"the factory of in_thread must be sync, but that of source {name!r} returned "
                f"something async, {shown(opened)}: pass it to the stream directly"
            )
        )
    raise not_iterable(name, "iterable", opened)


def _reply(job: Any) -> None:
    """Wake the task that waits for a job, from the thread; its loop may have gone."""
    wake = job.wake
    if wake is not None:
        try:
            wake()
        except RuntimeError:  # trio.RunFinishedError is one
            job.wake = None


def _alarm(*, shield: bool) -> tuple[Callable[..., object], Callable[[], Any]]:
    """Return a function that wakes a task, from any thread, and one that waits for that.

    `shield`: under trio the wait cannot be cancelled, as that for any other thread.
    """
    match async_library():
        case "trio":
            import trio

            event, token = trio.Event(), trio.lowlevel.current_trio_token()

            async def wait() -> None:
                with trio.CancelScope(shield=shield):
                    await event.wait()

            return partial(token.run_sync_soon, event.set), wait
        case "asyncio":
            import asyncio

            loop = asyncio.get_running_loop()
            future = loop.create_future()

            async def waited() -> None:
                await future

            return partial(loop.call_soon_threadsafe, _resolve, future), waited
        case _:
            raise mark_usage_error(
                RuntimeError("in_thread needs asyncio or trio: neither runs this stream")
            )


def _resolve(future: Any) -> None:
    if not future.done():
        future.set_result(None)
