"""Type variables, aliases and protocols that several modules share."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator
    from typing import Protocol

    from typing_extensions import TypeVar as DefaultTypeVar

    class Puller(Protocol):
        """What waits for an async source, as long as its limits allow."""

        item: Any

        def steps(self, iterator: AsyncIterator[Any], /) -> Iterator[Any]:
            """Pull item by item: give `READY`, or what is to be handed to `rest`."""
            ...

        def rest(self, steps: Iterator[Any], waited_for: Any, /) -> Awaitable[None]:
            """Go on in time with a step that waits for something."""
            ...

        def wait(self, awaitable: Awaitable[Any]) -> Awaitable[Any]:
            """Await this in time."""
            ...


T = TypeVar("T")
if TYPE_CHECKING:
    #: The item of a record that says little about it: `Any` where it is not named.
    ItemT = DefaultTypeVar("ItemT", default=Any, covariant=True)
    #: What a factory gives: an iterable, an async iterable, or an awaitable of one.
    OpenedT = DefaultTypeVar("OpenedT", default=Any, covariant=True)
else:  # nobody asks for the default at run time, and `typing` has none before Python 3.13
    ItemT, OpenedT = TypeVar("ItemT", covariant=True), TypeVar("OpenedT", covariant=True)

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
