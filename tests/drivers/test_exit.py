"""A stream that is still open when the interpreter exits, or when its event loop has gone."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import failover_iter
from drivers.threads import Endless, wait_until
from failover_iter import afailover_stream, failover_stream, in_thread
from failover_iter._drivers import aio, sync

HOME = Path(failover_iter.__file__).parents[1]

SCRIPT = """
import sys
sys.path.insert(0, {home!r})
from failover_iter import failover_stream

class Source:
    def __iter__(self): return self
    def __next__(self): return 1
    def close(self): print("closed", flush=True)

def generator():
    try:
        while True:
            yield 1
    finally:
        print("closed", flush=True)

stream = failover_stream([{source}], retry_on=OSError, {options})
next(stream), next(stream)
if {cycle}:
    stream = [stream]
    stream.append(stream)
print("end", flush=True)
"""


@pytest.mark.parametrize("cycle", [False, True])
@pytest.mark.parametrize("source", ["Source", "generator"])
@pytest.mark.parametrize("options", ["", "mid_stream='skip'", "idle_timeout=60"])
def test_a_blocking_stream_is_closed_at_the_exit(source: str, options: str, cycle: bool) -> None:
    """As the bare generator would be, without a traceback."""
    script = SCRIPT.format(home=str(HOME), source=source, options=options, cycle=cycle)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\nclosed\n", "")


@pytest.mark.parametrize("options", ["", "idle_timeout=60"])
def test_a_stream_that_outlives_its_module_is_closed_at_the_exit(options: str) -> None:
    """Something that is never torn down refers to it: it is closed all the same."""
    script = SCRIPT.format(home=str(HOME), source="Source", options=options, cycle=False)
    script += "sys.kept = stream"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\nclosed\n", "")


def test_a_timed_stream_that_outlives_our_modules(tmp_path: Path) -> None:
    """pytest keeps the module of a test until the globals of ours are gone: no traceback."""
    (tmp_path / "conftest.py").write_text(
        "import failover_iter._drivers.mailbox\n", encoding="utf-8"
    )
    (tmp_path / "test_kept.py").write_text(
        "from failover_iter import failover_stream\n"
        "kept = []\n"
        "def test_kept():\n"
        "    source = lambda: iter([1, 2])\n"
        "    kept.append(failover_stream([source], retry_on=OSError, idle_timeout=60))\n"
        "    next(kept[0])\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_kept.py"],
        capture_output=True, encoding="utf-8", check=False, timeout=60, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(HOME)},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


#: Something keeps the main module, as Ray does: the globals of our modules are cleared before those
#: of the program, which still refer to a stream.
KEPT = """
import sys
sys.path.insert(0, {home!r})
sys.kept = sys.modules["__main__"]
import asyncio, tempfile, threading
import failover_iter
from failover_iter import Checkpoint, Resume, afailover_stream, failover_stream, in_thread

class Listener:
    def __call__(self, event): pass
    def stream_ended(self, ended): print("ended", flush=True)

class Source:
    def __init__(self, progress=None): pass
    def __iter__(self): return self
    def __next__(self): return 1
    def close(self): print("closed", flush=True)

async def asource():
    while True:
        yield 1

def numbers(progress):
    yield from range(progress.cursor, 9)

def count(at, _):
    return at + 1

options = dict(retry_on=OSError, on_event=Listener())
saved = dict(mid_stream=Resume(start=0, advance=count), checkpoint=Checkpoint({path!r}))
{make}
"""
ASYNC = "; loop = asyncio.new_event_loop(); loop.run_until_complete(anext(stream))"


@pytest.mark.parametrize(
    ("make", "printed"),
    [
        ("stream = failover_stream([Source], **options); next(stream)", "closed ended"),
        (
            "stream = failover_stream([Source], idle_timeout=60, **options); next(stream)",
            "closed ended",
        ),
        (
            "in_thread(Source); stream = failover_stream([Source], idle_timeout=60, **options)\n"
            "next(stream)",
            "closed ended",
        ),
        (
            "stream = failover_stream([Source], idle_timeout=60, commit_when=3, **options)\n"
            "next(stream)",
            "closed ended",
        ),
        (
            "stream = failover_stream([Source], idle_timeout=60, **options); go = [print] * 2\n"
            "def pull(): next(stream); done.set(); threading.Event().wait()\n"
            "done = threading.Event(); threading.Thread(target=pull, daemon=True).start()\n"
            "done.wait()",
            "",
        ),
        ("stream = afailover_stream([asource], **options)" + ASYNC, ""),
        ("stream = afailover_stream([asource], **options)" + ASYNC + "; loop.close()", ""),
        ("stream = afailover_stream([asource], idle_timeout=60, **options)" + ASYNC, ""),
        ("stream = afailover_stream([in_thread(Source)], **options)" + ASYNC, "closed"),
        (
            "stream = failover_stream([numbers], idle_timeout=60, **options, **saved)\n"
            "next(stream), next(stream)",
            "ended",
        ),
    ],
)
def test_a_program_that_outlives_our_modules(tmp_path: Path, make: str, printed: str) -> None:
    """No traceback; and a blocking stream is closed before, timed or not, and its end is told."""
    path = tmp_path / "state"
    script = KEPT.format(home=str(HOME), path=str(path), make=make)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == printed.split()
    assert not path.exists() or '"cursor": "1"' in path.read_text("utf-8")
    assert path.exists() == ("saved" in make)


def test_an_error_of_closing_at_the_exit_is_printed() -> None:
    """As one in a finalizer is; the next stream is closed."""
    script = SCRIPT.format(home=str(HOME), source="Source", options="", cycle=False)
    script += """
def fails():
    try:
        yield 1
    finally:
        raise ValueError("from close")
other = failover_stream([fails], retry_on=OSError)
next(other)
sys.kept = stream, other
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "end\nclosed\n")
    assert "ValueError: from close" in done.stderr


def test_what_is_done_at_the_exit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same in this process: each open stream is closed, whatever another one raises."""

    def source(error: Exception) -> Iterator[int]:
        try:
            yield 1
        finally:
            raise error

    stream = Source()
    gone = sync.StreamRef(stream)
    hash(gone)
    del stream  # a stream that is finalized just now
    monkeypatch.setattr(sync, "open_streams", {gone})
    sources = [partial(source, ValueError("the first")), partial(source, ValueError("the second"))]
    streams = [failover_stream([each], retry_on=OSError) for each in sources]
    assert [next(stream) for stream in streams] == [1, 1]
    sync._close_at_exit()
    printed = capsys.readouterr().err
    assert "ValueError: the first" in printed
    assert "ValueError: the second" in printed
    assert [list(stream) for stream in streams] == [[], []]


def test_what_is_done_at_the_exit_with_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream with a time limit is closed too, unless a daemon thread has pulled it."""
    monkeypatch.setattr(sync, "open_streams", set())
    told: list[str] = []

    def stream_of(name: str) -> Any:
        return failover_stream(
            [Endless],
            retry_on=OSError,
            idle_timeout=60,
            on_event=lambda event: told.append(f"{name} {type(event).__name__}"),
        )

    ours, theirs = stream_of("ours"), stream_of("theirs")
    pulled, done = threading.Event(), threading.Event()

    def pull() -> None:
        next(theirs)
        pulled.set()
        done.wait(60)

    thread = threading.Thread(target=pull)
    thread.start()
    pulled.wait(60)
    next(ours)
    told.clear()
    for _ in range(2):
        sync._close_at_exit()
        assert told == ["ours Closed"]
    done.set()
    thread.join()
    sync._close_at_exit()
    assert told == ["ours Closed", "theirs Closed"]


def test_a_stream_is_silent_once_our_modules_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interpreter has taken them apart: whatever goes wrong then is not worth a traceback."""

    def source() -> Iterator[int]:
        try:
            yield 1
        finally:
            raise ValueError("from close")

    async def main() -> None:
        stream = afailover_stream([in_thread(source)], retry_on=OSError)
        await anext(stream)
        await stream.aclose()

    stream = failover_stream([source], retry_on=OSError)
    next(stream)
    monkeypatch.setattr(sync, "modules", {})
    monkeypatch.setattr(aio, "modules", {})
    stream.close()
    asyncio.run(main())


class Source:
    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> int:
        return 1


async def generator() -> AsyncIterator[int]:
    while True:
        yield 1


@pytest.mark.parametrize("source", [Source, generator])
def test_an_async_stream_whose_loop_has_gone(source: Any) -> None:
    """Nothing can close its source any more: a ResourceWarning names it."""
    streams = [afailover_stream([source], retry_on=OSError)]

    async def pull() -> int:
        return await anext(streams[0])

    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(pull()) == 1
    loop.close()  # without `shutdown_asyncgens`
    with pytest.warns(ResourceWarning, match=f"{source.__name__} is still open"):
        streams.clear()


def test_an_async_stream_that_was_closed_warns_of_nothing() -> None:
    """Neither does one that ended, nor one that its loop closed."""

    async def use() -> None:
        for _ in range(2):
            stream = afailover_stream([Source], retry_on=OSError)
            assert await anext(stream) == 1
            await stream.aclose()
        kept.append(afailover_stream([generator], retry_on=OSError))
        assert await anext(kept[0]) == 1

    kept: list[Any] = []
    asyncio.run(use())
    kept.clear()
    gc.collect()


@pytest.mark.parametrize("options", ["", "idle_timeout=60"])
def test_a_stream_that_a_daemon_thread_pulls_is_left_alone(options: str) -> None:
    """It cannot be closed meanwhile: the interpreter exits as it would without the stream."""
    script = f"""
        import sys, threading
        sys.path.insert(0, {str(HOME)!r})
        from failover_iter import failover_stream

        begun = threading.Event()

        def source():
            begun.set()
            threading.Event().wait()
            yield

        stream = failover_stream([source], retry_on=OSError, {options})
        threading.Thread(target=list, args=(stream,), daemon=True).start()
        begun.wait()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True, encoding="utf-8", check=False, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_a_thread_whose_loop_has_gone_closes_the_source() -> None:
    """Nobody can wait for it; nothing is printed."""
    source = Endless()
    stream = afailover_stream([in_thread(lambda: source)], retry_on=OSError)
    loop = asyncio.new_event_loop()
    loop.run_until_complete(anext(stream))
    loop.close()
    del stream
    gc.collect()
    wait_until(lambda: source.log)
    assert source.log == ["closed"]
