"""The benchmarks run, and turn their measurements into tables and a plot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from support.needs import needs
from support.runners import quiet

for _peer in ("aiostream", "google.api_core", "langchain_core", "reactivex", "stamina"):
    needs(_peer)
needs("opentelemetry.sdk")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def modules() -> Iterator[Callable[[str], Any]]:
    """Import a module of the benchmarks."""
    sys.path.insert(0, str(ROOT))
    try:
        yield lambda name: import_module(f"benchmarks.{name}")
    finally:
        sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def report(modules: Callable[[str], Any]) -> Any:
    """The module that renders tables and plots."""
    return modules("report")


@pytest.fixture(scope="module")
def tables(modules: Callable[[str], Any]) -> Any:
    """The module that makes tables of measurements."""
    return modules("tables")


@pytest.fixture(scope="module")
def measure(modules: Callable[[str], Any]) -> Any:
    """The module that measures in rounds."""
    return modules("measure")


def child(part: str) -> Any:
    """A part, measured as briefly as possible."""
    command = [sys.executable, "-m", "benchmarks", "--child", part, "--seconds", "0"]
    return json.loads(run(command))


def run(command: list[str]) -> str:
    """The output of a command that finds the benchmarks."""
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(
        command, env=env, stdout=subprocess.PIPE, check=True, timeout=300, text=True
    ).stdout


@pytest.fixture(scope="module")
def measured() -> Any:
    """The peers, measured."""
    return child("peers")


def test_each_peer_is_measured(measured: Any) -> None:
    """Every peer, sync and async, delivers its items, and its ratio is greater than 0."""
    assert all(figures["item"] > 0 for figures in measured["blocking"].values())
    for loop in ("asyncio", "trio"):
        assert all(ratio > 0 for ratio in measured[loop].values())


def test_missing_features_of_peers_are_listed(measured: Any) -> None:
    """For each peer except this library, a missing feature is listed."""
    for kind in ("blocking", "asyncio", "trio"):
        for name, lacks in measured["lacks"][kind].items():
            assert bool(lacks) is ("failover_stream" not in name)


@pytest.mark.parametrize(
    "part", ["items", "opening", "switch", "observe", "checkpoint", "download"]
)
def test_each_part_becomes_tables(tables: Any, part: str) -> None:
    """Each figure with a goal is a headline, and each row has as many cells as its table."""
    result = getattr(tables, part)([child(part)])
    assert result.headlines
    for headline in result.headlines:
        float(headline.figure.removesuffix(" !"))
    for table in result.tables:
        assert {len(row) for row in table.rows} == {len(table.columns) + 1}


def test_the_parts_of_hedge_and_health_become_tables(modules: Callable[[str], Any]) -> None:
    """Each row has as many cells as its table, with a Redis and without one."""
    tail, outage = modules("tail"), modules("outage")
    line = {"median": 0.2, "p99": 0.6, "extra": 0.05}
    hedge = {"tails": dict.fromkeys(tail.CASES, line), "costs": {"item": 1.0, "hedge": 25.0}}
    down = {"late": 8, "p90": 0.4, "in vain": 8}
    alone = {"outages": {"with": down}, "costs": {"process": 9.0}, "asked": {}}
    shared = alone | {"costs": {"process": 9.0, "redis": 9.0}, "asked": {"RedisStore": 6}}
    parts = [tail.part([hedge]), outage.part([alone]), outage.part([shared])]
    for part in parts:
        for table in part.tables:
            assert {len(row) for row in table.rows} == {len(table.columns) + 1}
    assert [len(part.tables) for part in parts] == [2, 2, 3]


def test_a_cost_per_item_is_in_units_of_the_naive_loop(tables: Any) -> None:
    """The cost is (stream - naive loop over the same source) / naive loop over a generator."""
    times = {"naive": 20.0, "unit": 40.0, "defaults": 50.0}
    assert tables._cost({"before": {"sync": {"list": times}}}, "sync", "list", "defaults") == 0.75


class Api:
    """OpenTelemetry's API, as far as streams call it: notes each call of a span or a metric."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def __getattr__(self, method: str) -> Any:
        def call(*args: Any, **_: Any) -> Api:
            if not method.startswith(("get_", "create_")):  # they are called once
                self.calls.append((method, *map(kind_of, args)))
            return self

        return call


def kind_of(arg: Any) -> Any:
    """The keys of attributes, a word, or the class of anything else."""
    if type(arg) is dict:
        return sorted(arg)
    return arg.removeprefix("failover_iter.") if isinstance(arg, str) else type(arg).__name__


@pytest.mark.parametrize("shape", ["one source", "a switch"])
def test_the_calls_by_hand_are_those_of_otel(modules: Any, shape: str) -> None:
    """The comparison is honest: both make the same calls, with the same attributes, in order."""
    from failover_iter import Policy
    from failover_iter.observe import otel

    observe, both = modules("observe"), []
    sources, script = observe.SHAPES[shape]
    for make in (
        lambda api: observe.ByHand(script, api, api),
        lambda api: otel(tracer_provider=api, meter_provider=api),
    ):
        api = Api()
        policy = Policy(retry_on=OSError, on_event=make(api))
        with quiet():
            assert list(policy.stream(sources)) == list(policy.stream(sources))
        both.append(api.calls)
    by_hand, ours = both
    assert ours == by_hand
    assert len(ours) > 10


def test_a_figure_that_misses_its_goal_is_marked(tables: Any) -> None:
    """A figure equal to its goal, or without a goal, is not marked."""
    assert tables._marked(0.61, 0.60) == "0.61 !"
    assert tables._marked(0.60, 0.60) == "0.60"
    assert tables._marked(9.99, None) == "9.99"


def test_rounds_that_other_work_made_slow_do_not_count(measure: Any) -> None:
    """The median of the fastest fifth is that of three rounds if there are few."""
    assert measure.fastest([90.0, 1.0, 91.0, 1.1, 92.0, 1.2, 93.0, 94.0]) == 1.1
    assert measure.fastest([*range(10), *[90] * 15]) == 2


def test_the_page_has_a_column_for_each_python(report: Any, tmp_path: Path) -> None:
    """A second run replaces its own results alone, and the tables are those of CPython 3.13."""

    def part(version: str, figure: str) -> Any:
        table = report.Table("Opening", "microseconds", ("both",), [("stream", figure)])
        goal = report.Headline("to the first item", figure, "<= 10")
        return report.Part([table], [goal], [("failover_stream", 1.05)], f"CPython {version}")

    def save(version: str, figure: str) -> None:
        report.python, kept = lambda: version, report.python
        try:
            report.save("opening", part(version, figure), tmp_path / "results")
        finally:
            report.python = kept

    for version, figure in (("3.11", "11.00 !"), ("3.9", "1.00"), ("3.13", "9.00")):
        save(version, figure)
    save("3.11", "12.00 !")
    report.write(["items", "opening"], tmp_path / "results", tmp_path)
    page = (tmp_path / "RESULTS.md").read_text("utf-8")
    assert "| | goal | CPython 3.9 | CPython 3.11 | CPython 3.13 |" in page
    assert "| to the first item | <= 10 | 1.00 | 12.00 ! | 9.00 |" in page
    assert "| stream | 9.00 |" in page
    assert "| stream | 12.00 ! |" not in page
    assert "- opening: CPython 3.11" in page
    assert "failover_stream" in (tmp_path / "results.svg").read_text("utf-8")


def test_the_profile_of_a_switch_lists_functions_and_files() -> None:
    """The calls per failure of the core and of the driver are listed, with and without logging."""
    output = run([sys.executable, "-m", "benchmarks", "switch", "--profile"])
    assert "Calls of a switch, logger off\n  (per failure: " in output
    assert "failover_iter/_core/run.py" in output
    assert "failover_iter/_drivers/async_source.py" in output


def test_an_unknown_part_is_refused() -> None:
    """The message lists the parts."""
    command = [sys.executable, "-m", "benchmarks", "speed"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, capture_output=True, check=False, text=True)
    assert done.returncode == 2
    assert "unknown part 'speed': choose from items, opening, switch" in done.stderr


def test_a_table_as_text_and_as_markdown(report: Any) -> None:
    """Text and Markdown contain the same rows."""
    table = report.Table("Per item", "ratio", ("median", "limit"), [("ours", "1.05", "1.15")])
    assert table.text().splitlines() == [
        "Per item",
        "  (ratio)",
        "        median  limit",
        "  ours    1.05   1.15",
    ]
    assert table.markdown().splitlines()[-1] == "| ours | 1.05 | 1.15 |"


def test_a_plot_is_an_svg(report: Any) -> None:
    """There is a bar for each ratio, and a bar that is too long is marked with an arrow."""
    root = ET.fromstring(report.plot("time", [("ours", 1.05), ("a <peer>", 17.0)]))
    texts = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert "1.05" in texts
    assert "17.00 \N{RIGHTWARDS ARROW}" in texts
    assert "a <peer>" in texts


def test_the_machine_is_anonymous(report: Any) -> None:
    """The results contain the processor and the versions, but no host name and no path."""
    import platform

    text = report.machine() + report.versions()
    assert platform.node() not in text or len(platform.node()) < 4
    assert str(Path.home()) not in text


def test_a_download_that_misses_its_goal_is_marked(tables: Any) -> None:
    """The time of `get` has a limit, and the throughput of `http_bytes` a least value."""
    needs("httpx")
    quick, slow = [[(1.0, 1.0), (1.1, 1.0)]], [[(1.0, 1.0), (1.2, 1.0)]]
    for pairs, figures in ((quick, ["1.10", "0.91"]), (slow, ["1.20 !", "0.83 !"])):
        costs = {"failover-iter get": pairs, "http_bytes": pairs}
        part = tables.download([{"MiB": 1, "costs": costs}])
        assert [headline.figure for headline in part.headlines] == figures
