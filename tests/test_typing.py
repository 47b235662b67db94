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


#: Mistakes, and the words with which mypy names each in the first line of its report.
MISTAKES = {
    "failover_stream([rows()], retry_on=OSError)": ["list[Iterator[int]]", "Iterable[Callable[[]"],
    "failover_stream([arows], retry_on=OSError)": ["AsyncIterator[int]", "Callable[[], Iterable["],
    "afailover_stream([rows], retry_on=OSError)": ['"list[Callable[[], Iterator[int', "Awaitable"],
    "failover_stream('url', retry_on=OSError)": ['type "str"', "Iterable[Callable[[]"],
    "failover_stream(['url'], retry_on=OSError)": ['type "list[str]"', "Iterable[Callable[[]"],
    "failover_stream([table], retry_on=OSError)": ["Callable[[str]", "Callable[[Progress[Any]]"],
    "failover_stream([rows], retry_on=OSError, retries=3)": ['keyword argument "retries"'],
    "failover_stream([rows], retry_on=KeyboardInterrupt)": ['"retry_on"', "type[Exception]"],
    "Policy(attempts=3)": ['Missing named argument "retry_on"'],
    "Policy(retry_on=OSError, mid_stream='retry')": ['"mid_stream"', "'skip', 'resume'"],
    "Source(rows, attempt=3)": ['did you mean "attempts"?'],
    "Source(rows())": ['type "Iterator[int]"', "Callable[[]"],
}


@pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed ('.[dev]')")
def test_the_first_line_names_the_mistake(tmp_path: Path) -> None:
    """What mypy got and what it expected are short enough to be read."""
    code = """from collections.abc import AsyncIterator, Iterator
from failover_iter import Policy, Source, afailover_stream, failover_stream
def rows() -> Iterator[int]: yield 1
async def arows() -> AsyncIterator[int]: yield 1
def table(name: str) -> Iterator[int]: yield 1
"""
    first = code.count("\n") + 1
    (tmp_path / "mistakes.py").write_text(code + "\n".join(MISTAKES), "utf-8")
    mypy = [sys.executable, "-m", "mypy", "--strict", str(tmp_path / "mistakes.py")]
    report = subprocess.run(
        mypy, cwd=TYPING.parent.parent, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    for number, (mistake, words) in enumerate(MISTAKES.items(), start=first):
        line = next(line for line in report if f"mistakes.py:{number}: error:" in line)
        assert all(word in line for word in words), (mistake, line)


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
