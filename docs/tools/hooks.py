"""MkDocs hooks: what mkdocs.yml cannot say.

They skip pages that do not exist, add the benchmark results as a page, and take the version from
pyproject.toml. The address of the repository is in pyproject.toml too, or GitHub says it.
"""

from __future__ import annotations

import re
import tomllib
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
#: Pages with wide tables, or a wide picture.
WIDE = {"llm-matrix.md", "llm-comparison.md", "explanation/one-core.md"}
#: Code with an escaped bar.
CELL_CODE = re.compile(r"`[^`\n]*\\\|[^`\n]*`")
BENCHMARKS = {"benchmarks.md": "RESULTS.md", "results.svg": "results.svg"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Remove pages that this checkout does not contain from the navigation; say which version."""
    config.nav = _existing(config.nav or [])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    release = f"{project['name']} {project['version']}"
    config.copyright = f"{release} · {project['license']} licence"
    repository = project.get("urls", {}).get("Repository")
    if repository is None and "GITHUB_REPOSITORY" in environ:
        repository = f"{environ['GITHUB_SERVER_URL']}/{environ['GITHUB_REPOSITORY']}"
    if repository is not None:
        config.repo_url, config.repo_name = repository, release
    return config


def _existing(nav: list[Any]) -> list[Any]:
    kept = []
    for entry in nav:
        (title, target), *_ = entry.items()
        if isinstance(target, list):
            kept.append({title: _existing(target)})
        elif target in BENCHMARKS or (ROOT / "docs" / target).exists():
            kept.append(entry)
    return kept


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    r"""Hide the table of contents where tables need all of the width.

    In the code of a table, GitHub needs "\|" for a bar, which would show the backslash here.
    """
    if page.file.src_uri in WIDE:
        page.meta["hide"] = ["toc"]
    return CELL_CODE.sub(lambda code: code[0].replace("\\|", "|"), markdown)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the benchmark results as a page."""
    for name, path in BENCHMARKS.items():
        content = (ROOT / "benchmarks" / path).read_text("utf-8")
        files.append(File.generated(config, name, content=content))
    return files
