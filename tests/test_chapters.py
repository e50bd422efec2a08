"""The models' files have one form.

Their paper first, and what they share to the letter.
"""

import re

import pytest
from conftest import ROOT

from zoo.__main__ import models

FILES = {name: (ROOT / f"zoo/{name}.py").read_text("utf-8") for name in models()}
TRAINED = {name: text for name, text in FILES.items() if name != "inpaint"}
RULE = "# " + 86 * "-" + "\n"


def line(text, pattern):
    """The number of the first line that matches."""
    return text[: re.search(pattern, text, re.MULTILINE).start()].count("\n") + 1


def same(text):
    """Chapter 4, without its heading."""
    start = text.index("    # 4. The same in every file")
    return text[text.index("\n\n", start) + 2 : text.index(f"\n\n\n{RULE}# 5.", start)]


def test_chapter_4_is_the_same_in_every_file():
    chapters = {name: same(text) for name, text in TRAINED.items()}
    assert len(chapters) >= 6 and len(set(chapters.values())) == 1
    assert chapters["dcgan"].count("\n") + 1 <= 190


@pytest.mark.parametrize("name", TRAINED)
def test_the_paper_comes_first(name):
    text = TRAINED[name]
    first, step = line(text, r"^def build_"), line(text, r"= self\..*train_on_batch\(")
    assert step - first <= {"dcgan": 150, "srgan": 270}.get(name, 220)


@pytest.mark.parametrize("name", FILES)
def test_form(name):
    text = FILES[name]
    assert text[: text.index('"""\n')].count("\n") + 1 <= 45
    assert max(map(len, text.splitlines())) <= 88
    main = text[text.index("\ndef main(") :]
    main = re.split(r"\n(?=class |def (?!main)|if __name__)", main)[0].rstrip()
    assert main.count("\n") <= (100 if name == "inpaint" else 70)
    headings = re.findall(r"(?m)^ *# (\d)\. ", text)
    assert headings == sorted(headings) and {"1", "3", "5", "6"} <= set(headings)
    start = text[text.index("\nos.environ.setdefault(") : text.index("import keras")]
    assert start.count("os.environ.setdefault(") == 2
    assert start == "\nos" + FILES["dcgan"].split("\nos", 1)[1].split("import keras")[0]


def test_conversions_and_missing_are_the_same_everywhere():
    for name in ("to_float", "to_uint8", "missing"):
        found = [
            re.search(rf"def {name}\(.*?\n\n\n", t, re.S)[0] for t in FILES.values()
        ]
        assert len(set(found)) == 1, name
