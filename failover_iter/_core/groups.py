"""The levels of a running stream: the stream itself, and the groups around the open source."""

from __future__ import annotations

from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, Final

from failover_iter._core.failures import NO_FAILURES, Failures
from failover_iter._validation import limit_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.race import Race
    from failover_iter._core.sources import ResolvedSource, SourceQueue
    from failover_iter._options import Options
    from failover_iter._types import AnyAdmission, AnyDelay, Mode, Outcome

_NUMBERS: Final = count(1)


class OfOneSource:
    """The state of the source that a level has open: each contender of a race has its own."""

    # Class attributes are what most streams never change: to make one is half the work then.
    source: ResolvedSource
    #: Which opening of the source it is, from 1.
    attempt: int = 1
    #: When the source was opened.
    opened_at: float = 0.0
    #: How far the stream was by then, in items and bookmarks.
    milestone: tuple[int, int] = (0, 0)
    #: Whether `Opening` was reported, and the end of the attempt was not.
    is_open: bool = False
    #: Whether this opening has yielded an item, or a bookmark, and delivered an item.
    received: bool = False
    is_alive: bool = False
    committed: bool = False
    #: Whether this level has delivered an item, in any attempt.
    has_delivered: bool = False
    #: How many failures in a row brought no item.
    consecutive: int = 0
    #: Whether there is a pause before the next opening.
    pauses: bool = False
    #: Whether the last failure was in `switch_on`: the source is not tried again.
    leaves_source: bool = False
    #: Whether the source went on and then ended, but not as `complete_when` asks for.
    just_ended: bool = False
    #: What its health said of the source that is open, or opened next.
    admission: AnyAdmission | None = None
    #: The source is a hedge that has failed after its commit: the source in it that had won.
    winner: ResolvedSource | None = None
    #: Of a hedge: when its race was decided.
    decided_at: float | None = None


class Level(OfOneSource):
    """A stream, or a group (`Policy.source`) in it, while it runs.

    A stream is a stack of levels. The source of the innermost level is open. The source of each
    other level is the group whose sources are tried by the next level.
    """

    #: Failures of this level.
    failures: Failures = NO_FAILURES
    #: Whether this level has ended, and its listener knows.
    has_ended = False
    #: The sources that its health does not admit: they are asked last.
    postponed: list[Any] | None = None
    #: How often the budget refused a source of lazy `factories`.
    refused = 0
    #: Failures of the outer levels before this one began.
    failures_before = 0
    #: How the outer level took over when it opened this one.
    mode_around: Mode | None = None
    #: Whether the log has said that items are delivered again.
    has_hinted = False
    #: Whether it has warned of a source that starts over beside one with a cursor.
    has_warned = False
    until = inf
    #: Of a hedge: when its next source is opened; and the race, until it is decided.
    delay: AnyDelay | None = None
    race: Race | None = None
    #: Whether the source is opened beside another one.
    is_beside = False

    def __init__(
        self, options: Options, queue: SourceQueue, started: float, parent: Level | None
    ) -> None:
        self.options = options
        self.queue = queue
        self.started = started
        self.stream = next(_NUMBERS)
        self.parent: int | None = None
        #: For the log: which groups the sources of this level are in.
        self.within = ""
        if parent is not None:
            self.parent = parent.stream
            self.within = f", in {parent.source.name}{parent.within}"
            self.failures_before = parent.failures_before + parent.failures.count
        if options.total_timeout is not None:
            self.until = started + self.total_timeout

    def share_failures(self) -> None:
        """Have the contenders of a race keep their failures, and who is asked last, together."""
        self.failures, self.postponed = Failures(), []

    def beside(self) -> Level:
        """The same level, for a source that is opened beside the open one."""
        level = Level.__new__(Level)
        own = OfOneSource.__annotations__
        level.__dict__.update((name, each) for name, each in vars(self).items() if name not in own)
        level.is_beside = True
        return level

    def option(self, name: str) -> Any:
        """An option that says what follows a failure of the open source, be that also a hedge."""
        winner, source = self.winner, self.source
        if winner is not None and name in winner.own and name not in source.own:
            source = winner
        return getattr(source.options, name)

    def keep_failures_of(self, inner: Level) -> None:
        """Keep the failures of a group that has ended, as if its sources were ours."""
        if self.options.on_exhausted == "last":
            if self.failures is NO_FAILURES:
                self.failures = Failures()
            self.failures.extend(inner.failures)

    def has_kept(self, error: Exception) -> bool:
        """Whether the last failure of the stream, this error, is among those of this level."""
        return self.options.on_exhausted == "last" or self.failures.last_error is error

    def report(
        self, outcome: Outcome, error: Exception | None = None, *, switches: bool = False
    ) -> None:
        """Report the fate of the open source to the health; `switches`: it is in `switch_on`."""
        admission, health = self.admission, self.options.health
        if admission is None or health is None:
            return
        if outcome != "committed":
            self.admission = None
        health.report(admission, outcome, error, switches=switches)

    @property
    def total_timeout(self) -> float:
        """How long this level may take, in seconds."""
        return limit_of("total_timeout", self.options.total_timeout)

    @property
    def give_up_after(self) -> float:
        """How long an outage may last, in seconds."""
        return limit_of("give_up_after", self.options.give_up_after)


class Levels(list[Level]):
    """The levels of one stream: the stream itself first, the innermost group last."""

    def leave(self) -> Level:
        """The innermost level has ended: its failures become those of the outer level."""
        level = self.pop()
        if level.failures.count:
            self[-1].keep_failures_of(level)
        if level.delay is not None and level.has_delivered:
            self[-1].winner, self[-1].just_ended = level.source, level.just_ended
        return level

    def note_received(self) -> None:
        """The open source has yielded an item."""
        for level in self:
            level.received = level.is_alive = True

    def note_alive(self) -> None:
        """The open source has yielded a bookmark."""
        for level in self:
            level.is_alive = True

    def add_notes_to(self, error: BaseException, *, but_last: bool = False) -> None:
        """Add the failures before this error to its notes; `but_last`: it is the last itself."""
        failed = [level for level in self if level.failures.count]
        for level in failed:
            level.failures.add_notes_to(error, but_last=but_last and level is failed[-1])

    @property
    def until(self) -> float:
        """When the first `total_timeout` expires."""
        return min(level.until for level in self)

    def expired(self, now: Callable[[], float]) -> int | None:
        """The index of the outermost level whose `total_timeout` has expired."""
        for index, level in enumerate(self):
            if level.until != inf and now() >= level.until:
                return index
        return None
