"""`failover-iter cat`: write a file from mirrors to stdout."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

from failover_iter import Source, backoff, failover_stream
from failover_iter._cli.outcomes import FAILED, USAGE, complain
from failover_iter._cli.sources import (
    Progress,
    errors_of_clients,
    errors_of_mirrors,
    new_client,
    same_file,
)
from failover_iter.sources import http_bytes, http_lines

if TYPE_CHECKING:
    from argparse import Namespace


def cat(arguments: Namespace) -> int:
    """Write the file to stdout, and return the exit code."""
    client = new_client(arguments)
    if client is None:
        return USAGE
    source: Any = http_lines if arguments.lines else http_bytes
    mirrors: list[Source[Any]] = [
        source(client, url, same_file=same_file(arguments)) for url in arguments.urls
    ]
    stream = failover_stream(
        mirrors,
        retry_on=errors_of_clients(),
        attempts=arguments.attempts,
        wait=backoff(0.2),
        on_event=Progress(arguments, sys.stderr),
    )
    try:
        with client, closing(stream):
            for chunk in stream:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
    except OSError:  # stdout cannot be written; that of a closed stdout is a ValueError too
        raise
    except errors_of_mirrors() as error:
        complain("cat", error)
        return FAILED
    return 0
