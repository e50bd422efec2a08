"""The proofs of the networks and the step again, on the other backends, and one run on all three in turn."""

import importlib.util
import re

import pytest
from conftest import ROOT, TINY, finish

from zoo.__main__ import models

pytestmark = pytest.mark.slow
OTHERS = ["jax", "torch"]
# Who learns in which step, and for one model going on exactly: the rest is the same everywhere.
PROOFS = "only or test_dcgan and exactly"


def needs(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")


@pytest.mark.parametrize("backend", OTHERS)
def test_step_and_checkpoint(backend):
    """Of every model, in one process: its start would take most of the time otherwise."""
    needs(backend)
    files = [f"tests/test_{model}.py" for model in models()]
    out, _ = finish(["-m", "pytest", "-q", *files, "-k", PROOFS], ROOT, env={"KERAS_BACKEND": backend})
    assert int(re.search(r"(\d+) passed", out)[1]) > len(files)


@pytest.mark.parametrize("backend", OTHERS)
def test_command_line(backend, tmp_path):
    needs(backend)
    tests = "goes_on or evaluate"
    finish(["-m", "pytest", "-q", "tests/test_command_line.py", "-k", tests], ROOT, env={"KERAS_BACKEND": backend})


def test_a_run_goes_on_with_another_backend(tmp_path):
    for epoch, backend in enumerate(["tensorflow", *OTHERS], 1):
        needs(backend)
        out, _ = finish(["-m", "zoo.dcgan", "--epochs", epoch, *TINY], tmp_path, env={"KERAS_BACKEND": backend})
        assert epoch == 1 or f"going on after epoch {epoch - 1}" in out


def test_devices_all_shares_a_batch(tmp_path):
    needs("jax")
    env = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    for name in ("one", "all"):
        finish(["-m", "zoo.dcgan", "--epochs", 1, *TINY, "--devices", name, "--run", name], tmp_path, env=env)
    losses = [
        [float(x) for x in (tmp_path / name / "history.csv").read_text().splitlines()[1].split(",")]
        for name in ("one", "all")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
