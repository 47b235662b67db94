"""The table as HTML: well-formed, escaped, and without scripts and style sheets."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from failover_iter.events import Exhausted
from failover_iter.trace._attempts import Remark, TracedAttempt
from failover_iter.trace._html import render
from support.traced import row

HOSTILE = "<script>alert(1)</script>\"'&amp;\x1b[31m\n</td><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """The content that a browser would find. Fails if tags are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.titles: list[str] = []
        self.styles: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.append(tag)
        self.attributes |= dict(attrs).keys()
        self.titles += [value or "" for name, value in attrs if name == "title"]
        self.styles += [value or "" for name, value in attrs if name == "style"]
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "tr" in self.open:
            self.rows[-1][-1] += data


def parts(*lines: TracedAttempt | Remark) -> list[list[tuple[float, float]]]:
    """The parts of each bar, as start and width in percent."""
    found = [
        tuple(map(float, pair))
        for style in Page(render(list(lines))).styles
        for pair in re.findall(r"left:([\d.]+)%;width:([\d.]+)%", style)
    ]
    return [found[start : start + 4] for start in range(0, len(found), 4)]  # type: ignore[misc]


def test_empty() -> None:
    """An empty trace says so."""
    assert render([]) == "<div>no attempts yet</div>"


def test_table() -> None:
    """There is one row per attempt, with all columns, and a line for each remark."""
    end = Remark(1, 0, Exhausted("b", 1, 2, 3.0, OSError("gone"), 2))
    known = {"start": 1.5, "end": 3.0, "takeover": "restart"}
    page = Page(render([row(first=0.25, delivered=2), row(source="b", **known), end]))
    assert page.rows == [
        ["source", "#", "start", "first", "end", "delivered", "takeover", "outcome", "03.00s"],
        ["a", "1", "0ms", "250ms", "1.00s", "2", "", "failed OSError: gone", ""],
        ["b", "1", "1.50s", "-", "3.00s", "0", "restart", "failed OSError: gone", ""],
        ["exhausted after 2 failures, 2 delivered: OSError: gone"],
    ]


def test_nothing_but_tables_and_inline_style() -> None:
    """Whatever names and errors contain, only the table's own tags and attributes appear."""
    remark = Remark(1, 1, Exhausted(HOSTILE, 1, 2, 3.0, OSError(HOSTILE), 2))
    html = render([row(source=HOSTILE, error=OSError(HOSTILE), depth=1), remark])
    page = Page(html)
    assert set(page.tags) == {"div", "table", "thead", "tbody", "tr", "th", "td", "span"}
    assert page.attributes == {"style", "title", "scope", "colspan"}
    assert "\x1b" not in html
    assert page.rows[1][0].startswith("\xa0\xa0")
    assert "<script>alert(1)</script>" in page.rows[1][0]


def test_full_error_in_the_title() -> None:
    """The titles of the bar, and of a cell that was cut, contain the whole error."""
    message = "first line\n" + "second line " * 30
    page = Page(render([row(error=OSError(message))]))
    assert page.titles == [f"failed OSError: {message.strip()}"] * 2
    assert page.rows[1][7].endswith("...")
    assert len(page.rows[1][7]) == 60


def test_long_names() -> None:
    """A name that is too long is shortened in the middle, and a title contains all of it."""
    name = "a-very-long" + "-and-much-too-long" * 20 + "-name"
    page = Page(render([row(source=name)]))
    assert page.titles[0] == name
    shown = page.rows[1][0]
    assert (shown[:11], shown[-5:], len(shown)) == ("a-very-long", "-name", 60)
    assert "…" in shown


def test_short_text_has_no_title() -> None:
    """If the cells show everything, only the bar has a title."""
    assert Page(render([row()])).titles == ["failed OSError: gone"]


def test_bounded() -> None:
    """The page has a bounded size even with a huge message and very many attempts."""
    rows = [row(source="x" * 10**6, error=OSError("y" * 10**6))] * 10_000
    assert len(render(rows)) < 1_000_000


def test_bars() -> None:
    """Pause, opening, delivery and end follow each other on the common timeline."""
    first, second, third = parts(
        row(first=1.0, end=4.0),
        row(waited=1.0, start=5.0, end=6.0),
        row(start=6.0, first=8.0, end=None, outcome="running", error=None),
    )
    assert first == [(0, 0), (0, 12.5), (12.5, 37.5), (50, 0)]
    assert second == [(50, 12.5), (62.5, 12.5), (75, 0), (75, 0)]
    assert third == [(75, 0), (75, 25), (100, 0), (100, 0)]


@pytest.mark.parametrize("known", [{"end": 0.0}, {"start": 5.0, "end": 1.0}])
def test_bars_without_length(known: dict[str, float]) -> None:
    """No width is negative, and a timeline of length 0 does not cause a division by zero."""
    assert all(0 <= left <= 100 and width == 0 for (left, width) in parts(row(**known))[0])


def test_lone_surrogates() -> None:
    """The page can be encoded, whatever a name contains."""
    render([row(source="\udc80", error=OSError("\ud800"))]).encode()
