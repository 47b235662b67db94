"""`Seam`: reads a chat stream for those who cannot take back what they have delivered."""

from __future__ import annotations

from failover_iter import Takeover
from failover_iter.llm._chunk import Chunk, has_content
from failover_iter.llm._collect import starts_over
from failover_iter.llm._errors import ProviderError


class Seam:
    """Refuses an answer that starts over after content was delivered."""

    def __init__(self) -> None:
        self._last: Chunk | None = None
        self._marked = False
        self._has_content = False

    def chunk(self, item: Chunk | Takeover) -> Chunk | None:
        """Return an item if it is a chunk; raise if the answer starts over."""
        if isinstance(item, Takeover):
            if item.mode == "restart":
                self._restart()
            self._marked = True
            return None
        if self._last is not None and not self._marked and starts_over(self._last, item):
            self._restart()
        self._last, self._marked = item, False
        self._has_content = self._has_content or has_content(item)
        return item

    def _restart(self) -> None:
        if self._has_content:
            raise ProviderError(
                "the answer started over, but content was delivered already", code="server_error"
            )
