"""`failover-iter serve`: an HTTP server that breaks off as a marble says."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from failover_iter._cli.outcomes import FAILED, USAGE, complain

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
    with ExitStack() as stack:
        try:
            server = stack.enter_context(
                fault_server(plan, tick=arguments.tick, port=arguments.port)
            )
        except OSError as error:
            complain("serve", f"port {arguments.port}: {error.strerror}")
            return FAILED
        print(*server.urls, sep="\n", flush=True)
        stopped.wait()
    return 0
