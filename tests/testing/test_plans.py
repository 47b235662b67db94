"""Plans are frozen data; reading marbles and writing them are inverse."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given, settings
from hypothesis.vendor import pretty

from failover_iter.testing import Plan, plans
from failover_iter.testing._plan_strategies import (
    CONSUMERS,
    FAULTS,
    HARD,
    Oddity,
    exhausted,
)
from failover_iter.testing._plans import Consumer, SourceScript

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
    """Items, ticks, ends, errors and options become the fields of a script."""
    assert SourceScript.read(text) == READ[text]


@pytest.mark.parametrize("script", READ.values(), ids=str)
def test_marbles_are_written(script: SourceScript) -> None:
    """Written marbles read as the same script."""
    assert SourceScript.read(str(script)) == script


@given(plans(sources=2, openings=2, errors=[OSError, KeyError], faults=FAULTS, consumers=CONSUMERS))
def test_a_plan_can_be_pasted(plan: Plan) -> None:
    """The repr evaluates to an equal plan, and Hypothesis prints it."""
    assert eval(repr(plan)) == plan
    assert hash(eval(repr(plan))) == hash(plan)
    assert pretty.pretty(plan) == repr(plan)


def test_a_plan_is_frozen() -> None:
    """The fields of a plan cannot be set."""
    with pytest.raises(FrozenInstanceError):
        Plan("a|").items = "b"  # type: ignore[misc]


def test_items_are_those_of_the_longest_source() -> None:
    """By default, `items` are the items of the source that yields the most, each once."""
    assert Plan("ab#", "aabc|").items == "abc"
    assert Plan("ab|", items="abc").items == "abc"
    assert Plan().items == ""


def test_sources_as_scripts() -> None:
    """A source is a string of marbles or an iterable of scripts."""
    assert Plan([SourceScript("a")], (SourceScript.read("a#"), SourceScript("b"))) == Plan(
        "a|", "a#; b|"
    )


def test_the_last_script_repeats() -> None:
    """The last script of a source applies to all further openings."""
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
    Plan("a|", "ab|"): True,  # for a pipeline that notices the early end
}


@pytest.mark.parametrize("plan", SURVIVABLE, ids=repr)
def test_survivable(plan: Plan) -> None:
    """All items can be delivered if each source before a good one fails in a known way."""
    assert plan.survivable() is SURVIVABLE[plan]


def test_survivable_with_more_attempts() -> None:
    """With more attempts, later openings of a source count."""
    assert Plan("ab#; ab|").survivable(attempts=2)


def test_faults_are_counted() -> None:
    """Every script that does not deliver all items is a fault."""
    assert [plan.faults for plan in (Plan("a|", "a|"), Plan("#", "a|"), Plan("#; #", "a|"))] == [
        0,
        1,
        2,
    ]


def test_consumers_are_read_and_written() -> None:
    """The text names the kind of consumer and the number of items."""
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
        (
            lambda: Plan("a| with=love"),
            "options in marbles are at, as, close, open; got 'with=love'",
        ),
        (lambda: Plan("a| at=night"), "at must be one of pull, call, await, iter; got 'night'"),
        (lambda: Plan("# at=iter"), "at='iter' requires kind='iterable' or 'both', got 'gen"),
        (lambda: Plan("a#KeyError"), "an error in marbles must be one of ConnectionError, falsy"),
        (lambda: Plan("a|", items="aa"), "items must differ"),
        (lambda: Plan("a|", errors=[]), "errors must name at least one"),
        (lambda: Plan([]), "a source must have at least one opening"),
        (lambda: Plan("a|", consumer="flee"), "consumer must be one of drain, close"),
        (lambda: Plan("a|", consumer="close soon"), "consumer must be text like 'drain'"),
        (lambda: plans(faults=["fire"]), "faults must be among default, all, raises"),
        (lambda: plans(consumers=["flee"]), "consumers must be among default, all, drain"),
        (lambda: plans(consumers=[]), "consumers must name at least one"),
        (lambda: plans(max_items=100), "max_items up to 62; got 0 and 100"),
        (lambda: plans(sources=0), "sources must be an int of at least 1, got 0"),
        (lambda: plans(openings=0), "openings must be an int of at least 1, got 0"),
    ],
)
def test_wrong_values_are_rejected(make: object, message: str) -> None:
    """A wrong value is a ValueError that names what is allowed and the value."""
    with pytest.raises(ValueError) as caught:
        make()  # type: ignore[operator]
    assert message in str(caught.value)


#: The script of four items that has one fault at the second item.
WITH_FAULT = {
    "raises": "a#OSError",
    "call": "#OSError at=call",
    "iter": "#OSError at=iter as=iterable",
    "await": "#OSError at=await",
    "bug": "a#bug",
    "base": "a#base",
    "falsy": "a#falsy",
    "group": "a#group",
    "mixed": "a#mixed",
    "chained": "a#chained",
    "stop": "#stop at=call",
    "ends early": "a|",
    "empty": "|",
    "stalls": "a-",
    "duplicates": "abbcd|",
    "overlaps": "aabcd|",
    "reorders": "acbd|",
    "diverges": "a9cd|",
}


@pytest.mark.parametrize("fault", HARD)
def test_the_script_of_a_fault(fault: str) -> None:
    """Each fault is one change of a good script."""
    odd = Oddity(fault, "OSError")
    assert str(odd.script("abcd", place=1, late=0)) == WITH_FAULT[fault]


@pytest.mark.parametrize("can_raise", [False, True])
def test_all_sources_fail(can_raise: bool) -> None:
    """Good openings become failing ones, if sources may raise at all."""
    good, bug = (Oddity(fault) for fault in (None, "bug"))
    failing = exhausted([[good], [bug]], can_raise)
    assert [odd.fault for (odd,) in failing] == ["raises" if can_raise else None, "bug"]


@pytest.mark.slow
def test_each_fault_alone() -> None:
    """Every fault, named alone, produces several plans."""
    for name in FAULTS:
        seen = set[str]()

        @settings(max_examples=40, database=None)
        @given(plans(sources=1, errors=[OSError, KeyError], faults=[name], min_items=1))
        def test(plan: Plan) -> None:
            seen.update(map(str, plan.sources[0]))  # noqa: B023 (run at once)

        test()
        assert len(seen) > 2, name
