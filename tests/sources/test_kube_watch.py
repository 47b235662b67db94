"""`kube_watch` with the real client: each event once, whatever becomes of a watch."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing, closing
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from failover_iter import (
    Failed,
    FailoverError,
    Progress,
    Source,
    Takeover,
    TruncatedStream,
    afailover_stream,
    failover_stream,
    in_thread,
)
from failover_iter.sources import BadResponse, kube_watch
from failover_iter.sources._kube_watch import BY_VERSION
from sources.kube_server import KINDS, Cluster, Watch, serving_cluster
from support.needs import needs, unless_installed

pytestmark = unless_installed("kubernetes")
MARKS = {kind: mark for mark, kind in KINDS.items()} | {"BOOKMARK": "="}


def list_function(cluster: Cluster) -> Any:
    client = needs("kubernetes").client
    configuration = client.Configuration(host=cluster.url)
    configuration.retries = False
    return client.CoreV1Api(client.ApiClient(configuration)).list_namespaced_config_map


def source_of(cluster: Cluster, **given: Any) -> Source[Any]:
    return replace(kube_watch(list_function(cluster), "default", **given), wait=0)


@dataclass
class Seen:
    """The delivered items, the failures on the way, and the error at the end."""

    events: list[str]
    failures: list[Exception]
    error: Exception | None = None


def shown(item: Any) -> str:
    """The event as "+name"; "|" where the consumer is to forget the old state."""
    if isinstance(item, Takeover):
        return "|" if item.mode == "restart" else ""
    metadata = item["raw_object"]["metadata"]
    if item["type"] != "BOOKMARK":
        assert item["object"].metadata.name == metadata["name"]
        assert item["object"].metadata.resource_version == metadata["resourceVersion"]
    return MARKS[item["type"]] + metadata.get("name", "")


def read(cluster: Cluster, source: Source[Any] | None = None, **options: Any) -> Seen:
    """Read until the server has no watch left: it then answers 404."""
    import urllib3

    seen = Seen([], [])
    known: set[str] = set()

    def on_event(event: object) -> None:
        if isinstance(event, Failed):
            seen.failures.append(event.error)

    given: dict[str, Any] = {
        "retry_on": urllib3.exceptions.HTTPError,
        "attempts": 3,
        "mark_takeovers": True,
        "on_event": on_event,
        **options,
    }
    with closing(failover_stream([source or source_of(cluster)], **given)) as stream:
        try:
            for item in stream:
                seen.events += filter(None, [shown(item)])
                if isinstance(item, Takeover):
                    known.clear() if item.mode == "restart" else None
                elif item["type"] != "BOOKMARK":
                    version = item["raw_object"]["metadata"]["resourceVersion"]
                    assert version not in known, "delivered twice"
                    known.add(version)
        except AssertionError:
            raise
        except Exception as error:
            seen.error = error
    return seen


def versions(cluster: Cluster) -> list[str | None]:
    """From which resourceVersion each request goes on; None for a list."""
    return [each.get("resourceVersion") for each in cluster.requests]


def test_a_list_and_its_changes() -> None:
    """What there is comes first, and then what happens, from the version of the list on."""
    cluster = Cluster(Watch(), then=[["+c", "~c", "-b"]])
    cluster.change("+a", "+b", "-a")
    with serving_cluster(cluster):
        seen = read(cluster)
    assert seen.events == ["+b", "+c", "~c", "-b"]
    assert versions(cluster) == [None, "103", "106"]
    assert isinstance(seen.error, BadResponse)
    assert str(seen.error) == "list_namespaced_config_map answered 404 Not Found"
    watch = cluster.requests[1]
    assert (watch["allowWatchBookmarks"].lower(), watch["timeoutSeconds"]) == ("true", "300")


@pytest.mark.parametrize("end", ["regular", "fin", "reset", "garbage", 503, 429])
def test_each_event_once(end: Any) -> None:
    """A watch that ends or breaks goes on after the last event."""
    watches = [Watch(2, end), Watch(0, end), Watch(1, end), Watch()]
    cluster = Cluster(*watches, then=[["+b", "+c", "+d", "-a"]])
    cluster.change("+a")
    with serving_cluster(cluster):
        seen = read(cluster)
    assert seen.events == ["+a", "+b", "+c", "+d", "-a"]
    failure = {"regular": TruncatedStream, 503: BadResponse, 429: BadResponse}.get(end)
    assert failure is None or isinstance(seen.failures[0], failure)


def test_an_idle_cluster(caplog: pytest.LogCaptureFixture) -> None:
    """A server that ends one watch after the other without news is well: nothing warns of it."""
    cluster = Cluster(*[Watch()] * 20)
    with serving_cluster(cluster):
        seen = read(cluster, attempts=1)
    assert seen.events == []
    assert len(cluster.requests) == 22
    assert [record.levelname for record in caplog.records] == ["ERROR"]  # the 404 at the end


def test_bookmarks_move_the_position() -> None:
    """A BOOKMARK says how far the server is, and is delivered only if it is asked for."""
    events = ["+b", "+c", "+d"]
    cluster = Cluster(Watch(1, bookmark=1), Watch(), then=[events])
    with serving_cluster(cluster):
        seen = read(cluster)
    assert seen.events == ["+b"]  # the server says that b was the last one for this consumer
    assert versions(cluster) == [None, "100", "103", "103"]
    cluster = Cluster(Watch(1, bookmark=1), Watch(), then=[events])
    with serving_cluster(cluster):
        seen = read(cluster, source_of(cluster, allow_watch_bookmarks=True))
    assert seen.events == ["=", "+b", "="]
    assert versions(cluster) == [None, "100", "103", "103"]


@pytest.mark.parametrize("end", ["gone", 410])
def test_an_expired_version(end: Any) -> None:
    """The list starts anew, and the consumer is told to forget the old state."""
    cluster = Cluster(Watch(1, end), Watch(0, end), Watch(), then=[["+b", "-a"], [], ["+d"]])
    cluster.change("+a")
    with serving_cluster(cluster):
        seen = read(cluster)
    assert seen.events[:2] == ["+a", "+b"] if end == "gone" else ["+a"]
    assert "|" in seen.events
    assert seen.events[-2:] == ["+b", "+d"]
    assert versions(cluster).count(None) == 3


def test_an_empty_list_after_an_expired_version() -> None:
    """A BOOKMARK, if it is asked for, also follows a list without objects."""
    cluster = Cluster(Watch(0, "gone"), Watch(), then=[["-a"]])
    cluster.change("+a")
    with serving_cluster(cluster):
        seen = read(cluster, source_of(cluster, allow_watch_bookmarks=True))
    assert seen.events == ["+a", "=", "|", "="]


def test_a_list_in_pages() -> None:
    """With `limit` the list arrives in pages; one that fails starts the list anew, marked."""
    cluster = Cluster(Watch(), lists=[None, 503])
    cluster.change("+a", "+b", "+c")
    with serving_cluster(cluster):
        seen = read(cluster, source_of(cluster, limit=2))
    assert seen.events == ["+a", "+b", "|", "+a", "+b", "+c"]
    assert [each.get("limit") for each in cluster.requests[-2:]] == [None, None]


def test_custom_resources() -> None:
    """Objects without a model are dicts."""
    cluster = Cluster(Watch(), then=[["+b"]])
    cluster.change("+a")
    with serving_cluster(cluster):
        client = list_function(cluster).__self__.api_client
        api = needs("kubernetes").client.CustomObjectsApi(client)
        source = kube_watch(api.list_namespaced_custom_object, "g.example", "v1", "default", "cs")
        with closing(failover_stream([source], retry_on=OSError)) as stream:
            items = [next(stream), next(stream)]
    assert [item["object"]["metadata"]["name"] for item in items] == ["a", "b"]


def test_in_a_thread() -> None:
    """An async stream watches in a thread."""
    cluster = Cluster(Watch(1, "reset"), Watch(), then=[["+b", "+c"]])
    cluster.change("+a")

    async def main() -> list[str]:
        source = source_of(cluster)
        threaded: Any = replace(source, factory=in_thread(source.factory))
        stream = afailover_stream([threaded], retry_on=Exception, attempts=3)
        async with aclosing(stream):
            return [shown(await anext(stream)) for _ in range(3)]

    with serving_cluster(cluster):
        assert asyncio.run(main()) == ["+a", "+b", "+c"]


def test_a_stalled_watch_is_aborted() -> None:
    """When a timeout leaves a blocked watch, its connection is shut, and its thread ends."""
    cluster = Cluster(Watch(1, "stall"), Watch(), then=[["+a", "+b"]])
    before = threading.active_count()
    with serving_cluster(cluster):
        seen = read(cluster, idle_timeout=0.3)
        assert seen.events == ["+a", "+b"]
    for thread in threading.enumerate():
        if thread.name.startswith("failover"):
            thread.join(5)
    assert threading.active_count() <= before
    source = kube_watch(print)
    assert source.abort is not None
    source.abort(None, {})  # blocked in its list: there is nothing to shut


def test_a_failed_connection() -> None:
    """Also an error of the client without a status is a failure."""
    from kubernetes.client import ApiException

    def broken(**_: Any) -> Any:
        raise ApiException(status=0, reason="SSLError")

    with pytest.raises(FailoverError, match="broken: SSLError"):
        list(failover_stream([kube_watch(broken)], retry_on=OSError))


def test_what_the_consumer_throws_is_its_own() -> None:
    """An error of the client that the consumer throws in is not taken for the server's."""
    from kubernetes.client import ApiException

    cluster = Cluster()
    cluster.change("+a", "+b")
    thrown = ApiException(status=410)
    with serving_cluster(cluster):
        stream = failover_stream([source_of(cluster)], retry_on=OSError, attempts=3)
        next(stream)
        with pytest.raises(ApiException) as caught:
            stream.throw(thrown)
    assert caught.value is thrown


@pytest.mark.parametrize("name", ["resource_version", "watch", "_continue", "async_req"])
def test_wrong_use(name: str) -> None:
    """Arguments that the source sets itself are refused."""
    with pytest.raises(ValueError, match=f"{name}=.* is not allowed: the source sets it"):
        kube_watch(print, **{name: "1"})
    with pytest.raises(TypeError, match="must be a method of a kubernetes client"):
        kube_watch("pods")  # type: ignore[arg-type]


# Laws.

ends = st.sampled_from(["regular", "fin", "reset", "garbage", "gone", 503, 410])
watches = st.lists(st.builds(Watch, st.integers(0, 3), ends), max_size=5)
names = st.sampled_from("abc")


def changes(kinds: list[tuple[str, str]]) -> list[str]:
    """Possible changes: what is not there is added, and what is there changes or goes."""
    there: set[str] = set()
    done: list[str] = []
    for kind, name in kinds:
        mark = kind if name in there else "+"
        (there.discard if mark == "-" else there.add)(name)
        done.append(mark + name)
    return done


def with_bookmarks(cluster: Cluster) -> Source[Any]:
    """A BOOKMARK after each list, so that the consumer also learns of an empty one."""
    return source_of(cluster, allow_watch_bookmarks=True)


def check_watch(
    script: list[Watch], happened: list[str], cut: int, make: Any = with_bookmarks
) -> None:
    """Whoever replays the events knows the state of the cluster, and sees each change once."""
    cluster = Cluster(*script, Watch(), then=[happened[cut:]])
    cluster.change(*happened[:cut])
    with serving_cluster(cluster):
        seen = read(cluster, make(cluster), attempts=len(script) + 2)
    assert getattr(seen.error, "status", None) == 404, "the script has come to its end"
    state: set[str] = set()
    events = [event for event in seen.events if event != "="]
    for event in events:
        if event == "|":
            state.clear()
        else:
            (state.discard if event[0] == "-" else state.add)(event[1:])
    assert state == set(cluster.objects)
    if versions(cluster).count(None) == 1:
        changed = happened[cut:]
        assert events[len(events) - len(changed) :] == changed


@settings(max_examples=15)
@given(
    script=watches,
    kinds=st.lists(st.tuples(st.sampled_from("~-"), names), max_size=6),
    cut=st.integers(0, 6),
)
def test_the_consumer_knows_the_state(
    script: list[Watch], kinds: list[tuple[str, str]], cut: int
) -> None:
    """Never an event twice, never one lost."""
    check_watch(script, changes(kinds), cut)


# Mutants.


def lists_never(cluster: Cluster) -> Source[Any]:
    """The loop of the client's documentation: each watch starts with what there is."""
    from kubernetes.watch import Watch as KubeWatch

    function = list_function(cluster)

    def events(_: Progress[Any]) -> Any:
        try:
            yield from KubeWatch().stream(function, "default", timeout_seconds=9)
        except needs("kubernetes").client.ApiException as error:
            raise BadResponse("cluster", error.status) from error

    return replace(source_of(cluster), factory=events, mid_stream="resume")


def never_lists_again(cluster: Cluster) -> Source[Any]:
    """Goes on from the old version, though it has expired."""
    strategy = replace(BY_VERSION, fn=lambda _: "resume")
    return replace(with_bookmarks(cluster), mid_stream=strategy)


def starts_each_watch_at_the_list(cluster: Cluster) -> Source[Any]:
    """Repeats what was delivered since the list."""
    strategy = replace(BY_VERSION, advance=lambda cursor, _: cursor)
    return replace(with_bookmarks(cluster), mid_stream=strategy)


@pytest.mark.parametrize(
    ("mutant", "script"),
    [
        (lists_never, [Watch(1, "fin")]),
        (never_lists_again, [Watch(1, "gone")]),
        (starts_each_watch_at_the_list, [Watch(1, "fin")]),
    ],
)
def test_mutants_are_killed(mutant: Any, script: list[Watch]) -> None:
    """Each naive watch loses an event, or delivers one twice."""
    happened = ["+a", "+b", "+c"]
    check_watch(script, happened, 1)
    with pytest.raises(AssertionError):
        check_watch(script, happened, 1, mutant)
