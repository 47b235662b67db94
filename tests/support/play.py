"""Plays the driver of a core: no source is opened, what they would do stands in a script."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

from failover_iter import SourceError
from failover_iter._core.commands import Command, Open, Raise, Return, Sleep
from failover_iter._core.run import Run
from failover_iter._core.sources import read_factories
from failover_iter._options import Options
from failover_iter.errors import mark_usage_error

ENDS: dict[str, Callable[[], Exception]] = {
    "x": lambda: ConnectionError("lost"),
    "!": lambda: LookupError("a bug"),
    "s": lambda: SourceError("no good"),
    "g": lambda: ExceptionGroup("g", [ConnectionError(), ExceptionGroup("h", [SourceError()])]),
    "m": lambda: ExceptionGroup("m", [ConnectionError(), LookupError()]),
    "w": lambda: mark_usage_error(ConnectionError("used wrongly")),
    "v": lambda: ExceptionGroup("v", [ConnectionError(), mark_usage_error(ConnectionError())]),
}


def named(name: str) -> Callable[..., Any]:
    def factory(progress: object = None) -> Any:
        raise AssertionError("the core has called a factory")

    factory.__name__ = name
    return factory


def run_of(
    factories: Any, *, seed: Any = None, mark_takeovers: bool = False, **options: Any
) -> Run:
    """The core of one stream."""
    options = {"retry_on": OSError, **options}
    read = Options(**options)
    return Run(
        read,
        read_factories(factories, "sync", read),
        flavour="sync",
        mark_takeovers=mark_takeovers,
        seed=seed,
        report=lambda event, repeats: None,
    )


def show(command: Command) -> str:
    """A command as a line of a table."""
    match command:
        case Open():
            line = f"open {command.entry.name}"
            if command.args:
                line += f" from {command.args[0].delivered}"
            return line + (f" skip {command.skip}" if command.skip else "")
        case Sleep(seconds):
            return f"sleep {seconds:g}"
        case Raise():
            return f"raise {type(command.error).__name__}"
        case Return():
            return f"return {command.value}"
        case _:
            assert_never(command)


class Play:
    """Plays the driver: each word says what an opening delivers, and its last sign how it ends."""

    def __init__(self, run: Run, openings: str) -> None:
        self.run = run
        self.openings = iter(openings.split())
        self.now = 100.0
        self.commands: list[str] = []
        self.delivered = ""

    def start(self) -> Play:
        """Play it all."""
        command = self.run.start(lambda: self.now)
        while True:
            self.commands.append(show(command))
            match command:
                case Open():
                    command = self.open(command)
                case Sleep(seconds):
                    self.now += seconds
                    command = self.run.slept()
                case _:
                    return self

    def open(self, command: Open) -> Command:
        run, script = self.run, next(self.openings)
        run.opening()
        items, end = script[:-1], script[-1]
        args = command.args
        missing = items[args[0].delivered if args else command.skip :]
        if missing:
            run.any = run.record.any = True
            if run.awaits_commit:
                run.committed()
        for item in missing:
            run.record.deliver(item)
            self.delivered += item
        if end == ".":
            return run.ended("value", None, received=bool(items), judged=True)
        return run.failed(ENDS[end](), None, received=bool(items))


def started(factories: Any, **options: Any) -> Run:
    """A core whose first source is open."""
    run = run_of(factories, **options)
    assert isinstance(run.start(lambda: 0.0), Open)
    return run


def lost() -> ConnectionError:
    return ConnectionError("lost")
