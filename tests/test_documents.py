"""What the documents name is there."""

import contextlib
import importlib
import io
import json
import re

import pytest
from conftest import ROOT

from zoo.__main__ import models

DOCUMENTS = [ROOT / "README.md", ROOT / "notebooks/MISTAKES.md", ROOT / "data/README.md"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def options():
    """All options of all models, of the benchmarks and of kills.py."""
    scripts = [*ROOT.glob("benchmarks/*.py"), ROOT / "tests/kills.py"]
    text = io.StringIO("\n".join(script.read_text("utf-8") for script in scripts))
    text.seek(0, io.SEEK_END)
    for name in models():
        with contextlib.redirect_stdout(text), pytest.raises(SystemExit):
            importlib.import_module(f"zoo.{name}").main(["--help"])
    return set(re.findall(r"--[a-z][a-z-]*", text.getvalue()))


@pytest.mark.parametrize("path", DOCUMENTS + NOTEBOOKS, ids=lambda path: path.name)
def test_options_exist(path, options):
    text = path.read_text("utf-8")
    if path in NOTEBOOKS:
        cells = json.loads(text)["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))
    assert named <= options, named - options


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = path.read_text("utf-8")
    headings = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in re.findall(r"(?m)^#+ (.*)$", text)}
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (path.parent / target).exists(), target


def test_pictures_are_small():
    pictures = [p for p in (ROOT / "images").rglob("*") if p.suffix in (".png", ".gif")]
    assert pictures and sum(p.stat().st_size for p in pictures) < 6 * 2**20
