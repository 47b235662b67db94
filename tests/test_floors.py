"""The floors of the house: a module imports from its own floor or those below, never from above."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import failover_iter

HOUSE = Path(failover_iter.__file__).parent
FLOORS = (
    {"errors", "events", "_tally", "_types"},
    {"_checks", "_strategies", "_options", "_entries", "_matching", "_backoff"},
    {
        "_failures",
        "_record",
        "_commands",
        "_sources",
        "_limits",
        "_telling",
        "_timing",
        "_core",
        "_attempt",
    },
    {
        "_log",
        "_clock",
        "_closing",
        "_plain",
        "_delegate",
        "_pull_thread",
        "_pull_asyncio",
        "_pull_trio",
    },
    {"_begin", "_sync", "_async"},
    {"policy", "_decorator", "_api"},
)
FLOOR_OF = {module: floor for floor, modules in enumerate(FLOORS) for module in modules}
TOP = len(FLOORS)  # trace, the demonstration, the package itself: whatever else there is
PURE = {module for modules in FLOORS[:3] for module in modules}
IMPURE = {"asyncio", "logging", "threading", "time", "trio"}

MODULES = {
    ".".join(path.relative_to(HOUSE).with_suffix("").parts): path for path in HOUSE.rglob("*.py")
}

PROGRAMS = {name for name in MODULES if name.startswith("_demo")}  # started, never imported
KIT = {
    name for name in MODULES if name.startswith("testing.")
}  # for tests: it has a loop of its own


def floor_of(module: str) -> int:
    """The floor on which a module of the package lives."""
    return FLOOR_OF.get(module, TOP)


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    """The full names of what these statements import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute in this house"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(path: Path) -> set[str]:
    """What a file imports anywhere: at its top, in a function, for type checkers alone."""
    return set(imported(ast.walk(ast.parse(path.read_text("utf-8")))))


def from_the_house(names: set[str]) -> set[str]:
    """The modules of the package among these names."""
    inside = (name.split(".")[1:] for name in names if name.split(".")[0] == "failover_iter")
    return {parts[0] for parts in inside if parts}


def roots(names: set[str]) -> set[str]:
    """The top-level packages of these names."""
    return {name.split(".")[0] for name in names}


def test_each_floor_is_there() -> None:
    """The table above names no module that the package does not have."""
    assert FLOOR_OF.keys() <= MODULES.keys()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_from_no_floor_above(module: str) -> None:
    """A module imports nothing from a floor above its own."""
    below = floor_of(module)
    used = from_the_house(imports(MODULES[module]))
    assert [name for name in sorted(used) if floor_of(name) > below] == []


def test_the_tree_names_each_module() -> None:
    """CONTRIBUTING shows each module of the package, so that a newcomer finds it."""
    tree = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text("utf-8")
    files = {path.name for path in MODULES.values()} - {"__init__.py"}
    assert sorted(name for name in files if f" {name} " not in tree) == []


def test_drivers_know_nothing_of_each_other() -> None:
    """Neither driver imports the other: what they share lives below them."""
    assert "_async" not in from_the_house(imports(MODULES["_sync"]))
    assert "_sync" not in from_the_house(imports(MODULES["_async"]))


@pytest.mark.parametrize("module", sorted(PURE))
def test_lower_floors_are_pure(module: str) -> None:
    """The three lower floors know no loop, thread, clock or log, and but one of them any chance."""
    forbidden = IMPURE if module == "_backoff" else IMPURE | {"random"}
    assert roots(imports(MODULES[module])) & forbidden == set()


PULLERS = {"_pull_asyncio", "_pull_trio"}  # imported by a stream that runs under that library


@pytest.mark.parametrize("module", sorted(MODULES.keys() - PROGRAMS - PULLERS))
def test_no_loop_is_imported_with_the_package(module: str) -> None:
    """asyncio and trio are imported where they are used, never when a module is."""
    top = ast.parse(MODULES[module].read_text("utf-8")).body
    loops = {"trio"} if module in KIT else {"asyncio", "trio"}
    assert roots(set(imported(top))) & loops == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_the_kit_alone_knows_hypothesis(module: str) -> None:
    """And not even the kit knows pytest."""
    forbidden = {"pytest"} if module in KIT else {"pytest", "hypothesis"}
    assert roots(imports(MODULES[module])) & forbidden == set()


@pytest.mark.parametrize("module", sorted(MODULES.keys() - KIT - {"testing.__init__"}))
def test_nothing_imports_the_kit(module: str) -> None:
    """It stands on top: the package works without its extra."""
    assert "testing" not in from_the_house(imports(MODULES[module]))
