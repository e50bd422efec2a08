"""The models' files have one form: the paper first, and common code to the letter."""

import ast
import re

import pytest
from conftest import ROOT

from zoo.__main__ import models

FILES = {name: (ROOT / f"zoo/{name}.py").read_text("utf-8") for name in models()}
TRAINED = {name: text for name, text in FILES.items() if name != "inpaint"}
RULE = re.compile(r"\n *# -{80,}\n *# (\d)\. ")


def chapters(text):
    """{number: its text, from the heading on}."""
    places = [(int(found[1]), found.end()) for found in RULE.finditer(text)]
    ends = [*(end for _, end in places[1:]), len(text)]
    return {n: text[start:end] for (n, start), end in zip(places, ends, strict=True)}


def source(text, name):
    """The text of a function or class, decorators included."""
    found = next(n for n in ast.parse(text).body if getattr(n, "name", None) == name)
    first = min([found.lineno, *(d.lineno for d in found.decorator_list)])
    return text.splitlines()[first - 1 : found.end_lineno]


def test_chapter_4_is_the_same_in_every_file():
    copies = {name: chapters(text)[4] for name, text in TRAINED.items()}
    assert len(copies) >= 6
    for name, copy in copies.items():
        assert copy == copies["dcgan"], name
    start = copies["dcgan"].index("\n\n") + 2
    chapter = RULE.sub("", copies["dcgan"][start:] + "\n").rstrip()
    assert chapter.count("\n") + 1 <= 190


@pytest.mark.parametrize("name", TRAINED)
def test_the_paper_comes_first(name):
    text = TRAINED[name]
    first = text.index("\ndef build_") + 1
    step = re.search(r"= self\.\w+\.train_on_batch\(", text).start()
    between = text[first:step].count("\n")
    assert between <= {"dcgan": 150, "srgan": 270}.get(name, 220)


@pytest.mark.parametrize("name", FILES)
def test_form(name):
    text = FILES[name]
    assert len(ast.get_docstring(ast.parse(text), clean=False).splitlines()) <= 45
    assert max(map(len, text.splitlines())) <= 88
    assert len(source(text, "main")) <= (100 if name == "inpaint" else 70)
    numbers = list(chapters(text))
    assert numbers == sorted(numbers) and {1, 3, 5, 6} <= set(numbers)
    # The same lines before and after the imports, so that they come in time.
    env = re.compile(r"^os\.environ\.setdefault\(.*\n", re.M)
    assert env.findall(text) == env.findall(FILES["dcgan"])
    last, keras = list(env.finditer(text))[-1].end(), text.index("\nimport keras\n")
    assert len(env.findall(text)) == 2 and text[last:keras] == ""
    config = re.compile(r"^keras\.config\..*\n", re.M)
    assert config.findall(text) == config.findall(FILES["dcgan"]) != []


@pytest.mark.parametrize("name", FILES)
def test_imports_of_the_zoo(name):
    """Only where a lone file can say what it lacks."""
    where = set()
    for node in ast.walk(ast.parse(FILES[name])):
        inner = ast.walk(node) if isinstance(node, ast.FunctionDef) else ()
        for each in inner:
            if isinstance(each, ast.ImportFrom) and each.module.startswith("zoo"):
                where.add(node.name)
                assert each.module == "zoo.common" and each.level == 0
    assert where <= {"main", "evaluate", "pretrained"}
    anywhere = re.findall(r"(?m)^ *(?:from|import) zoo\b", FILES[name])
    assert anywhere and not re.search(r"(?m)^(?:from|import) zoo\b", FILES[name])


def test_common_functions_are_the_same_everywhere():
    """Also in the file without a chapter 4."""
    shared = ("to_float", "to_uint8", "check_networks", "uninterrupted", "missing")
    for name in shared:
        copies = {each: source(text, name) for each, text in FILES.items()}
        for each, copy in copies.items():
            assert copy == copies["dcgan"], (each, name)
    found = [source(t, "probability") for t in FILES.values() if "\ndef prob" in t]
    assert len(found) > 1 and all(copy == found[0] for copy in found)
