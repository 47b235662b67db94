"""Plays the driver of a core. It opens no source: a script or the test says what each one does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, assert_never

from failover_iter import SourceError
from failover_iter._core.attempt import Attempt
from failover_iter._core.commands import Admit, Command, Open, Raise, Return, Sleep
from failover_iter._core.run import Run, new_run
from failover_iter._core.state import State
from failover_iter._core.usage import mark_usage_error
from failover_iter._options import Options

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


#: Sources of the tests of the core, which are never called.
A, B, C, D, E = (named(name) for name in "abcde")
#: The note on the error that ends a stream after one failure of A.
FIRST_NOTE = "failure 1 before it: a (attempt 1): ConnectionError: lost"


def lost() -> ConnectionError:
    return ConnectionError("lost")


def show(command: Command) -> str:
    """A command as one line."""
    match command:
        case Open(attempt):
            progress = f" from {attempt.args[0].delivered}" if attempt.args else ""
            skips = f" skip {attempt.to_replay}" if attempt.to_replay else ""
            return f"open {attempt.source.name}{progress}{skips}"
        case Admit(_, key):
            return f"ask {key}"
        case Sleep(seconds):
            return f"sleep {seconds:g}"
        case Raise(error):
            return f"raise {type(error).__name__}"
        case Return(value):
            return f"return {value}"
        case _:
            assert_never(command)


class Play:
    """The driver of one run. It keeps the last command, what was delivered, and the log."""

    def __init__(
        self,
        factories: Any,
        *,
        seed: Any = None,
        mark_takeovers: bool = False,
        now: float = 0.0,
        **options: Any,
    ) -> None:
        self.now = now
        self.marks = mark_takeovers
        self.delivered: list[Any] = []
        self.log: list[str] = []
        self.run: Run = new_run(
            Options(**{"retry_on": OSError, **options}),
            factories,
            "sync",
            mark_takeovers=mark_takeovers,
            seed=seed,
        )
        self.command: Any = None

    # The play is its own `Log`.

    def survived(self, level: Any, error: Exception, what_follows: str, *, hint: bool) -> None:
        self.log.append(f"{level.source.name} {what_follows}" + " (hint)" * hint)

    def reopened(self, level: Any, what_follows: str) -> None:
        self.log.append(f"{level.source.name} {what_follows}")

    def passes(self, level: Any, error: Exception) -> None:
        self.log.append(f"{level.source.name} passes {type(error).__name__}")

    def glues(self, source: str) -> None:
        self.log.append(f"{source} glues")

    def exhausted(self, level: Any, error: Exception) -> None:
        self.log.append(f"{level.source.name} exhausted")

    # Inputs of the core.

    def start(self) -> Play:
        self.command = self.run.start(lambda: self.now, self)
        return self

    @property
    def attempt(self) -> Attempt:
        assert isinstance(self.command, Open)
        return self.command.attempt

    @property
    def key(self) -> Any:
        """The key by which the attempt compares what it drops."""
        return None if self.attempt.measure is None else self.attempt.measure.key

    def deliver(self, *items: Any) -> None:
        """The source yields these items: the attempt drops or holds them, until it commits."""
        for item in items:
            if self.run.state is State.DELIVERING:
                if self.attempt.note(item):
                    self.delivered.append(item)
            elif self.attempt.receive(item):
                assert self.attempt.diverged is None
                self.run.committed()
                self.pop_held()

    def pop_held(self) -> None:
        """Deliver what is held."""
        while self.attempt.held:
            self.delivered.append(self.attempt.pop_held())

    def fail(self, error: Exception | None = None, close_error: Any = None) -> Command:
        """The source fails, with an error that `retry_on` lists unless another one is passed."""
        self.command = self.run.failed(lost() if error is None else error, close_error)
        return self.command  # type: ignore[no-any-return]

    def end(self, value: Any = None, close_error: Any = None, **how: bool) -> Command:
        """The source ends."""
        if self.run.state is State.OPENING and self.run.source_ended():
            self.run.committed()
            self.pop_held()
        self.command = self.run.ended(value, close_error, **how)
        return self.command  # type: ignore[no-any-return]

    def leave(
        self, error: BaseException, close_error: Any = None, *, by_consumer: bool = False
    ) -> Command:
        """The consumer ends the attempt."""
        self.command = self.run.left(error, close_error, by_consumer=by_consumer)
        return self.command  # type: ignore[no-any-return]

    def sleep(self) -> Command:
        """The pause ends."""
        self.now += self.command.seconds
        self.command = self.run.slept()
        return self.command  # type: ignore[no-any-return]

    def save(self, error: Exception | None) -> Command:
        """The checkpoint is saved for the last time."""
        self.command = self.run.saved(error)
        return self.command  # type: ignore[no-any-return]

    def answer(self, admission: Any) -> Command:
        """The health answers."""
        self.command = self.run.admitted(admission)
        return self.command  # type: ignore[no-any-return]

    def time_out(self) -> Exception:
        """The source is waited for in vain, until its deadline expires."""
        assert self.attempt.deadline is not None
        self.now = self.attempt.deadline.until()
        return self.attempt.deadline.expired()

    def through(self, openings: str) -> list[str]:
        """Play it all. Each word lists the items of an opening; its last sign says how it ends."""
        self.start()
        script, commands = iter(openings.split()), [show(self.command)]
        while not isinstance(self.command, Raise | Return):
            if isinstance(self.command, Sleep):
                self.sleep()
            else:
                items, end = (word := next(script))[:-1], word[-1]
                args = self.attempt.args
                self.deliver(*items[args[0].delivered if args else 0 :])
                self.end("value") if end == "." else self.fail(ENDS[end]())
            commands.append(show(self.command))
        return commands


def started(factories: Any, **options: Any) -> Play:
    """A driver whose first source is open."""
    play = Play(factories, **options).start()
    assert isinstance(play.command, Open)
    return play
