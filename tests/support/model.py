"""The reference model: what a case has to look like from outside, written for clarity.

It shares no code with the library. It knows the plans, so it needs no iterator: it walks through
them once and writes down the whole trace of a consumer who drains the stream, then cuts that
where the consumer leaves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any, NoReturn

from failover_iter import Decide, Progress, Resume, Skip, SourceError
from failover_iter.testing._plans import SourceScript
from support.model_errors import CLOSINGS, GIVEN_ERRORS, closing_error, is_listed

from .case import TICK, Case, Retryable, SourcePlan, make_error
from .leaving import left
from .runners import Trace, kind_of


class Over(Exception):
    """The stream has ended."""


@dataclass
class Model:
    """The state of one stream, by the contract."""

    case: Case
    listen: bool = True
    blocking: bool = False  # a source that is timed out is abandoned, and closed at the end
    trace: Trace = field(default_factory=list)
    delivered: list[int] = field(default_factory=list)  # since the last restart
    before: int = 0  # delivered before the last restart
    holds_restart: bool = False  # a `Decide` has answered "restart", and no item came since
    failures: list[str | None] = field(default_factory=list)  # kinds of the errors
    consecutive: int = 0
    now: float = 0
    openings: dict[str, int] = field(default_factory=dict)
    index: int = 0
    attempt: int = 1
    mode: str | None = None
    outage_since: float = 0
    late: list[str] = field(default_factory=list)  # abandoned, and with something to close

    # Records.

    @property
    def total(self) -> int:
        return self.before + len(self.delivered)

    @property
    def source(self) -> SourcePlan:
        return self.case.sources[self.index]

    def name_of(self, index: int) -> str:
        """The name of a source: a later one of the same name has a number."""
        names = [plan.name for plan in self.case.sources[: index + 1]]
        number = names.count(names[index])
        return names[index] if number == 1 else f"{names[index]}#{number}"

    def event(self, name: str, **fields: Any) -> None:
        if self.listen:
            common = {
                "source": self.name_of(self.index),
                "attempt": self.attempt,
                "delivered": self.total,
                "elapsed": round(self.now, 6),
            }
            self.trace.append((name, tuple(sorted({**common, **fields}.items()))))

    def raised(self, kind: str | None, notes: int) -> NoReturn:
        self.trace.append(("raised", kind, notes))
        raise Over

    def deliver(self, item: int) -> None:
        self.delivered.append(item)
        self.trace.append(("item", item))
        self.now += self.case.pace

    # Time.

    @property
    def stream_until(self) -> float:
        return inf if self.case.total_timeout is None else self.case.total_timeout

    def wait_for(self, seconds: float, until: float) -> str | None:
        """Let a source take so long; which limit is met first, if any."""
        if self.now + seconds < min(until, self.stream_until):
            self.now += seconds
            return None
        self.now = min(until, self.stream_until)
        return "stream timeout" if self.stream_until <= until else "source timeout"

    def is_over(self) -> bool:
        """Whether the time of the stream has expired when the consumer asks for more."""
        return self.now >= self.stream_until

    # The stream.

    def run(self) -> Trace:
        try:
            while True:
                self.one_attempt()
        except Over:
            return self.trace + [("late close", name) for name in sorted(self.late)]

    def way(self, source: SourcePlan) -> Any:
        if source.mid_stream is not None:
            return source.mid_stream
        return self.case.mid_stream or "restart"

    def mode_for(self, source: SourcePlan) -> str | None:
        """How this source would take over now; None before the first item."""
        if self.total == 0:
            return None
        way = self.way(source)
        if self.holds_restart and way != "raise":
            return "restart"
        if isinstance(way, Skip):
            return "skip"
        if isinstance(way, Resume):
            return "resume"
        if isinstance(way, Decide):
            last = self.delivered[-1] if self.delivered else None
            told = Progress(delivered=len(self.delivered), last=last, total=self.total)
            mode = way.fn(told)
            self.holds_restart = mode == "restart"
            return mode
        return str(way)

    def one_attempt(self) -> None:
        source, case = self.source, self.case
        count = self.openings.get(source.name, 0)
        opening = source.opening(count)
        self.openings[source.name] = count + 1
        self.event("Opening")
        self.trace.append(("open", source.name))
        first = case.idle_timeout if case.first_item_timeout is None else case.first_item_timeout
        first_until = inf if first is None else self.now + first
        over = self.wait_for(opening.opens * TICK, first_until)
        if over is not None:
            closes = opening.kind in ("iterator", "iterable")  # a generator has not begun
            if self.blocking and opening.at != "call" and closes:
                self.late.append(source.name)
            return self.timed_out(over, opening, received=0, opened=False)
        if opening.at == "call":
            return self.failed(opening.error, opening, None, received=False)
        if opening.at == "iter":
            return self.failed(opening.error, opening, self.close(opening), received=False)

        whole = tuple(map(int, opening.items))
        items, way = whole, self.way(source)
        start = 0
        if isinstance(way, Resume | Decide) or way == "resume":
            goes_on = self.mode in (None, "resume")
            start = len(self.delivered) if goes_on else 0
            items = items[start:]
        behind = len(whole) - len(items)  # a delay belongs to its item
        to_replay = list(self.delivered) if self.mode == "skip" else []
        key = getattr(way, "key", None)
        replayed: list[int] = []
        held: list[int] = []
        open_to_deliver = met = False
        fault = opening.error if opening.end == "raises" else None
        if opening.kind == "generator" and opening.closing != "quietly":
            fault = CLOSINGS[opening.closing]  # raised from the `finally` of the generator
        received = 0
        new = 0
        for pull, item in enumerate(items):
            if self.is_over():
                return self.expired(opening)
            self.trace.append(("pull", source.name))
            idle = inf if case.idle_timeout is None else case.idle_timeout
            seconds = opening.ticks_before(behind + pull) * TICK
            over = self.wait_for(seconds, self.now + idle if pull else first_until)
            if over is not None:
                return self.timed_out(over, opening, received=received, opened=True, new=new)
            received += 1
            met = met or (
                received >= case.commit_when
                if isinstance(case.commit_when, int)
                else case.commit_when(item)
            )
            if len(replayed) < len(to_replay):
                replayed.append(item)
                if self.diverged(key, to_replay, replayed):
                    close_error = self.close_from_outside(opening)
                    return self.failed("diverged", opening, close_error, received=True)
                continue
            held.append(item)
            if met:
                if not open_to_deliver:
                    open_to_deliver = True
                    self.commit()
                for one in held:
                    if self.is_over():
                        return self.expired(opening)
                    self.deliver(one)
                    new += 1
                held = []
        if self.is_over():
            return self.expired(opening)
        self.trace.append(("pull", source.name))
        idle = inf if case.idle_timeout is None else case.idle_timeout
        until = self.now + idle if items else first_until
        over = self.wait_for(opening.ticks_before(behind + len(items)) * TICK, until)
        if over is not None:
            return self.timed_out(over, opening, received=received, opened=True, new=new)
        self.close_after_end(opening)
        if fault is None and not open_to_deliver:
            if not met and not case.allow_empty:
                fault = "empty"
            elif len(replayed) < len(to_replay):
                fault = "diverged"
            elif held:
                self.commit()
                for one in held:
                    if self.is_over():
                        return self.expired(opening, ended=True)
                    self.deliver(one)
                    new += 1
        gave_nothing = self.mode == "restart" and new == 0
        if fault == "base":
            noted = self.close(opening) is not None
            self.event("Closed", error="Interrupt", abandoned=False)
            self.raised("Interrupt", len(self.failures) + noted)
        close_error = self.close(opening)
        if fault is None and not self.complete(gave_nothing):
            fault = "truncated"
        if fault is not None:
            return self.failed(fault, opening, close_error, received=received > 0, new=new)
        if close_error is not None:
            self.event("Closed", error=close_error, abandoned=False)
            self.raised(close_error, len(self.failures))
        self.event("Completed")
        self.trace.append(("ended",))
        raise Over

    def timed_out(
        self, over: str, opening: SourceScript, *, received: int, opened: bool, new: int = 0
    ) -> None:
        """A source was waited for in vain."""
        close_error = None
        if opened and not self.blocking:
            if opening.kind == "generator":  # it is cancelled where it waits
                self.trace.append(("close", self.source.name))
            close_error = self.close(opening)
        elif opened and opening.kind != "bare":
            self.late.append(self.source.name)
        if over == "source timeout":
            self.failed(over, opening, close_error, received=received > 0, new=new)
            return
        self.event("Closed", error="StreamTimeout", abandoned=self.blocking)
        self.raised("StreamTimeout", len(self.failures) + (close_error is not None))

    def expired(self, opening: SourceScript, *, ended: bool = False) -> NoReturn:
        """The time of the stream has expired, and nobody waits for its source."""
        close_error = self.close(opening) if ended else self.close_from_outside(opening)
        self.event("Closed", error="StreamTimeout", abandoned=False)
        self.raised("StreamTimeout", len(self.failures) + (close_error is not None))

    def complete(self, gave_nothing: bool) -> bool:
        """Judged is the last item since the last restart, one without an item included."""
        complete_when = self.case.complete_when
        if complete_when is None or gave_nothing:
            return complete_when is None
        return bool(self.delivered) and complete_when(self.delivered[-1])

    def diverged(self, key: Any, delivered: list[int], replayed: list[int]) -> bool:
        """Whether the keys of a whole replay are others than those of what was delivered."""
        if key is None or len(replayed) < len(delivered):
            return False
        return [key(item) for item in replayed] != [key(item) for item in delivered]

    def commit(self) -> None:
        mode, self.holds_restart = self.mode, False
        superseded = len(self.delivered)
        if mode == "restart":
            self.before, self.delivered = self.total, []
        self.event("Committed")
        if mode is not None and self.case.mark_takeovers:
            error = self.failures[-1]
            name = self.name_of(self.index)
            self.trace.append(("marker", mode, name, error, superseded))
            self.now += self.case.pace

    def close_after_end(self, opening: SourceScript) -> None:
        """A generator closes itself when it ends."""
        if opening.kind == "generator":
            self.trace.append(("close", self.source.name))

    def close_from_outside(self, opening: SourceScript) -> str | None:
        """Close a source that has not ended, a generator too; the kind of the error, if any."""
        if opening.kind != "generator":
            return self.close(opening)
        self.trace.append(("close", self.source.name))
        return closing_error(opening)

    def close(self, opening: SourceScript) -> str | None:
        """Close what has a `close` and did not close itself; the kind of the error, if any."""
        if opening.kind in ("iterator", "iterable"):
            self.trace.append(("close", self.source.name))
            return closing_error(opening)
        return None

    # After a failure.

    def failed(
        self,
        fault: str,
        opening: SourceScript,
        close_error: str | None,
        *,
        received: bool,
        new: int = 0,
    ) -> None:
        kind = GIVEN_ERRORS.get(fault) or kind_of(make_error(fault))
        noted = close_error is not None
        self.consecutive = 1 if received else self.consecutive + 1
        if fault == "base":
            self.event("Closed", error=kind, abandoned=False)
            self.raised(kind, len(self.failures) + noted)
        switch_on = self.source.switch_on or self.case.switch_on or ()
        leaves = is_listed(fault, switch_on)
        matched = is_listed(fault, (Retryable, SourceError, switch_on))
        self.event(
            "Failed",
            error=kind,
            failures=len(self.failures) + 1,
            consecutive=self.consecutive,
            close_error=close_error,
            abandoned=fault == "source timeout" and self.blocking,
            matched=matched,
        )
        if received or not self.failures:
            self.outage_since = self.now
        stream_raises = self.case.mid_stream == "raise" and self.total > 0
        if stream_raises or not matched:
            self.raised(kind, len(self.failures) + noted)
        self.failures.append(kind)
        if self.is_over():
            self.raised("StreamTimeout", len(self.failures))
        outage = self.now - self.outage_since
        limit = inf if self.case.give_up_after is None else self.case.give_up_after
        following = (
            None
            if outage > limit
            else self.following(leaves=leaves, starts_anew=self.case.reset_on_progress and new > 0)
        )
        pauses = following is not None and following[2] != "raise" and following[0] == self.index
        if pauses and outage + self.case.wait > limit:
            following = None
        if following is None:
            self.event("Exhausted", error=kind, failures=len(self.failures))
            if self.case.on_exhausted == "group":
                leaves = ",".join(map(str, self.failures))
                self.raised(f"AllSourcesFailed[{leaves}]", 0)
            self.raised(kind, len(self.failures) - 1 + noted)
        index, attempt, mode = following
        if mode == "raise":
            self.raised(kind, len(self.failures) - 1 + noted)
        again = index == self.index
        seconds = float(self.case.wait) if again else 0.0
        if again:
            self.event("Waiting", error=kind, seconds=seconds, mode=mode)
        else:
            to = self.name_of(index)
            self.event("Switched", error=kind, seconds=seconds, mode=mode, to=to)
        self.index, self.attempt, self.mode = index, attempt, mode
        if self.now + seconds >= self.stream_until:
            self.raised("StreamTimeout", len(self.failures))
        self.now += seconds

    def following(self, *, leaves: bool, starts_anew: bool) -> tuple[int, int, str | None] | None:
        """The next source that may take over: its place, the attempt, the mode."""
        bound = self.source.attempts or self.case.attempts
        attempt = 1 if starts_anew else self.attempt + 1
        candidates = [(self.index, attempt)] if attempt <= bound and not leaves else []
        candidates += [(index, 1) for index in range(self.index + 1, len(self.case.sources))]
        for index, attempt in candidates:
            source = self.case.sources[index]
            mode = self.mode_for(source)
            if mode == "raise" and source.mid_stream is not None:
                name = self.name_of(index)
                self.event("PassedOver", source=name, attempt=attempt, reason="mid_stream")
                continue
            return index, attempt, mode
        return None


def model(case: Case, *, listen: bool = True, blocking: bool = False) -> Trace:
    """The trace that a case must have; `blocking`: on the sync driver, which abandons sources."""
    whole = Model(case, listen=listen, blocking=blocking).run()
    return left(case, whole, listen=listen)
