"""The commands `get`, `cat` and `serve`."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from failover_iter._cli import part_file, serve
from failover_iter.sources import _http_get
from failover_iter.testing import FileAnswer, file_server
from support.commands import (
    COMMAND,
    DATA,
    DIGEST,
    GONE,
    Terminal,
    environment,
    get,
    names,
    run,
    wait_until,
)


def test_get(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two mirrors that break off make one file with the right digest."""
    mirrors = [FileAnswer(cut=100_000), GONE], [FileAnswer(cut=50_000), FileAnswer()]
    with file_server(DATA, *mirrors) as server:
        assert get(*server.urls, "-o", target, "--sha256", DIGEST.upper()) == 0
    assert target.read_bytes() == DATA
    assert names(target) == ["file"]
    error = capsys.readouterr().err
    assert "is given up; continuing with" in error
    assert "404 Not Found" in error


def test_quiet_and_json(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--quiet prints nothing; --json prints one object."""
    with file_server(DATA, [FileAnswer(cut=100_000), FileAnswer()]) as server:
        assert get(*server.urls, "-o", target, "--quiet", "--json") == 0
    out, error = capsys.readouterr()
    outcome = json.loads(out)
    assert error == ""
    assert (outcome["bytes"], outcome["openings"]) == (300_000, 2)
    assert len(outcome["failures"]) == 1


def test_a_second_run_resumes(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What an earlier run has left is kept, if it is of the same version."""
    answers = [FileAnswer(cut=100_000), *[FileAnswer(status=503)] * 3, FileAnswer()]
    with file_server(DATA, answers) as server:
        assert get(*server.urls, "-o", target) == 1
        assert names(target) == ["file.part", "file.part.json"]
        assert get(*server.urls, "-o", target, "--json", "--sha256", DIGEST) == 0
        assert server.requests[-1].range == "bytes=100000-"
    assert json.loads(capsys.readouterr().out)["resumed_from"] == 100_000
    assert target.read_bytes() == DATA


def test_another_version_starts_over(target: Path) -> None:
    """If the file has changed since the earlier run, it is downloaded as a whole."""
    other = FileAnswer(data=DATA[::-1], etag='"v2"')
    answers = [FileAnswer(cut=100_000), *[FileAnswer(status=503)] * 3, other]
    with file_server(DATA, answers) as server:
        assert get(*server.urls, "-o", target) == 1
        assert get(*server.urls, "-o", target) == 0
        assert [each.range for each in server.requests[-2:]] == ["bytes=100000-", None]
    assert target.read_bytes() == DATA[::-1]


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"size": 1}'])
def test_a_part_without_a_description_starts_over(target: Path, text: str | None) -> None:
    """Nobody knows of which file it is a part."""
    target.with_name("file.part").write_bytes(b"garbage")
    if text is not None:
        target.with_name("file.part.json").write_text(text)
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target) == 0
        assert [each.range for each in server.requests] == [None]
    assert target.read_bytes() == DATA


def test_a_complete_part_is_not_requested_again(target: Path) -> None:
    """A run that was killed before it renamed the file left nothing to do."""
    with file_server(DATA, [FileAnswer(cut=100_000), GONE]) as server:
        assert get(*server.urls, "-o", target) == 1
        with target.with_name("file.part").open("ab") as part:
            part.write(DATA[100_000:])
        assert get(*server.urls, "-o", target, "--sha256", DIGEST) == 0
        assert len(server.requests) == 2


def test_a_wrong_digest(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file is not given its name, and nothing is left, so the next run starts over."""
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target, "--sha256", "0" * 64) == 3
    assert DIGEST in capsys.readouterr().err
    assert names(target) == []


def test_a_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit code is 4, also in JSON."""
    assert get("http://127.0.0.1:1/f", "-o", tmp_path / "none" / "file", "--json") == 4
    assert json.loads(capsys.readouterr().out)["code"] == 4


def test_a_kill_at_any_point(target: Path) -> None:
    """Killed twice in the middle of a file, the command goes on where it was."""
    command, env = [*COMMAND, "get", "-q", "-o", str(target)], environment()
    stalls = [FileAnswer(cut=cut, end="stall") for cut in (100_000, 80_000)]
    with file_server(DATA, [*stalls, FileAnswer()]) as server:
        part = target.with_name("file.part")
        for size in (100_000, 180_000):
            with subprocess.Popen([*command, *server.urls], env=env) as process:
                wait_until(lambda size=size: part.exists() and part.stat().st_size == size)
                wait_until(target.with_name("file.part.json").exists)
                process.send_signal(signal.SIGKILL)
        subprocess.run([*command, *server.urls, "--sha256", DIGEST], env=env, check=True)
        assert [each.range for each in server.requests] == [None, "bytes=100000-", "bytes=180000-"]
    assert target.read_bytes() == DATA


def test_two_processes(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """While one process downloads, another one with the same file ends at once."""
    with file_server(DATA, [FileAnswer(cut=100_000, end="stall"), FileAnswer()]) as server:
        command, env = [*COMMAND, "get", "-q", "-o", str(target)], environment()
        part = target.with_name("file.part")
        with subprocess.Popen([*command, *server.urls], env=env) as process:
            wait_until(lambda: part.exists() and part.stat().st_size == 100_000)
            assert get(*server.urls, "-o", target, "--json") == 5
            out, error = capsys.readouterr()
            assert json.loads(out)["code"] == 5
            assert f"another process is downloading to {part}" in error
            assert part.stat().st_size == 100_000
            process.send_signal(signal.SIGKILL)
        assert get(*server.urls, "-o", target, "--sha256", DIGEST) == 0
    assert target.read_bytes() == DATA


def test_a_part_that_is_renamed_while_it_is_locked(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the other process completes the file just then, the file is left alone."""
    lock = part_file._lock
    renamed: list[bytes] = []

    def late_lock(file: Any, path: Path) -> None:
        if not renamed:
            path.write_bytes(b"complete")
            path.rename(target)
            renamed.append(target.read_bytes())
        elif len(renamed) == 1:
            path.unlink()
            renamed.append(b"")
        lock(file, path)

    monkeypatch.setattr(part_file, "_lock", late_lock)
    with part_file.PartFile(target) as part:
        part.write(b"new")
    assert target.read_bytes() == b"complete"
    assert target.with_name("file.part").read_bytes() == b"new"


def test_the_disk_has_the_file_before_its_name(
    target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All bytes are synchronized before the file is renamed, and its folder afterwards."""
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def recorded(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append((is_folder, target.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", recorded)
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target) == 0
    assert synced[-2:] == [(False, False), (True, True)]


@pytest.mark.parametrize(("number", "code"), [(errno.EINVAL, 0), (errno.EIO, 4)])
def test_a_disk_that_fails(
    target: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: int
) -> None:
    """A disk that has not written the file is an error; a file system without fsync is not."""

    def broken(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", broken)
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target) == code
    assert target.exists() is (code == 0)


def test_a_system_without_locks(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where files cannot be locked, the command works as it did."""
    monkeypatch.setattr(part_file, "fcntl", None)
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target, "--sha256", DIGEST) == 0


@pytest.mark.parametrize("tqdm", [True, False])
def test_a_bar_on_a_terminal(target: Path, monkeypatch: pytest.MonkeyPatch, tqdm: bool) -> None:
    """On a terminal there is a bar, with the switch above it; without tqdm there is the text."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    if not tqdm:
        monkeypatch.setitem(sys.modules, "tqdm", None)
    with file_server(DATA, [FileAnswer(cut=100_000), GONE], [FileAnswer()]) as server:
        assert get(*server.urls, "-o", target) == 0
    assert ("293k/293k" in terminal.getvalue()) is tqdm
    assert "continuing with" in terminal.getvalue()


@pytest.mark.parametrize("options", [[], ["--lines"], ["--same-file", "none"]])
def test_cat(capsysbinary: pytest.CaptureFixture[bytes], options: list[str]) -> None:
    """The file is written to stdout, once."""
    with file_server(b"1\n22\n333\n", [FileAnswer(cut=4), FileAnswer()]) as server:
        assert run("cat", "-q", *options, *server.urls) == 0
    assert capsysbinary.readouterr() == (b"1\n22\n333\n", b"")


def test_cat_has_no_bar(
    capsysbinary: pytest.CaptureFixture[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal, nothing but lines about failures is written to stderr."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with file_server(b"1\n22\n", [FileAnswer(status=503), FileAnswer()]) as server:
        assert run("cat", *server.urls) == 0
    assert capsysbinary.readouterr().out == b"1\n22\n"
    (line,) = terminal.getvalue().splitlines()
    assert line.endswith("answered 503 Service Unavailable")


def test_cat_fails(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """With --lines, no part of a line is written."""
    with file_server(b"1\n22\n333\n", [FileAnswer(cut=4), GONE]) as server:
        assert run("cat", "--lines", "--attempts", "1", *server.urls) == 1
    out, error = capsysbinary.readouterr()
    assert out == b"1\n"
    assert b"404 Not Found" in error


@pytest.mark.parametrize("command", [["get", "-o", "f"], ["cat"]])
def test_without_httpx(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "httpx", None)
    assert run(*command, "http://a/b") == 2
    assert "pip install 'failover-iter[cli]'" in capsys.readouterr().err


def test_serve(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The URLs are printed, one for each source, until the command is stopped."""
    seen: list[str] = []

    class Stopped:
        def wait(self) -> None:
            seen.extend(httpx.get(url).text for url in capsys.readouterr().out.split())

    monkeypatch.setattr(serve, "stopped", Stopped())
    assert run("serve", "ab|", "c|", "--tick", "0") == 0
    assert seen == ["a\nb\n", "c\n"]


def test_serve_is_told_nonsense(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong marble is wrong usage."""
    assert run("serve", "a#|b") == 2
    assert capsys.readouterr().err.startswith("failover-iter serve: ")


def test_serve_without_the_kit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "failover_iter.testing", None)
    assert run("serve", "a|") == 2
    assert "pip install 'failover-iter[testing]'" in capsys.readouterr().err


def test_an_interrupt(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Control-C is not a traceback."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(_http_get, "_with_httpx", interrupted)
    assert run("cat", "http://a/b") == 130
    assert capsys.readouterr() == ("", "")
