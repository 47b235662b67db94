"""Type variables, aliases and protocols that several modules share."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import (
    TYPE_CHECKING,
    Any,
    Final,
    Literal,
    ParamSpec,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    get_overloads,
    overload,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Awaitable

    from typing_extensions import TypeVar as DefaultTypeVar

    class Puller(Protocol):
        """Waits for an async source until its deadline."""

        @property
        def usage_error(self) -> Exception | None:
            """The error of the next pull, if the source was closed after its last item."""
            ...

        def interrupt(self) -> None:
            """End the pull in progress, if there is one, as if its time was up."""
            ...

        def check(self) -> None:
            """Raise what forbids a further pull: the time of the stream is up, for example."""
            ...

        def items(self, iterator: AsyncIterator[Any], /) -> AsyncIterable[Any]:
            """Return the items of the source, each pulled in time."""
            ...

        def wait(self, awaitable: Awaitable[Any], /) -> Awaitable[Any]:
            """Await this in time."""
            ...


T = TypeVar("T")
P = ParamSpec("P")
AnyT = TypeVar("AnyT")
if TYPE_CHECKING:
    #: The item type of a record; `Any` unless it is named.
    ItemT = DefaultTypeVar("ItemT", default=Any, covariant=True)
    #: The result of a factory: an iterable, an async iterable, or an awaitable of one.
    OpenedT = DefaultTypeVar("OpenedT", default=Any, covariant=True)
else:  # the default matters to type checkers only, and `typing` has none before Python 3.13
    ItemT, OpenedT = TypeVar("ItemT", covariant=True), TypeVar("OpenedT", covariant=True)

#: How the next attempt takes over once items were delivered.
Mode: TypeAlias = Literal["restart", "raise", "skip", "resume"]
#: Which of the two drivers a factory is for.
Flavour: TypeAlias = Literal["sync", "async"]
#: Which errors count as failures: an exception class, a tuple of them, or a predicate.
RetryOn: TypeAlias = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
#: What became of an attempt. `committed`: it has an item. `good`: it completed, or the consumer
#: left after an item. `nothing`: it says nothing of the source.
Outcome: TypeAlias = Literal["committed", "good", "failed", "nothing"]
#: Why a source may not take over; see `PassedOver`.
PassedOverReason: TypeAlias = Literal["mid_stream", "health", "budget"]


class AnyAdmission(Protocol):
    """The answer of a `Health` about a source."""

    @property
    def admitted(self) -> bool:
        """Whether to open the source now."""
        ...

    @property
    def lease(self) -> int:
        """Not 0 if this stream probes the source for all others."""
        ...

    @property
    def seconds(self) -> float:
        """The seconds until it is tried again, if it is not admitted."""
        ...


class AnyHealth(Protocol):
    """The part of a `Health` that a stream uses."""

    def admit(self, key: str, /) -> Any:
        """Return whether a blocking stream is to open this source now."""
        ...

    async def aadmit(self, key: str, /) -> Any:
        """Return the same to an async stream."""
        ...

    def report(
        self,
        admission: Any,
        outcome: Outcome,
        error: Exception | None = None,
        /,
        *,
        switches: bool = False,
    ) -> None:
        """Record the outcome of an attempt. It never blocks, and raises nothing."""
        ...


class AnyBudget(Protocol):
    """The part of a `Budget` that a stream uses."""

    def earn(self) -> None:
        """A stream opens its first source."""
        ...

    def spend(self) -> bool:
        """Take one token; False if the budget is empty."""
        ...


class AnyCheckpoint(Protocol):
    """The part of a `Checkpoint` that a stream uses; all of it may block."""

    @property
    def every(self) -> float:
        """The seconds between two saves."""
        ...

    @property
    def auto(self) -> bool:
        """Whether the stream saves."""
        ...

    def open(self) -> tuple[Any, int, int, Any] | None:
        """Return the cursor that was saved last, with two counts of items, and what was kept."""
        ...

    def follow(self, kept: Callable[[], Any], /) -> None:
        """Get what the sources keep now from this function, when the consumer saves."""
        ...

    def save(self, cursor: Any, delivered: int, at: int, kept: Any, /) -> None:
        """Save where the stream is, and what its sources keep with that."""
        ...

    def release(self) -> None:
        """The stream has ended."""
        ...


class AnyDelay(Protocol):
    """When a hedge opens its next source, and what it learns from each race."""

    def seconds(self) -> float:
        """How long a source may take to commit before the next one is opened beside it."""
        ...

    def won(self, seconds: float, /) -> None:
        """A source has committed after this time."""
        ...

    def lost(self, seconds: float, /) -> None:
        """A source was superseded after this time: it would have taken longer."""
        ...


class Unset(Enum):
    """The type of `UNSET`: an option of a `Source` that was not given."""

    UNSET = "unset"

    def __repr__(self) -> str:
        """Return the name alone, as signatures show it."""
        return "UNSET"


UNSET: Final = Unset.UNSET


def public(exported: AnyT) -> AnyT:
    """Name `failover_iter` as the module of what it exports, in reprs, errors and pickles.

    `typing.get_type_hints` looks the names in a class's annotations up in that module, so these
    classes are annotated with objects, not with strings.
    """
    overloads = get_overloads(cast("Callable[..., object]", exported))
    for each in [exported, *overloads]:
        each.__module__ = "failover_iter"
    for each in overloads:  # they are registered by module
        overload(each)
    return exported
