"""The search, the joining and the commands.

Runs on every backend; tests/test_backends.py sees to that.
"""

import json
import shutil

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from conftest import TINY, noise
from keras import ops
from PIL import Image
from skimage.metrics import structural_similarity

from zoo import dcgan, inpaint
from zoo.common import metrics
from zoo.common import pictures as sheets
from zoo.inpaint import KINDS, Inpainter, context_weights, make_masks, paste, poisson

CENTER = np.zeros((28, 28), bool)
CENTER[7:21, 7:21] = True


def networks(channels=1, size=28):
    """A DCGAN whose untrained generator draws something different for each z, and
    moving averages that matter.
    """
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(1)
    shape = (size, size, channels)
    pair = dcgan.build_generator(shape, 8, 4), dcgan.build_discriminator(shape, 4)
    for network in pair:
        for v in network.variables:
            if "moving_mean" in v.path:
                v.assign(random.normal(0, 0.1, v.shape))
            elif "moving_variance" in v.path:
                v.assign(random.uniform(0.5, 2, v.shape))
            elif "kernel" in v.path:
                v.assign(
                    random.normal(
                        0,
                        2 / np.sqrt(np.prod(v.shape[:-1])) * (1 + (v.ndim == 2)),
                        v.shape,
                    )
                )
    return pair


def pictures(n, channels=1, seed=0):
    small = np.random.default_rng(seed).integers(0, 256, (n, 7, 7, channels), np.uint8)
    return small.repeat(4, 1).repeat(4, 2)


def values(*models):
    return [
        np.array(ops.convert_to_numpy(v)) for model in models for v in model.variables
    ]


@pytest.fixture(scope="module")
def finished_run(tmp_path_factory):
    run = tmp_path_factory.mktemp("trained") / "run"
    dcgan.main(["--epochs", "1", *TINY, "--run", str(run)])
    return run


@pytest.fixture
def trained(finished_run, tmp_path):
    """The folder runs/dcgan with a DCGAN's run in it, for commands to find."""
    return shutil.copytree(finished_run, tmp_path / "runs/dcgan")


class Watch(keras.callbacks.Callback):
    """Keeps the latents after every update."""

    def on_train_begin(self, logs=None):
        self.z = [np.array(ops.convert_to_numpy(self.model.z))]

    def on_train_batch_end(self, batch, logs=None):
        self.z.append(np.array(ops.convert_to_numpy(self.model.z)))


@pytest.mark.parametrize("optimizer", ["adam", "nesterov"])
def test_the_search_moves_only_the_latents(optimizer):
    g, d = networks()
    before, watch = values(g, d), Watch()
    found = Inpainter(
        g, d, iterations=5, restarts=2, optimizer=optimizer, learning_rate=0.5
    )
    found.search(pictures(3), np.broadcast_to(CENTER, (3, 28, 28)), [watch])
    assert watch.model.trainable_variables == [watch.model.z]
    assert watch.z[0].shape == (6, 8) and (watch.z[0] != watch.z[-1]).any(1).all()
    for a, b in zip(values(g, d), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("noise", ["uniform", "normal"])
def test_latents_stay_where_the_generator_was_trained(noise):
    watch = Watch()
    gan = Inpainter(*networks(), iterations=5, learning_rate=0.5, noise=noise)
    gan.search(pictures(3), np.broadcast_to(CENTER, (3, 28, 28)), [watch])
    most = np.abs(watch.z).max()
    assert most == 1 if noise == "uniform" else most > 1


def test_the_search_finds_an_image_in_reach():
    g, d = networks()
    z = np.random.default_rng(5).uniform(-1, 1, (4, 8)).astype("float32")
    images = inpaint.to_uint8(g.predict(z, verbose=0))
    known = np.zeros((4, 28, 28), bool)

    def error(**kwargs):
        found = Inpainter(g, d, window=0, prior_weight=0, **kwargs).search(
            images, known
        )
        return np.abs(found.astype(float) - images).mean((1, 2, 3)) / 255

    assert error(iterations=1).min() > 0.05
    assert error(iterations=400, restarts=4).max() < 0.01


def test_more_restarts_are_never_worse_and_the_best_is_kept():
    g, d = networks()
    images, masks = pictures(3), np.broadcast_to(CENTER, (3, 28, 28))
    weights = context_weights(masks)

    def losses(restarts):
        found = Inpainter(g, d, iterations=20, restarts=restarts).search(images, masks)
        return (weights * np.abs(found.astype(float) - images)).sum((1, 2, 3))

    # The latents of the first restarts are the same, and no search knows of the others.
    assert (losses(4) <= losses(1) + 1).all() and losses(4).sum() < losses(1).sum()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("how", inpaint.BLENDS)
def test_known_pixels_stay_and_holes_are_filled(how, channels):
    images, before = pictures(3, channels), pictures(3, channels)
    masks = make_masks("half", 3, 28, seed=2)
    done = Inpainter(*networks(channels), iterations=3, blend=how).complete(
        images, masks
    )
    assert done.dtype == np.uint8 and done.shape == images.shape
    np.testing.assert_array_equal(done[~masks], images[~masks])
    np.testing.assert_array_equal(images, before)
    assert (done != images)[masks].mean() > 0.9
    # What is in the hole has no say.
    blank = np.where(masks[..., None], np.uint8(7), images)
    np.testing.assert_array_equal(
        Inpainter(*networks(channels), iterations=3, blend=how).complete(blank, masks),
        done,
    )


def test_weights_are_equation_3():
    mask = np.random.default_rng(0).random((9, 11)) < 0.3
    weights = context_weights(mask[None], 5)[0, ..., 0]
    for y in range(9):
        for x in range(11):
            near = mask[max(0, y - 2) : y + 3, max(0, x - 2) : x + 3]
            assert weights[y, x] == pytest.approx(
                0 if mask[y, x] else near.mean(), abs=1e-6
            )
    np.testing.assert_array_equal(context_weights(mask[None], 0)[0, ..., 0], ~mask)
    for window in (1, 8):  # with 1 no known pixel would count
        with pytest.raises(ValueError, match=r"window \d should be"):
            Inpainter(*networks(), window=window)


@pytest.mark.parametrize("kind", KINDS)
def test_masks(kind):
    masks = make_masks(kind, 6, 32, seed=1)
    assert masks.shape == (6, 32, 32) and masks.dtype == bool
    share = {"center": 0.25, "random": 0.8, "left": 0.5, "half": 0.5, "grid": 15 / 16}[
        kind
    ]
    assert masks.mean() == pytest.approx(share, abs=0.02)
    differ = (masks != masks[0]).any()
    assert differ == (kind in ("random", "half"))
    if kind == "center":
        assert masks[0, 8:24, 8:24].all()
    if kind == "left":
        assert masks[0, :, :16].all()
    assert make_masks(kind, 2, 32, 0.25).mean() < share


def test_poisson_blending():
    y, x = np.mgrid[:28, :28]
    ramp = np.uint8(40 + 3 * x + 2 * y)[None, ..., None].repeat(3, 3)
    masks = make_masks("center", 1, 28)
    # The gradients are right and the brightness is not: blending gives the image back,
    # pasting does not.
    np.testing.assert_array_equal(poisson(ramp, ramp - 30, masks), ramp)
    assert (paste(ramp, ramp - 30, masks) != ramp).any()
    # Nothing to be corrected at a rim that fits.
    detail = ramp.copy()
    detail[0, 12:16, 12:16] += 50
    np.testing.assert_array_equal(poisson(ramp, detail, masks), detail)
    for kind in KINDS:  # holes that reach the edge, and of many parts
        masks = make_masks(kind, 1, 28)
        np.testing.assert_allclose(
            poisson(ramp, ramp + 20, masks).astype(int), ramp, atol=1
        )


def test_classical_fills():
    images, masks = pictures(2, 3), make_masks("center", 2, 28)
    for fill in (inpaint.mean_fill, inpaint.biharmonic):
        filled = fill(images, masks)
        assert filled.dtype == np.uint8
        np.testing.assert_array_equal(filled[~masks], images[~masks])
    filled = inpaint.mean_fill(images, masks)
    np.testing.assert_allclose(
        filled[1][masks[1]][0], images[1][~masks[1]].mean(0), atol=0.51
    )
    np.testing.assert_array_equal(inpaint.mean_fill(images, masks.astype(int)), filled)
    np.testing.assert_array_equal(
        inpaint.context_weights(masks * 255), inpaint.context_weights(masks)
    )


def test_ssim_in_the_hole_alone():
    random = np.random.default_rng(0)
    a, b = random.integers(0, 256, (2, 28, 28)).astype(float)
    options = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": 255,
    }
    pixels = structural_similarity(a, b, full=True, **options)[1]
    assert metrics.ssim(a, b, where=CENTER) == pytest.approx(pixels[CENTER].mean())
    assert metrics.ssim(a, b) == pytest.approx(structural_similarity(a, b, **options))


@pytest.mark.parametrize(
    "images, masks, advice",
    [
        (pictures(2), CENTER[:14], "masks are"),
        (pictures(2), np.stack([CENTER] * 3), "masks are"),
        (pictures(2), CENTER & False, "no hole"),
        (pictures(2), np.stack([CENTER, CENTER | True]), "image 1 has no known pixel"),
        (pictures(2, 3), CENTER, "not uint8 .*28, 28, 1"),
        (pictures(2)[:, :14, :14], CENTER[:14, :14], "not uint8"),
        (pictures(2) / 255, CENTER, "float64.*not uint8"),
        (pictures(2)[0], CENTER, r"uint8 \(28, 28, 1\), not"),
        (pictures(2).repeat(2, 1), CENTER, "not uint8"),
        (pictures(2, 4), CENTER, "not uint8"),
    ],
)
def test_what_cannot_be_completed(images, masks, advice):
    with pytest.raises(ValueError, match=advice) as refusal:
        Inpainter(*networks(), iterations=1).complete(images, masks)
    assert "\n" not in str(refusal.value)


def test_lists_are_completed():
    images, masks = pictures(2), [CENTER, CENTER]
    gan = Inpainter(*networks(), iterations=2)
    done = gan.complete(list(images), masks)
    np.testing.assert_array_equal(done, gan.complete(images, CENTER.astype("uint8")))


class Scaled(keras.layers.Layer):
    """A layer of one's own."""

    def call(self, x):
        return ops.tanh(2 * x)


def test_own_networks_and_images_that_are_not_square():
    dense, flat = keras.layers.Dense(28 * 20 * 3), keras.layers.Flatten()
    shape = keras.layers.Reshape((28, 20, 3))
    g = keras.Sequential([keras.Input((2, 3)), flat, dense, Scaled(), shape])
    d = keras.Sequential(
        [keras.Input((28, 20, 3)), keras.layers.Conv2D(1, 3, activation=ops.abs)]
    )
    images, masks = noise(2, 28, 20, 3), np.zeros((28, 20), bool)
    masks[5:28, 4:15] = True
    for blend in inpaint.BLENDS:
        done = Inpainter(g, d, iterations=3, blend=blend).complete(images, masks)
        np.testing.assert_array_equal(done[:, ~masks], images[:, ~masks])
        assert (done != images)[:, masks].mean() > 0.9


def test_networks_that_do_not_fit():
    with pytest.raises(ValueError, match=r"\(28, 28, 1\).* \(28, 28, 3\)"):
        Inpainter(networks()[0], networks(3)[1])
    with pytest.raises(ValueError, match=r"\(1,\).* \(28, 28, 1\)"):
        Inpainter(networks()[1], networks()[1])

    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="keras.Sequential"):
        Inpainter(networks()[0], Own())


@pytest.mark.parametrize("choice", ["optimizer", "blend", "noise"])
def test_choices_that_there_are_not(choice):
    with pytest.raises(ValueError, match=f"{choice} is 'unifrom': it can be"):
        inpaint.Inpainter(*networks(), **{choice: "unifrom"})


def test_default_run_leaves_a_picture_and_a_film(command, trained, tmp_path):
    before = sorted(p.stat().st_mtime_ns for p in trained.rglob("*"))
    status, out, _ = command(inpaint, "--iterations", 12)
    assert status == 0 and "wrote runs/inpaint/output.png" in out
    picture = iio.imread(tmp_path / "runs/inpaint/output.png")
    picture = picture[20:, :, 0]  # without captions
    side = 6 * 28 + 2  # pixels are repeated
    assert picture.shape == (8 * side + 2, 5 * side + 2)
    columns = [picture[2:side:6, 2 + side * i :: 6][:28, :28] for i in range(5)]
    for i, (column, same) in enumerate(
        zip(columns, (True, True, False, True, True), strict=True)
    ):
        assert (column == columns[0])[~CENTER].all() == same, i
    assert (columns[1][CENTER] == 255).all()
    # A frame that repeats the one before is left out.
    film = iio.imread(tmp_path / "runs/inpaint/output.gif")
    assert 5 < len(film) <= 12 and film.shape[1:3] == (2 * 86 + 2, 8 * 86 + 2)
    assert sorted(p.stat().st_mtime_ns for p in trained.rglob("*")) == before
    assert (
        command(inpaint, "--iterations", 2, "--mask", "random", "--output", "a.png")[0]
        == 0
    )
    assert (tmp_path / "a.png").exists() and (tmp_path / "a.gif").exists()
    assert (
        command(inpaint, "--iterations", 2, "--batch-size", 3, "--output", "b.png")[0]
        == 0
    )
    assert len(iio.imread(tmp_path / "b.png")) == 20 + 3 * side + 2


def test_evaluate(command, trained, tmp_path):
    np.save(tmp_path / "set.npy", pictures(5))
    options = [
        "--iterations",
        3,
        "--batch-size",
        3,
        "--restarts",
        2,
        "--blend",
        "paste",
    ]
    status, out, _ = command(inpaint, "--evaluate", "set.npy", *options)
    result = json.loads((tmp_path / "runs/inpaint/evaluation.json").read_text())
    assert (
        status == 0
        and list(result) == ["mean fill", "biharmonic", "untrained", "completed"]
        and "SSIM" in out
    )
    filled = inpaint.mean_fill(pictures(5), np.broadcast_to(CENTER, (5, 28, 28)))
    psnrs = [
        metrics.psnr(a[CENTER], b[CENTER])
        for a, b in zip(filled, pictures(5), strict=True)
    ]
    assert result["mean fill"]["PSNR dB"] == pytest.approx(np.mean(psnrs))
    assert command(inpaint, "--evaluate", "--iterations", 1)[0] == 0


def test_each_row_is_of_what_its_name_says(monkeypatch):
    inpainter, images = Inpainter(*networks(), iterations=1), pictures(2)

    def complete(self, some, masks):
        return some if self.generator is inpainter.generator else 255 - some

    monkeypatch.setattr(Inpainter, "complete", complete)
    result = inpaint.evaluate(inpainter, images, CENTER[None].repeat(2, 0))
    assert result["completed"]["PSNR dB"] == 100 > result["untrained"]["PSNR dB"]


def test_apply_searches_for_a_batch_at_once_and_lays_alpha_over_white(
    command, trained, tmp_path, monkeypatch
):
    seen = []

    def search(self, images, masks, callbacks=()):
        seen.append(images)
        return images

    monkeypatch.setattr(Inpainter, "search", search)
    for name in "abc":
        Image.new("LA", (28, 28), (0, 0 if name == "a" else 255)).save(
            tmp_path / f"{name}.png"
        )
    assert (
        command(inpaint, "--apply", "a.png", "b.png", "c.png", "--batch-size", 2)[0]
        == 0
    )
    assert [len(images) for images in seen] == [2, 1]
    assert (seen[0][0] == 255).all() and (seen[0][1] == 0).all()


def test_apply(command, trained, tmp_path):
    for name, channels in (("a", 1), ("b", 3)):
        Image.fromarray(pictures(1, channels)[0].squeeze()).save(
            tmp_path / f"{name}.png"
        )
    Image.fromarray(CENTER).save(tmp_path / "mask.png")
    done = command(
        inpaint, "--apply", "a.png", "b.png", "--mask", "mask.png", "--iterations", 3
    )
    assert done[0] == 0 and (tmp_path / "b_completed.png").exists()
    completed, image = (
        iio.imread(tmp_path / f"{name}.png") for name in ("a_completed", "a")
    )
    assert completed.shape == image.shape == (28, 28)
    np.testing.assert_array_equal(completed[~CENTER], image[~CENTER])
    assert (completed != image)[CENTER].mean() > 0.5


def test_without_a_trained_dcgan(command, refused, trained, tmp_path):
    line = refused(inpaint, "--gan", "elsewhere")
    assert "python -m zoo.dcgan --epochs 5 --run elsewhere" in line
    shutil.rmtree(trained / "checkpoint")  # there is only generator.keras now
    assert "has no trained DCGAN" in refused(inpaint)


def test_damaged_and_foreign_networks(command, refused, trained, tmp_path):
    networks(size=32)[1].save(trained / "checkpoint/discriminator.keras")
    line = refused(inpaint)
    assert "(28, 28, 1)" in line and "(32, 32, 1)" in line
    (trained / "checkpoint/discriminator.keras").write_bytes(b"PK\x03\x04")
    assert "can't be loaded" in refused(inpaint)
    networks()[1].save(trained / "checkpoint/discriminator.keras")
    networks()[0].save(trained / "checkpoint/generator.keras")
    (trained / "options.json").unlink()
    assert "give --data" in refused(inpaint)
    assert command(inpaint, "--data", "faces", "--iterations", 1)[0] == 0


@pytest.mark.parametrize(
    "args, advice",
    [
        (
            ["--apply", "small.png", "--mask", "mask.png"],
            "small.png has 20x28 pixels, but the DCGAN makes",
        ),
        (["--apply", "photo.png", "--mask", "small.png"], "small.png has 20x28 pixels"),
        (["--apply", "photo.png", "--mask", "black.png"], "no hole"),
        (["--apply", "photo.png", "--mask", "white.png"], "no known pixel"),
        (["--apply", "nothing.png"], "no photo nothing.png"),
        (["--apply", "photo.png", "--output", "a.jpg"], ".png"),
        (["--apply", "photo.png", "--output", "nowhere/a.png"], "nowhere"),
        (["--mask", "nothing.png"], "no photo nothing.png"),
        (["--mask", "small.png"], "small.png has 20x28 pixels"),
        (["--mask-size", "1"], "--mask-size"),
        (["--mask-size", "0.01"], "no hole"),
        (["--mask", "white.png", "--mask-size", "0.3"], "--mask-size is for"),
        (["--data", "nowhere"], "there is no data set or path 'nowhere'"),
        (["--seed", "5000000000"], "--seed"),
        (["--evaluate", "--output", "a.png"], "leave --apply and --output out"),
        (["--evaluate", "--apply", "photo.png"], "leave --apply and --output out"),
        (["--evaluate", "nowhere"], "there is no data set or path 'nowhere'"),
        (["--prior-weight", "-1"], "--prior-weight"),
        (["--window", "4"], "window 4 should be"),
        (["--iterations", "0"], "--iterations"),
        (["--restarts", "0"], "--restarts"),
        (["--optimizer", "lbfgs"], "--optimizer"),
        (["--blend", "alpha"], "--blend"),
        (["--epochs", "5"], "--epochs"),
        (["--output", "a.txt"], ".png"),
    ],
)
def test_mistakes_get_one_line(args, advice, refused, trained, tmp_path):
    for name, shape in (
        ("photo", (28, 28)),
        ("small", (28, 20)),
        ("black", (28, 28)),
        ("white", (28, 28)),
    ):
        Image.fromarray(np.full(shape, 255 * (name == "white"), np.uint8)).save(
            tmp_path / f"{name}.png"
        )
    Image.fromarray(CENTER).save(tmp_path / "mask.png")
    assert advice in refused(inpaint, *args)


def test_completion_is_scored_in_the_hole(monkeypatch):
    masks, images = CENTER[None].repeat(2, 0), pictures(2)
    monkeypatch.setattr(inpaint.Inpainter, "complete", lambda self, some, masks: some)
    result = inpaint.evaluate(inpaint.Inpainter(*networks()), images, masks)
    pairs = list(
        zip(inpaint.mean_fill(images, masks)[..., 0], images[..., 0], strict=True)
    )
    assert result["mean fill"]["SSIM"] == pytest.approx(
        np.mean([metrics.ssim(*p, where=CENTER) for p in pairs])
    )


def test_the_seed_draws_the_masks(command, monkeypatch, tmp_path):
    (tmp_path / "gan").mkdir()
    for network, name in zip(networks(), ("generator", "discriminator"), strict=True):
        network.save(tmp_path / f"gan/{name}.keras")
    seen = []
    monkeypatch.setattr(
        inpaint.Inpainter,
        "search",
        lambda self, images, masks, *_: seen.append(masks) or images,
    )
    monkeypatch.setattr(sheets, "save_gif", lambda *_: None)
    for seed in (1, 2):
        args = ["--gan", "gan", "--data", "faces", "--mask", "random", "--seed", seed]
        assert command(inpaint, *args)[0] == 0
        np.testing.assert_array_equal(
            seen[-1], inpaint.make_masks("random", len(seen[-1]), 28, seed=seed)
        )


@pytest.mark.parametrize("share", [0, 1, 50])
def test_shares_that_there_are_not(share):
    with pytest.raises(ValueError, match="between 0 and 1"):
        make_masks("center", 2, 28, share)
