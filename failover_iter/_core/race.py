"""A race: the contenders of a hedge (`Policy.hedge`), up to the commit of the first.

A hedge is a group. Its first contender is opened by the run itself, as the source of any group is.
If it is slow, the run makes a second run *beside* itself (`Run.beside`), over the same remaining
sources: equal to it in all but what belongs to one attempt. What happens to either of them is
judged by the same code, and the one that decides the race goes on as the run of the stream. The
others are superseded.

A contender decides the race if its source commits, or ends well, or fails in a way that the hedge
does not survive. Before it says so to its run, the driver closes the sources of all the others.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from failover_iter._types import AnyDelay, Mode


class Race:
    """The state that the contenders of one race share."""

    #: How many have not failed.
    running = 1
    #: Whether a contender has decided it: the others open nothing more.
    is_decided = False
    #: When the next one is to be opened, beside those that run; and how long it waits for them.
    due = inf
    seconds = inf
    #: The contender that decided the race, and when; for those that are superseded.
    winner: str | None = None
    decided_at = 0.0

    def __init__(
        self, index: int, delay: AnyDelay, mode: Mode | None, error: Exception | None
    ) -> None:
        #: The index of the hedge among the levels of a run.
        self.index = index
        self.delay = delay
        #: How each contender takes over, and from which failure.
        self.mode: Mode | None = mode
        self.error = error

    def opened(self, now: float) -> None:
        """A contender is opened: if it is slow, the next one follows after the delay."""
        self.seconds = self.delay.seconds()
        self.due = now + self.seconds

    def decide(self, now: float, winner: str | None) -> None:
        """The race is decided; None: by no contender, as the consumer left."""
        self.is_decided = True
        self.decided_at, self.winner, self.due = now, winner, inf
