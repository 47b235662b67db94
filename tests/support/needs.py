"""Libraries that only the pages about them need: the extra `test-docs` has them."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import pytest

#: Set where all of them are installed: what is missing is then an error, and not left out.
COMPLETE = "FAILOVER_ITER_TEST_DOCS"


def needs(module: str) -> Any:
    """Import it, or leave the test out where it is not installed."""
    if os.environ.get(COMPLETE):
        return import_module(module)
    return pytest.importorskip(module, reason=f"{module} is not installed: extra test-docs")
