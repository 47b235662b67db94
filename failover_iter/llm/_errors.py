"""`ProviderError`: what goes wrong in an answer without an exception of the SDK."""

from __future__ import annotations

from typing import Any

from failover_iter.llm._status import is_transient_status, status_of_code

__all__ = ["ProviderError"]


class ProviderError(Exception):
    """An answer went wrong, and the SDK raised nothing.

    An error that the provider sent as a part of its stream; a reason to finish which is an error;
    an answer that is empty, was cut, or has a hole. `is_transient` says whether another provider
    may do better: not where `request_error` is true.

    Args:
        message: what happened.
        provider: name of the protocol.
        model: the model that was asked.
        status: the HTTP status that the error stands for, where that is known.
        code: the provider's name for it; "cut", "empty" and "hole" are the library's own.
        retry_after: seconds to wait, where the provider said so.
        request_error: whether the request is at fault; by status and code unless given.
        raw: the SDK's own object.

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
        status: int | None = None,
        code: str | None = None,
        retry_after: float | None = None,
        request_error: bool | None = None,
        raw: Any = None,
    ) -> None:
        """Say what happened, and whose fault it is."""
        super().__init__(message)
        self.message = message
        self.provider = provider
        self.model = model
        self.status = status if status is not None else status_of_code(code)
        self.code = code
        self.retry_after = retry_after
        if request_error is None:
            request_error = self.status is not None and not is_transient_status(self.status)
        self.request_error = request_error
        self.raw = raw

    def __str__(self) -> str:
        """Who, what, and the provider's name for it."""
        who = f"{self.provider} ({self.model}): " if self.provider else ""
        return f"{who}{self.message}{f' [{self.code}]' if self.code else ''}"
