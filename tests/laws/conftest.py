"""Fixtures: no log."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.runners import quiet


@pytest.fixture
def no_log() -> Iterator[None]:
    """Log nothing: pytest keeps each record, and the laws make failures by the hundred thousand."""
    with quiet():
        yield
