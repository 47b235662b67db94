"""The core as a machine that Hypothesis drives: what a driver may say, and what must come of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from math import inf
from typing import Any, ClassVar

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.choices import BREAKS, LAYOUTS, LEVEL, MODES, SAVED, Choose
from failover_iter import (
    Checkpoint,
    Closed,
    Committed,
    Completed,
    Ended,
    Exhausted,
    Failed,
    Opening,
    PassedOver,
    Policy,
    SourceError,
    Switched,
    Waiting,
)
from failover_iter._core.commands import Admit, Command, Open, Raise, Return, Save, Sleep
from failover_iter._core.state import TRANSITIONS, State
from failover_iter.health import Admission
from support.play import Play, lost

#: The first events of one stream, or of one opening of a group: see `failover_iter.events`.
BEGINS = re.compile(
    "(PassedOver )*(Opening (Committed )?"
    "(Failed (PassedOver )*(Waiting |Switched )(PassedOver )*(Switched )?Opening (Committed )?)*"
    "(Failed (PassedOver )*((Waiting |Switched )(PassedOver )*(Switched )?|Exhausted )?"
    "|Completed |Closed )?)?"
)

#: The last event. Nothing follows a pause that is broken off, or a listener that raises.
LAST = Failed | PassedOver | Exhausted | Completed | Closed | Waiting | Switched

Said = tuple[State, str, State]
TABLE: list[Said] = [
    (before, word, after)
    for before, words in TRANSITIONS.items()
    for word, states in words.items()
    for after in sorted(states, key=lambda state: state.value)
]
WORDS: dict[str, Callable[[Play], object]] = {
    "start": Play.start,
    "committed": lambda play: play.run.committed(),
    "failed": lambda play: play.run.failed(lost()),
    "ended": lambda play: play.run.ended(None),
    "left": lambda play: play.run.left(lost(), by_consumer=True),
    "slept": lambda play: play.run.slept(),
    "admitted": lambda play: play.run.admitted(Admission("a")),
    "saved": lambda play: play.run.saved(None),
    "interrupted": lambda play: play.run.interrupted(lost()),
}
STATE_AFTER: dict[type[Command], State] = {
    Admit: State.ASKING,
    Open: State.OPENING,
    Sleep: State.WAITING,
    Save: State.SAVING,
    Raise: State.DONE,
    Return: State.DONE,
}


class Callback(ConnectionError):
    """Raised by a callback: `retry_on` lists it, but it is never a failure."""


class Listener:
    """Passes on what it is told: events, and the end of each stream."""

    def __init__(self, machine: CoreMachine) -> None:
        self.machine = machine

    def __call__(self, event: Any) -> None:
        self.machine.listen(event)

    def stream_ended(self, ended: Ended) -> None:
        self.machine.hear_the_end(ended)


class CoreMachine(RuleBasedStateMachine):
    """Says what a driver may say in the state of the run, and checks what comes of it."""

    taken: ClassVar[Counter[Said]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.events: dict[int, list[Any]] = {}
        self.parents: dict[int, int | None] = {}
        self.ended: dict[int, Ended] = {}
        self.listener = Listener(self)
        self.restarted = 0  # items before the last restart
        self.closed = False

    # Setting up.

    @initialize(data=st.data())
    def starts(self, data: st.DataObject) -> None:
        self.starts_with(lambda values: data.draw(st.sampled_from(values)))

    def starts_with(self, choose: Choose) -> None:
        factories, options = self.draw(choose)
        self.play = Play(factories, **options)
        self.says("start", lambda: self.play.start().command)

    def draw(self, choose: Choose) -> tuple[list[Any], dict[str, Any]]:
        """Sources in groups, options for each level, and a callback that may raise."""
        mode = choose([*MODES, SAVED])
        self.breaks, self.breaks_at = choose(BREAKS), choose([1, 2, 3])

        def options() -> dict[str, Any]:
            level = {option: choose(values) for option, values in LEVEL.items()}
            # The answers of the health are those of the machine.
            for shared in ("health", "budget"):
                level[shared] = level[shared] and level[shared]()
            if mode is SAVED:
                level["complete_when"] = None
            return {**level, "mid_stream": mode, "retry_on": self.ask, "on_event": self.listener}

        def group(sources: list[Any]) -> Any:
            return Policy(**options()).source(sources)

        last = 1 if mode is SAVED else -1 if mode == "resume" else None
        layout = choose([*LAYOUTS[:last], LAYOUTS[2]])
        checkpoint = Checkpoint("unused") if mode is SAVED else None
        marks = choose([True, False])
        return layout(group), {**options(), "mark_takeovers": marks, "checkpoint": checkpoint}

    def ask(self, error: Exception) -> bool:
        self.break_at("ask")
        return isinstance(error, OSError)

    def listen(self, event: Any) -> None:
        assert event.delivered == self.total
        assert event.stream not in self.ended
        self.events.setdefault(event.stream, []).append(event)
        self.parents[event.stream] = event.parent
        self.break_at(type(event).__name__)

    def hear_the_end(self, ended: Ended) -> None:
        assert ended.stream not in self.ended
        self.ended[ended.stream] = ended
        assert ended.parent == self.parents[ended.stream]
        assert not self.parents.keys() & self.inner_streams(ended.stream) - self.ended.keys()
        self.break_at("Ended")

    def inner_streams(self, stream: int) -> set[int]:
        return {inner for inner, outer in self.parents.items() if outer == stream}

    def break_at(self, where: str) -> None:
        if self.breaks == where:
            self.breaks_at -= 1
            if not self.breaks_at:
                raise Callback(where)

    @property
    def total(self) -> int:
        return sum(isinstance(item, int) for item in self.play.delivered)

    @property
    def state(self) -> State:
        return self.play.run.state

    def in_state(*states: State) -> Callable[[CoreMachine], bool]:  # type: ignore[misc]  # no method
        return lambda self: self.state in states and not self.closed

    # Saying something.

    def says(self, word: str, call: Callable[[], Any]) -> Any:
        """Check that the state after it is one of the table, and is that of the command."""
        before, command = self.state, None
        try:
            command = call()
        except Callback as error:
            if word == "committed":  # the source is still open: the driver closes it
                self.taken[before, word, self.state] += 1
                leave = partial(self.play.leave, error)
                return self.says("left", leave)
            assert self.state is State.DONE
        else:
            if isinstance(command, Command):
                assert self.state is STATE_AFTER[type(command)]
                self.ends_as(command)
        assert self.state in TRANSITIONS[before][word]
        self.taken[before, word, self.state] += 1
        return command

    def ends_as(self, command: Command) -> None:
        """The listener learns the same end of the stream as the driver."""
        ends = [ended for ended in self.ended.values() if ended.parent is None]
        match command:
            case Raise(error):
                assert [ended.error for ended in ends if ended.error is not error] == []
            case Return():
                assert [ended.error for ended in ends] == [None]
            case _:
                assert ends == []

    @precondition(in_state(State.OPENING, State.DELIVERING))
    @rule(count=st.integers(1, 3))
    def yields(self, count: int) -> None:
        """The source yields items: each is dropped, held or delivered."""
        for _ in range(count):
            item = self.total + 1
            if self.state is State.DELIVERING:
                self.play.deliver(item)
            elif self.state is State.OPENING and self.play.attempt.receive(item):
                self.commits()

    def commits(self) -> None:
        attempt, delivered = self.play.attempt, self.play.run.delivered
        count = delivered.count
        self.says("committed", self.play.run.committed)
        if attempt.mode == "restart":
            self.restarted += count
        if self.state is State.DELIVERING:
            self.play.pop_held()

    @precondition(in_state(State.OPENING, State.DELIVERING))
    @rule(
        kind=st.sampled_from(["lost", "lost", "lost", "bug", "source", "time"]),
        seconds=st.sampled_from([0, 0, 1]),
        close_error=st.none() | st.builds(OSError, st.just("closing")),
    )
    def fails(self, kind: str, seconds: int, close_error: Exception | None) -> None:
        """The source fails: it raises, or it is too late."""
        play = self.play
        play.now += seconds
        error: Exception = lost()
        if kind == "bug":
            error = LookupError("bug")
        elif kind == "source":
            error = SourceError("no good")
        elif kind == "time" and (deadline := play.attempt.deadline) is not None:
            until = deadline.until()
            if until != inf:
                play.now = max(play.now, until)
                error = deadline.expired()
        self.says("failed", lambda: play.fail(error, close_error))

    @precondition(in_state(State.OPENING, State.DELIVERING))
    @rule(
        value=st.integers(),
        close_error=st.none() | st.builds(OSError, st.just("closing")),
        check_complete=st.sampled_from([True, True, False]),
    )
    def ends(self, value: int, close_error: Exception | None, check_complete: bool) -> None:
        """The source ends: so does the stream, unless it was empty or cut."""
        if self.state is State.OPENING and self.play.run.source_ended():
            self.commits()
        if self.state is not State.DONE:
            how = {"check_complete": check_complete}
            self.says("ended", lambda: self.play.end(value, close_error, **how))

    @precondition(in_state(State.OPENING, State.DELIVERING))
    @rule(error=st.sampled_from([GeneratorExit, KeyboardInterrupt, ValueError]))
    def is_left(self, error: type[BaseException]) -> None:
        """The consumer leaves."""
        raised = error()
        command = self.says("left", lambda: self.play.leave(raised, by_consumer=True))
        if self.state is State.SAVING:
            assert error is GeneratorExit
        elif self.breaks != "Ended":
            assert command == Raise(raised)

    @precondition(in_state(State.WAITING))
    @rule()
    def sleeps(self) -> None:
        """The pause ends."""
        self.says("slept", self.play.sleep)

    @precondition(in_state(State.SAVING))
    @rule(error=st.none() | st.builds(OSError, st.just("full")))
    def is_saved(self, error: Exception | None) -> None:
        """The checkpoint was saved for the last time: the stream ends, with the error of that."""
        command = self.says("saved", lambda: self.play.save(error))
        if error is not None and self.breaks not in ("Completed", "Ended"):
            assert command == Raise(error)

    @precondition(in_state(State.ASKING))
    @rule(verdict=st.sampled_from(["yes", "probe", "no", "no"]))
    def is_answered(self, verdict: Any) -> None:
        """The health answers."""
        admission = Admission("a", verdict, lease=verdict == "probe", seconds=3)
        self.says("admitted", lambda: self.play.answer(admission))

    @precondition(lambda self: not self.closed and "interrupted" in TRANSITIONS[self.state])
    @rule()
    def is_interrupted(self) -> None:
        """A callback or a signal handler raises."""
        self.says("interrupted", lambda: self.play.run.interrupted(KeyboardInterrupt()))

    @rule(word=st.sampled_from(sorted(WORDS)))
    def gets_a_wrong_input(self, word: str) -> None:
        """An input that the state does not allow is an AssertionError, and changes nothing."""
        if word in TRANSITIONS[self.state]:
            return
        state, count = self.state, sum(map(len, self.events.values()))
        with pytest.raises(AssertionError, match=f"^{word} was said in state {state.name}$"):
            WORDS[word](self.play)
        assert (self.state, sum(map(len, self.events.values()))) == (state, count)

    @precondition(in_state(State.DONE))
    @rule()
    def is_released(self) -> None:
        """The driver lets go of the run, which is still DONE."""
        self.play.run.release()
        self.closed = True
        assert self.state is State.DONE

    # Invariants.

    @invariant()
    def each_stream_reports_a_sentence(self) -> None:
        """The events of one stream number follow the grammar, and end when the stream does."""
        for told in self.events.values():
            names = "".join(f"{type(event).__name__} " for event in told)
            assert BEGINS.fullmatch(names)
            assert [event.elapsed for event in told] == sorted(event.elapsed for event in told)
            failures = [event.failures for event in told if isinstance(event, Failed)]
            # The failures of a group count for the outer stream, as in a flat list; a group whose
            # sources were all passed over adds none.
            assert all(later >= before for before, later in pairwise(failures))
            if self.state is State.DONE:
                assert isinstance(told[-1], LAST)

    @invariant()
    def each_stream_ends_once(self) -> None:
        """Each stream that has opened a source is told to be over, when it is, and not before."""
        opened = {
            stream
            for stream, told in self.events.items()
            if any(isinstance(event, Opening) for event in told)
        }
        assert self.ended.keys() <= opened
        if self.state is State.DONE:
            assert self.ended.keys() == opened

    @invariant()
    def at_most_one_source_is_open(self) -> None:
        """The open streams are one chain from the outermost to the innermost."""
        still_open = [
            stream
            for stream, told in self.events.items()
            if isinstance(told[-1], Opening | Committed)
        ]
        above = [self.parents[stream] for stream in still_open]
        assert above == [None, *still_open][: len(still_open)]

    @invariant()
    def delivered_items_are_counted(self) -> None:
        """Each delivered item counts once, in all and since the last restart."""
        if not self.closed:
            delivered = self.play.run.delivered
            assert (delivered.total, delivered.before) == (self.total, self.restarted)
