"""The core as a machine that Hypothesis drives: whatever happens, it keeps the contract."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from failover_iter import AllSourcesFailed, Event
from failover_iter._core.commands import Command, Open, Raise, Return, Sleep
from support.play import named, run_of

FACTORIES = [named(name) for name in "abc"]
#: What a stream may have told so far, see `failover_iter.events`.
BEGINS = re.compile(
    "Opening (Committed )?(Failed (Waiting |Switched )Opening (Committed )?)*"
    "(Failed (Waiting |Exhausted )?|Completed |Closed )?"
)


class CoreMachine(RuleBasedStateMachine):
    """Does at each step what a driver might have to tell, and compares with what is expected."""

    run: Any  # a Run, None when it is over
    command: Command

    @initialize(
        mode=st.sampled_from([None, "restart", "raise", "skip", "resume"]),
        attempts=st.integers(1, 3),
        wait=st.sampled_from([0, 1.5]),
        group=st.booleans(),
        mark_takeovers=st.booleans(),
    )
    def starts(
        self, mode: Any, attempts: int, wait: float, group: bool, mark_takeovers: bool
    ) -> None:
        self.mode, self.attempts, self.wait, self.group = mode, attempts, wait, group
        self.events: list[Event] = []
        self.errors: list[Exception] = []
        self.now = 0.0
        self.count = self.total = 0  # delivered: since the last restart, and in all
        self.source = 0
        self.attempt = 1
        self.received = self.delivered = False
        self.run = run_of(
            FACTORIES,
            mid_stream=mode,
            attempts=attempts,
            wait=wait,
            on_exhausted="group" if group else "last",
            on_event=self.events.append,
            mark_takeovers=mark_takeovers,
        )
        self.takes(self.run.start(lambda: self.now))

    def takes(self, command: Command) -> None:
        """Take the next command; a new attempt is checked for what it is to give."""
        self.command = command
        if not isinstance(command, Open):
            return
        self.received = self.committed = False
        restarts = self.mode in (None, "restart")
        missing = 0 if restarts else self.count
        assert command.entry.factory is FACTORIES[self.source]
        assert command.skip == (missing if self.mode == "skip" else 0)
        assert [told.delivered for told in command.args] == [missing] * (self.mode == "resume")
        for told in command.args:
            assert (told.attempt, told.total) == (self.attempt, self.total)
            assert [each.error for each in told.failures] == self.errors
        self.run.opening()

    def is_open(self) -> bool:
        return isinstance(self.command, Open)

    def is_over(self) -> bool:
        return isinstance(self.command, Raise | Return)

    @precondition(is_open)
    @rule()
    def replays(self) -> None:
        """An item comes that is dropped: the failures in a row are over."""
        assert isinstance(self.command, Open)
        self.received = self.received or self.command.skip > 0

    @precondition(is_open)
    @rule()
    def delivers(self) -> None:
        """An item is delivered, with the first of an attempt that commits."""
        if not self.committed:
            self.committed = True
            self.run.any = self.run.record.any = True
            if self.delivered and self.mode in (None, "restart"):
                self.count = 0
            self.run.committed()
        self.received = self.delivered = True
        self.run.record.deliver(self.total)
        self.count, self.total = self.count + 1, self.total + 1
        assert self.run.record.count == self.count

    @precondition(is_open)
    @rule(bug=st.sampled_from([False, False, False, True]), seconds=st.integers(0, 3))
    def fails(self, bug: bool, seconds: int) -> None:
        """The source fails: the same one again, the next one, or the end, as the options say."""
        self.now += seconds
        error = LookupError("bug") if bug else ConnectionError(f"{len(self.errors)}")
        answer = self.run.failed(error, None, received=self.received)
        if bug or (self.mode == "raise" and self.delivered):
            assert isinstance(answer, Raise)
            assert answer.error is error
        else:
            self.errors.append(error)
            self.expects_to_go_on(answer)
        self.takes(answer)

    def expects_to_go_on(self, answer: Command) -> None:
        self.attempt += 1
        if self.attempt <= self.attempts:
            assert isinstance(answer, Sleep)
            assert answer.seconds == self.wait
            return
        self.source, self.attempt = self.source + 1, 1
        if self.source < len(FACTORIES):
            assert isinstance(answer, Open)
            return
        assert isinstance(answer, Raise)
        if self.group:
            assert isinstance(answer.error, AllSourcesFailed)
            assert list(answer.error.exceptions) == self.errors
        else:
            assert answer.error is self.errors[-1]
            assert len(getattr(answer.error, "__notes__", ())) == len(self.errors) - 1

    @precondition(lambda self: isinstance(self.command, Sleep))
    @rule()
    def sleeps(self) -> None:
        """The pause is over: the same source is opened again."""
        assert isinstance(self.command, Sleep)
        self.now += self.command.seconds
        self.takes(self.run.slept())

    @precondition(is_open)
    @rule(value=st.integers())
    def ends(self, value: int) -> None:
        """The source ends: so does the stream, with its value."""
        self.takes(self.run.ended(value, None, received=self.received, judged=True))
        assert isinstance(self.command, Return)
        assert self.command.value == value

    @precondition(is_open)
    @rule(error=st.sampled_from([GeneratorExit, KeyboardInterrupt, ValueError]))
    def is_left(self, error: type[BaseException]) -> None:
        """The consumer leaves: nothing more is asked."""
        self.run.closed(error(), None, theirs=True)
        self.command = Return(None)

    @precondition(is_over)
    @rule()
    def finishes(self) -> None:
        """The driver is done with it, and nothing is left."""
        if self.run is not None:
            self.run.finish()
            assert not hasattr(self.run, "record")
        self.run = None

    @invariant()
    def events_follow_the_grammar(self) -> None:
        """What was told so far begins a sentence of the grammar; at the end it is a whole one."""
        told = "".join(f"{type(event).__name__} " for event in self.events)
        assert BEGINS.fullmatch(told)
        assert self.is_over() == told.endswith(("Failed ", "Exhausted ", "Completed ", "Closed "))
        assert [event.elapsed for event in self.events] == sorted(e.elapsed for e in self.events)


CoreMachine.TestCase.settings = settings(deadline=None)


class TestCore(CoreMachine.TestCase):  # type: ignore[name-defined, misc]  # made by Hypothesis
    """No sequence of steps makes the core break its word."""
