"""The benchmarks of the training steps run; what they measure is not looked at."""

import json
import subprocess
import sys

import pytest
from conftest import ROOT

from zoo.__main__ import models


@pytest.mark.slow
# Whose VGG19 takes a minute.
@pytest.mark.parametrize("name", sorted(models().keys() - {"srgan"}))
def test_a_round_of_each_contender(name, tmp_path):
    command = [
        sys.executable,
        ROOT / f"benchmarks/{name}.py",
        "--sizes",
        "tiny",
        "--rounds",
        "1",
    ]
    done = subprocess.run(
        [*command, "--output", tmp_path], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (file,) = tmp_path.iterdir()
    for turns in json.loads(file.read_text())["steps"].values():
        assert {"zoo", "tape"} <= set(turns) and all(
            turn["ms"] > 0 for turn in turns.values()
        )
