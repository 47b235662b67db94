"""Killed before, in or after any write, `failover-iter get` never makes a wrong file."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import pytest

from failover_iter._cli import part_file
from failover_iter.testing import FileAnswer, file_server
from support.commands import DATA, GONE, get, names

SMALL, OTHER = DATA[:140_000], DATA[140_000:]
NEW = FileAnswer(data=OTHER, etag='"v2"')


class Killed(BaseException):
    """The process is gone: nothing that it would still do happens."""


class Disk:
    """A disk whose process is killed at one of its steps, or which is full from that step on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, last: int, *, full: bool) -> None:
        self.steps = 0
        self.opened: list[Any] = []
        self._last = last
        self._full = full
        open_file = Path.open

        def opened(path: Path, *arguments: Any, **options: Any) -> Any:
            file = File(self, open_file(path, *arguments, **options))
            self.opened.append(file)
            return file

        monkeypatch.setattr(Path, "open", opened)
        monkeypatch.setattr(Path, "unlink", self.dying(Path.unlink))
        monkeypatch.setattr(Path, "replace", self.dying(Path.replace))
        monkeypatch.setattr(part_file.os, "fsync", self.dying(os.fsync))

    @property
    def is_over(self) -> bool:
        """Whether the last step is done."""
        return self.steps > self._last

    def step(self) -> None:
        """Count a step, or end the process, or say that the disk is full."""
        self.steps += 1
        if self.is_over:
            raise OSError(errno.ENOSPC, "full") if self._full else Killed

    def dying(self, function: Any) -> Any:
        """The function, as a step."""

        def stepped(*arguments: Any, **options: Any) -> Any:
            if not self._full:  # a full disk can still remove and rename
                self.step()
            return function(*arguments, **options)

        return stepped

    def close(self) -> None:
        """Close what the killed process had open, as the system does."""
        for each in self.opened:
            each.close()


class File:
    """A file on this disk. When the process is killed, half of what it wrote is there."""

    def __init__(self, disk: Disk, file: Any) -> None:
        self._disk = disk
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, data: Any) -> int:
        """Write it, or half of it."""
        try:
            self._disk.step()
        except BaseException:
            self._file.write(data[: len(data) // 2])
            raise
        return int(self._file.write(data))

    def truncate(self, size: int) -> None:
        """Truncate it."""
        self._disk.step()
        self._file.truncate(size)


def the_runs(target: Path) -> Iterator[int]:
    """A run that is cut off, one that is cut off in a new version, and one that succeeds."""
    first, second = FileAnswer(cut=70_000), replace(NEW, cut=80_000)
    with file_server(SMALL, [first, GONE, NEW, second, GONE, NEW]) as server:
        for _ in range(3):
            yield get(*server.urls, "-o", target, "-q")


def play(target: Path, monkeypatch: pytest.MonkeyPatch, last: int, *, full: bool) -> bool:
    """Whether the runs came through to the end."""
    with monkeypatch.context() as patched:
        disk = Disk(patched, last, full=full)
        try:
            with suppress(Killed):
                codes = list(the_runs(target))
                assert codes == [1, 1, 0] or (full and disk.is_over)
        finally:
            disk.close()
    return not disk.is_over


@pytest.mark.parametrize("full", [False, True])
def test_each_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool) -> None:
    """After a kill at any step, or on a disk that is full from then on, the next run succeeds.

    It makes the file that the server then has, the old version or the new one. If the new one had
    arrived as a whole, no server is asked.
    """
    for last in range(100):
        folder = tmp_path / str(last)
        folder.mkdir()
        target = folder / "file"
        ended = play(target, monkeypatch, last, full=full)
        if target.exists():
            assert target.read_bytes() == OTHER
        for data, answer in ((SMALL, FileAnswer()), (OTHER, NEW)):
            copy = shutil.copytree(folder, folder / "copy") / "file"
            with file_server(data, [answer]) as server:
                assert get(*server.urls, "-o", copy, "-q") == 0
            assert copy.read_bytes() in {data, OTHER}
            assert names(copy) == ["file"]
            shutil.rmtree(folder / "copy")
        if ended:
            return
    raise AssertionError("it did not end")
