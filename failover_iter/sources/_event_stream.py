"""Decoding an event stream, as the HTML standard says (9.2.6, "Interpreting an event stream")."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: The ends of lines. No other separator counts, not even those of `str.splitlines`.
LINE_END = re.compile(rb"\r\n|\n|\r")
#: A pause in milliseconds. One of more digits is longer than a clock can wait, so it is ignored.
PAUSE = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True)
class Entry:
    """An event, or a comment.

    Attributes:
        id: the last event id.
        event: the type of the event.
        data: the data, or None if there is none: then it is no event for the consumer.
        retry: the pause before a reconnection, in milliseconds, if the server sent one.
        is_comment: whether it is a comment.
    """

    id: str
    event: str = "message"
    data: str | None = None
    retry: int | None = None
    is_comment: bool = False


class EventDecoder:
    """Turns chunks into entries; an entry that is not complete is never returned."""

    def __init__(self, last_id: str) -> None:
        self.last_id = last_id
        #: The start of a line, whose end has not arrived: each byte is looked at once.
        self._line = bytearray()
        self._has_cr = False
        self._at_start = True
        self._clear()

    def _clear(self) -> None:
        self._event, self._id = "", self.last_id
        self._data: list[str] = []
        self._retry: int | None = None

    def decode(self, chunk: bytes) -> Iterator[Entry]:
        """The entries that are complete with this chunk."""
        for line in self._lines(chunk):
            if not line:
                yield self._dispatch()
            elif line.startswith(":"):
                yield Entry(self.last_id, is_comment=True)
            else:
                self._field(*line.partition(":"))

    def _lines(self, chunk: bytes) -> Iterator[str]:
        """The lines that are complete with this chunk."""
        if self._has_cr:
            chunk = b"\r" + chunk
        # A \r at the end may be the first half of a \r\n.
        self._has_cr = chunk.endswith(b"\r")
        line, *others = LINE_END.split(chunk[:-1] if self._has_cr else chunk)
        self._line += line
        for start in others:
            yield self._text()
            self._line = bytearray(start)

    def _text(self) -> str:
        """The line, which is complete."""
        is_first, self._at_start = self._at_start, False
        line = self._line.removeprefix(codecs.BOM_UTF8) if is_first else self._line
        return line.decode(errors="replace")

    def _dispatch(self) -> Entry:
        self.last_id = self._id
        data = "\n".join(self._data) if self._data else None
        entry = Entry(self.last_id, self._event or "message", data, self._retry)
        self._clear()
        return entry

    def _field(self, name: str, _: str, value: str) -> None:
        value = value.removeprefix(" ")
        if name == "event":
            self._event = value
        elif name == "data":
            self._data.append(value)
        elif name == "id" and "\0" not in value:
            self._id = value
        elif name == "retry" and PAUSE.fullmatch(value):
            self._retry = int(value)
