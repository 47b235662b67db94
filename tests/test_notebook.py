"""In a notebook that Jupyter executes, a trace is shown as a table, and printed as text."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

import failover_iter
from support.needs import needs

nbformat = needs("nbformat")
nbclient = needs("nbclient")
needs("ipykernel")

CELLS = [
    """
from failover_iter import Trace, failover_stream

def primary():
    yield "row 1"
    raise ConnectionError("reset by peer")

def replica():
    yield from ("row 1", "row 2")

trace = Trace()
""",
    """
list(failover_stream([primary, replica], retry_on=ConnectionError, mid_stream="skip",
                     on_event=trace))
""",
    "trace",
    "print(trace)",
]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """The outputs of each cell after the notebook was executed."""
    folder = tmp_path_factory.mktemp("jupyter")
    kernel = folder / "kernels" / "here"
    kernel.mkdir(parents=True)
    home = Path(failover_iter.__file__).parents[1]
    spec = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "here",
        "language": "python",
        "env": {"PYTHONPATH": str(home)},
    }
    (kernel / "kernel.json").write_text(json.dumps(spec), "utf-8")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JUPYTER_PATH", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):
            patch.setenv(name, str(folder))
        nbclient.NotebookClient(notebook, kernel_name="here", timeout=60).execute()
    return [cell.outputs for cell in notebook.cells]


def test_the_stream_runs(outputs: list[Any]) -> None:
    """A stream works in a cell as elsewhere, and the failure is logged to stderr."""
    shown = {output.output_type: output for output in outputs[1]}
    assert shown["execute_result"].data["text/plain"] == "['row 1', 'row 2']"
    assert "switching to replica" in shown["stream"].text
    assert shown["stream"].name == "stderr"


def test_the_trace_is_a_table(outputs: list[Any]) -> None:
    """A trace as the last expression of a cell is shown as HTML, with a row per attempt."""
    (shown,) = outputs[2]
    page = shown.data["text/html"]
    assert page.count("<table") == page.count("</table>") == 1
    assert "primary" in page
    assert "replica" in page
    assert "<script" not in page


def test_printed_it_is_text(outputs: list[Any]) -> None:
    """`print(trace)` prints the same table as in a terminal."""
    (shown,) = outputs[3]
    header, first, second, *_ = shown.text.splitlines()
    assert header.startswith("source")
    assert first.startswith("primary")
    assert second.startswith("replica")
