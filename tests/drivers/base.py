"""Shared by the behaviours of both drivers: the flavour that they run on, and a plain source."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from support.flavour import SyncFlavour
from support.runners import quiet


def reset() -> ConnectionError:
    return ConnectionError("reset by peer")


class Behaviour:
    """A test module names the flavour."""

    flavour_class: ClassVar[type[SyncFlavour]]

    @pytest.fixture
    def flavour(self) -> Iterator[SyncFlavour]:
        flavour = self.flavour_class()
        with quiet():
            yield flavour
        flavour.finish()

    def source(self, flavour: SyncFlavour, *items: Any, error: BaseException | None = None) -> Any:
        def source() -> Iterator[Any]:
            yield from items
            if error is not None:
                raise error

        return flavour.generator(source)
