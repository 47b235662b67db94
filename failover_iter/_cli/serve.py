"""`failover-iter serve`: an HTTP server that breaks off as a marble says."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from failover_iter._cli.sources import USAGE, complain

if TYPE_CHECKING:
    from argparse import Namespace

#: Set to stop the server; only tests do.
stopped = threading.Event()


def serve(arguments: Namespace) -> int:
    """Serve until the command is interrupted."""
    try:
        from failover_iter.testing import Plan, fault_server
    except ImportError:
        complain("serve", "hypothesis is not installed: pip install 'failover-iter[testing]'")
        return USAGE
    try:
        plan = Plan(*arguments.marbles)
    except ValueError as error:
        complain("serve", error)
        return USAGE
    with fault_server(plan, tick=arguments.tick, port=arguments.port) as server:
        print(*server.urls, sep="\n", flush=True)
        stopped.wait()
    return 0
