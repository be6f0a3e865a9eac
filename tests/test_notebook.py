"""The notebook runs, offline, and what it claims of the planted truth holds (it asserts it)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

nbclient = pytest.importorskip("nbclient", reason="running the notebook needs affectlib[dev]")
nbformat = pytest.importorskip("nbformat", reason="running the notebook needs affectlib[dev]")

NOTEBOOK = Path(__file__).parents[1] / "examples" / "affective_use.ipynb"


def read() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


def execute(notebook: Any) -> Any:
    """Run all cells in a kernel that is talked to by pipes, not by the network."""
    client = nbclient.NotebookClient(
        notebook, timeout=300, kernel_name="python3", record_timing=False
    )
    client.create_kernel_manager()
    client.km.transport = "ipc"
    return client.execute()


def complaints(notebook: Any) -> list[Any]:
    return [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output.output_type == "error" or output.get("name") == "stderr"
    ]


def test_it_was_run_from_top_to_bottom_before_it_was_committed():
    cells = [cell for cell in read().cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    assert complaints(read()) == []
    assert any("image/png" in output.get("data", {}) for c in cells for output in c.outputs)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the kernel's client, not of what runs in it
def test_it_runs():
    executed = execute(read())
    assert complaints(executed) == []
    printed = [
        output.text for cell in executed.cells for output in cell.get("outputs", [])
        if output.get("name") == "stdout"
    ]  # fmt: skip
    assert printed[-1].endswith("plots\n")
