"""Commit, empty, complete: what each level asks of its source, decided in one place.

A group is one source to the outer level, so each level is asked, the innermost first. The source of
the first level that is not satisfied has failed. What a `Source` sets itself is meant for that
source alone: the outer levels are not asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from failover_iter._core.usage import as_bool
from failover_iter.errors import EmptyStream, SourceError, TruncatedStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from failover_iter._core.attempt import Attempt
    from failover_iter._core.groups import Level


def values_of(levels: Sequence[Level], option: str) -> Iterator[tuple[int, Any]]:
    """The values of an option that hold for the open source, each with the index of its level."""
    for index in range(len(levels) - 1, -1, -1):
        source = levels[index].source
        yield index, getattr(source.options, option)
        if option in source.own:
            return


def commit_conditions(levels: Sequence[Level]) -> list[Any]:
    """The conditions of a commit, each once. The first item is always one of them."""
    if len(levels) == 1:
        commit_when = levels[0].source.options.commit_when
        return [] if _is_one(commit_when) else [commit_when]
    conditions: list[Any] = []
    for _, commit_when in values_of(levels, "commit_when"):
        if not (_is_one(commit_when) or _is_in(conditions, commit_when)):
            conditions.append(commit_when)
    return conditions


def find_shortfall(levels: Sequence[Level], attempt: Attempt) -> tuple[int, SourceError] | None:
    """Which level asks for more than this source, which ended before it committed."""
    for index, allows_empty in values_of(levels, "allow_empty"):
        if not (allows_empty or _has_committed(levels[index], attempt)):
            how = "before commit_when was met" if attempt.received else "without an item"
            return index, EmptyStream(f"{levels[index].source.name} ended {how}")
    diverged = attempt.ended_short()
    return None if diverged is None else (len(levels) - 1, diverged)


def _has_committed(level: Level, attempt: Attempt) -> bool:
    """Whether the source of a level has met the `commit_when` of that level."""
    if level.committed:
        return True
    commit_when = level.source.options.commit_when
    return attempt.received > 0 and not _is_in(attempt.unmet, commit_when)


def find_cut(levels: Sequence[Level], attempt: Attempt) -> tuple[int, SourceError] | None:
    """Which level is not complete with the last item since the last restart."""
    if len(levels) == 1:  # as most streams
        options = levels[0].source.options
        if options.complete_when is None and options.expect_items is None:
            return None
    items, count = attempt.delivered.items, attempt.delivered.count
    # A restart that delivered nothing has not begun: what was delivered is to be thrown away.
    is_cut = attempt.mode == "restart" and not levels[-1].committed
    return _find_missing(levels, 0 if is_cut else count) or _find_unmet(
        levels, () if is_cut else items
    )


def _find_missing(levels: Sequence[Level], count: int) -> tuple[int, SourceError] | None:
    """Which level expects more items than were delivered."""
    for index, expected in values_of(levels, "expect_items"):
        if expected is not None and count < expected:
            name = levels[index].source.name
            text = f"{name} ended when {count} of {expected} items were delivered (expect_items)"
            return index, TruncatedStream(text)
    return None


def _find_unmet(levels: Sequence[Level], items: Sequence[Any]) -> tuple[int, SourceError] | None:
    """Which level has a `complete_when` that the last item does not meet."""
    asked: list[Any] = []
    for index, complete_when in values_of(levels, "complete_when"):
        if complete_when is None or _is_in(asked, complete_when):
            continue
        asked.append(complete_when)
        if not items or not as_bool("complete_when", complete_when(items[-1])):
            name = levels[index].source.name
            return index, TruncatedStream(f"{name} ended before complete_when was met")
    return None


def find_limit(levels: Sequence[Level]) -> tuple[int, int] | None:
    """How many items the stream may have, and which level says so: the innermost of several."""
    if len(levels) == 1 and levels[0].source.options.expect_items is None:
        return None  # as most streams
    limit: tuple[int, int] | None = None
    for index, expected in values_of(levels, "expect_items"):
        if expected is not None and (limit is None or expected < limit[0]):
            limit = expected, index
    return limit


def _is_one(commit_when: Any) -> bool:
    """Whether this is the number 1, and not a function that says so."""
    return isinstance(commit_when, int) and commit_when == 1


def _is_in(conditions: list[Any], condition: Any) -> bool:
    """Whether this number or this very function is among them."""
    return any(
        each is condition or (isinstance(each, int) and each == condition) for each in conditions
    )
