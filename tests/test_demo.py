"""The demo and the command line: their output, and that an unexpected outcome is reported."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import runpy
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

import failover_iter
from failover_iter import Progress, __main__
from failover_iter._cli import demo as _demo
from failover_iter._cli import demo_many
from failover_iter._cli.demo import SCENARIOS, Outcome, Scenario, demo
from failover_iter._cli.demo_servers import CUT, TEXT, TextServer, afetch, fetch, serving

HOME = Path(failover_iter.__file__).parents[1]


class Terminal(StringIO):
    """A file object that claims to be a terminal."""

    def isatty(self) -> bool:
        """Claim to be a terminal."""
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal with colours, whatever the tests run in."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("WT_SESSION", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


@pytest.fixture
def server() -> Iterator[TextServer]:
    """One running server."""
    with serving() as running:
        yield running


def scenario_like(title: str, **changes: Any) -> Scenario:
    """A scenario of the demo with these changes."""
    return replace(next(each for each in SCENARIOS if title in each.title), **changes)


@pytest.fixture(scope="module")
def printed() -> str:
    """The output of the demo, written to a file."""
    out = StringIO()
    demo(out)
    return out.getvalue()


# The output.


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
        if thread.name.startswith("failover_iter"):
            thread.join()
    assert set(threading.enumerate()) <= before


# Unexpected outcomes.


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


# The servers and the clients.


def raw(server: TextServer, path: str) -> socket.socket:
    """A connection that has requested this path."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=5)
    connection.sendall(f"GET {path}?from=0 HTTP/1.1\r\n\r\n".encode())
    return connection


def read_until(connection: socket.socket, mark: str) -> bytes:
    """Read up to and including the mark."""
    data = b""
    while mark.encode() not in data:
        data += connection.recv(4096)
    return data


def test_the_reset_is_a_real_one(server: TextServer) -> None:
    """The kernel reports the reset. An end of file would return b""."""
    with raw(server, "/reset") as connection:
        read_until(connection, f"{TEXT[CUT - 1]}\n\r\n")
        server.note(TEXT[CUT - 1])
        with pytest.raises(ConnectionError):
            assert connection.recv(1) is None, "an end of file instead of a reset"


def test_the_early_end_is_a_clean_one(server: TextServer) -> None:
    """The connection is closed normally, and nothing shows that the text was truncated."""
    with raw(server, "/early") as connection:
        data = read_until(connection, TEXT[CUT - 1]) + connection.recv(4096)
        while more := connection.recv(4096):
            data += more
    assert data.endswith("".join(f"{line}\n" for line in TEXT[:CUT]).encode())
    assert b"Transfer-Encoding" not in data
    assert b"Content-Length" not in data


@pytest.mark.parametrize("start", [0, CUT, len(TEXT)])
def test_a_client_resumes_at_the_requested_line(server: TextServer, start: int) -> None:
    """Both clients receive the missing lines, even if none are missing."""
    progress = Progress(delivered=start)

    async def collect() -> list[str]:
        async with aclosing(afetch(server, "/whole", progress)) as lines:
            return [line async for line in lines]

    assert tuple(fetch(server, "/whole", progress)) == TEXT[start:]
    assert tuple(asyncio.run(collect())) == TEXT[start:]


def test_a_client_that_is_closed_early_closes_its_connection(server: TextServer) -> None:
    """Closed mid-stream, both clients leave nothing open (a ResourceWarning is an error here)."""

    async def first_line() -> str:
        async with aclosing(afetch(server, "/whole")) as lines:
            return await anext(lines)

    lines = fetch(server, "/whole")
    assert next(lines) == TEXT[0]
    lines.close()
    assert asyncio.run(first_line()) == TEXT[0]


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


# The command line.


def test_without_a_command_it_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a command, the exit code is 2 and the message names a command."""
    assert __main__.main([]) == 2
    message = capsys.readouterr().err
    assert message.startswith("usage: failover-iter")
    assert "failover-iter demo" in message


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown command exits with 2."""
    with pytest.raises(SystemExit) as stopped:
        __main__.main(["dmeo"])
    assert stopped.value.code == 2
    assert "dmeo" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "text"), [(["--help"], "demo"), (["demo", "--help"], "exit code is 1")]
)
def test_help(capsys: pytest.CaptureFixture[str], argv: list[str], text: str) -> None:
    """--help describes the command and its exit code."""
    with pytest.raises(SystemExit) as stopped:
        __main__.main(argv)
    assert stopped.value.code == 0
    assert text in " ".join(capsys.readouterr().out.split())


def test_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """--version prints the version of the installed package."""
    monkeypatch.setattr(__main__, "version", {"failover-iter": "1.2.3"}.get)
    with pytest.raises(SystemExit) as stopped:
        __main__.main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == "failover-iter 1.2.3\n"


def test_version_if_it_is_not_installed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a checkout that is not installed, --version says so and does not fail."""

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(__main__, "version", version)
    with pytest.raises(SystemExit):
        __main__.main(["--version"])
    assert capsys.readouterr().out == "failover-iter (not installed)\n"


@pytest.mark.parametrize("code", [0, 1])
def test_the_exit_code_is_that_of_the_demo(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """The return value of the demo is the exit code of the command."""
    monkeypatch.setattr(_demo, "demo", lambda **_: code)
    monkeypatch.setattr(sys, "argv", ["failover-iter", "demo"])
    with pytest.raises(SystemExit) as stopped:
        runpy.run_path(__main__.__file__, run_name="__main__")
    assert stopped.value.code == code


def test_a_closed_pipe_is_not_a_traceback(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Piped into `head`, the command exits quietly, with the exit code of SIGPIPE."""

    def write_to_closed_pipe(**_: object) -> int:
        raise BrokenPipeError

    monkeypatch.setattr(_demo, "demo", write_to_closed_pipe)
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        assert __main__.main(["demo"]) == 141
        out.write("flushed at the exit")
    assert (tmp_path / "out").read_text() == ""


def test_python_m_in_under_five_seconds() -> None:
    """`python -m failover_iter demo` exits with 0, without warnings, leaks or output to stderr."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-m", "failover_iter", "demo"]
    env = os.environ | {"PYTHONPATH": str(HOME), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        command, env=env, capture_output=True, encoding="utf-8", timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    summary = re.search(r"16 of 16 outcomes as expected, in (\d+\.\d+) s", done.stdout)
    assert summary is not None
    assert float(summary[1]) < 5
