"""Shared by the behaviours of both drivers: the flavour that they run on, and plain sources."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from failover_iter import Progress, Resume
from support.flavour import SyncFlavour
from support.runners import quiet

BY_BOOKMARKS = Resume(start="start")


def reset() -> ConnectionError:
    return ConnectionError("reset by peer")


def count(cursor: int, _: object) -> int:
    return cursor + 1


def source(
    flavour: SyncFlavour, *items: Any, error: BaseException | None = None, name: str = "a"
) -> Any:
    """A factory of a generator with these items, that takes a `Progress` and ignores it."""

    def factory(progress: object = None) -> Iterator[Any]:
        yield from items
        if error is not None:
            raise error

    factory.__name__ = name
    return flavour.generator(factory)


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


class Scripted(Behaviour):
    """Sources that play a script, opening by opening."""

    def script(self, flavour: SyncFlavour, *openings: list[Any]) -> tuple[Any, list[Progress[Any]]]:
        """A factory that yields, opening by opening, and raises what is an exception."""
        seen: list[Progress[Any]] = []

        def source(progress: Progress[Any]) -> Iterator[Any]:
            seen.append(progress)
            for item in openings[min(len(seen), len(openings)) - 1]:
                if isinstance(item, BaseException):
                    raise item
                yield item

        return flavour.generator(source), seen

    def positions(self, seen: list[Progress[Any]]) -> list[Any]:
        return [(each.cursor, each.delivered, each.to_replay, each.mode) for each in seen]
