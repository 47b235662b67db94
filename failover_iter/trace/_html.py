"""The table for notebooks: the same rows as in text, with bars drawn by inline styles only.

The colours are legible on white and on black, and the text inherits the notebook's colour. The
table contains no script, and no style sheet that could leak into the page.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from failover_iter.trace._attempts import TracedAttempt
from failover_iter.trace._text import (
    HEADS,
    NOTHING,
    NUMBERS,
    cells,
    clean,
    clean_name,
    cut,
    cut_middle,
    duration,
    indent,
    layout,
    outcome,
    seconds,
    share,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from failover_iter.trace._attempts import Line, Outcome
    from failover_iter.trace._text import Row

_LONGEST_CELL: Final = 60  # columns; the title attribute contains the whole text
_LONGEST_NOTE: Final = 120
_LONGEST_TITLE: Final = 4000

_COLOURS: dict[Outcome, str] = {
    "completed": "#2e9e5b",
    "failed": "#d9534f",
    "closed": "#8c8c8c",
    "running": "#3b82d6",
    "superseded": "#a67c00",
}
_CELL = "padding:3px 8px;white-space:nowrap;vertical-align:middle;text-align:"
_TABLE = "margin:0;border-collapse:collapse;font-size:13px;color:inherit;background:transparent"
_RULE = "border-bottom:1px solid rgba(128,128,128,.4)"
_WAITING = "top:6px;border-top:2px dotted #8c8c8c"
_THIN = "top:5px;height:4px"
_THICK = "top:1px;height:12px"
_EDGE = "box-sizing:content-box;padding-right:3px;margin-left:-3px"  # visible even at width 0
_TRACK = "position:relative;height:14px;min-width:200px"


def render(lines: Sequence[Line]) -> str:
    """Return the table as HTML."""
    if not lines:
        return f"<div>{NOTHING}</div>"
    total = duration(lines)
    body = "".join(f"<tr>{_row(row, total)}</tr>" for row in layout(lines))
    return (
        f'<div style="overflow-x:auto"><table style="{_TABLE}">'
        f"<thead>{_heads(total)}</thead><tbody>{body}</tbody></table>{_legend()}</div>"
    )


def _heads(total: float) -> str:
    names = "".join(
        f'<th scope="col" style="{_CELL}{_side(index)};{_RULE}">{name}</th>'
        for index, name in enumerate(HEADS)
    )
    axis = (
        '<div style="display:flex;justify-content:space-between;font-weight:normal">'
        f"<span>0</span><span>{seconds(total)}</span></div>"
    )
    return f'<tr>{names}<th scope="col" style="{_CELL}left;{_RULE}">{axis}</th></tr>'


def _side(column: int) -> str:
    return "right" if column in NUMBERS else "left"


def _row(row: Row, total: float) -> str:
    if not isinstance(row, TracedAttempt):
        text = _space(row.depth) + _text(row.text, _LONGEST_NOTE)
        return f'<td colspan="{len(HEADS) + 1}" style="{_CELL}left">{text}</td>'
    source, *others = cells(row)
    name = _space(row.depth) + _shown(source, cut_middle(clean_name(source), _LONGEST_CELL))
    texts = enumerate((name, *(_text(text, _LONGEST_CELL) for text in others)))
    columns = "".join(f'<td style="{_CELL}{_side(index)}">{text}</td>' for index, text in texts)
    title = _title(outcome(row))
    return f'{columns}<td style="{_CELL}left" title="{title}">{_bar(row, total)}</td>'


def _space(depth: int) -> str:
    return indent(depth).replace(" ", "&nbsp;&nbsp;")


def _text(text: str, longest: int) -> str:
    return _shown(text, cut(clean(text, 2 * longest), longest))


def _shown(text: str, shown: str) -> str:
    """The shown text. A title contains the whole text if that differs."""
    if shown == text:
        return escape(text)
    return f'<span title="{_title(text)}">{escape(shown)}</span>'


def _title(text: str) -> str:
    lines = text[:_LONGEST_TITLE].splitlines()
    return escape("\n".join(clean(line, _LONGEST_TITLE) for line in lines).strip())


def _bar(row: TracedAttempt, total: float) -> str:
    end = total if row.end is None else row.end
    first = end if row.first is None else row.first
    solid = f"background:{_COLOURS[row.outcome]}"
    parts = [
        _part(row.start - row.waited, row.start, total, _WAITING),
        _part(row.start, first, total, f"{_THIN};{solid};opacity:.55"),
        _part(first, end, total, f"{_THICK};{solid}"),
        _part(end, end, total, f"{_THICK};{solid};{_EDGE}"),
    ]
    return f'<div style="{_TRACK}">{"".join(parts)}</div>'


def _part(start: float, end: float, total: float, style: str) -> str:
    left, right = share(start, total), share(end, total)
    return (
        f'<span style="position:absolute;left:{left:.2%};width:{max(0.0, right - left):.2%};'
        f'{style}"></span>'
    )


def _legend() -> str:
    lines = {"waiting": _WAITING, "until the first item": f"{_THIN};opacity:.55;background:#8c8c8c"}
    for name, colour in _COLOURS.items():
        lines[name] = f"{_THICK};background:{colour}"
    entries = "".join(
        '<span style="margin-right:16px;white-space:nowrap"><span style="position:relative;'
        'display:inline-block;width:22px;height:14px;vertical-align:middle;margin-right:5px">'
        f'<span style="position:absolute;left:0;width:22px;{style}"></span></span>{name}</span>'
        for name, style in lines.items()
    )
    return f'<div style="font-size:12px;padding:6px 8px;opacity:.85">{entries}</div>'
