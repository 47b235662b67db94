"""Law 10 for the tests themselves: what is tested of one driver is tested of the other."""

from __future__ import annotations

from drivers import test_async, test_sync


def names(module: object) -> set[str]:
    found = set()
    for name, value in vars(module).items():
        if name.startswith("test_"):
            found.add(name)
        if name.startswith("Test"):
            found |= {f"{name}.{test}" for test in dir(value) if test.startswith("test_")}
    return found


def test_both_files_hold_the_same_tests() -> None:
    """Both files have the same test names."""
    assert names(test_sync) == names(test_async)
    assert len(names(test_sync)) > 50
