"""`retry_after`: what each SDK lets through of Retry-After, capped, else another wait."""

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

UNTOLD = 11.0


def failed(error: Exception) -> Failed:
    """The record of a first failure."""
    return Failed("source", 1, 0, 0.0, error, 1, 1, None)


def asked(error: Exception) -> float:
    """What is waited after this error; `UNTOLD` where it does not say."""
    return retry_after(otherwise=lambda _: UNTOLD)(failed(error))


def told(**said: Any) -> Exception:
    """An error with these attributes."""
    error = Exception("busy")
    error.__dict__.update(said)
    return error


@pytest.mark.parametrize(("sdk", "flavour"), cases())
def test_each_sdk(harness: Harness, sdk: SDK, flavour: str) -> None:
    """The seconds of the header are found on each SDK's error, but where it keeps none."""
    model = harness.model("status-429-retry-after-1")
    _, error = harness.deliver(flavour, [harness.source(sdk, flavour, model)])
    assert asked(error) == (UNTOLD if sdk.name == "ollama" else 1.0)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, UNTOLD),
        ({"retry-after": "-1"}, UNTOLD),
        ({}, UNTOLD),
    ],
)
def test_headers(headers: dict[str, str], seconds: float) -> None:
    """Seconds, milliseconds, a date; what is none of these says nothing."""
    assert asked(told(response=SimpleNamespace(headers=headers))) == seconds
    assert asked(told(headers=headers)) == seconds
    none = SimpleNamespace(headers={})
    assert asked(told(response=none, litellm_response_headers=headers)) == seconds
    aws = {"ResponseMetadata": {"HTTPHeaders": {k.lower(): v for k, v in headers.items()}}}
    assert asked(told(response=aws)) == seconds


def test_a_date() -> None:
    """A date is as far away as it is."""
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=40), usegmt=True)
    assert 35 <= asked(told(headers={"Retry-After": date})) <= 40


def test_google_says_it_in_details() -> None:
    """Without a header the RetryInfo of Google's error is read."""
    details = [{"@type": "other"}, "odd", {"retryDelay": "3.5s"}, {"retryDelay": 4}]
    assert asked(told(details={"error": {"details": details}})) == 3.5
    assert asked(told(details={"error": {}})) == UNTOLD


def test_a_provider_error_says_it_itself() -> None:
    """Its own attribute counts."""
    assert asked(ProviderError("busy", retry_after=5)) == 5
    assert asked(ProviderError("busy")) == UNTOLD


def test_capped() -> None:
    """No wait is longer than the maximum, whoever says so."""
    wait = retry_after(maximum=timedelta(seconds=2), otherwise=lambda _: timedelta(seconds=9))
    assert wait(failed(ProviderError("busy", retry_after=3600))) == 2.0
    assert wait(failed(ProviderError("busy"))) == 2.0


def test_else_a_backoff() -> None:
    """Without a word of the provider it is `backoff()`."""
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
    """What cannot be meant is refused at once."""
    with pytest.raises(error, match=message):
        retry_after(**arguments)
