"""A cursor as a text: JSON, and the other values that the key of a database row may have."""

from __future__ import annotations

import json
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

#: The key under which the type of such a value is; the other key is "value".
_TYPE: Final = "failover_iter"


def dumps(cursor: object) -> str:
    """Return the cursor as JSON; bytes, decimals, dates, times and UUIDs have a type there."""
    return json.dumps(cursor, default=_tagged)


def loads(text: str) -> Any:
    """Return the cursor of such a text."""
    return json.loads(text, object_hook=_untagged)


def _tagged(value: object) -> dict[str, Any]:
    kind = type(value)  # a subclass would return as another type
    if kind not in _PLAIN:
        raise TypeError(
            f"a cursor with a {kind.__name__} cannot be saved as JSON: pass dumps and loads"
        )
    return {_TYPE: kind.__name__, "value": _PLAIN[kind](value)}


def _untagged(record: dict[str, Any]) -> Any:
    if record.keys() != {_TYPE, "value"}:
        return record
    return _MAKE[record[_TYPE]](record["value"])


def _plain_datetime(value: datetime) -> list[str | None]:
    """The time, and the name of its zone: in another zone it may not be equal (PEP 495)."""
    return [value.isoformat(), getattr(value.tzinfo, "key", None)]


def _make_datetime(plain: tuple[str, str | None]) -> datetime:
    text, zone = plain
    value = datetime.fromisoformat(text)
    return value if zone is None else value.astimezone(ZoneInfo(zone))


_PLAIN: Final[dict[type, Any]] = {
    bytes: bytes.hex,
    Decimal: str,
    date: date.isoformat,
    datetime: _plain_datetime,
    time: time.isoformat,
    UUID: str,
}
_MAKE: Final[dict[str, Any]] = {
    "bytes": bytes.fromhex,
    "Decimal": Decimal,
    "date": date.fromisoformat,
    "datetime": _make_datetime,
    "time": time.fromisoformat,
    "UUID": UUID,
}
