"""Marbles: one opening of a source as a line of text."""

from __future__ import annotations

import re
from typing import Any, Final

#: Marbles, as in Rx: a letter or digit is an item, `-` is a tick of time, `{90}` is ninety ticks,
#: `|` ends, `#` raises; marbles with neither at their end stall.
_BODY: Final = re.compile(r"-|\{(\d+)\}|([^\W_])")
_WHOLE: Final = re.compile(
    r"(?P<body>(?:-|\{\d+\}|[^\W_])*)(?P<end>\||\#(?P<error>\w*)|)(?P<words>(?:\s+\w+=\w+)*)"
)
_WORDS: Final = {"at": "at", "as": "kind", "close": "closing", "open": "opens"}
_MOST_DASHES: Final = 5


def read_marble(text: str) -> dict[str, Any]:
    """Return the fields of the `SourceScript` that a line of marbles describes."""
    match = _WHOLE.fullmatch(text.strip())
    if match is None:
        raise ValueError(
            f"marbles must be items (letters or digits), '-', '{{ticks}}', then '|' or '#error', "
            f"then options like 'at=call', 'as=iterator', 'close=raises'; got {text!r}"
        )
    items, ticks = _read_body(match["body"])
    end = {"|": "ends", "#": "raises", "": "stalls"}[match["end"][:1]]
    fields: dict[str, Any] = {"items": items, "ticks": ticks, "end": end}
    fields["error"] = match["error"] or ""
    return fields | _read_words(match["words"])


def _read_body(body: str) -> tuple[str, tuple[int, ...]]:
    items, passed = "", 0
    ticks: list[int] = []
    for match in _BODY.finditer(body):
        count, item = match.groups()
        if item is None:
            passed += int(count or 1)
        else:
            items += item
            ticks.append(passed)
            passed = 0
    return items, (*ticks, passed)


def _read_words(words: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for word in words.split():
        name, value = word.split("=")
        if name not in _WORDS:
            raise ValueError(f"options in marbles are {', '.join(_WORDS)}; got {word!r}")
        fields[_WORDS[name]] = int(value) if value.isdecimal() else value
    return fields


def write_marble(script: Any) -> str:
    """Return the line of marbles for a `SourceScript`: the inverse of `read_marble`."""
    marks = [dashes(script.ticks_before(at)) + item for at, item in enumerate(script.items)]
    last = dashes(script.ticks_before(len(script.items)))
    end = {"ends": "|", "raises": f"#{script.error}", "stalls": "-"}[script.end]
    words = [
        f" {word}={getattr(script, field)}"
        for word, field in _WORDS.items()
        if getattr(script, field) != getattr(type(script)(), field)
    ]
    return "".join([*marks, last, end, *words])


def dashes(ticks: int) -> str:
    """Return the marbles for a number of ticks."""
    return "-" * ticks if ticks <= _MOST_DASHES else f"{{{ticks}}}"
