"""The site: its reference shows each public name, and its tabs are those that readers look for."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import failover_iter

ROOT = Path(__file__).parents[1]
PACKAGE = Path(failover_iter.__file__).parent
NAVIGATION = (ROOT / "mkdocs.yml").read_text("utf-8").partition("\nnav:\n")[2]
PAGES = sorted((ROOT / "docs" / "reference").glob("*.md"))
SHOWN = [
    name
    for page in PAGES
    for name in re.findall(r"^::: (\S+)", page.read_text("utf-8"), re.MULTILINE)
]


def public_modules() -> Iterator[tuple[str, list[str]]]:
    """Each public module, and its `__all__`."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if any(part.startswith("_") for part in parts):
            continue
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                yield ".".join(parts), ast.literal_eval(node.value)


MODULES = dict(public_modules())


def test_public_modules_are_found() -> None:
    """The package itself, its modules and its packages are among them."""
    assert {"failover_iter", "failover_iter.errors", "failover_iter.llm.langchain"} <= {*MODULES}
    assert MODULES["failover_iter"] == failover_iter.__all__


@pytest.mark.parametrize(
    ("module", "names"), [pytest.param(*found, id=found[0]) for found in MODULES.items()]
)
def test_the_reference_shows_each_public_name(module: str, names: list[str]) -> None:
    """A reference page shows each name, of its module or of the package, or the whole module."""
    shown = {*SHOWN}
    for whole in {*SHOWN} & {*MODULES}:
        shown |= {f"{where}.{name}" for name in MODULES[whole] for where in (whole, PACKAGE.name)}
    missing = [
        name
        for name in names
        if f"{module}.{name}" not in shown
        and (name not in failover_iter.__all__ or f"{PACKAGE.name}.{name}" not in shown)
    ]
    assert missing == []


def test_the_reference_shows_only_public_names() -> None:
    """Each name that a reference page shows is a public module, or in the `__all__` of one."""
    public = {*MODULES} | {f"{module}.{name}" for module in MODULES for name in MODULES[module]}
    assert [name for name in SHOWN if name not in public] == []


def test_no_name_is_shown_twice() -> None:
    """Each name has one place in the reference, so that links to it are unambiguous."""
    assert [name for name, count in Counter(SHOWN).items() if count > 1] == []


def test_the_tabs() -> None:
    """The tabs at the top, from left to right."""
    tabs = re.findall(r"^  - (.+):$", NAVIGATION, re.MULTILINE)
    assert tabs == ["Guide", "Sources", "LLM", "Resilience", "Testing", "Reference", "Comparison"]


def test_each_page_has_a_place() -> None:
    """The navigation names each page once, and only pages that exist or are generated."""
    named = re.findall(r": (\S+\.md)$", NAVIGATION, re.MULTILINE)
    pages = [page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md")]
    assert sorted(named) == sorted([*pages, "benchmarks.md"])


def test_the_figure_on_the_landing_page() -> None:
    """The landing page says the cost that was measured."""
    results = (ROOT / "benchmarks" / "RESULTS.md").read_text("utf-8")
    page = " ".join((ROOT / "docs" / "index.md").read_text("utf-8").split())
    column = re.findall(r"CPython [\d.]+", results[results.index("| goal |") :]).index(
        "CPython 3.13"
    )
    older = rf"(?: \S+ !? ?\|){{{column}}}"  # figures of older versions
    cost = re.search(rf"per item, default options \| \S+ [\d.]+ \|{older} ([\d.]+)", results)
    loop = re.search(r"naive loop, ns per item \| ([\d.]+) ", results)
    first = re.search(
        rf"µs to the first item, failover_stream \| \S+ [\d.]+ \|{older} ([\d.]+)", results
    )
    assert cost is not None
    assert loop is not None
    assert first is not None
    assert f"at most {round(float(cost[1]) * 100)} % to the time" in page
    assert f"about {float(cost[1]) * float(loop[1]):.0f} ns per item" in page
    assert f"about {float(first[1]):.0f} µs" in page
