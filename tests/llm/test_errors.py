"""`ProviderError`: what it says, and to whom."""

from __future__ import annotations

import copy
import pickle

import pytest

from failover_iter.llm import ProviderError


def test_it_says_who_and_what() -> None:
    """Provider, model, message and code stand in its text; the rest in its attributes."""
    raw = object()
    error = ProviderError(
        "busy", provider="groq", model="llama", code="rate_limit_error", retry_after=2.0, raw=raw
    )
    assert str(error) == "groq (llama): busy [rate_limit_error]"
    assert (error.status, error.request_error, error.retry_after) == (429, False, 2.0)
    assert error.raw is raw


@pytest.mark.parametrize("clone", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_it_can_be_copied(clone: object) -> None:
    """A copy, also one that was pickled, says the same."""
    error = ProviderError("no", provider="groq", code="not_found_error")
    same = clone(error)  # type: ignore[operator]
    assert (str(same), vars(same)) == (str(error), vars(error))


def test_a_plain_message() -> None:
    """A factory of one's own may raise it with a message alone."""
    error = ProviderError("overslept")
    assert str(error) == "overslept"
    assert (error.status, error.code, error.request_error) == (None, None, False)
