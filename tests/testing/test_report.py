"""What a user reads when a law is broken."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import BrokenLaw, Oracle, Plan, verify

ALWAYS = Oracle("always", "nothing is ever right", lambda run: "it is wrong")


def shown(pipeline: Any, plan: Plan, **how: Any) -> str:
    with pytest.raises(BrokenLaw) as caught:
        verify(pipeline, plan, oracles=ALWAYS, **how)
    return str(caught.value)


def starts_over(first: Any, second: Any) -> Iterator[Any]:
    try:
        yield from first()
    except ConnectionError:
        yield from second()


def test_the_whole_report() -> None:
    """The law, the plan, the run as marbles, the log, and the plan to paste."""
    assert shown(starts_over, Plan("--a#", "ab|")) == (
        """\
always: it is wrong
  the law: nothing is ever right

  plan
    source 1   --a#
    source 2   ab|
    consumer   drain
    whole      ab

  happened
    source 1    (--a  #)
    source 2     --     (a  b  |)
    consumer   ? --  ?     ?  ?
    delivered    -- a     a  b   |
  ( opens  ) is closed  | ends  # raises  ! is interrupted  ? asks  x leaves  - a second

  log
         0.0 s  consumer       calls the pipeline
         0.0 s  consumer       asks for an item
         0.0 s  source 1       is opened
         0.0 s  source 1       is pulled
         2.0 s  source 1       gives 'a'
         2.0 s  consumer       gets 'a'
         2.0 s  consumer       asks for an item
         2.0 s  source 1       is pulled
         2.0 s  source 1       raises ConnectionError('source 1, opening 1, pull')
         2.0 s  source 1       is closed
         2.0 s  source 2       is opened
         2.0 s  source 2       is pulled
         2.0 s  source 2       gives 'a'
         2.0 s  consumer       gets 'a'
         2.0 s  consumer       asks for an item
         2.0 s  source 2       is pulled
         2.0 s  source 2       gives 'b'
         2.0 s  consumer       gets 'b'
         2.0 s  consumer       asks for an item
         2.0 s  source 2       is pulled
         2.0 s  source 2       ends
         2.0 s  source 2       is closed
         2.0 s  consumer       gets the end

  to keep this case, write above the test:
    @example(Plan('--a#', 'ab|'))"""
    )


@pytest.mark.parametrize(
    ("plan", "lines"),
    [
        (Plan("ab|", "", consumer="close 1"), ["consumer       leaves: close", "x"]),
        (
            Plan("ab|", "", consumer="throw 1"),
            [
                "consumer       throws ConnectionError('thrown by the consumer')",
                "source 1       is thrown ConnectionError('thrown by the consumer')",
            ],
        ),
        (Plan("ab|", "", consumer="send 1"), ["is sent 'a value from the consumer'"]),
        (Plan("ab|", "", consumer="cancel 1"), ["source 1       is interrupted"]),
        (
            Plan("ab|", "", consumer="reenter 1"),
            ["asked for an item at the same time: ValueError('generator already executing')"],
        ),
        (Plan("{90}a|", ""), ["source 1    ({90}a", "  90.0 s"]),
        (Plan("# at=call", ""), ["raises ConnectionError('source 1, opening 1, call') (call)"]),
        (
            Plan("ab| close=raises", "", consumer="drop 1"),
            ["lost to Python's hook: ConnectionError('source 1, opening 1, close')"],
        ),
    ],
)
def test_what_else_stands_in_it(plan: Plan, lines: list[str]) -> None:
    """Whatever the consumer and the sources do has words, and a mark."""

    def pipeline(*factories: Any) -> Any:
        return failover_stream(factories[:1], retry_on=LookupError)

    report = shown(pipeline, plan)
    assert [line for line in lines if line not in report] == []


def test_further_openings_are_numbered() -> None:
    """And a value that comes with the end is shown; an item that is none has a star."""

    def twice(source: Any) -> Iterator[Any]:
        yield from source()
        yield from source()
        yield "other"
        return "value"

    report = shown(twice, Plan("a|"))
    assert "source 1 (2)   is opened" in report
    assert "gets the end, and 'value' with it" in report
    assert "*" in report


def test_async_runs_are_reported_too() -> None:
    """An error that the loop complains of is told as well."""

    def pipeline(*factories: Any) -> AsyncIterator[Any]:
        return afailover_stream(factories, retry_on=LookupError)

    plan = Plan("ab| close=raises", consumer="drop 1")
    assert "lost to Python's hook" in shown(pipeline, plan)
    assert "lost to Python's hook" in shown(pipeline, plan, flavour="trio")
