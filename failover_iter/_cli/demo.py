"""The demo: stream a text from two HTTP servers, the first of which fails, in each mode."""

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
from shutil import get_terminal_size
from textwrap import wrap
from typing import TYPE_CHECKING, Final, TypeAlias

from failover_iter import Decide, Source, afailover_stream, failover_stream
from failover_iter._cli import demo_many
from failover_iter._cli.demo_servers import CUT, END, FAILURES, IDLE, TEXT, afetch, fetch, serving
from failover_iter.trace import Trace

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
    from typing import TextIO

    from failover_iter import Progress
    from failover_iter._cli.demo_many import Scene
    from failover_iter._cli.demo_servers import TextServer
    from failover_iter.typing import MidStream, Mode

    PullAll: TypeAlias = Callable[["Scenario", TextServer, TextServer, "Outcome"], None]

_NARROWEST: Final = 60
_WIDEST: Final = 100
_SLOW: Final = 1.0
_CELLS: Final = {True: "yes ", False: "NO  ", None: "-   "}
_BOLD: Final = 1
_RED: Final = 31
_GREEN: Final = 32
_NUMBERS: Final = {line: number for number, line in enumerate(TEXT, 1)}


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way to take over, and the outcome that is expected."""

    title: str
    behaviour: str
    mid_stream: MidStream
    lines: tuple[str, ...] = TEXT
    """The lines that must be delivered."""
    fails: bool = False
    """Whether the stream must end with the error of the source."""
    path: str = "/reset"
    """How the first source fails."""
    complete_when: Callable[[str], bool] | None = None
    idle_timeout: float | None = None


def _decide(progress: Progress[str]) -> Mode:
    return "restart" if progress.delivered <= CUT // 2 else "resume"


SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        'mid_stream="restart"',
        "the next source starts over; lines already delivered stay delivered",
        "restart",
        lines=TEXT[:CUT] + TEXT,
    ),
    Scenario(
        'mid_stream="raise"',
        "once a line was delivered, no other source is tried; the error is raised",
        "raise",
        lines=TEXT[:CUT],
        fails=True,
    ),
    Scenario(
        'mid_stream="skip"',
        "the next source starts over, and lines already delivered are dropped",
        "skip",
    ),
    Scenario(
        'mid_stream="resume"',
        f"the next source yields only the missing lines (?from={CUT})",
        "resume",
    ),
    Scenario(
        "mid_stream=Decide(...)",
        f"your function decides; this one restarts up to line {CUT // 2}, and resumes after that",
        Decide(_decide),
    ),
    Scenario(
        'complete_when, mid_stream="resume"',
        f"the first source ends after line {CUT} without an error; its last line is not {END}, "
        "so it was truncated, and the next source yields the missing lines",
        "resume",
        path="/early",
        complete_when=lambda line: line == END,
    ),
    Scenario(
        'idle_timeout, mid_stream="resume"',
        f"the first source sends nothing more after line {CUT}, without an error; after "
        f"{IDLE:g} s it has failed, and the next source yields the missing lines",
        "resume",
        path="/stall",
        idle_timeout=IDLE,
    ),
)


@dataclass(slots=True)
class Outcome:
    """The outcome of a scenario."""

    lines: list[str] = field(default_factory=list[str])
    error: Exception | None = None
    trace: Trace = field(default_factory=Trace)
    logged: list[str] = field(default_factory=list[str])

    def is_expected(self, scenario: Scenario) -> bool:
        """Whether this is the outcome that the scenario expects."""
        error_type = FAILURES if scenario.fails else type(None)
        return tuple(self.lines) == scenario.lines and isinstance(self.error, error_type)


def run_demo(arguments: Namespace) -> int:
    """Run the command."""
    return demo(mode=arguments.mode, pause=time.sleep if arguments.slow else None)


def demo(
    out: TextIO | None = None,
    *,
    mode: str | None = None,
    pause: Callable[[float], object] | None = None,
) -> int:
    """Run each scenario (of one mode), sync and async, then scenes of many streams; print all.

    Returns 1 if any outcome was not the expected one, else 0.
    """
    report = _Report(out or sys.stdout, pause)
    scenarios = [each for each in SCENARIOS if mode is None or each.mid_stream == mode]
    start = time.perf_counter()
    with serving() as primary, serving() as replica:
        report.introduction(primary, replica)
        servers = primary, replica
        expected = [
            list(_run_all(scenarios, _pull, "failover_stream", servers, report)),
            list(_run_all(scenarios, _pull_async, "afailover_stream (asyncio)", servers, report)),
        ]
        scenes = list(_play_scenes(servers, report)) if mode is None else []
    rows = [(each.title, *pair) for each, *pair in zip(scenarios, *expected, strict=True)]
    report.table([*rows, *map(demo_many.row_of, scenes)])
    every = [*expected[0], *expected[1], *(scene.is_expected for scene in scenes)]
    report.summary(every, time.perf_counter() - start)
    return 0 if all(every) else 1


def _run_all(
    scenarios: Sequence[Scenario],
    pull: PullAll,
    api: str,
    servers: tuple[TextServer, TextServer],
    report: _Report,
) -> Iterator[bool]:
    report.heading(api)
    for number, scenario in enumerate(scenarios, 1):
        outcome = _run(scenario, pull, *servers)
        report.scenario(f"{number}. {scenario.title}", scenario, outcome)
        yield outcome.is_expected(scenario)


def _play_scenes(servers: tuple[TextServer, TextServer], report: _Report) -> Iterator[Scene]:
    report.heading("many streams")
    with _logged([]):
        for scene in demo_many.play(*servers):
            report.scene(scene)
            yield scene


def _run(scenario: Scenario, pull: PullAll, primary: TextServer, replica: TextServer) -> Outcome:
    outcome = Outcome()
    with _logged(outcome.logged):
        try:
            pull(scenario, primary, replica, outcome)
        except Exception as error:  # noqa: BLE001 (any error is part of the outcome)
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
    """Collect the library's log messages, which would otherwise appear out of place on stderr."""
    logger = logging.getLogger("failover_iter")
    handler = _Collect(messages)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _Collect(logging.Handler):
    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self._messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        """Store the message."""
        self._messages.append(f"{record.levelname.lower()}: {record.getMessage()}")


class _Report:
    """Prints the outcomes."""

    def __init__(self, out: TextIO, pause: Callable[[float], object] | None) -> None:
        self._out = out
        self._pause = pause
        self._colours = _has_colours(out)
        columns = get_terminal_size().columns if out.isatty() else _WIDEST
        self._width = min(max(_NARROWEST, columns), _WIDEST)

    def introduction(self, primary: TextServer, replica: TextServer) -> None:
        """Explain the setup."""
        servers = (
            f"Two HTTP servers stream the same {len(TEXT)} lines of text: primary on port "
            f"{primary.port}, replica on port {replica.port}."
        )
        failure = (
            f"Primary fails after line {CUT}, by resetting the TCP connection unless stated "
            "otherwise."
        )
        self._write(*wrap(servers, self._width), *wrap(failure, self._width))

    def heading(self, api: str) -> None:
        """Start a section."""
        self._write("", self._paint(f"=== {api} ===", _BOLD))

    def scenario(self, title: str, scenario: Scenario, outcome: Outcome) -> None:
        """Print one scenario."""
        self._title(title)
        self._entry("behaviour", scenario.behaviour)
        self._entry("delivered", _count(outcome.lines))
        expected = outcome.is_expected(scenario)
        self._verdict(f"same as the original: {_comparison(outcome)}", expected=expected)
        if not expected:
            error = ", then the error of the source" if scenario.fails else ""
            self._entry("expected", _count(scenario.lines) + error)
            self._entry("error", repr(outcome.error))
        for message in outcome.logged:
            self._entry("log", message)
        self._write(f"{outcome.trace:{self._width}}")
        if self._pause is not None:
            self._pause(_SLOW)

    def scene(self, scene: Scene) -> None:
        """Print a scene of many streams."""
        self._title(scene.title)
        self._entry("behaviour", scene.behaviour)
        *first, last = scene.facts
        self._write(*(f"   {fact}" for fact in first))
        self._verdict(last, expected=scene.is_expected)
        if scene.trace is not None:
            self._write(f"{scene.trace:{self._width}}")
        if self._pause is not None:
            self._pause(_SLOW)

    def table(self, rows: Sequence[tuple[str, bool | None, bool | None]]) -> None:
        """Print which outcomes were the expected ones; None: there was none."""
        width = max(len(title) for title, *_ in rows)
        self._write("", self._paint(f"{'as expected':<{width}}  sync  async", _BOLD))
        for title, *outcomes in rows:
            cells = (_CELLS[outcome] for outcome in outcomes)
            self._write(f"{title:<{width}}  {'  '.join(cells)}".rstrip())

    def summary(self, expected: Sequence[bool], seconds: float) -> None:
        """Print how many outcomes were the expected ones."""
        text = f"{sum(expected)} of {len(expected)} outcomes as expected, in {seconds:.2f} s"
        self._write("", self._paint(text, _GREEN if all(expected) else _RED))

    def _title(self, text: str) -> None:
        self._write("", *(self._paint(line, _BOLD) for line in wrap(text, self._width)))

    def _verdict(self, text: str, *, expected: bool) -> None:
        verdict, colour = ("as expected", _GREEN) if expected else ("NOT as expected", _RED)
        unbroken = verdict.replace(" ", "\xa0")
        lines = wrap(f"{text}, {unbroken}", self._width - 3)
        lines[-1] = lines[-1].replace(unbroken, self._paint(verdict, colour))
        self._write(*(f"   {line}" for line in lines))

    def _entry(self, label: str, text: str) -> None:
        first, later = f"   {label + ':':<10} ", " " * 14
        self._write(*wrap(text, self._width, initial_indent=first, subsequent_indent=later))

    def _paint(self, text: str, code: int) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text

    def _write(self, *lines: str) -> None:
        for line in lines:
            print(line, file=self._out)


def _has_colours(out: TextIO) -> bool:
    """Whether colour codes are wanted (no-color.org) and supported."""
    dumb = os.environ.get("TERM") == "dumb"
    old_console = os.name == "nt" and "WT_SESSION" not in os.environ
    return out.isatty() and not (os.environ.get("NO_COLOR") or dumb or old_console)


def _comparison(outcome: Outcome) -> str:
    """Say whether the delivered lines equal the original, and if not, how they differ."""
    lines, error = outcome.lines, outcome.error
    if error is not None:
        return f"no: stopped after {len(lines)} lines with {type(error).__name__}"
    if tuple(lines) == TEXT:
        return "yes"
    times = Counter(lines)
    repeated = _spans(line for line in TEXT if times[line] > 1)
    missing = _spans(line for line in TEXT if not times[line])
    facts = ((repeated, "delivered twice"), (missing, "missing"))
    differences = [f"lines {which} {what}" for which, what in facts if which]
    return f"no: {' and '.join(differences) or 'not the same lines in the same order'}"


def _count(lines: Sequence[str]) -> str:
    return f"{len(lines)} lines: {_spans(lines)}" if lines else "nothing"


def _spans(lines: Iterable[str]) -> str:
    """The numbers of these lines in the original, as in "1-4, then 1-9"; -1 for other lines."""
    spans: list[list[int]] = []
    for line in lines:
        number = _NUMBERS.get(line, -1)
        if spans and spans[-1][1] + 1 == number:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", then ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans)
