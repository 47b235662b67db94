"""The benchmarks run, and turn their measurements into tables and a plot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from support.needs import needs

for _peer in ("aiostream", "google.api_core", "langchain_core", "reactivex", "stamina"):
    needs(_peer)

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def report() -> Iterator[Any]:
    """The module that renders tables and plots."""
    sys.path.insert(0, str(ROOT))
    try:
        yield import_module("benchmarks.report")
    finally:
        sys.path.remove(str(ROOT))


@pytest.fixture(scope="module")
def measured() -> Any:
    """The peers, measured as briefly as possible."""
    command = [sys.executable, "-m", "benchmarks", "--child", "peers", "--seconds", "0"]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, check=True, timeout=300)
    return json.loads(done.stdout)


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
