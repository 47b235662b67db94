"""Options and calls that a checkpoint refuses, and decorated functions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from failover_iter import Checkpoint, Policy, Progress, failover, failover_stream

from .memory import Disk
from .streams import RESUME, numbers, stream


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mid_stream": "skip"}, "checkpoint needs a stream with a cursor: set mid_stream=Resume"),
        ({"complete_when": bool}, "complete_when looks at the last item, which a checkpoint does"),
    ],
)
def test_options_that_exclude_a_checkpoint(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    """The message says what to use instead."""
    with pytest.raises(ValueError, match=message):
        list(stream(Checkpoint(tmp_path / "state"), lambda *_: iter([1]), **options))


def test_each_source_needs_a_cursor(tmp_path: Path) -> None:
    """A source that starts over would repeat what was processed."""
    from failover_iter import Source

    sources = [Source(lambda: [1], mid_stream="restart", name="cache"), numbers]
    with pytest.raises(ValueError, match="source 'cache' has mid_stream='restart': use Resume"):
        list(
            failover_stream(
                sources,
                retry_on=OSError,
                mid_stream=RESUME,
                checkpoint=Checkpoint(tmp_path / "state"),
            )
        )


def test_a_group_has_none(tmp_path: Path) -> None:
    """A checkpoint belongs to the whole stream."""
    policy = Policy(retry_on=OSError, mid_stream=RESUME, checkpoint=Checkpoint(tmp_path / "state"))
    with pytest.raises(ValueError, match="checkpoint is for a whole stream, not for a Policy"):
        policy.source([numbers])
    inner = Policy(retry_on=OSError, mid_stream=RESUME).source([numbers])
    assert list(policy.stream([inner])) == [0, 1, 2, 3, 4]


def test_a_decorated_function(tmp_path: Path) -> None:
    """It has a checkpoint like any stream, and then takes no progress of its caller."""
    checkpoint = Checkpoint(tmp_path / "state")

    @failover(retry_on=OSError, mid_stream=RESUME, checkpoint=checkpoint)
    def read(*, progress: Progress = Progress()) -> Iterator[int]:
        yield from range(progress.cursor, 5)

    items = read()
    next(items), next(items)
    items.close()
    assert list(read()) == [1, 2, 3, 4]
    with pytest.raises(ValueError, match="a stream with a checkpoint takes no progress"):
        read(progress=Progress(delivered=2, total=2, cursor=2))


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        ((), {}, "Checkpoint takes a path or a store, got path=None, store=None"),
        (("a",), {"store": Disk().store()}, "Checkpoint takes a path or a store"),
        ((), {"store": 3}, "store must have the methods of a Store, got 3"),
        ((), {"store": Disk().store(), "fsync": True}, "fsync is for a path"),
        (("a",), {"every": "1"}, "every must be"),
        (("a",), {"auto": 1}, "auto must be"),
        (("a",), {"dumps": 1}, "dumps must be a function cursor -> str"),
        (("a",), {"loads": 1}, "loads must be a function str -> cursor"),
        (("a",), {"evry": 1}, "did you mean 'every'"),
    ],
)
def test_wrong_options(args: Any, options: Any, message: str) -> None:
    """Wrong use fails at once, and the error names the option."""
    with pytest.raises(TypeError, match=message):
        Checkpoint(*args, **options)


def test_wrong_calls(tmp_path: Path) -> None:
    """`done` is for auto=False, the option takes a Checkpoint, and Redis a blocking client."""
    checkpoint = Checkpoint(tmp_path / "a")
    assert repr(checkpoint) == f"Checkpoint({tmp_path / 'a'}, every=1)"
    assert "auto=False" in repr(Checkpoint("a", auto=False))
    with pytest.raises(TypeError, match=r"^done\(cursor\) is for a Checkpoint\(auto=False\)"):
        checkpoint.done(3)
    for wrong in ("a", Checkpoint):
        with pytest.raises(TypeError, match="^checkpoint must be a Checkpoint, or None, got "):
            failover_stream([list], retry_on=OSError, checkpoint=wrong)  # type: ignore[arg-type]
