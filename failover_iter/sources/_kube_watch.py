"""`kube_watch`: the objects of a Kubernetes cluster, and each change of them."""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import import_module
from inspect import iscoroutine
from typing import Any, Literal

from failover_iter import (
    Bookmark,
    Decide,
    DivergedStream,
    Progress,
    Source,
    SourceError,
    backoff,
)
from failover_iter.sources._page_trail import Trail
from failover_iter.sources._response import BadResponse, is_final
from failover_iter.sources._retry import Wait, retry_after_of, status_of

#: Seconds after which the server ends a watch in an orderly way, so that it is opened again.
WATCH_SECONDS = 300
#: Seconds that a connection may take, and that a watch may be silent after it should have ended.
CONNECT_SECONDS, GRACE_SECONDS = 10, 15
#: The status of a resourceVersion that has expired.
GONE = 410
#: Under which key of `Progress.memo` the running watch is, for `abort`.
MEMO = "kube watch"
#: The arguments that the source sets itself.
RESERVED = ("resource_version", "watch", "_continue", "_preload_content", "async_req")
#: How Kubernetes marks the bookmark that follows the objects there were (`sendInitialEvents`).
LIST_END = {"k8s.io/initial-events-end": "true"}


def kube_watch(
    list_function: Callable[..., Any], *args: Any, **kwargs: Any
) -> Source[Generator[dict[str, Any]]]:
    """The objects of a Kubernetes cluster, and each change of them, as a stream that never ends.

    The objects are listed first: each is an event of type ADDED. Then they are watched from the
    resourceVersion of that list. A watch that ends or breaks goes on after the last event that was
    delivered: none is lost, and none arrives twice.

    The items are those of `kubernetes.watch.Watch().stream`: dicts with the keys "type", "object"
    and "raw_object".

    The sources of one stream must be servers of the same cluster, because they share the
    resourceVersion.

    If the server no longer knows the resourceVersion (status 410), the objects are listed anew.
    What was deleted meanwhile has no event of its own: with `mark_takeovers=True`, a `Takeover`
    with the mode "restart" precedes the new list, so that the consumer can forget the old state.

    Servers say with BOOKMARK events how far they are. They move the position, and are delivered
    only if you ask for them with `allow_watch_bookmarks=True`: then one also follows each list,
    even an empty one.

    Set `attempts` in the stream: the failures in a row after which the source is given up. Before
    it retries, the source waits as long as `Retry-After` says, up to 60 seconds, or else as
    `backoff(1.0)` does. Set no `checkpoint`: a new process knows none of the objects, so it starts
    with the list.

    Args:
        list_function: a method of a client, such as `client.CoreV1Api().list_namespaced_pod`.
        args: its arguments.
        kwargs: its keyword arguments, such as `label_selector`. `timeout_seconds` is how long one
            watch lasts, 300 by default; with `limit`, the list arrives in pages. A silent
            connection fails 15 seconds after its watch should have ended (`_request_timeout`).

    Returns:
        A source that brings its own `mid_stream`, `reset_on_progress`, `wait`, `switch_on`, and
        name (that of the method). A status that is a failure is a `BadResponse`, which need not be
        in `retry_on`; name the errors of the connection there (`urllib3.exceptions.HTTPError`).

    Raises:
        TypeError: `list_function` is not callable.
        ValueError: `kwargs` has an argument that the source sets itself, such as
            `resource_version`.

    Example:
        >>> import urllib3
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import kube_watch
        >>> def follow(api):  # a kubernetes.client.CoreV1Api
        ...     pods = kube_watch(api.list_namespaced_pod, "default")
        ...     for event in failover_stream([pods], retry_on=urllib3.exceptions.HTTPError,
        ...                                  attempts=10):
        ...         print(event["type"], event["object"].metadata.name)
    """
    if not callable(list_function):
        raise TypeError(
            "kube_watch(list_function) must be a method of a kubernetes client, such as "
            f"api.list_namespaced_pod, got {list_function!r}"
        )
    for name in RESERVED:
        if name in kwargs:
            raise ValueError(f"kube_watch({name}=...) is not allowed: the source sets it")
    name = getattr(list_function, "__name__", type(list_function).__name__)
    return Source(
        _Objects(list_function, args, kwargs, name).events,
        name=name,
        abort=_stop,
        mid_stream=BY_VERSION,
        reset_on_progress=True,
        complete_when=_never,
        switch_on=_leaves_cluster,
        wait=Wait(backoff(1.0)),  # client-go's reflector waits 0.8 s
    )


def version_of(cursor: str | None, event: dict[str, Any]) -> str | None:
    """The position after this event; None as long as the list is not complete."""
    if cursor is None:
        return None
    version: str = event["raw_object"]["metadata"]["resourceVersion"]
    return version


def _mode(progress: Progress[Any]) -> Literal["restart", "resume"]:
    """List anew if the position has expired, or if there is none yet."""
    return "restart" if _is_gone(progress) or progress.cursor is None else "resume"


def _is_gone(progress: Progress[Any]) -> bool:
    """Whether the server no longer knows the position."""
    failures = progress.failures
    return bool(failures) and getattr(failures[-1].error, "status", None) == GONE


#: The strategy of a watch: its position is the resourceVersion of the last event.
BY_VERSION = Decide(_mode, start=None, advance=version_of)


def _never(_: object) -> bool:
    """Each end of a watch is only a reason to open it again."""
    return False


def _leaves_cluster(error: Exception) -> bool:
    return is_final(error) and getattr(error, "status", None) != GONE


def _stop(_: object, memo: dict[str, Any]) -> None:
    """Make a blocked watch return."""
    if MEMO in memo:
        memo[MEMO].stop()


@dataclass(frozen=True, slots=True)
class _Objects:
    """Which objects are listed and watched, and how."""

    list_function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    name: str

    def events(self, progress: Progress[Any]) -> Generator[Any]:
        """Yield the events that follow the position, and bookmarks."""
        wants_bookmarks = bool(self.kwargs.get("allow_watch_bookmarks"))
        version: Any = progress.cursor
        if version is not None and _is_gone(progress):  # before the first item: no takeover yet
            yield Bookmark(None)
            version = None
        if version is None:
            with closing(self._listed()) as listed:
                for event in listed:
                    version = event["raw_object"]["metadata"]["resourceVersion"]
                    if event["type"] == "ADDED" or wants_bookmarks:
                        yield event
            yield Bookmark(version)
        with closing(self._changes(version, progress.memo)) as changes:
            for event in changes:
                version = event["raw_object"]["metadata"]["resourceVersion"]
                is_bookmark = event["type"] == "BOOKMARK" and not wants_bookmarks
                yield Bookmark(version) if is_bookmark else event
        yield Bookmark(version)  # progress: a server that is well ends each watch after a while

    # Only requests fail in these two; what the consumer throws in never gets here.

    def _listed(self) -> Generator[dict[str, Any]]:
        """Yield an event for each object, and a BOOKMARK at the end of the list."""
        more: dict[str, Any] = {}
        trail = Trail()
        while True:
            with _named_errors(self.name):
                page = self.list_function(*self.args, **self.kwargs, **more)
            found, metadata, plain = self._parts(page)
            for each in found:
                yield {"type": "ADDED", "object": each, "raw_object": plain(each)}
            following = metadata.get("continue")
            if not following:
                break
            if following in trail:
                raise DivergedStream(f"{self.name}: a page of the list repeats, without end")
            trail, more = trail.to(following), {"_continue": following}
        version = metadata["resourceVersion"]
        end = {"metadata": {"resourceVersion": version, "annotations": LIST_END}}
        yield {"type": "BOOKMARK", "object": end, "raw_object": end}

    def _parts(self, page: Any) -> tuple[Any, dict[str, Any], Callable[[Any], Any]]:
        """The objects of a page, its metadata, and what turns an object into a dict."""
        if issubclass(type(page), dict):  # custom resources have no models
            return page["items"], page["metadata"], _same
        client = getattr(getattr(self.list_function, "__self__", None), "api_client", None)
        if client is None or not hasattr(page, "metadata"):
            raise _not_a_list(page)
        plain = client.sanitize_for_serialization
        return page.items, plain(page.metadata), plain

    def _changes(self, version: str | None, memo: dict[str, Any]) -> Generator[dict[str, Any]]:
        """Yield the events after this resourceVersion, until the server ends the watch."""
        kind: Any = import_module("kubernetes.watch").Watch
        options = {"timeout_seconds": WATCH_SECONDS, **self.kwargs, "allow_watch_bookmarks": True}
        silence = options["timeout_seconds"] + GRACE_SECONDS
        options.setdefault("_request_timeout", (CONNECT_SECONDS, silence))
        options.pop("limit", None)
        watch = memo[MEMO] = kind()
        stream = watch.stream(self.list_function, *self.args, resource_version=version, **options)
        with closing(stream) as events, _named_errors(self.name):
            for event in events:
                if event is None:
                    raise SourceError(f"{self.name}: an event is not valid JSON")
                yield event


def _same(record: Any) -> Any:
    return record


def _not_a_list(page: Any) -> TypeError:
    """The error for a function that is none of a sync client."""
    if iscoroutine(page):
        page.close()
    return TypeError(
        "kube_watch(list_function) must be a method of a kubernetes client, such as "
        f"api.list_namespaced_pod, that returns a list; it has returned a {type(page).__name__}"
    )


@contextmanager
def _named_errors(name: str) -> Generator[None]:
    """Raise a status that is a failure as a `BadResponse`, which says nothing of the body."""
    api_error: type[Exception] = import_module("kubernetes.client").ApiException
    try:
        yield
    except api_error as error:
        status = status_of(error)
        if status is None:  # of a connection that failed
            raise SourceError(f"{name}: {getattr(error, 'reason', None)}") from error
        raise BadResponse(name, status, retry_after=retry_after_of(error)) from error
