"""Executes notebooks in place, and leaves nothing in them that differs from one time to
the next for no reason.

    python notebooks/execute.py                 all of them
    python notebooks/execute.py dcgan srgan     some

Cells are numbered, times and the kernel's version are left out, and a fingerprint of
the code that made the outputs is kept: tests/test_notebooks.py refuses a notebook whose
code was edited and not executed.
"""

import base64
import hashlib
import io
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
NOISE = re.compile(
    r"(?m)^(WARNING: All log|WARNING:tensorflow:|[IWE]0000 |To enable the following)"
    r".*\n?|\S*/site-packages/"
)

# So few steps are over before they would be compiled.
UNCOMPILED = "import tensorflow as tf\ntf.config.run_functions_eagerly(True)"


def fingerprint(notebook):
    """A hash of the code of all cells."""
    code = "\n\n".join(
        cell.source for cell in notebook.cells if cell.cell_type == "code"
    )
    return hashlib.sha256(code.encode()).hexdigest()


def execute(path, steps=None, timeout=900):
    """The notebook at `path` with its outputs.

    With `steps`, its STEPS is that, after the cell tagged "parameters".
    """
    notebook = nbformat.read(path, as_version=4)
    if steps:
        place = next(
            i
            for i, cell in enumerate(notebook.cells)
            if "parameters" in cell.metadata.get("tags", ())
        )
        # Its searches take hundreds of steps even so.
        uncompiled = "" if path.stem == "inpaint" else UNCOMPILED
        notebook.cells.insert(
            place + 1, nbformat.v4.new_code_cell(f"STEPS = {steps}\n{uncompiled}")
        )
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    resources = {"metadata": {"path": str(path.parent)}}
    NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", resources=resources
    ).execute()
    return notebook


def clean(notebook):
    """Takes out what differs from one execution to the next, and puts the fingerprint
    in.
    """
    notebook.metadata = {
        "kernelspec": {
            "display_name": "Python 3",
            "language": "python",
            "name": "python3",
        },
        "language_info": {"name": "python"},
        "fingerprint": fingerprint(notebook),
    }
    for i, cell in enumerate(notebook.cells):
        cell.id = f"{i:02d}"
        cell.metadata = (
            {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
        )
        for output in cell.get("outputs", ()):
            output.get("metadata", {}).clear()
            if output.output_type == "stream":
                output.text = NOISE.sub("", output.text)
            elif "image/png" in output.get("data", ()):
                output.data["image/png"] = small(output.data["image/png"])
        if "outputs" in cell:
            cell.outputs = joined(cell.outputs)
    return notebook


def small(picture):
    """A PNG, in base64, with 256 colours: a third of the size."""
    image, file = Image.open(io.BytesIO(base64.b64decode(picture))), io.BytesIO()
    if image.mode == "P":
        return picture
    image.convert("RGB").quantize(256).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def joined(outputs):
    """Printed text in one piece, where it came in several, and of progress bars the end
    alone.
    """
    result = []
    for output in outputs:
        if (
            result
            and output.output_type == "stream" == result[-1].output_type
            and output.name == result[-1].name
        ):
            result[-1].text += output.text
        else:
            result.append(output)
    for output in result:
        if output.output_type == "stream":
            output.text = "".join(
                re.split(r"[\r\b]", line)[-1]
                for line in output.text.splitlines(keepends=True)
            )
    return [
        output
        for output in result
        if output.output_type != "stream" or output.text.strip()
    ]


def main():
    names = sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.ipynb"))
    for name in names:
        start, path = time.perf_counter(), HERE / f"{name}.ipynb"
        nbformat.write(clean(execute(path)), path)
        print(
            f"{name}: {time.perf_counter() - start:.0f} s, "
            f"{path.stat().st_size / 2**20:.2f} MB"
        )


if __name__ == "__main__":
    main()
