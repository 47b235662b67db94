"""`check_failover_laws` reports the laws that a combinator breaks, and rejects wrong arguments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import BrokenLaw, Plan
from laws.conformance import check_failover_laws
from laws.suite import delivered_under


def skips(factories: Any) -> Any:
    return failover_stream(factories, retry_on=ConnectionError, mid_stream="skip")


def restarts(factories: Any) -> Any:
    return failover_stream(factories, retry_on=ConnectionError, mid_stream="restart")


def askips(factories: Any) -> Any:
    return afailover_stream(factories, retry_on=ConnectionError, mid_stream="skip")


@pytest.mark.slow
def test_what_keeps_the_laws_passes() -> None:
    """Correct combinators pass, also without `twin` and `nest`."""
    check_failover_laws(skips, max_examples=10)
    check_failover_laws(askips, flavour="asyncio", max_examples=10)


def test_every_broken_law_is_reported() -> None:
    """The group holds a `BrokenLaw` for each, with the law in its notes."""

    def stubborn(factories: Any) -> Iterator[Any]:
        for factory in factories:
            try:
                yield from factory()
                return
            except Exception:
                continue

    with pytest.raises(ExceptionGroup, match="stubborn breaks laws of failover") as caught:
        check_failover_laws(
            stubborn, mode="restart", laws=["transparency", "exhaustion"], max_examples=100
        )
    first, second = caught.value.exceptions
    assert isinstance(first, BrokenLaw)
    assert "the law of transparency: An error that is not a source failure" in first.__notes__[-1]
    assert "the law of exhaustion: When the last source fails" in second.__notes__[-1]


def test_the_failure_may_be_another() -> None:
    """The exception that causes a switch is an option."""
    check_failover_laws(
        lambda factories: failover_stream(factories, retry_on=KeyError, mid_stream="skip"),
        failure=KeyError,
        laws=["switching"],
        max_examples=20,
    )


def test_associativity_needs_nest_to_resume() -> None:
    """In mode "resume", associativity is not checked without `nest`."""

    def resumes(factories: Any) -> Any:
        return failover_stream(factories, retry_on=ConnectionError, mid_stream="resume")

    check_failover_laws(resumes, mode="resume", laws=["associativity"], max_examples=10)


def test_what_needs_another_combinator_is_left_out() -> None:
    """Without `waiting` and `twin`, the laws are checked with the combinator alone."""
    check_failover_laws(skips, laws=["transparency", "closing", "twins"], max_examples=5)


def test_as_many_plans_as_the_profile_says() -> None:
    """Without `max_examples`, the loaded profile of Hypothesis decides."""
    check_failover_laws(skips, laws=["laziness"])


def test_a_combinator_nests_itself() -> None:
    """Without `nest`, the nested combinator is the combinator itself."""
    check_failover_laws(skips, laws=["associativity"], max_examples=5)


def test_no_factory_is_taken_early() -> None:
    """A stream takes a factory when it opens it; a list of the factories breaks the law."""
    check_failover_laws(skips, laws=["laziness"], max_examples=20)
    with pytest.raises(ExceptionGroup) as caught:
        check_failover_laws(lambda factories: skips([*factories]), laws=["laziness"])
    (error,) = caught.value.exceptions
    assert isinstance(error, BrokenLaw)
    assert str(error).startswith("no_factory_is_taken_before_its_turn: ")


def test_twins_that_differ_are_found() -> None:
    """A twin that restarts differs from a combinator that skips."""
    with pytest.raises(ExceptionGroup) as caught:
        check_failover_laws(
            askips, flavour="asyncio", twin=restarts, laws=["twins"], max_examples=300
        )
    assert "the twins differ" in str(caught.value.exceptions[0])


def test_shared_state_is_found() -> None:
    """A combinator whose streams share state is reported."""
    current: list[Any] = [None]

    def shares(factories: Any) -> Iterator[Any]:
        current[0] = skips(factories)
        while (item := next(current[0], None)) is not None:
            yield item

    with pytest.raises(ExceptionGroup) as caught:
        check_failover_laws(shares, laws=["no shared state"], max_examples=300)
    assert "another stream changed the result" in str(caught.value.exceptions[0])


def test_memory_that_grows_is_found() -> None:
    """A combinator that keeps delivered items is reported."""
    kept: list[Any] = []

    def keeps(factories: Any) -> Iterator[Any]:
        for item in skips(factories):
            kept.append(item)
            yield item

    with pytest.raises(ExceptionGroup) as caught:
        check_failover_laws(keeps, laws=["constant memory"])
    assert "2000 items were kept" in str(caught.value.exceptions[0])


def test_nesting_that_changes_the_result_is_found() -> None:
    """A nested combinator that delivers something else is reported."""
    with pytest.raises(ExceptionGroup) as caught:
        check_failover_laws(
            restarts,
            mode="restart",
            nest=lambda factories: factories[-1],
            laws=["associativity"],
            max_examples=300,
        )
    assert "nested combinators deliver something else" in str(caught.value.exceptions[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "jump"}, "mode must be one of restart, raise, skip, resume; got 'jump'"),
        ({"flavour": "curio"}, "flavour must be one of sync, asyncio, trio; got 'curio'"),
        ({"laws": ["gravity"]}, "laws must be one of identity, laziness.*got 'gravity'"),
    ],
)
def test_wrong_arguments_are_rejected(options: Any, message: str) -> None:
    """An unknown law, mode or flavour is a ValueError."""
    with pytest.raises(ValueError, match=message):
        check_failover_laws(skips, **options)


@pytest.mark.parametrize("mode", ["skip", "restart", "raise", "resume"])
def test_the_model_of_the_laws(mode: Any) -> None:
    """The model knows what each mode delivers after a mid-stream failure or a too short replay."""
    model = delivered_under(mode)
    taken_over = {"skip": "abc", "restart": "ababc", "raise": "ab", "resume": "abc"}
    got: list[str] = []
    with suppress(ConnectionError):
        for item in model(Plan("ab#", "abc|")):
            got.append(item)
    assert "".join(got) == taken_over[mode]
    if mode == "skip":
        assert list(model(Plan("ab#", "a|", "abc|"))) == ["a", "b", "c"]
        # Its close fails too: the stream has left the source already.
        assert list(model(Plan("ab#", "a| as=iterator close=raises", "abc|"))) == ["a", "b", "c"]
