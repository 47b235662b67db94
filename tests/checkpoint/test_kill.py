"""A process that is killed by SIGKILL, again and again, loses no item and repeats few."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from random import Random

import pytest

import failover_iter

ROOT = Path(failover_iter.__file__).parents[1]
#: A second passes in the clock of the program with each item that it has processed.
PROGRAM = """
import asyncio, logging, sys
from random import random
from failover_iter import Checkpoint, Resume, afailover_stream, failover_stream
from failover_iter.checkpoint import FileStore, SQLiteStore
from failover_iter._drivers.clock import clock

class Clock:
    now = 0.0
    def time(self):
        return self.now

def numbers(progress):
    for number in range(progress.cursor, {items}):
        if random() < 1e-4:
            raise ConnectionError("lost")
        yield number

async def anumbers(progress):
    for number in numbers(progress):
        yield number

logging.disable()
options = dict(
    retry_on=ConnectionError, attempts=100, reset_on_progress=True,
    mid_stream=Resume(start=0, advance=lambda at, _: at + 1),
    checkpoint=Checkpoint(store={store}, every={every}),
)
done = open(sys.argv[2], "ab", buffering=0)

def process(number):
    # Eight bytes never cross a page: a kill between two pages would leave half a line.
    done.write(b"%07d\\n" % number)

def main():
    clock.set(Clock())
    for number in failover_stream([numbers], **options):
        process(number)
        clock.get().now += 1

async def amain():
    async for number in afailover_stream([anumbers], **options):
        process(number)

{main}
"""


FILE, SQLITE = "FileStore(sys.argv[1])", "SQLiteStore(sys.argv[1], 'numbers')"


def scan(folder: Path, kills: int, every: int, items: int, main: str, store: str) -> None:
    """Kill the program at this many random points, then let it end; check what it has done."""
    state, done = folder / "state", folder / "done.txt"
    code = PROGRAM.format(items=items, every=every, main=main, store=store)
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
    assert (numbers[0], numbers[-1], killed) == (0, items - 1, kills)
    for last, following in pairwise(numbers):
        # The next item, or after a kill the items of at most one interval again.
        assert 0 <= last + 1 - following <= max(every, 1)


@pytest.mark.parametrize(
    ("every", "items", "main", "store"),
    [
        (0, 1_000, "main()", FILE),
        (50, 60_000, "main()", FILE),
        (0, 1_000, "asyncio.run(amain())", FILE),
        (0, 500, "main()", SQLITE),
        (50, 30_000, "main()", SQLITE),
    ],
    ids=["each item", "each interval", "async", "sqlite", "each interval in sqlite"],
)
def test_a_few_kills(tmp_path: Path, every: int, items: int, main: str, store: str) -> None:
    """Nothing is lost, and for each kill the items of one interval repeat at most."""
    scan(tmp_path, 5, every, items, main, store)


@pytest.mark.slow
@pytest.mark.parametrize("store", [FILE, SQLITE], ids=["file", "sqlite"])
def test_two_hundred_kills(tmp_path: Path, store: str) -> None:
    """The same at 200 random points."""
    scan(tmp_path, 200, 100, 3_000_000, "main()", store)
