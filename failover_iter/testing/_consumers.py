"""The consumer of a run: what it does, in a session with one stream.

The session is one coroutine for all flavours. In the sync flavour, its awaits never suspend.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Literal, Protocol

from failover_iter.testing._faults import Interrupt, leaves_of, make_error
from failover_iter.testing._plans import Consumer
from failover_iter.testing._runs import MOST_ITEMS, Interruption, Recorder, Runaway

SENT = "a value from the consumer"
_KIT = Path(__file__).parent


class StreamEnded(Exception):
    """The stream has ended and returned this value."""

    def __init__(self, value: Any = None) -> None:
        super().__init__(value)
        self.value = value


class WrongFlavour(TypeError):
    """The flavour of the pipeline is not the flavour of its factories."""


class Driver(Protocol):
    """Carries out the calls of a session, and of its sources, in one flavour."""

    #: The exception class that cancels a session. Under trio, it must leave the session.
    cancelled: type[BaseException] | None

    async def begin(self, returned: Any) -> Any:
        """Return the iterator over what the pipeline returned."""
        ...

    async def next(self, stream: Any) -> Any:
        """Pull the next item, or raise `StreamEnded`."""
        ...

    async def call(self, stream: Any, method: str, *args: Any) -> Any:
        """Call `send`, `throw` or `close`; a stream without `close` is not closed."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep in virtual time."""
        ...

    def cancel_after(self, seconds: float) -> None:
        """Cancel the session after this time, whatever it then waits for."""
        ...

    def task(self) -> object:
        """Return the current task, if there are tasks."""
        ...

    async def intrude(self, of: tuple[int, int]) -> None:
        """Do what the consumer does while this opening is being pulled or closed."""
        ...


#: The session in whose context a source is called.
_session: ContextVar[Session | None] = ContextVar("failover_iter.testing.session", default=None)


class Session:
    """One consumer of one stream."""

    def __init__(self, recorder: Recorder, driver: Driver, tick: float) -> None:
        self.recorder = recorder
        self.driver = driver
        self.tick = tick
        self.stream: Any = None
        self.is_over = False
        #: The tasks that ask for items.
        self.tasks: list[object] = []

    def is_elsewhere(self) -> bool:
        """Whether the current task, or its context, is not that of the consumer."""
        return _session.get() is not self or self.driver.task() not in self.tasks

    async def run(self, pipeline: Callable[..., Any], factories: list[Any]) -> None:
        """Do what the consumer of the plan does, and log how the stream ended."""
        note, plan = self.recorder.note, self.recorder.plan
        token = _session.set(self)
        self.tasks.append(self.driver.task())
        self.recorder.is_elsewhere = self.is_elsewhere
        if plan.consumer.how == "cancel_at":
            self.driver.cancel_after((plan.consumer.at + 0.5) * self.tick)
        try:
            note("call")
            self.stream = await self.driver.begin(pipeline(*factories))
            await self._follow(plan.consumer)
        except StreamEnded as end:
            note("end", value=end.value)
        except WrongFlavour:
            raise
        except BaseException as error:
            cancelled = self.driver.cancelled
            is_cancelled = cancelled is not None and isinstance(error, cancelled)
            if not is_cancelled and not _is_of_the_run(error):
                raise
            note("raised", value=error)
            if (holder := _holder_of(error)) is not None:
                note("held", value=holder)
            traceback.clear_frames(error.__traceback__)
            if is_cancelled:
                raise
        finally:
            self.is_over = True
            self.stream = None
            _session.reset(token)

    async def _follow(self, consumer: Consumer) -> None:
        """Do what this consumer does, until it leaves or the stream ends."""
        how, at = consumer.how, consumer.at
        if how not in ("drain", "slow", "cancel_at"):
            for _ in range(at):
                await self.ask()
        match how:
            case "close" | "drop" | "break":
                return await self._leave(how)
            case "throw":
                await self._leave(how)  # and go on, if the source answers with an item
            case "cancel_close":
                self.recorder.intrusion = "close"
                return await self._leave("close")
            case "send":
                await self.ask("send")
            case "cancel" | "reenter" | "concurrent":
                self.recorder.intrusion = "pull"
                await self.ask()
                self.recorder.intrusion = None
            case _:
                pass
        while True:
            await self.ask()
            if how == "slow":
                await self.driver.sleep(at * self.tick)

    async def ask(self, how: Literal["next", "send"] = "next") -> None:
        """Ask for an item, and log it."""
        self.recorder.note("ask", value=SENT if how == "send" else None)
        if how == "send":
            item = await self.driver.call(self.stream, "send", SENT)
        else:
            item = await self.driver.next(self.stream)
        self._got(item)

    async def nested(self) -> None:
        """Ask for an item while another pull is in progress."""
        self.tasks.append(self.driver.task())
        try:
            item = await self.driver.next(self.stream)
        except Exception as error:  # noqa: BLE001 (any error is logged)
            self.recorder.note("nested", value=error)
        else:
            self.recorder.note("nested", value=None)
            self._got(item)

    def _got(self, item: Any) -> None:
        self.recorder.note("got", value=item)
        if self.recorder.log and len(self.recorder.log) > MOST_ITEMS * 10:
            raise Runaway(f"the stream did not end after {MOST_ITEMS} items")

    async def _leave(self, how: Literal["close", "throw", "drop", "break"]) -> None:
        self.recorder.note("leave", value=how)
        if how == "close":
            await self.driver.call(self.stream, "close")
        elif how == "throw":
            thrown = make_error("", self.recorder.plan.errors, "thrown by the consumer")
            self.recorder.note("thrown", value=thrown)
            answer = await self.driver.call(self.stream, "throw", thrown)
            self._got(answer)
        else:
            if any(self.stream is kept for kept in self.recorder.kept):
                # The pipeline returned the source itself, and only the recorder refers to it.
                await self.driver.call(self.stream, "close")
            self.stream = None
        self.recorder.note("left")


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


def is_async_iterable(value: Any) -> bool:
    """Whether `async for` accepts it: like Python, look at the class, not at the instance."""
    return has_method(value, "__aiter__")


def has_method(value: Any, name: str) -> bool:
    """Whether the class of `value` has a method of this name."""
    return any(name in vars(kind) for kind in type(value).__mro__)


def quietly(close: Callable[[], object] | None) -> None:
    """Close what a run left open, and ignore errors: the run has ended."""
    if close is not None:
        with suppress(BaseException):
            close()
