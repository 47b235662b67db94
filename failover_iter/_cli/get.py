"""`failover-iter get`: download a file from mirrors, also across restarts of the command."""

from __future__ import annotations

import json
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from failover_iter import DivergedStream, backoff, failover_stream
from failover_iter._cli.outcomes import (
    FAILED,
    INTERRUPTED,
    LOCKED,
    NOT_WRITTEN,
    USAGE,
    WRONG_DIGEST,
    complain,
)
from failover_iter._cli.part_file import PartFile, PartIsLocked
from failover_iter._cli.sources import (
    Progress,
    described,
    errors_of_clients,
    errors_of_mirrors,
    new_client,
    same_file,
)
from failover_iter.sources._download import resumed_downloads

if TYPE_CHECKING:
    from argparse import Namespace

    from failover_iter.sources._remote_file import KnownFile


class WrongDigest(Exception):
    """The file has arrived, and is not the one that was asked for."""

    def __init__(self, digest: str) -> None:
        super().__init__(f"the file has the SHA-256 digest {digest}")


#: The exit codes for errors that are not those of the mirrors.
_CODES: Final[dict[type[BaseException], int]] = {
    WrongDigest: WRONG_DIGEST,
    PartIsLocked: LOCKED,
    OSError: NOT_WRITTEN,
    KeyboardInterrupt: INTERRUPTED,
}


def get(arguments: Namespace) -> int:
    """Download the file, print the outcome, and return the exit code."""
    client = new_client(arguments)
    if client is None:
        return USAGE
    download = _Download(arguments, client)
    try:
        download.run()
    except errors_of_mirrors() as error:
        return download.ended(FAILED, error)
    except tuple(_CODES) as error:
        code = next(code for kind, code in _CODES.items() if isinstance(error, kind))
        return download.ended(code, error)
    return download.ended(0)


class _Download:
    """One run of the command."""

    def __init__(self, arguments: Namespace, client: Any) -> None:
        self._arguments = arguments
        self._client = client
        self._progress = Progress(arguments, sys.stderr)
        self._part = PartFile(Path(arguments.output))
        self._known: KnownFile | None = None
        self._is_afresh = False
        self._resumed_from = 0
        self._digest: str | None = None
        self._started = time.perf_counter()

    def run(self) -> None:
        """Download, verify and rename.

        Raises:
            WrongDigest: the file is not the one that was asked for.
            PartIsLocked: another process downloads to the same file.
            OSError: the file cannot be written.
        """
        with closing(self._progress), self._client, self._part as part:
            self._resumed_from = part.size
            try:
                self._receive(part.size, part.known)
            except Exception:
                if not self._is_another_file():
                    raise
                self._is_afresh = True
                self._receive(0, None)
            self._check_digest()
            part.finish()

    def ended(self, code: int, error: BaseException | None = None) -> int:
        """Say how it ended, and return the exit code."""
        if error is not None:
            text = "interrupted" if isinstance(error, KeyboardInterrupt) else error
            complain("get", f"{text}{self._what_is_left()}")
        if self._arguments.json:
            outcome = {
                "file": self._arguments.output,
                "bytes": self._part.size,
                "resumed_from": self._resumed_from,
                "sha256": self._digest,
                "openings": self._progress.openings,
                "failures": [described(each) for each in self._progress.failures],
                "seconds": round(time.perf_counter() - self._started, 3),
                "error": error and f"{type(error).__name__}: {error}".removesuffix(": "),
                "code": code,
            }
            print(json.dumps({key: each for key, each in outcome.items() if each is not None}))
        return code

    def _what_is_left(self) -> str:
        part = self._part
        if not (part.size and part.path.exists()):
            return ""
        whole = "" if part.known_size is None else f" of {part.known_size:,}"
        return f"; {part.path} has {part.size:,}{whole} bytes: run the command again to continue"

    def _is_another_file(self) -> bool:
        """Whether no mirror goes on with what an earlier run has left."""
        nothing = 0 < self._resumed_from == self._part.size
        return nothing and any(
            isinstance(each.error, DivergedStream) for each in self._progress.failures
        )

    def _receive(self, first: int, known: KnownFile | None) -> None:
        """Write the file from this byte on."""
        sources = resumed_downloads(
            self._client,
            self._arguments.urls,
            same_file(self._arguments),
            first=first,
            known=known,
            on_known=self._learn,
        )
        stream = failover_stream(
            sources,
            retry_on=errors_of_clients(),
            attempts=self._arguments.attempts,
            wait=backoff(0.2),
            on_event=self._progress,
        )
        try:
            with closing(stream):
                for chunk in stream:
                    self._append(chunk)
            self._replace_old_part()  # by an empty file
        finally:
            self._describe()

    def _append(self, chunk: bytes) -> None:
        self._replace_old_part()
        self._part.write(chunk)
        self._describe()
        self._progress.expect(self._part.known_size, self._part.size - len(chunk))
        self._progress.update(len(chunk))

    def _replace_old_part(self) -> None:
        """Now that there is something to replace it with, discard a part of another version."""
        if self._is_afresh:
            self._is_afresh = False
            self._part.start_over()
            self._resumed_from = 0

    def _learn(self, known: KnownFile) -> None:
        self._known = known

    def _describe(self) -> None:
        """Write down of which file the part is, unless it is still the old part."""
        if self._known is None or self._known is self._part.known or self._is_afresh:
            return
        try:
            self._part.remember(self._known)
        except OSError as error:
            self._progress.say(f"{error}: if this run is killed, the next one starts over")

    def _check_digest(self) -> None:
        wanted = self._arguments.sha256
        if wanted is None and not self._arguments.json:
            return
        self._digest = self._part.sha256()
        if wanted not in {None, self._digest}:
            self._part.start_over()
            raise WrongDigest(self._digest)
