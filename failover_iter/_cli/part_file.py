"""`FILE.part`: what has arrived of a file, and of which version it is."""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from typing import TYPE_CHECKING, BinaryIO

from failover_iter.sources._remote_file import KnownFile

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self


class PartFile:
    """The unfinished file, and `FILE.part.json` beside it, which says what it is a part of.

    The bytes are written before the description. Killed at any point, the next run finds either
    both, or a part without a description, with which it does not go on.
    """

    def __init__(self, target: Path) -> None:
        self.size = 0
        self.known: KnownFile | None = None
        self._target = target
        self._path = target.with_name(f"{target.name}.part")
        self._description = target.with_name(f"{target.name}.part.json")

    def __enter__(self) -> Self:
        """Open the part that an earlier run has left, or a new one."""
        self._file: BinaryIO = self._path.open("ab", buffering=0)
        self.size = self._path.stat().st_size
        with suppress(OSError, ValueError, TypeError, LookupError):
            self.known = KnownFile.from_json(json.loads(self._description.read_text("utf-8")))
        if self.known is None or not self.size:
            self.start_over()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the part, and keep it."""
        self._file.close()

    @property
    def known_size(self) -> int | None:
        """The size of the whole file."""
        return None if self.known is None else self.known.size

    def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]
        self.size += len(chunk)

    def remember(self, known: KnownFile) -> None:
        """Describe the file of which a chunk has been written."""
        self.known = known
        self._replace(self._description, json.dumps(known.to_json()))

    def start_over(self) -> None:
        """Forget what has arrived."""
        self._description.unlink(missing_ok=True)
        self._file.truncate(0)
        self.size, self.known = 0, None

    def sha256(self) -> str:
        """The digest of what has arrived."""
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def finish(self) -> None:
        """Rename the complete file. Like curl, it does not wait for the disk."""
        self._path.replace(self._target)
        self._description.unlink(missing_ok=True)

    def _replace(self, path: Path, text: str) -> None:
        new = path.with_name(f"{path.name}.new")
        new.write_text(text, "utf-8")
        new.replace(path)
