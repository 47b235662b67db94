"""Each example runs as a program, does what it says, and reports wrong results as failures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import ExitStack
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import failover_iter
from failover_iter import SourceError
from support.needs import unless_installed

pytest.importorskip("tqdm")

EXAMPLES = Path(__file__).parents[1] / "examples"
TOLD = {
    "mirrors": r"127\.0\.0\.1:\d+ takes over at byte [\d,]{5,}\n4,194,304 bytes, .*: right\n",
    "replica_scan": r"row 4,750: primary.db breaks\n10,000 of 10,000 rows: each exactly once\n",
    "chat": (
        r"> Why is the sky blue\?\n"
        r"Because blue light \[anthropic rest \(\S+\) goes on\] scatters far more\.\n"
        r"\(anthropic: stop\)\n"
    ),
    "flaky_feed": r"100 lines over \d\d+ connections: each once\n",
    "shards": (
        r"[\d,]{7,} bytes: a node is killed\n(?:.*\n)*?"  # Ray, too, says that it died
        r"([\d,]{6,}) lines, ([\d,]{7,}) of \2 bytes, from 2 nodes: each exactly once\n"
    ),
}
#: Examples that take long, and what they need.
SLOW = {"shards": [pytest.mark.slow, *unless_installed("ray")]}


@cache
def run(name: str) -> subprocess.CompletedProcess[str]:
    """Run an example once, as a user would, with warnings turned into errors."""
    strict = ["-X", "dev", "-W", "error"] if name not in SLOW else []  # Ray leaves files open
    command = [sys.executable, *strict, str(EXAMPLES / f"{name}.py")]
    home = str(Path(failover_iter.__file__).parents[1])
    env = os.environ | {"PYTHONPATH": home, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        command, env=env, capture_output=True, encoding="utf-8", timeout=60, check=False
    )


def load(name: str) -> ModuleType:
    """Load an example as a module that a test can modify."""
    spec = spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    finally:
        del sys.modules[spec.name]
    return module


def test_every_example_is_tested() -> None:
    """These tests cover every example."""
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(TOLD)


@pytest.mark.parametrize("name", [pytest.param(name, marks=SLOW.get(name, ())) for name in TOLD])
def test_it_runs_by_itself(name: str) -> None:
    """Run as a program, it exits with 0, prints its result, and leaves nothing open."""
    done = run(name)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(TOLD[name], done.stdout)
    assert "Traceback" not in done.stderr
    assert "ResourceWarning" not in done.stderr


# mirrors.py


@pytest.fixture
def mirrors() -> ModuleType:
    """The example mirrors.py."""
    return load("mirrors")


def download(mirrors: ModuleType, target: Path, *handlers: type[Any]) -> bool:
    """Download from mirrors with these handlers. Returns whether the file is correct."""
    with ExitStack() as stack:
        sources = [stack.enter_context(mirrors.running(handler)) for handler in handlers]
        mirrors.download(sources, target, mirrors.SHA256)
    return target.read_bytes() == mirrors.FILE


def test_mirrors_shows_each_switch() -> None:
    """The output shows what went wrong with each mirror, and which one took over."""
    done = run("mirrors")
    takes_over = done.stdout.partition(" takes over")[0]
    assert "503 Service Unavailable; switching to" in done.stderr
    assert f"would send all of it; switching to {takes_over}\n" in done.stderr
    assert f"{takes_over}: 100%" in done.stderr


def test_mirrors_wrong_digest_is_no_success(
    mirrors: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file with a wrong sha256 is reported and removed, and the exit code is 1."""
    monkeypatch.setattr(mirrors, "SHA256", "0" * 64)
    assert mirrors.main() == 1
    assert "wrong sha256" in capsys.readouterr().out


def test_mirrors_wrong_file_is_no_success(
    mirrors: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If the file differs from the one on the mirrors, the exit code is 1."""
    monkeypatch.setattr(mirrors, "download", lambda _, target, __: target.write_bytes(b""))
    assert mirrors.main() == 1
    assert "WRONG" in capsys.readouterr().out


def test_mirrors_refuses_another_version(mirrors: ModuleType, tmp_path: Path) -> None:
    """A mirror with another version of the file never supplies the rest of it."""
    with pytest.raises(SourceError, match="another version"):
        download(mirrors, tmp_path / "file", mirrors.Resetting, mirrors.Outdated)


def test_mirrors_notices_a_connection_closed_too_early(mirrors: ModuleType, tmp_path: Path) -> None:
    """An early end without an error, in the middle of a chunk, is detected and survived."""

    class Short(mirrors.Handler):
        def send_body(self, start: int) -> None:
            self.wfile.write(self.file[start : start + 3 * mirrors.CHUNK + 17])

    assert download(mirrors, tmp_path / "file", Short, Short, mirrors.Handler)


@pytest.mark.parametrize("missing", ["ETag", "Content-Length"])
def test_mirrors_rejects_a_mirror_that_cannot_resume(
    mirrors: ModuleType, tmp_path: Path, missing: str
) -> None:
    """A mirror that does not send a version or a size is not used."""

    class Silent(mirrors.Handler):
        def send_header(self, keyword: str, value: str) -> None:
            if keyword != missing:
                super().send_header(keyword, value)

    with pytest.raises(SourceError, match="cannot be resumed"):
        download(mirrors, tmp_path / "file", Silent)


@pytest.mark.parametrize("header", ["Content-Range", "ETag"])
def test_mirrors_checks_the_headers_of_a_206(
    mirrors: ModuleType, tmp_path: Path, header: str
) -> None:
    """A 206 with a different range or version than requested is rejected."""

    class Confused(mirrors.Handler):
        def send_header(self, keyword: str, value: str) -> None:
            super().send_header(keyword, "nonsense" if keyword == header else value)

        def send_body(self, start: int) -> None:
            self.wfile.write(self.file[start : start + 1024])

    with pytest.raises(SourceError, match="not what was asked for"):
        download(mirrors, tmp_path / "file", mirrors.Resetting, Confused)


# replica_scan.py


def test_replica_scan_a_missing_row_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """If a row is missing, the exit code is 1."""
    example = load("replica_scan")
    scan = example.scan
    monkeypatch.setattr(example, "scan", lambda paths: (row for row in scan(paths) if row.id != 7))
    assert example.main() == 1
    assert "9,999 of 10,000 rows: WRONG" in capsys.readouterr().out


def test_replica_scan_needs_the_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first database really becomes unreadable: without the replica, the scan fails."""
    example = load("replica_scan")
    scan = example.scan
    monkeypatch.setattr(example, "scan", lambda paths: scan(paths[:1]))
    with pytest.raises(example.sqlite3.DatabaseError):
        example.main()


# flaky_feed.py


@pytest.mark.parametrize(("lines", "connections"), [(99, 15), (101, 15), (100, 1)])
def test_flaky_feed_anything_else_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    lines: int,
    connections: int,
) -> None:
    """If a line is missing or surplus, or no connection was dropped, the exit code is 1."""
    example = load("flaky_feed")

    async def receive() -> tuple[list[str], int]:
        return [f"line {number}" for number in range(lines)], connections

    monkeypatch.setattr(example, "receive", receive)
    assert example.main() == 1
    assert f"{lines} lines over {connections} connections" in capsys.readouterr().out
