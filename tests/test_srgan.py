"""SRGAN's networks, stages and commands.

Runs on every backend; tests/test_backends.py sees to that.
"""

import collections
import functools
import http.server
import json
import shutil
import threading

import h5py
import imageio.v3 as iio
import keras
import numpy as np
import pytest
from conftest import (
    SRGAN_TINY,
    changed,
    noise,
    same_state,
    values,
)
from keras import layers, ops
from PIL import Image
from skimage import color

from zoo import srgan
from zoo.common import metrics
from zoo.srgan import (
    SRGAN,
    bicubic,
    build_discriminator,
    build_generator,
    build_vgg,
    downscale,
    find_vgg,
    pixel_shuffle,
)


def small_features():
    image = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    return keras.Model(
        image, layers.Conv2D(4, 3, 2, padding="same", activation="relu")(x)
    )


def tiny(**kwargs):
    keras.utils.set_random_seed(1)
    scale, skip = kwargs.pop("scale", 4), kwargs.pop("image_skip", True)
    networks = build_generator(scale, 1, 4, skip), build_discriminator(32, 4)
    pretrain_steps = kwargs.pop("pretrain_steps", 2)
    gan = SRGAN(*networks, **({"features": small_features()} | kwargs))
    gan.pretrain_steps = pretrain_steps
    # From zeros the layers before it would have no gradient.
    last = gan.generator.get_layer("to_rgb")
    last.set_weights(
        [np.random.default_rng(0).normal(0, 0.05, w.shape) for w in last.get_weights()]
    )
    return gan


def pictures(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 32, 32, 3)).astype("float32")


def test_parameter_counts_are_the_papers():
    # No biases before BN, which has 2 trainable numbers for each map; a PReLU has 1.
    block = 2 * (9 * 64 * 64 + 2 * 64) + 64
    head = 81 * 3 * 64 + 64 + 64
    tail = 9 * 64 * 64 + 2 * 64 + 2 * (9 * 64 * 256 + 256 + 64) + 81 * 64 * 3 + 3
    g = head + 16 * block + tail
    widths = [3, 64, 64, 128, 128, 256, 256, 512, 512]
    d = (
        sum(9 * a * b for a, b in zip(widths, widths[1:], strict=False))
        + 64
        + 2 * sum(widths[2:])
    )
    d += (6 * 6 * 512 + 1) * 1024 + 1024 + 1
    for network, count in ((build_generator(), g), (build_discriminator(), d)):
        assert sum(int(np.prod(v.shape)) for v in network.trainable_variables) == count
    shapes = [
        layer.output.shape[1:]
        for layer in build_discriminator().layers
        if isinstance(layer, layers.Conv2D)
    ]
    assert [s[0] for s in shapes] == [96, 48, 48, 24, 24, 12, 12, 6]
    assert [s[2] for s in shapes] == [64, 64, 128, 128, 256, 256, 512, 512]


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_any_size_goes_through(scale):
    network = build_generator(scale, 1, 2)
    assert network.predict(np.zeros((1, 7, 10, 3)), verbose=0).shape == (
        1,
        7 * scale,
        10 * scale,
        3,
    )


@pytest.mark.parametrize("scale, shape", [(2, (5, 60)), (4, (37, 29)), (8, (40, 20))])
def test_upscale(scale, shape):
    """It enlarges as the generator does, one image at a time."""
    gan = tiny(scale=scale, image_skip=scale != 2)
    last = gan.generator.get_layer("to_rgb")
    last.set_weights([6 * w for w in last.get_weights()])
    image = np.random.default_rng(0).integers(0, 256, (2, *shape, 3), np.uint8)
    whole = srgan.to_uint8(
        gan.generator.predict(image.astype("float32") / 255, verbose=0)
    )
    assert len(np.unique(whole)) > 100
    assert np.abs(gan.upscale(image).astype(int) - whole).max() <= 1
    bicubic = gan.upscale(image, build_generator(scale, 1, 2))
    small = Image.fromarray(image[0])
    pillow = small.resize(
        (scale * shape[1], scale * shape[0]), Image.Resampling.BICUBIC
    )
    assert np.median(np.abs(bicubic[0].astype(int) - np.asarray(pillow))) <= 1


@pytest.mark.parametrize("factor", [2, 4])
def test_pixel_shuffle(factor):
    image = keras.Input((None, None, 3 * factor**2))
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 3 * factor**2)).astype("float32")
    blocks = (
        x.reshape(2, 5, 4, factor, factor, 3)
        .transpose(0, 1, 3, 2, 4, 5)
        .reshape(2, 5 * factor, 4 * factor, 3)
    )
    out = keras.Model(image, pixel_shuffle(image, factor)).predict(x, verbose=0)
    np.testing.assert_allclose(out, blocks, atol=1e-6)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_bicubic_is_pillows(scale):
    picture = np.random.default_rng(0).integers(60, 190, (1, 20, 24, 3), np.uint8)
    image = keras.Input((None, None, 3))
    ours = keras.Model(image, bicubic(image, scale)).predict(
        picture.astype("float32"), verbose=0
    )[0]
    theirs = np.asarray(
        Image.fromarray(picture[0]).resize(
            (24 * scale, 20 * scale), Image.Resampling.BICUBIC
        )
    )
    inner = slice(3 * scale, -3 * scale)
    # Pillow rounds after either direction.
    assert np.abs(ours - theirs)[inner, inner].max() < 1.5


def test_downscale_is_antialiased_bicubic():
    """MATLAB's imresize: Keys' cubic, a = -0.5, stretched by the scale."""
    signal = np.random.default_rng(0).integers(60, 190, 64).astype(float)
    centres = (np.arange(16) + 0.5) * 4 - 0.5
    d = np.abs(np.arange(64)[None] - centres[:, None]) / 4
    near, far = 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    taps = np.where(d < 1, near, np.where(d < 2, far, 0))
    expected = taps / taps.sum(1, keepdims=True) @ signal
    image = np.broadcast_to(
        signal.astype(np.uint8)[None, None, :, None], (1, 64, 64, 3)
    )
    assert np.abs(downscale(image, 4)[0, 8, :, 0] - expected).max() <= 1


def test_fixed_kernels_stay_fixed():
    gan = tiny()
    fixed = [
        np.array(ops.convert_to_numpy(v))
        for v in gan.generator.non_trainable_variables
        if "kernel" in v.path
    ]
    for seed in range(4):
        gan.train_step(pictures(2, seed))
    after = [
        np.array(ops.convert_to_numpy(v))
        for v in gan.generator.non_trainable_variables
        if "kernel" in v.path
    ]
    assert len(fixed) > 2 and all(
        np.array_equal(a, b) for a, b in zip(fixed, after, strict=True)
    )


@pytest.mark.usefixtures("eager")
def test_srresnet_is_the_generator_at_the_end_of_stage_1():
    gan = tiny(pretrain_steps=2)
    logs = [gan.train_step(pictures(2, seed)) for seed in range(2)]
    end = values(gan.generator)
    logs += [gan.train_step(pictures(2, seed)) for seed in range(2)]
    assert ["pretrain_loss" in each for each in logs] == [True, True, False, False]
    assert not any(changed(gan.srresnet, end)) and all(changed(gan.generator, end))


def test_the_first_training_fixes_the_length_of_stage_1(monkeypatch, tmp_path):
    def stages(gan, epochs, start=0):
        """Whether each step was one of stage 2."""
        found = []
        note = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda step, logs: found.append("d_loss" in logs)
        )
        gan.train(images, epochs, 2, note, initial_epoch=start)
        return found

    images = np.zeros((4, 32, 32, 3), np.uint8)
    monkeypatch.setattr(
        srgan.Player, "train_on_batch", lambda *_: collections.defaultdict(float)
    )
    new = functools.partial(tiny, pretrain_steps=-1)
    gan = new(pretrain=0.75)
    assert gan.pretrain_steps < 0 and stages(gan, 2) == [False] * 3 + [True]
    gan.save(tmp_path)
    other = new(pretrain=0.1)
    other.load(tmp_path)
    assert other.pretrain_steps == 3 and stages(other, 4, start=2) == [True] * 4
    assert stages(new(pretrain=0), 1) == [True] * 2
    assert stages(new(pretrain=1), 1) == [False] * 2
    assert stages(new(), 5) == [False] * 8 + [True] * 2
    # Steps by hand belong to stage 1, and do not fix its length.
    gan = new(pretrain=0.5)
    for _ in range(3):
        assert "pretrain_loss" in gan.train_step(pictures(2))
    assert stages(gan, 2) == [False] * 2 + [True] * 2 and gan.pretrain_steps == 5
    assert "d_loss" in new(pretrain=0).train_step(pictures(2))


@pytest.mark.parametrize("total", [1, 2, 12, 900])
def test_schedule_of_stage_1_is_keras_cosine_decay(total):
    warm_up = min(150, total // 3)
    expected = keras.optimizers.schedules.CosineDecay(
        1e-6, total - warm_up, alpha=0.02, warmup_target=5e-4, warmup_steps=warm_up
    )
    for step in range(0, total, 1 + total // 50):
        rate = srgan.warm_up_cosine(5e-4, step, total)
        assert rate == pytest.approx(float(expected(step)), rel=2e-4)
    assert srgan.warm_up_cosine(5e-4, 150, None) == 5e-4


@pytest.mark.parametrize("total", [1, 2, 7, 600])
def test_schedule_of_stage_2_is_keras_piecewise_constant(total):
    expected = keras.optimizers.schedules.PiecewiseConstantDecay(
        [max(1, total // 2)], [1e-4, 1e-5]
    )
    for step in range(total):
        rate = srgan.drop_at_half(1e-4, step, total)
        assert rate == pytest.approx(float(expected(step)), rel=1e-6)
    assert srgan.drop_at_half(1e-4, 10**9, None) == 1e-4


@pytest.mark.usefixtures("eager")
def test_each_optimiser_gets_its_rate():
    gan, rates = tiny(pretrain=0.5, pretrain_steps=-1, learning_rate=1e-3), []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: rates.append(
            [float(getattr(gan, p).optimizer.learning_rate) for p in gan.players]
        )
    )
    gan.train(np.zeros((2, 32, 32, 3), np.uint8), 8, 2, note)
    first = [srgan.warm_up_cosine(1e-3, step, 4) for step in range(4)]
    second = [1e-4, 1e-4, 1e-4, 1e-5]
    expected = [[rate, 1e-4, 1e-4] for rate in first]
    expected += [[first[-1], rate, rate] for rate in second]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


def own_generator(size=None, scale=4, channels=3):
    up = layers.UpSampling2D(scale)
    image = keras.Input((size, size, channels))
    return keras.Model(image, layers.Conv2D(3, 5, padding="same")(up(image)))


def own_discriminator(size, channels=3):
    shape = keras.Input((size, size, channels))
    first = layers.Conv2D(4, 3, 4, "same", activation="relu")
    return keras.Sequential([shape, first, layers.Conv2D(1, 3, 2, "same")])


@pytest.mark.usefixtures("eager")
@pytest.mark.parametrize("scale, fixed", [(4, None), (2, 16), (3, None)])
def test_networks_of_ones_own(scale, fixed):
    """Also where D's logits are a map, and where G takes images of one size."""
    generator = own_generator(fixed, scale)
    features = small_features()
    size = 33 if scale == 3 else 32
    gan = SRGAN(generator, own_discriminator(size), features, pretrain=0)
    assert gan.scale == scale
    logs = gan.train_step(np.zeros((2, size, size, 3), "float32"))
    assert all(np.isfinite(value) for value in logs.values())
    images = np.zeros((1, 16, 16, 3), np.uint8)
    assert gan.upscale(images).shape == (1, 16 * scale, 16 * scale, 3)
    if fixed:
        with pytest.raises(ValueError, match=r"not uint8 \('count', 16, 16, 3\)"):
            gan.upscale(images[:, :8])


def test_a_missing_partner_fits():
    features = layers.Identity()
    gan = SRGAN(own_generator(12), features=features)
    assert gan.image_shape == gan.discriminator.input_shape[1:] == (48, 48, 3)
    gan = SRGAN(own_generator(), features=features, size=64)
    assert gan.image_shape == (64, 64, 3)
    gan = SRGAN(discriminator=own_discriminator(32), features=features)
    assert gan.scale == 4 and gan.image_shape == (32, 32, 3)


@pytest.mark.parametrize(
    "generator, discriminator",
    [
        (own_generator(16), own_discriminator(96)),  # makes 64 pixels
        (own_generator(), own_discriminator(34)),  # is no multiple of 4
        (keras.Sequential([keras.Input((8, 8, 3)), layers.MaxPool2D(2)]), None),
        (own_generator(8, channels=1), own_discriminator(32)),
        (own_generator(8), own_discriminator(32, channels=1)),
    ],
)
def test_networks_that_do_not_fit_are_refused_with_both_shapes(
    generator, discriminator
):
    discriminator = discriminator or own_discriminator(32)
    with pytest.raises(ValueError, match=r"\(None, \d+, \d+, .*\(None, \d+"):
        SRGAN(generator, discriminator, layers.Identity())


def test_tiles_overlap_by_the_receptive_radius():
    for blocks in (1, 4):
        assert srgan.reach(build_generator(4, blocks, 2)) == 2 * blocks + 12
    assert srgan.reach(own_generator()) == 3


@pytest.mark.usefixtures("eager")
# Steps before the save: in stage 1, in stage 2.
@pytest.mark.parametrize("first", [1, 3])
def test_save_and_load_go_on_exactly_across_the_stages(first, tmp_path):
    straight, saved, other = tiny(), tiny(), tiny()
    for seed in range(4):
        straight.train_step(pictures(2, seed))
    for seed in range(first):
        saved.train_step(pictures(2, seed))
    saved.save(tmp_path)
    other.load(tmp_path)
    for seed in range(first, 4):
        other.train_step(pictures(2, seed))
    for name in ("generator", "discriminator", "srresnet"):
        for x, y in zip(
            values(getattr(straight, name)), values(getattr(other, name)), strict=True
        ):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7)


def test_generator_file_needs_no_code_of_ours(tmp_path):
    gan = tiny()
    gan.save(tmp_path)
    low = np.random.default_rng(0).integers(0, 256, (1, 9, 7, 3), np.uint8)
    loaded = keras.models.load_model(tmp_path / "generator.keras", safe_mode=True)
    np.testing.assert_array_equal(gan.upscale(low), gan.upscale(low, loaded))


def test_random_features_keep_their_size():
    image = np.random.default_rng(0).uniform(-1, 1, (2, 64, 64, 3)).astype("float32")
    for layer in ("block2_conv2", "block5_conv4"):
        features = 12.75 * build_vgg(layer, "random").predict(image, verbose=0)
        assert 0.3 < np.sqrt((features**2).mean()) < 3 and (features >= 0).all()


def test_metrics_are_the_fields():
    a = np.full((40, 40, 3), 100, np.uint8)
    assert metrics.psnr(a, a + 10) == pytest.approx(20 * np.log10(255 / 10))
    assert metrics.psnr(a, a) == 100
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    np.testing.assert_allclose(metrics.luma(image), color.rgb2ycbcr(image)[..., 0])
    # Of two even pictures nothing but the means is left: (2 m n + c) / (m^2 + n^2 + c),
    # c = (0.01 * 255)^2.
    even = [np.full((20, 20), level) for level in (60, 90)]
    assert metrics.ssim(*even) == pytest.approx(
        (2 * 60 * 90 + 2.55**2) / (60**2 + 90**2 + 2.55**2)
    )
    # Of two with equal means nothing but the covariance: a picture and its negative.
    noise = np.random.default_rng(0).normal(0, 30, (60, 60))
    assert (
        metrics.ssim(128 + noise, 128 + noise) == pytest.approx(1)
        and metrics.ssim(128 + noise, 128 - noise) < -0.8
    )
    grey, nearly = np.full((2, 700, 700), 100, np.uint8)
    nearly[0, 0] += 1
    assert metrics.psnr(nearly, grey) == 100


def test_scores_are_means_over_the_pairs():
    truths = np.random.default_rng(0).integers(0, 200, (2, 20, 20, 3), np.uint8)
    images = truths.copy()
    images[0, :10, :, 0] += 12  # a sixth of the numbers
    images[1, ::2] += 6
    scores = metrics.scores(images, truths)
    assert scores["L1"] == (12 / 6 + 6 / 2) / 2
    errors = 12 * (1 / 6) ** 0.5, 6 * 0.5**0.5  # root mean squares
    assert scores["PSNR dB"] == pytest.approx(
        np.mean([20 * np.log10(255 / error) for error in errors])
    )
    lumas = [
        [color.rgb2ycbcr(image)[..., 0] for image in pair]
        for pair in zip(images, truths, strict=True)
    ]
    assert scores["SSIM"] == pytest.approx(
        np.mean([metrics.ssim(*pair) for pair in lumas])
    )


def test_metrics_of_other_arrays():
    image = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    for measure in (metrics.psnr, lambda a, b: metrics.ssim(a[..., 0], b[..., 0])):
        with pytest.raises(ValueError, match="multiply them by 255"):
            measure(image / 255, image / 255)
    with pytest.raises(ValueError, match="see luma"):
        metrics.ssim(image, image)
    # And not 100 dB.
    assert np.isnan(metrics.psnr(np.where(image > 9, image, np.nan), image))


def test_other_scales_are_refused():
    with pytest.raises(ValueError, match="2, 4 or 8"):
        build_generator(scale=3)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_command_line(command, refused, tmp_path):
    args = ["--pretrain-epochs", 2, *SRGAN_TINY]
    assert command(srgan, "--epochs", 3, *args, "--run", "straight")[0] == 0
    for epochs in (1, 3):
        assert command(srgan, "--epochs", epochs, *args, "--run", "parts")[0] == 0
        assert command(srgan, "--evaluate", "--run", "parts")[0] == 0
        # In the middle of stage 1 there is no SRGAN yet.
        rows = json.loads((tmp_path / "parts/evaluation.json").read_text())
        assert len(rows) == (2 if epochs == 1 else 3) and "SRResNet" in rows
    same_state(tmp_path / "straight", tmp_path / "parts")
    options = json.loads((tmp_path / "straight/options.json").read_text())
    assert options["vgg"] == "random" and options["pretrain_epochs"] == 2
    assert iio.imread(tmp_path / "straight/samples/epoch_0003.png").shape[2] == 3
    status, out, _ = command(srgan, "--evaluate", "--run", "straight")
    result = json.loads((tmp_path / "straight/evaluation.json").read_text())
    assert (
        status == 0
        and list(result) == ["bicubic", "SRResNet", "SRGAN, VGG19 random"]
        and "PSNR" in out
    )
    assert 28 < result["bicubic"]["PSNR dB"] < 35
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (30, 21), np.uint8)).save(
        tmp_path / "photo.png"
    )
    assert command(srgan, "--apply", "photo.png", "--run", "straight")[0] == 0
    assert iio.imread(tmp_path / "photo_x4.png").shape == (120, 84)
    (tmp_path / "small").mkdir()
    Image.new("RGB", (16, 40)).save(tmp_path / "small/a.png")
    assert "a.png can't be used: it has only 16x40" in refused(
        srgan, "--evaluate", "small", "--run", "straight"
    )


once = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="downloads have no backend, and take long",
)


@pytest.fixture
def imagenet(tmp_path, monkeypatch):
    """A server on loopback for VGG19's weights, in place of Google's.

    Imagenet(bytes or None) -> requests so far.
    """
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    answers, requests = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            requests.append(self.path)
            data, length = answers[-1]
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/vgg19_notop.h5"
    monkeypatch.setattr(keras.src.applications.vgg19, "WEIGHTS_PATH_NO_TOP", url)
    (tmp_path / "keras").mkdir()
    monkeypatch.setattr(
        keras.src.utils.file_utils.config, "keras_home", lambda: str(tmp_path / "keras")
    )

    def serve(data, length=None):
        answers.append((data, length or len(data)))
        return requests

    yield serve
    server.shutdown()


@once
def test_imagenet_weights_are_downloaded_once(imagenet, tmp_path, monkeypatch):
    vgg = keras.applications.VGG19(include_top=False, weights=None)
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        keras.src.legacy.saving.legacy_h5_format.save_weights_to_hdf5_group(file, vgg)
    requests = imagenet((tmp_path / "weights.h5").read_bytes())
    # It is not the file whose checksum Keras knows.
    with pytest.warns(UserWarning, match="random ones are used"):
        assert find_vgg(None, "block2_conv2")[1] == "random"
    monkeypatch.setattr(
        keras.src.utils.file_utils, "validate_file", lambda *_, **__: True
    )
    requests.clear()
    shutil.rmtree(tmp_path / "keras/models")
    for _ in range(2):
        network, choice = find_vgg(None, "block2_conv2")
        assert choice == "imagenet"
        expected = [w for layer in vgg.layers[:6] for w in layer.get_weights()]
        for ours, theirs in zip(network.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert len(requests) == 1


@once
def test_a_broken_download_of_imagenet_weights(imagenet, tmp_path):
    imagenet(b"the beginning", length=1000)
    with pytest.warns(UserWarning, match="~/.keras/models"):
        assert find_vgg(None, "block2_conv2")[1] == "random"
    with pytest.raises(ValueError, match="VGG19 can't have the weights imagenet"):
        find_vgg("imagenet", "block2_conv2")


@pytest.mark.usefixtures("eager")
def test_vgg_may_be_chosen_when_stage_2_begins(command, refused):
    options = [*SRGAN_TINY, "--vgg", "random"]
    without = SRGAN_TINY[: SRGAN_TINY.index("--vgg")]
    assert (
        command(
            srgan, "--epochs", 1, "--pretrain-epochs", 1, *without, *SRGAN_TINY[-2:]
        )[0]
        == 0
    )
    assert command(srgan, "--epochs", 2, *options)[0] == 0
    assert "--vgg random (not imagenet)" in refused(
        srgan, "--epochs", 3, "--vgg", "imagenet"
    )


@pytest.mark.usefixtures("eager")
def test_vgg_choices(command, refused, tmp_path, monkeypatch):
    def no_network(*_, **__):
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.utils, "get_file", no_network)
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", no_network)
    args = [
        "--epochs",
        2,
        "--pretrain-epochs",
        1,
        *SRGAN_TINY[:-4],
        "--vgg-layer",
        "block2_conv2",
    ]
    assert "URL fetch failure" in refused(srgan, *args, "--vgg", "imagenet")
    assert "nothing.h5" in refused(srgan, *args, "--vgg", "nothing.h5")
    with pytest.warns(UserWarning, match="random ones are used"):
        assert command(srgan, *args)[0] == 0
    assert (
        json.loads((tmp_path / "runs/srgan/options.json").read_text())["vgg"]
        == "random"
    )


@pytest.mark.parametrize(
    "args, advice",
    [
        (["--size", "30"], "multiple of --scale"),
        (["--size", "16"], "32 or more"),
        (["--scale", "3"], "--scale"),
        (["--apply", "nothing.jpg", "--run", "elsewhere"], "there is no photo"),
    ],
)
def test_mistakes_get_one_line(args, advice, refused):
    assert advice in refused(srgan, *args)


def test_weights_that_fit_no_photo(refused, tmp_path):
    own_generator(16).save(tmp_path / "mine.keras")
    Image.new("RGB", (30, 20)).save(tmp_path / "photo.png")
    line = refused(srgan, "--apply", "photo.png", "--weights", "mine.keras")
    assert "mine.keras takes images of 16x16 pixels alone" in line


def test_a_generator_of_ones_own_enlarges_photos(command, tmp_path):
    generator = own_generator(scale=2)
    generator.save(tmp_path / "mine.keras")
    photo = np.random.default_rng(0).integers(0, 256, (30, 20, 3), np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    use = ["--apply", "photo.png", "--weights", "mine.keras"]
    assert command(srgan, *use)[0] == 0
    large = iio.imread(tmp_path / "photo_x2.png")
    whole = SRGAN(generator, features=layers.Identity()).upscale(photo[None])[0]
    inner = np.s_[4:-4, 4:-4]  # --apply mirrors the photo at its edges
    assert large.shape == (60, 40, 3)
    assert np.abs(large[inner].astype(int) - whole[inner]).max() <= 1


def test_vgg_features_are_of_the_pixels_that_vgg_was_trained_with():
    ours = srgan.build_vgg("block2_conv2", "random")
    theirs = keras.applications.VGG19(include_top=False, weights=None)
    theirs = keras.Model(theirs.input, theirs.get_layer("block2_conv2").output)
    theirs.set_weights(ours.get_weights())
    image = noise(1, 32, 32, 3).astype("float32")
    expected = theirs.predict(
        keras.applications.vgg19.preprocess_input(image.copy()), verbose=0
    )
    np.testing.assert_allclose(
        12.75 * ours.predict(image / 127.5 - 1, verbose=0),
        expected,
        rtol=1e-3,
        atol=1e-3,
    )
