"""The thread of one source: what it has open there, and how it is left.

The consumer's side is `timed_thread.py` for a blocking stream, and `thread_source.py` for an async
one. Both wait for the thread, each in its way; all else about the thread is here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from failover_iter._drivers.closing import close, close_with, first_of
from failover_iter._drivers.log import log_abandoned
from failover_iter._drivers.mailbox import Mailbox
from failover_iter._validation import offers

if TYPE_CHECKING:
    from collections.abc import Callable

    from failover_iter._drivers.mailbox import Job
    from failover_iter._source import Abort


def _abort_itself(opened: Any, _: dict[str, Any]) -> None:
    """Abort what knows by itself how to return."""
    opened.failover_abort()


class SourceThread:
    """A thread that opens, pulls and closes one source; it starts at once.

    Args:
        name: The name of the source.
        reply: How the thread reports a job that has run (see `Mailbox`).
        owned: Whether what the factory returns is closed.
        closer: The function of `Source(close=...)`.
        abort: The function of `Source(abort=...)`, and its second argument. By default the method
            `failover_abort` of what the factory returned is called, if it has one.
    """

    #: Whether the source was left while it was blocked.
    abandoned = False

    def __init__(
        self,
        name: str,
        reply: Callable[[Job], object],
        *,
        owned: bool,
        closer: Callable[[Any], object] | None,
        abort: tuple[Abort, dict[str, Any]] | None,
    ) -> None:
        self._name = name
        self._abort = abort
        self._owned = owned
        self._close_iterable = close if closer is None else partial(close_with, closer, name)
        #: The open objects, each with the function that closes it: the iterable, then the iterator.
        self._opened: list[tuple[Any, Callable[[Any], object]]] = []
        self._has_opened = False
        self.iterable: Any = None
        self.mailbox = Mailbox(name, reply)
        self._guard = self.mailbox.start(self._opened)

    # In the consumer's thread.

    @property
    def closes_what_ended(self) -> bool:
        """Whether a generator that has ended must be closed all the same."""
        return self._owned and self._close_iterable is not close

    def begin_to_close(self) -> None:
        """From now on the source is not aborted: the thread closes it."""
        self._abort = None

    def abandon(self) -> None:
        """Leave the blocked source to its thread; abort it first, so that it returns.

        The thread may return while `abort` runs. It begins to close only after `stop`. A signal
        handler can raise when this is entered, after which the driver closes the source, and so
        calls this again. From there on it cannot raise before `abort` is called.
        """
        self.abandoned = True
        if self._abort is None or not self._has_opened:
            self.stop()
            return
        try:
            abort, memo = self._abort
            self._abort = None  # it is aborted once
            abort(self.iterable, memo)
        except Exception as error:  # noqa: BLE001 (it must not hide the timeout)
            log_abandoned(self._name, error, "when it was aborted")
        finally:
            self.stop()

    def stop(self) -> None:
        """End the thread, which first closes what is still open; return at once."""
        self.mailbox.gone = self.mailbox.gone or "after its source was closed"
        self._guard.close()

    # In the thread.

    def open(self, factory: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        """Call the factory."""
        self.iterable = iterable = factory(*args)
        if self._owned:
            self._opened.append((iterable, self._close_iterable))
        if self._abort is None and offers(iterable, "failover_abort"):
            self._abort = (_abort_itself, dict[str, Any]())
        self._has_opened = True
        return iterable

    def iterate(self, iterable: Any) -> Any:
        """Call `iter`."""
        iterator = iter(iterable)
        if self._owned and iterator is not iterable:
            self._opened.append((iterator, close))
        return iterator

    def close(self, opened: Any) -> None:
        """Close one of the two, once."""
        for index, (each, closing) in enumerate(self._opened):
            if each is opened:
                del self._opened[index]
                closing(opened)
                return

    def close_all(self) -> None:
        """Close both, the iterator first; raise the first error."""
        errors: list[BaseException] = []
        while self._opened:
            opened, closing = self._opened.pop()
            try:
                closing(opened)
            except BaseException as error:  # noqa: BLE001 (raised below)
                errors.append(error)
        if errors:
            raise first_of(errors, self._name)
