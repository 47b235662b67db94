"""`failover-iter get`: download a file from mirrors, also across restarts of the command."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from failover_iter import DivergedStream, backoff, failover_stream
from failover_iter._cli.part_file import PartFile, PartIsLocked
from failover_iter._cli.sources import (
    FAILED,
    USAGE,
    Progress,
    complain,
    errors_of_mirrors,
    new_client,
    same_file,
)
from failover_iter.sources._download import resumed_download

if TYPE_CHECKING:
    from argparse import Namespace

#: The file has arrived, and has another digest.
WRONG_DIGEST: Final = 3
#: The file cannot be written.
NOT_WRITTEN: Final = 4
#: Another process is downloading to the same file.
BUSY: Final = 5


def get(arguments: Namespace) -> int:
    """Download the file, print the outcome, and return the exit code."""
    client = new_client(arguments)
    if client is None:
        return USAGE
    started = time.perf_counter()
    progress = Progress(arguments, sys.stderr)
    part = PartFile(Path(arguments.output))
    download = _Download(arguments, client, progress, part)
    error: Exception | None = None
    try:
        with closing(progress), client:
            code = download.run()
    except errors_of_mirrors() as failure:
        code, error = FAILED, failure
    except PartIsLocked as failure:
        code, error = BUSY, failure
    except OSError as failure:
        code, error = NOT_WRITTEN, failure
    if error is not None:
        complain("get", error)
    if arguments.json:
        outcome = {
            "file": arguments.output,
            "bytes": part.size,
            "resumed_from": download.resumed_from,
            "sha256": download.digest,
            "openings": progress.openings,
            "failures": [f"{type(each).__name__}: {each}" for each in progress.failures],
            "seconds": round(time.perf_counter() - started, 3),
            "error": None if error is None else f"{type(error).__name__}: {error}",
            "code": code,
        }
        print(json.dumps(outcome))
    return code


class _Download:
    """One run of the command."""

    def __init__(
        self, arguments: Namespace, client: Any, progress: Progress, part: PartFile
    ) -> None:
        self.resumed_from = 0
        self.digest: str | None = None
        self._arguments = arguments
        self._client = client
        self._progress = progress
        self._part = part

    def run(self) -> int:
        """Download, verify and rename."""
        with self._part:
            self.resumed_from = self._part.size
            try:
                self._receive()
            except Exception:
                if not self._is_another_file():
                    raise
                self._part.start_over()
                self.resumed_from = 0
                self._receive()
            if not self._is_right():
                return WRONG_DIGEST
            self._part.finish()
        return 0

    def _is_another_file(self) -> bool:
        """Whether no mirror goes on with what an earlier run has left."""
        nothing = 0 < self.resumed_from == self._part.size
        return nothing and any(isinstance(e, DivergedStream) for e in self._progress.failures)

    def _receive(self) -> None:
        part, progress = self._part, self._progress
        sources = [
            resumed_download(
                self._client,
                url,
                same_file(self._arguments),
                first=part.size,
                known=part.known,
                on_known=part.remember,
            )
            for url in self._arguments.urls
        ]
        stream = failover_stream(
            sources,
            retry_on=errors_of_mirrors()[1],
            attempts=self._arguments.attempts,
            wait=backoff(0.2),
            on_event=progress,
        )
        with closing(stream):
            for chunk in stream:
                part.write(chunk)
                progress.expect(part.known_size, part.size - len(chunk))
                progress.update(len(chunk))

    def _is_right(self) -> bool:
        if self._arguments.sha256 is None:
            return True
        self.digest = self._part.sha256()
        if self.digest == self._arguments.sha256.lower():
            return True
        complain("get", f"the file has the SHA-256 digest {self.digest}")
        self._part.start_over()
        return False
