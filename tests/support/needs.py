"""Tests that need a package that is not installed: they are deselected, and one line says so.

A test declares what it needs with a `skip` or `skipif` mark. Its reason names the package and the
extra that installs it: "celery is not installed ('.[test-docs]')".
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import pytest

#: Set in CI, where every package of the extra `test-docs` is installed: a missing one is an error.
COMPLETE = "FAILOVER_ITER_TEST_DOCS"
#: The extra of a module that `test-docs` does not install.
OTHER_EXTRAS = {"ray": "test-ray", "litellm": "llm-peers", "pydantic_ai": "llm-peers"}
REASON = re.compile(r"^(?P<package>[\w.-]+) is not installed\b.*\.\[(?P<extra>[\w-]+)\]")


@dataclass
class Missing:
    """The missing packages of one extra, and how many tests they would have run."""

    packages: set[str] = field(default_factory=set)
    tests: int = 0

    def line(self, extra: str) -> str:
        """Return the line for the terminal summary."""
        tests = "1 test" if self.tests == 1 else f"{self.tests:,} tests"
        names = ", ".join(sorted(self.packages))
        return f"{tests} deselected, not installed: {names} (pip install -e '.[{extra}]')"


MISSING = pytest.StashKey[dict[str, Missing]]()


def needs(module: str) -> Any:
    """Import a module of an extra, or skip the test if it is not installed."""
    if _must_be_installed(module):
        return import_module(module)
    return pytest.importorskip(module, reason=_reason(module))


def unless_installed(*modules: str) -> list[pytest.MarkDecorator]:
    """Marks for a test that needs these modules, which extras install."""
    missing = [
        module for module in modules if not _must_be_installed(module) and not _is_installed(module)
    ]
    return [pytest.mark.skip(reason=_reason(module)) for module in missing]


def _reason(module: str) -> str:
    extra = OTHER_EXTRAS.get(module, "test-docs")
    return f"{module} is not installed ('.[{extra}]')"


def _must_be_installed(module: str) -> bool:
    return bool(os.environ.get(COMPLETE)) and module not in OTHER_EXTRAS


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its parent package
        return False


# Last, so that a test that -k or -m has already deselected is not counted.
@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect the tests of packages that are not installed."""
    missing: dict[str, Missing] = {}
    kept: list[pytest.Item] = []
    deselected: list[pytest.Item] = []
    for item in items:
        found = _missing_packages(item)
        (deselected if found else kept).append(item)
        for extra in {extra for extra, _ in found}:
            missing.setdefault(extra, Missing()).tests += 1
        for extra, package in found:
            missing[extra].packages.add(package)
    config.stash[MISSING] = missing
    if deselected:
        items[:] = kept
        config.hook.pytest_deselected(items=deselected)


def _missing_packages(item: pytest.Item) -> list[tuple[str, str]]:
    """The extra and the name of each package that the item needs and that is missing."""
    marks = [mark for mark in item.iter_markers() if mark.name in {"skip", "skipif"}]
    reasons = [mark.kwargs.get("reason", "") for mark in marks if all(mark.args)]
    found = [match for match in map(REASON.match, reasons) if match]
    return [(match["extra"], match["package"]) for match in found]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Write one line for each extra."""
    for extra, missing in sorted(config.stash.get(MISSING, {}).items()):
        terminalreporter.line(missing.line(extra))
