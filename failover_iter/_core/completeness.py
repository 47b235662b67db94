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
    if len(levels) == 1 and levels[0].source.options.complete_when is None:
        return None  # as most streams
    items = attempt.delivered.items
    # A restart that delivered nothing has not begun: what was delivered is to be thrown away.
    is_cut = not items or (attempt.mode == "restart" and not levels[-1].committed)
    asked: list[Any] = []
    for index, complete_when in values_of(levels, "complete_when"):
        if complete_when is None or _is_in(asked, complete_when):
            continue
        asked.append(complete_when)
        if is_cut or not as_bool("complete_when", complete_when(items[-1])):
            name = levels[index].source.name
            return index, TruncatedStream(f"{name} ended before complete_when was met")
    return None


def _is_one(commit_when: Any) -> bool:
    """Whether this is the number 1, and not a function that says so."""
    return isinstance(commit_when, int) and commit_when == 1


def _is_in(conditions: list[Any], condition: Any) -> bool:
    """Whether this number or this very function is among them."""
    return any(
        each is condition or (isinstance(each, int) and each == condition) for each in conditions
    )
