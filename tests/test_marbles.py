"""The marble diagrams of the docs match what the library does now."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def marbles() -> Iterator[ModuleType]:
    """The drawing tool, imported from its folder."""
    sys.path.insert(0, str(DOCS / "tools"))
    try:
        yield import_module("marbles")
    finally:
        sys.path.remove(str(DOCS / "tools"))
        sys.modules.pop("marbles", None)


def test_each_picture_is_up_to_date(marbles: ModuleType) -> None:
    """Each diagram, drawn again from a fresh run, equals the stored file."""
    drawn = marbles.pictures()
    files = {path.name: path.read_text("utf-8") for path in (DOCS / "marbles").glob("*.svg")}
    stale = sorted(
        name for name in drawn.keys() | files.keys() if drawn.get(name) != files.get(name)
    )
    assert stale == [], "run `python docs/tools/marbles.py`"


def test_each_picture_is_shown(marbles: ModuleType) -> None:
    """Each diagram is shown on a page."""
    pages = "".join(page.read_text("utf-8") for page in DOCS.rglob("*.md"))
    assert [name for name in marbles.pictures() if f"marbles/{name})" not in pages] == []


def test_a_picture_is_an_svg_with_a_title(marbles: ModuleType) -> None:
    """Each diagram is well-formed and has a title for screen readers."""
    for svg in marbles.pictures().values():
        root = ET.fromstring(svg)
        assert root.tag.endswith("}svg")
        assert root[0].tag.endswith("}title")
        assert root[0].text
