"""Plans: what the sources and the consumer of one run do, as plain frozen data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from failover_iter.testing._faults import SPECIAL, TRANSPARENT, ErrorMaker, name_of, named
from failover_iter.testing._marbles import read_marble, write_marble

End: TypeAlias = Literal["ends", "raises", "stalls"]
At: TypeAlias = Literal["pull", "call", "await", "iter"]
Kind: TypeAlias = Literal["generator", "iterator", "iterable", "bare", "same"]
Closing: TypeAlias = Literal["quietly", "raises", "bug", "slow", "yields"]
How: TypeAlias = Literal[
    "drain", "close", "throw", "break", "drop", "slow", "send", "cancel", "cancel_close",
    "reenter", "concurrent",
]  # fmt: skip

#: How the consumer leaves before the end, the most telling first.
LEAVING: Final = ("close", "throw", "break", "drop", "cancel", "cancel_close")


@dataclass(frozen=True, slots=True)
class SourceScript:
    """What one opening of a source does; as text, a line of marbles.

    Args:
        items: what it gives, a letter or digit for each item.
        ticks: how many ticks pass before each item, and last before the end.
        end: "ends", "raises", or "stalls" for two hours and raises then.
        error: what it raises, by name; "" is the first of the plan's errors.
        at: where it raises: "pull", behind the items; "call", in the factory; "await", where the
            factory is awaited; "iter", in `iter()` (of an "iterable").
        kind: what the factory gives: a "generator"; an "iterator" with a `close` and nothing else;
            an "iterable" with a `close` over an iterator without (async: a `close` that is
            awaited, as the streams of SDKs have); a "bare" iterator; the "same" iterator as the
            time before.
        closing: what its close does: it goes "quietly", "raises" the first of the plan's errors or
            a "bug", is "slow", or "yields" (a generator alone can).
        opens: how many ticks pass until it is open; an async source waits where it is awaited.

    Raises:
        ValueError: a field has a value that it cannot have.
    """

    items: str = ""
    ticks: tuple[int, ...] = ()
    end: End = "ends"
    error: str = ""
    at: At = "pull"
    kind: Kind = "generator"
    closing: Closing = "quietly"
    opens: int = 0

    def __post_init__(self) -> None:
        """Check each field, and drop the ticks that say nothing."""
        for field, allowed in (("end", End), ("at", At), ("kind", Kind), ("closing", Closing)):
            _check(field, getattr(self, field), get_args(allowed))
        if self.at == "iter" and self.kind != "iterable":
            raise ValueError(f"at='iter' goes with kind='iterable' alone, got {self.kind!r}")
        object.__setattr__(self, "ticks", self._meaningful_ticks())

    def _meaningful_ticks(self) -> tuple[int, ...]:
        """Those that come before something, without the zeros at their end."""
        ticks = self.ticks[: len(self.items) + (self.end != "stalls")]
        while ticks and not ticks[-1]:
            ticks = ticks[:-1]
        return ticks

    @classmethod
    def read(cls, text: str) -> SourceScript:
        """Read a line of marbles, such as `"--a-b#"`."""
        return cls(**read_marble(text))

    def __str__(self) -> str:
        """Write it as a line of marbles."""
        return write_marble(self)


@dataclass(frozen=True, slots=True)
class Consumer:
    """What the consumer does: how, and after how many items (for "slow": ticks for each)."""

    how: How = "drain"
    at: int = 0

    def __post_init__(self) -> None:
        """Check both."""
        _check("consumer", self.how, get_args(How))

    @classmethod
    def read(cls, text: str) -> Consumer:
        """Read `"drain"`, `"close 2"`."""
        how, _, at = text.strip().partition(" ")
        if at and not at.isdecimal():
            raise ValueError(f"consumer must be such as 'drain' or 'close 2', got {text!r}")
        known: Any = how
        return cls(known, int(at or 0))

    def __str__(self) -> str:
        """Write it as it is read."""
        return self.how if self.how == "drain" else f"{self.how} {self.at}"


Scripts: TypeAlias = tuple[SourceScript, ...]


@dataclass(frozen=True, init=False)
class Plan:
    """What the sources and the consumer of one run do: plain, frozen, pasteable data.

    Each source is a line of marbles, or several for its openings, between semicolons; the last of
    them holds for all further ones. A letter or digit is an item, `-` lets a tick pass, `{90}`
    ninety, `|` ends, `#` raises the first of `errors`, `#TimeoutError` that one; without an end it
    stalls. Words behind it: `at=call` (or `await`, `iter`), `as=iterator` (or `iterable`, `bare`,
    `same`), `close=raises` (or `bug`, `slow`, `yields`),
    `open=5` (ticks until it is open).

    Args:
        sources: one for each factory of the pipeline.
        items: what the whole stream would be, each item once. By default the longest that one of
            the sources gives.
        errors: what counts as a failure of a source: classes, or functions that make an error.
            In marbles they are named; so are `#bug` and `#base` (to be let through), `#falsy`,
            `#group`, `#mixed` (a group with a bug in it), `#stop` (a StopIteration that leaks).
        consumer: `"drain"`, or one of `break`, `close`, `throw`, `send`, `drop`, `cancel`,
            `cancel_close`, `reenter`, `concurrent` and after how many items: `"close 2"`;
            `"slow 3"` takes three ticks for each item.

    Raises:
        ValueError: marbles that cannot be read, an error that has no such name, items that are
            not told apart.

    Example:
        >>> from failover_iter.testing import Plan
        >>> plan = Plan("--ab#; abc|", "abc| as=iterator", consumer="close 2")
        >>> plan
        Plan('--ab#; abc|', 'abc| as=iterator', consumer='close 2')
        >>> plan.items, len(plan.sources[0])
        ('abc', 2)
        >>> eval(repr(plan)) == plan
        True

    Source: the marble diagrams of Rx, as RxJS writes them in tests.
    """

    sources: tuple[Scripts, ...]
    items: str
    errors: tuple[ErrorMaker, ...]
    consumer: Consumer

    def __init__(
        self,
        *sources: str | Iterable[SourceScript],
        items: str | None = None,
        errors: Iterable[ErrorMaker] = (ConnectionError,),
        consumer: str | Consumer = "drain",
    ) -> None:
        """Read the marbles, and check that they say something."""
        read = tuple(_scripts(source) for source in sources)
        everything = [script.items for scripts in read for script in scripts]
        fields: dict[str, Any] = {
            "sources": read,
            "items": max(map(_distinct, everything), key=len, default="")
            if items is None
            else items,
            "errors": tuple(errors),
            "consumer": Consumer.read(consumer) if isinstance(consumer, str) else consumer,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)
        if len(set(self.items)) != len(self.items):
            raise ValueError(
                f"items must differ from each other, so that a lost or repeated one can be told; "
                f"got {self.items!r}"
            )
        if not self.errors:
            raise ValueError("errors must name at least one failure of a source, got none")
        for scripts in read:
            for script in scripts:
                self._check_error(script.error)

    def _check_error(self, name: str) -> None:
        allowed = [*named(self.errors), *SPECIAL]
        if name and not name.isdecimal() and name not in allowed:
            raise ValueError(f"an error in marbles is one of {', '.join(allowed)}; got {name!r}")

    def __repr__(self) -> str:
        """Write it so that it can be pasted."""
        parts = [repr("; ".join(map(str, scripts))) for scripts in self.sources]
        default = Plan(*self.sources, errors=self.errors)
        if self.items != default.items:
            parts.append(f"items={self.items!r}")
        if self.errors != (ConnectionError,):
            parts.append(f"errors=[{', '.join(map(name_of, self.errors))}]")
        if self.consumer != default.consumer:
            parts.append(f"consumer={str(self.consumer)!r}")
        return f"Plan({', '.join(parts)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 (the protocol)
        """Be shown so by Hypothesis too, which has words of its own for dataclasses."""
        del cycle
        printer.text(repr(self))

    def script(self, source: int, opening: int) -> SourceScript:
        """What that source does when it is opened for the so manieth time, from 0."""
        scripts = self.sources[source]
        return scripts[min(opening, len(scripts) - 1)]

    @property
    def faults(self) -> int:
        """How many of the openings do anything but give what they should, and close quietly."""
        return sum(not self.is_good(script) for scripts in self.sources for script in scripts)

    def is_good(self, script: SourceScript) -> bool:
        """Whether it gives all items and ends well."""
        return (
            script.end == "ends"
            and script.items == self.items
            and script.closing in ("quietly", "slow")
            and script.kind != "same"
        )

    def is_outage(self, script: SourceScript) -> bool:
        """Whether it fails in a way that another source can make good."""
        return (
            self.items.startswith(script.items)
            and script.error not in (*TRANSPARENT, "stop")
            and script.closing in ("quietly", "slow", "raises")
            and script.kind != "same"
        )

    def survivable(self, attempts: int = 1) -> bool:
        """Whether all items can be had by who opens each source so often, one after the other."""
        for source in range(len(self.sources)):
            for opening in range(attempts):
                script = self.script(source, opening)
                if self.is_good(script):
                    return True
                if not self.is_outage(script):
                    return False
        return False


def _scripts(source: str | Iterable[SourceScript]) -> Scripts:
    if isinstance(source, str):
        return tuple(map(SourceScript.read, source.split(";")))
    scripts = tuple(source)
    if not scripts:
        raise ValueError("a source must have at least one opening, got none")
    return scripts


def _distinct(items: str) -> str:
    return "".join(dict.fromkeys(items))


def _check(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
