"""A scripted API server of Kubernetes: config maps, and watches that end or break."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from failover_iter.testing._loopback import LoopbackHandler, serving

KINDS = {"+": "ADDED", "~": "MODIFIED", "-": "DELETED"}
GONE = {"code": 410, "reason": "Expired", "message": "too old resource version"}


@dataclass(frozen=True)
class Watch:
    """How the server answers one watch: how many events, and how it ends.

    `end` is "regular", "fin" (in the middle of an event), "reset", "stall", "garbage", "gone" (an
    ERROR event), or a status with which it answers instead.
    """

    events: int = 1000
    end: str | int = "regular"
    #: After how many events a BOOKMARK comes.
    bookmark: int | None = None


class Cluster:
    """The state of the cluster: an object for each name, and what happened to it."""

    def __init__(
        self,
        *watches: Watch,
        then: Sequence[Sequence[str]] = (),
        lists: Sequence[int | None] = (),
    ) -> None:
        self.version = 100
        #: The changes after each list was answered: "+name", "~name", "-name".
        self.then = list(then)
        #: The oldest version that it still knows.
        self.oldest = 0
        self.history: list[dict[str, Any]] = []
        self.objects: dict[str, dict[str, Any]] = {}
        self.watches = list(watches)
        self.lists = list(lists)
        self.requests: list[dict[str, str]] = []
        self.url = ""
        self._lock = threading.Lock()

    def change(self, *changes: str) -> None:
        for change in changes:
            self._change(KINDS[change[0]], change[1:])

    def _change(self, kind: str, name: str) -> None:
        self.version += 1
        metadata = {"name": name, "resourceVersion": str(self.version)}
        changed = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": metadata}
        self.history.append({"type": kind, "object": changed})
        self.objects[name] = changed
        if kind == "DELETED":
            del self.objects[name]

    def listed(self, query: dict[str, str]) -> dict[str, Any]:
        start, limit = int(query.get("continue", 0)), int(query.get("limit", 1000))
        rest = list(self.objects.values())[start:]
        more = {"continue": str(start + limit)} if len(rest) > limit else {}
        metadata = {"resourceVersion": str(self.version), **more}
        items = rest[:limit]
        return {"kind": "ConfigMapList", "apiVersion": "v1", "metadata": metadata, "items": items}

    def events_after(self, version: str) -> list[dict[str, Any]]:
        number = int(version)
        if not number:  # a watch without a version starts with what there is
            return [{"type": "ADDED", "object": each} for each in self.objects.values()]
        return [
            event
            for event in self.history
            if int(event["object"]["metadata"]["resourceVersion"]) > number
        ]

    def next_watch(self) -> Watch:
        with self._lock:
            return self.watches.pop(0) if self.watches else Watch(end=404)


class _Handler(LoopbackHandler):
    cluster: Cluster

    def do_GET(self) -> None:  # noqa: N802 (its name in the base)
        self.close_connection = True
        query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
        self.cluster.requests.append(query)
        with suppress(OSError):
            if query.get("watch", "false").lower() == "true":
                self.watch(query)
            else:
                self.list(query)

    def list(self, query: dict[str, str]) -> None:
        status = self.cluster.lists.pop(0) if self.cluster.lists else None
        if status is not None:
            self.send_status(status)
            return
        listed = self.cluster.listed(query)
        if "continue" not in listed["metadata"] and self.cluster.then:
            self.cluster.change(*self.cluster.then.pop(0))
        body = json.dumps(listed).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def watch(self, query: dict[str, str]) -> None:
        watch = self.cluster.next_watch()
        if isinstance(watch.end, int):
            if watch.end == 410:
                self.cluster.oldest = self.cluster.version
            self.send_status(watch.end)
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Connection", "close")
        self.end_headers()
        version = query.get("resourceVersion", "0")
        if version != "0" and int(version) < self.cluster.oldest:
            self.end("gone")
            return
        for number, event in enumerate(self.cluster.events_after(version)[: watch.events]):
            if number == watch.bookmark:
                self.bookmark(version)
            self.send_chunk(json.dumps(event).encode() + b"\n")
            version = event["object"]["metadata"]["resourceVersion"]
        if watch.bookmark == watch.events:
            self.bookmark(str(self.cluster.version))
        self.end(watch.end)

    def bookmark(self, version: str) -> None:
        at = {"kind": "ConfigMap", "metadata": {"resourceVersion": version}}
        self.send_chunk(json.dumps({"type": "BOOKMARK", "object": at}).encode() + b"\n")

    def end(self, end: str) -> None:
        if end == "gone":
            self.cluster.oldest = self.cluster.version
            self.send_chunk(json.dumps({"type": "ERROR", "object": GONE}).encode() + b"\n")
        if end == "garbage":
            self.send_chunk(b'{"type": "ADDED", "obj\n')
        if end in {"regular", "gone", "garbage"}:
            self.send_chunk(b"")
        else:
            self.send_chunk(b'{"type": "ADDED", "object": {"metad')
        if end == "stall":
            self.stall()
        if end == "reset":
            self.reset()


@contextmanager
def serving_cluster(cluster: Cluster) -> Generator[Cluster]:
    """Serve the cluster on loopback."""
    handler = type("Handler", (_Handler,), {"cluster": cluster})
    with serving(handler, "kube_server") as http:
        cluster.url = f"http://127.0.0.1:{http.server_address[1]}"
        yield cluster
