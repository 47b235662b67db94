"""`redis_stream` before its first entry: what is trimmed then is an error, on each server."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from failover_iter import DivergedStream
from failover_iter.sources import _redis_stream
from sources.redis_model import CASES, READS, Model, is_last

EMPTY: list[dict[str, Any]] = [{}, {"exists": True}, {"exists": True, "added": 2}]
each_flavour = pytest.mark.parametrize("flavour", READS)


#: The steps before it happen at once, before the next command.
LOOK = ("look", 0)


class Busy(Model):
    """A model on which all steps up to the next `LOOK` happen before a command."""

    def happen(self) -> None:
        while self.script and self.script[0] != LOOK:
            super().happen()
        super().happen()


class Watched(Model):
    """A model that counts as lost what goes once a reader has seen it, or could have."""

    has_answered = False

    def execute(self, after: str, count: int) -> list[Any]:
        answer = super().execute(after, count)
        if not self.has_answered:
            self.has_answered = True
            self.lost.clear()
            self.deleted.clear()
        return answer


@each_flavour
@given(case=CASES)
def test_what_is_trimmed_after_the_first_look_is_an_error(
    flavour: str, case: dict[str, Any]
) -> None:
    """Whatever is added, trimmed, deleted and broken, also before the first entry is delivered."""
    model = Watched([("wait", 0), *case["script"]], case["version"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_redis_stream, "COUNT", case["count"])
        result = READS[flavour](model, commit_when=case["commit_when"])
    lost = model.lost - {*model.delivered}
    if result.error is None:
        assert is_last(result.items[-1])
        assert not lost, "an entry lost"
        return
    assert isinstance(result.error, DivergedStream)
    if model.version >= 7 and not any(kind == "delete" for kind, _ in case["script"]):
        assert lost, "refused without a reason"


@each_flavour
@pytest.mark.parametrize("version", [6, 7])
@pytest.mark.parametrize("start", ["0", "$"])
@pytest.mark.parametrize("before", EMPTY)
@pytest.mark.parametrize("breaks", [[], [("break", 0)]])
def test_trimmed_while_the_first_entry_is_awaited(
    flavour: str, version: int, start: str, before: dict[str, Any], breaks: list[tuple[str, int]]
) -> None:
    """Entries that were added and trimmed are an error, also while the reader reconnects."""
    model = Model([("wait", 0), ("add", 5), *breaks, ("trim", 2)], version, **before)
    result = READS[flavour](model, start=start)
    assert (model.script, result.items) == ([], [])
    assert isinstance(result.error, DivergedStream)
    assert "unread entries were trimmed (3)" in str(result.error) or version == 6


@each_flavour
def test_the_first_entries_before_redis_7(flavour: str) -> None:
    """They are refused, because a server that does not count hides what was trimmed before them."""
    result = READS[flavour](Model([("wait", 0), ("add", 3)], 6))
    assert "a server before Redis 7 does not say how many" in str(result.error)
    assert READS[flavour](Model([("add", 3)], 6)).error is None, "a stream that has entries"


@each_flavour
@pytest.mark.parametrize("version", [6, 7])
def test_entries_that_were_seen_and_discarded(flavour: str, version: int) -> None:
    """An attempt may fail with entries that are held: they must still be there."""
    seen = [("add", 3), LOOK, ("break", 0)]
    result = READS[flavour](Busy([*seen, ("trim", 1)], version), commit_when=9)
    assert isinstance(result.error, DivergedStream)
    model = Busy([*seen, ("add", 6)], version)
    assert READS[flavour](model, commit_when=9).error is None
    assert model.delivered == [*range(1, 11)]


@each_flavour
@pytest.mark.parametrize("gone", [1, 2])
def test_deleted_and_trimmed_while_the_first_entry_is_awaited(flavour: str, gone: int) -> None:
    """One entry that somebody deletes does not hide others that were trimmed."""
    model = Busy([LOOK, LOOK, ("add", 4), ("delete", 4), ("trim", 4 - gone)], exists=True)
    result = READS[flavour](model)
    if gone == 1:
        assert (model.delivered, result.error) == ([1, 2, 3, 5], None)
    else:
        assert "unread entries were trimmed (1)" in str(result.error)


@each_flavour
@pytest.mark.parametrize("version", [6, 7])
def test_deleted_while_the_first_entry_is_awaited(flavour: str, version: int) -> None:
    """A stream that has disappeared has perhaps lost unread entries."""

    class Deleted(Model):
        def happen(self) -> None:
            super().happen()
            self.exists = bool(self.script)

    model = Deleted([("wait", 0), ("wait", 0), ("wait", 0)], version, added=2)
    assert "it no longer exists" in str(READS[flavour](model).error)


@each_flavour
def test_a_replica_that_is_behind_before_the_first_entry(flavour: str) -> None:
    """It has fewer entries than the first server had, of which none is lost."""

    class Replica(Model):
        def happen(self) -> None:
            if self.script == [("add", 0)]:
                self.added = 1
            super().happen()

    model = Replica([("wait", 0), ("break", 0), ("add", 0)], exists=True, added=2)
    assert READS[flavour](model).error is None
