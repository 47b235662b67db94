"""The demo: a text from two HTTP servers, the first of which breaks off, in each mode."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import Counter
from contextlib import aclosing, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from textwrap import wrap
from typing import TYPE_CHECKING, Final, TypeAlias

from failover_iter import Decide, Source, afailover_stream, failover_stream
from failover_iter._cli.demo_servers import CUT, END, FAILURES, IDLE, TEXT, afetch, fetch, serving
from failover_iter.trace import Trace

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import TextIO

    from failover_iter import Progress
    from failover_iter._cli.demo_servers import TextServer
    from failover_iter.typing import MidStream, Mode

    PullAll: TypeAlias = Callable[["Scenario", TextServer, TextServer, "Outcome"], None]

_WIDTH: Final = 96
_BOLD: Final = 1
_RED: Final = 31
_GREEN: Final = 32
_NUMBERS: Final = {line: number for number, line in enumerate(TEXT, 1)}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to take over, and what it promises."""

    title: str
    promise: str
    mid_stream: MidStream
    lines: tuple[str, ...] = TEXT
    """What has to be delivered."""
    fails: bool = False
    """Whether the stream has to end with the error of the source."""
    path: str = "/reset"
    """How the first source breaks off."""
    complete_when: Callable[[str], bool] | None = None
    idle_timeout: float | None = None


def _decide(progress: Progress[str]) -> Mode:
    return "restart" if progress.delivered <= CUT // 2 else "resume"


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        'mid_stream="restart"',
        "the next source starts over; what was delivered stays delivered",
        "restart",
        lines=TEXT[:CUT] + TEXT,
    ),
    Scenario(
        'mid_stream="raise"',
        "once a line was delivered, no other source is tried: the error is yours",
        "raise",
        lines=TEXT[:CUT],
        fails=True,
    ),
    Scenario(
        'mid_stream="skip"',
        "the next source starts over, and the lines that were delivered are dropped",
        "skip",
    ),
    Scenario(
        'mid_stream="resume"',
        f"the next source is asked for what is missing (?from={CUT})",
        "resume",
    ),
    Scenario(
        "mid_stream=Decide(...)",
        f"a function of yours decides; this one: restart up to line {CUT // 2}, later on resume",
        Decide(_decide),
    ),
    Scenario(
        'complete_when, mid_stream="resume"',
        f"the first source ends after line {CUT} without an error; its last line is not {END}, "
        "so it was cut, and the next source is asked for what is missing",
        "resume",
        path="/early",
        complete_when=lambda line: line == END,
    ),
    Scenario(
        'idle_timeout, mid_stream="resume"',
        f"the first source says nothing more after line {CUT}, without an error; after "
        f"{IDLE:g} s it has failed, and the next source is asked for what is missing",
        "resume",
        path="/stall",
        idle_timeout=IDLE,
    ),
)


@dataclass(slots=True)
class Outcome:
    """What became of a scenario."""

    lines: list[str] = field(default_factory=list[str])
    error: Exception | None = None
    trace: Trace = field(default_factory=Trace)
    logged: list[str] = field(default_factory=list[str])

    def keeps(self, scenario: Scenario) -> bool:
        """Whether it is the one that was promised."""
        error_type = FAILURES if scenario.fails else type(None)
        return tuple(self.lines) == scenario.lines and isinstance(self.error, error_type)


def demo(out: TextIO | None = None) -> int:
    """Run each scenario, blocking and async, and tell how it went; 1 if any broke its promise."""
    paper = _Paper(out or sys.stdout)
    start = time.perf_counter()
    with serving() as primary, serving() as replica:
        paper.introduce(primary, replica)
        kept = [
            *_run_all(_pull, "failover_stream", primary, replica, paper),
            *_run_all(_pull_async, "afailover_stream, with asyncio", primary, replica, paper),
        ]
    paper.conclude(kept, time.perf_counter() - start)
    return 0 if all(kept) else 1


def _run_all(
    pull: PullAll, api: str, primary: TextServer, replica: TextServer, paper: _Paper
) -> Iterator[bool]:
    paper.head(api)
    for number, scenario in enumerate(SCENARIOS, 1):
        outcome = _run(scenario, pull, primary, replica)
        paper.tell(f"{number}. {scenario.title}", scenario, outcome)
        yield outcome.keeps(scenario)


def _run(scenario: Scenario, pull: PullAll, primary: TextServer, replica: TextServer) -> Outcome:
    outcome = Outcome()
    with _logged(outcome.logged):
        try:
            pull(scenario, primary, replica, outcome)
        except Exception as error:  # noqa: BLE001 (whatever it is, it is told, and judged)
            outcome.error = error
    return outcome


def _pull(scenario: Scenario, primary: TextServer, replica: TextServer, outcome: Outcome) -> None:
    stream = failover_stream(
        [
            Source(partial(fetch, primary, scenario.path), name="primary"),
            Source(partial(fetch, replica, "/whole"), name="replica"),
        ],
        retry_on=FAILURES,
        mid_stream=scenario.mid_stream,
        complete_when=scenario.complete_when,
        idle_timeout=scenario.idle_timeout,
        on_event=outcome.trace,
    )
    with closing(stream):
        for line in stream:
            outcome.lines.append(line)


def _pull_async(
    scenario: Scenario, primary: TextServer, replica: TextServer, outcome: Outcome
) -> None:
    asyncio.run(_apull(scenario, primary, replica, outcome))


async def _apull(
    scenario: Scenario, primary: TextServer, replica: TextServer, outcome: Outcome
) -> None:
    stream = afailover_stream(
        [
            Source(partial(afetch, primary, scenario.path), name="primary"),
            Source(partial(afetch, replica, "/whole"), name="replica"),
        ],
        retry_on=FAILURES,
        mid_stream=scenario.mid_stream,
        complete_when=scenario.complete_when,
        idle_timeout=scenario.idle_timeout,
        on_event=outcome.trace,
    )
    async with aclosing(stream):
        async for line in stream:
            outcome.lines.append(line)


@contextmanager
def _logged(messages: list[str]) -> Generator[None, None, None]:
    """Gather what the library logs: unconfigured, it would stand on the screen out of place."""
    logger = logging.getLogger("failover_iter")
    handler = _Gather(messages)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Gather(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Keep the message."""
        self._messages.append(f"{record.levelname.lower()}: {record.getMessage()}")


class _Paper:
    """Where it is all written down."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._colours = _has_colours(out)

    def introduce(self, primary: TextServer, replica: TextServer) -> None:
        """Say what is going to happen."""
        self._write(
            f"Two HTTP servers stream the same {len(TEXT)} lines of text: primary on port "
            f"{primary.port}, replica on port {replica.port}.",
            f"Primary resets the TCP connection after line {CUT}. What does the reader get?",
        )

    def head(self, api: str) -> None:
        """Begin a part."""
        self._write("", self._paint(f"=== {api} ===", _BOLD))

    def tell(self, title: str, scenario: Scenario, outcome: Outcome) -> None:
        """Tell one scenario."""
        self._write("", self._paint(title, _BOLD))
        self._entry("promise", scenario.promise)
        self._entry("delivered", _count(outcome.lines))
        same = f"   same as the original: {_comparison(outcome)}"
        if outcome.keeps(scenario):
            self._write(f"{same}, {self._paint('as promised', _GREEN)}")
        else:
            self._write(f"{same}, {self._paint('NOT as promised', _RED)}")
            error = ", then the error of the source" if scenario.fails else ""
            self._entry("promised", _count(scenario.lines) + error)
            self._entry("error", repr(outcome.error))
        for message in outcome.logged:
            self._entry("log", message)
        self._write(str(outcome.trace))

    def conclude(self, kept: Sequence[bool], seconds: float) -> None:
        """Sum up."""
        text = f"{sum(kept)} of {len(kept)} outcomes as promised, in {seconds:.2f} s"
        self._write("", self._paint(text, _GREEN if all(kept) else _RED))

    def _entry(self, label: str, text: str) -> None:
        first, later = f"   {label + ':':<10} ", " " * 14
        self._write(*wrap(text, _WIDTH, initial_indent=first, subsequent_indent=later))

    def _paint(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text

    def _write(self, *lines: str) -> None:
        for line in lines:
            print(line, file=self._out)


def _has_colours(out: TextIO) -> bool:
    """Whether colour codes are welcome (no-color.org), and understood."""
    dumb = os.environ.get("TERM") == "dumb"
    old_console = os.name == "nt" and "WT_SESSION" not in os.environ
    return out.isatty() and not (os.environ.get("NO_COLOR") or dumb or old_console)


def _comparison(outcome: Outcome) -> str:
    """Whether what came equals the original, and if not, how it differs."""
    lines, error = outcome.lines, outcome.error
    if error is not None:
        return f"no: stopped after {len(lines)} lines with {type(error).__name__}"
    if tuple(lines) == TEXT:
        return "yes"
    times = Counter(lines)
    twice = _spans(line for line in TEXT if times[line] > 1)
    missing = _spans(line for line in TEXT if not times[line])
    facts = ((twice, "came twice"), (missing, "are missing"))
    told = [f"lines {which} {what}" for which, what in facts if which]
    return f"no: {' and '.join(told) or 'not the same lines in the same order'}"


def _count(lines: Sequence[str]) -> str:
    return f"{len(lines)} lines: {_spans(lines)}" if lines else "nothing"


def _spans(lines: Iterable[str]) -> str:
    """Which lines of the original these are, as in "1-4, then 1-9"; -1 for any other line."""
    spans: list[list[int]] = []
    for line in lines:
        number = _NUMBERS.get(line, -1)
        if spans and spans[-1][1] + 1 == number:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", then ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans)
