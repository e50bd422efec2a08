"""What the documents name is there."""

import contextlib
import importlib
import io
import json
import re

import pytest
from conftest import ROOT

from zoo.__main__ import models

DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "notebooks/MISTAKES.md",
    ROOT / "data/README.md",
]
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def options():
    """{model: its options}; those of the benchmarks and of kills.py are under None."""
    scripts = [*ROOT.glob("benchmarks/*.py"), ROOT / "tests/kills.py"]
    scripts.append(ROOT / "data/make/make.py")
    texts = {None: "\n".join(script.read_text("utf-8") for script in scripts)}
    for name in models():
        with (
            contextlib.redirect_stdout(io.StringIO()) as text,
            pytest.raises(SystemExit),
        ):
            importlib.import_module(f"zoo.{name}").main(["--help"])
        texts[name] = text.getvalue()
    return {name: set(OPTION.findall(text)) for name, text in texts.items()}


@pytest.mark.parametrize("path", DOCUMENTS + NOTEBOOKS, ids=lambda path: path.name)
def test_options_exist(path, options):
    text = path.read_text("utf-8")
    if path in NOTEBOOKS:
        cells = json.loads(text)["cells"]
        text = "\n".join(
            "".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"
        )
    named = set(OPTION.findall(text))
    every = set.union(*options.values())
    assert named <= every, named - every
    for model, command in re.findall(r"python -m zoo\.(\w+)([^`\n]*)", text):
        # Or MODEL.
        assert set(OPTION.findall(command)) <= options.get(model, every), command


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
    text = path.read_text("utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-")
        for h in re.findall(r"(?m)^#+ (.*)$", text)
    }
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if target.startswith("#"):
            assert target[1:] in headings, target
        elif "://" not in target:
            assert (path.parent / target).exists(), target


def test_pictures_are_small():
    pictures = [p for p in (ROOT / "images").rglob("*") if p.suffix in (".png", ".gif")]
    assert pictures and sum(p.stat().st_size for p in pictures) < 6 * 2**20
