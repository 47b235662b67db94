"""Type variables, aliases and protocols that several modules share."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from typing_extensions import TypeVar

if TYPE_CHECKING:
    from typing import Protocol

    class Clock(Protocol):
        """What a blocking stream needs of time."""

        def time(self) -> float:
            """Seconds on a clock that only goes forward."""
            ...

        def sleep(self, seconds: float, /) -> None:
            """Block for so many seconds."""
            ...


T = TypeVar("T")
#: The item of a record that says little about it: `Any` where it is not named.
ItemT = TypeVar("ItemT", default=Any, covariant=True)
#: What a factory gives: an iterable, an async iterable, or an awaitable of one.
OpenedT = TypeVar("OpenedT", default=Any, covariant=True)

#: How an attempt takes over once items were delivered.
Mode: TypeAlias = Literal["restart", "raise", "skip", "resume"]
#: Which of the two twins a factory is for.
Flavour: TypeAlias = Literal["sync", "async"]

RetryOn: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]


class Unset(Enum):
    """The type of `UNSET`: this option was not given, the one of the stream holds."""

    UNSET = "unset"

    def __repr__(self) -> str:
        """Read as a word where options are shown."""
        return "UNSET"


UNSET: Final = Unset.UNSET
