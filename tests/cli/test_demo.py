"""The demo: its output, on a terminal and in a file."""

from __future__ import annotations

import logging
import os
import re
import threading
from io import StringIO

import pytest

import failover_iter
from failover_iter._cli import demo as _demo
from failover_iter._cli import demo_many
from failover_iter._cli.demo import SCENARIOS, demo
from support.commands import Terminal


def test_each_mode_works_over_real_sockets(capsys: pytest.CaptureFixture[str]) -> None:
    """The demo returns 0 and reports that all sixteen outcomes were the expected ones."""
    assert demo() == 0
    assert "16 of 16 outcomes as expected" in capsys.readouterr().out


def test_it_says_what_was_delivered_and_how_it_differs(printed: str) -> None:
    """Each mode is described in plain words, sync and async."""
    assert printed.count("no: lines 1-4 delivered twice, as expected") == 2
    assert printed.count("no: stopped after 4 lines with ConnectionResetError, as expected") == 2
    assert printed.count("same as the original: yes, as expected") == 10
    assert printed.count("delivered: 13 lines: 1-4, then 1-9") == 2
    assert printed.count("failed: TruncatedStream: primary ended before") == 2
    timeout = "failed: SourceTimeout: primary produced no item for 0.25 s"
    assert " ".join(printed.split()).count(timeout) == 2
    blocking, with_asyncio = printed.split("=== afailover_stream")
    assert "5. mid_stream=Decide(...)\n" in blocking
    assert "5. mid_stream=Decide(...)\n" in with_asyncio


def test_each_scenario_shows_its_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace of each stream is printed below its scenario."""

    def show(trace: failover_iter.Trace, columns: str) -> str:
        return f"trace of {len(trace.events)} events\n{columns} columns"

    monkeypatch.setattr(failover_iter.Trace, "__format__", show)
    out = StringIO()
    demo(out)
    assert out.getvalue().count("\ntrace of 7 events\n100 columns\n") == 12
    assert out.getvalue().count("\ntrace of 3 events\n100 columns\n") == 2


def test_log_lines_are_printed_and_the_logger_is_restored() -> None:
    """Log messages are printed with their scenario, and no handler is left behind."""
    logger = logging.getLogger("failover_iter")
    before = list(logger.handlers)
    out = StringIO()
    demo(out)
    assert out.getvalue().count("log:       warning: primary (attempt 1) failed: ") == 12
    assert logger.handlers == before


def test_it_fits_into_100_columns(printed: str) -> None:
    """No line is wider than a terminal of 100 columns."""
    assert max(len(line) for line in printed.splitlines()) <= 100


def test_colours_on_a_terminal(screen: Terminal) -> None:
    """On a terminal, what, and nothing is red."""
    demo(screen)
    assert screen.getvalue().count("\x1b[32mas expected\x1b[0m") == 16
    assert "\x1b[31m" not in screen.getvalue()


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_no_colours_if_they_are_not_wanted(
    screen: Terminal, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """NO_COLOR and a dumb terminal are respected."""
    monkeypatch.setenv(name, value)
    demo(screen)
    assert "\x1b" not in screen.getvalue()


def test_no_colours_in_a_file(printed: str) -> None:
    """Output that does not go to a terminal contains no colour codes."""
    assert "\x1b" not in printed


def test_no_colours_in_the_old_windows_console(
    screen: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old Windows console, which would print the codes themselves, receives none."""
    monkeypatch.delenv("WT_SESSION")
    with monkeypatch.context() as patched:
        patched.setattr(os, "name", "nt")
        coloured = _demo._has_colours(screen)
    assert not coloured


def test_nothing_is_left_running() -> None:
    """When the demo ends, the servers' threads have ended; the stalled one ends soon after."""
    before = set(threading.enumerate())
    demo(StringIO())
    for thread in threading.enumerate():
        if thread.name.startswith("failover_iter: "):
            thread.join()
    assert set(threading.enumerate()) <= before


def test_one_mode_read_along() -> None:
    """`--mode` shows the scenarios of one mode, `--slow` waits after each, a table ends it."""
    out, pauses = StringIO(), list[float]()
    assert demo(out, mode="resume", pause=pauses.append) == 0
    assert pauses == [1.0] * 6
    table = out.getvalue().split("as expected  ")[-1].splitlines()
    assert [line.split()[-2:] for line in table[1:4]] == [["yes", "yes"]] * 3
    assert table[4] == ""
    assert 'mid_stream="skip"' not in out.getvalue()


def test_many_streams(printed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten streams open a sick primary 30 times, or 3 times with a health; a slow one is hedged."""
    assert "without health: primary was opened 30 times" in printed
    assert "with health: primary was opened 3 times, as expected" in printed
    assert "superseded by replica" in printed
    table = printed.rsplit("as expected  ", maxsplit=1)[-1].splitlines()
    assert [line.split()[-2:] for line in table[8:10]] == [["yes", "-"], ["-", "yes"]]
    assert [line.split(":")[0] for line in table[8:10]] == ["health", "hedge"]
    monkeypatch.setattr(_demo, "SCENARIOS", SCENARIOS[:1])
    monkeypatch.setattr(demo_many, "_ATTEMPTS", 2)
    out, pauses = StringIO(), list[float]()
    monkeypatch.setattr(demo_many, "Health", lambda **_: None)
    assert demo(out, pause=pauses.append) == 1
    assert "with health: primary was opened 20 times, NOT as expected" in out.getvalue()
    assert pauses == [1.0] * 4


@pytest.mark.parametrize(("columns", "widest"), [("40", 60), ("60", 60), ("80", 80), ("120", 100)])
def test_it_fits_into_the_terminal(
    screen: Terminal, monkeypatch: pytest.MonkeyPatch, columns: str, widest: int
) -> None:
    """On a terminal, text and tables have its width; a verdict stays in one line."""
    monkeypatch.setenv("COLUMNS", columns)
    demo(screen)
    text = re.sub(r"\x1b\[\d+m", "", screen.getvalue())
    assert max(map(len, text.splitlines())) <= widest
    assert text.count("as expected") == 16 + 2
    assert "\x1b[32mas expected\x1b[0m" in screen.getvalue()
    assert "\xa0" not in text
