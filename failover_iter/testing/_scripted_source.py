"""Sources that follow a script, for the law of identity: any answer to any call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Literal, TypeAlias

from failover_iter.testing._faults import Bug, Interrupt

#: The methods that an iterator may lack.
METHODS: Final = ("send", "throw", "close")
Action: TypeAlias = Literal["item", "end", "raise", "reraise", "base"]


@dataclass(frozen=True)
class ScriptedSource:
    """The action of a source at each pull, throw and close; the last one of each kind repeats."""

    pulls: tuple[Action, ...] = ("item",)
    throws: tuple[Action, ...] = ("reraise",)
    closes: tuple[Action, ...] = ("end",)
    missing: frozenset[str] = frozenset()  # those of `METHODS` that an iterator lacks
    value: Any = None  # the return value


class SourceEnded(Exception):
    """The source has ended."""


class ScriptPlayer:
    """Carries out a script, and counts the calls."""

    def __init__(self, script: ScriptedSource, log: list[Any]) -> None:
        self.script = script
        self.log = log
        self.counts = {"pulls": 0, "throws": 0, "closes": 0}

    def act(self, kind: Literal["pulls", "throws", "closes"], error: BaseException | None) -> Any:
        actions = getattr(self.script, kind)
        count = self.counts[kind]
        self.counts[kind] = count + 1
        match actions[min(count, len(actions) - 1)]:
            case "item":
                return f"{kind} {count}"
            case "end":
                raise SourceEnded
            case "base":
                raise Interrupt("from the source")
            case "reraise" if error is not None:
                raise error
            case _:
                raise Bug("from the source")


def sync_generator(script: ScriptedSource, log: list[Any]) -> Generator[Any, Any, Any]:
    """A generator that follows a script and logs each call."""
    player = ScriptPlayer(script, log)
    item: Any = None
    kind: Any = "pulls"
    error: BaseException | None = None
    while True:
        try:
            item = player.act(kind, error)
        except SourceEnded:
            return script.value
        kind, error = "pulls", None
        try:
            sent = yield item
        except GeneratorExit as thrown:
            log.append("close")
            kind, error = "closes", thrown
        except BaseException as thrown:
            log.append(("throw", type(thrown).__name__))
            kind, error = "throws", thrown
        else:
            log.append(("send", sent))


async def async_generator(script: ScriptedSource, log: list[Any]) -> AsyncGenerator[Any, Any]:
    """The async version of `sync_generator`."""
    source = sync_generator(script, log)
    pull: Any = source.__next__
    while True:
        try:
            item = pull()
        except StopIteration:
            return
        try:
            sent = yield item
        except BaseException as error:
            pull = partial(source.throw, error)
        else:
            pull = partial(source.send, sent)


def sync_iterator(script: ScriptedSource, log: list[Any]) -> Any:
    """Return an iterator that is not a generator; `send`, `throw` or `close` may be missing."""
    player = ScriptPlayer(script, log)
    ended = False

    def call(kind: Any, error: BaseException | None = None) -> Any:
        nonlocal ended
        if ended:
            raise StopIteration
        try:
            return player.act(kind, error)
        except SourceEnded:
            ended = True
            raise StopIteration(script.value) from None
        except BaseException:
            ended = True
            raise

    def send(self: Any, value: Any) -> Any:
        log.append(("send", value))
        return call("pulls")

    def throw(self: Any, error: Any, *_: Any) -> Any:
        error = error() if isinstance(error, type) else error
        log.append(("throw", type(error).__name__))
        return call("throws", error)

    def close(self: Any) -> None:
        log.append("close")
        if not ended:
            try:
                call("closes")
            except StopIteration:
                return

    def step(self: Any) -> Any:
        log.append(("send", None))
        return call("pulls")

    methods = {"send": send, "throw": throw, "close": close}
    body = {name: method for name, method in methods.items() if name not in script.missing}
    return type("Iterator", (), {"__iter__": _itself, "__next__": step, **body})()


def async_iterator(script: ScriptedSource, log: list[Any]) -> Any:
    """The async version of `sync_iterator`."""
    sync = sync_iterator(script, log)

    def asynchronous(name: str) -> Any:
        async def method(_: Any, *args: Any) -> Any:
            try:
                return getattr(sync, name)(*args)
            except StopIteration:
                raise StopAsyncIteration from None

        return method

    body = {f"a{name}": asynchronous(name) for name in METHODS if name not in script.missing}
    step = asynchronous("__next__")
    return type("Iterator", (), {"__aiter__": _itself, "__anext__": step, **body})()


def _itself(me: Any) -> Any:
    return me
