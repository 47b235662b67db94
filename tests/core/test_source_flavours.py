"""Blocking and async entries of `factories`, and groups: which ones a stream refuses."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

import pytest

from core.factories import OPTIONS, RESUMING, Table, awaits, opens, opens_async, resumes
from failover_iter import Policy
from failover_iter._core.refusals import not_iterable, wrong_flavour
from failover_iter._core.sources import read_source
from failover_iter._core.usage import is_usage_error
from failover_iter._mid_stream import Decide
from failover_iter._source import Source


@pytest.mark.parametrize("wrap", [lambda f: f, partial, Source])
@pytest.mark.parametrize("factory", [opens_async, awaits])
def test_a_blocking_stream_refuses_async_factories(factory: Any, wrap: Any) -> None:
    """The message names the function to use for an async source."""
    message = f"source '{factory.__name__}' is async: use afailover_stream (or Policy.astream)"
    with pytest.raises(TypeError, match="^" + re.escape(message)) as caught:
        read_source(wrap(factory), 0, "sync", OPTIONS)
    assert is_usage_error(caught.value)
    assert read_source(wrap(factory), 0, "async", OPTIONS).name == factory.__name__
    assert read_source(wrap(factory), 0, None, OPTIONS).name == factory.__name__


@pytest.mark.parametrize("factory", [opens, Table().rows, Table.of_class, Table.static])
def test_an_async_stream_refuses_generator_functions(factory: Any) -> None:
    """The message names the function to use for a blocking source."""
    message = f"source '{factory.__name__}' is sync: use failover_stream (or Policy.stream)"
    with pytest.raises(TypeError, match="^" + re.escape(message)) as caught:
        read_source(factory, 0, "async", OPTIONS)
    assert is_usage_error(caught.value)
    assert read_source(factory, 0, "sync", OPTIONS).name == factory.__name__


def test_a_group_of_the_wrong_flavour_is_refused() -> None:
    """Its known sources are checked by the stream that it is given to, at any depth."""
    policy = Policy(retry_on=OSError)
    for group in (policy.source([opens]), policy.source([policy.source([opens])])):
        assert read_source(group, 0, "sync", OPTIONS).group is not None
        with pytest.raises(TypeError, match="^source 'opens' is sync: use failover_stream"):
            read_source(group, 0, "async", OPTIONS)


@pytest.mark.parametrize(
    ("flavour", "use"), [("sync", "afailover_stream"), ("async", "use failover_stream")]
)
def test_the_error_of_a_wrong_flavour(flavour: Any, use: str) -> None:
    """It is a `TypeError` and a wrong use, for both kinds of streams."""
    error = wrong_flavour("a", flavour)
    assert type(error) is TypeError
    assert use in str(error)
    assert is_usage_error(error)


@pytest.mark.parametrize(
    ("kind", "words"),
    [("iterable", "is not iterable"), ("async iterable", "is not an async iterable")],
)
def test_the_error_of_a_result_that_is_not_iterable(kind: str, words: str) -> None:
    """It begins as Python's own, and names the source."""
    error = not_iterable("a", kind, 5)
    assert str(error) == (
        f"'int' object {words}: the factory of source 'a' must return an {kind}, got 5"
    )


def test_a_group_is_never_called() -> None:
    """It takes no arguments in any mode: the stream that it is given to opens its sources."""
    source = Policy(retry_on=OSError, mid_stream="resume").source([resumes])
    for options in (OPTIONS, RESUMING):
        assert read_source(source, 0, "sync", options).name == "resumes"
    with pytest.raises(TypeError, match="^a Policy.source cannot be called: pass it to a stream"):
        source.factory()  # type: ignore[call-arg]


@pytest.mark.parametrize("inner", [None, "restart", "raise", "skip"])
def test_groups_that_cannot_go_on_are_refused(inner: Any) -> None:
    """Under an outer stream that resumes, a group that would start over is a wrong use."""
    source = Policy(retry_on=OSError, mid_stream=inner).source([opens])
    shown = "'restart' (not set)" if inner is None else repr(inner)
    message = (
        f"source 'opens' is a Policy.source with mid_stream={shown}: under an outer stream that "
        "resumes, its policy needs mid_stream='resume' or a Decide"
    )
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$") as caught:
        read_source(source, 0, "sync", RESUMING)
    assert is_usage_error(caught.value)
    assert read_source(source, 0, "sync", OPTIONS).group is not None


def test_groups_that_can_go_on_pass() -> None:
    """So do those with `Resume` or `Decide`, groups of groups, and lazy iterables."""
    inner = Policy(retry_on=OSError, mid_stream="resume").source([resumes])
    for source in (
        inner,
        Policy(retry_on=OSError).source([inner]),
        Policy(retry_on=OSError, mid_stream=Decide(lambda progress: "resume")).source([resumes]),
        Policy(retry_on=OSError).source({opens: "read when opened"}),
    ):
        read = read_source(source, 0, "sync", RESUMING)
        assert (read.group is not None, read.resumable) == (True, False)
