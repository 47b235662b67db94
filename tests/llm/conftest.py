"""Fixtures of the LLM tests: one server, one event loop, one client per SDK and timeout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llm.harness import Harness, new_harness

#: Warnings are errors in this suite, except these, which the SDKs raise about their own code.
SDK_WARNINGS = (
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning",  # google-genai
    "ignore:Accessing the 'model_:DeprecationWarning",  # litellm
    "ignore:Pydantic serializer warnings:UserWarning",  # litellm
    "ignore:Items? .* using the `ReadOnly` qualifier:UserWarning",  # pydantic, of its Router
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Ignore the warnings that SDKs raise about their own code."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in SDK_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    """The harness for the SDKs that the selected tests use."""
    params = (getattr(item, "callspec", None) for item in request.session.items)
    wanted = [spec.params for spec in params if spec and "sdk" in spec.params]
    variants = {(each["sdk"].name, each["flavour"]): each["sdk"] for each in wanted}
    with new_harness([(sdk, flavour) for (_, flavour), sdk in variants.items()]) as made:
        yield made
