"""What a consumer does, move by move, and the session in which it does it to a stream.

A session is one coroutine for all flavours: the blocking one has awaits that never wait.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from failover_iter.testing._faults import Interrupt, leaves_of, make_error
from failover_iter.testing._plans import Consumer
from failover_iter.testing._runs import MOST_ITEMS, Interruption, Recorder, Runaway

SENT = "a value from the consumer"


@dataclass(frozen=True, slots=True)
class Move:
    """One thing that a consumer does."""

    what: Literal["next", "send", "close", "throw", "drop", "break", "pause"]
    #: What it does besides, while a source is pulled or closed.
    intrusion: str | None = None


NEXT = Move("next")


def moves(consumer: Consumer) -> Iterator[Move]:
    """What this consumer does, one move after the other, until the stream is over."""
    how = consumer.how
    if how not in ("drain", "slow"):
        for _ in range(consumer.at):
            yield NEXT
    match how:
        case "close" | "throw" | "drop" | "break":
            yield Move(how)
            return
        case "cancel_close":
            yield Move("close", "cancel")
            return
        case "send":
            yield Move("send")
        case "cancel" | "reenter" | "concurrent":
            yield Move("next", how)
        case _:
            pass
    while True:
        yield NEXT
        if how == "slow":
            yield Move("pause")


class StreamEnded(Exception):
    """The stream has ended, with this value."""

    def __init__(self, value: Any = None) -> None:
        """Keep the value."""
        super().__init__(value)
        self.value = value


class WrongFlavour(TypeError):
    """The pipeline is of the other flavour than its factories."""


class Driver(Protocol):
    """How a session of one flavour does its moves."""

    #: What a cancelled session gets; it has to leave the session under trio.
    cancelled: type[BaseException] | None

    async def begin(self, given: Any) -> Any:
        """The stream that a pipeline gave."""
        ...

    async def next(self, stream: Any) -> Any:
        """Pull it, or raise `StreamEnded`."""
        ...

    async def call(self, stream: Any, method: str, *args: Any) -> Any:
        """Call its `send`, `throw` or `close`; nothing where it has no such method."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        ...


class Session:
    """One consumer of one stream."""

    def __init__(self, recorder: Recorder, driver: Driver, tick: float) -> None:
        """Nothing happens yet."""
        self.recorder = recorder
        self.driver = driver
        self.tick = tick
        self.stream: Any = None
        #: What the consumer does at the next chance that a source gives it.
        self.intrusion: str | None = None

    async def run(self, pipeline: Callable[..., Any], factories: list[Any]) -> None:
        """Do all moves, and write down how it ended."""
        note = self.recorder.note
        try:
            note("call")
            self.stream = await self.driver.begin(pipeline(*factories))
            for move in moves(self.recorder.plan.consumer):
                await self._do(move)
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
            traceback.clear_frames(error.__traceback__)
            if is_cancelled:
                raise
        finally:
            self.stream = None

    async def _do(self, move: Move) -> None:
        match move.what:
            case "pause":
                await self.driver.sleep(self.recorder.plan.consumer.at * self.tick)
            case "next" | "send":
                self._intrude(move, "pull")
                await self.ask(move.what)
            case how:
                self._intrude(move, "close")
                await self._leave(how)

    def _intrude(self, move: Move, where: str) -> None:
        self.intrusion = move.intrusion
        self.recorder.intrusion = where if move.intrusion else None

    async def ask(self, how: Literal["next", "send"] = "next") -> None:
        """Ask for an item, and write it down."""
        self.recorder.note("ask")
        if how == "send":
            item = await self.driver.call(self.stream, "send", SENT)
        else:
            item = await self.driver.next(self.stream)
        self._got(item)

    async def nested(self) -> None:
        """Ask for an item while another is asked for."""
        try:
            item = await self.driver.next(self.stream)
        except Exception as error:  # noqa: BLE001 (that it raises is what is written down)
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
                # A source itself, that only the recorder still holds on to.
                await self.driver.call(self.stream, "close")
            self.stream = None
        self.recorder.note("left")


def _is_of_the_run(error: BaseException) -> bool:
    """Whether it belongs to the run; what belongs to those who run it goes on to them."""
    leaves = leaves_of(error)
    if leaves is not None:
        return all(map(_is_of_the_run, leaves))
    return isinstance(error, Exception | Interrupt | Interruption | GeneratorExit | Runaway)


def is_async_iterable(given: Any) -> bool:
    """Whether it is iterated by `async for`, as Python would look."""
    return has_method(given, "__aiter__")


def has_method(given: Any, name: str) -> bool:
    """Whether its class has such a method."""
    return any(name in vars(kind) for kind in type(given).__mro__)


def quietly(close: Callable[[], object] | None) -> None:
    """Close what a run left open; what it says to that is no part of the run any more."""
    if close is not None:
        with suppress(BaseException):
            close()
