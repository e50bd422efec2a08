"""The notebooks run, and what they show was made by the code that they hold."""

import sys

import pytest
from conftest import ROOT

nbformat = pytest.importorskip("nbformat")

sys.path.insert(0, str(ROOT / "notebooks"))
from execute import clean, execute, fingerprint  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_of_this_code(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata["fingerprint"] == fingerprint(notebook), f"run notebooks/execute.py {path.stem}"
    assert nbformat.writes(clean(notebook)) == nbformat.writes(nbformat.read(path, as_version=4))
    assert path.stat().st_size < 2 * 2**20
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(output.output_type == "display_data" for cell in code for output in cell.outputs)
    assert not any(output.output_type == "error" for cell in code for output in cell.outputs)
    assert not any(machine in path.read_text("utf-8") for machine in (str(ROOT), "/site-packages/"))


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs(path):
    execute(path, steps=6)


@pytest.mark.slow
def test_an_error_is_one(tmp_path):
    cells = [
        nbformat.v4.new_code_cell("STEPS = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("1 / 0"),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "broken.ipynb")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        execute(tmp_path / "broken.ipynb", steps=2)
