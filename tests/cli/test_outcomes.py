"""What `failover-iter get` leaves behind, and says, in each outcome."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from failover_iter._cli import part_file
from failover_iter.sources import _http_get
from failover_iter.testing import FileAnswer, file_server
from support.commands import (
    COMMAND,
    DATA,
    DIGEST,
    GONE,
    environment,
    get,
    names,
    wait_until,
)

OTHER = DATA[::-1]
BUSY = FileAnswer(status=503)
NEW = FileAnswer(data=OTHER, etag='"v2"')


def outcome(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line that --json has printed."""
    (line,) = capsys.readouterr().out.splitlines()
    found: dict[str, Any] = json.loads(line)
    assert None not in found.values()
    return found


def leave_a_part(target: Path, size: int = 100_000) -> None:
    """An earlier run has received so many bytes of the first version."""
    with file_server(DATA, [FileAnswer(cut=size), GONE]) as server:
        assert get(*server.urls, "-o", target, "-q") == 1
    assert target.with_name("file.part").read_bytes() == DATA[:size]


def test_nothing_arrived(target: Path) -> None:
    """No empty part is left after a failure."""
    with file_server(DATA, [GONE]) as server:
        assert get(*server.urls, "-o", target) == 1
    assert names(target) == []


@pytest.mark.parametrize("answer", [BUSY, FileAnswer(data=OTHER, etag='"v2"', cut=0)])
def test_a_changed_mirror_that_breaks(target: Path, answer: FileAnswer) -> None:
    """What an earlier run has left is kept until the first byte of the new version has arrived."""
    leave_a_part(target)
    with file_server(DATA, [NEW, answer]) as server:
        assert get(*server.urls, "-o", target) == 1
    assert names(target) == ["file.part", "file.part.json"]
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target, "--sha256", DIGEST) == 0
        assert [each.range for each in server.requests] == ["bytes=100000-"]
    assert target.read_bytes() == DATA


def test_a_new_version_that_breaks_is_resumed(target: Path) -> None:
    """Once a byte of the new version has arrived, that version is the one to go on with."""
    leave_a_part(target)
    cut = FileAnswer(data=OTHER, etag='"v2"', cut=50_000)
    with file_server(DATA, [NEW, cut, BUSY, BUSY, BUSY, NEW]) as server:
        assert get(*server.urls, "-o", target) == 1
        assert target.with_name("file.part").read_bytes() == OTHER[:50_000]
        assert get(*server.urls, "-o", target) == 0
        assert server.requests[-1].range == "bytes=50000-"
    assert target.read_bytes() == OTHER


def test_a_new_version_without_bytes(target: Path) -> None:
    """A file that has become empty is empty."""
    leave_a_part(target)
    with file_server(DATA, [FileAnswer(data=b"", etag='"v2"')]) as server:
        assert get(*server.urls, "-o", target) == 0
    assert (target.read_bytes(), names(target)) == (b"", ["file"])


@pytest.mark.parametrize("fcntl", [part_file.fcntl, None])
def test_no_leftovers(target: Path, fcntl: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What killed runs have left beside the part goes with it; also where files have no locks."""
    monkeypatch.setattr(part_file, "fcntl", fcntl)
    leave_a_part(target)
    target.with_name("file.part.json.new").write_text("{")
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target) == 0
    assert names(target) == ["file"]
    with file_server(b"") as server:
        assert get(*server.urls, "-o", target) == 0
    assert (target.read_bytes(), names(target)) == (b"", ["file"])
    with file_server(DATA, [GONE]) as server:
        assert get(*server.urls, "-o", target) == 1
    assert names(target) == ["file"]


def test_a_description_that_cannot_be_written(
    target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mirror has not failed, and the file arrives."""

    def full(_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(part_file.json, "dumps", full)
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("if this run is killed, the next one starts over")
    assert names(target) == ["file"]


@pytest.mark.parametrize("text", ['{"size": 1, "version": [], "versions": []}', "[" * 100_000])
def test_a_description_that_makes_no_sense(target: Path, text: str) -> None:
    """The download starts over."""
    target.with_name("file.part").write_bytes(b"garbage")
    target.with_name("file.part.json").write_text(text)
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target, "--sha256", DIGEST) == 0


def test_json_of_a_success(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The digest is in it, and no error."""
    leave_a_part(target)
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target, "--json") == 0
    found = outcome(capsys)
    assert found.pop("seconds") >= 0
    assert found == {
        "file": str(target),
        "bytes": 300_000,
        "resumed_from": 100_000,
        "sha256": DIGEST,
        "openings": 1,
        "failures": [],
        "code": 0,
    }


def test_json_of_a_failure(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error is in it, and no digest."""
    with file_server(DATA, [FileAnswer(cut=100_000), GONE]) as server:
        assert get(*server.urls, "-o", target, "--json", "-q") == 1
    found = outcome(capsys)
    assert (found["bytes"], found["code"], len(found["failures"])) == (100_000, 1, 2)
    assert all(each.startswith("127.0.0.1:") for each in found["failures"])
    assert found["error"].startswith("BadResponse: ")
    assert "sha256" not in found


def test_json_of_a_wrong_digest(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Both are in it, and nothing is left."""
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", target, "--json", "-q", "--sha256", "0" * 64) == 3
    found = outcome(capsys)
    assert found["sha256"] == DIGEST
    assert found["error"] == f"WrongDigest: the file has the SHA-256 digest {DIGEST}"
    assert names(target) == []


def test_a_failure_says_what_is_left(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message says where the part is, and how to continue."""
    with file_server(DATA, [FileAnswer(cut=100_000), GONE]) as server:
        assert get(*server.urls, "-o", target, "-q") == 1
    (line,) = capsys.readouterr().err.splitlines()
    part = target.with_name("file.part")
    assert line.endswith(
        f"answered 404 Not Found; {part} has 100,000 of 300,000 bytes: run the command again "
        "to continue"
    )


def test_a_part_of_unknown_size(target: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the size of the whole file is not known, the message does not name it."""
    with file_server(DATA, [FileAnswer(framing="chunked", cut=100_000), GONE]) as server:
        assert get(*server.urls, "-o", target, "-q") == 1
    assert "file.part has 100,000 bytes: run the" in capsys.readouterr().err


def test_an_interrupt(target: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Control-C prints one line, also with --quiet, and one JSON object."""
    stall = FileAnswer(cut=100_000, end="stall")
    with file_server(DATA, [stall, FileAnswer()]) as server:
        command = [*COMMAND, "get", "-q", "--json", "-o", str(target), *server.urls]
        # A shell starts what runs in the background with SIGINT ignored.
        heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        with subprocess.Popen(command, env=environment(), preexec_fn=heed) as process:  # noqa: PLW1509
            wait_until(target.with_name("file.part.json").exists)
            wait_until(lambda: target.with_name("file.part").stat().st_size == 100_000)
            process.send_signal(signal.SIGINT)
        assert process.returncode == 130
        out, error = capfd.readouterr()
        assert error == (
            f"failover-iter get: interrupted; {target}.part has 100,000 of 300,000 bytes: run "
            "the command again to continue\n"
        )
        found = json.loads(out)
        assert (found["code"], found["bytes"], found["error"]) == (
            130,
            100_000,
            "KeyboardInterrupt",
        )
        assert get(*server.urls, "-o", target, "--sha256", DIGEST) == 0
        assert [each.range for each in server.requests] == [None, "bytes=100000-"]


def test_an_interrupt_at_once(
    target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the first byte, nothing is left."""

    def interrupted(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(_http_get, "_with_httpx", interrupted)
    assert get("http://a/b", "-o", target) == 130
    assert capsys.readouterr() == ("", "failover-iter get: interrupted\n")
    assert names(target) == []


@pytest.mark.parametrize("query", [False, True])
def test_mirrors_of_one_host_have_different_names(
    target: Path, capsys: pytest.CaptureFixture[str], query: bool
) -> None:
    """Messages say which mirror they are about, also if only the query tells them apart."""
    with file_server(DATA, [GONE], [FileAnswer()]) as server:
        first, second = server.urls
        if query:
            first, second = f"{first}?mirror=1", f"{first}?mirror=2"
        get(first, second, "-o", target)
    switch = next(line for line in capsys.readouterr().err.splitlines() if "given up" in line)
    names_shown = switch.removeprefix("failover-iter get: ").split(" is given up; continuing with ")
    assert len(set(names_shown)) == 2
    assert "mirror=" not in switch


@pytest.mark.parametrize(
    "nonsense",
    [
        FileAnswer(status=301, headers={"Location": "http://a..b/"}),
        FileAnswer(status=301, headers={"Location": "ftp://a/b"}),
        FileAnswer(status=301, headers={"Location": "http://[::1/"}),
        FileAnswer(headers={"Content-Range": f"bytes {'9' * 5000}-1/2"}),
        FileAnswer(headers={"Content-Length": "9" * 5000}),
        FileAnswer(headers={"Content-Length": "x"}),
        FileAnswer(headers={"Transfer-Encoding": "gzip"}),
        FileAnswer(headers={"Content-Encoding": "gzip"}),
        FileAnswer(ranges="as 200", cut=100_000),
        FileAnswer(ranges="refused", cut=100_000),
        FileAnswer(ranges="shifted", cut=100_000),
        FileAnswer(framing="close"),
    ],
)
@pytest.mark.parametrize("has_part", [False, True])
def test_a_mirror_that_talks_nonsense(target: Path, nonsense: FileAnswer, has_part: bool) -> None:
    """The next mirror is asked, with or without a part, and the right file arrives."""
    if has_part:
        leave_a_part(target)
    with file_server(DATA, [nonsense], [FileAnswer()]) as server:
        assert get(*server.urls, "-o", target, "--sha256", DIGEST) == 0
    assert names(target) == ["file"]


def test_a_folder_that_cannot_be_opened(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder in which one may write but not look is synchronized by nobody, and no error."""

    def refused(*_: Any, **__: Any) -> Any:
        raise PermissionError

    with file_server(DATA) as server:
        monkeypatch.setattr(os, "open", refused)
        code = get(*server.urls, "-o", target)
        monkeypatch.undo()
    assert (code, names(target)) == (0, ["file"])
