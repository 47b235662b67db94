"""The code in the pages and the docstrings runs."""

from __future__ import annotations

import ast
import builtins
import io
import re
import shlex
import symtable
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import pytest
from hypothesis import settings
from sybil import Document
from sybil.document import PythonDocStringDocument
from sybil.parsers.markdown import PythonCodeBlockParser
from sybil.parsers.rest import DocTestParser

import failover_iter
from support.needs import needs, unless_installed

ROOT = Path(__file__).parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))]
PACKAGE = Path(failover_iter.__file__).parent
FENCE = re.compile(r"^```(.*)$", re.MULTILINE)
#: The first line of a page whose code needs packages that are not installed with the tests.
NEEDS = re.compile(r"\A<!--- needs: (.*) -->$", re.MULTILINE)
#: A link to a file of this repository, with its anchor.
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)")
#: What an example imports, and the module that it needs.
PACKAGES = {
    "failover_iter.ray": "ray",
    "failover_iter.redis": "redis",
    "import redis\n": "redis",
    "import urllib3\n": "urllib3",
    "import boto3\n": "boto3",
    "from google.api_core": "google.api_core",
    "failover_iter.llm.langchain": "langchain_core",
    "from opentelemetry": "opentelemetry.sdk",
    "from prometheus_client": "prometheus_client",
}
#: Pages that are generated when the site is built.
MADE = {ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "explanation" / ".." / "benchmarks.md"}
COMMAND = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Text right below a Python block: its output.
PRINTED = re.compile(r"\s*^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
#: Comments, which the reader of a page does not see.
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
INVISIBLE = re.compile(r"<!--- invisible-code-block: python\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def docstrings() -> Iterator[object]:
    """Each docstring of the package that contains an example."""
    for path in sorted(PACKAGE.rglob("*.py")):
        source = path.read_text("utf-8")
        for start, _, text in PythonDocStringDocument.extract_docstrings(source):
            if ">>> " in text:
                line = source.count("\n", 0, start) + 1
                where = f"{path.relative_to(PACKAGE).as_posix()}:{line}"
                marks = unless_installed(*(PACKAGES[name] for name in PACKAGES if name in text))
                yield pytest.param(path, text, id=where, marks=marks)


def needed(page: Path) -> list[str]:
    """The modules that the first line of a page names: the extra `test` does not install them."""
    found = NEEDS.search(page.read_text("utf-8"))
    return found[1].split(", ") if found else []


@pytest.fixture
def as_for_the_reader() -> Iterator[None]:
    """Tests on a page try as many examples as they do for those who copy them."""
    mine = settings.get_current_profile_name()
    settings.register_profile("reader", settings.default, max_examples=100)
    settings.load_profile("reader")
    yield
    settings.load_profile(mine)


@pytest.mark.usefixtures("as_for_the_reader")
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=unless_installed(*needed(page))) for page in PAGES],
    ids=lambda page: page.relative_to(ROOT).as_posix(),
)
def test_page(page: Path) -> None:
    """The Python blocks of a page run in order, in one namespace, and print what it shows."""
    for module in needed(page):
        needs(module)
    document = Document.parse(str(page), PythonCodeBlockParser())
    for example in document:
        with redirect_stdout(io.StringIO()) as printed:
            example.evaluate()
        shown = PRINTED.match(document.text, example.region.end)
        assert shown is None or printed.getvalue() == shown[1]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_name_is_hidden(page: Path) -> None:
    """The code that the reader sees defines each name that it uses, and no other code does."""
    text = page.read_text("utf-8")
    bound, free = names("\n".join(BLOCK.findall(COMMENT.sub("", text))))
    assert sorted(free - bound - {*dir(builtins), "__name__"}) == []
    bound_unseen, _ = names("\n".join(INVISIBLE.findall(text)))
    assert sorted(bound_unseen & (bound | free)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_begins_with_what_it_needs(page: Path) -> None:
    """Above the first code that imports another package, the page says how to install it."""
    text = COMMENT.sub("", page.read_text("utf-8"))
    for block in BLOCK.finditer(text):
        if imported(block[1]) - sys.stdlib_module_names - {"failover_iter"}:
            assert "pip install" in text[: block.start()]
            return


def imported(code: str) -> set[str]:
    """The packages that a program imports."""
    nodes = list(ast.walk(ast.parse(code)))
    modules = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    modules += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    return {module.partition(".")[0] for module in modules}


def names(code: str) -> tuple[set[str], set[str]]:
    """The global names that a program binds, and those that it only uses."""
    bound, used = set[str](), set[str]()
    tables = [symtable.symtable(code, "page", "exec")]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            if table.get_type() == "module" or symbol.is_global():
                is_bound = symbol.is_assigned() or symbol.is_imported()
                (bound if is_bound else used).add(symbol.get_name())
    return bound, used - bound


@pytest.mark.parametrize(("path", "text"), list(docstrings()))
def test_docstring(path: Path, text: str) -> None:
    """The example of a docstring is complete: it runs with nothing else imported."""
    document = Document(text, str(path))
    for region in DocTestParser()(document):
        document.add(region)
    examples = list(document)
    assert examples
    for example in examples:
        example.evaluate()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_block_escapes(page: Path) -> None:
    """Each code block is marked as python (which runs), sh or text."""
    fences = FENCE.findall(page.read_text("utf-8"))
    assert set(fences[::2]) <= {"python", "sh", "text"}
    assert set(fences[1::2]) <= {""}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_link_is_broken(page: Path) -> None:
    """Each link to a page, an image or a section has an existing target."""
    for target, anchor in LINK.findall(page.read_text("utf-8")):
        path = page if not target else page.parent / target
        assert path.exists() or path in MADE, target
        if anchor:
            assert anchor in anchors(path.read_text("utf-8")), f"{target}#{anchor}"


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_commands_of_the_readme() -> None:
    """Beside `pip install`, the README has two one-line commands that CI runs on a bare machine."""
    commands = COMMAND.findall((ROOT / "README.md").read_text("utf-8"))
    first, *lines = [line for command in commands for line in command.splitlines()]
    assert first == "pip install failover-iter"
    assert [shlex.split(line)[:3] for line in lines] == [["python3", "-m", "venv"]] * 2
    assert lines[0].endswith("failover-iter demo")
    assert lines[1].endswith("pytest")
