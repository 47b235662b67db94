"""Functions for `pages`, made of the clients that users hold: boto3, Google Cloud, Stripe."""

# Annotations here are objects, not strings: `typing.get_type_hints` works on what is public.

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from inspect import iscoroutinefunction
from typing import Any, Protocol, TypeAlias, overload

from failover_iter import DivergedStream

#: A function for `pages`: token -> (items, next token).
Fetch: TypeAlias = Callable[[Any], tuple[Any, Any]]
#: The same for an async source.
AFetch: TypeAlias = Callable[[Any], Awaitable[tuple[Any, Any]]]


@overload
def boto3_fetch(
    operation: Callable[..., Iterable[Any]], items: str | None = None, **request: Any
) -> Fetch: ...
@overload
def boto3_fetch(
    operation: Callable[..., Awaitable[Any]], items: str | None = None, **request: Any
) -> AFetch: ...
def boto3_fetch(operation: Callable[..., Any], items: str | None = None, **request: Any) -> Any:
    """A function for `pages` that requests the pages of a boto3 operation.

    Args:
        operation: a method of a client, such as `client.list_objects_v2`; one of an aiobotocore
            client makes an async source. Only operations that boto3 can paginate are allowed.
        items: a JMESPath expression that finds the items in a page, such as `Contents` or
            `[Contents, CommonPrefixes][]`; `[@]` makes each page one item. Needed if a page has
            several lists.
        request: the arguments of the operation.

    Raises:
        TypeError: `operation` is not a method of a boto3 client.
        ValueError: boto3 cannot paginate the operation, or `items` is missing.

    Example:
        >>> import boto3
        >>> from botocore.stub import Stubber
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import boto3_fetch, pages
        >>> client = boto3.client("sqs", region_name="eu-north-1", aws_access_key_id="x",
        ...                       aws_secret_access_key="x")
        >>> stub = Stubber(client)
        >>> stub.add_response("list_queues", {"QueueUrls": ["a", "b"], "NextToken": "t"})
        >>> stub.add_client_error("list_queues", "ServiceUnavailable", http_status_code=503)
        >>> stub.add_response("list_queues", {"QueueUrls": ["c"]}, {"NextToken": "t"})
        >>> with stub:
        ...     queues = pages(boto3_fetch(client.list_queues))
        ...     list(failover_stream([queues], retry_on=client.exceptions.ClientError,
        ...                          attempts=3, wait=0))
        ['a', 'b', 'c']
    """
    client = getattr(operation, "__self__", None)
    meta: Any = getattr(client, "meta", None)
    name = getattr(operation, "__name__", "")
    if client is None or name not in getattr(meta, "method_to_api_mapping", ()):
        raise TypeError(
            "boto3_fetch(operation) must be a method of a boto3 client, such as "
            f"client.list_objects_v2, got {operation!r}"
        )
    if not client.can_paginate(name):
        raise ValueError(f"boto3_fetch(operation): boto3 cannot paginate {name}")
    rules = _rules_of(meta.service_model.service_name, meta.method_to_api_mapping[name])
    lists = _listed(rules["result_key"])
    if items is None and len(lists) > 1:
        raise ValueError(
            f"boto3_fetch(items=...) is missing: a page of {name} has {', '.join(lists)}"
        )
    return _fetch(
        operation,
        arguments=partial(_with_boto3_token, request),
        read=partial(_read_boto3, rules, items or lists[0]),
    )


def _rules_of(service: str, operation: str) -> dict[str, Any]:
    """How botocore paginates an operation."""
    session: Any = import_module("botocore.session").get_session()
    rules: dict[str, Any] = session.get_paginator_model(service).get_paginator(operation)
    return rules


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def _with_boto3_token(request: dict[str, Any], token: dict[str, Any] | None) -> dict[str, Any]:
    return {**request, **(token or {})}


def _read_boto3(rules: dict[str, Any], items: str, page: Any) -> tuple[list[Any], Any]:
    """The items of a page, and the arguments that request the next one."""
    search: Any = import_module("jmespath").search  # it has no types, like botocore
    found: list[Any] = search(items, page) or []
    if "more_results" in rules and not search(rules["more_results"], page):
        return found, None
    names, paths = _listed(rules["input_token"]), _listed(rules["output_token"])
    tokens: dict[str, Any] = {
        name: search(path, page) for name, path in zip(names, paths, strict=True)
    }
    return found, {name: token for name, token in tokens.items() if token} or None


@overload
def google_fetch(
    list_function: Callable[..., Iterable[Any]],
    *args: Any,
    items: str | None = None,
    **kwargs: Any,
) -> Fetch: ...
@overload
def google_fetch(
    list_function: Callable[..., Awaitable[Any]],
    *args: Any,
    items: str | None = None,
    **kwargs: Any,
) -> AFetch: ...
def google_fetch(
    list_function: Callable[..., Any], *args: Any, items: str | None = None, **kwargs: Any
) -> Any:
    """A function for `pages` that requests the pages of a Google Cloud client.

    Args:
        list_function: a method of a client that returns a pager, such as `storage.list_blobs` or
            `secrets.list_secrets`. An `async def` method makes an async source.
        args: its arguments.
        items: the field of a page that holds the items, such as "secrets". Needed for methods that
            take a `request`.
        kwargs: its keyword arguments; a `request` is a dict.

    Raises:
        TypeError: `request` is not a dict, or `items` is missing beside it.
        ValueError: `max_results` or `page_token` is set. Use `itertools.islice` on the stream, and
            `pages(start=...)`.

    Example:
        >>> from google.api_core.page_iterator import HTTPIterator
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import google_fetch, pages
        >>> def answer(method, path, query_params):
        ...     if "pageToken" in query_params:
        ...         return {"items": ["c"]}
        ...     return {"items": ["a", "b"], "nextPageToken": "p2"}
        >>> def list_letters(folder, page_token=None):
        ...     return HTTPIterator(None, answer, folder, lambda _, item: item,
        ...                         page_token=page_token)
        >>> letters = pages(google_fetch(list_letters, "/letters"))
        >>> list(failover_stream([letters], retry_on=ConnectionError))
        ['a', 'b', 'c']
    """
    for name, instead in (
        ("max_results", "itertools.islice on the stream"),
        ("page_token", "pages(start=...)"),
    ):
        if name in kwargs:
            raise ValueError(f"google_fetch({name}=...) is not allowed: use {instead}")
    if "request" in kwargs and not (isinstance(kwargs["request"], dict) and items is not None):
        raise TypeError(
            "google_fetch(request=...) must be a dict, and items= the name of a field of the page "
            f"that holds the items, such as 'secrets', got items={items!r}"
        )
    read = _aread_google if iscoroutinefunction(list_function) else _read_google
    return _fetch(
        partial(list_function, *args), partial(_with_google_token, kwargs), partial(read, items)
    )


def _with_google_token(kwargs: dict[str, Any], token: Any) -> dict[str, Any]:
    if "request" not in kwargs:
        return {**kwargs, "page_token": token}
    return {**kwargs, "request": {**kwargs["request"], "page_token": token or ""}}


def _read_google(items: str | None, pager: Any) -> tuple[Any, Any]:
    return _items_of(items, next(iter(pager.pages))), pager.next_page_token


async def _aread_google(items: str | None, pager: Any) -> tuple[Any, Any]:
    return _items_of(items, await anext(pager.pages)), pager.next_page_token


def _items_of(items: str | None, page: Any) -> Any:
    return list(page) if items is None else getattr(page, items)


class AnyPage(Protocol):
    """A page as an object; it may also be a dict."""

    @property
    def data(self) -> Any:
        """The items."""
        ...

    @property
    def has_more(self) -> Any:
        """Whether another page follows."""
        ...


@overload
def stripe_fetch(
    list_function: Callable[..., AnyPage | Mapping[str, Any]],
    *,
    cursor: str = "starting_after",
    **params: Any,
) -> Fetch: ...
@overload
def stripe_fetch(
    list_function: Callable[..., Awaitable[Any]], *, cursor: str = "starting_after", **params: Any
) -> AFetch: ...
def stripe_fetch(
    list_function: Callable[..., Any], *, cursor: str = "starting_after", **params: Any
) -> Any:
    """A function for `pages` that requests what follows the last id, as Stripe's API does.

    For each API whose pages have `data` and `has_more`, and whose items have an `id`.

    Args:
        list_function: called with `params` and the id; returns a page, as an object or a dict. An
            `async def` function makes an async source.
        cursor: the name of the argument that takes the id.
        params: its other arguments.

    Raises:
        DivergedStream: while the stream runs: a page has no items, although it says that more
            follow.

    Example:
        >>> from failover_iter import failover_stream
        >>> from failover_iter.sources import pages, stripe_fetch
        >>> CHARGES = [{"id": "ch_1"}, {"id": "ch_2"}, {"id": "ch_3"}]
        >>> def list_charges(limit, starting_after="ch_0"):
        ...     after = [each for each in CHARGES if each["id"] > starting_after]
        ...     return {"data": after[:limit], "has_more": len(after) > limit}
        >>> charges = pages(stripe_fetch(list_charges, limit=2))
        >>> [charge["id"] for charge in failover_stream([charges], retry_on=ConnectionError)]
        ['ch_1', 'ch_2', 'ch_3']
    """
    return _fetch(
        list_function,
        arguments=partial(_after, cursor, params),
        read=_read_stripe,
    )


def _after(cursor: str, params: dict[str, Any], last: Any) -> dict[str, Any]:
    return params if last is None else {**params, cursor: last}


def _read_stripe(page: Any) -> tuple[list[Any], Any]:
    items = _field(page, "data")
    if not _field(page, "has_more"):
        return items, None
    if not items:
        raise DivergedStream("a page has no items, although its has_more says that more follow")
    return items, _field(items[-1], "id")


def _field(record: Any, name: str) -> Any:
    return record[name] if hasattr(record, "__getitem__") else getattr(record, name)


def _fetch(
    function: Callable[..., Any],
    arguments: Callable[[Any], dict[str, Any]],
    read: Callable[[Any], Any],
) -> Callable[[Any], Any]:
    """Request a page with a function of the client, and read it."""
    kind = _AsyncRequest if iscoroutinefunction(function) else _Request
    return kind(function, arguments, read)


@dataclass(frozen=True)
class _Request:
    """A function that can be pickled if that of the client can."""

    function: Callable[..., Any]
    arguments: Callable[[Any], dict[str, Any]]
    read: Callable[[Any], Any]

    @property
    def __name__(self) -> str:
        """The name of the source."""
        function: Any = self.function
        inner = function.func if isinstance(function, partial) else function
        return str(getattr(inner, "__name__", type(inner).__name__))

    def __call__(self, token: Any) -> Any:
        """Return the items of a page, and the token of the next one."""
        return self.read(self.function(**self.arguments(token)))


class _AsyncRequest(_Request):
    """The same with an async client."""

    async def __call__(self, token: Any) -> Any:
        page = self.read(await self.function(**self.arguments(token)))
        return await page if iscoroutinefunction(self.read) else page
