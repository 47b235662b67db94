"""What `kube_watch` cannot do is refused with a message that says what to do instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from failover_iter import Checkpoint, DivergedStream, Policy, Source, failover_stream
from failover_iter.sources import kube_watch
from support.needs import unless_installed

pytestmark = unless_installed("kubernetes")


def list_pods(**_: Any) -> dict[str, Any]:
    return {"items": [], "metadata": {"resourceVersion": "1"}}


@pytest.mark.parametrize("is_inside", [False, True])
def test_a_checkpoint(tmp_path: Path, is_inside: bool) -> None:
    """The message names the source and the reason, also in a group."""
    source: Source[Any] = kube_watch(list_pods)
    if is_inside:
        source = Policy(retry_on=OSError).source([source])
    stream = failover_stream([source], retry_on=OSError, checkpoint=Checkpoint(tmp_path / "place"))
    with pytest.raises(
        ValueError, match="leave out the checkpoint, because source 'list_pods' has"
    ):
        next(stream)


async def alist_pods(**_: Any) -> None:
    """A method of an async client returns a coroutine."""


class PodList:
    metadata: Any = None


@pytest.mark.parametrize(
    ("list_function", "kind"),
    [(lambda **_: None, "NoneType"), (alist_pods, "coroutine"), (lambda **_: PodList(), "PodList")],
)
def test_a_function_that_lists_nothing(list_function: Any, kind: str) -> None:
    """The message says what it has returned."""
    with pytest.raises(TypeError, match=rf"must be a method of a .* a {kind}$"):
        next(failover_stream([kube_watch(list_function)], retry_on=OSError))


def test_a_list_without_end() -> None:
    """Its pages repeat."""
    requested: list[Any] = []

    def list_nodes(limit: int, _continue: str = "a") -> dict[str, Any]:
        requested.append(_continue)
        metadata = {"resourceVersion": "1", "continue": {"a": "b", "b": "c", "c": "b"}[_continue]}
        node = {"metadata": {"name": _continue, "resourceVersion": "1"}}
        return {"items": [node] * limit, "metadata": metadata}

    stream = failover_stream([kube_watch(list_nodes, limit=1)], retry_on=OSError)
    with pytest.raises(DivergedStream, match="list_nodes: a page of the list repeats"):
        list(stream)
    assert requested == ["a", "b", "c"]
