import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

# A core for each worker: more threads would only get in each other's way.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ |= {
        "OMP_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
    }

from types import SimpleNamespace

import imageio.v3 as iio
import keras
import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
STEPS = "--steps-per-epoch 3"
TINY = (
    f"--data faces --filters 4 --latent-dim 8 --size 28 --batch-size 8 {STEPS}".split()
)
SRGAN_TINY = f"--size 32 --blocks 1 --filters 4 --batch-size 2 {STEPS}".split()
SRGAN_TINY += ["--vgg", "random", "--vgg-layer", "block2_conv2"]
DEBLUR_TINY = f"--size 32 --filters 2 --batch-size 4 {STEPS}".split()
PIX2PIX_TINY = f"--size 32 --filters 2 --batch-size 2 {STEPS}".split()
TWO = f"--size 32 --filters 2 --batch-size 1 {STEPS}".split()
CYCLEGAN_TINY = [*TWO, "--blocks", "1", "--pool", "2"]
DUALGAN_TINY = [*TWO, "--depth", "3"]


@pytest.fixture(autouse=True)
def clean_slate():
    """Command lines run inside the test process leave no global settings behind."""
    yield
    keras.config.set_dtype_policy("float32")


@pytest.fixture
def eager():
    """Without compiling what TensorFlow does.

    A few steps of tiny networks are over before that.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.run_functions_eagerly(True)
        yield
        tf.config.run_functions_eagerly(False)
    else:
        yield


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Runs a model's command line in an empty folder.

    Command(module, *args) -> (exit status, stdout, stderr).
    """
    monkeypatch.chdir(tmp_path)

    def run(module, *args):
        try:
            module.main([str(a) for a in args])
            status = 0
        except SystemExit as end:
            status = end.code or 0
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def refused(command):
    """Runs a command line that must end with one line of advice; returns the line."""

    def run(module, *args):
        status, _, err = command(module, *args)
        assert status == 2, err
        lines = [line for line in err.splitlines() if "error: " in line]
        assert len(lines) == 1 and "Traceback" not in err, err
        return lines[0]

    return run


@pytest.fixture
def folder(tmp_path):
    """A folder of 30 different colour pictures, 40x36 pixels, as PNG and JPEG."""
    where = tmp_path / "pictures"
    (where / "inner").mkdir(parents=True)
    random = np.random.default_rng(0)
    for i in range(30):
        small = random.integers(0, 256, (6, 5, 3), np.uint8)
        picture = np.kron(small, np.ones((6, 8, 1), np.uint8))
        iio.imwrite(
            where
            / ("inner" if i % 2 else ".")
            / f"{i:02d}.{'png' if i % 3 else 'jpg'}",
            picture,
        )
    return where


def noise(*shape, seed=0):
    """Random uint8 values."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def one(image):
    """A set of one image, as far as a model's `evaluate` asks."""
    return SimpleNamespace(
        whole=lambda **_: iter([image]), take=lambda n: image[None], count=1
    )


def weights(path):
    network = keras.models.load_model(path, compile=False)
    return [np.array(keras.ops.convert_to_numpy(v)) for v in network.variables]


def values(network, trainable_only=True):
    variables = network.trainable_variables if trainable_only else network.variables
    return [np.array(keras.ops.convert_to_numpy(v)) for v in variables]


def changed(network, before):
    return [
        not np.array_equal(a, b) for a, b in zip(values(network), before, strict=True)
    ]


def alone(model, name):
    """From now on only the loss of this name counts in a model that was compiled with
    several.
    """
    weights = {each: float(each == name) for each in model.output_names}
    model.compile(keras.optimizers.Adam(), model.loss, loss_weights=weights)


def assert_moves(gan, step, generator, discriminator):
    """`step(name)`, a step with that loss alone, moves all weights of the network that
    it is listed for, no other.
    """
    for name in (*generator, *discriminator):
        before = {
            which: values(getattr(gan, which))
            for which in ("generator", "discriminator")
        }
        step(name)
        for which, names in {
            "generator": generator,
            "discriminator": discriminator,
        }.items():
            moved = changed(getattr(gan, which), before[which])
            assert all(moved) if name in names else not any(moved), (name, which)


def count(network):
    return sum(int(np.prod(v.shape)) for v in network.trainable_variables)


def same_state(a, b):
    """Networks, optimisers, history and samples of two run folders are equal to the
    bit.
    """
    networks = [
        sorted(p.name for p in (run / "checkpoint").glob("*.keras")) for run in (a, b)
    ]
    assert networks[0] == networks[1] and len(networks[0]) > 1
    for network in networks[0]:
        for x, y in zip(
            weights(a / "checkpoint" / network),
            weights(b / "checkpoint" / network),
            strict=True,
        ):
            np.testing.assert_array_equal(x, y)
    with (
        np.load(a / "checkpoint/training.npz") as x,
        np.load(b / "checkpoint/training.npz") as y,
    ):
        assert x.files == y.files
        for name in x.files:
            np.testing.assert_array_equal(x[name], y[name])
    assert (a / "history.csv").read_text() == (b / "history.csv").read_text()
    pictures = sorted(p.name for p in (a / "samples").glob("*.png"))
    assert pictures == sorted(p.name for p in (b / "samples").glob("*.png"))
    for name in pictures:
        np.testing.assert_array_equal(
            iio.imread(a / "samples" / name), iio.imread(b / "samples" / name)
        )


def interrupted(command, monkeypatch, module, model, step, *args):
    """A run that is told to stop in its step number `step`, of epoch 2, and is then
    called again to its end.
    """
    train_step = model.train_step

    def stop(gan, images):
        if gan.steps == step:
            signal.raise_signal(signal.SIGTERM)
        return train_step(gan, images)

    monkeypatch.setattr(model, "train_step", stop)
    assert command(module, *args)[0] == 128 + signal.SIGTERM
    monkeypatch.setattr(model, "train_step", train_step)
    status, out, _ = command(module, *args)
    assert status == 0 and "going on after epoch 1, step" in out


def start(args, cwd, env=None, **kwargs):
    """A command in a process of its own, as a student would run it.

    Without args[0], which is Python.
    """
    env = (
        os.environ
        | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        | (env or {})
    )
    # Tiny networks are compiled for longer than they run.
    if env.get("KERAS_BACKEND") == "jax":
        env["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
        env["XLA_FLAGS"] = (
            f"{env.get('XLA_FLAGS', '')} --xla_cpu_use_fusion_emitters=false"
        )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(
        [sys.executable, *map(str, args)], cwd=cwd, env=env, **(pipes | kwargs)
    )


def finish(args, cwd, env=None, status=0):
    """Runs `start` to its end and returns (stdout, stderr)."""
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(Path(tempfile.gettempdir()) / "zoo-tests-jax")
    }
    cache["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    process = start(args, cwd, cache | (env or {}))
    out, err = process.communicate(timeout=600)
    assert process.returncode == status, err[-3000:]
    return out, err
