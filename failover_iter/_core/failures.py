"""The failures of a stream, in constant memory: for notes, for a group, for `Progress`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast, overload
from weakref import WeakValueDictionary

from failover_iter._core.notes import add_note
from failover_iter.errors import AllSourcesFailed, describe

if TYPE_CHECKING:
    from collections.abc import Iterator

    from failover_iter.events import Failed

_ENDS: Final = 16  # of very many failures, the first and the last 16 are kept


class Failures:
    """The failures so far, oldest first: of very many, the first and the last 16.

    Each is kept as its record, or as a line of text if that is enough: an error refers to its
    traceback, the traceback to the frames of the failed source, and those to all that it had open.
    """

    __slots__ = ("_first", "_last", "_views", "count")

    def __init__(self) -> None:
        self.count = 0
        self._views: WeakValueDictionary[int, FailuresSoFar] | None = None
        self._first: list[Any] = []
        self._last: deque[Any] | None = None  # few streams need it

    def add(self, kept: Failed | str) -> None:
        """Keep one more."""
        self.count += 1
        if len(self._first) < _ENDS:
            self._first.append(kept)
            return
        if self._last is None:
            self._last = deque(maxlen=_ENDS)
        self._last.append(kept)

    def extend(self, others: Failures) -> None:
        """Keep others, which came after these."""
        left_out = others.count
        for _, kept in others.numbered():
            self.add(kept)
            left_out -= 1
        self.count += left_out

    def numbered(self) -> Iterator[tuple[int, Any]]:
        """The kept failures, each with its number, from 1."""
        yield from enumerate(self._first, 1)
        if self._last is not None:
            yield from enumerate(self._last, self.count - len(self._last) + 1)

    @property
    def last_error(self) -> Exception | None:
        """The error of the last failure, if records are kept."""
        kept = self._last or self._first
        last: Failed | str = kept[-1] if kept else ""
        return None if isinstance(last, str) else last.error

    def add_notes_to(self, error: BaseException, *, but_last: bool = False) -> None:
        """Add the failures before this error to its notes; `but_last`: it is the last itself."""
        if self.count <= but_last:
            return
        before = 0
        for number, kept in self.numbered():
            if but_last and number == self.count:
                return
            if number != before + 1:
                add_note(error, f"({number - before - 1} more failures, left out here)")
            add_note(error, kept if isinstance(kept, str) else line_of(kept))
            before = number

    def so_far(self) -> FailuresSoFar:
        """A view of the failures until now, for `Progress.failures`."""
        view = FailuresSoFar(self)
        if self._views is None:
            self._views = WeakValueDictionary()
        self._views[id(view)] = view
        return view

    def release(self) -> None:
        """Let views that are still in use keep what they show, without what came later."""
        for view in list(self._views.values()) if self._views is not None else ():
            view.release()

    def group(self) -> AllSourcesFailed:
        """All of them as one error."""
        errors = [failed.error for _, failed in self.numbered()]
        left_out = self.count - len(errors)
        ends = f", of which {left_out} in the middle are left out" if left_out else ""
        return AllSourcesFailed(f"all sources failed ({self.count} attempts{ends})", errors)


NO_FAILURES: Final = Failures()  # shared by streams without a failure; never added to


class FailuresSoFar(Sequence["Failed"]):
    """The failures before an attempt, for `Progress.failures`.

    It is a view of what the stream keeps, not a copy. The frames of a failed source would refer to
    the copy, its error to the frames, and the next copy to the error: an endless chain. When the
    stream has ended, few are left, and each keeps only what it shows: no error refers to itself.
    """

    __slots__ = ("__weakref__", "_count", "_failures", "_kept")

    def __init__(self, failures: Failures) -> None:
        self._failures: Failures | None = failures
        self._count = failures.count
        self._kept: list[Failed] = []

    def _shown(self) -> list[Failed]:
        if self._failures is None:
            return self._kept
        return [kept for number, kept in self._failures.numbered() if number <= self._count]

    def release(self) -> None:
        """Keep what is shown, and nothing else."""
        self._kept, self._failures = self._shown(), None

    @overload
    def __getitem__(self, index: int) -> Failed: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Failed]: ...
    def __getitem__(self, index: int | slice) -> Failed | Sequence[Failed]:
        return self._shown()[index]

    def __len__(self) -> int:
        return len(self._shown())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(cast("Sequence[object]", other))

    def __hash__(self) -> int:
        return hash(tuple(self))

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle and copy as a tuple."""
        return tuple, (self._shown(),)


def line_of(failed: Failed) -> str:
    """A failure as a line for the notes of a later error."""
    return failure_line(failed.source, failed.attempt, failed.failures, failed.error)


def failure_line(source: str, attempt: int, number: int, error: Exception) -> str:
    """The same, from its parts."""
    return f"failure {number} before it: {source} (attempt {attempt}): {describe(error)}"
