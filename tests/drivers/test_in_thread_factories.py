"""`in_thread`: the factories that it accepts, and the async factory that it returns."""

from __future__ import annotations

import inspect
import pickle
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from drivers.in_thread import each_loop, numbers
from drivers.threads import Endless
from failover_iter import Progress, ReusedIterator, Source, failover_stream, in_thread
from support.loops import drained, fallback, stream_of

pytestmark = pytest.mark.usefixtures("no_thread_is_left")


class TestWrongUse:
    """What `in_thread` and its factories accept."""

    def test_no_factory(self) -> None:
        """It takes the function, not its result."""
        with pytest.raises(TypeError, match=r"in_thread\(factory\) must be a factory"):
            in_thread([1])  # type: ignore[arg-type]

    def test_an_async_factory(self) -> None:
        """At the call, where it shows."""
        with pytest.raises(TypeError, match="must be a blocking factory, got the async"):
            in_thread(fallback)  # type: ignore[arg-type]

    @pytest.mark.parametrize("opened", ["async", "coroutine", 5])
    @each_loop
    def test_what_the_factory_returns(self, loop: Any, opened: Any) -> None:
        """Otherwise when it has been called, and the next source is opened only if it matches."""

        async def coroutine() -> None: ...

        def factory() -> Any:
            return {"async": fallback, "coroutine": coroutine}.get(opened, lambda: opened)()

        message = "must return an iterable" if opened == 5 else "returned something async"
        with pytest.raises(TypeError, match=message):
            loop.run(lambda: drained(stream_of(in_thread(factory))))

    @each_loop
    def test_a_text(self, loop: Any) -> None:
        """Its items would be characters."""
        with pytest.raises(TypeError, match="returned a str"):
            loop.run(lambda: drained(stream_of(in_thread(lambda: "text"))))

    @each_loop
    def test_a_generator_that_has_ended(self, loop: Any) -> None:
        """A factory that returns the same generator again has nothing to yield."""

        def fails() -> Iterator[int]:
            yield 1
            raise ConnectionError

        kept = fails()
        with pytest.raises(ReusedIterator):
            loop.run(lambda: drained(stream_of(in_thread(lambda: kept), attempts=2)))

    def test_a_blocking_stream(self) -> None:
        """It refuses the async iterator."""
        with pytest.raises(TypeError, match="is async: use afailover_stream"):
            list(failover_stream([in_thread(numbers)], retry_on=OSError))

    @each_loop
    def test_abort_of_an_async_source(self, loop: Any) -> None:
        """It would never be called."""
        source = Source(lambda: fallback(), name="unit", abort=print)
        with pytest.raises(TypeError, match=r"of 'unit' is for a blocking source: .* in_thread"):
            loop.run(lambda: drained(stream_of(source)))

    def test_no_event_loop(self) -> None:
        """It waits with asyncio or trio."""
        pull = in_thread(numbers)().__anext__()
        with pytest.raises(RuntimeError, match="in_thread needs asyncio or trio"):
            pull.send(None)  # type: ignore[attr-defined]

    def test_a_sync_factory_in_an_async_stream(self) -> None:
        """The error names `in_thread`."""
        with pytest.raises(TypeError, match=r"or in_thread\(factory\)$"):
            stream_of(numbers)


class TestFactory:
    """The async factory looks like the blocking one."""

    def test_its_name(self) -> None:
        """In events, errors and the log."""
        assert in_thread(numbers).__name__ == "numbers"
        assert in_thread(partial(numbers)).__name__ == "numbers"
        assert in_thread(Endless).__name__ == "Endless"
        assert repr(in_thread(len)) == "in_thread(<built-in function len>)"  # type: ignore[arg-type]

    def test_its_parameters(self) -> None:
        """A stream that resumes checks them at the call."""
        assert inspect.signature(in_thread(numbers)) == inspect.signature(numbers)
        with pytest.raises(TypeError, match="must take one positional argument, the Progress"):
            stream_of(in_thread(numbers), mid_stream="resume")

    @each_loop
    def test_it_passes_them_on(self, loop: Any) -> None:
        """The `Progress` of a stream that resumes, and what a caller passes by name."""

        def resumes(progress: Progress[int], end: int = 3) -> Iterator[int]:
            yield progress.delivered + 1
            if progress.delivered < end:
                raise ConnectionError

        async def main() -> None:
            stream = stream_of(in_thread(resumes), mid_stream="resume", attempts=9)
            assert await drained(stream) == [1, 2, 3, 4]
            source = in_thread(resumes)(Progress(delivered=1), end=1)
            assert [item async for item in source] == [2]
            await source.aclose()  # type: ignore[attr-defined]

        loop.run(main)

    def test_it_can_be_pickled(self) -> None:
        """If the blocking one can."""
        factory = pickle.loads(pickle.dumps(in_thread(range)))
        assert repr(factory) == repr(in_thread(range))  # type: ignore[arg-type]
