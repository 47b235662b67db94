"""Plans: what the sources and the consumer of a run do, as plain frozen data."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from numbers import Real
from typing import Any, Final, Literal, TypeAlias, get_args

from failover_iter.testing._faults import SPECIAL, TRANSPARENT, ErrorMaker, name_of, named

End: TypeAlias = Literal["ends", "raises", "stalls"]
At: TypeAlias = Literal["pull", "call", "await", "iter"]
Kind: TypeAlias = Literal[
    "generator", "returning", "answering", "iterator", "iterable", "both", "bare", "same",
]  # fmt: skip
Closing: TypeAlias = Literal["quietly", "raises", "bug", "base", "slow", "yields"]
How: TypeAlias = Literal[
    "drain", "close", "throw", "break", "drop", "slow", "send", "cancel", "cancel_close",
    "cancel_at", "reenter", "concurrent",
]  # fmt: skip

#: Marbles, as in Rx: a letter or digit is an item, `-` is a tick of time, `{90}` is ninety ticks,
#: `|` ends, `#` raises; marbles with neither at their end stall.
_MARK: Final = re.compile(r"-|\{(\d+)\}|([^\W_])")
_LINE: Final = re.compile(
    r"(?P<body>(?:-|\{\d+\}|[^\W_])*)(?P<end>\||\#(?P<error>\w*)|)(?P<words>(?:\s+\w+=\w+)*)"
)
#: The options in marbles, and the fields that they set.
_WORDS: Final = {"at": "at", "as": "kind", "close": "closing", "open": "opens"}
_ITEMS: Final = re.compile(r"[^\W_]*")
_MOST_DASHES: Final = 5

#: The kinds of sources that are generators.
GENERATORS: Final = ("generator", "returning", "answering")
#: How a consumer leaves before the end; the most revealing first.
LEAVING: Final = ("close", "throw", "break", "drop", "cancel", "cancel_close", "cancel_at")


@dataclass(frozen=True, slots=True)
class SourceScript:
    """The behaviour of a source in one opening. As text, it is a line of marbles: see `Plan`.

    `ticks` are those before each item, then those before the end. A source that "stalls" raises
    after two hours. It raises `error`, or the first of the plan's errors, where `at` says. It
    `opens` after so many ticks: an async one waits in the await.

    Kinds: an "iterator" has no other method than `close`; an "iterable" has a `close` (async ones
    too, as the streams of many SDKs), and its iterator has none; "both" have one; a "bare" iterator
    has none; the "same" one is that of the last time. A generator may be "returning" a value, or
    "answering" what is thrown into it with its next item.
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
        """Check each field, and drop ticks that have no effect."""
        for field, allowed in (("end", End), ("at", At), ("kind", Kind), ("closing", Closing)):
            _check(field, getattr(self, field), get_args(allowed))
        _check_items(self.items)
        for name, ticks in (("opens", self.opens), *(("ticks", each) for each in self.ticks)):
            check_number(name, ticks)
        if self.at == "iter" and self.kind not in ("iterable", "both"):
            raise ValueError(f"at='iter' requires kind='iterable' or 'both', got {self.kind!r}")
        object.__setattr__(self, "ticks", self._meaningful_ticks())

    def _meaningful_ticks(self) -> tuple[int, ...]:
        """Return the ticks before an item or the end, without trailing zeros."""
        ticks = self.ticks[: len(self.items) + (self.end != "stalls")]
        while ticks and not ticks[-1]:
            ticks = ticks[:-1]
        return ticks

    @classmethod
    def read(cls, text: str) -> SourceScript:
        """Read a line of marbles, such as `"--a-b#"`."""
        match = _LINE.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                f"marbles must be items (letters or digits), '-', '{{ticks}}', then '|' or "
                "'#error', then options like 'at=call', 'as=iterator', 'close=raises'; "
                f"got {text!r}"
            )
        items, ticks = "", [0]
        for mark in _MARK.finditer(match["body"]):
            count, item = mark.groups()
            if item is None:
                ticks[-1] += int(count or 1)
            else:
                items += item
                ticks.append(0)
        end: Any = {"|": "ends", "#": "raises", "": "stalls"}[match["end"][:1]]
        return cls(items, tuple(ticks), end, match["error"] or "", **_read_words(match["words"]))

    def ticks_before(self, place: int) -> int:
        """Return the ticks before the item at this place; after the last item, before the end."""
        return self.ticks[place] if place < len(self.ticks) else 0

    def __str__(self) -> str:
        """Return the line of marbles that `read` accepts."""
        marks = [dashes(self.ticks_before(at)) + item for at, item in enumerate(self.items)]
        last = dashes(self.ticks_before(len(self.items)))
        end = {"ends": "|", "raises": f"#{self.error}", "stalls": "-"}[self.end]
        good = SourceScript()
        words = [
            f" {word}={getattr(self, field)}"
            for word, field in _WORDS.items()
            if getattr(self, field) != getattr(good, field)
        ]
        return "".join([*marks, last, end, *words])


@dataclass(frozen=True, slots=True)
class Consumer:
    """The behaviour of the consumer: `how`, and `at` which item.

    For "slow", `at` is the ticks per item; for "cancel_at", the tick after which it is cancelled.
    """

    how: How = "drain"
    at: int = 0

    def __post_init__(self) -> None:
        """Check the fields."""
        _check("consumer", self.how, get_args(How))
        check_number("at", self.at)

    @classmethod
    def read(cls, text: str) -> Consumer:
        """Read text such as `"drain"` or `"close 2"`."""
        how, _, at = text.strip().partition(" ")
        if at and not at.isdecimal():
            raise ValueError(f"consumer must be text like 'drain' or 'close 2', got {text!r}")
        known: Any = how
        return cls(known, int(at or 0))

    def __str__(self) -> str:
        """Return the text that `read` accepts."""
        return self.how if self.how == "drain" else f"{self.how} {self.at}"


Scripts: TypeAlias = tuple[SourceScript, ...]


@dataclass(frozen=True, init=False)
class Plan:
    """The behaviour of the sources and the consumer in a run: frozen data with a pasteable repr.

    Each source is a line of marbles, or several lines separated by semicolons, one for each
    opening. The last line applies to all further openings. A letter or digit is an item, `-` is a
    tick, and `{90}` is ninety ticks. `|` ends, `#` raises the first of `errors`, and
    `#TimeoutError` raises that error; marbles without an end stall. Options follow after a space:
    `at=call` (or `await`, `iter`), `as=iterator` (or `iterable`, `both`, `bare`, `same`,
    `returning`, `answering`), `close=raises` (or `bug`, `base`, `slow`, `yields`), and `open=5`
    (ticks until the source is open).

    Args:
        sources: the marbles of each source, one source for each factory of the pipeline.
        items: the items of the complete stream, each once. By default, the items of the source
            that yields the most.
        errors: the failures of a source: exception classes, or functions that return an
            exception. Marbles refer to them by name. Marbles can also raise `#bug` and `#base`
            (which a pipeline must let through), `#falsy`, `#group`, `#mixed` (a group that
            contains a bug deep inside), `#chained` (with a cause and a note) and `#stop` (a
            `StopIteration` that leaks).
        consumer: `"drain"`; or `break`, `close`, `throw`, `send`, `drop`, `cancel`,
            `cancel_close`, `reenter` or `concurrent`, with the number of items before it:
            `"close 2"`. `"slow 3"` takes three ticks for each item; `"cancel_at 3"` is cancelled
            between the third tick and the fourth, whatever it then waits for.

    Raises:
        ValueError: the marbles cannot be read, an error has an unknown name, or `items` contains
            an item twice.

    Example:
        >>> from failover_iter.testing import Plan
        >>> plan = Plan("--ab#; abc|", "abc| as=iterator", consumer="close 2")
        >>> plan
        Plan('--ab#; abc|', 'abc| as=iterator', consumer='close 2')
        >>> plan.items, len(plan.sources[0])
        ('abc', 2)
        >>> eval(repr(plan)) == plan
        True

    Source: the marble diagrams of Rx, in the syntax of the RxJS tests.
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
        _check_items(self.items)
        if len(set(self.items)) != len(self.items):
            raise ValueError(
                f"items must differ, so that a lost or repeated item can be recognised; "
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
            raise ValueError(
                f"an error in marbles must be one of {', '.join(allowed)}; got {name!r}"
            )

    def __repr__(self) -> str:
        """Return the code that makes this plan."""
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
        """Make Hypothesis print the repr, not its format for dataclasses."""
        del cycle
        printer.text(repr(self))

    def script(self, source: int, opening: int) -> SourceScript:
        """Return what a source does in one of its openings, both numbered from 0."""
        scripts = self.sources[source]
        return scripts[min(opening, len(scripts) - 1)]

    @property
    def awaited(self) -> bool:
        """Whether async factories have to be `async def` functions to follow this plan."""
        scripts = [script for scripts in self.sources for script in scripts]
        return any(script.opens or script.at == "await" for script in scripts)

    @property
    def faults(self) -> int:
        """The number of scripts that do anything but yield all items, end, and close."""
        return sum(not self.is_good(script) for scripts in self.sources for script in scripts)

    def is_good(self, script: SourceScript) -> bool:
        """Whether the source yields all items, ends normally, and closes without an error."""
        return (
            script.end == "ends"
            and script.items == self.items
            and script.closing in ("quietly", "slow")
            and script.kind != "same"
        )

    def is_outage(self, script: SourceScript) -> bool:
        """Whether the source fails in a way that another source can make up for."""
        return (
            self.items.startswith(script.items)
            and script.error not in (*TRANSPARENT, "stop")
            and script.closing in ("quietly", "slow", "raises")
            and script.kind != "same"
        )

    def survivable(self, attempts: int = 1) -> bool:
        """Whether opening each source up to `attempts` times, in order, can deliver all items."""
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


def _read_words(words: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for word in words.split():
        name, value = word.split("=")
        if name not in _WORDS:
            raise ValueError(f"options in marbles are {', '.join(_WORDS)}; got {word!r}")
        fields[_WORDS[name]] = int(value) if value.isdecimal() else value
    return fields


def dashes(ticks: int) -> str:
    """Return the marbles for a number of ticks."""
    return "-" * ticks if ticks <= _MOST_DASHES else f"{{{ticks}}}"


def _distinct(items: str) -> str:
    return "".join(dict.fromkeys(items))


def check_plan(plan: object) -> None:
    """Check that this is a plan."""
    if not isinstance(plan, Plan):
        hint = f": write Plan({plan!r})" if isinstance(plan, str) else ""
        raise TypeError(f"plan must be a Plan, got {plan!r}{hint}")


def check_number(
    name: str, value: Any, kind: type = int, *, least: float = 0, also: str = ""
) -> None:
    """Check that an option is a finite number of this kind, and large enough."""
    is_number = isinstance(value, kind) and not isinstance(value, bool)
    if not (is_number and least <= value < inf):
        what = "an int" if kind is int else "a number"
        raise ValueError(f"{name} must be {also}{what} of at least {least}, got {value!r}")


def check_tick(tick: Any) -> None:
    """Check that a tick is a number of seconds; without delays, it may be 0."""
    check_number("tick", tick, Real)


def _check_items(items: object) -> None:
    if not isinstance(items, str) or not _ITEMS.fullmatch(items):
        raise ValueError(f"items must be text of letters and digits, got {items!r}")


def _check(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {value!r}")
