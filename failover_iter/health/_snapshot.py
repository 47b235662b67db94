"""The health of sources at one moment, as values and as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

State: TypeAlias = Literal["ok", "out", "probing"]


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """The health of one key."""

    state: State
    """`"ok"`; `"out"`: it is tried last; `"probing"`: one stream finds out whether it works."""
    failures: int
    """Failures in a row since it was last ejected."""
    until: float
    """The seconds until a stream may probe it; 0 if it is not out."""
    level: int
    """Ejections in a row. Each one doubles the cool-down."""


class Snapshot(Mapping[str, SourceHealth]):
    """The health of all keys at one moment. It shows itself as a table, in text and in notebooks.

    Example:
        >>> from failover_iter.health import Snapshot, SourceHealth
        >>> print(Snapshot({"primary": SourceHealth("out", 0, 29.5, 1)}))
        source   state  failures   until  level
        primary  out           0  29.5 s      1
    """

    def __init__(self, health: Mapping[str, SourceHealth]) -> None:
        self._health = dict(sorted(health.items()))

    def __getitem__(self, key: str) -> SourceHealth:
        """Return the health of a key; a key without a failure may be unknown."""
        return self._health[key]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the keys, sorted."""
        return iter(self._health)

    def __len__(self) -> int:
        """Return the number of keys."""
        return len(self._health)

    def __repr__(self) -> str:
        """Return the healths by key."""
        return f"Snapshot({self._health!r})"

    def __str__(self) -> str:
        """Return the table."""
        if not self._health:
            return "no failures"
        rows = [_HEADS, *self._rows()]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            "  ".join(
                cell.rjust(width) if index in _NUMBERS else cell.ljust(width)
                for index, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        )

    def _repr_html_(self) -> str:
        """Return the table as HTML, for a notebook."""
        from html import escape  # for notebooks only

        if not self._health:
            return "<div>no failures</div>"
        head = "".join(f'<th scope="col">{name}</th>' for name in _HEADS)
        rows = ("".join(f"<td>{escape(cell)}</td>" for cell in row) for row in self._rows())
        body = "".join(f"<tr>{row}</tr>" for row in rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _rows(self) -> Iterator[tuple[str, ...]]:
        for key, each in self._health.items():
            until = f"{each.until:.1f} s" if each.until else "-"
            name = key if key.isprintable() else repr(key)
            yield name, each.state, str(each.failures), until, str(each.level)


_HEADS: Final = ("source", "state", "failures", "until", "level")
_NUMBERS: Final = (2, 3, 4)
