"""Helpers for the tests of `in_thread`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from drivers.threads import Endless
from support.manual import MANUAL

each_loop = pytest.mark.parametrize("loop", MANUAL, ids=lambda loop: loop.name)

LIMIT = 5.0  # seconds, of which none passes


def numbers() -> Iterator[int]:
    yield from (1, 2, 3)


class Blocks(Endless):
    """A source that blocks after its first item, until it is aborted; says so to the clock."""

    def __init__(self, says: Callable[[float], object], *, late: Exception | None = None) -> None:
        super().__init__()
        self.says = says
        self.late = late
        self.cut = threading.Event()
        self.count = 0

    def __next__(self) -> int:
        self.count += 1
        if self.count > 1:
            self.says(2 * LIMIT)
            self.cut.wait()
            self.log.append("returned")
            if self.late is not None:
                raise self.late
        return self.count

    def abort(self, opened: object, memo: dict[str, Any]) -> None:
        assert opened is self
        self.log.append("aborted")
        self.cut.set()
