"""Cursors as JSON, and cursors that change in place: which ones a checkpoint saves."""

from __future__ import annotations

import datetime as dt
import pickle
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from failover_iter import Bookmark, Checkpoint, Resume

from .memory import Disk
from .streams import stream


def test_cursors_that_json_does_not_keep(tmp_path: Path) -> None:
    """A cursor that JSON changes is refused at the first save; dumps and loads help."""
    strategy = Resume(start=(0, 0), advance=lambda at, item: (item + 1, 0))

    def source(progress: Any) -> Iterator[int]:
        yield from range(progress.cursor[0], 3)

    path = tmp_path / "state"
    items = stream(Checkpoint(path, every=0), source, mid_stream=strategy)
    next(items)
    with pytest.raises(TypeError, match="a tuple becomes a list; pass dumps and loads"):
        next(items)
    how: dict[str, Any] = {
        "dumps": lambda cursor: pickle.dumps(cursor).hex(),
        "loads": lambda text: pickle.loads(bytes.fromhex(text)),
    }
    items = stream(Checkpoint(path, every=0, **how), source, mid_stream=strategy)
    next(items), next(items)
    items.close()
    items = stream(Checkpoint(path, **how), source, mid_stream=strategy)
    assert list(items) == [1, 2]
    items = stream(Checkpoint(tmp_path / "b", every=0, dumps=pickle.dumps), source,  # type: ignore[arg-type]
                   mid_stream=strategy)  # fmt: skip
    next(items)
    with pytest.raises(TypeError, match="^dumps must return a str, got bytes"):
        next(items)


@pytest.mark.parametrize(
    "value",
    [
        7,
        "x",
        b"\x00\xff",
        Decimal("1.50"),
        UUID(int=7),
        dt.date(2026, 1, 31),
        dt.datetime(2026, 1, 31, 12, 0, 0, 1),  # noqa: DTZ001 (as of a column without a zone)
        dt.datetime(2026, 1, 31, tzinfo=dt.UTC),
        dt.datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        dt.time(12, 30),
        dt.time(12, 30, tzinfo=dt.timezone(dt.timedelta(hours=1))),
        {"failover_iter": "date"},
    ],
    ids=repr,
)
def test_cursors_with_the_values_of_databases(tmp_path: Path, value: Any) -> None:
    """The keys of rows need no dumps and loads: in the next process they are equal."""
    for cursor in (value, [value, 1]):
        path = tmp_path / type(cursor).__name__
        checkpoint = Checkpoint(path, auto=False)
        checkpoint.done(cursor)
        checkpoint.close()
        following = Checkpoint(path)
        saved = following.open()
        following.close()
        assert saved is not None
        assert str(saved.cursor) == str(cursor)
        assert saved.cursor == cursor


def test_a_cursor_of_another_type(tmp_path: Path) -> None:
    """It is refused, also if it is a kind of date: it would lose what it adds."""

    class Day(dt.date):
        """A day that knows more."""

    checkpoint = Checkpoint(tmp_path / "state", auto=False)
    for value in (Day(2026, 1, 1), 1j):
        name = type(value).__name__
        with pytest.raises(TypeError, match=f"^a cursor with a {name} cannot be saved as JSON: "):
            checkpoint.done([value])


def test_cursors_that_are_changed_in_place() -> None:
    """Neither `advance` nor the source can change what is to be saved."""

    def note(cursor: dict[str, int], item: int) -> dict[str, int]:
        cursor["next"] = item + 1
        return cursor

    def folded(progress: Any) -> Iterator[int]:
        for number in range(progress.cursor["next"], 5):
            progress.cursor["next"] = number + 1
            yield number

    def marked(progress: Any) -> Iterator[Any]:
        state = progress.cursor
        for number in range(state["next"], 5):
            state["next"] = number + 1
            yield number
            yield Bookmark(state)

    for source, change in ((folded, note), (marked, None)):
        disk = Disk()
        how: Any = {"mid_stream": Resume(start={"next": 0}, advance=change)}
        items = stream(Checkpoint(store=disk.store(), every=0), source, **how)
        assert [next(items), next(items), next(items)] == [0, 1, 2]
        saved = disk.text
        items.close()
        killed = Disk()
        killed.text = saved
        assert list(stream(Checkpoint(store=killed.store()), source, **how)) == [2, 3, 4]
        assert list(stream(Checkpoint(store=disk.store()), source, **how)) == [2, 3, 4]


@pytest.mark.parametrize(
    ("cursor", "becomes"), [((1, 0), "a tuple becomes a list"), ([(1, 0)], "a list becomes")]
)
def test_a_cursor_that_json_changes_later(cursor: Any, becomes: str) -> None:
    """It is checked as the first one was."""
    strategy = Resume(start=[], advance=lambda at, item: cursor if item else [item])
    items = stream(
        Checkpoint(store=Disk().store(), every=0), lambda _: iter(range(5)), mid_stream=strategy
    )
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(TypeError, match=becomes):
        next(items)
