"""The parts of a release: one version, a citation, the workflow that publishes it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from support.needs import needs, unless_installed

pytestmark = unless_installed("yaml")

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
GITHUB = sorted((ROOT / ".github").rglob("*.yml"))


def read(path: str | Path) -> Any:
    return needs("yaml").safe_load((ROOT / path).read_text("utf-8"))


def test_the_version_is_the_same_everywhere() -> None:
    """The changelog begins with the version of the project file, and the citation has it."""
    changes = (ROOT / "CHANGELOG.md").read_text("utf-8")
    headings = re.findall(r"^## \[(.*?)\]", changes, re.MULTILINE)
    assert next(each for each in headings if each != "Unreleased") == PROJECT["version"]
    assert read("CITATION.cff")["version"] == PROJECT["version"]


def test_the_citation_describes_the_project() -> None:
    """It has what the format requires, and the words of the project file."""
    citation = read("CITATION.cff")
    assert citation.keys() >= {"cff-version", "message", "title", "type", "authors"}
    assert citation["title"] == PROJECT["name"]
    assert citation["abstract"].strip() == PROJECT["description"] + "."
    assert citation["license"] == PROJECT["license"]
    assert set(citation["keywords"]) <= set(PROJECT["keywords"])


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_github_can_read_it(path: Path) -> None:
    """Each file is YAML. A workflow grants no more than reading unless a job asks for more."""
    content = read(path)
    if path.parent.name == "workflows":
        assert content["permissions"] == {"contents": "read"}
        assert content.keys() >= {"name", True, "jobs"}  # YAML reads the key `on` as True
    elif path.stem != "config":  # an issue form
        assert content.keys() >= {"name", "description", "body"}
        ids = [each["id"] for each in content["body"] if each["type"] != "markdown"]
        assert len(ids) == len(set(ids)) > 0


def test_a_release_is_built_once_and_published_without_a_password() -> None:
    """The job that publishes runs no code of ours, and is the only one that may get a token."""
    workflow = read(".github/workflows/release.yml")
    assert workflow[True] == {"release": {"types": ["published"]}}
    build, publish = workflow["jobs"]["build"], workflow["jobs"]["publish"]
    assert [job for job in workflow["jobs"].values() if "permissions" in job] == [publish]
    assert publish["permissions"] == {"id-token": "write"}
    assert publish["environment"] == "pypi"
    assert publish["needs"] == "build"
    uses = [re.sub(r"@.*", "", step.get("uses", "")) for step in publish["steps"]]
    assert uses == ["actions/download-artifact", "pypa/gh-action-pypi-publish"]
    assert not any("password" in step.get("with", {}) for step in publish["steps"])
    assert any("bash .ci/package dist" in step.get("run", "") for step in build["steps"])
