"""`ProviderError`: a failed answer for which the SDK raised no exception."""

from __future__ import annotations

from typing import Any

from failover_iter.llm._kinds import TRANSIENT, ErrorKind, KnownKind, kind_of
from failover_iter.llm._status import status_of_code

__all__ = ["ProviderError"]


class ProviderError(KnownKind):
    """An answer failed, but the SDK raised no exception.

    Adapters raise it for an error that the provider sent within its stream, for a finish reason
    that means a failure, and for an answer that is empty, cut off, or has a hole: an event that
    could not be read. `is_transient` returns True for it unless `request_error` is true.

    Args:
        message: Description of the failure.
        provider: Name of the provider's protocol; empty by default.
        model: Name of the model that was asked; empty by default.
        source: Name of the source, which tells deployments of a model apart; empty by default.
        status: The HTTP status that corresponds to the error; derived from `code` by default, or
            None if unknown.
        code: The provider's name for the error. The adapters add "cut", "empty" and "hole".
        retry_after: How long the provider asks to wait, in seconds; None if it did not say.
        request_error: Whether the request is at fault; derived from `code` and `status` by default.
            The attribute `kind` is the `error_kind`.
        raw: The SDK object that reported the error.

    Example:
        >>> from failover_iter.llm import ProviderError, is_transient
        >>> error = ProviderError("busy", provider="openai", model="gpt", code="server_error")
        >>> print(error, error.status, is_transient(error))
        openai (gpt): busy [server_error] 500 True
    """

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str = "",
        source: str = "",
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        request_error: bool | None = None,
        raw: Any = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.source = source
        self.status = status if status is not None else status_of_code(code)
        self.code = code
        self.retry_after = retry_after
        kind = kind_of([code], self.status, message) or "overloaded"
        if request_error is not None and request_error != (kind not in TRANSIENT):
            kind = "bad_request" if request_error else "overloaded"
        self.kind: ErrorKind = kind
        self.request_error = kind not in TRANSIENT
        self.raw = raw

    def __str__(self) -> str:
        """Return the source, or provider and model, and message and code in one line."""
        where = self.source or (f"{self.provider} ({self.model})" if self.provider else "")
        prefix = f"{where}: " if where else ""
        return f"{prefix}{self.message}{f' [{self.code}]' if self.code else ''}"
