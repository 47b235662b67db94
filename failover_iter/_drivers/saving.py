"""A stream reads its checkpoint first, and saves in it while it runs and at its end."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

from failover_iter._core.cursor import SAVE
from failover_iter._core.notes import add_note
from failover_iter._drivers.away import away
from failover_iter.errors import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._core.cursor import Cursor
    from failover_iter._core.run import Run


class Saver:
    """The checkpoint of one running stream."""

    def __init__(self, run: Run, now: Callable[[], float], *, is_async: bool = False) -> None:
        self._delivered = delivered = run.delivered
        self._checkpoint = run.checkpoint
        self._now = delivered.now = now
        delivered.save = self._ask_driver if is_async else self.save
        delivered.asave = self.asave if is_async else None
        self._cursor: Cursor | None = None
        self._saved: Any = None
        self._is_open = False

    # Blocking.

    def load(self) -> None:
        """Go on where the last stream was."""
        self._begin(self._open())

    def save(self) -> None:
        """Save what is processed now."""
        self._write(self._position())
        self._is_due_later()

    def finish(self) -> Exception | None:
        """Save what was processed at the end, and let others use the checkpoint.

        Returns the error of that: the stream ends with it, or it is a note at another one.
        """
        try:
            self._finish()
        except Exception as error:  # noqa: BLE001 (the core decides)
            return error
        return None

    # Their twins.

    async def aload(self) -> None:
        """Do the same as `load` in a thread."""
        self._begin(await away(self._open))

    async def asave(self) -> None:
        """Do the same as `save` in a thread."""
        position = self._position()
        await away(partial(self._write, position))
        self._is_due_later()

    async def afinish(self) -> Exception | None:
        """Do the same as `finish` in a thread."""
        try:
            await away(self._finish)
        except Exception as error:  # noqa: BLE001 (the core decides)
            return error
        return None

    def _ask_driver(self) -> object:
        """Have the async driver save: only it can await."""
        return SAVE

    # Both.

    def _open(self) -> Any:
        saved = self._checkpoint.open()
        self._is_open = True  # here, for a cancelled `aload` does not come further
        return saved

    def _begin(self, saved: Any) -> None:
        if saved is not None:
            self._delivered.restore(*saved)
        cursor: Any = self._delivered.cursor  # it has one: that was checked
        self._cursor = cursor
        cursor.mark_processed()
        self._saved = cursor.position
        if self._checkpoint.auto:
            self._is_due_later()
        else:
            cursor.due = inf
            self._checkpoint.follow(lambda: cursor.kept)

    def note(self, error: BaseException, save_error: Exception | None) -> None:
        """Note at the error that ends the stream that the last save has failed, too."""
        if save_error is not None:
            add_note(error, f"saving the checkpoint raised {describe(save_error)}")

    def _position(self) -> Any:
        cursor: Any = self._cursor
        cursor.mark_processed()
        return cursor.position

    def _is_due_later(self) -> None:
        cursor: Any = self._cursor
        cursor.due = self._now() + self._checkpoint.every

    def _write(self, position: Any) -> None:
        saved = self._saved
        if position[0] is not saved[0] or position[1:] != saved[1:]:
            self._checkpoint.save(*position)
            self._saved = position

    def _finish(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        cursor: Any = self._cursor
        try:
            if self._checkpoint.auto and cursor is not None:
                self._write(cursor.position)
        finally:
            self._checkpoint.release()
