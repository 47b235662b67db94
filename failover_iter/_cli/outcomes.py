"""How a command ends: its exit code, and what it says on stderr."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Final

FAILED: Final = 1
USAGE: Final = 2
WRONG_DIGEST: Final = 3
NOT_WRITTEN: Final = 4
LOCKED: Final = 5
INTERRUPTED: Final = 130
CLOSED_PIPE: Final = 141

#: The meanings of the codes, for --help and the documentation.
MEANINGS: Final = {
    0: "success",
    FAILED: "no mirror delivered the whole file; serve: the port cannot be opened; demo: an "
    "unexpected outcome",
    USAGE: "wrong usage, or a package is missing",
    WRONG_DIGEST: "the file has another SHA-256 digest; the next run starts over",
    NOT_WRITTEN: "the file or the output cannot be written",
    LOCKED: "another process is downloading to the same file",
    INTERRUPTED: "interrupted",
    CLOSED_PIPE: "the reader of the output has gone away (head)",
}


def complain(command: str, text: object) -> None:
    """Print an error, unless stderr cannot be written."""
    with suppress(OSError):
        print(f"failover-iter {command}: {text}", file=sys.stderr)
