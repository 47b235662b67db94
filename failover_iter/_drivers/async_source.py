"""An open source of an async stream: how it is opened, what it is asked, how it is closed.

The twin of `sync_source.py`.
"""

from __future__ import annotations

import sys
from functools import partial
from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, Final
from warnings import warn

from failover_iter._core.notes import leaked
from failover_iter._core.refusals import not_iterable, refuse_text, wrong_flavour
from failover_iter._core.state import State
from failover_iter._core.usage import mark_usage_error
from failover_iter._drivers.async_items import Held, IterableOver
from failover_iter._drivers.clock import give_way
from failover_iter._drivers.closing import acloser_of, closed, first_of, has_begun, needs_close
from failover_iter._drivers.opened import OpenedSource
from failover_iter._drivers.pullers import new_puller
from failover_iter._validation import is_awaitable, offers, shown
from failover_iter.errors import DivergedStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable

    from failover_iter._core.commands import Command


#: In place of the last item while there is none.
_NO_ITEM: Final = object()


class AsyncSource(OpenedSource):
    """An open source of an async stream."""

    #: The object that waits for it, if it has a timeout.
    puller: Any = None
    _loop_keeps = False

    @property
    def owned(self) -> bool:
        """Whether to close it. A thread is always closed, and knows what of the source is."""
        return self.worker is not None or self.attempt.source.owned

    def __del__(self, warn: Callable[..., None] = warn) -> None:
        """Warn if the event loop has gone, so that nothing could close the source."""
        if self.iterable is not None and self.owned:
            name = self.attempt.source.name
            text = f"an async stream was not closed before its event loop: {name} is still open"
            warn(text, ResourceWarning, source=self)

    async def open(self) -> None:
        """Open the source, and pull it until it commits, ends or fails."""
        if not await self._make_iterator():
            return
        iterator = self.iterator
        while True:
            try:
                if self.puller is None:
                    item = await anext(iterator)
                else:
                    self.puller.check()
                    item = await self.puller.wait(anext(iterator))
            except StopAsyncIteration:
                break
            except BaseException as error:
                self.fail(error)
                return
            if self.receive(item):
                return
        self.end()
        self.has_committed = self.run.source_ended()

    async def _make_iterator(self) -> bool:
        """Call the factory and `aiter`; False if that failed."""
        await self._call_factory()
        if self.failure is None:
            self._check_opened(self.iterable)
        if self.failure is None:
            try:
                self.iterator = aiter(self.iterable)
            except (StopIteration, StopAsyncIteration) as stop:
                self.failure = leaked(stop, "async generator")
            except BaseException as error:
                self.raised(error)
        return self.failure is None

    async def _call_factory(self) -> None:
        attempt = self.attempt
        factory, args = attempt.source.factory, attempt.args
        attempt.args = ()  # a traceback holds on to the attempt
        if attempt.deadline is not None:
            self.puller = new_puller(attempt.deadline, self.close, attempt.source.name)
        opened: Any = None
        try:
            self.iterable = opened = factory(*args)
            if is_awaitable(opened) and not offers(opened, "__aiter__"):
                self.iterable = None
                await self._in_time(self._await_opened(opened))
        except (StopIteration, StopAsyncIteration) as stop:
            self.failure = leaked(stop, "async generator")
        except BaseException as error:
            self.failure = error
        finally:
            del factory, args, opened  # as in the blocking driver

    async def _await_opened(self, awaitable: Any) -> None:
        """Keep the result even if it arrives too late: it has to be closed."""
        self.iterable = await awaitable

    def _in_time(self, awaitable: Any) -> Any:
        """Limit the time of an awaitable, if the source has a deadline."""
        return awaitable if self.puller is None else self.puller.wait(awaitable)

    def _check_opened(self, opened: object) -> None:
        """Refuse an object that an async stream cannot iterate."""
        self._check_thread(opened)
        if isinstance(opened, AsyncGeneratorType):
            if opened.ag_frame is None:
                self.run.opened_ended()
        elif not offers(opened, "__aiter__"):
            name = self.attempt.source.name
            refuse_text(name, opened)
            if offers(opened, "__iter__"):
                raise wrong_flavour(name, "async")
            self.failure = not_iterable(name, "async iterable", opened)

    def _check_thread(self, opened: Any) -> None:
        """Pass the options of the source to the iterator of `in_thread`."""
        in_thread = sys.modules.get("failover_iter._drivers.thread_source")  # imported by its user
        if in_thread is not None and isinstance(opened, in_thread.ThreadSource):
            self.worker = opened
            opened.serve(self)
        elif self.attempt.source.abort is not None:
            name, got = self.attempt.source.name, shown(opened)
            text = f"Source(abort=...) of {name!r} is for a blocking source: in an async stream it "
            raise mark_usage_error(TypeError(f"{text}needs in_thread(factory), got {got}"))

    def items(self) -> tuple[AsyncIterable[Any], Any, int, Callable[[Any], object] | None]:
        """Return what to deliver next, and for the loop over it: what it needs for each item.

        First the last item, if the loop is to hold it, instead of putting each one away. Then how
        much an item counts: 0 if it is counted elsewhere, as are held items, and those of a source
        with bookmarks or a limit to its items, which need the count meanwhile. Then what to call.
        """
        attempt, delivered = self.attempt, self.attempt.delivered
        self._loop_keeps = False
        if attempt.held or not self.is_open:  # a source that did not commit has none
            return Held(self), _NO_ITEM, 0, None
        items, on_item = self._rest(), attempt.on_item
        if on_item is not None and attempt.is_sifted:
            return items, _NO_ITEM, 0, attempt.counting(on_item)
        if delivered.keep != 1 or delivered.calls_back:
            return items, _NO_ITEM, 1, on_item
        self._loop_keeps, kept = True, delivered.items
        return items, kept.pop() if kept else _NO_ITEM, 1, None

    def keep_last(self, item: Any) -> None:
        """Put the last item away, if the loop over `items()` holds it."""
        if self._loop_keeps and item is not _NO_ITEM:
            self.attempt.delivered.items.append(item)

    def _rest(self) -> AsyncIterable[Any]:
        """Return the remaining items of the source, within its limits of time."""
        deadline, puller = self.attempt.deadline, self.puller
        # A source in the task of a backup has no puller.
        if (
            puller is not None
            and deadline is not None
            and (deadline.is_lasting or puller.usage_error is not None)
        ):
            rest: AsyncIterable[Any] = puller.items(self.iterator)
            return rest
        is_generator = type(self.iterator) is AsyncGeneratorType
        return self.iterator if is_generator else IterableOver(self.iterator)

    def raised_by(self, items: AsyncIterable[Any], error: BaseException) -> None:
        """The loop over the items raised: only the source is to blame, not the held items."""
        if isinstance(items, Held):
            self.spare(error)
        self.raised(error)

    def exhausted(self, items: AsyncIterable[Any]) -> None:
        """What `items()` returned has ended: the source too, unless it was the held items."""
        if not isinstance(items, Held):
            self.end()

    @property
    def goes_on(self) -> bool:
        """Whether an item is held, or the source may yield one."""
        return self.failure is None and (bool(self.attempt.held) or not self.has_ended)

    def end(self, *, check_complete: bool = True) -> None:
        """The source has ended. In answer to a throw it need not be complete."""
        self.has_ended, self.check_complete = True, check_complete

    async def answer(self, thrown: BaseException | None, sent: Any) -> None:
        """Do to the source what the consumer did at a `yield`."""
        try:
            if thrown is None:
                await self.send(sent)
            else:
                await self.throw(thrown)
        finally:
            del thrown  # or the traceback holds this frame, and this frame the error

    async def send(self, value: Any) -> None:
        """Send a value to the source: a pull like any other, unless it takes no values."""
        attempt = self.attempt
        if attempt.at_marker or (self.has_ended and not attempt.held):
            return
        attempt.check_sent(value)
        asend = self.iterator.asend
        try:
            if self.puller is not None:
                self.puller.check()
            item = await self._in_time(asend(value))
        except StopAsyncIteration:
            self.end()
        except BaseException as error:
            self.failure = error
        else:
            self._deliver(item)

    async def throw(self, thrown: BaseException) -> None:
        """Throw into the source; whatever it raises is raised to the consumer."""
        attempt = self.attempt
        attempt.held.clear()
        attempt.at_marker = False
        self.failure, self.spared, self.by_consumer = thrown, thrown, True
        try:
            if isinstance(thrown, GeneratorExit):
                self.is_left, self.by_consumer = True, False
                await self._leave()
                return
            athrow = getattr(self.iterator, "athrow", None)
            # PEP 380; and athrow() of an async generator that has ended returns None (3.11).
            if athrow is None or self.has_ended:
                return
            item = await athrow(thrown)
        except StopAsyncIteration:
            self.failure = None
            self.end(check_complete=False)
        except BaseException as error:
            self.failure = self.spared = error
        else:
            self.failure = self.spared = None
            self._deliver(item)
        finally:
            del thrown  # or the traceback holds this frame, and this frame the error

    def _deliver(self, item: Any) -> None:
        """Deliver the item with which the source has answered, unless it is a bookmark."""
        try:
            if self.attempt.admits(item):
                self.attempt.held.append(item)
                self.is_answer = True
        except DivergedStream as error:
            self.fail(error)

    async def finish(self) -> Command:
        """Close the source, and ask the core what follows."""
        run, error = self.run, self.failure
        close_error = command = None
        try:
            if error is None:
                if needs_close(self.iterable, self.iterator, self.attempt.source):
                    close_error = await self.close()
                command = run.ended(None, close_error, check_complete=self.check_complete)
            else:
                close_error = await self.close()
                command = self.failed_or_left(error, close_error)
            self.release()  # if anything raises before, `interrupt` does it
            return command
        finally:
            del run, error, close_error, command

    async def interrupt(self, error: BaseException) -> None:
        """Close what is still open: code of ours has raised."""
        close_error = None
        try:
            self.chain(error)
            try:
                close_error = await self.close()
            except BaseException as raised:  # Ctrl-C or a cancellation: it replaces the error
                error = raised
                raise
            finally:
                if self.run.state is not State.DONE:
                    self.run.interrupted(error, close_error, abandoned=self.is_abandoned)
        finally:
            self.release()
            del error, close_error

    async def _leave(self) -> None:
        """Close the iterator for a consumer who closes the stream."""
        try:
            # The loop may be closing all its async generators at once (shutdown_asyncgens), this
            # stream before its source: let it start with that one, or it complains.
            await give_way()
        finally:
            await self.close_iterator()

    async def close_iterator(self) -> None:
        """Close the iterator, once."""
        if self.owned and not self.is_iterator_closed:
            closing = self._closing_of(self.iterator)
            if closing is not None:
                # No signal handler runs between these two lines: it is closed once, not never.
                self.is_iterator_closed = True
                done = closing()
                try:
                    await closed(done)
                except BaseException:
                    self.is_iterator_closed = has_begun(done)
                    raise

    async def close_iterable(self) -> None:
        """Close the iterable, once, if it is not the iterator."""
        if self.owned and not self.is_iterable_closed:
            closing = None if self.iterable is self.iterator else self._closing_of(self.iterable)
            if closing is not None:
                self.is_iterable_closed = True
                done = closing()
                try:
                    await closed(done)
                except BaseException:
                    self.is_iterable_closed = has_begun(done)
                    raise

    def _closing_of(self, opened: Any) -> Callable[[], object] | None:
        """What closes the iterator or the iterable, if anything does."""
        if self.closer is not None and opened is self.iterable is not None:
            return partial(self.closer, opened)
        return acloser_of(opened)

    async def close(self) -> Exception | None:
        """Close the source; return an Exception raised by that, raise any other."""
        errors: list[BaseException] = []
        # Twice, for a signal handler may raise before anything is closed.
        for closing in (self.close_iterator, self.close_iterable) * 2:
            try:
                await closing()
            except BaseException as error:
                errors.append(error)
        return first_of(errors, self.attempt.source.name) if errors else None

    def release(self) -> None:
        """Drop all references, also that to what waits."""
        super().release()
        self.puller = None
