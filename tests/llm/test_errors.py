"""`ProviderError`: its text and its attributes."""

from __future__ import annotations

import copy
import pickle

import pytest

from failover_iter.llm import ProviderError


def test_text_and_attributes() -> None:
    """The text has provider, model, message and code; the rest is in attributes."""
    raw = object()
    error = ProviderError(
        "busy", provider="groq", model="llama", code="rate_limit_error", retry_after=2.0, raw=raw
    )
    assert str(error) == "groq (llama): busy [rate_limit_error]"
    assert (error.status, error.request_error, error.retry_after) == (429, False, 2.0)
    assert error.raw is raw


@pytest.mark.parametrize("clone", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_it_can_be_copied(clone: object) -> None:
    """A copy or a pickled error has the same text and attributes."""
    error = ProviderError("no", provider="groq", code="not_found_error")
    same = clone(error)  # type: ignore[operator]
    assert (str(same), vars(same)) == (str(error), vars(error))


def test_a_plain_message() -> None:
    """A user's own factory may raise it with a message alone."""
    error = ProviderError("overslept")
    assert str(error) == "overslept"
    assert (error.status, error.code, error.request_error) == (None, None, False)
