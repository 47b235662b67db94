"""Public types: tests/typing holds code that type checkers must accept, and code they must refuse.

mypy checks it here. pyright, which needs node, checks it in CI.
"""

from __future__ import annotations

import importlib.util
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from support.needs import unless_installed

TYPING = Path(__file__).parent / "typing"


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed ('.[dev]')")
def test_mypy_accepts_what_is_right_and_refuses_what_is_wrong() -> None:
    """mypy infers each asserted type, and reports errors only where an ignore expects one."""
    mypy = [sys.executable, "-m", "mypy", "--no-error-summary", str(TYPING)]
    checked = subprocess.run(
        mypy, cwd=TYPING.parent.parent, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "name",
    [
        *("streams", "astreams", "decorated", "options", "kit", "chats", "sources", "cluster"),
        pytest.param("observed", marks=unless_installed("opentelemetry", "prometheus_client")),
    ],
)
def test_what_a_checker_accepts_is_accepted_at_run_time(name: str) -> None:
    """The calls that type checkers accept also work at run time."""
    runpy.run_path(str(TYPING / f"{name}.py"))
