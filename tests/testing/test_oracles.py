"""Each oracle accepts a run that obeys its law, and says in a sentence how another breaks it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from contextvars import Context
from typing import Any

import pytest

from failover_iter import failover_stream
from failover_iter.testing import (
    BrokenLaw,
    Oracle,
    Plan,
    RunResult,
    run_plan,
    verify,
)
from failover_iter.testing._oracle import resolve


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


def raises_the_last(*sources: Any, notes: Any = list) -> Iterator[Any]:
    """Raise the error of the last source, with these notes about the others."""
    errors: list[Exception] = []
    for source in sources:
        items = source()
        try:
            yield from items
        except ConnectionError as error:
            errors.append(error)
            with suppress(ConnectionError):
                getattr(items, "close", bool)()
    errors[-1].__notes__ = notes(map(str, errors[:-1]))
    raise errors[-1]


KEPT: list[Exception] = []


def keeps(*sources: Any) -> Iterator[Any]:
    """Keep each error beyond the end of the stream."""
    for source in sources:
        try:
            yield from source()
        except ConnectionError as error:
            KEPT.append(error)


def logs(*sources: Any) -> Iterator[Any]:
    """Log each error: pytest keeps the record."""
    for source in sources:
        try:
            yield from source()
        except ConnectionError as error:
            logging.getLogger("test").warning("failed: %s", error)


def groups(*sources: Any) -> Iterator[Any]:
    """Raise all errors in a group."""
    return failover_stream(sources, retry_on=ConnectionError, on_exhausted="group")


def tries_all(*sources: Any) -> Iterator[Any]:
    """A stream of the library: correct."""
    return failover_stream(sources, retry_on=ConnectionError)


def notes_in_wrong_order(*sources: Any) -> Iterator[Any]:
    return raises_the_last(*sources, notes=lambda notes: list(notes)[::-1])


def loses(name: str) -> Any:
    def loses(source: Any) -> Iterator[Any]:
        try:
            yield from source()
        except Exception as error:
            setattr(error, name, [] if name == "__notes__" else None)
            raise

    return loses


def takes_other_notes(source: Any) -> Iterator[Any]:
    try:
        yield from source()
    except Exception as error:
        error.__notes__ = ["noted by source 2, opening 1, pull"]
        raise


def loses_traceback(source: Any) -> Iterator[Any]:
    try:
        yield from source()
    except Exception as error:
        lost = error
    raise lost.with_traceback(None)


def elsewhere(source: Any) -> Iterator[Any]:
    return iter(Context().run(source))


def pulls_after_the_end(source: Any) -> Iterator[Any]:
    items = source()
    yield from items
    yield from items


BROKEN = [
    ("no_leak", forgets, Plan("ab| as=iterator"), "source 1 was never closed"),
    ("no_leak", starts_over, Plan("#; a| as=iterator"), None),
    ("closed_once", closes_twice, Plan("a| as=iterator"), "source 1, opening 1, was closed 2 times"),
    ("one_open", opens_both, Plan("a| as=iterator", "b| as=iterator"), "source 2 was opened while source 1 was open"),
    ("lazy", opens_at_once, Plan("a|"), "source 1 was opened before the consumer asked for an item"),
    ("lazy", opens_next_for_no_reason, Plan("ab|", "b|"), "source 2 was opened although source 1 had not failed"),
    ("no_read_ahead", pulls_at_once, Plan("ab|"), "source 1 was pulled before the consumer asked for an item"),
    ("no_read_ahead", reverses, Plan("ab|"), "'b' was pulled before the consumer asked for it, or another pull followed"),
    ("no_reopen", opens_when_left, Plan("ab|", consumer="close 1"), "source 1, opening 2 was opened after the stream was closed"),
    ("no_reopen", opens_when_left, Plan("ab|", consumer="throw 1"), "source 1, opening 2 was opened after the consumer threw an error"),
    ("no_reopen", opens_when_left, Plan("ab|", consumer="drop 1"), "source 1, opening 2 was opened after the stream was abandoned"),
    ("no_reopen", opens_when_left, Plan("ab|", consumer="break 1"), "source 1, opening 2 was opened after the consumer left the loop"),
    ("no_reopen", opens_when_left, Plan("ab|", consumer="cancel 1"), "source 1, opening 2 was opened after the consumer was interrupted"),
    ("transparent", starts_over, Plan("ab|", "ab|", consumer="throw 1"), "the error that the consumer threw caused source 2 to be opened"),
    ("transparent", swallows, Plan("ab|", consumer="throw 1"), "the error that the consumer threw was swallowed: the stream continued with 'more'"),
    ("transparent", renames, Plan("a#bug"), "Bug('source 1, opening 1, pull') did not reach the consumer, who got LookupError('renamed')"),
    ("transparent", renames, Plan("a#mixed"), "did not reach the consumer"),
    ("transparent", ends_quietly, Plan("a#bug"), "Bug('source 1, opening 1, pull') did not reach the consumer, who got a normal end"),
    ("transparent", swallows, Plan("ab|", consumer="cancel 1"), "the interruption was swallowed: the stream continued with 'more'"),
    ("same_error", starts_over, Plan("#", "#"), "source 2 raised ConnectionError('source 2, opening 1, pull'), but the consumer got LookupError"),
    ("same_error", ends_quietly, Plan("a#"), "the consumer got a normal end"),
    ("no_loss", ends_quietly, Plan("a#", items="ab"), "the stream ended normally, but 'b' was never delivered"),
    ("no_loss", passes, Plan("a#", "ab|"), "'b' was never delivered, although a source could deliver it"),
    ("no_loss", leaves_out, Plan("ab#"), "'a' was left out: a later item was delivered"),
    ("no_loss", passes, Plan("a#"), None),
    ("no_loss", passes, Plan("ab|", consumer="close 1"), None),
    ("no_duplicates", starts_over, Plan("a#", "ab|"), "'a' was delivered 2 times"),
    ("in_order", reverses, Plan("ab|"), "'a' was delivered after 'b'"),
    ("nothing_else", invents, Plan("ab|"), "'z' was delivered, but is not an item of the plan"),
    ("ends", endless, Plan("a|"), "the stream did not end after 1000 items"),
    ("flat", deepens, Plan("#", "#", "a|"), "the stack grew with each opening"),
    ("flat", starts_over, Plan("#", "#", "a|"), None),
    ("intact", loses("__cause__"), Plan("#chained"), "the error of source 1 has lost its cause"),
    ("intact", loses("__context__"), Plan("#chained"), "the error of source 1 has lost its context"),
    ("intact", loses("__notes__"), Plan("#chained"), "the error of source 1 has lost its notes"),
    ("intact", lambda source: source(), Plan("#chained", errors=[lambda: OSError("down")]), None),
    ("intact", takes_other_notes, Plan("#chained"), "the error of source 1 has lost its notes"),
    ("intact", loses_traceback, Plan("#"), "the error of source 1 has lost its traceback"),
    ("intact", raises_the_last, Plan("#", "#"), None),
    ("intact", lambda source: source(), Plan("a#chained close=base", consumer="close 1"), None),
    ("intact", lambda source: source(), Plan("#chained close=bug", consumer="cancel 0"), None),
    ("no_cycle", raises_the_last, Plan("#", "#"), "a variable of raises_the_last still holds ConnectionError('source 2, opening 1, pull')"),
    ("no_cycle", tries_all, Plan("#", "#"), None),
    ("no_kept_error", keeps, Plan("#", "a|"), "still refers to ConnectionError('source 1, opening 1, pull'), raised by source 1"),
    ("no_kept_error", logs, Plan("#", "a|"), None),
    ("no_kept_error", starts_over, Plan("#", "#chained", "a|"), None),
    ("no_kept_error", raises_the_last, Plan("#", "#"), None),
    ("no_kept_error", groups, Plan("#", "#"), None),
    ("told", raises_the_last, Plan("#", "#"), None),
    ("told", deepens, Plan("#", "#bug"), None),
    ("told", tries_all, Plan("#", "a| as=answering close=raises", consumer="throw 1"), None),
    ("told", lambda *f: raises_the_last(*f, notes=lambda _: []), Plan("#", "#"), "does not report ConnectionError('source 1, opening 1, pull'), raised before it"),
    ("told", notes_in_wrong_order, Plan("#", "#", "#"), "reports ConnectionError('source 2, opening 1, pull') in the wrong place"),
    ("told", raises_the_last, Plan("#", "# as=iterator close=raises"), "nothing reports ConnectionError('source 2, opening 1, close'), raised by closing source 2"),
    ("returns", forgets, Plan("a| as=returning"), "the stream returned None instead of 'returned by source 1'"),
    ("returns", lambda source: source(), Plan("a| as=returning"), None),
    ("sends", forgets, Plan("ab|", consumer="send 1"), "the value that the consumer sent did not reach source 1"),
    ("sends", lambda source: source(), Plan("ab|", consumer="send 1"), None),
    ("same_task", elsewhere, Plan("a|"), "source 1 was opened or pulled in another task or context"),
    ("same_task", pulls_after_the_end, Plan("a| as=bare"), None),
    ("no_reopen", lambda source: source(), Plan("ab| as=answering", consumer="throw 1"), None),
    ("no_leak", lambda source: iter(source()), Plan("a| as=both"), "source 1 (iterable) was never closed"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pipeline", "plan", "how"), BROKEN)
def test_oracle(name: str, pipeline: Any, plan: Plan, how: str | None) -> None:
    """The oracle says how a run broke its law, and returns None if it did not."""
    (oracle,) = resolve(name)
    said = oracle(run_plan(pipeline, plan))
    if how is None:
        assert said is None
    else:
        assert said is not None
        assert how in said


def test_errors_that_replace_others_in_a_source() -> None:
    """If cleanup in the source replaces a bug by another error, the pipeline swallowed nothing."""
    run = run_plan(starts_over, Plan("#bug close=raises", "a|"))
    assert [judge(run) for judge in resolve("transparent")] == [None]
    plan = Plan("#mixed close=slow", "|", consumer="cancel_at 0")
    run = run_plan(starts_over, plan)
    assert [judge(run) for judge in resolve(["transparent", "no_reopen"])] == [None, None]
    run = run_plan(starts_over, Plan("ab| close=raises", "a|", consumer="cancel 1"))
    assert [judge(run) for judge in resolve(["transparent", "no_reopen"])] == [None, None]


def test_a_group_of_the_sources_errors_is_the_same() -> None:
    """`same_error` accepts an ExceptionGroup that contains the errors of all sources."""

    def pipeline(*factories: Any) -> Any:
        return failover_stream(factories, retry_on=ConnectionError, on_exhausted="group")

    verify(pipeline, Plan("#", "#"), oracles="same_error")

    def other(source: Any) -> Iterator[Any]:
        try:
            yield from source()
        except ConnectionError as error:
            raise ExceptionGroup("mine", [error, LookupError()])  # noqa: B904 (irrelevant here)

    with pytest.raises(BrokenLaw, match="same_error"):
        verify(other, Plan("#"), oracles="same_error")


def test_what_keeps_an_error_is_named() -> None:
    """If it can be found."""
    kept: list[Exception] = []

    def keeps_its_own(source: Any) -> Iterator[Any]:
        try:
            yield from source()
        except ConnectionError as error:
            kept.append(error)

    with pytest.raises(BrokenLaw, match="after the run, a list still refers to ConnectionError"):
        verify(keeps_its_own, Plan("#"), oracles="no_kept_error")


def test_max_openings() -> None:
    """The number of openings of a source can be limited."""

    def thrice(source: Any) -> Iterator[Any]:
        return starts_over(source, source, source)

    verify(thrice, Plan("#"), oracles=Oracle.max_openings(3))
    with pytest.raises(BrokenLaw, match=r"max_openings\(2\): source 1 was opened 3 times"):
        verify(thrice, Plan("#"), oracles=Oracle.max_openings(2))


def test_survives() -> None:
    """`survives` expects the items that several attempts can deliver."""
    plan = Plan("a#; ab|")
    verify(passes, plan, oracles=["no_loss", Oracle.survives(1)])
    with pytest.raises(BrokenLaw, match=r"survives\(2\): 'b' was never delivered"):
        verify(passes, plan, oracles=Oracle.survives(2))


def test_within() -> None:
    """`within` limits how long the consumer waits, in virtual time."""
    verify(passes, Plan("--a-b|"), oracles=Oracle.within(3))
    with pytest.raises(BrokenLaw, match=r"within\(2.5\): the consumer waited 3 s"):
        verify(passes, Plan("--a-b|"), oracles=Oracle.within(2.5))


def test_equals() -> None:
    """A model defines the items and the error of a consumer who drains the stream."""

    def first(plan: Plan) -> Iterator[str]:
        yield from plan.sources[0][0].items
        if plan.sources[0][0].end == "raises":
            raise ConnectionError

    for plan in (Plan("ab|"), Plan("ab#"), Plan("ab|", consumer="close 1")):
        verify(passes, plan, oracles=Oracle.equals(first))
    with pytest.raises(BrokenLaw, match=r"equals\(first\): delivered \['b', 'a'\], but the model"):
        verify(reverses, Plan("ab|"), oracles=Oracle.equals(first))
    with pytest.raises(
        BrokenLaw, match="the consumer got a normal end, but the model expects Conn"
    ):
        verify(ends_quietly, Plan("ab#"), oracles=Oracle.equals(first))


def no_item_arrived(run: RunResult) -> bool:
    """No item arrives."""
    return not run.delivered


def test_predicates() -> None:
    """A predicate reports a broken law by a false value or a sentence, but not by None."""
    plan = Plan("a|")
    verify(passes, plan, oracles=[lambda run: None, lambda run: True, lambda run: run.ended])
    with pytest.raises(BrokenLaw) as caught:
        verify(passes, plan, oracles=no_item_arrived)
    assert str(caught.value).startswith(
        "no_item_arrived: no_item_arrived returned False\n  the law: No item arrives.\n"
    )
    with pytest.raises(BrokenLaw, match="<lambda>: it is Monday"):
        verify(passes, plan, oracles=lambda run: "it is Monday")


def test_oracles_are_composed() -> None:
    """A name is one oracle or several; a list is all of its elements."""
    own = Oracle("own", "it is mine", lambda run: None)
    names = [one.name for one in resolve(["exactly_once", own, ["no_leak"]])]
    assert names == ["no_loss", "no_duplicates", "in_order", "nothing_else", "own", "no_leak"]
    with pytest.raises(ValueError, match="oracles must be among at_least_once, at_most_once, clo"):
        resolve("no_trouble")


def test_the_pipelines_own_error_is_the_cause() -> None:
    """An error of the pipeline is the cause of `BrokenLaw`; an error of a source is not."""

    def buggy(source: Any) -> Iterator[Any]:
        raise NameError("typo")
        yield

    with pytest.raises(BrokenLaw) as caught:
        verify(buggy, Plan("a|"), oracles="no_loss")
    assert isinstance(caught.value.__cause__, NameError)
    with pytest.raises(BrokenLaw) as caught:
        verify(passes, Plan("a#", "ab|"), oracles="no_loss")
    assert caught.value.__cause__ is None


def test_a_cancellation_that_is_swallowed() -> None:
    """An async pipeline that swallows a cancellation breaks `transparent`."""

    async def deaf(source: Any) -> AsyncIterator[Any]:
        try:
            async for item in source():
                yield item
        except BaseException:
            return

    with pytest.raises(BrokenLaw, match="the interruption did not reach the consumer"):
        verify(deaf, Plan("ab|", consumer="cancel 1"), oracles="transparent")
