"""`retry_after`: the Retry-After that each SDK keeps, an upper bound, and the other wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from failover_iter import Failed
from failover_iter.llm import ProviderError, retry_after
from llm.cases import cases
from llm.harness import Harness
from llm.sdks import SDK

OTHERWISE = 11.0


def failed(error: Exception) -> Failed:
    """Return the record of a first failure."""
    return Failed("source", 1, 0, 0.0, error, 1, 1, None)


def delay_after(error: Exception) -> float:
    """Return the pause after this error; `OTHERWISE` if it has no Retry-After."""
    return retry_after(otherwise=lambda _: OTHERWISE)(failed(error))


def error_with(**attributes: Any) -> Exception:
    """Return an error with these attributes."""
    error = Exception("busy")
    error.__dict__.update(attributes)
    return error


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_each_sdk(harness: Harness, sdk: SDK, flavour: str) -> None:
    """Each SDK's error has the seconds of the header, except ollama's."""
    model = harness.model("status-429-retry-after-1")
    _, error = harness.deliver(flavour, [harness.source(sdk, flavour, model)])
    assert delay_after(error) == (OTHERWISE if sdk.name == "ollama" else 1.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, OTHERWISE),
        ({"retry-after": "-1"}, OTHERWISE),
        ({}, OTHERWISE),
    ],
)
def test_headers(headers: dict[str, str], seconds: float) -> None:
    """A header holds seconds, milliseconds or a date; any other value is ignored."""
    assert delay_after(error_with(response=SimpleNamespace(headers=headers))) == seconds
    assert delay_after(error_with(headers=headers)) == seconds
    none = SimpleNamespace(headers={})
    assert delay_after(error_with(response=none, litellm_response_headers=headers)) == seconds
    aws = {"ResponseMetadata": {"HTTPHeaders": {k.lower(): v for k, v in headers.items()}}}
    assert delay_after(error_with(response=aws)) == seconds


def test_a_date() -> None:
    """A date is converted into the seconds until then."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    assert 35 <= delay_after(error_with(headers={"Retry-After": date})) <= 40


@pytest.mark.parametrize("zone", ["", " -0000", " GMT", " +0000"])
def test_a_date_is_utc(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one without a zone: it is not in the zone of this machine."""
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.0)  # 22:13:20
    headers = {"Retry-After": f"Tue, 14 Nov 2023 22:13:27{zone}"}
    assert delay_after(error_with(headers=headers)) == 7
    assert delay_after(error_with(headers={"Retry-After": f"1 Jan {'9' * 30}{zone}"})) == OTHERWISE


def test_details_of_a_google_error() -> None:
    """Without a header, the delay comes from the RetryInfo in Google's error."""
    details = [{"@type": "other"}, "odd", {"retryDelay": "3.5s"}, {"retryDelay": 4}]
    assert delay_after(error_with(details={"error": {"details": details}})) == 3.5
    assert delay_after(error_with(details={"error": {}})) == OTHERWISE


def test_provider_error() -> None:
    """The delay of a `ProviderError` is its attribute `retry_after`."""
    assert delay_after(ProviderError("busy", retry_after=5)) == 5
    assert delay_after(ProviderError("busy")) == OTHERWISE


def test_maximum() -> None:
    """No pause is longer than the maximum, whether requested or from `otherwise`."""
    wait = retry_after(maximum=timedelta(seconds=2), otherwise=lambda _: timedelta(seconds=9))
    assert wait(failed(ProviderError("busy", retry_after=3600))) == 2.0
    assert wait(failed(ProviderError("busy"))) == 2.0


def test_default_is_a_backoff() -> None:
    """Without a Retry-After the pause is that of `backoff()`."""
    assert 0 <= retry_after()(failed(TimeoutError())) <= 0.1


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"maximum": "1"}, TypeError, "maximum must be seconds or a timedelta, got '1'"),
        ({"maximum": True}, TypeError, "maximum must be seconds or a timedelta, got True"),
        ({"maximum": -1}, ValueError, "maximum must be finite and not negative, got -1"),
        ({"maximum": float("inf")}, ValueError, "must be finite and not negative, got inf"),
        ({"otherwise": 3}, TypeError, "otherwise must be a function Failed -> seconds, got 3"),
    ],
)
def test_wrong_use(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    """A wrong argument is refused at once."""
    with pytest.raises(error, match=message):
        retry_after(**arguments)
