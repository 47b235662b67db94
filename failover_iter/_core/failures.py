"""The failures of one stream: told in notes, gathered in a group, kept in constant memory."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NoReturn

from failover_iter.errors import AllSourcesFailed, describe, leaves

if TYPE_CHECKING:
    from failover_iter.events import Failed

_ENDS = 16  # of very many failures, the first and the last so many are kept


class Failures:
    """The failures so far, oldest first.

    Where nobody asks for the errors themselves only a line of text is kept of each: an error
    holds its traceback, that the frames of the failed source, and those whatever it had open.
    """

    __slots__ = ("_first", "_keeps_errors", "_last", "count")

    def __init__(self, *, keeps_errors: bool) -> None:
        """Begin with none."""
        self.count = 0
        self._keeps_errors = keeps_errors
        self._first: list[Failed | str] = []
        self._last: deque[Failed | str] | None = None  # needed by few

    def add(self, failed: Failed) -> None:
        """Keep one more."""
        self.count += 1
        kept = failed if self._keeps_errors else _line(failed)
        if len(self._first) < _ENDS:
            self._first.append(kept)
            return
        if self._last is None:
            self._last = deque(maxlen=_ENDS)
        self._last.append(kept)

    def _ends(self) -> list[Failed | str]:
        return [*self._first, *(self._last or ())]

    @property
    def kept(self) -> tuple[Failed, ...]:
        """The records that are kept, oldest first."""
        return tuple(kept for kept in self._ends() if not isinstance(kept, str))

    def tell(self, error: BaseException, *, but_last: bool = False) -> None:
        """Put the failures before this error into its notes; `but_last`: it is the last itself."""
        ends = self._ends()
        lines = [_line(kept) for kept in ends[: len(ends) - but_last]]
        if self.count > len(ends):
            lines.insert(_ENDS, f"({self.count - len(ends)} more failures, left out here)")
        for line in lines:
            add_note(error, line)

    def group(self) -> AllSourcesFailed:
        """All of them as one error."""
        errors = [failed.error for failed in self.kept]
        left_out = self.count - len(errors)
        ends = f", of which {left_out} in the middle are left out" if left_out else ""
        return AllSourcesFailed(f"all sources failed ({self.count} attempts{ends})", errors)


NO_FAILURES: Final = Failures(keeps_errors=False)  # what most streams have; never added to


def _line(failed: Failed | str) -> str:
    if isinstance(failed, str):
        return failed
    at = f"{failed.source} (attempt {failed.attempt})"
    return f"failure {failed.failures} before it: {at}: {describe(failed.error)}"


def cut_tracebacks(error: BaseException | None) -> None:
    """Take the tracebacks off an error, off what led to it and off the leaves of a group.

    Their frames hold what a factory was called with, that is the failures before, and so on.
    """
    left, seen = [error], set[int]()
    while left:
        each = left.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            each.__traceback__ = None
            left += [each.__cause__, each.__context__, *leaves(each)]


def raise_as_it_is(error: BaseException) -> NoReturn:
    """Raise it with its own context, which is not what the consumer is handling just now."""
    context = error.__context__
    try:
        raise error
    finally:
        error.__context__ = context
        del error, context  # or the traceback holds this frame, and this frame the error


def add_note(error: BaseException, note: str) -> None:
    """Add a note where the error takes notes; once, for an error may be raised many times."""
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except Exception:  # noqa: BLE001 (an error that refuses notes is still the error)
        return


def note_close_error(error: BaseException, source: str, close_error: BaseException | None) -> None:
    """Say in the notes of an error that closing the source failed too."""
    if close_error is not None:
        add_note(error, f"closing {source} raised {describe(close_error)}")
