"""The demo reports each outcome that is not the expected one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from io import StringIO
from typing import Any

import pytest

from failover_iter._cli import demo as _demo
from failover_iter._cli.demo import SCENARIOS, Outcome, Scenario, demo
from failover_iter._cli.demo_servers import CUT, TEXT
from support.commands import Terminal


def scenario_like(title: str, **changes: Any) -> Scenario:
    """A scenario of the demo with these changes."""
    return replace(next(each for each in SCENARIOS if title in each.title), **changes)


UNEXPECTED = [
    (
        scenario_like("restart", lines=TEXT),
        "no: lines 1-4 delivered twice, NOT as expected\n   expected:  9 lines: 1-9\n",
    ),
    (
        scenario_like("raise", path="/whole"),
        "yes, NOT as expected\n   expected:  4 lines: 1-4, then the error of the source\n",
    ),
    (
        scenario_like("complete_when", complete_when=None),
        "no: lines 5-9 missing, NOT as expected\n   expected:  9 lines: 1-9\n",
    ),
    (
        scenario_like("skip", mid_stream="nonsense"),
        "no: stopped after 0 lines with ValueError, NOT as expected\n",
    ),
    (
        scenario_like("raise", mid_stream="nonsense", lines=()),
        "no: stopped after 0 lines with ValueError, NOT as expected\n   expected:  nothing, then",
    ),
]


@pytest.mark.parametrize(("scenario", "printed"), UNEXPECTED)
def test_an_unexpected_outcome_is_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, scenario: Scenario, printed: str
) -> None:
    """An unexpected outcome is printed with the expected one, and the exit code is 1."""
    monkeypatch.setattr(_demo, "SCENARIOS", (scenario, *SCENARIOS[2:3]))
    out = StringIO()
    assert demo(out) == 1
    assert out.getvalue().count(printed) == 2
    assert "4 of 6 outcomes as expected" in out.getvalue()


def test_an_unexpected_error_is_shown_in_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """The output contains the whole error."""
    monkeypatch.setattr(_demo, "SCENARIOS", (scenario_like("skip", mid_stream="nonsense"),))
    out = StringIO()
    demo(out)
    assert out.getvalue().count('   error:     ValueError("mid_stream must be ') == 2


def test_an_unexpected_outcome_is_red(screen: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal, an unexpected outcome is red."""
    monkeypatch.setattr(_demo, "SCENARIOS", (scenario_like("restart", lines=TEXT),))
    demo(screen)
    assert screen.getvalue().count("\x1b[31mNOT as expected\x1b[0m") == 2


def test_the_error_must_be_the_expected_one() -> None:
    """The right lines with a surplus, a missing or a wrong error are not the expected outcome."""
    whole, raising = scenario_like("skip"), scenario_like("raise")
    reset = ConnectionResetError()
    assert Outcome(lines=[*TEXT]).is_expected(whole)
    assert not Outcome(lines=[*TEXT], error=reset).is_expected(whole)
    assert Outcome(lines=[*TEXT[:CUT]], error=reset).is_expected(raising)
    assert not Outcome(lines=[*TEXT[:CUT]]).is_expected(raising)
    assert not Outcome(lines=[*TEXT[:CUT]], error=ValueError()).is_expected(raising)


@pytest.mark.parametrize(
    ("lines", "text"),
    [
        (TEXT, "yes"),
        ((*TEXT[:2], *TEXT[1:-1]), "no: lines 2 delivered twice and lines 9 missing"),
        (TEXT[::-1], "no: not the same lines in the same order"),
        ((*TEXT, "something else"), "no: not the same lines in the same order"),
    ],
)
def test_it_says_how_the_lines_differ(lines: Sequence[str], text: str) -> None:
    """Repeated, missing, reordered and foreign lines are reported."""
    assert _demo._comparison(Outcome(lines=[*lines])) == text


def test_lines_are_shown_as_ranges() -> None:
    """Consecutive lines are shown as a range, and a line that is not in the text as -1."""
    lines = [*TEXT[:2], TEXT[4], "?", *TEXT[7:]]
    assert _demo._count(lines) == "6 lines: 1-2, then 5, then -1, then 8-9"
    assert _demo._count([]) == "nothing"
