"""What the LLM tests share: the server, a loop, one client for each SDK and time-out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from llm.harness import Harness, new_harness

#: Warnings are errors in this suite; these are the SDKs' own, about their own code.
SDK_WARNINGS = (
    "ignore:Inheritance class AiohttpClientSession:DeprecationWarning",  # google-genai
    "ignore:Accessing the 'model_:DeprecationWarning",  # litellm
    "ignore:Items? .* using the `ReadOnly` qualifier:UserWarning",  # pydantic, of its Router
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the SDKs warn of themselves."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            for warning in SDK_WARNINGS:
                item.add_marker(pytest.mark.filterwarnings(warning))


@pytest.fixture(scope="session")
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    """Where streams are tried: of those SDKs that this run of the tests is about."""
    params = (getattr(item, "callspec", None) for item in request.session.items)
    wanted = [spec.params for spec in params if spec and "sdk" in spec.params]
    variants = {(each["sdk"].name, each["flavour"]): each["sdk"] for each in wanted}
    with new_harness([(sdk, flavour) for (_, flavour), sdk in variants.items()]) as made:
        yield made
