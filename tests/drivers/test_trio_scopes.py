"""Under trio, a source that holds a scope across its yields cannot be timed: one clear error."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from typing import Any
from weakref import ref

import pytest
import trio
import trio.testing

from failover_iter import afailover_stream
from failover_iter._drivers import timed_trio

MESSAGE = "^source 'source' holds a cancel scope or a nursery open while it yields"
TIMED = [{"first_item_timeout": 9}, {"idle_timeout": 9}, {"total_timeout": 9}]


def run(main: Any) -> Any:
    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def stream_of(*factories: Any, **options: Any) -> Any:
    return afailover_stream(list(factories), **{"retry_on": Exception, **options})


def holder(kind: str, log: list[str]) -> Any:
    """A source that holds a scope of this kind across its yields."""

    async def source() -> AsyncIterator[int]:
        try:
            if kind == "scope":
                with trio.CancelScope():
                    yield 1
                    yield 2
            else:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, 0.01)
                    yield 1
                    yield 2
        finally:
            log.append("closed")

    return source


async def scopes_work() -> bool:
    """Whether this task can enter and leave scopes, and is cancelled where it should be."""
    with trio.move_on_after(1) as scope:
        async with trio.open_nursery():
            await trio.sleep_forever()
    return scope.cancelled_caught


each_kind = pytest.mark.parametrize("kind", ["scope", "nursery"])


@each_kind
@pytest.mark.parametrize("options", TIMED)
def test_the_item_is_delivered_and_then_the_error(kind: str, options: Any) -> None:
    """No item is lost, no other source is opened, and the scopes of the task still nest."""
    log: list[str] = []

    async def main() -> list[int]:
        items = []
        async with aclosing(stream_of(holder(kind, log), holder("other", []), **options)) as stream:
            with pytest.raises(RuntimeError, match=MESSAGE) as caught:
                async for item in stream:
                    items.append(item)
                    assert log == ["closed"]
                    assert await scopes_work()
        assert await scopes_work()
        assert not hasattr(caught.value, "__notes__")
        return items

    assert (run(main), log) == ([1], ["closed"])


@each_kind
def test_a_consumer_that_takes_one_item(kind: str) -> None:
    """It gets the item, and closes a stream that has nothing left open."""
    log: list[str] = []

    async def main() -> int:
        async with aclosing(stream_of(holder(kind, log), idle_timeout=9)) as stream:
            return await anext(stream)

    assert (run(main), log) == (1, ["closed"])


@each_kind
def test_without_a_timeout(kind: str) -> None:
    """The stream holds no scope, so the source may hold one."""
    assert run(lambda: all_of(stream_of(holder(kind, [])))) == [1, 2]


async def all_of(stream: Any) -> list[Any]:
    async with aclosing(stream):
        return [item async for item in stream]


def test_held_items_are_discarded() -> None:
    """The attempt has failed before its commit, and the stream with it."""

    async def main() -> None:
        with pytest.raises(RuntimeError, match=MESSAGE):
            await all_of(stream_of(holder("scope", []), idle_timeout=9, commit_when=2))

    run(main)


def test_after_a_send() -> None:
    """The item that answers a `send` is delivered too."""

    async def source() -> AsyncIterator[Any]:
        sent = yield 1
        with trio.CancelScope():
            yield sent
            yield 3

    async def main() -> None:
        async with aclosing(stream_of(source, first_item_timeout=9)) as stream:
            assert (await anext(stream), await stream.asend(2)) == (1, 2)
            with pytest.raises(RuntimeError, match=MESSAGE):
                await anext(stream)

    run(main)


class Held:
    """An object whose opening enters a scope, which its closing leaves."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.scope.__enter__()

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> int:
        return 1

    async def aclose(self) -> None:
        self.scope.__exit__(None, None, None)


def test_a_factory_that_returns_with_a_scope() -> None:
    """Nothing was delivered yet: the consumer gets the error alone."""

    async def source() -> Held:
        return Held()

    async def main() -> None:
        with pytest.raises(RuntimeError, match=MESSAGE):
            await all_of(stream_of(source, idle_timeout=9))
        assert await scopes_work()

    run(main)


def test_an_error_while_it_is_closed() -> None:
    """It becomes a note of the error; a BaseException is raised, as ever."""

    def fails_with(error: BaseException) -> Any:
        async def source() -> AsyncIterator[int]:
            async with trio.open_nursery():
                try:
                    yield 1
                finally:
                    raise error

        return source

    async def main() -> None:
        with pytest.raises(RuntimeError, match=MESSAGE) as caught:
            await all_of(stream_of(fails_with(OSError("down")), idle_timeout=9))
        (note,) = caught.value.__notes__
        assert note.startswith("closing source raised ExceptionGroup")
        with pytest.raises(BaseExceptionGroup) as exits:
            await all_of(stream_of(fails_with(SystemExit(3)), idle_timeout=9))
        assert exits.group_contains(SystemExit)
        assert await scopes_work()

    run(main)


def test_a_trio_that_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its private attributes nothing is taken for held; trio itself raises then."""
    monkeypatch.setattr(trio.lowlevel, "current_task", object)

    async def main() -> bool:
        with trio.CancelScope() as scope:  # noqa: ASYNC100 (nothing is awaited here)
            return timed_trio.holds_a_scope_inside(scope)

    assert run(main) is False


def test_the_source_is_let_go() -> None:
    """A nursery's group of errors from closing it keeps nothing alive."""

    class Thing:
        pass

    things: list[ref[Thing]] = []

    async def source() -> AsyncIterator[int]:
        thing = Thing()
        things.append(ref(thing))
        async with trio.open_nursery():
            yield 1

    async def main() -> None:
        with suppress(RuntimeError):
            async for _ in stream_of(source, idle_timeout=9):
                pass

    gc.collect()
    gc.disable()
    try:
        run(main)
        assert [thing() for thing in things] == [None]
    finally:
        gc.enable()
