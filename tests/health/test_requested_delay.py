"""A Retry-After that is a date, as `Health`, the sources and the adapters of `llm` read it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from failover_iter import Health, Policy
from failover_iter.health import requested_delay
from failover_iter.llm import requested_delay as llm_delay
from failover_iter.sources._retry import retry_after_of

#: 2023-11-14 22:13:20 GMT.
NOW = 1_700_000_000.0
SENT = "Tue, 14 Nov 2023 21:00:00 GMT"  # a server whose clock is slow


class Busy(Exception):
    """The error of a client."""

    def __init__(self, **headers: str) -> None:
        self.has_a_date = "date" in headers and headers["date"] != "now"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.response = httpx.Response(503, headers=names)


CASES = [
    (Busy(retry_after="Tue, 14 Nov 2023 21:00:07 GMT", date=SENT), 7.0),
    (Busy(retry_after="Tue, 14 Nov 2023 20:59:00 GMT", date=SENT), 0.0),
    (Busy(retry_after="Tue, 14 Nov 2023 22:13:27 GMT"), 7.0),
    (Busy(retry_after="Tue, 14 Nov 2023 22:13:27 GMT", date="now"), 7.0),
    (Busy(retry_after="Tue Nov 14 22:13:27 2023"), 7.0),
    (Busy(retry_after="14 Nov 2023 23:13:27 +0100"), 7.0),
    (Busy(retry_after=SENT), 0.0),
    (Busy(retry_after="soon", date=SENT), None),
    (Busy(retry_after=f"1 Jan {'9' * 30} 00:00:00 GMT", date=SENT), None),
    (Busy(retry_after="7", date=SENT), 7.0),
    (Busy(date=SENT), None),
]


@pytest.mark.parametrize(("error", "seconds"), CASES)
def test_a_date(error: Busy, seconds: float | None) -> None:
    """It is compared with the clock of the server, or else with that of this machine."""
    assert requested_delay(error, now=lambda: NOW) == seconds


@pytest.mark.parametrize(("error", "seconds"), [case for case in CASES if case[0].has_a_date])
def test_all_parts_of_the_library_agree(error: Busy, seconds: float | None) -> None:
    """The sources and the adapters of `llm` read the same pause."""
    assert (llm_delay(error), retry_after_of(error)) == (seconds, seconds)


@pytest.mark.parametrize("read", [requested_delay, llm_delay, retry_after_of])
def test_the_clock_of_this_machine(read: Any) -> None:
    """It counts if the response does not say when it was sent."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 60 < read(Busy(retry_after=soon)) <= 90


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(3, 3.0), ("3", 3.0), (timedelta(minutes=1), 60.0), ("Tue, 14 Nov 2023 22:13:27 GMT", 7.0)],
)
def test_an_attribute(value: Any, seconds: float) -> None:
    """An error may say it itself."""
    assert requested_delay(SimpleNamespace(retry_after=value), now=lambda: NOW) == seconds


def test_a_source_is_out_until_the_date() -> None:
    """The default of `Health` honours it, whatever the clock of this machine shows."""
    health = Health(failures=9, clock=lambda: 5.0)
    policy = Policy(retry_on=Busy, health=health)

    def busy() -> Any:
        raise Busy(retry_after="Tue, 14 Nov 2023 21:01:00 GMT", date=SENT)
        yield

    def sound() -> Any:
        yield 1

    assert list(policy.stream([busy, sound])) == [1]
    assert (health.snapshot()["busy"].state, health.snapshot()["busy"].until) == ("out", 60.0)
