"""`in_thread`: items, `send`, `throw` and errors pass between the thread and the task."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
import trio

from drivers.in_thread import Blocks, each_loop, numbers
from drivers.threads import wait_until
from failover_iter import in_thread
from support.loops import drained, fallback, stream_of

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


@each_loop
class TestProtocol:
    """Items, `send`, `throw`, errors: as a stream over an async generator."""

    def test_values_sent_and_thrown(self, loop: Any) -> None:
        """They reach the source in its thread, and its answers are items."""
        thrown = LookupError("mine")

        def source() -> Iterator[Any]:
            sent = yield 1
            try:
                yield sent
            except LookupError as error:
                yield error

        async def main() -> None:
            async with aclosing(stream_of(in_thread(source))) as stream:
                assert (await anext(stream), await stream.asend("sent")) == (1, "sent")
                assert await stream.athrow(thrown) is thrown
                with pytest.raises(StopAsyncIteration):
                    await anext(stream)

        loop.run(main)

    def test_an_iterator_without_send_and_throw(self, loop: Any) -> None:
        """As without a thread: AttributeError, and what is thrown is raised at the `yield`."""

        async def main() -> None:
            async with aclosing(stream_of(in_thread(lambda: iter([1, 2])))) as stream:
                await anext(stream)
                with pytest.raises(AttributeError, match="has no attribute 'send'"):
                    await stream.asend(1)
            async with aclosing(stream_of(in_thread(lambda: iter([1, 2])), fallback)) as stream:
                await anext(stream)
                with pytest.raises(ConnectionError, match="mine"):
                    await stream.athrow(ConnectionError("mine"))

        loop.run(main)

    @pytest.mark.parametrize("where", ["factory", "iter", "pull"])
    def test_a_failure_switches(self, loop: Any, where: str) -> None:
        """Wherever in the thread it is raised."""

        class Broken:
            def __init__(self) -> None:
                if where == "factory":
                    raise ConnectionError

            def __iter__(self) -> Any:
                if where == "iter":
                    raise ConnectionError
                return self

            def __next__(self) -> Any:
                raise ConnectionError

        assert loop.run(lambda: drained(stream_of(in_thread(Broken), fallback))) == ["fallback"]

    def test_an_error_is_the_same_object(self, loop: Any) -> None:
        """It passes from the thread to the task unchanged."""
        error = ValueError("mine")

        def source() -> Iterator[int]:
            yield 1
            raise error

        async def main() -> None:
            with pytest.raises(ValueError, match="mine") as caught:
                await drained(stream_of(in_thread(source)))
            assert caught.value is error

        loop.run(main)

    @pytest.mark.parametrize("stop", [StopIteration, StopAsyncIteration])
    def test_a_stop_that_leaks(self, loop: Any, stop: type[Exception]) -> None:
        """It does not end the stream: PEP 479."""

        def factory() -> Any:
            if stop is StopIteration:
                raise stop
            yield 1
            raise stop

        def called() -> Any:
            raise stop

        async def main() -> None:
            with pytest.raises(RuntimeError, match=f"generator raised {stop.__name__}"):
                await drained(stream_of(in_thread(called if stop is StopIteration else factory)))

        loop.run(main)

    def test_it_ends_for_good(self, loop: Any) -> None:
        """A source that has ended, or is closed, yields nothing more."""

        async def main() -> None:
            source: Any = in_thread(numbers)()
            assert [item async for item in source] == [1, 2, 3]
            assert [item async for item in source] == []
            await source.aclose()
            await source.aclose()
            assert [item async for item in source] == []

        loop.run(main)

    def test_one_pull_at_a_time(self, loop: Any) -> None:
        """As with an async generator, another task may not pull it meanwhile."""

        async def main() -> None:
            blocks = Blocks(lambda _: None)
            source: Any = in_thread(lambda: blocks)()
            assert await anext(source) == 1
            pulled: list[Any] = []

            async def pull() -> None:
                try:
                    pulled.append(await anext(source))
                except RuntimeError as error:
                    pulled.append(str(error))

            async def meanwhile() -> None:
                wait_until(lambda: blocks.count == 2)
                with pytest.raises(RuntimeError, match="is being pulled already"):
                    await anext(source)
                await source.aclose()

            await both(loop, pull, meanwhile)
            blocks.cut.set()
            assert pulled == ["source '<lambda>' was closed while it was pulled"]
            with pytest.raises(RuntimeError, match="cannot be continued after"):
                await anext(source)

        loop.run(main)


async def both(loop: Any, first: Any, second: Any) -> None:
    """Run two tasks; the second starts when the first one waits."""
    if loop.name == "asyncio":
        task = asyncio.ensure_future(first())
        await asyncio.sleep(0)
        await second()
        await task
    else:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first)
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(second)
