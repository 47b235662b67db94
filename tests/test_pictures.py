"""The pictures of the how-to pages are drawn from runs, and are up to date."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def drawn() -> Iterator[dict[str, str]]:
    """The pictures, drawn anew."""
    sys.path.insert(0, str(ROOT))
    try:
        yield import_module("benchmarks.pictures").pictures()
    finally:
        sys.path.remove(str(ROOT))


def test_each_picture_is_up_to_date(drawn: dict[str, str]) -> None:
    """Drawn anew, it is the file that its page shows."""
    for name, svg in drawn.items():
        file = ROOT / "docs" / "how-to" / name
        assert file.read_text("utf-8") == svg, "run `python -m benchmarks.pictures`"
        assert f"]({name})" in file.with_suffix(".md").read_text("utf-8")


def test_each_picture_is_an_svg_with_a_title(drawn: dict[str, str]) -> None:
    """It is well-formed, says what it shows, and follows dark mode."""
    for svg in drawn.values():
        root = ET.fromstring(svg)
        assert root.tag.endswith("}svg")
        assert root[0].text
        assert "prefers-color-scheme: dark" in svg
