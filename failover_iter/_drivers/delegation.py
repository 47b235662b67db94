"""What a blocking stream delegates to where its source may answer, or return a value.

All that a consumer can do to a generator reaches the source by way of `yield from` over a small
delegate. Its `__next__` is that of `itertools.dropwhile`, in C, so an item costs the pull and the
yield; `send`, `throw` and `close`, which are rare, go through Python and say who is to blame.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from itertools import dropwhile
from types import GeneratorType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Protocol

    class Delegator(Protocol):
        """What the delegate needs of an attempt."""

        iterator: Any
        excused: bool
        thrown: bool
        at_marker: bool

        def sender(self) -> Callable[[Any], Any]:
            """The `send` of the source."""
            ...

        def close_iterator(self) -> None:
            """Close the iterator, once."""
            ...

    _DropWhile = dropwhile[Any]
else:
    _DropWhile = dropwhile  # it takes no type argument at run time


def delegate(attempt: Delegator) -> Any:
    """What is left of the source, item by item."""
    is_generator = type(attempt.iterator) is GeneratorType
    items: Any = attempt.iterator if is_generator else _Iterator(attempt.iterator)
    pull = _Pull(_drop_none, items)
    pull.attempt = attempt
    return pull


class _Iterator:
    """An iterable over an iterator, which itself may lack `__iter__`."""

    __slots__ = ("_iterator",)

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator

    def __iter__(self) -> Iterator[Any]:
        return self._iterator


class _Pull(_DropWhile):
    """Hands on what the source gives, at the speed of C, and to it what PEP 380 says.

    `dropwhile` passes everything on once its predicate has said no, which the first item does
    here; unlike `chain` or `map` of Python code it keeps the value of a StopIteration.
    """

    __slots__ = ("attempt",)
    attempt: Delegator

    def send(self, value: Any) -> Any:
        """A pull like any other, but for a source that takes no values."""
        return self.attempt.sender()(value)

    @property
    def throw(self) -> Callable[..., Any]:
        """Looked up at each throw; where the source has none, Python raises at our `yield`."""
        self.attempt.excused = self.attempt.thrown = True
        return partial(self._throw, self.attempt.iterator.throw)

    def _throw(self, throw: Callable[..., Any], *thrown: Any) -> Any:
        attempt = self.attempt
        try:
            item = throw(*thrown)
        finally:
            del thrown  # or the traceback holds this frame, and this frame the error
        attempt.excused = attempt.thrown = attempt.at_marker = False
        return item

    def close(self) -> None:
        """The consumer closes, or throws GeneratorExit."""
        self.attempt.excused = True
        self.attempt.close_iterator()


_drop_none = deque[Any](maxlen=0).append  # a function in C that gives None for whatever it gets
