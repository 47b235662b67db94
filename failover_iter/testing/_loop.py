"""An asyncio event loop in virtual time: its clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any

from failover_iter.testing._virtual import EPOCH

#: How many real seconds to wait for a thread or a socket if no timer is set.
PATIENCE = 10.0


class _JumpingSelector(selectors.DefaultSelector):
    loop: JumpingLoop

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            return self._wait()
        self.loop.now += timeout
        return ready

    def _wait(self) -> Any:
        if not (ready := super().select(PATIENCE)):
            raise RuntimeError(
                "all tasks wait for something that never happens, and no timer is set"
            )
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer when there is nothing else to do.

    Example:
        >>> import asyncio
        >>> from failover_iter.testing import JumpingLoop
        >>> with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        ...     runner.run(asyncio.sleep(3600, "an hour later"))
        'an hour later'
    """

    def __init__(self) -> None:
        self.now = EPOCH
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self.now
