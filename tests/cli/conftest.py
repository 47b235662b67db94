"""What each test of the commands starts with."""

from __future__ import annotations

from pathlib import Path

import pytest


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
