"""A type checker accepts the code in the pages."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
#: A block of Python, shown or not: it follows a line that opens it, up to one that closes it.
BLOCK = re.compile(
    r"^(?:```python|<!---? invisible-code-block: python)\n(.*?)^(?:```|-->)$",
    re.MULTILINE | re.DOTALL,
)
#: The examples leave out annotations. Only this package, and what it is given, is checked.
CONFIG = """
[mypy]
python_version = 3.11
check_untyped_defs = true
follow_imports = skip
ignore_missing_imports = true
disable_error_code = var-annotated, no-redef, override, misc
[mypy-failover_iter.*]
follow_imports = silent
"""


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed ('.[dev]')")
def test_mypy_accepts_the_code_of_each_page(tmp_path: Path) -> None:
    """mypy reports nothing; a line of its report has the number of the line in the page."""
    config = tmp_path / "mypy.ini"
    config.write_text(CONFIG, "utf-8")
    for page in PAGES:
        name = "_".join(page.relative_to(ROOT).with_suffix("").parts).replace("-", "_")
        (tmp_path / f"{name}.py").write_text(code_of(page), "utf-8")
    mypy = [sys.executable, "-m", "mypy", "--config-file", str(config), "--no-error-summary"]
    cache = ["--cache-dir", str(ROOT / ".mypy_cache" / "pages")]
    checked = subprocess.run(
        [*mypy, *cache, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def code_of(page: Path) -> str:
    """The Python of a page, each line where the page has it."""
    text, lines = page.read_text("utf-8"), [""]
    for block in BLOCK.finditer(text):
        lines += [""] * (text.count("\n", 0, block.start(1)) + 1 - len(lines))
        lines += block[1].splitlines()
    return "\n".join(lines[1:]) + "\n"
