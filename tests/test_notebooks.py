"""The notebooks run, and what they show was made by the code that they hold."""

import sys
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from conftest import ROOT

nbformat = pytest.importorskip("nbformat")

sys.path.insert(0, str(ROOT / "notebooks"))
from execute import clean, execute, fingerprint  # noqa: E402

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_of_this_code(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata["fingerprint"] == fingerprint(notebook), (
        f"run notebooks/execute.py {path.stem}"
    )
    assert nbformat.writes(clean(notebook)) == nbformat.writes(
        nbformat.read(path, as_version=4)
    )
    assert path.stat().st_size < 2 * 2**20
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any(
        output.output_type == "display_data" for cell in code for output in cell.outputs
    )
    assert not any(
        output.output_type == "error" for cell in code for output in cell.outputs
    )
    assert not any(
        machine in path.read_text("utf-8") for machine in (str(ROOT), "/site-packages/")
    )


@pytest.fixture
def drawn(monkeypatch):
    """Has `live`, and in `figures` and `texts` what it shows."""
    live = pytest.importorskip("zoo.common.live")
    seen = SimpleNamespace(live=live, figures=[], texts=[])
    monkeypatch.setattr(live.plt, "show", lambda: seen.figures.append(live.plt.gcf()))
    monkeypatch.setattr(live, "display", lambda text: seen.texts.append(text.data))
    monkeypatch.setattr(live, "clear_output", lambda **_: seen.figures.clear())
    yield seen
    live.plt.close("all")


def test_what_is_drawn_while_a_model_trains(drawn):
    live = drawn.live.Live(
        lambda: {"samples": np.full((2, 4, 4, 1), 99, np.uint8)}, every=2
    )
    counts = []
    for step, logs in enumerate(({"a": 1.0}, {"a": 2.0, "b": 3.0}, {"b": 4.0})):
        live.on_train_batch_end(step, logs)
        counts.append(len(drawn.figures))
        drawn.figures.clear()
    assert counts == [0, 2, 0]
    np.testing.assert_array_equal(live.logs["a"], [1, 2, np.nan])
    np.testing.assert_array_equal(live.logs["b"], [np.nan, 3, 4])
    live.on_train_end()
    curves, pictures = drawn.figures
    assert [line.get_label() for line in curves.axes[0].lines] == ["a", "b"]
    assert [axis.images[0].get_clim() for axis in pictures.axes] == [(0, 255)] * 2


def test_curves_are_smoothed_and_chosen(drawn):
    logs = {"a": [1.0, 3.0] * 200, "b": [5.0] * 400, "c": [7.0] * 400}
    drawn.live.curves(logs, ["b", "a", "none"])
    lines = drawn.figures[0].axes[0].lines
    assert [line.get_label() for line in lines] == ["b", "a"]
    np.testing.assert_allclose(lines[0].get_ydata(), 5)
    np.testing.assert_allclose(lines[1].get_ydata(), 2)


def test_a_table_of_rows_with_different_columns(drawn):
    drawn.live.table({"x": {"a": 1.23456, "b": 2}, "y": {"b": 3.0}})
    assert drawn.texts[0].splitlines() == [
        "| | a | b |",
        "|---|---|---|",
        "| x | 1.235 | 2 |",
        "| y |  | 3 |",
    ]


def test_who_has_moved(drawn):
    a, b = (
        keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]),
        keras.Sequential([keras.Input((2,))]),
    )
    watch = drawn.live.Watch(a=a, b=b)
    a.trainable_variables[0].assign_add(np.ones((2, 1)))
    assert watch.moved() == ["a"] and watch.moved() == []


# These two measure whole photos, which takes minutes: execute.py alone runs them.
LONG = ("deblur", "srgan")


@pytest.mark.slow
@pytest.mark.parametrize(
    "path", [p for p in NOTEBOOKS if p.stem not in LONG], ids=lambda path: path.stem
)
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
