"""The sources of the pages lose nothing and repeat nothing, whatever options a user adds."""

from __future__ import annotations

import re
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from support.needs import needs, unless_installed

PAGES = Path(__file__).parents[1] / "docs" / "how-to"
BLOCK = re.compile(r"```python\n(.*?)```", re.DOTALL)
PANDAS = unless_installed("pandas", "polars")


def run(page: str, *changes: tuple[str, str]) -> dict[str, Any]:
    """Run all blocks of a page, with some text replaced; the page checks its own results."""
    text = "\n".join(BLOCK.findall((PAGES / page).read_text("utf-8")))
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    namespace: dict[str, Any] = {}
    exec(compile(text, page, "exec"), namespace)
    return namespace


@pytest.mark.parametrize(
    ("page", "option"),
    [("download.md", "mid_stream=Resume("), ("feed.md", "mid_stream=Resume(start=None, advance")],
)
@pytest.mark.parametrize("held", [2, 3])
def test_held_items_are_not_lost(page: str, option: str, held: int) -> None:
    """Items that `commit_when` holds back and discards are yielded again."""
    run(page, (option, f"commit_when={held}, {option}"))


@pytest.mark.parametrize("page", [pytest.param("dataframes.md", marks=PANDAS)])
@pytest.mark.parametrize("at", range(10, 60, 8))
def test_rows_of_a_disk_that_dies_anywhere(page: str, at: int) -> None:
    """Each row once, wherever the file breaks off, held or not, at the first pass and the next."""
    for held in (1, 2):
        changes = (
            ("self.tell() > 30", f"self.tell() > {at}"),
            ("mid_stream=rows", f"mid_stream=rows, commit_when={held}"),
        )
        found = run(page, *changes)
        reader, pandas = found["reader"], needs("pandas")
        for _ in range(2):
            assert list(pandas.concat(reader)["id"]) == list(range(10))


class Consumers:
    """A Redis with a consumer group of six entries; the answer to one XACK is lost."""

    def __init__(self, error: Exception) -> None:
        self.new, self.pending, self.lost = list(range(6)), list[int](), [error]

    def xreadgroup(self, _group: str, _name: str, streams: Any, count: int, **_: Any) -> Any:
        ((key, last),) = streams.items()
        if last != "0":
            found, self.new = self.new[:2], self.new[2:]
            self.pending += found
        found = self.pending[:count] if last == "0" else found
        return [(key, [(number, {}) for number in found])]

    def xack(self, _key: str, _group: str, number: int) -> None:
        if number == 2 and self.lost:
            raise self.lost.pop()
        self.pending.remove(number)


@pytest.mark.parametrize("page", ["../sources/redis-stream.md"], ids=["redis-stream.md"])
def test_a_consumer_group_gets_each_entry(page: str) -> None:
    """The entry whose acknowledgement was lost comes twice, the others once."""
    redis = needs("redis")
    client = Consumers(redis.ConnectionError("reset by peer"))
    jobs = run(page)["jobs"](client, "jobs", "workers", "a")
    assert [number for number, _ in islice(jobs, 7)] == [0, 1, 2, 2, 3, 4, 5]


def test_the_pages_show_each_name() -> None:
    """No page about sources has code that the reader does not see."""
    pages = ["download.md", "feed.md", "dataframes.md", "pagers.md", "kafka.md"]
    paths = [*(PAGES / page for page in pages), *(PAGES.parent / "sources").glob("*.md")]
    assert [path.name for path in paths if "invisible" in path.read_text("utf-8")] == []


def test_programs_are_short() -> None:
    """The first program of each page about a source has at most twelve lines."""
    for path in [*(PAGES.parent / "sources").glob("*.md"), PAGES / "download.md"]:
        lines = [line for line in BLOCK.findall(path.read_text("utf-8"))[0].splitlines() if line]
        assert len(lines) <= 12, path.name
