"""Every notebook runs from top to bottom, and is committed without outputs."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def printed(notebook):
    """Give everything that a run notebook shows."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "\n".join(str(o.get("text", o.get("data", {}).get("text/plain", ""))) for o in outputs)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_committed_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        assert not cell.get("outputs")
        assert cell.get("execution_count") is None


# The kernel client forks and leaves its own sockets to the garbage collector.
@pytest.mark.filterwarnings("default")
def test_the_first_five_minutes(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.chdir(tmp_path)
    notebook = nbformat.read(NOTEBOOKS[0], as_version=4)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources=where).execute()
    shown = printed(notebook)
    for promised in (
        "water the plants",
        "refused this (constraint)",
        "put in quarantine",
        "somebody is asked",
        "[rule notes.remove]",
        "this record was changed after it was written",
    ):
        assert promised in shown
