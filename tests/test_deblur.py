"""The deblurrer's networks, blur and commands.

Runs on every backend; tests/test_backends.py sees to that.
"""

import json
from types import SimpleNamespace

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from conftest import (
    DEBLUR_TINY,
    interrupted,
    one,
    same_state,
    values,
)
from keras import ops
from PIL import Image
from scipy.ndimage import gaussian_filter
from skimage import data

from zoo import deblur
from zoo.deblur import (
    KINDS,
    Deblurrer,
    blur,
    build_discriminator,
    build_generator,
    draw_kernel,
)

# What `--evaluate` adds to the kinds of blur.
WORSE = [f"gaussian, JPEG {quality}" for quality in (95, 90, 75)]
WORSE.append("gaussian, noise 2")


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
    assert status == 0 and list(result) == [*KINDS, *WORSE] and "R.-Lucy" in out
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
        (["--jpeg", "90", "60"], "--jpeg needs the smaller number first"),
        (["--jpeg", "0", "60"], "--jpeg"),
        (["--noise", "5", "1"], "--noise needs the smaller number first"),
        (["--noise", "-1", "1"], "--noise"),
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


def test_one_discriminator_at_any_precision():
    """D is as precise where it stays put as where it learns."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    gan = tiny()
    for_g = gan.combined(pictures(4), training=True)
    real = ops.convert_to_tensor(pictures(4, 1))
    for_d = gan.d_step([real, for_g["fake"]], training=True)
    np.testing.assert_array_equal(
        *(ops.convert_to_numpy(x) for x in (for_g["adversarial"], for_d["fake"]))
    )


def test_it_is_evaluated_on_the_blur_that_it_was_trained_on():
    image = data.chelsea()[100:148, 100:148]
    psnrs = []
    for sigma, length in (((0.5, 0.5), (1, 1)), ((6, 6), (30, 30))):
        gan = SimpleNamespace(sigma=sigma, length=length, restore=lambda images: images)
        psnrs.append(deblur.evaluate(gan, one(image)))
    for kind in ("gaussian", "random-gaussian", "motion", *WORSE):
        assert psnrs[0][kind]["blurred"] > psnrs[1][kind]["blurred"] + 5
        assert psnrs[0][kind]["blurred"] == psnrs[0][kind]["restored"]
    # Worse the more it is compressed, and worse with noise than without.
    order = [psnrs[0][kind]["blurred"] for kind in ("gaussian", *WORSE)]
    assert order[0] > order[1] > order[2] > order[3] and order[4] < order[0]


def crops(**kwargs):
    """What G gets for 200 crops, all blurred alike: uint8 images."""
    gan = tiny(blur="gaussian")
    for name, value in kwargs.items():
        setattr(gan, name, value)
    return deblur.to_uint8(gan.blurred(pictures(200)))


def test_without_jpeg_and_noise_there_is_blur_alone():
    kernel = deblur.gaussian_kernel(2)
    expected = [blur(image, kernel) for image in deblur.to_uint8(pictures(200))]
    np.testing.assert_array_equal(crops(jpeg=None, noise=None), expected)


def test_a_share_of_the_crops_gets_noise():
    plain, noisy = crops().astype(int), crops(noise=(4, 8)).astype(int)
    changed = (plain != noisy).any((1, 2, 3))
    assert abs(changed.mean() - deblur.NOISY) < 0.12  # over three deviations
    deviations = (noisy - plain)[changed].std((1, 2, 3))
    # Of another strength in each crop, within the range.
    assert 3.7 < deviations.min() < 5 and 7 < deviations.max() < 8.3
    assert abs((noisy - plain)[changed].mean()) < 0.1


def test_a_share_of_the_crops_gets_jpeg_artefacts():
    plain, found = crops(), crops(jpeg=(60, 60))
    changed = (plain != found).any((1, 2, 3))
    assert abs(changed.mean() - deblur.COMPRESSED) < 0.12
    for image, compressed in zip(plain[changed], found[changed], strict=True):
        np.testing.assert_array_equal(compressed, deblur.compress(image, 60))
    # Another quality in each crop.
    several, qualities = crops(jpeg=(20, 99)), []
    for image, compressed in zip(plain[:60], several[:60], strict=True):
        if (image != compressed).any():
            same = [
                quality
                for quality in range(20, 100)
                if np.array_equal(deblur.compress(image, quality), compressed)
            ]
            assert same
            qualities.append(same[0])
    assert min(qualities) < 40 and max(qualities) > 80


def test_noise_is_compressed_too(monkeypatch):
    """As in a camera: what is compressed once more hardly changes."""
    monkeypatch.setattr(deblur, "NOISY", 1)
    monkeypatch.setattr(deblur, "COMPRESSED", 1)
    found = crops(noise=(20, 20), jpeg=(60, 60))[:20].astype(int)
    again = [deblur.compress(image.astype("uint8"), 60) for image in found]
    noise_left = np.abs(found - crops()[:20].astype(int)).mean()
    assert np.abs(found - again).mean() < 0.2 * noise_left


@pytest.mark.parametrize("ranges", [{"noise": (4, 8)}, {"jpeg": (60, 90)}])
def test_jpeg_and_noise_follow_from_seed_and_step(ranges):
    def which(**change):
        """The crops that are changed, and all of them."""
        found = crops(**ranges, **change)
        return (found != crops()).any((1, 2, 3)), found

    first, images = which()
    np.testing.assert_array_equal(which()[1], images)
    for change in ({"steps": 1}, {"seed": 1}):
        other, others = which(**change)
        assert not np.array_equal(other, first)
        assert not np.array_equal(others[first & other], images[first & other])


class Reached(Exception):
    pass


@pytest.mark.parametrize(
    "args, jpeg, noise",
    [
        ([], [60, 100], [0, 5]),
        (["--jpeg", "30", "40", "--noise", "1", "2"], [30, 40], [1, 2]),
        (["--clean"], None, None),
    ],
)
def test_jpeg_noise_and_clean_reach_the_model(args, jpeg, noise, command, monkeypatch):
    from zoo.common import run

    def reached(options, gan, *_):
        raise Reached(gan)

    monkeypatch.setattr(run, "Run", reached)
    with pytest.raises(Reached) as found:
        command(deblur, *DEBLUR_TINY, *args)
    gan = found.value.args[0]
    assert (gan.jpeg, gan.noise) == (jpeg, noise)
