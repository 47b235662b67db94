"""`FILE.part`: what has arrived of a file, and of which version it is."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO

from failover_iter.sources._remote_file import KnownFile

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from types import TracebackType
    from typing import Self


#: The module with the locks of files. Windows has none: there, nothing guards the part.
fcntl: Any = import_module("fcntl") if os.name == "posix" else None
#: The errors of file systems that do not know these calls.
UNSUPPORTED = {errno.EINVAL, errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP}


class PartIsLocked(Exception):
    """Another process writes the same part."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"another process is downloading to {path}")


class PartFile:
    """The unfinished file, and `FILE.part.json` beside it, which says what it is a part of.

    The bytes are written before the description. Killed at any point, the next run finds either
    both, or a part without a description, with which it does not go on.

    One process at a time has the part: it holds a lock, which the system releases when the process
    ends in whatever way.
    """

    def __init__(self, target: Path) -> None:
        self.size = 0
        self.known: KnownFile | None = None
        self._target = target
        self._path = target.with_name(f"{target.name}.part")
        self._description = target.with_name(f"{target.name}.part.json")

    def __enter__(self) -> Self:
        """Open the part that an earlier run has left, or a new one.

        Raises:
            PartIsLocked: another process has it.
        """
        self._file = self._locked()
        self.size = os.fstat(self._file.fileno()).st_size
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
        """Wait until the disk has the complete file, and rename it."""
        _sync(self._file.fileno())
        self._path.replace(self._target)
        _sync_folder(self._target.parent)
        self._description.unlink(missing_ok=True)

    def _locked(self) -> BinaryIO:
        """The part, opened and locked."""
        while True:
            file: BinaryIO = self._path.open("ab", buffering=0)
            try:
                _lock(file, self._path)
                if self._is_part(file):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()  # meanwhile the other process has renamed it: it is complete

    def _is_part(self, file: BinaryIO) -> bool:
        """Whether the opened file still has the name of the part."""
        try:
            return os.path.samestat(os.fstat(file.fileno()), self._path.stat())
        except FileNotFoundError:
            return False

    def _replace(self, path: Path, text: str) -> None:
        new = path.with_name(f"{path.name}.new")
        with new.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            _sync(file.fileno())
        new.replace(path)


def _lock(file: BinaryIO, path: Path) -> None:
    if fcntl is None:
        return
    try:
        with _if_supported():
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise PartIsLocked(path) from error


def _sync(descriptor: int) -> None:
    """Wait until the disk has what was written."""
    with _if_supported():
        os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    """Wait until the disk has the new name too."""
    if fcntl is None:  # Windows opens no folders either
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _if_supported() -> Generator[None]:
    """Go on without what the file system does not have. Any other error is raised."""
    try:
        yield
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
