"""Pix2pix's networks, tasks and commands.

Runs on every backend; tests/test_backends.py sees to that.
"""

import json
import warnings
from types import SimpleNamespace

import imageio.v3 as iio
import keras
import numpy as np
import pytest
import skimage
from conftest import (
    PIX2PIX_TINY,
    changed,
    count,
    interrupted,
    noise,
    one,
    same_state,
    values,
)
from keras import layers, ops
from PIL import Image
from skimage import color

from zoo import pix2pix
from zoo.common import dataset, metrics
from zoo.pix2pix import (
    Pix2Pix,
    build_discriminator,
    build_generator,
    colorize,
    sketch,
    to_lab,
)


def tiny(**kwargs):
    keras.utils.set_random_seed(1)
    names = ("dropout", "norm", "skips")
    network = {name: kwargs.pop(name) for name in names if name in kwargs}
    norm, patch = network.get("norm", "instance"), kwargs.pop("patch", 70)
    task = kwargs.pop("task", "colorize")
    channels = pix2pix.CHANNELS[task]
    g = build_generator(32, *channels, 2, **network)
    d = build_discriminator(32, *channels, patch, 2, norm)
    return Pix2Pix(task, g, d, **kwargs)


def pictures(n, seed=0, channels=3):
    return (
        np.random.default_rng(seed)
        .uniform(-1, 1, (n, 32, 32, channels))
        .astype("float32")
    )


def photo(height=40, width=56, seed=0):
    small = np.random.default_rng(seed).integers(
        0, 256, (height // 8, width // 8, 3), np.uint8
    )
    return np.asarray(
        Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    )


def test_parameter_counts_are_the_papers():
    # 4x4 kernels; no biases before a normalisation, which has 2 numbers for each map;
    # skips double what G decodes.
    encoder = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    g = (
        sum(16 * a * b for a, b in zip(encoder, encoder[1:], strict=False))
        + 64
        + 512
        + 2 * sum(encoder[2:-1])
    )
    decoder = [512, 512, 512, 512, 256, 128, 64]
    inputs = [512] + [2 * width for width in decoder]
    g += (
        sum(16 * a * b for a, b in zip(inputs, [*decoder, 3], strict=True))
        + 3
        + 2 * sum(decoder)
    )
    d = (
        16 * (6 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1)
        + 64
        + 1
        + 2 * (128 + 256 + 512)
    )
    assert count(build_generator(256, 3, 3)) == g and round(g / 1e6, 2) == 54.41
    assert count(build_discriminator(256, 3, 3)) == d and round(d / 1e6, 2) == 2.77


def test_shapes_are_the_papers():
    assert build_discriminator(256, 3, 3, filters=2).output_shape == (None, 30, 30, 1)
    encoder = [
        layer.output.shape[1]
        for layer in build_generator(256, filters=2).layers
        if type(layer) is layers.Conv2D
    ]
    assert encoder == [128, 64, 32, 16, 8, 4, 2, 1]


@pytest.mark.parametrize("size", [32, 96, 512])
def test_sizes(size):
    assert build_generator(size, 1, 2, filters=1).output_shape == (None, size, size, 2)


@pytest.mark.parametrize("patch, size", [(1, 32), (16, 64), (70, 160), (286, 352)])
def test_receptive_field(patch, size):
    """Only the pixels of its own patch move a logit, and the outermost of them do."""
    d = build_discriminator(size, 1, 1, patch, filters=1)
    conv = [
        layer
        for layer in d.layers
        if isinstance(layer, (layers.Conv2D, layers.ZeroPadding2D))
    ]
    x = out = keras.Input((size, size, 1))
    # Without normalisation, which sees the whole image, and with weights that cancel
    # nothing.
    for layer in conv:
        if isinstance(layer, layers.Conv2D):
            layer = layers.Conv2D(
                1,
                layer.kernel_size,
                layer.strides,
                kernel_initializer="ones",
                use_bias=False,
            )
        else:
            layer = layers.ZeroPadding2D(1)
        out = layer(out)
    middle = out.shape[1] // 2
    network = keras.Model(x, out[:, middle, middle, 0])

    # What a single bright pixel gives is the gradient of a linear network; here down
    # the middle of the image.
    gradient = []
    for rows in np.array_split(np.arange(size), size // 32):
        images = np.zeros((len(rows), size, size, 1), "float32")
        images[np.arange(len(rows)), rows, size // 2] = 1
        gradient += list(network.predict_on_batch(images))
    seen = np.flatnonzero(gradient)
    assert seen[-1] - seen[0] + 1 == len(seen) == patch


def test_without_skips_the_bottleneck_is_all_that_the_decoder_sees():
    networks = {
        skips: build_generator(32, 3, 3, 4, dropout=0, skips=skips)
        for skips in (True, False)
    }
    assert count(networks[False]) < count(networks[True])
    shapes = [v.shape for v in networks[False].trainable_variables if len(v.shape) == 4]
    assert all(shape[-1] <= 4 * 8 for shape in shapes)


@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_normalisation_is_over_the_batch_or_the_image(norm):
    image = keras.Input((8, 6, 3))
    network = keras.Model(image, pix2pix.normalize(image, norm))
    x = np.random.default_rng(0).normal(3, 2, (4, 8, 6, 3)).astype("float32")
    axes = (0, 1, 2) if norm == "batch" else (1, 2)
    expected = (x - x.mean(axes, keepdims=True)) / np.sqrt(
        x.var(axes, keepdims=True) + 1e-5
    )
    gamma = ops.convert_to_numpy(network.trainable_variables[0])
    np.testing.assert_allclose(
        network.predict(x, verbose=0), gamma * expected, atol=1e-4
    )


def test_batch_of_one_at_the_bottleneck_is_not_zeroed():
    g = build_generator(32, 1, 2, 4, dropout=0)
    a, b = (ops.convert_to_numpy(g(pictures(1, seed, 1))) for seed in range(2))
    assert np.isfinite(a).all() and np.abs(a - b).max() > 1e-4
    maps = keras.Model(
        g.input,
        [layer.output for layer in g.layers if type(layer) is layers.Conv2D][-1],
    )
    assert maps.output.shape[1] == 1
    inner = ops.convert_to_numpy(maps(pictures(1, 0, 1)))
    assert np.abs(inner).max() > 1e-3


@pytest.mark.parametrize(
    "name", ["astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png"]
)
def test_lab_there_and_back(name):
    image = iio.imread(f"{skimage.__path__[0]}/data/{name}")[:256, :256, :3]
    lab = to_lab(image)
    assert lab.dtype == np.float32 and np.abs(lab).max() <= 1
    assert np.abs(colorize(image, lab[..., 1:]).astype(int) - image).max() <= 1


def test_grey_photos_have_no_colours():
    grey = np.repeat(photo()[..., :1], 3, axis=2)
    assert np.abs(to_lab(grey)[..., 1:]).max() < 1e-3
    assert np.abs(colorize(grey, np.zeros((1, 1, 2))).astype(int) - grey).max() <= 1


def test_impossible_colours_are_clamped_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = colorize(photo(300, 40), np.full((32, 32, 2), -1.0))
    assert result.shape == (300, 40, 3)


def test_colours_are_enlarged_without_seams_and_lightness_is_kept():
    image = photo(600, 400)
    ab = 0.1 * np.random.default_rng(0).uniform(-1, 1, (16, 16, 2)).astype("float32")
    result = colorize(image, ab)
    large = np.stack(
        [
            Image.fromarray(ab[..., i]).resize((400, 600), Image.Resampling.BILINEAR)
            for i in range(2)
        ],
        -1,
    )
    lab = np.dstack([color.rgb2lab(image)[..., :1], 110 * large])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.abs(result.astype(int) - np.rint(255 * color.lab2rgb(lab))).max() <= 1
    inside = (result > 0).all(-1) & (result < 255).all(-1)
    assert np.abs(color.rgb2lab(result) - color.rgb2lab(image))[inside][:, 0].max() < 1


def test_sketch_is_white_where_the_image_is_even_and_dark_at_edges():
    for level in (0.0, 0.5, 1.0):
        assert sketch(np.full((20, 20, 3), level)).min() > 0.99
    image = np.ones((20, 20, 3))
    image[:, 10:] = 0.1
    drawn = sketch(image)
    assert (
        drawn[:, 10].max() < 0.5
        and drawn[:, :9].min() > 0.99
        and drawn[:, 19].min() > 0.9
    )


def test_colourfulness():
    assert metrics.colourfulness(np.full((4, 4, 3), 99, np.uint8)) == 0
    image = np.zeros((4, 2, 3), np.uint8)
    image[0] = 255, 0, 0  # a fourth red, the rest black: rg is 255 or 0, yb 127.5 or 0
    deviation, mean = np.sqrt(3) / 4 * np.hypot(255, 127.5), np.hypot(255, 127.5) / 4
    assert metrics.colourfulness(image) == pytest.approx(deviation + 0.3 * mean)


def test_directions():
    both = pictures(2, channels=6)
    a, b = tiny(task="pairs").pair(both)
    np.testing.assert_array_equal(np.concatenate([a, b], -1), both)
    b, a = tiny(task="pairs", direction="BtoA").pair(both)
    np.testing.assert_array_equal(np.concatenate([a, b], -1), both)


def test_without_adversarial_weight_d_rests():
    gan = tiny(adversarial_weight=0)
    d = values(gan.discriminator)
    logs = gan.train_step(pictures(2))
    assert set(logs) == {"g_loss", "l1_loss"} and logs["g_loss"] == pytest.approx(
        100 * logs["l1_loss"]
    )
    with pytest.raises(ValueError, match="nothing to learn"):
        tiny(adversarial_weight=0, l1_weight=0)
    assert not any(changed(gan.discriminator, d))


def test_losses_are_the_batchs_own():
    gan = tiny(learning_rate=1e-12, dropout=0)
    for seed in range(3):
        logs = gan.train_step(pictures(2, seed))
        x, y = gan.pair(pictures(2, seed))
        error = np.abs(ops.convert_to_numpy(gan.generator(x)) - y).mean()
        assert logs["l1_loss"] == pytest.approx(error, rel=1e-4)
        assert logs["g_loss"] == pytest.approx(
            100 * error + logs["adversarial_loss"], rel=1e-4
        )
        # Before any learning D is undecided: half of two cross entropies of log 2.
        assert logs["d_loss"] == pytest.approx(np.log(2), rel=0.5)


@pytest.mark.usefixtures("eager")
def test_noise_is_another_in_every_step_and_for_every_seed():
    losses = []
    for seed in (0, 1):
        gan = tiny(learning_rate=1e-12, seed=seed, dropout=0.8)
        losses += [gan.train_step(pictures(2))["l1_loss"] for _ in range(2)]
    assert len(set(losses)) == 4


@keras.saving.register_keras_serializable("tests")
class Noisy(layers.Layer):
    """A layer of one's own, with a dropout inside."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dropout = layers.Dropout(0.5, seed=0)

    def call(self, x, training=None):
        return self.dropout(x, training=training)


def own_generator(size=32, channels=(1, 2)):
    """Dropout in a nested model, in a layer of one's own, and one that drops nothing."""
    inner = [
        layers.Conv2D(3, 3, padding="same"),
        layers.Dropout(0.5, seed=0),
        layers.ReLU(),
    ]
    inner = keras.Sequential([keras.Input((size, size, channels[0])), *inner])
    last = layers.Conv2D(channels[1], 3, padding="same", activation="tanh")
    x = keras.Input((size, size, channels[0]))
    return keras.Model(x, last(layers.Dropout(0)(Noisy()(inner(x)))))


def own_discriminator(size=32, channels=(1, 2)):
    x_y = [keras.Input((size, size, n)) for n in channels]
    patches = layers.Conv2D(4, 4, 4, activation="relu")(layers.Concatenate()(x_y))
    return keras.Model(x_y, layers.Conv2D(1, 1)(layers.Dropout(0.5, seed=0)(patches)))


def test_dropout_of_own_networks_follows_from_seed_and_step():
    x, drawn = pictures(2, channels=1), []
    for network in (own_generator(), keras.models.clone_model(own_generator())):
        draws = []
        for seed, step in ((0, 0), (0, 1), (1, 0), (0, 0)):
            for v in network.trainable_variables:
                v.assign(np.full(v.shape, 0.1))
            pix2pix.fix_dropout(network, seed, step)
            draws.append(ops.convert_to_numpy(network(x, training=True)))
        np.testing.assert_array_equal(draws[0], draws[3])
        assert not np.array_equal(draws[0], draws[1])
        assert not np.array_equal(draws[0], draws[2])
        drawn.append(draws)
    np.testing.assert_array_equal(*drawn)
    noisy = network.layers[2]
    assert isinstance(noisy, Noisy) and np.ptp(ops.convert_to_numpy(
        noisy(np.ones((1, 8), "float32"), training=True)))  # fmt: skip


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("task", ["colorize", "drawing"])
def test_networks_of_ones_own_go_on_exactly(task, tmp_path):
    channels = pix2pix.CHANNELS[task]

    def new():
        networks = own_generator(32, channels), own_discriminator(32, channels)
        return Pix2Pix(task, *networks, learning_rate=0.01)

    straight, other = new(), new()
    straight.save(tmp_path / "start")
    other.load(tmp_path / "start")
    images = noise(4, 32, 32, 6 if task == "drawing" else 3)
    logs = straight.train(images, 2, batch_size=2).history
    assert len(logs["d_loss"]) == 2 and np.isfinite(logs["d_loss"]).all()

    def stop(step, logs):
        other.combined.stop_training = other.steps == 3

    callback = keras.callbacks.LambdaCallback(on_train_batch_end=stop)
    other.train(images, 2, batch_size=2, callbacks=callback)
    other.save(tmp_path / "stopped")
    resumed = new()
    resumed.load(tmp_path / "stopped")
    resumed.train(images, 2, batch_size=2, initial_epoch=1, initial_step=1)
    assert resumed.steps == straight.steps == 4
    for network in ("generator", "discriminator"):
        before, after = (values(getattr(g, network)) for g in (straight, resumed))
        for x, y in zip(before, after, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-7)
        file = tmp_path / f"stopped/{network}.keras"
        keras.models.load_model(file, compile=False)


def test_one_network_or_none_fixes_the_size():
    gan = Pix2Pix("pairs", build_generator(64, 3, 3, 1))
    assert gan.discriminator.output_shape == (None, 6, 6, 1) and gan.size == 64
    gan = Pix2Pix("sketch", discriminator=build_discriminator(64, 1, 3, 70, 1))
    assert gan.generator.output_shape == (None, 64, 64, 3) and gan.size == 64
    both = own_generator(None), own_discriminator(None)
    assert Pix2Pix("colorize", *both).size == 256
    assert Pix2Pix("colorize", both[0], own_discriminator(64)).size == 64


@pytest.mark.usefixtures("eager")
def test_networks_for_any_size_train():
    gan = Pix2Pix("colorize", own_generator(32), own_discriminator(None))
    assert np.isfinite(list(gan.train_step(pictures(2)).values())).all()
    assert gan.translate([photo(40, 56)]).shape == (1, 40, 56, 3)


@pytest.mark.parametrize(
    "task, g, d",
    [
        ("colorize", (32, (3, 2)), None),
        ("colorize", (32, (1, 3)), None),
        ("drawing", (32, (1, 1)), None),
        ("pairs", (32, (1, 3)), None),
        ("colorize", None, (32, (3, 3))),
        ("pairs", None, (32, (1, 3))),
        ("colorize", None, (32, (3,))),
        ("colorize", (32, (1, 2)), (64, (1, 2))),
    ],
)
@pytest.mark.parametrize("adversarial_weight", [0, 1])
def test_a_wrong_pairing_is_refused_with_both_shapes(task, g, d, adversarial_weight):
    networks = g and own_generator(*g), d and own_discriminator(*d)
    shape = r"\(None,.* \d+\)"
    with pytest.raises(ValueError, match=f"{shape}.*(needs|found).*\\(None,.*\\)"):
        Pix2Pix(task, *networks, adversarial_weight=adversarial_weight)


@pytest.mark.parametrize("total", [1, 2, 5, 12, 13])
def test_the_learning_rate_is_constant_and_then_falls_along_a_cosine(total):
    half = max(1, total // 2)
    cosine = keras.optimizers.schedules.CosineDecay(
        0.1, half, warmup_target=0.1, warmup_steps=half
    )
    found = [pix2pix.late_cosine(0.1, step, total) for step in range(total)]
    expected = [float(cosine(step)) for step in range(total)]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_translate_takes_any_size_and_a_seed_repeats_it():
    gan = tiny(dropout=0.8)
    photos = [photo(40, 56), photo(40, 56, 1)]
    first, second = gan.translate(photos), gan.translate(photos)
    assert first.shape == (2, 40, 56, 3) and first.dtype == np.uint8
    np.testing.assert_array_equal(first, second)
    # Whatever else is in the batch.
    np.testing.assert_array_equal(gan.translate(photos[:1])[0], first[0])
    for i in range(3):  # from weights that small nothing can be seen
        for v in gan.generator.trainable_variables:
            v.assign(3 * v if len(v.shape) == 4 and i else v)
    assert not np.array_equal(gan.translate(photos, 1), gan.translate(photos, 2))
    gan.deterministic = True
    np.testing.assert_array_equal(gan.translate(photos, 1), gan.translate(photos, 2))


def test_the_colorizer_looks_at_lightness_alone():
    gan = tiny()
    grey = colorize(photo(), np.zeros((1, 1, 2)))
    assert (
        np.abs(gan.translate([photo()])[0].astype(int) - gan.translate([grey])[0]).max()
        <= 3
    )


def test_generator_file_needs_no_code_of_ours(tmp_path):
    gan = tiny(task="pairs", deterministic=True)
    gan.save(tmp_path)
    image = photo(32, 32)
    loaded = keras.models.load_model(tmp_path / "generator.keras", safe_mode=True)
    theirs = pix2pix.to_uint8(
        loaded.predict(image[None].astype("float32") / 127.5 - 1, verbose=0)
    )
    assert np.abs(gan.translate([image]).astype(int) - theirs).max() <= 1


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_command_line(command, tmp_path, monkeypatch):
    args = ["--epochs", 2, *PIX2PIX_TINY]
    assert command(pix2pix, *args, "--run", tmp_path / "straight")[0] == 0
    interrupted(command, monkeypatch, pix2pix, Pix2Pix, 4, *args, "--run", "parts")
    same_state(tmp_path / "straight", tmp_path / "parts")
    status, out, _ = command(pix2pix, "--evaluate", "--run", "straight")
    result = json.loads((tmp_path / "straight/evaluation.json").read_text())
    assert (
        status == 0
        and list(result) == ["grey", "output", "ground truth"]
        and "colourful" in out
    )
    assert result["grey"]["colourful"] < 1 < result["ground truth"]["colourful"]
    assert set(result["output"]) == {"L1", "PSNR dB", "SSIM", "ab error", "colourful"}
    Image.fromarray(photo(64, 80)[..., 0]).save(tmp_path / "grey.png")
    for name, seed in (("one", 3), ("two", 3)):
        args = [
            "--apply",
            "grey.png",
            "--output",
            f"{name}.png",
            "--seed",
            seed,
            "--run",
            "straight",
        ]
        assert command(pix2pix, *args)[0] == 0
    one, two = (iio.imread(tmp_path / f"{name}.png") for name in ("one", "two"))
    assert one.shape == (64, 80, 3)
    np.testing.assert_array_equal(one, two)
    assert (
        command(pix2pix, "--apply", "grey.png", "--deterministic", "--run", "straight")[
            0
        ]
        == 0
    )
    assert (tmp_path / "grey_colorize.png").exists()


def test_photos_are_cut_anywhere_and_pairs_jittered(command, tmp_path, monkeypatch):
    """Trained on whole photos, the colorizer learns that the middle of a picture is
    red.
    """
    ramp = np.broadcast_to(
        np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], (120, 120, 3)
    )
    left_edges = []

    def look(gan, pair):
        left_edges.extend(np.asarray(pair[0])[:, 16, 0, 0])
        return {"l1_loss": 0.0}

    monkeypatch.setattr(Pix2Pix, "train_step", look)
    for i in range(4):
        (tmp_path / "ramps").mkdir(exist_ok=True)
        iio.imwrite(tmp_path / f"ramps/{i}.png", ramp)
    assert (
        command(
            pix2pix,
            "--data",
            "ramps",
            "--epochs",
            1,
            *PIX2PIX_TINY,
            "--steps-per-epoch",
            10,
        )[0]
        == 0
    )
    # Unmirrored: left of the middle, but not at the left edge, which jitter does not
    # get far from.
    assert sum(-0.6 < edge < -0.1 for edge in left_edges) >= 4
    left_edges.clear()
    side_by_side(tmp_path / "set")
    for path in (tmp_path / "set").rglob("*.png"):
        iio.imwrite(path, np.concatenate([ramp, ramp], axis=1))
    args = [
        "--task",
        "pairs",
        "--data",
        "set",
        "--epochs",
        1,
        *PIX2PIX_TINY,
        "--run",
        "pairs",
    ]
    assert command(pix2pix, *args, "--steps-per-epoch", 10)[0] == 0
    assert not any(-0.7 < edge < 0.6 for edge in left_edges)


def side_by_side(folder, n=12):
    """Pairs whose B is A in other colours."""
    for i in range(n):
        (folder / ("train" if i < 9 else "val")).mkdir(parents=True, exist_ok=True)
        a = photo(48, 48, i)
        iio.imwrite(
            folder / ("train" if i < 9 else "val") / f"{i}.png",
            np.concatenate([a, 255 - a], axis=1),
        )


@pytest.mark.usefixtures("eager")
def test_pairs_and_sketches_on_the_command_line(command, tmp_path):
    side_by_side(tmp_path / "set")
    for task, data in (
        ("pairs", ["--data", "set", "--direction", "BtoA"]),
        ("sketch", []),
    ):
        assert (
            command(
                pix2pix,
                "--task",
                task,
                *data,
                "--epochs",
                1,
                *PIX2PIX_TINY,
                "--run",
                task,
            )[0]
            == 0
        )
        assert command(pix2pix, "--evaluate", "--run", task)[0] == 0
        result = json.loads((tmp_path / task / "evaluation.json").read_text())
        assert list(result) == ["input", "output", "mean target"]
        assert set(result["output"]) == {"L1", "PSNR dB", "SSIM"}
    generator = ["--weights", "pairs/generator.keras", "--evaluate", "set"]
    status, out, _ = command(pix2pix, "--task", "pairs", *PIX2PIX_TINY[:4], *generator)
    # Of what is trained on nothing is known.
    assert status == 0 and "output" in out and "mean" not in out
    assert (
        json.loads((tmp_path / "pairs/evaluation.json").read_text())["input"]["L1"] > 20
    )
    iio.imwrite(tmp_path / "a.png", photo(50, 70))
    assert command(pix2pix, "--apply", "a.png", "--run", "pairs")[0] == 0
    assert iio.imread(tmp_path / "a_pairs.png").shape == (50, 70, 3)


@pytest.mark.parametrize(
    "args, advice",
    [
        (["--size", "40"], "multiple of 32"),
        (["--size", "1024"], "from 32 to 512"),
        (["--size", "64", "--patch", "286"], "size of 128 or more"),
        (["--patch", "7"], "--patch"),
        (["--task", "dream"], "--task"),
        (["--task", "pairs", "--data", "photos"], "photos has no domains A and B"),
        (["--task", "pairs", "--data", "odd"], "its width of 47 pixels is odd"),
        (["--task", "pairs", "--data", "alone"], "has no partner of that name"),
        (["--task", "pairs", "--data", "unequal"], "not equally large"),
        (["--task", "pairs", "--data", "unpaired"], "no pairs"),
        (["--data", "facades"], "two domains"),
        (["--lambda", "-1"], "--lambda"),
        (["--dropout", "1"], "--dropout"),
        (["--norm", "layer"], "--norm"),
        (["--apply", "nothing.jpg"], "there is no photo"),
        (["--run", "none", "--evaluate"], "train it first"),
    ],
)
def test_mistakes_get_one_line(args, advice, refused, tmp_path):
    def write(name, width=48):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        iio.imwrite(tmp_path / name, photo(48, 56)[:, :width])

    write("odd/a.png", 47)
    for name in (
        "alone/A/1.png",
        "alone/B/1.png",
        "alone/A/2.png",
        "unequal/A/1.png",
        "unpaired/trainA/1.png",
    ):
        write(name)
    write("unequal/B/1.png", 40)
    write("unpaired/trainB/2.png")
    for name in ("odd/b.png", "unequal/A/2.png", "unequal/B/2.png"):
        write(name)
    args = (
        args
        if "--epochs" in args
        else [*args, "--epochs", "1", "--batch-size", "1", "--filters", "2"]
    )
    assert advice in refused(pix2pix, *args)


class Same:
    variables = ()

    def __call__(self, x, training):
        return np.repeat(x, 3 // x.shape[-1], -1)


@pytest.mark.parametrize("task", ["sketch", "drawing", "pairs"])
def test_the_generator_sees_what_it_was_trained_on(task):
    gan, image = tiny(task=task), noise(32, 32, 1).repeat(3, -1)
    gan.generator = Same()
    assert np.abs(gan.translate([image])[0].astype(int) - image).max() <= 1


def test_a_normalisation_that_there_is_not():
    with pytest.raises(
        ValueError, match="norm is 'none', and can be instance or batch"
    ):
        pix2pix.build_generator(32, norm="none")


@pytest.mark.usefixtures("eager")
def test_prepared_batches_are_the_same(folder):
    plain, prepared = (
        dataset.load(folder, 32, 3, 2, flip=True, jitter=286 / 256) for _ in range(2)
    )
    prepared.map = tiny().pair
    for ours, theirs in zip(prepared[3], tiny().pair(plain[3]), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert tiny().train_step(prepared[0]) == tiny().train_step(plain[0])


def test_the_ab_error_is_a_distance_in_cielab():
    image = noise(16, 16, 3)
    gan = SimpleNamespace(task="colorize", translate=lambda _: image[None])
    result = pix2pix.evaluate(gan, one(image))
    assert result["output"]["ab error"] == 0
    expected = np.linalg.norm(color.rgb2lab(image)[..., 1:], axis=-1).mean()
    assert result["grey"]["ab error"] == pytest.approx(expected, rel=0.02)
    truth = result["ground truth"]["colourful"]
    assert truth == result["output"]["colourful"] > 10


def test_pairs_are_evaluated_beside_their_baselines():
    grey = [np.full((32, 32, 3), level, np.uint8) for level in (40, 90)]
    pairs = one(np.concatenate(grey, -1))
    result = pix2pix.evaluate(tiny(task="pairs"), pairs, pairs)
    assert result["mean target"]["L1"] == 0 and result["input"]["L1"] == 50
    assert list(pix2pix.evaluate(tiny(task="pairs"), pairs)) == ["input", "output"]


def outlined(side=32):
    """A closed square (its inside: [6:14, 6:14]), and one with a gap; black on white."""
    outline = np.full((side, side, 3), 255, np.uint8)
    for left, right in ((5, 14), (18, 27)):
        outline[5:15, left : right + 1] = 0
        outline[6:14, left + 1 : right] = 255
    outline[9, 27] = 255
    return outline


def test_filled_colours_what_an_outline_encloses():
    outline, expected = outlined(), outlined()
    expected[6:14, 6:14] = 200, 40, 10
    result = pix2pix.filled(outline, (200, 40, 10))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(outline, outlined())
    # What the edge of the picture cuts is not enclosed.
    for cut in (outline[8:], outline[:12], outline[:, 8:16], outline[:, :12]):
        np.testing.assert_array_equal(pix2pix.filled(cut, (200, 40, 10)), cut)


def test_drawings_are_evaluated_beside_the_filled_outline():
    truth = outlined()
    truth[6:14, 6:14] = 200, 40, 10
    drawing = one(np.concatenate([outlined(), truth], -1))
    gan = tiny(task="drawing")
    result = pix2pix.evaluate(gan, drawing, drawing)
    assert list(result) == ["input", "output", "mean target", "filled"]
    assert result["filled"]["L1"] == 0 == result["mean target"]["L1"]
    inside = np.mean([255 - 200, 255 - 40, 255 - 10]) * 8 * 8 / 32**2
    assert result["input"]["L1"] == pytest.approx(inside)
    assert list(pix2pix.evaluate(gan, drawing)) == ["input", "output"]


def test_drawings_come_as_grey_outline_and_colour():
    both = pictures(2, channels=6)
    x, y = tiny(task="drawing").pair(both)
    assert x.shape == (2, 32, 32, 1) and x.dtype == np.float32
    np.testing.assert_allclose(
        x[..., 0], both[..., :3] @ [0.2125, 0.7154, 0.0721], atol=1e-6
    )
    np.testing.assert_array_equal(y, both[..., 3:])
    # The built-in set: black lines on white, and the same things in colour.
    train, test = (
        dataset.load("drawings", 64, 3, 8, split, "center", domain="AB")
        for split in ("train", "test")
    )
    assert (train.count, test.count) == (1083, 120)
    pairs = test.take(8)
    assert pairs.shape == (8, 64, 64, 6)
    outline, coloured = pairs[..., :3].astype(int), pairs[..., 3:].astype(int)
    assert np.ptp(outline, axis=-1).max() < 30  # edges are tinted a little
    assert np.median(outline) == 255 and outline.min() < 30
    assert np.ptp(coloured, axis=-1).max((1, 2)).min() > 30


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_drawings_on_the_command_line(command, tmp_path):
    args = ["--task", "drawing"]
    assert command(pix2pix, *args, "--epochs", 1, *PIX2PIX_TINY)[0] == 0
    run = tmp_path / "runs/pix2pix-drawing"
    assert json.loads((run / "options.json").read_text())["data"] == "drawings"
    status, out, _ = command(pix2pix, *args, "--evaluate")
    assert status == 0 and "on 120 images" in out
    result = json.loads((run / "evaluation.json").read_text())
    assert list(result) == ["input", "output", "mean target", "filled"]
    assert all(set(row) == {"L1", "PSNR dB", "SSIM"} for row in result.values())
    assert result["filled"]["L1"] < 0.9 * result["input"]["L1"]
    iio.imwrite(tmp_path / "a.png", outlined(48))
    assert command(pix2pix, *args, "--apply", "a.png")[0] == 0
    assert iio.imread(tmp_path / "a_drawing.png").shape == (48, 48, 3)
