"""The command `failover-iter`, run here or in a process, and a file for it to download."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import failover_iter
from failover_iter import __main__
from failover_iter.testing import FileAnswer

HOME = Path(failover_iter.__file__).parents[1]
DATA = bytes(n * 7 % 251 for n in range(300_000))
DIGEST = hashlib.sha256(DATA).hexdigest()
GONE = FileAnswer(status=404)

#: The command, for a new process.
COMMAND = (sys.executable, "-m", "failover_iter")


class Terminal(StringIO):
    """A file object that claims to be a terminal."""

    def isatty(self) -> bool:
        return True


def run(*arguments: object) -> int:
    """Run the command in this process, and return its exit code."""
    try:
        return __main__.main([*map(str, arguments)])
    except SystemExit as stopped:  # by argparse
        return int(str(stopped.code))


def get(*arguments: object) -> int:
    """Run `failover-iter get`."""
    return run("get", "--attempts", "3", "--timeout", "30", *arguments)


def environment() -> dict[str, str]:
    """The environment of a new process that finds this checkout."""
    return os.environ | {"PYTHONPATH": str(HOME)}


def shell(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as this line of a shell says, in which `"$@"` is the command."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *COMMAND, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def names(target: Path) -> list[str]:
    """The names of the files in the folder of the target."""
    return sorted(path.name for path in target.parent.iterdir())


def wait_until(condition: Callable[[], bool]) -> None:
    """Look until it is true; at most ten seconds."""
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")
