"""`plans`: random plans that shrink towards one fault at the smallest index."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from string import ascii_letters, digits
from typing import Any, Final, TypeAlias, get_args

from hypothesis import strategies as st

from failover_iter.testing._faults import ErrorMaker, name_of
from failover_iter.testing._plans import LEAVING, Consumer, How, Plan, SourceScript, check_number

ALPHABET: Final = ascii_letters + digits

#: A fault: it returns changed fields for the script of a good source, from its items and a place.
Change: TypeAlias = Callable[[str, int], dict[str, Any]]


def _raises(**fields: Any) -> Change:
    """Raise at the place."""
    return lambda items, place: {"items": items[:place], "end": "raises", **fields}


def _fails(at: str, **fields: Any) -> Change:
    """Raise in another phase, before any item."""
    return lambda items, place: {"items": "", "end": "raises", "at": at, **fields}


#: The faults of which an opening has at most one; the simplest first.
HARD: Final[dict[str, Change]] = {
    "raises": _raises(),
    "call": _fails("call"),
    "iter": _fails("iter", kind="iterable"),
    "await": _fails("await"),
    **{name: _raises(error=name) for name in ("bug", "base", "falsy", "group", "mixed", "chained")},
    "stop": _fails("call", error="stop"),
    "ends early": lambda items, place: {"items": items[:place]},
    "empty": lambda items, place: {"items": ""},
    "stalls": lambda items, place: {"items": items[:place], "end": "stalls"},
    "duplicates": lambda items, place: {"items": items[: place + 1] + items[place:]},
    "overlaps": lambda items, place: {"items": items[:place] + items[max(place - 1, 0) :]},
    "reorders": lambda items, place: {
        "items": items[:place] + items[place : place + 2][::-1] + items[place + 2 :]
    },
    "diverges": lambda items, place: {"items": items[:place] + ALPHABET[-1] + items[place + 1 :]},
}
#: The faults that go with any other: the values of a field of the script, by their names.
SOFT: Final[dict[str, dict[str, Any]]] = {
    "kind": {
        kind: kind
        for kind in ("iterator", "iterable", "both", "bare", "same", "returning", "answering")
    },
    "closing": {f"close {how}": how for how in ("raises", "bug", "base", "slow", "yields")},
    "ticks": {"slow": 1, "late": 100},
    "opens": {"opens slowly": 2},
}
FAULTS: Final = (*HARD, *[name for names in SOFT.values() for name in names])

#: The faults that every pipeline must handle.
DEFAULT_FAULTS: Final = (
    "raises", "call", "iter", "bug", "falsy", "iterator", "iterable", "bare", "close raises",
    "slow",
)  # fmt: skip
CONSUMERS: Final = get_args(How)
DEFAULT_CONSUMERS: Final = ("drain", "close", "throw", "break", "drop", "slow")


def plans(
    *,
    sources: int = 2,
    errors: Iterable[ErrorMaker] = (ConnectionError,),
    max_items: int = 6,
    min_items: int = 0,
    openings: int = 1,
    faults: str | Iterable[str] = "default",
    consumers: str | Iterable[str] = "default",
) -> st.SearchStrategy[Plan]:
    """Return a strategy of random plans that shrink towards one fault at the smallest index.

    Args:
        sources: the number of factories that the pipeline takes.
        errors: the failures of a source: exception classes, or functions that return an exception.
        max_items: the largest number of items in the complete stream.
        min_items: the smallest number of items in the complete stream.
        openings: how many openings of a source may differ, for sources that recover and fail
            again.
        faults: the names of the faults that sources may have. "default" stands for those that
            every pipeline must handle, "all" for all. Add more for a pipeline that promises more:
            `faults=["default", "ends early"]`.

            - An error before or after any item: "raises" (a failure); "bug" and "base" (errors
              that are not failures); "falsy", "group", "mixed" (a group that contains a bug deep
              inside), "chained" (an error with a cause and a note).
            - An error in another phase: "call", "await", "iter"; "stop" (a `StopIteration` in
              the call).
            - A wrong end: "ends early", "empty", "stalls".
            - Other items than the other sources: "duplicates", "overlaps", "reorders", "diverges".
            - The kind of source: "iterator", "iterable", "both", "bare", "same", "returning",
              "answering".
            - An error in `close`: "close raises", "close bug", "close base"; also "close slow",
              "close yields".
            - Items that take time: "slow", "late"; openings that do: "opens slowly".
        consumers: what the consumer may do: "drain", "break", "close", "throw", "send", "drop",
            "slow", "cancel", "cancel_close", "cancel_at", "reenter", "concurrent"; "default"
            stands for the first half, "all" for all.

    Raises:
        ValueError: a fault or consumer is unknown, or a number is out of range.

    Example:
        >>> from hypothesis import given
        >>> from failover_iter.testing import plans, verify
        >>> def pipeline(primary, replica):
        ...     yield from primary()
        >>> @given(plans(sources=2, errors=[ConnectionError, TimeoutError]))
        ... def test_my_pipeline(plan):
        ...     verify(pipeline, plan, oracles="exactly_once")
    """
    faults = _names("faults", faults, DEFAULT_FAULTS, FAULTS)
    consumers = _names("consumers", consumers, DEFAULT_CONSUMERS, CONSUMERS)
    for name, number, least in (
        ("sources", sources, 1), ("openings", openings, 1),
        ("min_items", min_items, 0), ("max_items", max_items, 0),
    ):  # fmt: skip
        check_number(name, number, least=least)
    if not min_items <= max_items <= len(ALPHABET):
        raise ValueError(
            f"min_items must be 0 to max_items, and max_items up to {len(ALPHABET)}; got "
            f"{min_items!r} and {max_items!r}"
        )
    if not consumers:
        raise ValueError("consumers must name at least one, got none")
    known = [how for how in CONSUMERS if how in consumers]
    return _plans(sources, tuple(errors), (min_items, max_items), openings, faults, known)


def _names(
    option: str, given: str | Iterable[str], default: tuple[str, ...], everything: tuple[str, ...]
) -> tuple[str, ...]:
    """Return the names that are meant, each once."""
    names: list[str] = []
    for name in [given] if isinstance(given, str) else given:
        known = {"default": default, "all": everything}.get(name, (name,))
        if name not in everything and known == (name,):
            allowed = ", ".join(("default", "all", *everything))
            raise ValueError(f"{option} must be among {allowed}; got {name!r}")
        names += known
    return tuple(dict.fromkeys(names))


def _plans(  # noqa: PLR0917 (the parameters of `plans`)
    sources: int,
    errors: tuple[ErrorMaker, ...],
    size: tuple[int, int],
    openings: int,
    faults: tuple[str, ...],
    consumers: list[Any],
) -> st.SearchStrategy[Plan]:
    """Draw the faults first, and always the same number of values, so that plans shrink well.

    Three situations are drawn often, because they would be rare by chance: every source but the
    last fails mid-stream, every source fails, and the consumer leaves while the first source works.
    """
    least, most = size
    longer = range(min(most, max(least, 2)), most + 1)
    leaving = [one for one in consumers if one in LEAVING] or consumers
    can_raise = "raises" in faults
    # Made once, and not for each plan: making a strategy takes longer than drawing from it.
    oddity = _oddities(errors, faults)
    numbers = _sampled([*range(1, openings + 1)])
    consumer = st.sampled_from(consumers)
    leaver = st.sampled_from([*leaving, *leaving[:2]])
    situation = st.sampled_from(["free", "free", *["survivable"] * 2, *["left"] * 2, "exhausted"])
    length = st.sampled_from([*range(least, most + 1), *longer])
    places = [st.integers(0, length) for length in range(most + 1)]

    @st.composite
    def plan(draw: st.DrawFn) -> Plan:
        oddities = [[oddity(draw) for _ in range(draw(numbers))] for _ in range(sources)]
        how: Any = draw(consumer)
        leaves: Any = draw(leaver)
        match draw(situation):
            case "survivable":
                oddities, how = survivable(oddities, can_raise), consumers[0]
            case "exhausted":
                oddities, how = exhausted(oddities, can_raise), consumers[0]
            case "left":
                oddities[0][0], how = replace(oddities[0][0], fault=None), leaves
            case _:
                pass
        items = ALPHABET[: draw(length)]
        place = places[len(items)]
        at = draw(place)
        scripts = [
            tuple(one.script(items, draw(place), draw(place)) for one in odds) for odds in oddities
        ]
        leave = Consumer(how, 0 if how == "drain" else at)
        return Plan(*scripts, items=items, errors=errors, consumer=leave)

    return plan()


@dataclass(frozen=True, slots=True)
class Oddity:
    """How one opening differs from a good one."""

    fault: str | None = None
    error: str = ""
    kind: Any = "generator"
    closing: Any = "quietly"
    ticks: int = 0
    opens: int = 0

    def script(self, items: str, place: int, late: int) -> SourceScript:
        """Return the script of an opening with this oddity, at these places."""
        fields: dict[str, Any] = {
            "items": items, "kind": self.kind, "closing": self.closing, "opens": self.opens
        }  # fmt: skip
        if self.fault is not None:
            fields |= HARD[self.fault](items, place)
        if "end" in fields and fields["end"] == "raises":
            fields.setdefault("error", self.error)
        if self.ticks:
            fields["ticks"] = (*[0] * min(late, len(fields["items"])), self.ticks)
        return SourceScript(**fields)


def _oddities(
    errors: tuple[ErrorMaker, ...], faults: tuple[str, ...]
) -> Callable[[st.DrawFn], Oddity]:
    """Return a function that draws how one opening differs from a good one."""
    hard = [fault for fault in HARD if fault in faults]
    kinds, closings, ticks, opens = (
        [value for name, value in values.items() if name in faults] for values in SOFT.values()
    )
    parts: list[st.SearchStrategy[Any]] = [
        # Half of the openings are good; the first fault, usually "raises", is the most frequent.
        st.sampled_from([*[None] * (len(hard) + 3), *hard[:1] * 3, *hard]),
        _sampled(["", *[name_of(error) for error in errors[1:]]]),
        _sampled(["generator", *kinds]),
        _sampled([*["quietly"] * 3, *closings] if closings else ["quietly"]),
        _sampled([0, 0, 0, *ticks] if ticks else [0]),
        _sampled([0, *opens]),
    ]
    return lambda draw: Oddity(*[draw(part) for part in parts])


def _sampled(values: list[Any]) -> st.SearchStrategy[Any]:
    """Draw one of the values; nothing if there is one alone, which is quicker."""
    return st.sampled_from(values) if len(values) > 1 else st.just(values[0])


def survivable(oddities: list[list[Oddity]], can_raise: bool) -> list[list[Oddity]]:  # noqa: FBT001
    """Make every opening fail mid-stream except the last one, which is good."""
    failing = [
        [replace(odd, fault="raises") if can_raise else odd for odd in group] for group in oddities
    ]
    failing[-1][-1] = replace(oddities[-1][-1], fault=None, closing="quietly")
    return failing


def exhausted(oddities: list[list[Oddity]], can_raise: bool) -> list[list[Oddity]]:  # noqa: FBT001
    """Make every good opening fail."""
    if not can_raise:
        return oddities
    return [[replace(odd, fault=odd.fault or "raises") for odd in group] for group in oddities]
