"""The six import rules of the package, and what else its structure promises."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import failover_iter

HOUSE = Path(failover_iter.__file__).parent

#: The modules of rules 1, 2 and 5; a package means all of its modules.
VALUES = {"errors", "events", "_types"}
OPTIONS = {"_validation", "_mid_stream", "_options", "_source", "_backoff", "typing"}
OPTIONS |= {"_percentile"}
CORE, DRIVERS = "_core", "_drivers"
SURFACE = {"policy", "_decorator", "_api", "_in_thread", "_hedge", "health", "budget"}
SURFACE |= {"checkpoint"}
PUBLIC = {"errors", "events", "policy", "trace", "typing", "testing", "llm", "sources", "health"}
PUBLIC |= {"budget", "checkpoint", "observe"}

#: What each room may import of the package, besides itself; rule 6 is for all others.
RULES = [
    (VALUES, VALUES),
    (OPTIONS, VALUES | OPTIONS),
    ({CORE}, VALUES | OPTIONS | {CORE}),
    ({DRIVERS}, VALUES | OPTIONS | {CORE, DRIVERS}),
    (SURFACE, VALUES | OPTIONS | {CORE, DRIVERS} | SURFACE),
]
#: The one private module that rule 6 lets the kit use: tests replace the clock.
CLOCK = "_drivers.clock"

IMPURE = {"asyncio", "logging", "threading", "time", "trio"}
#: Imported only by a stream that runs under that library, or with redis-py, which imports asyncio.
LOOPS = {"_drivers.timed_asyncio", "_drivers.timed_trio", "llm._openai_body"}
LOOPS |= {"_drivers.tasks_asyncio", "_drivers.tasks_trio", "testing._trio_world"}
LOOPS |= {"redis", "redis._checkpoints", "redis._clients", "redis._sender"}


def name_of(path: Path) -> str:
    """The name of a module inside the package, a package without its `__init__`."""
    parts = path.relative_to(HOUSE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in HOUSE.rglob("*.py")}
PROGRAMS = {name for name in MODULES if name.split(".")[0] in ("_cli", "__main__")}
KIT = {name for name in MODULES if name.split(".")[0] == "testing"}
PURE = {name for name in MODULES if name.split(".")[0] in VALUES | OPTIONS | {CORE}}


def imported(nodes: Iterator[ast.AST] | list[ast.stmt]) -> Iterator[str]:
    """The full names of what these statements import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute in this package"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imports(path: Path) -> set[str]:
    """All imports of a file: at its top, in a function, for type checkers alone."""
    return set(imported(ast.walk(ast.parse(path.read_text("utf-8")))))


def modules_of(names: set[str]) -> set[str]:
    """The modules of the package that these names are imported from."""
    found = set[str]()
    for name in names:
        root, *parts = name.split(".")
        while root == "failover_iter" and ".".join(parts) not in MODULES:
            parts.pop()  # the last part names something in a module
        if root == "failover_iter":
            found.add(".".join(parts))
    return found


def roots(names: set[str]) -> set[str]:
    """The top-level packages of these names."""
    return {name.split(".")[0] for name in names}


def allowed(room: str) -> set[str]:
    """The rooms that a room may import from."""
    return next((may for rooms, may in RULES if room in rooms), {"", room, *PUBLIC})


def test_the_rules_name_what_there_is() -> None:
    """Each room in the rules exists."""
    named = {room for rooms, may in RULES for room in rooms | may} | PUBLIC
    assert sorted(named - {name.split(".")[0] for name in MODULES}) == []


@pytest.mark.parametrize("module", sorted(MODULES.keys() - {""}))
def test_a_module_imports_only_from_the_rooms_below_it(module: str) -> None:
    """Each of the six rules, for imports in functions and for type checkers too."""
    room = module.split(".", maxsplit=1)[0]
    used = modules_of(imports(MODULES[module]))
    if module in KIT:
        used.discard(CLOCK)
    if module == "__main__":
        room = "_cli"
    assert [name for name in sorted(used) if name.split(".")[0] not in allowed(room)] == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports form no circle."""
    uses = {name: modules_of(imports(path)) - {""} for name, path in MODULES.items()}
    left = dict(uses)
    while ready := [name for name, used in left.items() if not used & left.keys()]:
        for name in ready:
            del left[name]
    assert sorted(left) == []


def test_the_drivers_know_nothing_of_each_other() -> None:
    """Neither driver imports the other: shared code has separate modules."""
    assert "_drivers.aio" not in modules_of(imports(MODULES["_drivers.sync"]))
    assert "_drivers.sync" not in modules_of(imports(MODULES["_drivers.aio"]))


@pytest.mark.parametrize("module", sorted(PURE))
def test_the_core_is_pure(module: str) -> None:
    """Neither the core nor what it stands on knows a loop, a thread, a clock, a log or chance."""
    forbidden = IMPURE if module == "_backoff" else IMPURE | {"random"}
    assert roots(imports(MODULES[module])) & forbidden == set()


@pytest.mark.parametrize("module", sorted(MODULES.keys() - PROGRAMS - LOOPS))
def test_no_loop_is_imported_with_the_package(module: str) -> None:
    """Asyncio and trio are imported where they are used, never when a module is."""
    top = ast.parse(MODULES[module].read_text("utf-8")).body
    loops = {"trio"} if module in KIT else {"asyncio", "trio"}
    assert roots(set(imported(top))) & loops == set()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_only_the_kit_knows_hypothesis(module: str) -> None:
    """The kit imports hypothesis, nothing else does, and nothing imports pytest."""
    forbidden = {"pytest"} if module in KIT else {"pytest", "hypothesis"}
    assert roots(imports(MODULES[module])) & forbidden == set()


@pytest.mark.parametrize("module", sorted(MODULES.keys() - KIT - {"_cli.serve"}))
def test_nothing_imports_the_kit(module: str) -> None:
    """The package works without the extra that the kit needs, but for the command that runs it."""
    assert not modules_of(imports(MODULES[module])) & KIT


def test_the_tree_names_each_module() -> None:
    """CONTRIBUTING shows each module of the package, so that a newcomer finds it."""
    tree = (Path(__file__).parent.parent / "CONTRIBUTING.md").read_text("utf-8")
    files = {path.name for path in MODULES.values()} - {"__init__.py"}
    assert sorted(name for name in files if f" {name} " not in tree) == []
