"""`prometheus`: its page of metrics, and wrong use of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from failover_iter import Policy
from support.needs import needs
from support.runners import quiet

needs("prometheus_client")

from prometheus_client import CollectorRegistry, generate_latest

from failover_iter.observe import prometheus


def broken() -> Iterator[int]:
    raise ConnectionError("lost")
    yield


def good() -> Iterator[int]:
    yield from (1, 2)


def test_the_page() -> None:
    """The registry shows attempts, switches, times and counts of streams."""
    registry = CollectorRegistry()
    policy = Policy(retry_on=OSError, on_event=prometheus(registry=registry))
    with quiet():
        assert list(policy.stream([broken, good])) == [1, 2]
    page = generate_latest(registry).decode().splitlines()
    for line in (
        'failover_iter_attempts_total{outcome="failed",source="broken"} 1.0',
        'failover_iter_attempts_total{outcome="completed",source="good"} 1.0',
        'failover_iter_switches_total{from="broken",mode="start",to="good"} 1.0',
        'failover_iter_time_to_first_item_seconds_count{source="good"} 1.0',
        'failover_iter_stream_duration_seconds_count{outcome="completed"} 1.0',
    ):
        assert line in page


def test_one_listener_for_a_registry() -> None:
    """A second one for the same registry is an error, not a second count."""
    registry = CollectorRegistry()
    prometheus(registry=registry)
    with pytest.raises(ValueError, match="Duplicated timeseries"):
        prometheus(registry=registry)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"registry": None}, "registry must be a CollectorRegistry, got None"),
        ({"health": 3}, "health must be a Health, or None, got 3"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str) -> None:
    """Wrong use fails at once, and the error names the option and the value."""
    with pytest.raises(TypeError, match=f"^{message}$"):
        prometheus(**{"registry": CollectorRegistry(), **options})
