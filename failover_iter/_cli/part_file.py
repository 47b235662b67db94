"""`FILE.part`: what has arrived of a file, and of which version it is."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from failover_iter.sources._remote_file import KnownFile

if TYPE_CHECKING:
    from collections.abc import Generator
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
        if target.is_symlink():  # do not replace it, but what it refers to
            target = Path(os.path.realpath(target))
        self.size = 0
        self.known: KnownFile | None = None
        self.path = Path(f"{target}.part")
        self._target = target
        self._description = Path(f"{target}.part.json")
        self._new_description = Path(f"{target}.part.json.new")

    def __enter__(self) -> Self:
        """Open the part that an earlier run has left, or a new one.

        Raises:
            PartIsLocked: another process has it.
            OSError: it cannot be written, or what it would be renamed to is not a file.
        """
        _check_target(self._target)
        self._file = self._locked()
        self.size = os.fstat(self._file.fileno()).st_size
        with suppress(Exception):  # whatever may be wrong with it
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
        """Close the part, and keep it unless it is empty."""
        if not self._file.closed and not self.size and self._is_part(self._file):
            self._close_before_rename()
            self.path.unlink()
            self._forget()
        self._file.close()

    @property
    def known_size(self) -> int | None:
        """The size of the whole file."""
        return None if self.known is None else self.known.size

    def write(self, chunk: bytes) -> None:
        """Append a chunk."""
        view = memoryview(chunk)
        while view:
            written = self._file.write(view)
            view = view[written:]
            self.size += written

    def remember(self, known: KnownFile) -> None:
        """Describe the file of which a chunk has been written."""
        self.known = known
        with self._new_description.open("w", encoding="utf-8") as file:
            file.write(json.dumps(known.to_json()))
            file.flush()
            _sync(file.fileno())
        self._new_description.replace(self._description)

    def start_over(self) -> None:
        """Forget what has arrived."""
        self._forget()
        self._file.truncate(0)
        self.size, self.known = 0, None

    def sha256(self) -> str:
        """The digest of what has arrived."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def finish(self) -> None:
        """Wait until the disk has the complete file, and rename it."""
        _sync(self._file.fileno())
        self._close_before_rename()
        self.path.replace(self._target)
        self._forget()
        _sync_folder(self._target.parent)

    def _forget(self) -> None:
        """Remove the description, and what a killed run may have left of a new one."""
        self._description.unlink(missing_ok=True)
        self._new_description.unlink(missing_ok=True)

    def _close_before_rename(self) -> None:
        """Close the part where an open file can be neither renamed nor removed: on Windows."""
        if fcntl is None:
            self._file.close()

    def _locked(self) -> BinaryIO:
        """The part, opened and locked."""
        while True:
            file: BinaryIO = self.path.open("ab", buffering=0)
            try:
                _lock(file, self.path)
                if self._is_part(file):
                    return file
            except BaseException:
                file.close()
                raise
            file.close()  # meanwhile the other process has renamed it: it is complete

    def _is_part(self, file: BinaryIO) -> bool:
        """Whether the opened file still has the name of the part."""
        try:
            return os.path.samestat(os.fstat(file.fileno()), self.path.stat())
        except FileNotFoundError:
            return False


def _check_target(target: Path) -> None:
    """Raise an OSError if there is something that a file must not replace, such as a device."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(target))


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
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # one may write there, but not look
        return
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
