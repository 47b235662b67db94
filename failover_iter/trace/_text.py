"""The table that `print(trace)` shows, and the formatting that the HTML table shares with it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final, TypeAlias
from unicodedata import category, east_asian_width

from failover_iter.errors import describe
from failover_iter.events import Exhausted, PassedOver, Switched
from failover_iter.trace._attempts import Remark, TracedAttempt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from failover_iter.trace._attempts import Line, Outcome

WIDTH: Final = 100
NARROWEST: Final = 60
SHOWN: Final = 20  # if there are very many lines: how many to show at each end
HEADS: Final = ("source", "#", "start", "first", "end", "delivered", "takeover", "outcome")
NUMBERS: Final = range(1, 6)  # the numeric columns, which are right-aligned
NOTHING: Final = "no attempts yet"

_WIDEST = (16, 6, 8, 8, 8, 9, 8)  # the columns before the outcome
_TAKEOVER, _OUTCOME = 6, 7
_LEGIBLE = 20  # of an outcome
#: The columns that a narrow table leaves out, in this order, because the bar shows the same.
_WHEN = (3, 2, 4)
_BAR = range(16, 41)
_GAP = "  "
_INDENT = "  "
_DEEPEST = 3  # groups nested deeper than this are not indented further
_MARKS: dict[Outcome, str] = {
    "failed": "x",
    "completed": "|",
    "closed": "/",
    "running": ">",
    "superseded": "\\",
}
_LEGEND = (
    "... waiting",
    "--- until the first item",
    "=== delivering",
    "x failed",
    "| completed",
    "/ closed",
    "> running",
)
_LEGEND_OF_HEDGES = "\\ superseded (another source was first)"


@dataclass(frozen=True, slots=True)
class Note:
    """A line of text between the rows."""

    depth: int
    text: str


Row: TypeAlias = TracedAttempt | Note


def layout(lines: Sequence[Line]) -> list[Row]:
    """The rows to show: the first and the last lines, with a note for each remark."""
    if len(lines) <= 2 * SHOWN:
        return list(_noted(lines, many=_many(lines)))
    head, middle, tail = lines[:SHOWN], lines[SHOWN:-SHOWN], lines[-SHOWN:]
    left_out = sum(isinstance(line, TracedAttempt) for line in middle)
    note = Note(0, f"... {left_out:,} attempts left out ...")
    many = _many(lines)
    return [*_noted(head, many=many), note, *_noted(tail, many=many)]


def _many(lines: Sequence[Line]) -> bool:
    return any(line.stream > 1 for line in lines)


def _noted(lines: Sequence[Line], *, many: bool) -> Iterator[Row]:
    """Turn remarks into notes, and add a heading for each stream if there are several."""
    stream = None
    for line in lines:
        if many and line.stream != stream:
            stream = line.stream
            yield Note(0, f"stream {stream}:")
        yield Note(line.depth, _remark(line)) if isinstance(line, Remark) else line


_REASONS: Final = {
    "mid_stream": 'mid_stream="raise"',
    "health": "health: it failed lately",
    "budget": "budget: no retry is left",
}


def _remark(remark: Remark) -> str:
    event = remark.event
    if isinstance(event, Exhausted):
        failures = "1 failure" if event.failures == 1 else f"{event.failures} failures"
        told = f"{failures}, {event.delivered} delivered"
        return f"exhausted after {told}: {describe(event.error)}"
    if isinstance(event, PassedOver):
        return f"{event.source} passed over ({_REASONS[event.reason]})"
    then = event.to if isinstance(event, Switched) else event.source
    takeover = "" if event.mode is None else f" (takeover: {event.mode})"
    return f"waiting {seconds(event.seconds)}, then opening {then}{takeover}"


def duration(lines: Sequence[Line]) -> float:
    """The length of the common timeline, in seconds."""
    rows = (line for line in lines if isinstance(line, TracedAttempt))
    ends = (max(row.start, row.first or 0.0, row.end or 0.0) for row in rows)
    return max(ends, default=0.0)


def cells(row: TracedAttempt) -> tuple[str, ...]:
    """The text of each column of `HEADS`, not yet cleaned or cut."""
    return (
        row.source,
        count(row.attempt, 6),
        seconds(row.start),
        seconds(row.first),
        seconds(row.end),
        count(row.delivered, 9),
        row.takeover or "",
        outcome(row),
    )


def indent(depth: int) -> str:
    """The indentation of a row of a group."""
    return _INDENT * min(depth, _DEEPEST)


def outcome(row: TracedAttempt) -> str:
    """How the attempt ended, with its errors in full."""
    if isinstance(row.error, GeneratorExit):
        return "closed by the consumer"
    if row.superseded_by is not None:
        return f"superseded by {row.superseded_by}"
    if row.error is None:
        return row.outcome
    outcome = "closed by" if row.outcome == "closed" else row.outcome
    closing = "" if row.close_error is None else f"; closing it: {describe(row.close_error)}"
    return f"{outcome} {describe(row.error)}{closing}"


def count(number: int | None, digits: int) -> str:
    """The number, in scientific notation if it has more than `digits` digits."""
    if number is None:
        return "-"
    return str(number) if number < 10**digits else f"{number:.1e}"


def seconds(value: float | None) -> str:
    """A duration in a suitable unit, in about six characters."""
    if value is None:
        return "-"
    for bound, show in _TIMES:
        if value < bound:
            return show(value)
    return f"{value / 86400:.3g}d"


# At each bound, the rounded text would need one more digit.
_TIMES: Final[tuple[tuple[float, Callable[[float], str]], ...]] = (
    (0.00005, lambda _: "0ms"),
    (0.00995, lambda value: f"{value * 1000:.1f}ms"),
    (0.9995, lambda value: f"{value * 1000:.0f}ms"),
    (9.995, lambda value: f"{value:.2f}s"),
    (99.95, lambda value: f"{value:.1f}s"),
    (3599.5, lambda value: "{}m{:02}s".format(*divmod(round(value), 60))),
    (86370, lambda value: "{}h{:02}m".format(*divmod(round(value / 60), 60))),
)


def clean(text: str, limit: int) -> str:
    """Return one line without control characters.

    White space becomes a single space, and other unprintable characters are escaped. Otherwise a
    terminal would interpret escape sequences, and a bidirectional override would reverse the line.
    """
    text = " ".join(text[: limit + 1].split())
    if not text.isprintable():
        text = "".join(char if char.isprintable() else _escape(char) for char in text)
    return text


def _escape(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def width(text: str) -> int:
    """The number of terminal columns that the text occupies."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _is_mark(char: str) -> bool:
    return category(char) in ("Mn", "Me")


def _columns(char: str) -> int:
    if _is_mark(char):
        return int(char == "\ufe0f")  # makes the preceding emoji wide
    return 2 if east_asian_width(char) in "WF" else 1


def cut(text: str, columns: int) -> str:
    """The text, cut and followed by three dots if it is too wide."""
    if width(text) <= columns:
        return text
    return text[: _fitting(text, columns - 3)] + "..."


def cut_middle(text: str, columns: int, dots: str = "…") -> str:
    """The text, with dots instead of its middle if it is too wide."""
    if width(text) <= columns:
        return text
    room = columns - width(dots)
    tail = text[len(text) - _fitting(text[::-1], room // 3) :]
    while tail and _is_mark(tail[0]):  # its letter does not fit
        tail = tail[1:]
    return text[: _fitting(text, room - width(tail))] + dots + tail


def _fitting(text: str, columns: int) -> int:
    """How many characters of the text fit into the columns."""
    return sum(used <= columns for used in accumulate(map(_columns, text)))


def clean_name(name: str) -> str:
    """Return the name as `clean` does. Of a very long one, only both ends are processed."""
    if len(name) > 2 * WIDTH:
        name = name[:WIDTH] + name[-WIDTH:]
    return clean(name, 2 * WIDTH)


def render(lines: Sequence[Line], encoding: str, columns: int = WIDTH) -> str:
    """Return the table as text that the encoding can represent, in that many columns."""
    if not lines:
        return NOTHING
    rows, total = layout(lines), duration(lines)
    table = [_encodable(row, encoding) for row in rows if isinstance(row, TracedAttempt)]
    modes = {line.takeover for line in lines if isinstance(line, TracedAttempt)} - {None}
    widths, bar = _widths_of(table, columns, with_takeover=len(modes) > 1)
    texts = [_line((*HEADS, "0" + seconds(total).rjust(bar - 1)), widths)]
    found = iter(table)
    for row in rows:
        if isinstance(row, Note):
            texts.append(cut(indent(row.depth) + _safe(row.text, encoding), columns))
        else:
            texts.append(_line((*next(found), _bar(row, total, bar)), widths))
    if len(modes) == 1:  # a separate line leaves more room for the errors
        texts.append(f"takeover: {modes.pop()}")
    texts.extend(_joined(_LEGEND, columns))
    if any(isinstance(row, TracedAttempt) and row.outcome == "superseded" for row in rows):
        texts.append(_LEGEND_OF_HEDGES)
    return "\n".join(texts)


def _encodable(row: TracedAttempt, encoding: str) -> tuple[str, ...]:
    source, *others = cells(row)
    dots = "…" if _escaped("…", encoding) == "…" else "..."
    name = indent(row.depth) + _escaped(clean_name(source), encoding)
    return cut_middle(name, _WIDEST[0], dots), *(_safe(cell, encoding) for cell in others)


def _safe(text: str, encoding: str) -> str:
    return _escaped(clean(text, 2 * WIDTH), encoding)


def _escaped(text: str, encoding: str) -> str:
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _joined(parts: tuple[str, ...], columns: int) -> list[str]:
    """The parts of the legend, in as few lines as possible."""
    lines = [""]
    for part in parts:
        if len(lines[-1]) + len(_GAP) + len(part) > columns:
            lines.append("")
        lines[-1] += _GAP * bool(lines[-1]) + part
    return lines


def _widths_of(
    table: list[tuple[str, ...]], columns: int, *, with_takeover: bool
) -> tuple[list[int], int]:
    """The width of each column (0 = not shown), and that of the bar, which takes the rest."""
    longest = [max(map(width, column)) for column in zip(HEADS, *table, strict=True)]
    widths = [min(pair) for pair in zip(longest, _WIDEST, strict=False)]
    widths[_TAKEOVER] *= with_takeover
    if columns < WIDTH:
        _narrow(widths, columns, min(longest[_OUTCOME], _LEGIBLE))
    room = _room(widths, columns)
    widths.append(min(longest[_OUTCOME], max(len(HEADS[_OUTCOME]), room - _BAR[0])))
    return widths, min(room - widths[-1], _BAR[-1])


def _narrow(widths: list[int], columns: int, outcome: int) -> None:
    """Leave columns out until there is room for the bar and for so much of the outcome."""
    for each in _WHEN:
        if _room(widths, columns) < outcome + _BAR[0]:
            widths[each] = 0
    if _room(widths, columns) < len(HEADS[_OUTCOME]) + _BAR[0]:
        widths[_TAKEOVER] = 0


def _room(widths: list[int], columns: int) -> int:
    """The room for the outcome and the bar."""
    return columns - sum(widths) - len(_GAP) * (sum(map(bool, widths)) + 1)


def _line(texts: tuple[str, ...], widths: list[int]) -> str:
    *texts_before, bar = texts
    parts = [
        _pad(cut(text, widths[index]), widths[index], right=index in NUMBERS)
        for index, text in enumerate(texts_before)
        if widths[index]
    ]
    return _GAP.join([*parts, bar]).rstrip()


def _pad(text: str, columns: int, *, right: bool) -> str:
    space = " " * (columns - width(text))
    return space + text if right else text + space


def _bar(row: TracedAttempt, total: float, columns: int) -> str:
    def at(moment: float) -> int:
        return round(share(moment, total) * (columns - 1))

    end = at(total if row.end is None else row.end)
    start = min(at(row.start), end)
    first = end if row.first is None else min(max(start, at(row.first)), end)
    pause = start - at(max(0.0, row.start - row.waited))
    before = " " * (start - pause) + "." * pause
    return before + "-" * (first - start) + "=" * (end - first) + _MARKS[row.outcome]


def share(moment: float, total: float) -> float:
    """The position of a moment on the timeline, from 0 to 1; always 0 if its length is 0."""
    return min(1.0, max(0.0, moment / total)) if total > 0 else 0.0
