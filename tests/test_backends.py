"""Every model's step is the same on all backends; one run on all three in turn.

`.ci/run` also has the command line on JAX and PyTorch where TensorFlow is not
installed.
"""

import functools
import importlib.util
import re

import keras
import numpy as np
import pytest
from conftest import CYCLEGAN_TINY, ROOT, SRGAN_TINY, TINY, finish, weights
from keras import layers, ops

from zoo import cyclegan, dcgan, deblur, dualgan, inpaint, pix2pix, srgan
from zoo.__main__ import models

pytestmark = pytest.mark.slow
OTHERS = ["jax", "torch"]
# Who learns in which call, exact resume, networks of one's own.
PROOFS = "only or exactly or own"


def needs(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")


@pytest.mark.parametrize("backend", OTHERS)
def test_step_and_checkpoint(backend):
    """Of every model, in one process.

    Its start would take most of the time otherwise.
    """
    needs(backend)
    files = ["tests/test_players.py", "tests/test_dcgan.py"]
    out, _ = finish(
        ["-m", "pytest", "-v", *files, "-k", PROOFS],
        ROOT,
        env={"KERAS_BACKEND": backend},
    )
    for name in GANS:
        assert re.search(rf"updates_only_its_own_networks\[{name}\] PASSED", out), out


def features():
    """In place of VGG19."""
    network = keras.Sequential([layers.Input((None, None, 3)), layers.Conv2D(4, 3, 2)])
    network.set_weights(
        [np.random.default_rng(0).normal(size=v.shape) for v in network.get_weights()]
    )
    return network


def sr_gan():
    """Stage 1 is one step long."""
    networks = srgan.build_generator(2, 1, 4), srgan.build_discriminator(32, 4)
    gan = srgan.SRGAN(*networks, features())
    gan.pretrain_steps = 1
    return gan


def dc_gan():
    shape = (28, 28, 3)
    networks = dcgan.build_generator(shape, 8, 4), dcgan.build_discriminator(shape, 4)
    return dcgan.DCGAN(*networks)


def two(module, generator):
    """Both generators and both discriminators, of 32 pixels."""
    names = "discriminator_a", "discriminator_b"
    networks = [generator(name=name) for name in ("generator_ab", "generator_ba")]
    return networks + [module.build_discriminator(32, 4, name) for name in names]


def cycle_gan():
    generator = functools.partial(cyclegan.build_generator, 1, 4)
    return cyclegan.CycleGAN(*two(cyclegan, generator), pool_size=2)


# NumPy draws all their noise but dropout's, which is left out: every backend has its
# own way of drawing that.
def dual_gan():
    generator = functools.partial(dualgan.build_generator, 3, 4, 0)
    return dualgan.DualGAN(*two(dualgan, generator))


def pix_to_pix():
    generator = pix2pix.build_generator(32, filters=4, dropout=0)
    return pix2pix.Pix2Pix(
        "colorize", generator, pix2pix.build_discriminator(32, filters=4)
    )


def deblurrer():
    networks = deblur.build_generator(4), deblur.build_discriminator(32, 4)
    return deblur.Deblurrer(*networks, adversarial_weight=0.1)


GANS = {
    "cyclegan": cycle_gan,
    "dcgan": dc_gan,
    "deblur": deblurrer,
    "dualgan": dual_gan,
    "pix2pix": pix_to_pix,
    "srgan": sr_gan,
}


def batch(name):
    size = 28 if name in ("dcgan", "inpaint") else 32
    a, b = (
        np.random.default_rng(0).uniform(-1, 1, (2, 4, size, size, 3)).astype("float32")
    )
    return (a, b) if name in ("cyclegan", "dualgan") else a


def after_gradients(optimizer):
    """The optimiser as after gradients of 1e-3.

    The first step of Adam and RMSprop is as large as the learning rate, however small
    the gradient: where that is 0 but for rounding, the step would go to either side.
    """
    for v in optimizer.variables:
        if "velocity" in v.path:
            v.assign(ops.full(v.shape, 1e-6))


def players(gan):
    return [p for p in vars(gan).values() if getattr(p, "optimizer", None)]


@pytest.mark.parametrize("name", GANS)
@pytest.mark.usefixtures("eager")
def test_a_step_makes_no_variables(name):
    """One that did would be compiled twice by TensorFlow, which takes longer than all
    else at the start.
    """
    gan = GANS[name]()

    def count():
        return [
            len(p.metrics_variables) + len(p.optimizer.variables) for p in players(gan)
        ]

    before = count()
    for _ in range(2 if name == "srgan" else 1):
        gan.train_step(batch(name))
    assert count() == before


def write_models(folder):
    for name, build in GANS.items():
        keras.utils.set_random_seed(0)
        gan = build()
        for player in players(gan):
            after_gradients(player.optimizer)
        gan.save(folder / name)


def values(variables):
    return [np.array(ops.convert_to_numpy(v)) for v in variables]


def search(folder):
    """The inpainter's search, with `folder/dcgan`."""
    weights, z = (
        inpaint.context_weights(inpaint.make_masks("half", 4, 28)),
        np.linspace(-1, 1, 32).reshape(4, 8),
    )
    model = inpaint.Search(
        *inpaint.load_networks(folder / "dcgan"),
        batch("inpaint"),
        weights,
        z,
        prior_weight=0.5,
        clip=1,
    )
    model.compile(keras.optimizers.Adam(0.1))
    model.optimizer.build([model.z])
    after_gradients(model.optimizer)
    return model


def step(name, folder, eager):
    """A step of a model from a folder.

    {name: loss, change of a weight, or state of an optimiser}.
    """
    if name == "inpaint":
        model = search(folder)
        model.run_eagerly = eager
        weights, optimizers = [model.z], model.optimizer.variables
        train = lambda: {"loss": model.step()}  # noqa: E731
    else:
        gan = GANS[name]()
        gan.load(folder / name)
        for player in players(gan):
            player.run_eagerly = eager
        networks = [
            getattr(gan, file.stem) for file in sorted((folder / name).glob("*.keras"))
        ]
        weights = [v for network in networks for v in network.variables]
        optimizers = [v for player in players(gan) for v in player.optimizer.variables]
        train = lambda: gan.train_step(batch(name))  # noqa: E731
    before, result = values(weights), {}
    for i in range(2 if name == "srgan" else 1):
        result |= {f"{key} {i}": value for key, value in train().items()}
    result |= {
        f"weight {i}": v - x
        for i, (v, x) in enumerate(zip(values(weights), before, strict=True))
    }
    return result | {f"optimiser {i}": v for i, v in enumerate(values(optimizers))}


def write_steps(folder, file, eager=False):
    steps = {name: step(name, folder, eager) for name in models()}
    np.savez(
        folder / file,
        **{
            f"{name}: {key}": x
            for name, found in steps.items()
            for key, x in found.items()
        },
    )


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """Where the models and their steps on this process' backend are.

    Not compiled, which would take long.
    """
    folder = tmp_path_factory.mktemp("steps")
    write_models(folder)
    write_steps(folder, "reference.npz", eager=True)
    return folder


@pytest.mark.parametrize("backend", OTHERS)
def test_the_same_step(backend, reference):
    """From the same files, on the same batch."""
    needs(backend)
    program = f"import pathlib, test_backends; test_backends.write_steps(pathlib.Path({str(reference)!r}), 'other.npz')"
    finish(["-c", program], ROOT / "tests", env={"KERAS_BACKEND": backend})
    with (
        np.load(reference / "reference.npz") as ours,
        np.load(reference / "other.npz") as theirs,
    ):
        assert ours.files == theirs.files and {
            name.split(":")[0] for name in ours.files
        } == set(models())
        for name in ours.files:
            # Losses were seen to differ by 1e-6, gradients by 2e-3 in norm: an input of
            # a ReLU that is 0 but for rounding gets a gradient, or none. So it goes
            # with critics' weights at their limits.
            tolerance = 1e-2 if ours[name].ndim or "clipped" in name else 2e-5
            error, size = (
                np.linalg.norm(ours[name] - theirs[name]),
                np.linalg.norm(ours[name]),
            )
            assert error <= tolerance * size + 1e-12, (name, error, size)


def test_a_run_goes_on_with_another_backend(tmp_path):
    for epoch, backend in enumerate(["tensorflow", *OTHERS], 1):
        needs(backend)
        out, _ = finish(
            ["-m", "zoo.dcgan", "--epochs", epoch, *TINY],
            tmp_path,
            env={"KERAS_BACKEND": backend},
        )
        assert epoch == 1 or f"going on after epoch {epoch - 1}" in out


TWO_DEVICES = {
    "KERAS_BACKEND": "jax",
    "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
}
# Runs a command line, and prints over how many devices its weights then lie; in the
# same process the run is used.
TRAIN = """import importlib, sys
importlib.import_module(sys.argv[1]).main(sys.argv[2:])
import jax
print("devices", max(len(array.sharding.device_set) for array in jax.live_arrays()))
importlib.import_module(sys.argv[1]).main(["--generate", "3", *sys.argv[-2:]])
"""


def test_devices_all_shares_a_batch(tmp_path):
    needs("jax")
    for name, count in (("one", 1), ("all", 2)):
        train = [
            "-c",
            TRAIN,
            "zoo.dcgan",
            "--epochs",
            1,
            *TINY,
            "--devices",
            name,
            "--run",
            name,
        ]
        assert f"devices {count}" in finish(train, tmp_path, env=TWO_DEVICES)[0]
    losses = [
        [
            float(x)
            for x in (tmp_path / name / "history.csv")
            .read_text()
            .splitlines()[1]
            .split(",")
        ]
        for name in ("one", "all")
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    for network in ("generator.keras", "discriminator.keras"):
        one, shared = (
            weights(tmp_path / name / "checkpoint" / network) for name in ("one", "all")
        )
        for x, y in zip(one, shared, strict=True):
            # Where a gradient is 0 but for rounding, a step, as large as the learning
            # rate, may go to either side.
            assert np.linalg.norm(x - y) < 1e-3 * np.linalg.norm(x) + 2e-4


@pytest.mark.parametrize("model", ["srgan", "cyclegan"])
def test_devices_all_with_few_samples(model, tmp_path):
    """Their sample pictures are fewer than the devices, or no multiple of them."""
    needs("jax")
    tiny = {"srgan": SRGAN_TINY, "cyclegan": CYCLEGAN_TINY}[model]
    train = [
        "-m",
        f"zoo.{model}",
        "--epochs",
        1,
        *tiny,
        "--devices",
        "all",
        "--batch-size",
    ]
    finish([*train, 2], tmp_path, env=TWO_DEVICES)
    _, err = finish([*train, 3, "--run", "odd"], tmp_path, env=TWO_DEVICES, status=2)
    assert "multiple of" in err.splitlines()[-1] and not (tmp_path / "odd").exists()
