"""Each step of the tutorial is a program that prints exactly what the page shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import failover_iter

PAGE = Path(__file__).parents[1] / "docs" / "tutorial.md"
STEP = re.compile(
    r"^## (?P<title>\d.*?)$.*?^```python\n(?P<program>.*?)^```\n\n^```text\n(?P<printed>.*?)^```",
    re.MULTILINE | re.DOTALL,
)
TEXT = PAGE.read_text("utf-8")
STEPS = [match.groupdict() for match in STEP.finditer(TEXT)]


def test_each_step_is_found() -> None:
    """Each numbered section has one program and its output."""
    assert len(STEPS) == TEXT.count("\n## ") == TEXT.count("```python")


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step["title"])
def test_step(step: dict[str, str], tmp_path: Path) -> None:
    """The program, saved to a file and run, prints exactly the output on the page."""
    program = tmp_path / "step.py"
    program.write_text(step["program"], "utf-8")
    env = os.environ | {"PYTHONPATH": str(Path(failover_iter.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(program)],
        env=env, capture_output=True, encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, step["printed"]), done.stderr
