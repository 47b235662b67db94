"""Parametrized cases: each SDK, blocking and async; those of a missing SDK are skipped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from llm.contents import applies
from llm.sdks import SDK, SDKS


def skip_unless_installed(sdk: SDK) -> Iterable[Any]:
    """Return a skip mark if the SDK is not installed."""
    extra = "litellm" if sdk.package == "litellm" else "test-llm"
    reason = f"{sdk.package} is not installed ('.[{extra}]')"
    return () if sdk.installed else [pytest.mark.skip(reason=reason)]


def cases(*rest: Iterable[str]) -> list[Any]:
    """Return each SDK, blocking and async, combined with each of the other values.

    A value that is a fault is left out where it does not apply to the SDK.
    """
    return list(_cases(rest))


def _cases(rest: tuple[Iterable[str], ...]) -> Iterator[Any]:
    for sdk in SDKS.values():
        for flavour in sdk.flavours:
            for more in rest or [[None]]:
                for value in [each for each in more if each is None or applies(each, sdk)]:
                    values = (sdk, flavour) if value is None else (sdk, flavour, value)
                    name = "-".join([sdk.name, *values[1:]])
                    yield pytest.param(*values, id=name, marks=skip_unless_installed(sdk))
