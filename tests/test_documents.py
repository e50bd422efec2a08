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
    *(
        ROOT / name
        for name in (
            "README.md",
            "README.zh-CN.md",
            "CONTRIBUTING.md",
            "data/README.md",
        )
    ),
    ROOT / "zoo/weights/README.md",
    *sorted(ROOT.glob("docs/*.md")),
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
    pictures = list((ROOT / "docs/images").glob("*.png"))
    assert pictures and sum(p.stat().st_size for p in pictures) < 6 * 2**20


def test_readme_is_short():
    text = (ROOT / "README.md").read_text("utf-8")
    assert text.count("\n") <= 160 and len(text.split()) <= 1600


@pytest.mark.parametrize("name", models())
def test_a_page_for_each_model(name):
    """With the same headings in the same order, and linked from README."""
    text = (ROOT / f"docs/{name}.md").read_text("utf-8")
    assert re.findall(r"(?m)^## (.*)$", text) == [
        "Try it",
        "How it works",
        "Results",
        "Differences from the paper",
        "Options worth knowing",
        "What goes wrong with this model",
        "The ready generator",
    ]
    assert f"docs/{name}.md" in (ROOT / "README.md").read_text("utf-8")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_have_the_networks_of_the_file(path):
    """In a cell that can be edited, in lines that fit a page."""
    code = [
        "".join(cell["source"])
        for cell in json.loads(path.read_text("utf-8"))["cells"]
        if cell["cell_type"] == "code"
    ]
    assert all(len(line) <= 88 for cell in code for line in cell.splitlines())
    if path.stem != "inpaint":  # which has no networks of its own
        file = (ROOT / f"zoo/{path.stem}.py").read_text("utf-8")
        chapter = re.search(r"# 1\. .*\n+((?:.*\n)*?)# -{80,}", file)[1].strip()
        assert chapter in code


def test_readme_in_chinese_has_the_same():
    """The same commands, links and pictures, in the same order."""
    parts = []
    for name in ("README.md", "README.zh-CN.md"):
        text = (ROOT / name).read_text("utf-8")
        code = re.findall(r"(?ms)^```\w*\n(.*?)^```", text)
        code = [re.sub(r" *#.*", "", block) for block in code]
        links = re.findall(r"\]\(([^)]+)\)", text)
        links = [link for link in links if not link.startswith("README")]
        parts.append((code, links, sorted(re.findall(r"`(?!`)[^`\n]+`", text))))
    assert parts[0][0] == parts[1][0] and parts[0][1] == parts[1][1]
    assert set(parts[0][2]) == set(parts[1][2])
