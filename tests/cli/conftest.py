"""Fixtures: a file to write, a terminal, what the demo prints; mirrors are retried at once."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest

from failover_iter._cli.demo import demo
from support.commands import Terminal


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """Where to write the file."""
    return tmp_path / "file"


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mirrors are retried at once."""

    def no_wait(_: float) -> float:
        return 0.0

    for command in ("get", "cat"):
        monkeypatch.setattr(f"failover_iter._cli.{command}.backoff", no_wait)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal with colours, whatever the tests run in."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("WT_SESSION", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


@pytest.fixture(scope="session")
def printed() -> str:
    """The output of the demo, written to a file."""
    out = StringIO()
    demo(out)
    return out.getvalue()
