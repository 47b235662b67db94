"""The table as text: its words and numbers, the timeline, and that nothing breaks the layout."""

from __future__ import annotations

from typing import Any

import pytest

from failover_iter.events import Exhausted, Switched, Waiting
from failover_iter.trace._attempts import Line, Remark, TracedAttempt
from failover_iter.trace._text import (
    SHOWN,
    WIDTH,
    clean,
    count,
    cut,
    cut_middle,
    outcome,
    render,
    seconds,
    share,
    width,
)
from support.traced import row


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def table(*lines: TracedAttempt | Remark) -> list[str]:
    text = render(list(lines), "utf-8").split("\n")
    assert all(width(line) <= WIDTH for line in text)
    return text


def bars(*lines: TracedAttempt) -> list[str]:
    """The bars, cut from the column in which the timeline starts."""
    head, *text = table(*lines)
    return [line[head.index(" 0 ") + 1 :] for line in text[: len(lines)]]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0ms"),
        (0.00001, "0ms"),
        (0.0004, "0.4ms"),
        (0.00994, "9.9ms"),
        (0.00996, "10ms"),
        (0.9994, "999ms"),
        (0.9996, "1.00s"),
        (9.994, "9.99s"),
        (9.996, "10.0s"),
        (99.94, "99.9s"),
        (99.96, "1m40s"),
        (3599.4, "59m59s"),
        (3599.6, "1h00m"),
        (86369, "23h59m"),
        (86371, "1d"),
        (1e9, "1.16e+04d"),
    ],
)
def test_seconds(value: float | None, text: str) -> None:
    """A duration below a second is shown in milliseconds, and a longer one in a few digits."""
    assert seconds(value) == text


@pytest.mark.parametrize(
    ("number", "text"), [(None, "-"), (0, "0"), (999_999, "999999"), (1_000_000, "1.0e+06")]
)
def test_count(number: int | None, text: str) -> None:
    """A number that is too long for its column is rounded, not cut."""
    assert count(number, 6) == text


@pytest.mark.parametrize(
    ("known", "text"),
    [
        ({}, "failed OSError: gone"),
        ({"error": KeyError()}, "failed KeyError"),
        ({"error": Unspeakable()}, "failed Unspeakable: (its message cannot be shown)"),
        ({"close_error": OSError("bad")}, "failed OSError: gone; closing it: OSError: bad"),
        ({"outcome": "completed", "error": None}, "completed"),
        ({"outcome": "running", "error": None}, "running"),
        ({"outcome": "closed", "error": None}, "closed"),
        ({"outcome": "closed", "error": GeneratorExit()}, "closed by the consumer"),
        ({"outcome": "closed", "error": KeyboardInterrupt()}, "closed by KeyboardInterrupt"),
    ],
)
def test_outcome(known: dict[str, Any], text: str) -> None:
    """The outcome of an attempt contains the type and the message of the error."""
    assert outcome(row(**known)) == text


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain text, zurück, 再試行", "plain text, zurück, 再試行"),
        (" a\r\n\tb\x0b\u2028c\u00a0d\x85", "a b c d"),
        ("\x1b[31mred\x1b[0m\x07", r"\x1b[31mred\x1b[0m\x07"),
        ("\u202eabc\u200b", r"\u202eabc\u200b"),
        ("\ud800", r"\ud800"),
    ],
)
def test_clean(text: str, cleaned: str) -> None:
    """White space becomes a single space, and control characters are escaped."""
    assert clean(text, 100) == cleaned


def test_clean_reads_no_more_than_needed() -> None:
    """Only the start of a long message is processed."""
    assert len(clean("x" * 10**7, 50)) == 51


@pytest.mark.parametrize(
    ("text", "columns"),
    [("", 0), ("abc", 3), ("再試", 4), ("e\u0301", 1), ("❤\ufe0f", 2), ("ﾊﾝ", 2), ("é", 1)],
)
def test_width(text: str, columns: int) -> None:
    """Wide characters occupy two columns, and combining marks none."""
    assert width(text) == columns


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("12345678", "12345678"),
        ("123456789", "12345..."),
        ("再試行再試", "再試..."),
        ("e\u0301" * 9, "e\u0301" * 5 + "..."),
    ],
)
def test_cut(text: str, shown: str) -> None:
    """Text that is too wide for eight columns ends in three dots, never in half a character."""
    assert cut(text, 8) == shown


@pytest.mark.parametrize(
    ("text", "dots", "shown"),
    [
        ("123456789", "…", "123456789"),
        ("1234567890", "…", "123456…90"),
        ("1234567890", "...", "1234...90"),
        ("replica-of-eu-west#2", "…", "replic…#2"),
        ("再試行再試行", "…", "再試行…行"),
        ("e\u0301" * 10, "…", "e\u0301" * 6 + "…" + "e\u0301" * 2),
        ("12345678a再\u0301b", "…", "1234567…b"),
    ],
)
def test_cut_middle(text: str, dots: str, shown: str) -> None:
    """Text that is too wide for nine columns keeps both ends, never half a character."""
    assert cut_middle(text, 9, dots) == shown


def test_empty() -> None:
    """An empty trace says so."""
    assert render([], "utf-8") == "no attempts yet"


def test_timeline() -> None:
    """A bar shows the pause before, the time until the first item, the delivery and the end."""
    found = bars(
        row(first=1.0, end=3.0),
        row(waited=2.0, start=5.0, end=6.0),
        row(start=6.0, first=8.0, end=10.0, outcome="completed", error=None),
    )
    width_of_bar = WIDTH - 1 - table(row())[0].index(" 0 ")
    assert 16 <= len(found[2]) <= width_of_bar
    for shown, pattern in zip(found, ("-=x", ".-x", "-=|"), strict=True):
        assert "".join(dict.fromkeys(shown.strip())) == pattern
    assert [len(shown) for shown in found] == sorted(len(shown) for shown in found)
    assert found[1].index(".") >= found[0].index("x")  # the pause starts after the failure
    assert found[2].index("-") == found[1].index("x")


def test_timeline_of_a_running_attempt() -> None:
    """The bar of a running attempt extends to the latest known moment."""
    first, second = bars(row(end=4.0), row(start=2.0, first=3.0, end=None, outcome="running"))
    assert second.endswith("=>")
    assert len(first) == len(second)


def test_timeline_without_length() -> None:
    """If no time has passed, each bar consists of its end mark only."""
    still = {"end": 0.0, "outcome": "closed", "error": None}
    assert bars(row(end=0.0), row(**still)) == ["x", "/"]
    assert share(0.0, 0.0) == 0.0


def test_a_clock_that_goes_back() -> None:
    """A bar whose end lies before its start is still drawn."""
    assert bars(row(start=5.0, first=9.0, end=1.0), row(end=9.0))[0].strip() == "x"
    assert share(-1.0, 2.0) == 0.0
    assert share(3.0, 2.0) == 1.0


def test_a_single_takeover_mode_is_shown_once() -> None:
    """If all takeovers used the same mode, one line shows it and leaves room for the errors."""
    text = table(row(), row(takeover="skip"), row(takeover="skip"))
    assert "takeover" not in text[0]
    assert text[-2] == "takeover: skip"


def test_several_takeover_modes_have_a_column() -> None:
    """If takeovers used different modes, each row shows its mode."""
    head, *text = table(row(), row(takeover="skip"), row(takeover="restart"))
    column = head.index("takeover")
    assert [line[column:].split()[0] for line in text[:3]] == ["failed", "skip", "restart"]
    assert len(text) == 4


def test_no_takeover() -> None:
    """If nothing was delivered before a failure, takeovers are not mentioned."""
    assert not any("takeover" in line for line in table(row(), row()))


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            Exhausted("a", 1, 5, 1.0, OSError("gone"), 2),
            "exhausted after 2 failures, 5 delivered: OSError: gone",
        ),
        (
            Exhausted("a", 1, 0, 1.0, OSError(), 1),
            "exhausted after 1 failure, 0 delivered: OSError",
        ),
        (Waiting("a", 1, 0, 1.0, OSError(), 2.5, None), "waiting 2.50s, then opening a"),
        (
            Switched("a", 1, 0, 1.0, "b", OSError(), 0.5, "resume"),
            "waiting 500ms, then opening b (takeover: resume)",
        ),
    ],
)
def test_remarks(event: Exhausted | Waiting | Switched, text: str) -> None:
    """Exhaustion and pauses have their own lines."""
    assert table(row(), Remark(1, 0, event))[2] == text
    assert table(row(), Remark(1, 2, event))[2] == "    " + text


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("utf-8", "a-very-lon…-name"), ("cp1252", "a-very-lon…-name"), ("ascii", "a-very-lo...name")],
)
@pytest.mark.parametrize("middle", [" and much too long", " long" * 10**6])
def test_long_names(encoding: str, shown: str, middle: str) -> None:
    """A name that is too long is shortened in the middle: names often differ only at the end."""
    text = render([row(source=f"a-very-long{middle}-name")], encoding)
    assert text.split("\n")[1].startswith(shown + "  ")


def test_several_streams_have_a_heading() -> None:
    """If there are several streams, a heading above each shows its number."""
    text = table(row(), row(stream=2, source="b"), row(stream=2, source="c"))
    assert [line.split()[0] for line in text[1:6]] == ["stream", "a", "stream", "b", "c"]
    assert text[3] == "stream 2:"


def test_groups_are_indented() -> None:
    """Rows of groups are indented, up to a limit."""
    text = table(*(row(depth=depth) for depth in (0, 1, 2, 3, 9)))
    assert [line.index("a") for line in text[1:6]] == [0, 2, 4, 6, 6]


def test_very_many_rows() -> None:
    """Of very many attempts, the first and the last are shown, with a count of the rest."""
    text = table(*(row(source=f"s{number}") for number in range(10_000)))
    assert len(text) == 2 * SHOWN + 3
    assert text[SHOWN + 1] == "... 9,960 attempts left out ..."
    assert [text[1][:5], text[SHOWN + 2][:5]] == ["s0   ", "s9980"]


def test_as_many_rows_as_fit() -> None:
    """If all rows fit, none is left out."""
    assert len(table(*[row()] * (2 * SHOWN))) == 2 * SHOWN + 2


@pytest.mark.parametrize("modes", [("skip", "skip"), ("restart", "resume")])
def test_the_widest_table(modes: tuple[str, str]) -> None:
    """Even if every column is too long, each line stays within the width, with its bar."""
    worst = {
        "source": "a long name " * 9,
        "attempt": 10**6 - 1,
        "depth": 5,
        "waited": 1e9,
        "start": 1e10,
        "first": 2e10,
        "end": 3e10,
        "delivered": 10**9 - 1,
        "error": OSError("再試行 " * 99),
    }
    text = table(*(row(**worst, takeover=mode) for mode in modes))
    assert all(line.endswith("x") and width(line) > 90 for line in text[1:3])


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_encodings(encoding: str) -> None:
    """Characters that the encoding lacks are escaped before the layout, in rows and remarks."""
    remark = Remark(1, 1, Exhausted("é", 1, 0, 1.0, OSError("再試行"), 1))
    lines: list[Line] = [row(source="é再", error=OSError("再試行")), remark]
    text = render(lines, encoding)
    text.encode(encoding)
    assert r"\u518d\u8a66\u884c" in text
    assert ("é\\u518d" in text) == (encoding == "cp1252")
    assert max(map(len, text.split("\n"))) <= WIDTH
