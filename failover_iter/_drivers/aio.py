"""The async driver: a real async generator that does what the core says.

An async generator cannot delegate, so what a consumer does at a `yield` is caught right there, by
a `try` of its own, and handed on to the source: what the source raises at a pull cannot be taken
for it, nor the other way round.
"""

from __future__ import annotations

from types import AsyncGeneratorType
from typing import TYPE_CHECKING, Any, assert_never

from failover_iter._core.attempt import Attempt
from failover_iter._core.commands import Open, Raise, Return, Sleep
from failover_iter._core.deadlines import READY
from failover_iter._core.failures import raise_as_it_is
from failover_iter._core.sources import no_stream, wrong_flavour
from failover_iter._drivers.clock import async_library, async_sleep, async_time, give_way
from failover_iter._drivers.closing import aclose, has_rest
from failover_iter._tally import AFTER
from failover_iter._validation import is_awaitable, offers
from failover_iter.errors import mark_usage_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from failover_iter._core.commands import Command
    from failover_iter._core.deadlines import Limits
    from failover_iter._core.run import Run
    from failover_iter._types import Puller


async def drive(run: Run) -> AsyncGenerator[Any, Any]:
    """Deliver one stream."""
    attempt: _AsyncAttempt | None = None
    command: Command | None = None
    after = AFTER
    item = given = None  # what was counted last, what was pulled last
    record: Any = None
    try:
        command = run.start(async_time())
        while True:
            match command:
                case Open():
                    attempt = _AsyncAttempt(run, command)
                    try:
                        await attempt.open()
                        watch, record = attempt.watch, run.record
                        while attempt.held or not attempt.ended:
                            thrown = sent = None
                            if attempt.held:
                                if attempt.limits is not None:
                                    attempt.limits.check_stream()
                                item = attempt.hand_out()
                                try:
                                    sent = yield item
                                except BaseException as error:
                                    thrown = error
                            elif attempt.limits is not None and attempt.limits.lasting:
                                attempt.at_marker = False
                                puller: Any = attempt.puller
                                steps = puller.steps(attempt.iterator)
                                while True:
                                    try:
                                        waited_for = next(steps)
                                        if waited_for is not READY:
                                            await puller.rest(steps, waited_for)
                                    except StopAsyncIteration:
                                        attempt.ended = True
                                        break
                                    item = puller.item
                                    if watch is not None:
                                        watch(item)
                                    try:
                                        sent = yield item
                                    except BaseException as error:
                                        thrown = error
                                        break
                                    if sent is not None:
                                        break
                            elif watch is None:
                                attempt.at_marker = False
                                async for item in attempt:
                                    try:
                                        sent = yield item
                                    except BaseException as error:
                                        thrown = error
                                        break
                                    if sent is not None:
                                        break
                                else:
                                    attempt.ended = True
                            else:
                                attempt.at_marker, tally, item = False, 0, None
                                tallies = attempt.counts_only
                                try:
                                    async for given in attempt:
                                        if tallies:
                                            try:
                                                tally = after[tally]
                                            except IndexError:
                                                record.count += tally
                                                if tally:
                                                    record.items.append(item)
                                                tally, tallies = 0, bool(after)
                                                watch(given)
                                            item = given
                                        else:
                                            watch(given)
                                        try:
                                            sent = yield given
                                        except BaseException as error:
                                            thrown = error
                                            break
                                        if sent is not None:
                                            break
                                    else:
                                        attempt.ended = True
                                finally:
                                    record.count += tally
                                    if tally:
                                        record.items.append(item)
                            # Out of the `except`, or the source would run as if it handled it.
                            if thrown is not None:
                                await attempt.throw(thrown)
                            elif sent is not None:
                                await attempt.send(sent)
                    except BaseException as error:
                        # Not one line of the next attempt may run in here: its errors would get
                        # this one as their context, 100,000 failures one chain.
                        command = await attempt.failed(error)
                        if command is None:
                            raise
                    else:
                        close_error = None
                        if has_rest(attempt.iterable, attempt.iterator):
                            close_error = await attempt.close_rest()
                        command = attempt.completed(close_error)
                case Sleep(seconds):
                    try:
                        await async_sleep(seconds)
                    except BaseException as error:
                        run.interrupted(error)
                        raise
                    command = run.slept()
                case Raise():
                    context = command.error.__context__
                    try:
                        raise command.error
                    finally:  # its own context, not what the consumer is handling just now
                        command.error.__context__ = context
                case Return():
                    return
                case _:
                    assert_never(command)
    finally:
        # The traceback of an error that leaves holds this frame: it must not hold the error, and
        # not the last item either.
        run.finish()
        item = given = watch = record = thrown = sent = context = None
        puller = steps = waited_for = close_error = None
        del run, attempt, command


class _AsyncAttempt(Attempt):
    #: What waits for the source, where it has a limit of time.
    puller: Puller | None = None

    def __aiter__(self) -> AsyncIterator[Any]:
        """The iterator of the source itself, which may lack `__aiter__`."""
        return self.iterator  # type: ignore[no-any-return]  # whatever aiter() gave

    async def open(self) -> None:
        """Open the source and pull it until it commits."""
        if self.run.listens:
            self.opening()
        command = self.command
        factory, args = command.factory, command.args
        command.args = ()  # a traceback holds on to the command
        try:
            if self.run.is_timed or self.entry.options.is_timed:
                self.limits = self.run.limits(self.entry)
                self.puller = _new_puller(self.limits)
            opened: Any = factory(*args)
            if not isinstance(opened, AsyncGeneratorType):
                if not offers(opened, "__aiter__") and is_awaitable(opened):
                    await self._in_time(self._await_opened(opened))
                    opened = self.iterable
                self.iterable = opened
                self._refuse(opened)
            elif opened.ag_frame is None:
                self.opened_ended()
            self.iterable = opened
            self.iterator = aiter(self.iterable)
        except (StopIteration, StopAsyncIteration) as leak:
            # PEP 479, as in an `async for` over the factory's result: it is not an end.
            raise RuntimeError(f"async generator raised {type(leak).__name__}") from leak
        finally:
            del factory, args  # a traceback holds this frame: failure by failure, a chain of all
        while True:
            try:
                if self.limits is None:
                    item = await anext(self.iterator)
                else:
                    self.limits.check_stream()
                    item = await self._in_time(anext(self.iterator))
            except StopAsyncIteration:
                break
            if self.receive(item):
                self.commit()
                return
        self.finish(None)

    async def _await_opened(self, awaitable: Any) -> None:
        """Keep what comes of it, also where it comes too late: it has to be closed."""
        self.iterable = await awaitable

    def _in_time(self, awaitable: Any) -> Any:
        """What waits for this no longer than it may."""
        return awaitable if self.puller is None else self.puller.wait(awaitable)

    def _refuse(self, opened: object) -> None:
        """Refuse what an async stream cannot iterate."""
        if offers(opened, "__aiter__"):
            return
        if offers(opened, "__iter__"):
            self.excused = True
            raise wrong_flavour(self.entry.name, "async")
        raise no_stream(self.entry.name, "async iterable", opened)

    async def send(self, value: Any) -> None:
        """Send a value to the source: a pull like any other, but where it takes no values."""
        if self.takes_no_value():
            return
        self.refuse_if_held(value)
        if self.limits is not None:
            self.limits.check_stream()
        try:
            asend = self.iterator.asend
        except AttributeError:
            self.excused = True
            raise
        try:
            self.held.append(await self._in_time(asend(value)))
        except StopAsyncIteration:
            self.ended = True

    async def throw(self, thrown: BaseException) -> None:
        """Throw into the source what the consumer threw; an answer is held for the consumer."""
        self.excused = True
        self.thrown = not isinstance(thrown, GeneratorExit)
        self.held.clear()
        try:
            if isinstance(thrown, GeneratorExit):
                await self._leave()
                raise_as_it_is(thrown)
            athrow = getattr(self.iterator, "athrow", None)
            # PEP 380; and athrow() of an async generator that has ended gives None (3.11).
            if athrow is None or self.ended:
                raise_as_it_is(thrown)
            try:
                answer = await athrow(thrown)
            except StopAsyncIteration:
                self.ended = True  # and is not judged: it stays excused
                return
        finally:
            del thrown  # or the traceback holds this frame, and this frame the error
        self.excused = self.thrown = False
        self.held.append(answer)

    async def failed(self, error: BaseException) -> Command | None:
        """Close, and ask the core what follows; None: the error is not the source's, raise it."""
        run, received, close_error = self.run, self.received > 0, None
        try:
            close_error = await self._close()
            if self.is_outage(error):
                return run.failed(error, close_error, received=received)
            run.closed(error, close_error, theirs=self.thrown, expired=self.has_expired(error))
            if isinstance(error, GeneratorExit) and self.excused and close_error is not None:
                raise close_error
            return None
        finally:
            self.release()
            del run, error, close_error

    async def close_rest(self) -> Exception | None:
        """Close what the source has left, after its end."""
        try:
            return await self._close()
        except BaseException:
            self.release()
            raise

    def completed(self, close_error: Exception | None) -> Command:
        """Ask the core what follows."""
        run, received, judged = self.run, self.received > 0, not self.excused
        try:
            return run.ended(None, close_error, received=received, judged=judged)
        finally:
            self.release()
            del run, close_error

    async def _leave(self) -> None:
        """Close the iterator for a consumer who closes the stream."""
        try:
            if isinstance(self.iterator, AsyncGeneratorType):
                # The loop may be closing all its async generators at once (shutdown_asyncgens),
                # this stream before its source: let it start with that one, or it complains.
                await give_way()
        finally:
            await self.close_iterator()

    async def close_iterator(self) -> None:
        """Close the iterator, once."""
        if self.entry.owned and not self.iterator_closed:
            self.iterator_closed = True
            await aclose(self.iterator)

    async def _close(self) -> Exception | None:
        """Close what was opened; give the error of that, or raise it if it is no Exception."""
        errors: list[BaseException] = []
        try:
            await self.close_iterator()
        except BaseException as error:
            errors.append(error)
        if self.iterable is not self.iterator and self.entry.owned:
            try:
                await aclose(self.iterable)
            except BaseException as error:
                errors.append(error)
        return self.settle(errors) if errors else None


def _new_puller(limits: Limits) -> Puller:
    """What waits under the library that runs this task."""
    match async_library():
        case "trio":
            from failover_iter._drivers import timed_trio

            return timed_trio.Puller(limits)
        case "asyncio":
            from failover_iter._drivers import timed_asyncio

            return timed_asyncio.Puller(limits)
        case _:
            raise mark_usage_error(
                RuntimeError("a limit of time needs asyncio or trio: neither runs this stream")
            )
