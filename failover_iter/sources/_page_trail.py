"""The tokens of a listing so far: if one of them repeats, the listing would never end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

#: How many of the last tokens are kept.
RECENT = 100


@dataclass(frozen=True, slots=True)
class Trail:
    """The tokens that the next one is compared with, in constant memory.

    A cycle of up to `RECENT` pages is found before any item comes twice. For longer ones an earlier
    token is kept as well, which is replaced after 1, 2, 4, 8 ... pages: one of these distances is
    longer than the cycle (Brent's algorithm).

    Attributes:
        recent: the last tokens.
        mark: the earlier token.
        steps: how many pages it is away.
        limit: after how many pages it is replaced.
    """

    recent: tuple[Any, ...] = ()
    mark: Any = None
    steps: int = 0
    limit: int = 1

    @classmethod
    def begin(cls, token: Any) -> Trail:
        """The trail of a listing whose first page has this token."""
        return cls((token,), token)

    def __contains__(self, token: object) -> bool:
        """Whether it has come along this token."""
        return token in self.recent or token == self.mark

    def to(self, token: Any) -> Trail:
        """The trail with one more page."""
        recent, steps = (*self.recent, token)[-RECENT:], self.steps + 1
        if steps < self.limit:
            return replace(self, recent=recent, steps=steps)
        return Trail(recent, token, limit=2 * self.limit)

    def back_to(self, token: Any) -> Trail:
        """The trail up to this token: pages after it were requested, and not delivered."""
        if token not in self.recent:
            return Trail.begin(token)
        place = self.recent.index(token) + 1
        kept, dropped = self.recent[:place], self.recent[place:]
        return replace(self, recent=kept, mark=token if self.mark in dropped else self.mark)
