"""`redis_stream`, in any case: never an entry twice, never one lost without an error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings

from failover_iter import DivergedStream
from failover_iter.sources import _redis_stream
from failover_iter.sources._redis_stream import _Reader
from failover_iter.sources._stream_position import Position
from sources.redis_model import CASES, READS, Model, is_last
from support.laws import SEARCH, each_mutant

#: Random cases rarely need the count: here it alone shows that nothing was lost.
COUNTED: dict[str, Any] = {
    "script": [("trim", 0), ("add", 1), ("trim", 0), ("add", 1), ("add", 1), ("trim", 0)],
    "version": 7,
    "commit_when": 1,
    "count": 1,
}


def check(case: dict[str, Any], flavour: str) -> None:
    """Each entry once; an error exactly if one was trimmed before it was read."""
    model = Model([*case["script"]], case["version"])
    can_delete = any(kind == "delete" for kind, _ in model.script)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_redis_stream, "COUNT", case["count"])
        result = READS[flavour](model, commit_when=case["commit_when"])
    assert model.delivered == sorted({*model.delivered}), "an entry twice, or out of order"
    first = model.delivered[0] if model.delivered else 0
    lost = {each for each in model.lost - {*model.delivered} if each > first}
    if result.error is None:
        assert is_last(result.items[-1])
        assert not lost, "an entry lost"
        unread = {*range(first, model.delivered[-1] + 1)} - {*model.delivered}
        assert unread <= model.deleted, "an entry lost"
        return
    assert isinstance(result.error, DivergedStream)
    if model.version >= 7 and not can_delete and case["commit_when"] == 1:
        assert lost, "refused without a reason"


@pytest.mark.parametrize("flavour", READS)
@given(case=CASES)
@example(case=COUNTED)
def test_never_an_entry_twice_never_one_lost(flavour: str, case: dict[str, Any]) -> None:
    """Whatever is added, trimmed, deleted and broken."""
    check(case, flavour)


def ignores_trimming(self: Position, *_: Any, **__: Any) -> None:
    """Takes what XREAD returns."""


def counts_nothing(self: Position, info: Any, new: Any, **options: Any) -> None:
    """Refuses a trimmed position, also where nothing was lost."""
    self._memo.clear()
    CHECK(self, info, new, **options)


def forgets_to_advance(self: Position, new: Any) -> None:
    """Reads the same entries again."""


def advances_one(self: Position, new: Any) -> None:
    """Goes on behind the first of the entries."""
    ADVANCE(self, new[:1])


def always_finds_the_last(self: Position, info: Any, entries: Any) -> Any:
    """Drops the first entry, as if it were always the one that was delivered."""
    return TAKE(self, info, entries)[1:]


def counts_what_it_yields(self: _Reader, progress: Any) -> Any:
    """Remembers where it is by what it has yielded."""
    at = progress.memo.get("at", progress.cursor)
    for item in ENTRIES(self, replace(progress, cursor=at)):
        if isinstance(item, tuple):
            progress.memo["at"] = item[0].decode()
        yield item


CHECK, ADVANCE, TAKE, ENTRIES = Position._check, Position.advance, Position.take, _Reader.entries
MUTANTS: list[Any] = [
    (Position, "_check", ignores_trimming),
    (Position, "advance", forgets_to_advance),
    (Position, "advance", advances_one),
    (Position, "take", always_finds_the_last),
    (_Reader, "entries", counts_what_it_yields),
]


@each_mutant(MUTANTS)
def test_the_law_kills_the_mutant(mutated: None) -> None:
    """Each wrong reader breaks it."""

    @settings(max_examples=2000, derandomize=True, **SEARCH)
    @given(case=CASES)
    def law(case: dict[str, Any]) -> None:
        check(case, "sync")

    with pytest.raises((AssertionError, IndexError, ExceptionGroup)):
        law()


@each_mutant([(Position, "_check", counts_nothing)])
def test_the_counted_case_kills_the_mutant(mutated: None) -> None:
    """Nothing but the count tells there that all is well."""
    with pytest.raises(AssertionError):
        check(COUNTED, "sync")
