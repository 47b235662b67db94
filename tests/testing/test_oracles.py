"""Each oracle tells a run that keeps its law from one that breaks it, in a sentence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from typing import Any

import pytest

from failover_iter import failover_stream
from failover_iter.testing import (
    BrokenLaw,
    Oracle,
    Plan,
    RunResult,
    attempts_at_most,
    equals,
    run_plan,
    survives,
    verify,
    within,
)
from failover_iter.testing._composed import resolve


def passes(source: Any, *_: Any) -> Iterator[Any]:
    with closing(source()) as items:
        yield from items


def forgets(source: Any) -> Iterator[Any]:
    for item in source():
        yield item


def closes_twice(source: Any) -> Iterator[Any]:
    items = source()
    yield from items
    items.close()
    items.close()


def opens_both(first: Any, second: Any) -> Iterator[Any]:
    with closing(first()) as items, closing(second()):
        yield from items


def opens_at_once(source: Any) -> Any:
    return passes(lambda items=source(): items)


def opens_next_for_no_reason(first: Any, second: Any) -> Iterator[Any]:
    yield next(first())
    yield from second()


def pulls_at_once(source: Any) -> Any:
    items = source()
    return iter([next(items), *items])


def opens_when_left(source: Any) -> Iterator[Any]:
    try:
        yield from source()
    finally:
        source()


def starts_over(*sources: Any) -> Iterator[Any]:
    for source in sources:
        try:
            yield from source()
        except ConnectionError:
            continue
        return
    raise LookupError("no source is left")


def swallows(source: Any) -> Iterator[Any]:
    try:
        yield from source()
    except BaseException:
        yield "more"


def renames(source: Any) -> Iterator[Any]:
    try:
        yield from source()
    except Exception as error:
        raise LookupError("renamed") from error


def ends_quietly(source: Any) -> Iterator[Any]:
    try:
        yield from source()
    except Exception:
        return


def leaves_out(source: Any) -> Iterator[Any]:
    for item in source():
        if item != "a":
            yield item


def reverses(source: Any) -> Iterator[Any]:
    yield from reversed(list(source()))


def invents(source: Any) -> Iterator[Any]:
    yield from source()
    yield "z"


def deepens(*sources: Any, depth: int = 0) -> Iterator[Any]:
    try:
        yield from sources[depth]()
    except ConnectionError:
        yield from deepens(*sources, depth=depth + 1)


def endless(_: Any) -> Iterator[Any]:
    while True:
        yield "a"


BROKEN = [
    ("no_leak", forgets, Plan("ab| as=iterator"), "source 1 was never closed"),
    ("no_leak", starts_over, Plan("#; a| as=iterator"), None),
    ("closed_once", closes_twice, Plan("a| as=iterator"), "source 1, opening 1, was closed 2 times"),
    ("one_open", opens_both, Plan("a| as=iterator", "b| as=iterator"), "source 2 was opened while source 1 was open"),
    ("lazy", opens_at_once, Plan("a|"), "source 1 was opened before an item was asked for"),
    ("lazy", opens_next_for_no_reason, Plan("ab|", "b|"), "source 2 was opened though source 1 had not failed"),
    ("no_read_ahead", pulls_at_once, Plan("ab|"), "source 1 was pulled before an item was asked for"),
    ("no_read_ahead", reverses, Plan("ab|"), "'b' had been pulled before it was asked for, or more was"),
    ("no_reopen", opens_when_left, Plan("ab|", consumer="close 1"), "source 1, opening 2 was opened after the stream was closed"),
    ("no_reopen", opens_when_left, Plan("ab|", consumer="throw 1"), "source 1, opening 2 was opened after the consumer had thrown an error in"),
    ("no_reopen", opens_when_left, Plan("ab|", consumer="drop 1"), "source 1, opening 2 was opened after the stream was let go"),
    ("no_reopen", opens_when_left, Plan("ab|", consumer="break 1"), "source 1, opening 2 was opened after the consumer had left the loop"),
    ("no_reopen", opens_when_left, Plan("ab|", consumer="cancel 1"), "source 1, opening 2 was opened after the consumer was interrupted"),
    ("transparent", starts_over, Plan("ab|", "ab|", consumer="throw 1"), "what the consumer threw made it open source 2"),
    ("transparent", swallows, Plan("ab|", consumer="throw 1"), "what the consumer threw was swallowed: the stream went on with 'more'"),
    ("transparent", renames, Plan("a#bug"), "Bug('source 1, opening 1, pull') did not reach the consumer, who got LookupError('renamed')"),
    ("transparent", renames, Plan("a#mixed"), "did not reach the consumer"),
    ("transparent", ends_quietly, Plan("a#bug"), "Bug('source 1, opening 1, pull') did not reach the consumer, who got a normal end"),
    ("transparent", swallows, Plan("ab|", consumer="cancel 1"), "the interruption was swallowed: the stream went on with 'more'"),
    ("same_error", starts_over, Plan("#", "#"), "source 2 raised ConnectionError('source 2, opening 1, pull'); the consumer got LookupError"),
    ("same_error", ends_quietly, Plan("a#"), "the consumer got a normal end"),
    ("no_loss", ends_quietly, Plan("a#", items="ab"), "the stream ended well, but 'b' was never delivered"),
    ("no_loss", passes, Plan("a#", "ab|"), "'b' was never delivered though a source was good for it"),
    ("no_loss", leaves_out, Plan("ab#"), "'a' was left out"),
    ("no_loss", passes, Plan("a#"), None),
    ("no_loss", passes, Plan("ab|", consumer="close 1"), None),
    ("no_duplicates", starts_over, Plan("a#", "ab|"), "'a' was delivered 2 times"),
    ("in_order", reverses, Plan("ab|"), "'a' was delivered after 'b'"),
    ("nothing_else", invents, Plan("ab|"), "'z' was delivered, which is none of the items"),
    ("ends", endless, Plan("a|"), "the stream did not end after 1000 items"),
    ("flat", deepens, Plan("#", "#", "a|"), "the stack grew with each opening"),
    ("flat", starts_over, Plan("#", "#", "a|"), None),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pipeline", "plan", "how"), BROKEN)
def test_oracle(name: str, pipeline: Any, plan: Plan, how: str | None) -> None:
    """It says how a run broke its law, or nothing where it kept it."""
    (oracle,) = resolve(name)
    said = oracle(run_plan(pipeline, plan))
    if how is None:
        assert said is None
    else:
        assert said is not None
        assert how in said


def test_errors_that_a_source_puts_in_the_place_of_others() -> None:
    """An error of its own clean-up is what came out: a bug behind it has not been swallowed."""
    run = run_plan(starts_over, Plan("#bug close=raises", "a|"))
    assert [judge(run) for judge in resolve("transparent")] == [None]
    run = run_plan(starts_over, Plan("ab| close=raises", "a|", consumer="cancel 1"))
    assert [judge(run) for judge in resolve(["transparent", "no_reopen"])] == [None, None]


def test_a_group_of_the_sources_errors_is_the_same() -> None:
    """All of them, the last included, in an ExceptionGroup of the pipeline's."""

    def pipeline(*factories: Any) -> Any:
        return failover_stream(factories, retry_on=ConnectionError, on_exhausted="group")

    verify(pipeline, Plan("#", "#"), oracles="same_error")

    def other(source: Any) -> Iterator[Any]:
        try:
            yield from source()
        except ConnectionError as error:
            raise ExceptionGroup("mine", [error, LookupError()])  # noqa: B904 (no matter here)

    with pytest.raises(BrokenLaw, match="same_error"):
        verify(other, Plan("#"), oracles="same_error")


def test_attempts_at_most() -> None:
    """How often a source is opened can be bounded."""

    def thrice(source: Any) -> Iterator[Any]:
        return starts_over(source, source, source)

    verify(thrice, Plan("#"), oracles=attempts_at_most(3))
    with pytest.raises(BrokenLaw, match=r"attempts_at_most\(2\): source 1 was opened 3 times"):
        verify(thrice, Plan("#"), oracles=attempts_at_most(2))


def test_survives() -> None:
    """More attempts are asked for than one."""
    plan = Plan("a#; ab|")
    verify(passes, plan, oracles=["no_loss", survives(1)])
    with pytest.raises(BrokenLaw, match=r"survives\(2\): 'b' was never delivered"):
        verify(passes, plan, oracles=survives(2))


def test_within() -> None:
    """The consumer waits so long at most, in virtual time."""
    verify(passes, Plan("--a-b|"), oracles=within(3))
    with pytest.raises(BrokenLaw, match=r"within\(2.5\): the consumer waited 3 s"):
        verify(passes, Plan("--a-b|"), oracles=within(2.5))


def test_equals() -> None:
    """A model says what a consumer who drains the stream gets, or what it raises."""

    def first(plan: Plan) -> Iterator[str]:
        yield from plan.sources[0][0].items
        if plan.sources[0][0].end == "raises":
            raise ConnectionError

    for plan in (Plan("ab|"), Plan("ab#"), Plan("ab|", consumer="close 1")):
        verify(passes, plan, oracles=equals(first))
    with pytest.raises(BrokenLaw, match=r"equals\(first\): delivered was \['b', 'a'\]"):
        verify(reverses, Plan("ab|"), oracles=equals(first))
    with pytest.raises(BrokenLaw, match="the consumer got a normal end, the model Conn"):
        verify(ends_quietly, Plan("ab#"), oracles=equals(first))


def nothing_came(run: RunResult) -> bool:
    """Nothing arrives."""
    return not run.delivered


def test_predicates() -> None:
    """False, or a sentence, is a broken law; None and what is true are not."""
    plan = Plan("a|")
    verify(passes, plan, oracles=[lambda run: None, lambda run: True, lambda run: run.ended])
    with pytest.raises(BrokenLaw) as caught:
        verify(passes, plan, oracles=nothing_came)
    assert str(caught.value).startswith(
        "nothing_came: nothing_came is false of this run\n  the law: Nothing arrives.\n"
    )
    with pytest.raises(BrokenLaw, match="<lambda>: it is Monday"):
        verify(passes, plan, oracles=lambda run: "it is Monday")


def test_oracles_are_composed() -> None:
    """Names stand for one or several, and lists for all that is in them."""
    own = Oracle("own", "it is mine", lambda run: None)
    names = [one.name for one in resolve(["exactly_once", own, ["no_leak"]])]
    assert names == ["no_loss", "no_duplicates", "in_order", "nothing_else", "own", "no_leak"]
    with pytest.raises(ValueError, match="oracles must be among at_least_once, at_most_once, clo"):
        resolve("no_trouble")


def test_the_pipelines_own_error_is_the_cause() -> None:
    """A bug in the pipeline shows its traceback; an error of a source says nothing new."""

    def buggy(source: Any) -> Iterator[Any]:
        raise NameError("typo")
        yield

    with pytest.raises(BrokenLaw) as caught:
        verify(buggy, Plan("a|"), oracles="no_loss")
    assert isinstance(caught.value.__cause__, NameError)
    with pytest.raises(BrokenLaw) as caught:
        verify(passes, Plan("a#", "ab|"), oracles="no_loss")
    assert caught.value.__cause__ is None


def test_a_cancellation_that_is_not_handed_on() -> None:
    """An async pipeline that swallows it breaks `transparent`."""

    async def deaf(source: Any) -> AsyncIterator[Any]:
        try:
            async for item in source():
                yield item
        except BaseException:
            return

    with pytest.raises(BrokenLaw, match="the interruption did not reach the consumer"):
        verify(deaf, Plan("ab|", consumer="cancel 1"), oracles="transparent")
