"""Fixtures for the benchmarks."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from .streams import quiet_logger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(autouse=True)
def _quiet_logger() -> Iterator[None]:
    """Silence the library's logger, and restore its level after the test."""
    logger = quiet_logger()
    level = logger.level
    yield
    logger.setLevel(level)


@pytest.fixture
def inside_asyncio() -> Callable[[Callable[[], Any]], None]:
    """Call a function while asyncio runs, so that async streams use its clock and its hooks."""

    def call(function: Callable[[], Any]) -> None:
        async def main() -> None:
            function()

        asyncio.run(main())

    return call
