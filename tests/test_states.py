"""The state diagram of the docs shows the table of the core."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

from failover_iter._core.state import IN_RACE, TRANSITIONS, State

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def states() -> Iterator[ModuleType]:
    """The tool that draws the diagram, imported from its folder."""
    sys.path.insert(0, str(DOCS / "tools"))
    try:
        yield import_module("states")
    finally:
        sys.path.remove(str(DOCS / "tools"))
        sys.modules.pop("states", None)


def test_the_picture_is_up_to_date(states: ModuleType) -> None:
    """Drawn anew from the table, it is the file that the page shows."""
    assert states.PICTURE.read_text("utf-8") == states.picture(), (
        "run `python docs/tools/states.py`"
    )
    page = (states.PICTURE.parent / "one-core.md").read_text("utf-8")
    assert f"]({states.PICTURE.name})" in page


def test_the_arrows_are_the_transitions(states: ModuleType) -> None:
    """There is one arrow for each pair of states of the table, with all inputs of that pair."""
    arrows = {
        (before, word, after)
        for (before, after), words in states.arrows().items()
        for word in words
    }
    assert arrows == {
        (before, word, after)
        for table in (TRANSITIONS, IN_RACE)
        for before, words in table.items()
        for word, states_after in words.items()
        for after in states_after
    }
    texts = [text.text for text in ET.fromstring(states.picture()).iter() if "text" in text.tag]
    assert len(texts) == len(states.arrows()) + len(State)
    assert {", ".join(words) for words in states.arrows().values()} <= set(texts)
    assert {state.name for state in State} <= set(texts)


def test_each_input_of_the_core_is_on_the_page(states: ModuleType) -> None:
    """The sketch of the page names all inputs of the table."""
    page = (states.PICTURE.parent / "one-core.md").read_text("utf-8")
    words = {word for table in (TRANSITIONS, IN_RACE) for said in table.values() for word in said}
    assert sorted(word for word in words if word not in page) == []


def test_the_picture_is_an_svg_with_a_title(states: ModuleType) -> None:
    """It is well-formed, and says what it shows to readers who do not see it."""
    root = ET.fromstring(states.picture())
    assert root.tag.endswith("}svg")
    assert root[0].tag.endswith("}title")
    assert root[0].text
