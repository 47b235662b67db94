"""The cases of the matrix, and how a missing SDK is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from llm.sdks import SDK, SDKS


def skip_unless_installed(sdk: SDK) -> Iterable[Any]:
    """A mark for the cases of an SDK that is not here."""
    extra = "litellm" if sdk.package == "litellm" else "test-llm"
    reason = f"{sdk.package} is not installed ('.[{extra}]')"
    return () if sdk.installed else [pytest.mark.skip(reason=reason)]


def cases(*rest: Iterable[str]) -> list[Any]:
    """Each SDK, blocking and async, with each of the rest."""
    return list(_cases(rest))


def _cases(rest: tuple[Iterable[str], ...]) -> Iterator[Any]:
    for sdk in SDKS.values():
        for flavour in sdk.flavours:
            for more in rest or [[None]]:
                for value in more:
                    values = (sdk, flavour) if value is None else (sdk, flavour, value)
                    name = "-".join([sdk.name, *values[1:]])
                    yield pytest.param(*values, id=name, marks=skip_unless_installed(sdk))
