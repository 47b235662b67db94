"""Exit codes and messages of the commands: no mistake of a user ends in a traceback."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from failover_iter._cli import part_file
from failover_iter._cli.outcomes import MEANINGS
from failover_iter.sources import _http_get
from failover_iter.testing import FileAnswer, file_server
from support.commands import DATA, DIGEST, GONE, get, names, run, shell

URL = "http://127.0.0.1:1/file"

GET = ("get", "-o", "file")
WRONG_USAGE = [
    (("get", URL, "-o", ""), "-o/--output: must be the name of a file, got ''"),
    (("get", URL, "-o", "new/"), "must be the name of a file, got 'new/'"),
    (("get", URL, "-o", "/"), "must be the name of a file, got '/'"),
    (("get", URL, "-o", "-"), "to write to stdout, use failover-iter cat"),
    ((*GET, "--timeout", "x", URL), "--timeout: must be seconds, more than 0, got 'x'"),
    ((*GET, "--timeout", "0", URL), "must be seconds, more than 0, got '0'"),
    ((*GET, "--timeout", "-1", URL), "must be seconds, more than 0, got '-1'"),
    ((*GET, "--timeout", "nan", URL), "must be seconds, more than 0, got 'nan'"),
    ((*GET, "--timeout", "inf", URL), "must be seconds, more than 0, got 'inf'"),
    ((*GET, "--timeout", "1e12", URL), "must be seconds, more than 0, got '1e12'"),
    ((*GET, "--attempts", "0", URL), "--attempts: must be a whole number, at least 1, got '0'"),
    ((*GET, "--attempts", "x", URL), "must be a whole number, at least 1, got 'x'"),
    ((*GET, "--sha256", "xyz", URL), "--sha256: must be 64 hexadecimal digits, got 'xyz'"),
    ((*GET, "--sha256", "0" * 63, URL), "must be 64 hexadecimal digits"),
    ((*GET, "--same-file", "x", URL), "--same-file: invalid choice: 'x'"),
    (GET, "the following arguments are required: URL"),
    (("get", URL), "the following arguments are required: -o/--output"),
    ((*GET, "example/f"), "URL 1 must begin with http:// or https://"),
    ((*GET, URL, "ftp://a/f"), "URL 2 must begin with http:// or https://"),
    (("cat", ""), "URL 1 must begin with http:// or https://"),
    (("cat", "http:///f"), "URL 1 has no host"),
    (("cat", "http://a:99999/f"), "URL 1: the port must be 1 to 65535, got 99999"),
    (("cat", "http://a:0/f"), "URL 1: the port must be 1 to 65535, got 0"),
    (("cat", "http://a:x/f"), "URL 1: Invalid port: 'x'"),
    (("cat", "http://[::1/f"), "URL 1: "),
    (("cat", "http://a\n/f"), "URL 1: "),
    (("serve", "a|", "--port", "70000"), "--port: must be a port, 0 to 65535, got '70000'"),
    (("serve", "a|", "--port", "-1"), "must be a port, 0 to 65535, got '-1'"),
    (("serve", "a|", "--port", "http"), "must be a port, 0 to 65535, got 'http'"),
    (("serve", "a|", "--tick", "-1"), "--tick: must be seconds, at least 0, got '-1'"),
    (("serve", "a|", "--tick", "nan"), "must be seconds, at least 0, got 'nan'"),
    (("serve", "no/such/folder"), "marbles must be items"),
    (("demo", "--mode", "x"), "--mode: invalid choice: 'x'"),
    (("nonsense",), "invalid choice: 'nonsense'"),
    ((), "no command given"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("argv", "message"), WRONG_USAGE)
def test_wrong_usage(
    argv: tuple[str, ...], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is requested or written, one sentence says what is wrong."""
    assert run(*argv) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert message in error.splitlines()[-1]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("HTTP_PROXY", "x://a"), ("SSL_CERT_FILE", "none"), ("ALL_PROXY", "socks5://a")],
)
def test_a_client_that_cannot_be_made(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A proxy or a file of certificates that the environment names wrongly is one line."""
    if name == "ALL_PROXY":
        monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(name, value)
    assert run("cat", URL) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (".", "Is a directory: '.'"),
        ("..", "Is a directory: '..'"),
        ("none/file", "No such file or directory: 'none/file.part'"),
        ("plain/file", "Not a directory: 'plain/file.part'"),
        (os.devnull, f"not a regular file: '{os.devnull}'"),
        ("link", "No such file or directory"),
    ],
)
def test_an_output_that_cannot_be_written(
    output: str, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code is 4, no mirror is asked, and nothing is left."""
    (folder / "plain").touch()
    (folder / "link").symlink_to("none/file")
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", output, "--json") == 4
        assert server.requests == []
    out, error = capsys.readouterr()
    assert message in error
    assert len(error.splitlines()) == 1
    assert json.loads(out)["code"] == 4
    assert sorted(path.name for path in folder.iterdir()) == ["link", "plain"]


def test_a_folder_that_cannot_be_written(
    target: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder without permissions is one line too."""
    opened = Path.open

    def refused(path: Path, *args: Any, **options: Any) -> Any:
        if path.suffix == ".part":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "file.part")
        return opened(path, *args, **options)

    monkeypatch.setattr(Path, "open", refused)
    assert get(URL, "-o", target) == 4
    assert (
        capsys.readouterr().err == "failover-iter get: [Errno 13] Permission denied: 'file.part'\n"
    )


def test_a_link_is_followed(folder: Path) -> None:
    """The file that a link names is replaced, and the link remains."""
    (folder / "files").mkdir()
    (folder / "link").symlink_to("files/file")
    with file_server(DATA) as server:
        assert get(*server.urls, "-o", "link") == 0
    assert (folder / "link").is_symlink()
    assert (folder / "files" / "file").read_bytes() == DATA


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no full disk to test")
def test_a_full_disk_under_stdout() -> None:
    """What cannot be written to stdout is exit code 4 and one line, also at the last flush."""
    with file_server(DATA) as server:
        cat = shell('"$@" > /dev/full', "cat", "-q", *server.urls)
        buffered = shell('PYTHONUNBUFFERED= "$@" > /dev/full', "demo", "--mode", "raise")
    for done, command in ((cat, "cat"), (buffered, "demo")):
        assert done.stderr == f"failover-iter {command}: [Errno 28] No space left on device\n"
        assert done.returncode == 4


def test_closed_streams(target: Path) -> None:
    """A closed stdout is exit code 4 where something is to be written. Stderr may be closed."""
    with file_server(DATA, [FileAnswer(cut=1000), FileAnswer()]) as server:
        closed = shell('"$@" >&-', "cat", "-q", *server.urls)
        silent = shell('"$@" >&- 2>&-', "get", *server.urls, "-o", target, "--sha256", DIGEST)
    assert (closed.returncode, closed.stderr) == (4, "failover-iter cat: stdout is closed\n")
    assert (silent.returncode, target.read_bytes()) == (0, DATA)


def test_closed_streams_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same in this process."""
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    with file_server(DATA) as server:
        assert run("cat", *server.urls) == 4
    sys.stdout.close()
    sys.stderr.close()


def test_messages_that_cannot_be_written(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk under stderr changes nothing of the download."""

    class Full(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(sys, "stderr", Full())
    with file_server(DATA, [GONE, FileAnswer()], [FileAnswer()]) as server:
        assert get(*server.urls, "-o", target) == 0


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    """`serve` says which port it cannot have."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run("serve", "a|", "--port", port) == 1
    assert capsys.readouterr() == (
        "",
        f"failover-iter serve: port {port}: {os.strerror(errno.EADDRINUSE)}\n",
    )


def broken_pipe(target: Path, urls: list[str]) -> int:
    """The exit code, which a pipe hides, is printed on stderr."""
    done = shell('{ "$@"; echo $? >&2; } | head -c 1', "cat", "-q", urls[0])
    return int(done.stderr)


def locked(target: Path, urls: list[str]) -> int:
    """Another one has the part."""
    with part_file.PartFile(target):
        return get(urls[0], "-o", target)


def interrupted(target: Path, urls: list[str]) -> int:
    """Control-C comes with the first request."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(_http_get, "_with_httpx", _interrupted)
        return get(urls[0], "-o", target)


def _interrupted(*_: Any) -> Any:
    raise KeyboardInterrupt


ENDS: dict[int, Callable[[Path, list[str]], int]] = {
    0: lambda target, urls: get(urls[0], "-o", target, "--sha256", DIGEST),
    1: lambda target, urls: get(urls[1], "-o", target),
    2: lambda target, urls: get("-o", target),
    3: lambda target, urls: get(urls[0], "-o", target, "--sha256", "0" * 64),
    4: lambda target, urls: get(urls[0], "-o", target / "file"),
    5: locked,
    130: interrupted,
    141: broken_pipe,
}


@pytest.mark.parametrize("code", MEANINGS)
def test_each_code_is_seen(code: int, target: Path) -> None:
    """Each documented code is that of an end of the command."""
    with file_server(DATA, [FileAnswer()], [GONE]) as server:
        assert ENDS[code](target, server.urls) == code
    assert names(target) == (["file"] if code == 0 else [])


def test_the_documentation_lists_each_code(capsys: pytest.CaptureFixture[str]) -> None:
    """The page, --help and the commands have the same codes, with the same meanings."""
    page = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", page, re.MULTILINE))
    assert {int(code): text.replace("`", "") for code, text in rows.items()} == MEANINGS
    run("get", "--help")
    shown = " ".join(capsys.readouterr().out.split())
    assert [code for code, text in MEANINGS.items() if f"{code} {text}" not in shown] == []
