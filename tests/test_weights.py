"""The generators that come with the zoo, and `--weights`.

Better than nothing, on a photo that they have not seen.
"""

import importlib
import json
import shutil
from pathlib import Path

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from conftest import DEBLUR_TINY, ROOT, SRGAN_TINY
from conftest import TINY as DCGAN_TINY
from PIL import Image
from skimage import data

from zoo import dcgan, deblur, srgan
from zoo.common import metrics

LIMITS = {"srgan": 4e6, "deblur": 6e6}  # bytes
WEIGHTS = ROOT / "zoo/weights"
READY = sorted(path.name for path in WEIGHTS.iterdir() if path.is_dir())
TINY = {"srgan": SRGAN_TINY, "deblur": DEBLUR_TINY}
MODULES = {"srgan": srgan, "deblur": deblur}
CAT = data.chelsea()[:288, :448]


def test_they_are_small():
    sizes = {name: (WEIGHTS / name).glob("*.keras") for name in READY}
    sizes = {name: [f.stat().st_size for f in files] for name, files in sizes.items()}
    assert max(map(max, sizes.values())) < 15e6 and sum(map(sum, sizes.values())) < 40e6


@pytest.mark.parametrize("name", READY)
def test_each_has_a_card_and_options(name):
    assert f"\n## {name}\n" in (WEIGHTS / "README.md").read_text("utf-8")
    options = json.loads((WEIGHTS / name / "options.json").read_text())
    assert options["model"] == name.partition("-")[0]
    assert not any("/" in str(value) for value in options.values())  # nobody's paths


@pytest.mark.parametrize("name", READY)
def test_pretrained_in_python(name):
    module, _, task = name.partition("-")
    module = importlib.import_module(f"zoo.{module}")
    classes = {"srgan": "SRGAN", "deblur": "Deblurrer", "dcgan": "DCGAN"}
    classes |= {"pix2pix": "Pix2Pix", "cyclegan": "CycleGAN", "dualgan": "DualGAN"}
    gan = getattr(module, classes[name.partition("-")[0]])
    gan = gan.pretrained(*[task] * bool(task))
    verb = next(v for v in ("generate", "translate", "upscale", "restore")
                if hasattr(gan, v))  # fmt: skip
    made = getattr(gan, verb)(4 if verb == "generate" else CAT[None, :64, :64])
    assert made.dtype == np.uint8 and made.shape[-1] == 3 and made.std() > 10


def test_pretrained_before_a_run(command, refused, tmp_path):
    """A run is there, and the ready generator is asked for all the same."""
    assert "--pretrained goes with --generate" in refused(dcgan, "--pretrained")
    command(dcgan, "--epochs", 1, *DCGAN_TINY)
    pictures = []
    for options in ([], ["--pretrained"]):
        assert command(dcgan, "--generate", 4, *options)[0] == 0
        pictures.append(iio.imread(tmp_path / "runs/dcgan/output.png"))
    assert pictures[0].shape != pictures[1].shape  # 28 and 32 pixels


def test_without_a_run_the_ready_one_is_used(command, refused):
    status, out, _ = command(dcgan, "--generate", 4)
    assert status == 0 and "comes with the zoo is used" in out
    assert "train it first" in refused(dcgan, "--generate", 4, "--run", "none")
    assert "--filters" in refused(dcgan, "--generate", 4, "--filters", 3)


def test_srgan_enlarges_better_than_bicubic(command, tmp_path):
    small = srgan.downscale(CAT[None], 4)[0]
    iio.imwrite(tmp_path / "small.png", small)
    status, out, _ = command(srgan, "--apply", "small.png")
    assert status == 0 and "comes with the zoo" in out
    large = iio.imread(tmp_path / "small_x4.png")
    bicubic = Image.fromarray(small).resize(CAT.shape[1::-1], Image.Resampling.BICUBIC)
    assert metrics.psnr(large, CAT) > metrics.psnr(bicubic, CAT) + 0.5
    # Not the same: --apply mirrors the photo at its edges.
    large = srgan.SRGAN.pretrained().upscale(small[None])[0]
    assert metrics.psnr(large, CAT) > metrics.psnr(bicubic, CAT) + 0.5


@pytest.mark.parametrize("kind", deblur.KINDS)
def test_deblurrer_gains(kind, command, tmp_path):
    blurred = deblur.blur(CAT, deblur.draw_kernel(kind, np.random.default_rng(1)))
    iio.imwrite(tmp_path / "blurred.png", blurred)
    status, out, _ = command(deblur, "--apply", "blurred.png")
    assert status == 0 and "comes with the zoo" in out
    restored = iio.imread(tmp_path / "blurred_sharp.png")
    assert metrics.psnr(restored, CAT) > metrics.psnr(blurred, CAT)
    assert metrics.psnr(
        deblur.Deblurrer.pretrained().restore(blurred[None])[0], CAT
    ) > metrics.psnr(blurred, CAT)


def test_evaluation_without_a_run(command, tmp_path):
    (tmp_path / "set").mkdir()
    iio.imwrite(tmp_path / "set/cat.png", CAT[96:192, 96:192])
    status, out, _ = command(srgan, "--evaluate", "set")
    assert (
        status == 0
        and "bicubic" in out
        and "generator" in out
        and not (tmp_path / "runs").exists()
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.usefixtures("eager")
def test_weights_of_ones_own(name, command, refused, tmp_path):
    module = MODULES[name]
    iio.imwrite(tmp_path / "photo.png", CAT[:40, :50])
    assert command(module, "--epochs", 1, *TINY[name])[0] == 0
    assert command(module, "--apply", "photo.png", "--output", "run.png")[0] == 0
    shutil.move(f"runs/{name}/generator.keras", "mine.keras")
    use = ["--apply", "photo.png", "--output", "mine.png", "--weights"]
    assert command(module, *use, "mine.keras")[0] == 0
    np.testing.assert_array_equal(iio.imread("run.png"), iio.imread("mine.png"))
    assert "nothing.keras" in refused(module, *use, "nothing.keras")
    Path("text.keras").write_text("no network")
    advice = refused(module, *use, "text.keras")
    assert "text.keras can't be loaded" in advice and len(advice) < 1000


@pytest.mark.slow
@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.usefixtures("eager")
def test_a_run_begins_with_weights(name, command, refused):
    module = MODULES[name]
    assert command(module, "--epochs", 1, *TINY[name])[0] == 0
    shutil.move(f"runs/{name}", "first")
    more = ["--weights", "first/generator.keras", "--learning-rate", 1e-9, *TINY[name]]
    status, _, err = command(module, "--epochs", 1, *more)
    assert status == 0, err
    begun, first = (
        keras.saving.load_model(f"{run}/generator.keras")
        for run in (f"runs/{name}", "first")
    )
    for ours, theirs in zip(
        begun.trainable_variables, first.trainable_variables, strict=True
    ):
        np.testing.assert_allclose(
            *map(keras.ops.convert_to_numpy, (ours, theirs)), atol=1e-6
        )
    assert "--weights first/generator.keras" in refused(
        module, "--epochs", 2, "--weights", "other.keras"
    )
    shutil.rmtree("first")  # a run that has begun needs it no more
    status, out, err = command(module, "--epochs", 2, *more)
    assert status == 0 and "going on after epoch 1" in out, err
    assert command(module, "--evaluate")[0] == 0  # the run, not what it began with
    assert Path(f"runs/{name}/evaluation.json").exists()
    assert "nothing.keras" in refused(
        module, "--epochs", 1, "--fresh", "--weights", "nothing.keras", *TINY[name]
    )
    assert not Path(f"runs/{name}.1").exists()
    status, _, err = command(
        module,
        "--epochs",
        1,
        "--fresh",
        "--weights",
        f"runs/{name}/generator.keras",
        *TINY[name],
    )
    assert status == 0 and Path(f"runs/{name}.1").exists(), err


@pytest.mark.parametrize("name", ["cyclegan", "dualgan"])
def test_weights_of_one_of_two_generators(name, refused, tmp_path):
    iio.imwrite(tmp_path / "photo.png", CAT[:40, :50])
    module = importlib.import_module(f"zoo.{name}")
    line = refused(module, "--apply", "photo.png", "--weights", "mine.keras")
    assert "no option --weights" in line


def test_weights_are_plain_keras(tmp_path):
    network = srgan.build_generator()
    before = [keras.ops.convert_to_numpy(v).copy() for v in network.trainable_variables]
    network.load_weights(ROOT / "zoo/weights/srgan/generator.keras")
    for fresh, variable in zip(before, network.trainable_variables, strict=True):
        trained = keras.ops.convert_to_numpy(variable)
        assert np.isfinite(trained).all() and (fresh != trained).any()
