"""The blocking driver: a real generator that does what the core says.

A bare `for` pulls what has no value to return and no use for what is sent, `yield from` over a
delegate (`_delegate.py`) all else; where items are counted, each is pulled and looked at here. What
a consumer does at a `yield` is caught right there and handed on to the source, so that what the
source raises at a pull cannot be taken for it, nor the other way round.
"""

from __future__ import annotations

import sys
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, assert_never
from weakref import ref

from failover_iter._core.attempt import Attempt
from failover_iter._core.commands import Open, Raise, Return, Sleep
from failover_iter._core.failures import raise_as_it_is
from failover_iter._core.sources import no_stream, wrong_flavour
from failover_iter._drivers.clock import clock
from failover_iter._drivers.closing import close, has_ended, has_rest
from failover_iter._drivers.delegation import delegate
from failover_iter._drivers.plain import is_plain, is_plain_generator
from failover_iter._tally import AFTER

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from failover_iter._core.commands import Command
    from failover_iter._core.run import Run
    from failover_iter._drivers.timed_thread import Worker

#: A StopIteration that is thrown at an iterator without `throw` ends a `yield from` since 3.12.
_ENDS_BY_THROW: Final = sys.version_info >= (3, 12)


def drive(run: Run) -> Generator[Any, Any, Any]:
    """Return the generator that delivers one stream."""
    stream = _deliver(run)
    # Dead once the stream is finalized, so that no finalizer waits for a thread. It needs a
    # callback: since Python 3.15, references without one are cleared only after finalizers. `bool`
    # is one that does nothing.
    if run.stream is None:
        run.stream = ref(stream, bool)
    return stream


def _deliver(run: Run) -> Generator[Any, Any, Any]:
    attempt: _SyncAttempt | None = None
    command: Command | None = None
    after = AFTER
    item = given = None  # what was counted last, what was pulled last
    record: Any = None
    try:
        time = clock.get()
        command = run.start(time.time)
        while True:
            match command:
                case Open():
                    if attempt is not None and run.is_abandoned:
                        return None  # nobody waits for this group: do not open another source
                    attempt = _SyncAttempt(run, command)
                    try:
                        attempt.open()
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
                            elif watch is None and is_plain(attempt.iterator):
                                attempt.at_marker = False
                                for item in attempt.iterator:
                                    try:
                                        if (yield item) is not None:
                                            sent = True  # whatever it was: refused, or ignored
                                            break
                                    except BaseException as error:
                                        thrown = error
                                        break
                                else:
                                    attempt.ended = True
                            elif watch is None:
                                item = None  # or the first one is held as long as the stream
                                attempt.value = yield from delegate(attempt)
                                attempt.ended = True
                            elif (
                                attempt.counts_only
                                and after
                                and is_plain_generator(attempt.iterator)
                            ):
                                attempt.at_marker, tally = False, 0
                                try:
                                    for given in attempt.iterator:
                                        try:
                                            tally = after[tally]
                                        except IndexError:
                                            record.count += tally
                                            if tally:
                                                record.items.append(item)
                                            tally = 0
                                            watch(given)
                                        try:
                                            item = given
                                            yield given  # the source ignores what is sent
                                        except BaseException as error:
                                            thrown = error
                                            break
                                    else:
                                        attempt.ended = True
                                finally:
                                    record.count += tally
                                    if tally:
                                        record.items.append(item)
                            else:
                                attempt.at_marker, tally, item = False, 0, None
                                tallies = attempt.counts_only
                                try:
                                    while True:
                                        try:
                                            given = next(attempt.iterator)
                                        except StopIteration as stop:
                                            attempt.ended, attempt.value = True, stop.value
                                            break
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
                                finally:
                                    record.count += tally
                                    if tally:
                                        record.items.append(item)
                            # Out of the `except`, or the source would run as if it handled it.
                            if thrown is not None:
                                attempt.throw(thrown)
                            elif sent is not None:
                                attempt.send(sent)
                    except BaseException as error:
                        # Not one line of the next attempt may run in here: its errors would get
                        # this one as their context, 100,000 failures one chain.
                        command = attempt.failed(error)
                        if command is None:
                            raise
                    else:
                        command = attempt.completed()
                case Sleep(seconds):
                    try:
                        if seconds:
                            time.sleep(seconds)
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
                    return command.value
                case _:
                    assert_never(command)
    finally:
        # The traceback of an error that leaves holds this frame: it must not hold the error, and
        # not the last item either.
        run.finish()
        item = given = watch = record = thrown = sent = context = None
        del run, attempt, command


class _SyncAttempt(Attempt):
    #: The thread that the source lives in, where it has a limit of time.
    worker: Worker | None = None

    def open(self) -> None:
        """Open the source and pull it until it commits."""
        if self.run.listens:
            self.opening()
        command = self.command
        factory, args = command.factory, command.args
        command.args = ()  # a traceback holds on to the command
        try:
            if self.run.is_timed or self.entry.options.is_timed:
                iterable = self._open_in_time(factory, args)
            else:
                self.iterable = iterable = factory(*args)
            if not isinstance(iterable, GeneratorType):
                self._refuse(iterable)
            elif iterable.gi_frame is None:
                self.opened_ended()
            self.iterator = iter(self.iterable)
        except StopIteration as leak:
            # PEP 479, as in a `yield from` over the factory's result: it is not an end.
            raise RuntimeError("generator raised StopIteration") from leak
        finally:
            del factory, args  # a traceback holds this frame: failure by failure, a chain of all
        iterator = self.iterator
        while True:
            try:
                item = next(iterator)
            except StopIteration as stop:
                value = stop.value
                break
            if self.receive(item):
                self.commit()
                return
        self.finish(value)

    def _open_in_time(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        from failover_iter._drivers.timed_thread import (  # threads: for those who need them
            Remote,
            Worker,
        )

        self.limits = self.run.limits(self.entry)
        group = self.command.handover
        on_abandon = None if group is None else group.abandon
        self.worker = Worker(self.entry, self.limits, self.run.stream, on_abandon)
        opened = self.worker.open(factory, args)
        self.iterable = Remote(self.worker, opened)
        return opened

    def _refuse(self, iterable: object) -> None:
        """Refuse what a blocking stream cannot iterate."""
        kind = type(iterable)
        if hasattr(kind, "__iter__") or hasattr(kind, "__getitem__"):
            return
        if hasattr(kind, "__aiter__") or hasattr(kind, "__await__"):
            if isinstance(iterable, CoroutineType):
                iterable.close()
            self.excused = True
            raise wrong_flavour(self.entry.name, "sync")
        raise no_stream(self.entry.name, "iterable", iterable)

    def sender(self) -> Callable[[Any], Any]:
        """The `send` of the source; where it has none, that is the consumer's fault."""
        try:
            return self.iterator.send  # type: ignore[no-any-return]  # whatever the source has
        except AttributeError:
            self.excused = True
            raise

    def send(self, value: Any) -> None:
        """Send a value to the source: a pull like any other, but where it takes no values."""
        if self.takes_no_value():
            return
        self.refuse_if_held(value)
        send = self.sender()
        try:
            self.held.append(send(value))
        except StopIteration as stop:
            self.ended, self.value = True, stop.value

    def throw(self, thrown: BaseException) -> None:
        """Throw into the source what the consumer threw; an answer is held for the consumer."""
        self.excused = True
        self.thrown = not isinstance(thrown, GeneratorExit)
        self.held.clear()
        try:
            if isinstance(thrown, GeneratorExit):
                self.close_iterator()
                raise_as_it_is(thrown)
            throw = None if self.ended else getattr(self.iterator, "throw", None)
            if throw is None:
                self._throw_here(thrown)
                return
            try:
                answer = throw(thrown)
            except StopIteration as stop:  # an end (PEP 380), which is not judged: it stays excused
                self.ended, self.value = True, stop.value
                return
        finally:
            del thrown  # or the traceback holds this frame, and this frame the error
        self.excused = self.thrown = False
        self.held.append(answer)

    def _throw_here(self, thrown: BaseException) -> None:
        """Do as a `yield from` does over what has no `throw`."""
        if _ENDS_BY_THROW and isinstance(thrown, StopIteration):
            self.ended, self.value = True, thrown.value
            return
        try:
            raise_as_it_is(thrown)
        finally:
            del thrown

    def failed(self, error: BaseException) -> Command | None:
        """Close, and ask the core what follows; None: the error is not the source's, raise it."""
        run, received, close_error = self.run, self.received > 0, None
        try:
            close_error = self._close()
            if self.is_outage(error):
                return run.failed(
                    error, close_error, received=received, abandoned=self.is_abandoned
                )
            run.closed(
                error,
                close_error,
                theirs=self.thrown,
                expired=self.has_expired(error),
                abandoned=self.is_abandoned,
            )
            if isinstance(error, GeneratorExit) and self.excused and close_error is not None:
                raise close_error
            return None
        finally:
            self.release()
            del run, error, close_error

    def completed(self) -> Command:
        """Close, and ask the core what follows."""
        run, received, judged = self.run, self.received > 0, not self.excused
        close_error = None
        try:
            if has_rest(self.iterable, self.iterator):
                close_error = self._close()
            return run.ended(self.value, close_error, received=received, judged=judged)
        finally:
            self.release()
            del run, close_error

    def close_iterator(self) -> None:
        """Close the iterator, once."""
        if self.entry.owned and not self.iterator_closed:
            self.iterator_closed = True
            if not has_ended(self.iterator):
                close(self.iterator)

    def _close(self) -> Exception | None:
        """Close what was opened; give the error of that, or raise it if it is no Exception."""
        errors: list[BaseException] = []
        try:
            try:
                self.close_iterator()
            except BaseException as error:
                errors.append(error)
            if self.iterable is not self.iterator and self.entry.owned:
                try:
                    close(self.iterable)
                except BaseException as error:
                    errors.append(error)
        finally:
            if self.worker is not None:
                self.worker.stop()
        return self.settle(errors) if errors else None

    @property
    def is_abandoned(self) -> bool:
        """Whether the source is still blocked: it will be closed when it comes back."""
        return self.worker is not None and self.worker.abandoned
