"""A process that is killed by SIGKILL, again and again, loses no item and repeats few."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

import failover_iter

ROOT = Path(failover_iter.__file__).parents[1]
PROGRAM = """
import sys
from random import random
from failover_iter import Checkpoint, Resume, failover_stream

def numbers(progress):
    for number in range(progress.cursor, {items}):
        if random() < 1e-4:
            raise ConnectionError("lost")
        yield number

stream = failover_stream(
    [numbers], retry_on=ConnectionError, attempts=100, reset_on_progress=True,
    mid_stream=Resume(start=0, advance=lambda at, _: at + 1),
    checkpoint=Checkpoint(sys.argv[1], every={every}),
)
import logging; logging.disable()
with open(sys.argv[2], "ab", buffering=0) as done:
    for number in stream:
        # Eight bytes never cross a page: a kill between two pages would leave half a line.
        done.write(b"%07d\\n" % number)
"""


def scan(folder: Path, kills: int, every: float, items: int) -> None:
    """Kill the program at this many random points, then let it end; check what it has done."""
    state, done = folder / "state.json", folder / "done.txt"
    code = PROGRAM.format(items=items, every=every)
    command = [sys.executable, "-c", code, str(state), str(done)]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    random, killed = Random(1), 0
    done.touch()
    while True:
        before = done.stat().st_size
        process = subprocess.Popen(command, env=environment)
        while process.poll() is None and done.stat().st_size == before and killed < kills:
            time.sleep(0.001)  # until it works
        if killed < kills:
            time.sleep(random.uniform(0, 0.02 if every else 0.002))
            process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        elif process.wait() == 0:
            break
        else:
            raise AssertionError("the program failed")
    numbers = [int(line) for line in done.read_text("utf-8").split()]
    assert sorted(set(numbers)) == list(range(items))
    assert killed == kills
    if not every:
        assert len(numbers) - items <= kills


@pytest.mark.parametrize(("every", "items"), [(0, 1_000), (0.005, 60_000)])
def test_a_few_kills(tmp_path: Path, every: float, items: int) -> None:
    """At `every=0`, one item repeats at most for each kill."""
    scan(tmp_path, 5, every, items)


@pytest.mark.slow
def test_two_hundred_kills(tmp_path: Path) -> None:
    """The same at 200 random points."""
    scan(tmp_path, 200, 0.002, 3_000_000)
