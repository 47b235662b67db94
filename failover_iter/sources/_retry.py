"""Reading the error of a client: the status of the response, and the pause that it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from failover_iter import Failed
from failover_iter.sources._response import is_final, is_final_status, retry_after_in

#: The longest pause in seconds that a server can make a stream wait, as in `llm.retry_after`.
MAXIMUM = 60.0


@dataclass(frozen=True, slots=True)
class Wait:
    """The option `wait`: the pause that the server asks for, up to `MAXIMUM`, or another one."""

    otherwise: Callable[[Failed], Any]

    def __call__(self, failed: Failed) -> Any:
        """Return the pause after this failure."""
        asked = retry_after_of(failed.error)
        return self.otherwise(failed) if asked is None else min(asked, MAXIMUM)


def retry_after_of(error: object) -> float | None:
    """The pause in seconds that the server asks for, wherever the client keeps it."""
    own = getattr(error, "retry_after", None)
    if isinstance(own, int | float) and 0 <= own < inf:
        return float(own)
    headers = _response_of(error)[1]
    return retry_after_in({str(name).title(): str(value) for name, value in headers.items()})


def status_of(error: object) -> int | None:
    """The HTTP status of the response that the error is about, if it is about one."""
    return _response_of(error)[0]


def leaves_source(error: Exception) -> bool:
    """Whether it makes no sense to ask the same server again."""
    status = status_of(error)
    return is_final(error) or (status is not None and is_final_status(status))


def _response_of(error: Any) -> tuple[int | None, Mapping[Any, Any]]:
    """The status and the header fields: each client keeps them in another place."""
    response: Any = getattr(error, "response", None)
    if issubclass(type(response), dict):  # boto3
        aws: dict[str, Any] = response.get("ResponseMetadata") or {}
        return aws.get("HTTPStatusCode"), aws.get("HTTPHeaders") or {}
    place = error if response is None else response
    codes = (getattr(place, name, None) for name in ("status_code", "status", "code"))
    status = next((each for each in codes if isinstance(each, int) and 300 <= each < 600), None)
    headers: Any = getattr(place, "headers", None)
    return status, headers if hasattr(headers, "items") else {}
