"""The LLM tests kill each mutant, a naive version of one part, and pass without it."""

from __future__ import annotations

import pytest

from llm.cases import skip_unless_installed
from llm.harness import Harness
from llm.mutants import ANTHROPIC, MUTANTS, OPENAI, Mutant

pytestmark = [mark for sdk in (OPENAI, ANTHROPIC) for mark in skip_unless_installed(sdk)]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_killed(harness: Harness, monkeypatch: pytest.MonkeyPatch, mutant: Mutant) -> None:
    """The test that belongs to the mutant passes, and fails with the mutant."""
    mutant.killer(harness)
    with monkeypatch.context() as patch, pytest.raises(BaseException) as caught:
        patch.setattr(mutant.owner, mutant.attribute, mutant.imitation)
        mutant.killer(harness)
    assert not isinstance(caught.value, KeyboardInterrupt)
