"""The commands with which the core answers a driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from failover_iter._core.attempt import Attempt
    from failover_iter._types import AnyHealth


@dataclass(slots=True)
class Open:
    """Open the source of this attempt, and deliver its items."""

    attempt: Attempt


@dataclass(slots=True)
class Admit:
    """Ask the health of a source, and call `admitted` with the answer."""

    health: AnyHealth
    key: str


@dataclass(slots=True)
class Sleep:
    """Wait, then call `slept`."""

    seconds: float


@dataclass(slots=True)
class Withdraw:
    """This contender of a race has failed for good; others are still running."""


@dataclass(slots=True)
class Concede:
    """The race ends with this error: supersede the others, then call `conceded`."""

    error: Exception
    #: The level whose time is up, if that is the error.
    level: int | None = None


@dataclass(slots=True)
class Raise:
    """End the stream with this error."""

    error: BaseException


@dataclass(slots=True)
class Return:
    """End the stream with this value."""

    value: Any


Command: TypeAlias = Open | Admit | Sleep | Withdraw | Concede | Raise | Return
ENDED: Final = Return(None)  # how most streams end
