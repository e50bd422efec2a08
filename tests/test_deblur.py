"""The deblurrer's networks, blur and commands.

Runs on every backend; tests/test_backends.py sees to that.
"""

import json

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from conftest import (
    DEBLUR_TINY,
    interrupted,
    same_state,
    values,
)
from PIL import Image
from scipy.ndimage import gaussian_filter

from zoo import deblur
from zoo.deblur import (
    KINDS,
    Deblurrer,
    blur,
    build_discriminator,
    build_generator,
    draw_kernel,
)


def tiny(**kwargs):
    keras.utils.set_random_seed(1)
    networks = build_generator(2, kwargs.pop("skips", True)), build_discriminator(32, 2)
    gan = Deblurrer(*networks, **({"jpeg": None, "noise": None} | kwargs))
    # From zeros the layers before it would have no gradient.
    last = gan.generator.get_layer("to_rgb")
    last.set_weights(
        [np.random.default_rng(0).normal(0, 0.02, w.shape) for w in last.get_weights()]
    )
    return gan


def pictures(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 32, 32, 3)).astype("float32")


def photo(height=40, width=56):
    small = np.random.default_rng(0).integers(
        0, 256, (height // 8, width // 8, 3), np.uint8
    )
    return np.asarray(
        Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    )


def test_parameter_counts():
    # 5x5 kernels 3-64-128-256-512 and back; no biases before BN, which has 2 trainable
    # numbers for each map.
    encoder = (
        25 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512) + 64 + 2 * (128 + 256 + 512)
    )
    decoder = (
        25 * (512 * 256 + 256 * 128 + 128 * 64 + 64 * 3) + 3 + 2 * (256 + 128 + 64)
    )
    for skips in (True, False):
        count = sum(
            int(np.prod(v.shape))
            for v in build_generator(64, skips).trainable_variables
        )
        assert count == encoder + decoder
    count = sum(
        int(np.prod(v.shape)) for v in build_discriminator(64, 64).trainable_variables
    )
    assert count == encoder + 4 * 4 * 512 + 1


@pytest.mark.parametrize("skips", [True, False])
def test_any_multiple_of_16_goes_through(skips):
    images = np.zeros((2, 48, 80, 3), np.uint8)
    assert tiny(skips=skips).restore(images).shape == images.shape


@pytest.mark.parametrize("sigma", [0.5, 1, 2.3])
def test_gaussian_blur_is_scipys(sigma):
    expected = gaussian_filter(
        photo().astype(float), (sigma, sigma, 0), radius=max(1, round(3 * sigma))
    )
    ours = blur(photo(), deblur.gaussian_kernel(sigma))
    assert np.abs(ours - expected).max() <= 0.6


def test_motion_blur_is_a_line():
    level = deblur.motion_kernel(7, 0)
    assert level.sum() == pytest.approx(1) and (level.sum(1) > 0).sum() == 1
    np.testing.assert_allclose(
        level[len(level) // 2][level[len(level) // 2] > 0], 1 / 7
    )
    np.testing.assert_allclose(
        deblur.motion_kernel(9, np.pi / 2), deblur.motion_kernel(9, 0).T, atol=1e-12
    )


@pytest.mark.parametrize("kind", KINDS)
def test_blur_keeps_shape_and_brightness_and_loses_detail(kind):
    image = photo()
    blurred = blur(image, draw_kernel(kind, np.random.default_rng(0)))
    assert blurred.shape == image.shape and blurred.dtype == np.uint8
    assert abs(blurred.mean() - image.mean()) < 2
    assert (
        np.abs(np.diff(blurred.astype(int), axis=0)).mean()
        < np.abs(np.diff(image.astype(int), axis=0)).mean()
    )
    even = np.full((32, 32, 3), 77, np.uint8)
    np.testing.assert_array_equal(
        blur(even, draw_kernel(kind, np.random.default_rng(0))), even
    )


def test_without_adversarial_weight_d_rests():
    gan = tiny(adversarial_weight=0)
    before = gan.discriminator.get_weights()
    assert set(gan.train_step(pictures(4))) == {"g_loss", "pixel_loss"}
    # The normalisation's means too.
    for x, y in zip(before, gan.discriminator.get_weights(), strict=True):
        np.testing.assert_array_equal(x, y)


def test_what_cannot_be_says_so():
    with pytest.raises(ValueError, match="can be mixed, gaussian"):
        tiny(blur="gausian")
    with pytest.raises(ValueError, match=r"n \* 16"):
        tiny().restore(np.zeros((1, 40, 32, 3), np.uint8))


@pytest.mark.usefixtures("eager")
def test_save_and_load_go_on_exactly(tmp_path):
    straight, saved, other = tiny(), tiny(), tiny()
    for seed in range(4):
        straight.train_step(pictures(4, seed))
    for seed in range(2):
        saved.train_step(pictures(4, seed))
    saved.save(tmp_path)
    other.load(tmp_path)
    for seed in range(2, 4):
        other.train_step(pictures(4, seed))
    for name in ("generator", "discriminator"):
        for x, y in zip(
            values(getattr(straight, name)), values(getattr(other, name)), strict=True
        ):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7)


def test_generator_file_needs_no_code_of_ours(tmp_path):
    gan = tiny()
    gan.save(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (1, 32, 16, 3), np.uint8)
    loaded = keras.models.load_model(tmp_path / "generator.keras", safe_mode=True)
    theirs = deblur.to_uint8(
        loaded.predict(images.astype("float32") / 127.5 - 1, verbose=0)
    )
    np.testing.assert_array_equal(gan.restore(images), theirs)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_command_line(command, tmp_path, monkeypatch):
    args = ["--epochs", 2, *DEBLUR_TINY, "--run"]
    assert command(deblur, *args, "straight")[0] == 0
    interrupted(command, monkeypatch, deblur, Deblurrer, 3, *args, "parts")
    same_state(tmp_path / "straight", tmp_path / "parts")
    Image.fromarray(photo(64, 80)).save(tmp_path / "photo.png")
    (tmp_path / "set").mkdir()
    Image.fromarray(photo(64, 80)).save(tmp_path / "set/a.png")
    status, out, _ = command(deblur, "--evaluate", "set", "--run", "straight")
    result = json.loads((tmp_path / "straight/evaluation.json").read_text())
    assert status == 0 and list(result) == list(KINDS) and "R.-Lucy" in out
    assert (
        "R.-Lucy" not in result["resize"]
        and result["gaussian"]["R.-Lucy"] > result["gaussian"]["blurred"]
    )
    assert command(deblur, "--apply", "photo.png", "--run", "straight")[0] == 0
    assert iio.imread(tmp_path / "photo_sharp.png").shape == (64, 80, 3)


@pytest.mark.parametrize(
    "args, advice",
    [
        (["--size", "40"], "multiple of 16"),
        (["--blur", "fog"], "--blur"),
        (["--sigma", "1"], "--sigma"),
        (["--sigma", "0", "2"], "--sigma"),
        (["--length", "9", "2"], "smaller number first"),
        (["--apply", "nothing.jpg", "--run", "elsewhere"], "there is no photo"),
    ],
)
def test_mistakes_get_one_line(args, advice, refused):
    assert advice in refused(deblur, *args)


def test_blur_has_the_strength_asked_for_and_is_another_in_every_step():
    gan, images = tiny(blur="random-gaussian", sigma=(4, 4)), pictures(2)
    first = gan.blurred(images)
    expected = deblur.blur(deblur.to_uint8(images[0]), deblur.gaussian_kernel(4))
    np.testing.assert_array_equal(deblur.to_uint8(first[0]), expected)
    for change in ({"steps": 1}, {"seed": 1}):
        gan = tiny()
        first = gan.blurred(pictures(8))
        for name, value in change.items():
            setattr(gan, name, value)
        assert not np.array_equal(gan.blurred(pictures(8)), first)


def test_motion_goes_in_all_directions():
    slopes = []
    for seed in range(20):
        kernel = deblur.draw_kernel("motion", np.random.default_rng(seed))
        y, x = np.mgrid[: len(kernel), : len(kernel)] - len(kernel) // 2
        slopes.append((kernel * x * y).sum())
    assert min(slopes) < 0 < max(slopes)


def test_each_image_of_a_batch_has_a_kind_of_its_own():
    images = np.broadcast_to(
        np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)), (24, 32, 32, 3)
    )
    # Both Gaussians are one, no two motions are.
    blurred = tiny(sigma=(2, 2)).blurred(images)
    assert 3 <= len({image.tobytes() for image in blurred}) < 20


def test_a_blur_that_there_is_not():
    with pytest.raises(ValueError, match="'motoin': the kinds are"):
        deblur.draw_kernel("motoin", np.random.default_rng(0))
