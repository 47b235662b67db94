"""The modules that `import failover_iter` and a first stream import, and no others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import failover_iter

#: Slow to import, or with side effects. Only the features that need them may import them.
FORBIDDEN = {
    "ast",
    "asyncio",
    "concurrent",
    "copy",
    "dataclasses",
    "dis",
    "email",
    "hashlib",
    "html",
    "http",
    "importlib.metadata",
    "inspect",
    "json",
    "logging",
    "multiprocessing",
    "pickle",
    "queue",
    "random",
    "selectors",
    "socket",
    "ssl",
    "statistics",
    "subprocess",
    "threading",
    "tokenize",
    "traceback",
    "trio",
    "typing_extensions",
    "unicodedata",
    "unittest",
    "urllib",
    "uuid",
}
if sys.version_info >= (3, 13):
    FORBIDDEN.add("re")  # imported by typing before

#: A dataclass like ours, with slots and annotations that are strings. They need `inspect` and `re`:
#: Python 3.15 imports these with the first such class, earlier versions with `dataclasses`.
DATACLASS = """
from dataclasses import dataclass

@dataclass(slots=True)
class Point:
    x: "int" = 0
"""


def imported_by(statement: str) -> set[str]:
    """The modules that a statement imports, beyond the start of Python (`-X importtime`)."""
    return _imports(statement) - _imports("pass")


def _imports(statement: str) -> set[str]:
    home = str(Path(failover_iter.__file__).parents[1])
    code = f"import sys; sys.path.insert(0, {home!r})\n{statement}"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        capture_output=True, encoding="utf-8", check=True, timeout=60,
    )  # fmt: skip
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}


def test_the_package_imports_none_of_its_modules() -> None:
    """Each name is imported on first access."""
    modules = imported_by("import failover_iter")
    assert "failover_iter" in modules
    assert {name for name in modules if name.startswith("failover_iter.")} == set()
    assert modules & FORBIDDEN == set()


def test_a_stream_imports_no_more_than_it_needs() -> None:
    """A stream without failures imports no event loop, thread or log, nor rare features."""
    names = "failover_stream, Policy, Source, Takeover"
    stream = "list(failover_stream([Source(lambda: [1])], retry_on=OSError, mid_stream='skip'))"
    modules = imported_by(f"from failover_iter import {names}; {stream}")
    later = ("_cli", "_cli.demo", "_backoff", "_decorator", "trace", "trace._attempts")
    assert modules & {f"failover_iter.{name}" for name in later} == set()
    assert modules & (FORBIDDEN - imported_by(DATACLASS)) == set()
