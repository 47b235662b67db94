"""Law 10 for `in_thread`: a blocking source does the same in an async and in a blocking stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

from failover_iter import Source, afailover_stream, failover_stream, in_thread
from support.loops import LOOPS
from support.size import explore

#: The steps of a source, and those of its consumer.
STEPS = st.lists(st.sampled_from(["item", "echo", "fails", "bug"]), max_size=5)
ACTIONS = st.lists(st.sampled_from(["next", "send", "throw"]), max_size=8)


def source_of(steps: list[str], name: str, log: list[str]) -> Callable[[], Iterator[Any]]:
    """A generator that catches what is thrown at an "echo", and logs its closing."""

    def source() -> Iterator[Any]:
        log.append(f"open {name}")
        sent: Any = None
        try:
            for number, step in enumerate(steps):
                if step == "fails":
                    raise ConnectionError(name)
                if step == "bug":
                    raise ValueError(name)
                try:
                    sent = yield (name, number, sent)
                except LookupError as error:
                    if step != "echo":
                        raise
                    sent = str(error)
        finally:
            log.append(f"close {name}")

    return source


def sources_of(plans: list[list[str]], log: list[str]) -> list[Callable[[], Iterator[Any]]]:
    return [source_of(steps, name, log) for name, steps in zip("ab", plans, strict=False)]


def blocking(plans: list[list[str]], actions: list[str], options: Any) -> list[Any]:
    """The trace of a blocking stream."""
    log: list[Any] = []
    stream: Any = failover_stream(sources_of(plans, log), on_event=told(log), **options)
    try:
        for action in actions:
            if action == "next" or not log:
                log.append(next(stream))
            elif action == "send":
                log.append(stream.send("sent"))
            else:
                log.append(stream.throw(LookupError("thrown")))
    except StopIteration:
        log.append("the end")
    except Exception as error:
        log.append(repr(error))
    finally:
        stream.close()
    return log


async def in_threads(plans: list[list[str]], actions: list[str], options: Any) -> list[Any]:
    """The trace of an async stream over the same sources, each in its thread."""
    log: list[Any] = []
    sources = [Source(in_thread(source), name="source") for source in sources_of(plans, log)]
    stream: Any = afailover_stream(sources, on_event=told(log), **options)
    try:
        for action in actions:
            if action == "next" or not log:
                log.append(await anext(stream))
            elif action == "send":
                log.append(await stream.asend("sent"))
            else:
                log.append(await stream.athrow(LookupError("thrown")))
    except StopAsyncIteration:
        log.append("the end")
    except Exception as error:
        log.append(repr(error))
    finally:
        await stream.aclose()
    return log


def told(log: list[Any]) -> Callable[[Any], None]:
    """A listener that logs the kind of each event."""
    return lambda event: log.append(type(event).__name__)


@explore(
    st.lists(STEPS, min_size=1, max_size=2),
    ACTIONS,
    st.sampled_from(["restart", "skip", "raise"]),
    st.integers(1, 2),
)
def test_the_same_trace(
    plans: list[list[str]], actions: list[str], mode: str, commit_when: int
) -> None:
    """Items, what is sent and thrown, errors, openings, closings and events, in their order."""
    options = {"retry_on": ConnectionError, "mid_stream": mode, "commit_when": commit_when}
    expected = blocking(plans, actions, options)
    for loop in LOOPS:
        assert loop.run(lambda: in_threads(plans, actions, options)) == expected
