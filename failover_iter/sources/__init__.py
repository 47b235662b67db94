"""Sources with resume built in, for the clients that you already use and configure.

Each function returns a `Source` that resumes exactly where the stream is, so that a stream needs no
`mid_stream`. The name of the source, the cursor, `reset_on_progress` and the errors that leave the
source at once are set.

Each source has a file. A third-party package is imported only by the file that needs it, and only
when it is used.
"""

import typing as _typing

if _typing.TYPE_CHECKING:
    from failover_iter.sources._as_file import as_file
    from failover_iter.sources._http_bytes import http_bytes
    from failover_iter.sources._http_lines import http_lines
    from failover_iter.sources._keyset import keyset
    from failover_iter.sources._kube_watch import kube_watch
    from failover_iter.sources._page_fetchers import boto3_fetch, google_fetch, stripe_fetch
    from failover_iter.sources._pages import pages
    from failover_iter.sources._ranged import ranged
    from failover_iter.sources._redis_stream import redis_stream
    from failover_iter.sources._response import BadResponse
    from failover_iter.sources._sse import sse
else:
    # Each name is imported on first access, so that a program pays only for what it uses.
    _HOMES = {
        "BadResponse": "_response",
        "as_file": "_as_file",
        "boto3_fetch": "_page_fetchers",
        "google_fetch": "_page_fetchers",
        "http_bytes": "_http_bytes",
        "http_lines": "_http_lines",
        "kube_watch": "_kube_watch",
        "pages": "_pages",
        "keyset": "_keyset",
        "ranged": "_ranged",
        "redis_stream": "_redis_stream",
        "sse": "_sse",
        "stripe_fetch": "_page_fetchers",
    }

    def __getattr__(name: str) -> object:  # type checkers would accept any name
        from importlib import import_module

        if name not in _HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


__all__ = [
    "BadResponse",
    "as_file",
    "boto3_fetch",
    "google_fetch",
    "http_bytes",
    "http_lines",
    "keyset",
    "kube_watch",
    "pages",
    "ranged",
    "redis_stream",
    "sse",
    "stripe_fetch",
]
