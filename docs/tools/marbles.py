"""Draw the marble diagrams of the docs from real runs: `python docs/tools/marbles.py`.

Each diagram shows what the test kit recorded when `failover_stream` ran a plan.
"""

from __future__ import annotations

import gc
import logging
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from failover_iter import Policy, afailover_stream, failover_stream
from failover_iter.testing import Plan, run_plan
from failover_iter.testing._marbles import Drawing, Mark, svg

MARBLES = Path(__file__).parents[1] / "marbles"
POLICY = Policy(retry_on=(ConnectionError, TimeoutError))


def stream(**options: Any) -> Callable[..., Iterator[Any]]:
    """A pipeline: `failover_stream` over the sources of the plan."""
    return lambda *sources: failover_stream(sources, retry_on=POLICY.retry_on, **options)


def run(pipeline: Callable[..., Any], *sources: str, consumer: str = "drain") -> Drawing:
    """One run of a plan."""
    plan = Plan(*sources, consumer=consumer, errors=[ConnectionError, TimeoutError])
    return lettered(run_plan(pipeline, plan).drawing)


def mode(mode: Any) -> Drawing:
    """`a` yields 1 2 and fails, and `b` would yield 1 2 3."""
    return run(stream(mid_stream=mode), "12#", "123|")


def nested(a: Any, b: Any, c: Any) -> Iterator[Any]:
    """A group of two sources."""
    policy = Policy(retry_on=ConnectionError, mid_stream="resume")
    return policy.stream([a, policy.source([b, c])])


def by_turns(*sources: Any) -> Iterator[Any]:
    """Two streams of one policy, pulled in turn."""
    for items in zip(POLICY.stream(sources[:2]), POLICY.stream(sources[2:]), strict=True):
        yield from items


def twins() -> tuple[Drawing, Drawing]:
    """The same plan, sync and async."""
    plan = Plan("1#", "12|")
    run_sync = run_plan(stream(), plan)
    run_async = run_plan(
        lambda *sources: afailover_stream(sources, retry_on=ConnectionError),
        plan,
        flavour="asyncio",
    )
    twin = lettered(run_async.drawing)
    names = {lane: f"{lane}, async" for lane in twin.lanes}
    return lettered(run_sync.drawing), named(twin, names)


def named(drawing: Drawing, names: dict[str, str]) -> Drawing:
    """The same run, with other names for its lanes."""
    lanes = [names.get(lane, lane) for lane in drawing.lanes]
    marks = [replace(mark, lane=names.get(mark.lane, mark.lane)) for mark in drawing.marks]
    return Drawing(lanes, marks)


def lettered(drawing: Drawing) -> Drawing:
    """The same run, with letters for its sources."""
    return named(drawing, {f"source {at}": name for at, name in enumerate("abcd", start=1)})


class Item:
    """An item that supports weak references, so that the run can tell when it is freed."""


def memory() -> Drawing:
    """How many items are alive while a stream is consumed."""
    marks: list[Mark] = []
    alive: weakref.WeakSet[Item] = weakref.WeakSet()

    def a() -> Iterator[Item]:
        marks.append(Mark("a", "open"))
        for number in "12345":
            item = Item()
            alive.add(item)
            marks.append(Mark("a", "item", number))
            yield item
            del item
        marks.append(Mark("a", "close"))

    for number, item in enumerate(stream(mid_stream="skip")(a), start=1):
        marks.append(Mark("delivered", "item", str(number)))
        del item
        gc.collect()
        marks.append(Mark("in memory", "dropped", str(len(alive))))
    return Drawing(["a", "delivered", "in memory"], marks)


def _pictures() -> dict[str, str]:
    drawings: dict[str, tuple[str, Drawing]] = {
        "switch": (
            "The primary fails after two items, and the replica delivers the third",
            named(mode("skip"), {"a": "primary", "b": "replica"}),
        ),
        "mode-restart": ('mid_stream="restart": b starts over', mode("restart")),
        "mode-raise": (
            'mid_stream="raise": the error is raised, b is not opened',
            mode("raise"),
        ),
        "mode-skip": ('mid_stream="skip": items already delivered are dropped', mode("skip")),
        "mode-resume": ('mid_stream="resume": b yields only the rest', mode("resume")),
        "commit-when": (
            "commit_when=2: earlier items are held, and discarded if the attempt fails",
            run(stream(commit_when=2), "0#", "123|"),
        ),
        "complete-when": (
            'complete_when=lambda last: last == "9"',
            run(stream(mid_stream="skip", complete_when=lambda last: last == "9"), "12|", "129|"),
        ),
        "allow-empty": (
            "allow_empty=False: a source that yields nothing has failed",
            run(stream(allow_empty=False), "|", "12|"),
        ),
        "law-1": (
            "Identity: a stream of one source behaves like the source",
            run(stream(), "123|"),
        ),
        "law-2": (
            "Laziness: b is called only after a has failed and was closed",
            run(stream(), "1#", "23|", consumer="close 2"),
        ),
        "law-3": (
            "Switching: after each failure the next source is opened",
            run(stream(), "#", "#", "12|"),
        ),
        "law-4": (
            "Transparency: an error that does not match retry_on is raised",
            run(stream(), "1#bug", "12|"),
        ),
        "law-5": (
            "Blame: an error that you throw in is raised to you, without a switch",
            run(stream(), "12|", "12|", consumer="throw 1"),
        ),
        "law-6": ("Exhaustion: the last error is raised", run(stream(), "1#", "#TimeoutError")),
        "law-7": (
            "Associativity: [a, [b, c]] delivers the same as [a, b, c]",
            run(nested, "1#", "12#", "123|"),
        ),
        "law-8": (
            "One at a time: the thick lines never overlap",
            run(stream(), "1#", "2#", "3|"),
        ),
        "law-9": (
            "Closing: you close the stream, the stream closes the source",
            run(stream(), "123|", consumer="close 1"),
        ),
        "law-11": (
            "No shared state: two streams of one policy, in turn",
            run(by_turns, "1#", "2|", "3#", "4|"),
        ),
        "law-12": ("Constant memory: the number of items still alive", memory()),
    }
    svgs = {f"{name}.svg": svg(title, drawing) for name, (title, drawing) in drawings.items()}
    svgs["law-10.svg"] = svg("Twins: the same run, sync and async", *twins())
    return svgs


def pictures() -> dict[str, str]:
    """Run everything and draw it; the SVG of each file, by file name."""
    logger = logging.getLogger("failover_iter")
    disabled, logger.disabled = logger.disabled, True
    try:
        return _pictures()
    finally:
        logger.disabled = disabled


def main() -> None:
    """Write the files."""
    MARBLES.mkdir(exist_ok=True)
    for name, drawing in pictures().items():
        (MARBLES / name).write_text(drawing, "utf-8")
        print(name)


if __name__ == "__main__":
    main()
