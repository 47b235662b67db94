"""The command `failover-iter`: help, version, exit codes."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from failover_iter import __main__
from failover_iter._cli import demo as _demo
from support.commands import HOME


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
