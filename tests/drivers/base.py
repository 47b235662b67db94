"""What the behaviours of both drivers share: the twin that they run on, and a plain source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from support.runners import quiet
from support.twin import SyncTwin


def reset() -> ConnectionError:
    return ConnectionError("reset by peer")


class Behaviour:
    """A test module names the twin."""

    twin_class: ClassVar[type[SyncTwin]]

    @pytest.fixture
    def twin(self) -> Iterator[SyncTwin]:
        twin = self.twin_class()
        with quiet():
            yield twin
        twin.finish()

    def source(self, twin: SyncTwin, *items: Any, error: BaseException | None = None) -> Any:
        def source() -> Iterator[Any]:
            yield from items
            if error is not None:
                raise error

        return twin.generator(source)
