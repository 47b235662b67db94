"""The report that a user reads when a law is broken."""

from __future__ import annotations

import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from contextvars import Context
from typing import Any

import pytest

from failover_iter import afailover_stream, failover_stream
from failover_iter.testing import BrokenLaw, Oracle, Plan, run_plan, verify
from failover_iter.testing._faults import Bug

ALWAYS = Oracle("always", "no run is correct", lambda run: "the run is wrong")


def shown(pipeline: Any, plan: Plan, **how: Any) -> str:
    with pytest.raises(BrokenLaw) as caught:
        verify(pipeline, plan, oracles=ALWAYS, **how)
    return str(caught.value)


def starts_over(first: Any, second: Any) -> Iterator[Any]:
    try:
        yield from first()
    except ConnectionError:
        yield from second()


def test_a_run_in_a_notebook() -> None:
    """It shows itself as marbles, with a lane for each source and one for the consumer."""
    plan = Plan("ab#", "ab|", consumer="throw 3")
    picture = ET.fromstring(run_plan(starts_over, plan)._repr_html_())
    words = [each.text for each in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert [words.count(word) for word in ("a", "b", "source 1", "delivered", "consumer")] == [
        4,
        2,
        1,
        1,
        0,
    ]
    assert words.count("ConnectionError") == 2
    assert "throws" in words
    nothing = run_plan(lambda first: iter(()), Plan("a|"))
    assert "marbles" in nothing._repr_html_()


def test_the_whole_report() -> None:
    """The law, the plan, the run as marbles, the log, and the plan to paste."""
    assert shown(starts_over, Plan("--a#", "ab|")) == (
        """\
always: the run is wrong
  the law: no run is correct

  plan
    source 1   --a#
    source 2   ab|
    consumer   drain
    items      ab

  run
    source 1    (--a  #)
    source 2     --     (a  b  |)
    consumer   ? --  ?     ?  ?
    delivered    -- a     a  b   |
  ( opened  ) closed  | ended  # raised  ! interrupted  ? asked  x left  - one second

  log
         0.0 s  consumer       calls the pipeline
         0.0 s  consumer       asks for an item
         0.0 s  source 1       is opened
         0.0 s  source 1       is pulled
         2.0 s  source 1       yields 'a'
         2.0 s  consumer       gets 'a'
         2.0 s  consumer       asks for an item
         2.0 s  source 1       is pulled
         2.0 s  source 1       raises ConnectionError('source 1, opening 1, pull')
         2.0 s  source 1       is closed
         2.0 s  source 2       is opened
         2.0 s  source 2       is pulled
         2.0 s  source 2       yields 'a'
         2.0 s  consumer       gets 'a'
         2.0 s  consumer       asks for an item
         2.0 s  source 2       is pulled
         2.0 s  source 2       yields 'b'
         2.0 s  consumer       gets 'b'
         2.0 s  consumer       asks for an item
         2.0 s  source 2       is pulled
         2.0 s  source 2       ends
         2.0 s  source 2       is closed
         2.0 s  consumer       reaches the end

  to keep this case, add above the test:
    @example(Plan('--a#', 'ab|'))"""
    )


@pytest.mark.parametrize(
    ("plan", "lines"),
    [
        (Plan("ab|", "", consumer="close 1"), ["consumer       leaves (close)", "x"]),
        (
            Plan("ab|", "", consumer="throw 1"),
            [
                "consumer       throws ConnectionError('thrown by the consumer')",
                "source 1       receives ConnectionError('thrown by the consumer') by throw",
            ],
        ),
        (Plan("ab|", "", consumer="send 1"), ["receives 'a value from the consumer' by send"]),
        (Plan("ab|", "", consumer="cancel 1"), ["source 1       is interrupted"]),
        (
            Plan("ab|", "", consumer="reenter 1"),
            ["asked for an item during a pull: ValueError('generator already executing')"],
        ),
        (Plan("{90}a|", ""), ["source 1    ({90}a", "  90.0 s"]),
        (Plan("# at=call", ""), ["raises ConnectionError('source 1, opening 1, call') (call)"]),
        (
            Plan("ab| close=raises", "", consumer="drop 1"),
            ["error that reached nobody: ConnectionError('source 1, opening 1, close')"],
        ),
    ],
)
def test_other_lines_of_the_report(plan: Plan, lines: list[str]) -> None:
    """The log and the picture show everything that the consumer and the sources do."""

    def pipeline(*factories: Any) -> Any:
        return failover_stream(factories[:1], retry_on=LookupError)

    report = shown(pipeline, plan)
    assert [line for line in lines if line not in report] == []


def test_further_openings_are_numbered() -> None:
    """A second opening has a number, the end a return value, and an unknown item a star."""

    def twice(source: Any) -> Iterator[Any]:
        yield from source()
        yield from source()
        yield "other"
        return "value"

    report = shown(twice, Plan("a|"))
    assert "source 1 (2)   is opened" in report
    assert "reaches the end: the stream returns 'value'" in report
    assert "*" in report


def test_a_pull_in_another_context_is_not_an_interruption() -> None:
    """The log says of an entry for `same_task` what happened."""

    def pipeline(source: Any) -> Iterator[Any]:
        yield Context().run(next, source())

    report = shown(pipeline, Plan("a|"))
    assert "source 1       is opened or pulled in another task or context" in report
    assert "interrupted\n" not in report


def test_async_runs_are_reported_too() -> None:
    """The report includes the errors that only the event loop sees."""

    def pipeline(*factories: Any) -> AsyncIterator[Any]:
        return afailover_stream(factories, retry_on=LookupError)

    plan = Plan("ab| close=raises", consumer="drop 1")
    assert "error that reached nobody" in shown(pipeline, plan)
    assert "error that reached nobody" in shown(pipeline, plan, flavour="trio")


class Hostile(Exception):
    """An item or an error that cannot be shown."""

    def __str__(self) -> str:
        raise LookupError("no str")

    __repr__ = __str__


@pytest.mark.parametrize("law", ["told", "transparent", "nothing_else", "returns", ALWAYS])
def test_what_cannot_be_shown(law: Any) -> None:
    """An item or an error whose `__repr__` raises does not hide the report."""

    def wrong(first: Any, second: Any) -> Iterator[Any]:
        with suppress(Hostile, Bug):
            yield from first()
        yield Hostile()
        if law == "told":
            yield from second()
        return Hostile()

    def item(letter: str) -> Any:
        return hostile.setdefault(letter, Hostile())

    hostile: dict[str, Any] = {}
    plan = Plan("a#bug" if law == "transparent" else "a#", "ab#", errors=[Hostile])
    if law == "returns":
        plan = Plan("a| as=returning", "a|")
    with pytest.raises(BrokenLaw) as caught:
        verify(wrong, plan, oracles=[law, ALWAYS], item=item)
    report = str(caught.value)
    assert "source 1       yields <Hostile whose repr raises>" in report
    assert [oracle.name for oracle, _ in caught.value.broken][-1] == "always"
    assert law == ALWAYS or len(caught.value.broken) == 2
    assert "marbles" in caught.value.run._repr_html_()


@pytest.mark.parametrize("flavour", ["sync", "asyncio"])
def test_runs_in_two_threads_at_a_time(flavour: Any) -> None:
    """Each run logs its own strays, and the hook of Python is in the end as it was."""
    before, reports, ready = sys.unraisablehook, dict[int, str](), threading.Barrier(2)
    turns = threading.Event()

    def run(number: int) -> None:
        def pipeline(source: Any) -> Any:
            ready.wait(10)
            if number:
                turns.wait(10)  # the first one to begin ends first
            chosen = failover_stream if flavour == "sync" else afailover_stream
            return chosen([source], retry_on=LookupError)

        plan = Plan("ab| close=raises", consumer="drop 1")
        reports[number] = shown(pipeline, plan, flavour=flavour)
        turns.set()

    threads = [threading.Thread(target=run, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sys.unraisablehook is before
    assert ["error that reached nobody" in reports[number] for number in (0, 1)] == [True, True]


def test_a_hook_that_is_replaced_during_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever puts the hook of the run back later, no error is lost then."""
    seen, ours = list[Any](), list[Any]()
    monkeypatch.setattr(sys, "unraisablehook", seen.append)

    def pipeline(source: Any) -> Any:
        ours.append(sys.unraisablehook)
        sys.unraisablehook = seen.append
        return source()

    run_plan(pipeline, Plan("a|"))
    assert sys.unraisablehook == seen.append
    ours[0]("an error")
    assert seen == ["an error"]
