"""What `get` and `cat` share: arguments, the mirrors as sources, and what stderr says."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any, TextIO

from failover_iter import Failed, FailoverError, Opening, Switched
from failover_iter._cli.arguments import LAST_PORT
from failover_iter._cli.outcomes import complain

if TYPE_CHECKING:
    from argparse import Namespace

    from failover_iter import Event


def same_file(arguments: Namespace) -> Any:
    """The value of the option `same_file`."""
    return None if arguments.same_file == "none" else arguments.same_file


def new_client(arguments: Namespace) -> Any:
    """The HTTP client of both commands; None if there is none, or if a URL is wrong."""
    try:
        import httpx
    except ImportError:
        complain(arguments.command, "httpx is not installed: pip install 'failover-iter[cli]'")
        return None
    try:
        for number, url in enumerate(arguments.urls, 1):
            check_url(f"URL {number}", url)
        return httpx.Client(timeout=arguments.timeout, follow_redirects=True)
    # The environment may name a proxy, or certificates, that cannot be used.
    except (ValueError, OSError, ImportError) as error:
        complain(arguments.command, error)
        return None


def check_url(name: str, url: str) -> None:
    """Raise a ValueError unless the client can request it."""
    import httpx

    try:
        parsed = httpx.URL(url)
        parsed.host.encode("idna")
    except (httpx.InvalidURL, UnicodeError) as error:
        raise ValueError(f"{name}: {error}") from error
    if parsed.scheme not in {"http", "https"}:
        raise ValueError(f"{name} must begin with http:// or https://")
    if not parsed.host:
        raise ValueError(f"{name} has no host")
    if parsed.port is not None and not 0 < parsed.port <= LAST_PORT:
        raise ValueError(f"{name}: the port must be 1 to {LAST_PORT}, got {parsed.port}")


def errors_of_clients() -> tuple[type[Exception], ...]:
    """The errors of a client that are failures of the mirror."""
    import httpx

    # A ValueError: a number of 5,000 digits, or a redirect to an impossible host name.
    return httpx.HTTPError, ValueError


def errors_of_mirrors() -> tuple[type[Exception], ...]:
    """The errors that end a stream of mirrors."""
    return FailoverError, *errors_of_clients()


def described(failure: Failed) -> str:
    """Which mirror has failed, and why."""
    return f"{failure.source}: {type(failure.error).__name__}: {failure.error}"


class Progress:
    """A listener that says on stderr what goes wrong, with a bar if `get` runs in a terminal."""

    def __init__(self, arguments: Namespace, stderr: TextIO) -> None:
        self.failures: list[Failed] = []
        self.openings = 0
        self._command = arguments.command
        self._quiet = arguments.quiet
        # The output of `cat` may go to the same terminal.
        is_shown = stderr.isatty() and not arguments.quiet and arguments.command == "get"
        self._bar = _new_bar(stderr) if is_shown else None
        self._stderr = stderr
        # This listener says it; without a handler, the logger would too.
        logging.getLogger("failover_iter").addHandler(logging.NullHandler())

    def __call__(self, event: Event) -> None:
        """Note an event of the stream."""
        if isinstance(event, Opening):
            self.openings += 1
        if isinstance(event, Failed):
            self.failures.append(event)
            self.say(described(event))
        if isinstance(event, Switched):
            self.say(f"{event.source} is given up; going on with {event.to}")

    def say(self, text: str) -> None:
        """Print a line, above the bar."""
        if self._bar is not None:
            self._bar.write(f"failover-iter {self._command}: {text}", file=self._stderr)
        elif not self._quiet:
            complain(self._command, text)

    def expect(self, size: int | None, received: int) -> None:
        """Show how large the file is, and how much of it is there."""
        if self._bar is not None and self._bar.total is None:
            self._bar.total = size
            self._bar.n = self._bar.initial = received
            self._bar.refresh()

    def update(self, size: int) -> None:
        """Note that so many bytes were written."""
        if self._bar is not None:
            self._bar.update(size)

    def close(self) -> None:
        """Stop drawing the bar."""
        if self._bar is not None:
            self._bar.close()


def _new_bar(stderr: TextIO) -> Any:
    try:
        tqdm: Any = import_module("tqdm")  # it has no types
    except ImportError:
        return None
    return tqdm.tqdm(unit="B", unit_scale=True, unit_divisor=1024, file=stderr, dynamic_ncols=True)
