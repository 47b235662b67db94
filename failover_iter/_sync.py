"""The blocking driver: a real generator that does what the core says.

All that a consumer can do to a generator reaches the source by way of `yield from` over a small
delegate. Its `__next__` is that of `itertools.dropwhile`, in C, so an item costs the pull and the
yield; `send`, `throw` and `close`, which are rare, go through Python and say who is to blame.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import dropwhile, filterfalse
from types import CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, assert_never

from failover_iter._attempt import Attempt
from failover_iter._clock import clock
from failover_iter._commands import Open, Raise, Return, Sleep
from failover_iter._entries import wrong_flavour

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from failover_iter._commands import Command
    from failover_iter._core import Run

if TYPE_CHECKING:
    _DropWhile = dropwhile[Any]
else:
    _DropWhile = dropwhile  # it takes no type argument at run time

#: Iterators that a bare `for` serves as well as `yield from`, and faster: they have no `send`, no
#: `throw`, no `close`, and their StopIteration never has a value.
_EMPTY: Any = ([], (), range(0), {}, {}.values(), {}.items(), set[Any](), "", b"")
_PLAIN: Final[set[type[Any]]] = {type(iter(empty)) for empty in _EMPTY}

_MORE: Final = object()  # what is left of a source once the held items are handed out


def drive(run: Run) -> Generator[Any, Any, Any]:
    """Deliver one stream."""
    attempt: _SyncAttempt | None = None
    command: Command | None = None
    value: Any
    try:
        time = clock.get()
        command = run.start(time.time)
        while True:
            match command:
                case Open():
                    attempt = _SyncAttempt(run, command)
                    try:
                        value = yield from attempt.open()  # pyright: ignore[reportUnknownVariableType]
                        if value is _MORE and attempt.is_plain:
                            value = None
                            for item in attempt.iterator:
                                try:
                                    if (yield item) is not None:
                                        break
                                except StopIteration as stop:  # thrown in: an end, PEP 380
                                    attempt.excused = attempt.ended = True
                                    value = stop.value
                                    break
                                except BaseException:
                                    attempt.excused = attempt.thrown = True
                                    raise
                            else:
                                attempt.ended = True
                            if not attempt.ended:
                                attempt.excused = True
                                attempt.iterator.send  # noqa: B018 (AttributeError: PEP 380)
                        elif value is _MORE:
                            value = yield from attempt.pull()  # pyright: ignore[reportUnknownVariableType]
                    except BaseException as error:
                        # Not one line of the next attempt may run in here: its errors would get
                        # this one as their context, 100,000 failures one chain.
                        command = attempt.failed(error)
                        if command is None:
                            raise
                    else:
                        command = attempt.completed(value)
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
        # The traceback of an error that leaves holds this frame: it must not hold the error.
        run.finish()
        item = context = None
        del run, attempt, command


class _SyncAttempt(Attempt):
    def open(self) -> Any:
        """Open the source and pull it until it commits."""
        if self.run.listens:
            self.opening()
        factory, args = self.command.take()
        try:
            self.iterable = iterable = factory(*args)
            self._check(iterable)
            self.iterator = iterator = iter(iterable)
        except StopIteration as leak:
            # PEP 479, as in a `yield from` over the factory's result: it is not an end.
            raise RuntimeError("generator raised StopIteration") from leak
        finally:
            del factory, args  # a traceback holds this frame: failure by failure, a chain of all
        self._pull_until_commit(iterator)
        return _Held(self)

    def _check(self, iterable: object) -> None:
        if isinstance(iterable, GeneratorType):
            self.opened(ended=iterable.gi_frame is None)
        elif not hasattr(type(iterable), "__iter__"):
            self._refuse_async(iterable)

    def _refuse_async(self, iterable: object) -> None:
        kind = type(iterable)
        if hasattr(kind, "__aiter__") or hasattr(kind, "__await__"):
            if isinstance(iterable, CoroutineType):
                iterable.close()
            self.excused = True
            raise wrong_flavour(self.entry.name, "sync")

    def _pull_until_commit(self, iterator: Iterator[Any]) -> None:
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

    @property
    def is_plain(self) -> bool:
        """Whether what is left has nothing to delegate to, no value to return, no watcher."""
        return type(self.iterator) in _PLAIN and self.watch is None

    def pull(self) -> Any:
        """What is left of the source, item by item."""
        is_generator = type(self.iterator) is GeneratorType
        items: Any = self.iterator if is_generator else _Iterator(self.iterator)
        pull = _Pull(_drop_none, items if self.watch is None else filterfalse(self.watch, items))
        pull.attempt = self
        return pull

    def failed(self, error: BaseException) -> Command | None:
        """Close, and ask the core what follows; None: the error is not the source's, raise it."""
        run, received, close_error = self.run, self.received > 0, None
        try:
            close_error = self._close()
            if self.is_outage(error):
                return run.failed(error, close_error, received=received)
            run.closed(error, close_error, theirs=self.thrown)
            if isinstance(error, GeneratorExit) and self.excused and close_error is not None:
                raise close_error
            return None
        finally:
            self.release()
            del run, error, close_error

    def completed(self, value: Any) -> Command:
        """Close, and ask the core what follows."""
        run, received, judged = self.run, self.received > 0, not self.excused
        close_error = None
        try:
            close_error = self._close()
            return run.ended(value, close_error, received=received, judged=judged)
        finally:
            self.release()
            del run, close_error

    def close_iterator(self) -> None:
        """Close the iterator, once."""
        if self.entry.owned and not self.iterator_closed:
            self.iterator_closed = True
            if getattr(self.iterator, "gi_frame", self) is not None:  # a generator that ended
                _close(self.iterator)

    def _close(self) -> Exception | None:
        """Close what was opened; give the error of that, or raise it if it is no Exception."""
        errors: list[BaseException] = []
        try:
            self.close_iterator()
        except BaseException as error:
            errors.append(error)
        if self.iterable is not self.iterator and self.entry.owned:
            try:
                _close(self.iterable)
            except BaseException as error:
                errors.append(error)
        return self.settle(errors) if errors else None


def _close(opened: object) -> None:
    close = getattr(opened, "close", None)
    if callable(close):
        close()


class _Iterator:
    """An iterable over an iterator, which itself may lack `__iter__`."""

    __slots__ = ("_iterator",)

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator

    def __iter__(self) -> Iterator[Any]:
        return self._iterator


class _Delegate:
    """What `yield from` hands on to the source as PEP 380 says, and who is to blame for it."""

    __slots__ = ()
    attempt: _SyncAttempt

    def send(self, value: Any) -> Any:
        """A pull like any other, but for a source that takes no values."""
        attempt = self.attempt
        try:
            send = attempt.iterator.send
        except AttributeError:
            attempt.excused = True
            raise
        item = send(value)
        attempt.note(item)
        return item

    @property
    def throw(self) -> Callable[..., Any]:
        """Looked up at each throw; where the source has none, Python raises at our `yield`."""
        self.attempt.excused = self.attempt.thrown = True
        return partial(self._throw, self.attempt.iterator.throw)

    def _throw(self, throw: Callable[..., Any], *thrown: Any) -> Any:
        attempt = self.attempt
        try:
            item = throw(*thrown)
        finally:
            del thrown  # or the traceback holds this frame, and this frame the error
        attempt.excused = attempt.thrown = attempt.at_marker = False
        attempt.note(item)
        return item

    def close(self) -> None:
        """The consumer closes, or throws GeneratorExit."""
        self.attempt.excused = True
        self.attempt.close_iterator()


class _Held(_Delegate):
    """Hands out what is held: the marker, the items before the commit, and that which made it."""

    __slots__ = ("attempt",)

    def __init__(self, attempt: _SyncAttempt) -> None:
        self.attempt = attempt

    def __iter__(self) -> _Held:
        return self

    def __next__(self) -> Any:
        attempt = self.attempt
        if attempt.held:
            return attempt.hand_out()
        raise StopIteration(attempt.value if attempt.ended else _MORE)

    def send(self, value: Any) -> Any:
        """Refuse it while there is more: the source is ahead of the item that it answers."""
        if self.attempt.takes_no_value():
            return next(self)
        self.attempt.refuse_if_held(value)
        return super().send(value)

    @property
    def throw(self) -> Callable[..., Any]:
        """Goes to the source, unless that has ended; what is held is thrown away."""
        self.attempt.held.clear()
        throw = super().throw
        if self.attempt.ended:
            raise AttributeError
        return throw


class _Pull(_Delegate, _DropWhile):
    """Hands on what the source gives, at the speed of C.

    `dropwhile` passes everything on once its predicate has said no, which the first item does
    here; unlike `chain` or `map` of Python code it keeps the value of a StopIteration.
    """

    __slots__ = ("attempt",)


_drop_none = deque[Any](maxlen=0).append  # a function in C that gives None for whatever it gets
