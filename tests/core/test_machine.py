"""Every order of inputs that the table of the core allows, driven by Hypothesis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, ClassVar

from hypothesis import settings

from core.choices import FACTORIES, MODES, PAUSES, Choose
from core.machine import TABLE, CoreMachine, Said
from failover_iter import AllSourcesFailed, Failed
from failover_iter._core.commands import Command, Open, Raise, Return, Sleep
from failover_iter._core.state import TRANSITIONS, State


class FlatMachine(CoreMachine):
    """Without groups, timeouts and broken callbacks, the next command is known in advance."""

    def draw(self, choose: Choose) -> tuple[list[Any], dict[str, Any]]:
        self.breaks = None
        self.errors: list[Exception] = []
        self.source, self.attempt = 0, 1
        self.mode, self.attempts = choose(MODES), choose([1, 2, 3])
        self.wait, self.group = choose(PAUSES), choose([True, False])
        return list(FACTORIES), {
            "mid_stream": self.mode,
            "attempts": self.attempts,
            "wait": self.wait,
            "on_exhausted": "group" if self.group else "last",
            "on_event": self.listener,
            "mark_takeovers": choose([True, False]),
        }

    def says(self, word: str, call: Callable[[], Any]) -> Any:
        run = self.play.run
        short = word == "ended" and self.state is State.OPENING and self.play.attempt.to_replay
        last = self.mode == "raise" and run.delivered.has_delivered
        command = super().says(word, call)
        if word == "failed" or short:
            told = next(iter(self.events.values()))
            error = next(event.error for event in reversed(told) if isinstance(event, Failed))
            if isinstance(error, LookupError) or last:
                assert command == Raise(error)
            else:
                self.errors.append(error)
                self.expects_to_go_on(command)
        elif word == "ended" and not isinstance(command, Raise):
            assert isinstance(command, Return)
        if isinstance(command, Open):
            self.expects_attempt()
        return command

    def expects_to_go_on(self, command: Command) -> None:
        self.attempt += 1
        if self.attempt <= self.attempts:
            assert command == Sleep(self.wait)
            return
        self.source, self.attempt = self.source + 1, 1
        if self.source < len(FACTORIES):
            assert isinstance(command, Open)
            return
        assert isinstance(command, Raise)
        if self.group:
            assert isinstance(command.error, AllSourcesFailed)
            assert list(command.error.exceptions) == self.errors
        else:
            assert command.error is self.errors[-1]
            notes = getattr(command.error, "__notes__", ())
            before = [note for note in notes if note.startswith("failure ")]
            assert len(before) == len(self.errors) - 1

    def expects_attempt(self) -> None:
        """A new attempt is of the source that is next, and goes on from the right place."""
        attempt = self.play.attempt
        missing = self.total - self.restarted if self.mode in ("skip", "resume") else 0
        assert attempt.source.factory is FACTORIES[self.source]
        assert attempt.to_replay == (missing if self.mode == "skip" else 0)
        assert [told.delivered for told in attempt.args] == [missing] * (self.mode == "resume")
        for told in attempt.args:
            assert (told.attempt, told.total) == (self.attempt, self.total)
            assert [each.error for each in told.failures] == self.errors
        takes_over = self.total > 0 and self.mode != "raise"
        assert (attempt.marker is not None) == (takes_over and self.play.marks)


for machine in (CoreMachine, FlatMachine):
    machine.TestCase.settings = settings(deadline=None, max_examples=60, stateful_step_count=15)


class TestCore(CoreMachine.TestCase):  # type: ignore[name-defined, misc]  # made by Hypothesis
    """No sequence of inputs leads the core out of its table."""


class TestFlat(FlatMachine.TestCase):  # type: ignore[name-defined, misc]  # as above
    """A stream without groups answers as its options say."""


def test_each_transition_of_the_table_is_taken() -> None:
    """A thousand streams, the same in each run, take all of them, and no other."""

    class Counted(CoreMachine):
        taken: ClassVar[Counter[Said]] = Counter()

    choose = Random(2).choice
    for _ in range(1000):
        machine = Counted()
        machine.starts_with(choose)
        while machine.state is not State.DONE:
            if machine.state is State.WAITING:
                choose([*[machine.sleeps] * 9, machine.is_interrupted])()
                continue
            if machine.state is State.SAVING:
                if choose([True, True, False]):
                    machine.is_saved(choose([None, OSError("full")]))
                else:
                    machine.is_interrupted()
                continue
            if machine.state is State.ASKING:
                if choose([True] * 20 + [False]):
                    machine.is_answered(choose(["yes", "yes", "probe", "no", "no"]))
                else:
                    machine.is_interrupted()
                continue
            rare = ["yields", "left", *TRANSITIONS[machine.state].keys() & {"interrupted"}]
            step = choose(["yields", "fails", "fails", "ends", choose(rare)])
            closing = choose([None, OSError("closing")])
            match step:
                case "yields":
                    machine.yields(choose([1, 2, 3]))
                case "fails":
                    kind = choose(["lost", "lost", "bug", "source", "time"])
                    machine.fails(kind, choose([0, 1]), closing)
                case "ends":
                    machine.ends(5, closing, choose([True, True, False]))
                case "left":
                    machine.is_left(choose([ValueError, GeneratorExit]))
                case _:
                    machine.is_interrupted()
        machine.each_stream_reports_a_sentence()
    assert [said for said in TABLE if not Counted.taken[said]] == []
    assert Counted.taken.keys() <= set(TABLE)
