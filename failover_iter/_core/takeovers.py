"""Which source takes over from the one that failed, how, and from where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeAlias

from failover_iter._core.attempt import Attempt
from failover_iter._core.completeness import commit_conditions, find_limit, values_of
from failover_iter._core.cursor import has_cursor
from failover_iter._core.failures import Failures
from failover_iter._core.usage import mark_usage_error
from failover_iter._mid_stream import MODES, Decide, Resume, Skip
from failover_iter._validation import shown
from failover_iter.events import Takeover

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from failover_iter._core.delivered import Delivered
    from failover_iter._core.digest import Measure
    from failover_iter._core.groups import Level
    from failover_iter._core.race import Race
    from failover_iter._core.reporting import Reporter
    from failover_iter._core.sources import Group, ResolvedSource, SourceQueue
    from failover_iter._mid_stream import Progress
    from failover_iter._options import Options
    from failover_iter._types import Mode
    from failover_iter.events import Failed

    #: A source that may take over, which attempt on it that would be, and how it would take over:
    #: None if nothing was delivered yet. A plain tuple: each stream makes one.
    Chosen: TypeAlias = tuple[ResolvedSource, int, Mode | None]

_WORD: Final = 12  # a longer answer of `Decide` may be an item
_PASSED_OVER: Final = 1000  # in a row that may not take over: lazy `factories` will never end


class Takeovers:
    """How the sources of one stream take over from each other."""

    #: How the first sources of a group have said that they would take over, until it is entered.
    _answers: dict[ResolvedSource, Mode | None] | None = None

    def __init__(self, delivered: Delivered) -> None:
        self.delivered = delivered
        #: How the next attempt takes over; None while nothing was delivered.
        self.mode: Mode | None = None
        #: The records for `Progress.failures`, if a factory or a `Decide` may ask for them.
        self._failures: Failures | None = None

    # Records that an option or a factory may ask for.

    def prepare_for(self, options: Options, queue: SourceQueue) -> None:
        """Keep what the options of a stream and of its known sources need."""
        self._prepare_for_options(options)
        if queue.lazy:
            self._failures = Failures()
        for source in queue.known:
            if source.options is not options or source.group is not None:
                self._prepare_for_source(source)

    def _prepare_for_options(self, options: Options, name: str | None = None) -> bool:
        if options.mid_stream is None and options.complete_when is None:
            return True
        if self._failures is None and isinstance(options.strategy, Resume | Decide):
            self._failures = Failures()
        return self.delivered.prepare_for(options, name)

    def _prepare_for_source(self, source: ResolvedSource) -> bool:
        is_ready = self._prepare_for_options(source.options, source.name)
        if source.group is not None:
            is_ready = self._prepare_for_options(source.group.options, source.name) and is_ready
            for inner in source.group.sources:
                is_ready = self._prepare_for_source(inner) and is_ready
        return is_ready

    def keep(self, failed: Callable[[], Failed]) -> None:
        """Keep the record of a failure if a factory may ask for it."""
        if self._failures is not None:
            self._failures.add(failed())

    @property
    def failures(self) -> Sequence[Failed]:
        """The failures so far."""
        return () if self._failures is None else self._failures.so_far()

    @property
    def has_cursor(self) -> bool:
        """Whether the stream has a cursor."""
        return self.delivered.cursor is not None

    def release(self) -> None:
        """Drop the failures, which keep the frames of the failed sources alive."""
        if self._failures is not None:
            self._failures.release()
            self._failures = None

    # Which source is next.

    def choose(self, level: Level, reporter: Reporter) -> Chosen | None:
        """The next source that may take over, or mode "raise" if the level has to end."""
        options = level.source.options
        attempt = level.attempt + 1
        if level.option("reset_on_progress") and level.source.shows_progress:
            attempt = 1 if self.delivered.is_beyond(level.milestone) else attempt
        is_spent = options.attempts is not None and attempt > options.attempts
        if is_spent or level.leaves_source:
            return self.choose_next(level, reporter)
        return self._usable(level, reporter, level.source, attempt)

    def choose_next(self, level: Level, reporter: Reporter) -> Chosen | None:
        """The same, but not the source that has failed."""
        return self._usable(level, reporter, self._next(level), 1)

    def renew(self, level: Level, reporter: Reporter, chosen: Chosen) -> Chosen | None:
        """The same source, as it may take over now, if it may."""
        source, attempt, _ = chosen
        mode = self._mode_of(level, source, attempt)
        if mode != "raise" or not source.has_own_mode:
            return source, attempt, mode
        reporter.passed_over(level, source, attempt, "mid_stream")
        return None

    def _usable(
        self, level: Level, reporter: Reporter, source: ResolvedSource | None, attempt: int
    ) -> Chosen | None:
        """This source, or the first one after it that may take over."""
        passed_over = 0
        while source is not None and passed_over < _PASSED_OVER:
            mode = self._mode_of(level, source, attempt)
            if mode != "raise" or not source.has_own_mode:
                return source, attempt, mode
            reporter.passed_over(level, source, attempt, "mid_stream")
            passed_over += level.queue.lazy  # a list comes to its end by itself
            source, attempt = self._next(level), 1
        return None

    def first(self, level: Level, reporter: Reporter, outer: Level | None) -> Chosen | None:
        """The first source of a level that may take over."""
        if outer is not None and self.mode is not None:
            level.mode_around = self._mode_into(outer)
        return self.next_first(level, reporter)

    def next_first(self, level: Level, reporter: Reporter) -> Chosen | None:
        """The next such source."""
        source = self._next(level)
        mode = self.mode
        if mode is None or level.parent is None:
            return None if source is None else (source, 1, mode)
        while source is not None and "mid_stream" in source.own:
            mode = self._answer_of(level, source)
            if mode != "raise":
                break
            reporter.passed_over(level, source, 1, "mid_stream")
            source, mode = self._next(level), self.mode
        return None if source is None else (source, 1, mode)

    def _next(self, level: Level) -> ResolvedSource | None:
        source = level.queue.next()
        if source is None or not level.queue.lazy:
            return source
        is_known = source.options is level.options and source.group is None
        if not is_known and not self._prepare_for_source(source):
            raise mark_usage_error(
                ValueError(
                    f"source {source.name!r} has mid_stream={source.options.mode_given} (or "
                    "another option that looks at each item), but the items before it were not "
                    "kept: "
                    "pass the sources as a list, or set the option for the whole stream"
                )
            )
        return source

    def _mode_of(self, level: Level, source: ResolvedSource, attempt: int) -> Mode | None:
        """How a source would take over now; None if nothing was delivered yet."""
        if not self.delivered.has_delivered:
            return None
        mode: Mode | None = None
        if source.group is not None and "mid_stream" not in source.own:
            mode = self._mode_of_leaf(level, source.group)
        return mode or self._own_mode_of(level, source, attempt)

    def _own_mode_of(self, level: Level, source: ResolvedSource, attempt: int) -> Mode | None:
        strategy = source.options.strategy
        if self.delivered.holds_restart and strategy != "raise":
            return "restart"
        match strategy:
            case Skip():
                return "skip"
            case Resume():
                return "resume"
            case Decide():
                return self._ask(strategy, attempt)
            case "raise" | "restart" if not (level.has_delivered or "mid_stream" in source.own):
                return level.mode_around  # it is still the outer level that takes over
            case _:
                return strategy

    def _mode_into(self, outer: Level) -> Mode | None:
        """How the outer level takes over with its group, if no source in it has its own mode."""
        if isinstance(outer.source.options.strategy, Decide):
            return self.mode  # it was asked
        return self._own_mode_of(outer, outer.source, outer.attempt)

    def _mode_of_leaf(self, level: Level, group: Group) -> Mode | None:
        """How a group would take over, if its first source has its own mode.

        The answers are for `_answer_of`, and hold for nothing before that.
        """
        mode: Mode | None = None
        held = self.delivered.holds_restart
        self._answers = answers = {}
        for leaf in group.leaves():
            mode = None
            if "mid_stream" in leaf.own:
                mode = answers[leaf] = self._mode_of(level, leaf, 1)
            if mode != "raise":
                break
        self.delivered.holds_restart = held
        return mode

    def _answer_of(self, level: Level, source: ResolvedSource) -> Mode | None:
        """How a source of a group takes over: it is asked once, before the group is entered."""
        mode = self._answers.pop(source, None) if self._answers else None
        if mode is None:
            return self._mode_of(level, source, 1)
        if mode == "restart" and isinstance(source.options.strategy, Decide):
            self.delivered.holds_restart = True
        return mode

    def _ask(self, strategy: Decide, attempt: int) -> Mode:
        delivered = self.delivered
        mode = strategy.fn(
            delivered.progress(strategy.keep, self.failures, attempt, to_replay=delivered.to_replay)
        )
        if mode not in MODES:
            got: object = mode
            is_word = isinstance(got, str) and len(got) < _WORD
            raise mark_usage_error(
                ValueError(
                    "the function of Decide must return 'restart', 'raise', 'skip' or 'resume', "
                    f"got {repr(got) if is_word else shown(got)}"
                )
            )
        delivered.holds_restart = mode == "restart"
        return mode

    # From where it goes on.

    def beside(self, mode: Mode | None) -> Takeovers:
        """The same, for a source that is opened beside the open one, and takes over so."""
        from copy import copy  # only a race needs it

        beside = copy(self)
        beside.mode = mode
        return beside

    def new_attempt(
        self, levels: Sequence[Level], error: Exception | None, race: Race | None
    ) -> Attempt:
        """The attempt on the innermost source; a takeover after `error` is marked with it."""
        level, delivered, mode = levels[-1], self.delivered, self.mode
        source = level.source
        if mode == "resume" and not source.resumable:
            raise mark_usage_error(
                ValueError(
                    f"source {source.name!r} of a Policy.source cannot continue where the outer "
                    f"stream stopped with mid_stream={source.options.mode_given}: under an outer "
                    "stream that resumes, its policy needs mid_stream='resume' or a Decide"
                )
            )
        if delivered.is_saved:
            check_saved(source)
        attempt = Attempt(source, mode, delivered, commit_conditions(levels))
        if race is not None:
            attempt.race = race
        if delivered.cursor is not None:
            attempt.has_cursor = _has_cursor(levels)
        if mode == "skip" and delivered.count:
            self._skip(attempt, levels)
        elif attempt.has_cursor and delivered.to_replay and self._goes_on:
            attempt.replay(delivered.to_replay)
        limit = find_limit(levels)
        if limit is not None:
            attempt.most, attempt.most_level = limit
        if source.resumable:
            attempt.args = (self._progress(level, attempt),)
        if error is not None and mode is not None:
            attempt.marker = self._marker(source, mode, error)
        return attempt

    @property
    def _goes_on(self) -> bool:
        """Whether the attempt goes on where an earlier one, or an earlier process, stopped."""
        return self.mode == "resume" or (self.mode is None and self.delivered.is_saved)

    def _marker(self, source: ResolvedSource, mode: Mode, error: Exception) -> Takeover:
        """The marker of a takeover; the consumer has not heard of a restart at a bookmark yet."""
        to_discard = self.delivered.to_discard
        if to_discard is not None:
            return Takeover("restart", source.name, error, to_discard)
        return Takeover(mode, source.name, error, self.delivered.count)

    def _progress(self, level: Level, attempt: Attempt) -> Progress:
        """The `Progress` for the factory of this level's source."""
        strategy: Any = level.source.options.strategy
        start_over = self.mode in ("restart", "skip")
        return self.delivered.progress(
            strategy.keep,
            self.failures,
            level.attempt,
            start_over=start_over,
            mode=self.mode,
            to_replay=attempt.to_replay,
            memo=attempt.memo,
        )

    def _skip(self, attempt: Attempt, levels: Sequence[Level]) -> None:
        """Drop what was delivered, as much as the strategy counts."""
        measure = self._measure(levels)
        if measure is not None and measure.size is not None:
            attempt.replay(measure.total, measure)
        else:
            attempt.replay(self.delivered.count, measure)

    def _measure(self, levels: Sequence[Level]) -> Measure | None:
        """What replayed items are compared by with those that were delivered."""
        is_digestible = self.delivered.digestible
        for index, _ in values_of(levels, "mid_stream"):
            strategy = levels[index].source.options.strategy
            if isinstance(strategy, Skip | Decide):
                size = strategy.size if isinstance(strategy, Skip) else None
                measure = self.delivered.measure_of(strategy.key if is_digestible else None, size)
                if measure is not None:
                    return measure
        return None


def check_checkpoint(delivered: Delivered, options: Options, seed: Progress | None) -> None:
    """Refuse a checkpoint without a cursor, or beside the progress of another stream."""
    if delivered.cursor is None:
        raise ValueError(
            "checkpoint needs a stream with a cursor: set mid_stream=Resume(start=..., "
            "advance=...), or use sources with resume built in (in a list), got "
            f"mid_stream={options.mode_given}"
        )
    if seed is not None and (seed.total or seed.delivered):
        raise ValueError("a stream with a checkpoint takes no progress: it has its own")
    _check_counts(options)


def check_saved(source: ResolvedSource) -> None:
    """Refuse a source that cannot continue where a checkpoint says."""
    options = source.options
    if not has_cursor(options.strategy):
        raise mark_usage_error(
            ValueError(
                f"checkpoint needs sources with a cursor, but source {source.name!r} has "
                f"mid_stream={options.mode_given}: use Resume(start=..., advance=...)"
            )
        )
    if options.complete_when is not None:
        raise mark_usage_error(
            ValueError(
                "complete_when looks at the last item, which a checkpoint does not keep: "
                + _instead_of_complete_when(source)
            )
        )
    _check_counts(options)


def _instead_of_complete_when(source: ResolvedSource) -> str:
    if "complete_when" not in source.own:
        return "use expect_items"
    return (
        f"leave out the checkpoint, because source {source.name!r} has its own complete_when; a "
        "kube_watch lists the objects anew in each process"
    )


def _check_counts(options: Options) -> None:
    """Refuse to count items over several processes if only the cursor of the consumer is saved."""
    checkpoint = options.checkpoint
    if checkpoint is not None and not checkpoint.auto and options.expect_items is not None:
        raise mark_usage_error(
            ValueError("expect_items needs the count of items, which Checkpoint(auto=False) lacks")
        )


def _has_cursor(levels: Sequence[Level]) -> bool:
    """Whether a bookmark from the open source is one."""
    return any(
        has_cursor(levels[index].source.options.strategy)
        for index, _ in values_of(levels, "mid_stream")
    )
