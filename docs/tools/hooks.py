"""What mkdocs.yml cannot say: pages that may not be there, and one that is made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mkdocs.structure.files import File, Files

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).parents[2]
BENCHMARKS = {"benchmarks.md": "RESULTS.md", "results.svg": "results.svg"}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave out of the navigation the pages that this checkout does not have."""
    config.nav = _there(config.nav or [])
    return config


def _there(nav: list[Any]) -> list[Any]:
    kept = []
    for entry in nav:
        (title, target), *_ = entry.items()
        if isinstance(target, list):
            kept.append({title: _there(target)})
        elif target in BENCHMARKS or (ROOT / "docs" / target).exists():
            kept.append(entry)
    return kept


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Show the results of the benchmarks as a page."""
    for name, path in BENCHMARKS.items():
        content = (ROOT / "benchmarks" / path).read_text("utf-8")
        files.append(File.generated(config, name, content=content))
    return files
