"""A store in memory, which a killed process leaves as it was."""

from __future__ import annotations

from failover_iter import CheckpointError


class Disk:
    """What survives a process."""

    def __init__(self) -> None:
        self.text: str | None = None
        self.saves: list[str] = []
        #: Raised by the next load or save.
        self.error: Exception | None = None

    def store(self) -> MemoryStore:
        """The store of a new process: the lock of a killed one is gone."""
        return MemoryStore(self)


class MemoryStore:
    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.is_open = False

    def load(self) -> str | None:
        if self.is_open:
            raise CheckpointError("in use")
        if self.disk.error is not None:
            raise self.disk.error
        self.is_open = True
        return self.disk.text

    def save(self, state: str, /) -> None:
        assert self.is_open
        if self.disk.error is not None:
            raise self.disk.error
        self.disk.text = state
        self.disk.saves.append(state)

    def close(self) -> None:
        self.is_open = False
