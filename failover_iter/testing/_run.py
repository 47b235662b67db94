"""One run of a plan: it calls the pipeline, does what the consumer does, and logs all of it.

It is written once, as coroutines, for all flavours. In a sync world, they never suspend.
"""

from __future__ import annotations

import gc
import inspect
import sys
import threading
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, TypeAlias

from failover_iter.testing._either import (
    Either,
    Ended,
    WrongFlavour,
    await_if_needed,
    close_quietly,
    has_method,
    is_async_iterable,
    result_of,
)
from failover_iter.testing._faults import Interrupt, clear_frames, leaves_of, make_error
from failover_iter.testing._log import LogEntry, Of, What, unclosed
from failover_iter.testing._plans import Plan
from failover_iter.testing._runs import Interruption, Runaway

#: How many openings and how many delivered items stop a run.
MOST_OPENINGS, MOST_ITEMS = 200, 1000
SENT: Final = "a value from the consumer"
_KIT: Final = Path(__file__).parent

Function: TypeAlias = Callable[[], Coroutine[Any, Any, None]]
Hook: TypeAlias = Callable[[Any], object]

#: The run in whose context a source is called.
_current: ContextVar[PlanRun | None] = ContextVar("failover_iter.testing.run", default=None)


class World(ABC):
    """Where a run takes place: the functions of a flavour that it needs."""

    is_async: ClassVar[bool] = True
    #: The exception class that cancels a consumer, which has to leave it.
    cancelled: ClassVar[type[BaseException] | tuple[()]] = ()

    @abstractmethod
    def play(self, run: PlanRun) -> None:
        """Run `run.main`; call `run.stray` for each error that only this flavour reports."""

    @abstractmethod
    async def guard(self, consumer: Coroutine[Any, Any, None]) -> None:
        """Run the consumer so that it can be cancelled; raise `Runaway` if it waits forever."""

    @abstractmethod
    async def settle(self, run: PlanRun) -> None:
        """Let abandoned generators be closed."""

    @abstractmethod
    def time(self) -> float:
        """Return the virtual time in seconds."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Sleep in virtual time."""

    @abstractmethod
    def task(self) -> object:
        """Return the current task, if there are tasks."""

    @abstractmethod
    async def spawn(self, function: Function) -> None:
        """Start a function beside the consumer; it is stopped when the run ends."""

    @abstractmethod
    async def call_after(self, seconds: float, call: Callable[[], object]) -> None:
        """Call this when the time has passed, whatever the consumer then waits for."""

    @abstractmethod
    def cancel(self) -> Interruption | None:
        """Cancel the consumer, or return the error to raise, which is how a sync one ends."""

    def is_late(self) -> bool:
        """Whether the current thread belongs to an abandoned source."""
        return False


class PlanRun:
    """One consumer of one stream.

    It keeps a reference to each source so that no garbage collector closes it.
    """

    def __init__(
        self,
        plan: Plan,
        item: Callable[[str], Any],
        world: World,
        tick: float = 1.0,
        *,
        is_awaited: bool | None = None,
    ) -> None:
        self.plan = plan
        self.item = item
        self.world = world
        self.tick = tick
        #: Whether the factories are async functions.
        self.awaited = plan.awaited if is_awaited is None else is_awaited
        self.log: list[LogEntry] = []
        self.kept: list[Any] = []
        #: What each source returned last.
        self.last: dict[int, Any] = {}
        self.counts: Counter[int] = Counter()
        #: How many async factories are being awaited.
        self.openings_in_progress = 0
        self.began = 0.0
        self.pipeline: Callable[[], Any] = list
        self.stream: Any = None
        #: Whether the consumer has gone.
        self.is_over = False
        #: Whether the run has not begun, or has ended: nothing is logged.
        self.sealed = True
        #: The tasks that ask for items.
        self.tasks: list[object] = []
        #: The opening that lets time pass, if one does.
        self.waits_in: Of = (None, 0)
        #: The call of a source with which the consumer interferes next.
        self.intrusion: Literal["pull", "close"] | None = None

    # The log.

    def note(self, what: What, *, of: Of = (None, 0), **more: Any) -> None:
        """Add an entry to the log, unless the run has ended."""
        if not self.sealed and (what == "close" or not self.world.is_late()):
            passed = round(self.world.time() - self.began, 9)
            self.log.append(LogEntry(passed, what, *of, **more))

    def stray(self, error: BaseException | None) -> None:
        """Log an error that reached nobody."""
        self.note("stray", value=error)

    def open(self, source: int) -> tuple[int, int]:
        """Log an opening, and return the source and the number of the opening."""
        of = source, self.counts[source]
        self.counts[source] += 1
        self.note("open", of=of, value=_depth())
        self.note_elsewhere(of)
        if self.counts.total() > MOST_OPENINGS:
            raise Runaway(f"sources were opened more than {MOST_OPENINGS} times")
        return of

    def note_elsewhere(self, of: Of) -> None:
        """Log it if the current task, or its context, is not that of the consumer."""
        if self.tasks and (_current.get() is not self or self.world.task() not in self.tasks):
            self.note("elsewhere", of=of)

    @property
    def anything_open(self) -> bool:
        """Whether a source is still open, or being opened."""
        return bool(self.openings_in_progress or unclosed(self.log))

    # The run.

    def begin(self) -> None:
        """Start the clock and the log."""
        self.began = self.world.time()
        self.sealed = False

    def play(self, pipeline: Callable[[], Any]) -> None:
        """Run the plan on a pipeline that has its factories."""
        self.pipeline = pipeline
        with unraisable_to(lambda unraisable: self.stray(unraisable.exc_value)):
            self.world.play(self)

    async def main(self) -> None:
        """Run the plan in a world that has begun."""
        self.begin()
        try:
            try:
                await self.world.guard(self._consume())
            except Runaway as runaway:
                self.note("raised", value=runaway)
            await self.world.settle(self)
        finally:
            self.sealed = True
            for kept in self.kept:
                await close_quietly(kept, is_async=self.world.is_async)

    async def _consume(self) -> None:
        """Do what the consumer of the plan does, and log how the stream ended."""
        token = _current.set(self)
        self.tasks.append(self.world.task())
        try:
            await self._begin()
            await self._follow()
        except Ended as end:
            self.note("end", value=end.value)
        except WrongFlavour:
            raise
        except BaseException as error:
            is_cancelled = isinstance(error, self.world.cancelled)
            if not is_cancelled and not _is_of_the_run(error):
                raise
            self.note("raised", value=error)
            if (holder := _holder_of(error)) is not None:
                self.note("held", value=holder)
            clear_frames(error)
            if is_cancelled:
                raise
        finally:
            self.is_over = True
            self.stream = None
            _current.reset(token)

    async def _begin(self) -> None:
        """Call the pipeline."""
        consumer = self.plan.consumer
        if consumer.how == "cancel_at":
            await self.world.call_after((consumer.at + 0.5) * self.tick, self.interrupt)
        self.note("call")
        self.stream = await self._stream_of(self.pipeline())

    async def _follow(self) -> None:
        """Do what this consumer does, until it leaves or the stream ends."""
        how, at = self.plan.consumer.how, self.plan.consumer.at
        if how not in ("drain", "slow", "cancel_at"):
            for _ in range(at):
                await self._ask()
        match how:
            case "close" | "drop" | "break":
                return await self._leave(how)
            case "throw":
                await self._leave(how)  # and go on, if the source answers with an item
            case "cancel_close":
                self.intrusion = "close"
                return await self._leave("close")
            case "send":
                await self._ask(SENT)
            case "cancel" | "reenter" | "concurrent":
                self.intrusion = "pull"
                await self._ask()
                self.intrusion = None
            case _:
                pass
        while True:
            await self._ask()
            if how == "slow":
                await self.world.sleep(at * self.tick)

    async def _stream_of(self, returned: Any) -> Either:
        """Return the stream, which an async pipeline may have to be awaited for."""
        if self.world.is_async:
            returned = await await_if_needed(returned)
            if not is_async_iterable(returned):
                raise TypeError(f"the pipeline must return an async iterator, got {returned!r}")
        elif not has_method(returned, "__iter__") and not has_method(returned, "__next__"):
            if is_async_iterable(returned) or has_method(returned, "__await__"):
                await close_quietly(returned, is_async=False)  # or Python warns of a coroutine
                raise WrongFlavour("the pipeline is async")
            raise TypeError(
                f"the pipeline must return an iterator or async iterator, got {returned!r}"
            )
        return Either(returned, is_async=self.world.is_async)

    async def _ask(self, sent: Any = None) -> None:
        """Ask for an item, and log it."""
        self.note("ask", value=sent)
        self._got(
            await self.stream.next() if sent is None else await self.stream.call("send", sent)
        )

    def _got(self, item: Any) -> None:
        self.note("got", value=item)
        if len(self.log) > MOST_ITEMS * 10:
            raise Runaway(f"the stream did not end after {MOST_ITEMS} items")

    async def _leave(self, how: Literal["close", "throw", "drop", "break"]) -> None:
        self.note("leave", value=how)
        if how == "throw":
            thrown = make_error("", self.plan.errors, "thrown by the consumer")
            self.note("thrown", value=thrown)
            self._got(await self.stream.call("throw", thrown))
        elif how == "close" or any(self.stream.iterator is kept for kept in self.kept):
            # The pipeline may have returned the source itself, to which only this run refers.
            close = getattr(self.stream.iterator, self.stream.method("close"), None)
            if close is not None:
                await result_of(close())
        if how in ("drop", "break"):
            self.stream = None
        self.note("left")

    # The consumer acts while a source is being pulled or closed.

    async def intrude(self, of: tuple[int, int], during: Literal["pull", "close"]) -> None:
        """Interfere with this call of this opening, if the consumer does so."""
        if self.intrusion != during:
            return
        self.intrusion = None
        match self.plan.consumer.how:
            case "reenter":
                await self._nested()
            case "concurrent":
                await self.world.spawn(self._nested)
            case _:
                self.interrupt(of)
                await self.world.sleep(self.tick)

    def interrupt(self, of: Of | None = None) -> None:
        """Cancel the consumer; unless it has gone, and no call of a source asks for it."""
        if of is not None or not self.is_over:
            error = self.world.cancel()
            self.note("interrupt", of=of or self.waits_in, value=error)
            if error is not None:
                raise error

    async def _nested(self) -> None:
        """Ask for an item while another pull is in progress."""
        self.tasks.append(self.world.task())
        try:
            item = await self.stream.next()
        except Exception as error:  # noqa: BLE001 (any error is logged)
            self.note("nested", value=error)
        else:
            self.note("nested", value=None)
            self._got(item)


#: The hooks for errors that Python can only report, each with its thread; and the one before them.
_hooks: list[tuple[int, Hook]] = []
_usual_hook: list[Hook] = [sys.__unraisablehook__]
_hooks_guard = threading.Lock()


@contextmanager
def unraisable_to(hook: Hook) -> Generator[None]:
    """Pass on errors that Python can only report, such as those of abandoned generators.

    Several threads may do this at a time. Each hook gets the errors of the thread that set it.
    """
    mine = threading.get_ident(), hook
    with _hooks_guard:
        if sys.unraisablehook is not _pass_on:
            _usual_hook[:], sys.unraisablehook = [sys.unraisablehook], _pass_on
        _hooks.append(mine)
    try:
        yield
    finally:
        with _hooks_guard:
            _hooks.remove(mine)
            if not _hooks and sys.unraisablehook is _pass_on:
                sys.unraisablehook = _usual_hook[0]


def _pass_on(unraisable: Any) -> None:
    hooks = list(_hooks)
    own = [hook for thread, hook in hooks if thread == threading.get_ident()]
    # A thread without a run works for one, most likely the last.
    [*_usual_hook, *(hook for _, hook in hooks), *own][-1](unraisable)


def _depth() -> int:
    frame = inspect.currentframe()
    depth = 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1
    return depth


def _is_of_the_run(error: BaseException) -> bool:
    """Whether an error is part of the run; any other error is raised to the caller."""
    leaves = leaves_of(error)
    if leaves is not None:
        return all(map(_is_of_the_run, leaves))
    return isinstance(error, Exception | Interrupt | Interruption | GeneratorExit | Runaway)


def _holder_of(error: BaseException) -> str | None:
    """Return the function, not of the kit, with a variable that holds an error that passed it."""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if Path(frame.f_code.co_filename).parent != _KIT:
            values = list(frame.f_locals.values())
            if any(each is error for each in [*values, *gc.get_referents(*values)]):
                return frame.f_code.co_qualname
    return None
