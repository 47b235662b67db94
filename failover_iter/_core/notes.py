"""Writing to exceptions of others, and raising them unchanged.

An exception may be frozen, shared between streams, or have attributes that raise. We write only
notes and `__context__`, bypassing the `__setattr__` of its class, and skip what cannot be written.
Tracebacks are not changed.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

from failover_iter.errors import describe

#: The most notes on one error, which many streams may share.
_MOST_NOTES: Final = 64
#: `__context__` itself, whatever the class of an error makes of the name.
_CONTEXT: Final[Any] = BaseException.__dict__["__context__"]


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an error, unless it has this one already, or too many."""
    try:
        notes = getattr(error, "__notes__", None)
        if notes is None:
            # As `add_note` does, bypassing the `__setattr__` of the class.
            BaseException.__setattr__(error, "__notes__", [note])
        elif len(notes) < _MOST_NOTES and note not in notes:
            notes.append(note)
    except Exception:  # noqa: BLE001 (an error that refuses notes is still the error)
        return


def note_close_error(error: BaseException, source: str, close_error: BaseException | None) -> None:
    """Note on an error that closing the source failed too."""
    if close_error is not None:
        add_note(error, f"closing {source} raised {describe(close_error)}")


def has_context(error: BaseException) -> bool:
    """Whether an error has a `__context__`."""
    return _CONTEXT.__get__(error) is not None


def set_context(error: BaseException, context: BaseException | None) -> None:
    """Set `__context__`, but never so that following it leads back to the error."""
    each, seen = context, set[int]()
    while each is not None and id(each) not in seen:
        if each is error:
            return
        seen.add(id(each))
        each = _CONTEXT.__get__(each)
    _CONTEXT.__set__(error, context)


def raise_unchanged(error: BaseException) -> NoReturn:
    """Raise an error with its own context, not with the exception that is being handled."""
    context = _CONTEXT.__get__(error)
    try:
        raise error
    finally:
        _CONTEXT.__set__(error, context)
        del error, context  # or the traceback holds this frame, and this frame the error


def leaked(stop: BaseException, kind: str) -> RuntimeError:
    """The error into which Python turns a StopIteration that leaves a generator (PEP 479)."""
    error = RuntimeError(f"{kind} raised {type(stop).__name__}")
    error.__cause__ = error.__context__ = stop
    return error
