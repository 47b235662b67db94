"""A test of a package that is not installed is deselected, and one line says so."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.needs import COMPLETE, needs, unless_installed

TESTS = Path(__file__).parent
CONFTEST = "from support.needs import pytest_collection_modifyitems, pytest_terminal_summary\n"
SUITE = """
import pytest

REASON = "nosuch is not installed ('.[test-llm]')"
OTHER = "never.was is not installed ('.[test-docs]')"

def test_runs(): pass

@pytest.mark.skipif(False, reason=REASON)
def test_runs_too(): pass

@pytest.mark.skip(reason="not today")
def test_is_skipped(): pass

@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.skip(reason=REASON))])
def test_runs_in_part(number): pass

@pytest.mark.skipif(True, reason=REASON)
@pytest.mark.skip(reason=OTHER)
def test_of_two(): pass
"""


def run(folder: Path, *arguments: str) -> list[str]:
    """The last lines that pytest prints about the suite."""
    (folder / "conftest.py").write_text(CONFTEST, "utf-8")
    (folder / "test_suite.py").write_text(SUITE, "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    path = os.pathsep.join([str(TESTS), *filter(None, sys.path)])
    env = {**os.environ, "PYTHONPATH": path, "PYTEST_ADDOPTS": ""}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # they take longer than the tests
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    return [line for line in done.stdout.splitlines() if line]


def test_one_line_for_each_extra(tmp_path: Path) -> None:
    """The line counts the tests, names the packages, and says how to install them."""
    *_, docs, llm, summary = run(tmp_path)
    assert docs == "1 test deselected, not installed: never.was (pip install -e '.[test-docs]')"
    assert llm == "2 tests deselected, not installed: nosuch (pip install -e '.[test-llm]')"
    assert "3 passed, 1 skipped, 2 deselected in" in summary


def test_what_was_not_asked_for_is_not_counted(tmp_path: Path) -> None:
    """Tests that `-k` deselects would not have run anyway."""
    *_, llm, summary = run(tmp_path, "-k", "in_part")
    assert llm == "1 test deselected, not installed: nosuch (pip install -e '.[test-llm]')"
    assert "1 passed, 5 deselected in" in summary


def test_marks_for_missing_modules_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is installed needs no mark; one in a missing package is missing too."""
    monkeypatch.delenv(COMPLETE, raising=False)
    (mark,) = unless_installed("pytest", "os.path", "nosuch.inner")
    assert mark.kwargs == {"reason": "nosuch.inner is not installed ('.[test-docs]')"}


def test_nothing_may_be_missing_where_all_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In CI a missing module gets no mark: its test runs, and fails."""
    monkeypatch.setenv(COMPLETE, "1")
    assert unless_installed("nosuch") == []
    with pytest.raises(ModuleNotFoundError):
        needs("nosuch")
