"""The public names of `failover_iter`, their documentation, signatures and modules."""

from __future__ import annotations

import importlib.metadata
import inspect
import os
import pickle
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Unpack, get_overloads, get_type_hints

import pytest

import failover_iter
from failover_iter import Policy, Source, backoff, errors, events
from failover_iter._options import Options
from failover_iter.typing import StreamOptions

ROOT = Path(__file__).parent.parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}
HEAVY = {"asyncio", "concurrent", "hypothesis", "logging", "multiprocessing", "queue", "socket"}
HEAVY |= {"ssl", "subprocess", "threading", "trio"}


def environment() -> dict[str, str]:
    """For a fresh interpreter that imports what this one does."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": path}


def installed_version() -> str | None:
    """The version that is installed, if one is."""
    try:
        return importlib.metadata.version("failover-iter")
    except importlib.metadata.PackageNotFoundError:
        return None


@pytest.mark.skipif(not IN_CI, reason="a developer may test the checkout; CI=true must not")
def test_ci_tests_what_is_installed() -> None:
    """CI tests the wheel, not the checkout beside the tests."""
    assert installed_version() is not None
    assert Path(failover_iter.__file__).parent != ROOT / "failover_iter"


@pytest.mark.skipif(installed_version() is None, reason="failover-iter is not installed")
def test_the_versions_agree() -> None:
    """The installed version, the project file and the changelog agree."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert installed_version() == project["version"]
    assert f"## [{project['version']}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")


@pytest.mark.skipif(installed_version() is None, reason="failover-iter is not installed")
def test_wheel_is_typed_and_licensed() -> None:
    """The marker file for type checkers, the licence and the command are installed too."""
    distribution = importlib.metadata.distribution("failover-iter")
    assert (Path(failover_iter.__file__).parent / "py.typed").is_file()
    assert distribution.metadata["License-Expression"] == "MIT"
    commands = distribution.entry_points.select(group="console_scripts", name="failover-iter")
    assert [callable(command.load()) for command in commands] == [True]


@pytest.mark.skipif(not IN_CI, reason="an editable installation lists no modules")
def test_wheel_holds_the_package_alone() -> None:
    """Neither tests nor benchmarks are installed with it."""
    files = importlib.metadata.files("failover-iter") or []
    roots = {file.parts[0] for file in files if file.suffix in {".py", ".typed"}}
    assert roots == {"failover_iter"}


def test_all_is_sorted_and_whole() -> None:
    """`__all__` is sorted, and lists each public name of the package except its modules."""
    public = [
        name
        for name in dir(failover_iter)
        if not name.startswith("_") and not isinstance(getattr(failover_iter, name), ModuleType)
    ]
    assert failover_iter.__all__ == public


#: Forgets that the package was imported.
FORGET = """
for name in [name for name in sys.modules if name.partition(".")[0] == "failover_iter"]:
    del sys.modules[name]
"""


def run_afresh(*statements: str) -> None:
    """Run each as if it were the first in its process that imports the package."""
    code = "import sys\n" + "\n".join(FORGET + statement for statement in statements)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())


def test_lazy_names_are_imported_on_access() -> None:
    """Each name can be imported by `from`, as an attribute and by `*`: always the same object."""
    names = failover_iter.__all__
    run_afresh(
        *[
            f"from failover_iter import {name} as first; import failover_iter; "
            f"assert first is failover_iter.{name}"
            for name in names
        ],
        "from failover_iter import *; import failover_iter; "
        + "; ".join(f"assert {name} is failover_iter.{name}" for name in names),
    )


def test_public_modules_are_imported_on_access() -> None:
    """Each is an attribute of the package, without an import statement for it."""
    names = ["errors", "events", "policy", "trace", "typing"]
    run_afresh(*[f"import failover_iter; assert failover_iter.{name}.__all__" for name in names])
    for name in names:
        found = failover_iter.__getattr__(name)  # type: ignore[attr-defined]
        assert found is getattr(failover_iter, name)


def test_an_unknown_name() -> None:
    """An unknown name is an AttributeError, and an ImportError by `from`."""
    with pytest.raises(AttributeError, match="^module 'failover_iter' has no attribute 'retry'$"):
        _ = failover_iter.retry  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="^cannot import name 'retry' from 'failover_iter'"):
        from failover_iter import retry  # type: ignore[attr-defined]  # noqa: F401


@pytest.mark.parametrize("module", [errors, events], ids=lambda module: module.__name__)
def test_each_error_and_event_is_exported(module: ModuleType) -> None:
    """Each error and event can be imported from the package itself."""
    for name in module.__all__:
        assert getattr(failover_iter, name) is getattr(module, name)


@pytest.mark.parametrize("name", failover_iter.__all__)
def test_each_name_is_documented(name: str) -> None:
    """Each public class or function has a docstring, and (except errors and events) an example."""
    value = getattr(failover_iter, name)
    if not inspect.isclass(value) and not inspect.isfunction(value):
        return  # the union of the events
    docstring = value.__doc__ or ""
    assert docstring.strip()
    assert ">>> " in docstring or value.__module__ in {errors.__name__, events.__name__}


def test_import_is_light(tmp_path: Path) -> None:
    """`import failover_iter` in a fresh interpreter loads no loop, no threads, no logging."""
    code = (
        "import sys; before = set(sys.modules); import failover_iter; "
        "print(*sorted({name.split('.')[0] for name in set(sys.modules) - before}))"
    )
    loaded = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert "failover_iter" in loaded
    assert not HEAVY & set(loaded)


def defaults(function: Callable[..., object]) -> list[tuple[str, object]]:
    """The options that it takes, in their order, with their defaults."""
    parameters = inspect.signature(function).parameters.values()
    options = [each for each in parameters if each.kind is inspect.Parameter.KEYWORD_ONLY]
    return [(each.name, each.default) for each in options if each.name != "mark_takeovers"]


def test_each_signature_shows_the_same_options() -> None:
    """The functions, `Policy` and `StreamOptions` have the same options, order and defaults."""
    missing = {MISSING: inspect.Parameter.empty}
    expected = [(each.name, missing.get(each.default, each.default)) for each in fields(Options)]
    for function in ("failover_stream", "afailover_stream", "failover", "Policy"):
        assert defaults(getattr(failover_iter, function)) == expected
    assert list(StreamOptions.__annotations__) == [name for name, _ in expected]
    required = {name for name, default in expected if default is inspect.Parameter.empty}
    assert StreamOptions.__required_keys__ == required == {"retry_on"}


def test_the_types_of_the_options_agree() -> None:
    """`StreamOptions` and the functions give each option the type that it has in `Policy`."""
    expected = get_type_hints(Options)
    assert get_type_hints(StreamOptions) == expected
    for function in ("failover_stream", "afailover_stream", "failover"):
        hints = get_type_hints(getattr(failover_iter, function))
        assert {name: hints[name] for name in expected} == expected


@pytest.mark.parametrize("name", ["failover_stream", "afailover_stream"])
def test_overloads_take_the_same_options(name: str) -> None:
    """Both overloads take `StreamOptions`; they differ in the marker and the item type."""
    overloads = get_overloads(getattr(failover_iter, name))
    assert len(overloads) == 2
    for each in overloads:
        assert get_type_hints(each)["options"] == Unpack[StreamOptions]
        assert list(inspect.signature(each).parameters) == [
            "factories",
            "mark_takeovers",
            "options",
        ]


@pytest.mark.parametrize("name", failover_iter.__all__)
def test_no_private_module_is_shown(name: str) -> None:
    """The module of each public name is a public one, and the name is found there."""
    value = getattr(failover_iter, name)
    if name == "Event":
        return  # a union
    assert "._" not in value.__module__
    assert getattr(importlib.import_module(value.__module__), value.__qualname__) is value
    assert pickle.loads(pickle.dumps(value)) is value
    assert "._" not in repr(value)


def test_a_source_shows_what_was_given() -> None:
    """Its repr is short: the factory by its name, and the options that differ from the default."""

    class Client:
        def fetch(self) -> list[int]:
            return [1]

    source = Source(environment, name="eu", attempts=3)
    assert repr(source) == "Source(environment, name='eu', attempts=3)"
    assert repr(Source(environment, close=False)) == "Source(environment, close=False)"
    assert repr(Source(Client().fetch)) == "Source(Client.fetch)"
    assert repr(Source(lambda: [1])) == "Source(<lambda>)"
    assert repr(Source(partial(environment))).startswith("Source(functools.partial(<function env")
    nested = Policy(retry_on=OSError).source([source])
    assert repr(nested) == "Source(<Policy.source>, name='eu')"
    assert repr(backoff(1, jitter=False)) == "backoff(1.0, maximum=30.0, factor=2.0, jitter=False)"
    assert "rng=<random.Random" in repr(backoff(rng=Random(1)))
