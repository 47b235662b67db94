"""A real redis-server, which tests start, stop, hang and restart."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess

import pytest

from support.needs import needs

redis = needs("redis")

BINARY = shutil.which("redis-server")
needs_server = pytest.mark.skipif(BINARY is None, reason="redis-server is not installed")


class Server:
    """A redis-server, new and empty; without further options it keeps nothing when it stops."""

    def __init__(self, *options: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.options = options or ("--appendonly", "no")
        self.start()

    def start(self) -> None:
        address = ["--port", str(self.port), "--bind", "127.0.0.1"]
        command = [str(BINARY), *address, "--save", "", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = redis.Redis(port=self.port)
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert self.process.poll() is None
        client.close()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()

    def hang(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)
