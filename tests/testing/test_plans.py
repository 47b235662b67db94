"""Plans are frozen data, read and written as marbles, the one as the other."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis.vendor import pretty

from failover_iter.testing import (
    CONSUMERS,
    FAULTS,
    Consumer,
    Plan,
    SourceScript,
    plans,
)

READ = {
    "ab#": SourceScript("ab", end="raises"),
    "--a-b|": SourceScript("ab", (2, 1)),
    "ab-": SourceScript("ab", end="stalls"),
    "ab": SourceScript("ab", end="stalls"),
    "": SourceScript(end="stalls"),
    "a---#TimeoutError": SourceScript("a", (0, 3), end="raises", error="TimeoutError"),
    "a{90}b|": SourceScript("ab", (0, 90)),
    "# at=call": SourceScript(end="raises", at="call"),
    "ab| open=5": SourceScript("ab", opens=5),
    "# at=iter as=iterable": SourceScript(end="raises", at="iter", kind="iterable"),
    "a| as=iterator close=raises": SourceScript("a", kind="iterator", closing="raises"),
}


@pytest.mark.parametrize("text", READ)
def test_marbles_are_read(text: str) -> None:
    """Items, ticks, ends, errors and words stand for the fields of an opening."""
    assert SourceScript.read(text) == READ[text]


@pytest.mark.parametrize("script", READ.values(), ids=str)
def test_marbles_are_written(script: SourceScript) -> None:
    """What is written reads as the same opening."""
    assert SourceScript.read(str(script)) == script


@given(plans(sources=2, openings=2, errors=[OSError, KeyError], faults=FAULTS, consumers=CONSUMERS))
def test_a_plan_can_be_pasted(plan: Plan) -> None:
    """Its repr makes an equal plan, and Hypothesis shows it so too."""
    assert eval(repr(plan)) == plan
    assert hash(eval(repr(plan))) == hash(plan)
    assert pretty.pretty(plan) == repr(plan)


def test_a_plan_is_frozen() -> None:
    """Nothing can be changed in it."""
    with pytest.raises(FrozenInstanceError):
        Plan("a|").items = "b"  # type: ignore[misc]


def test_the_whole_is_the_longest_that_a_source_gives() -> None:
    """Each item once, unless it is said what it is."""
    assert Plan("ab#", "aabc|").items == "abc"
    assert Plan("ab|", items="abc").items == "abc"
    assert Plan().items == ""


def test_openings_may_be_given_as_they_are() -> None:
    """A source is marbles, or its openings."""
    assert Plan([SourceScript("a")], (SourceScript.read("a#"), SourceScript("b"))) == Plan(
        "a|", "a#; b|"
    )


def test_the_last_opening_holds_for_all_further_ones() -> None:
    """A source does the last of what it was told again and again."""
    plan = Plan("a#; ab|")
    assert [str(plan.script(0, number)) for number in range(3)] == ["a#", "ab|", "ab|"]


SURVIVABLE = {
    Plan("ab#", "ab|"): True,
    Plan("ab#", "ab#"): False,
    Plan("abc|", "ab#"): True,
    Plan("a#bug", "ab|"): False,
    Plan("#stop at=call", "ab|"): False,
    Plan("ax#", "abc|", items="abc"): False,
    Plan("ab#; ab|"): False,
    Plan("ab# as=same", "ab|"): False,
    Plan("ab# close=raises", "ab| close=slow"): True,
    Plan("ab#", "ab| close=raises"): False,
    Plan("a|", "ab|"): True,  # for who notices that it was cut
}


@pytest.mark.parametrize("plan", SURVIVABLE, ids=repr)
def test_survivable(plan: Plan) -> None:
    """All items can be had if each source before the first good one fails in a known way."""
    assert plan.survivable() is SURVIVABLE[plan]


def test_survivable_with_more_attempts() -> None:
    """Further openings of the same source count where they are made."""
    assert Plan("ab#; ab|").survivable(attempts=2)


def test_faults_are_counted() -> None:
    """Whatever is not the whole, given well, is a fault."""
    assert [plan.faults for plan in (Plan("a|", "a|"), Plan("#", "a|"), Plan("#; #", "a|"))] == [
        0,
        1,
        2,
    ]


def test_consumers_are_read_and_written() -> None:
    """How, and after how many items."""
    assert Consumer.read("close 2") == Consumer("close", 2)
    assert [str(Consumer.read(text)) for text in ("drain", "close", "slow 3")] == [
        "drain",
        "close 0",
        "slow 3",
    ]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Plan("a!"), "marbles must be items"),
        (lambda: Plan("a| with=love"), "words in marbles are at, as, close, open; got 'with=love'"),
        (lambda: Plan("a| at=night"), "at must be one of pull, call, await, iter; got 'night'"),
        (lambda: Plan("# at=iter"), "at='iter' goes with kind='iterable' alone, got 'generator'"),
        (lambda: Plan("a#KeyError"), "an error in marbles is one of ConnectionError, falsy"),
        (lambda: Plan("a|", items="aa"), "items must differ from each other"),
        (lambda: Plan("a|", errors=[]), "errors must name at least one"),
        (lambda: Plan([]), "a source must have at least one opening"),
        (lambda: Plan("a|", consumer="flee"), "consumer must be one of drain, close"),
        (lambda: Plan("a|", consumer="close soon"), "consumer must be such as 'drain'"),
        (lambda: plans(faults=["fire"]), "faults must be among raises, call"),
        (lambda: plans(consumers=["flee"]), "consumers must be among drain"),
        (lambda: plans(consumers=[]), "consumers must name at least one"),
        (lambda: plans(max_items=100), "max_items up to 62; got 0 and 100"),
        (lambda: plans(sources=0), "sources must be at least 1, got 0"),
        (lambda: plans(openings=0), "openings must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_is_refused(make: object, message: str) -> None:
    """At once, with what is allowed and what was given."""
    with pytest.raises(ValueError) as caught:
        make()  # type: ignore[operator]
    assert message in str(caught.value)


@pytest.mark.slow
def test_each_fault_can_be_asked_for_alone() -> None:
    """Every name leads to plans that have it, and to no other fault."""
    for name in FAULTS:
        seen = set[str]()

        @settings(max_examples=40, database=None)
        @given(plans(sources=1, errors=[OSError, KeyError], faults=[name], min_items=1))
        def test(plan: Plan) -> None:
            seen.update(map(str, plan.sources[0]))  # noqa: B023 (run at once)

        test()
        assert len(seen) > 2, name
