"""The names of sources, which tell them apart in events, errors and the log."""

from __future__ import annotations

from functools import partial
from typing import Final

from failover_iter._validation import identity

#: How many sources of a queue are remembered, to tell whether one was there before.
REMEMBERED: Final = 64


def name_of(factory: object, index: int) -> str:
    """The name of the factory, or its position if it has no good one."""
    while isinstance(factory, partial):
        factory = factory.func
    name = getattr(factory, "__name__", None) or type(factory).__name__
    return f"source[{index}]" if name == "<lambda>" else str(name)


class Names:
    """The names of the last sources of a queue: those with the same name get a number."""

    def __init__(self) -> None:
        #: By factory and name: a number, and the factory, so that no other object gets its id.
        self._numbers: dict[tuple[object, str], tuple[int, object]] = {}

    def tell_apart(self, name: str, factory: object) -> str:
        """Number a name that another source has; the same factory is the same source."""
        place = identity(factory)
        number, _ = self._numbers.pop((place, name), (0, None))
        if not number:
            same = [each for (_, other), (each, _) in self._numbers.items() if other == name]
            number = max(same, default=0) + 1
        self._numbers[place, name] = number, factory
        if len(self._numbers) > REMEMBERED:
            del self._numbers[next(iter(self._numbers))]
        return name if number == 1 else f"{name}#{number}"
