"""The networks, the step and the loop.

Runs on every backend; tests/test_backends.py sees to that.
"""

import keras
import numpy as np
import pytest
from conftest import changed, noise, values
from keras import ops
from scipy.linalg import sqrtm

from zoo import dcgan
from zoo.common import dataset, metrics
from zoo.dcgan import DCGAN, build_discriminator, build_generator


def tiny(latent_dim=8, **kwargs):
    keras.utils.set_random_seed(1)
    shape = (28, 28, 1)
    networks = build_generator(shape, latent_dim, 4), build_discriminator(shape, 4)
    return DCGAN(*networks, **kwargs)


def pictures(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 28, 28, 1)).astype("float32")


def test_parameter_counts_are_the_papers():
    # Figure 1, 64x64x3, widths 1024-512-256-128, 5x5 kernels, no biases before BN; BN
    # has 2 trainable numbers a map.
    g = (
        100 * 16 * 1024
        + 25 * (1024 * 512 + 512 * 256 + 256 * 128 + 128 * 3)
        + 3
        + 2 * (1024 + 512 + 256 + 128)
    )
    d = (
        25 * (3 * 128 + 128 * 256 + 256 * 512 + 512 * 1024)
        + 128
        + 16 * 1024
        + 1
        + 2 * (256 + 512 + 1024)
    )
    for network, count in ((build_generator(), g), (build_discriminator(), d)):
        assert sum(np.prod(v.shape) for v in network.trainable_variables) == count
    shapes = [
        layer.output.shape[1:]
        for layer in build_generator().layers
        if "conv" in layer.name
    ]
    assert shapes == [(8, 8, 512), (16, 16, 256), (32, 32, 128), (64, 64, 3)]
    shapes = [
        layer.output.shape[1:]
        for layer in build_discriminator().layers
        if "conv" in layer.name
    ]
    assert shapes == [(32, 32, 128), (16, 16, 256), (8, 8, 512), (4, 4, 1024)]


def test_first_weights_are_normal():
    kernels = [v for v in build_generator().trainable_variables if "kernel" in v.path]
    for kernel in kernels:
        assert (
            abs(float(ops.std(kernel)) - 0.02) < 1e-3
            and abs(float(ops.mean(kernel))) < 2e-3
        )


@pytest.mark.parametrize("size", [28, 32, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_sizes(size, channels):
    shape = (size, size, channels)
    assert build_generator(shape, 8, 2).output_shape == (None, *shape)
    assert build_discriminator(shape, 2).output_shape == (None, 1)


@pytest.mark.parametrize("size", [1, 8, 30, 31, 33, 100, 1024])
def test_sizes_that_cannot_be_made(size):
    with pytest.raises(ValueError, match="size of 28, 32"):
        build_generator((size, size, 3))


def test_each_player_moves_only_its_own_network(tmp_path):
    gan = tiny()

    def check(n):
        g, d = values(gan.generator), values(gan.discriminator)
        gan.d_step.train_on_batch(
            [pictures(n), pictures(n)[:, 0, :8, 0]],
            {"real": np.ones((n, 1)), "fake": np.zeros((n, 1))},
        )
        assert all(changed(gan.discriminator, d)) and not any(changed(gan.generator, g))
        d = values(gan.discriminator)
        gan.combined.train_on_batch(pictures(n)[:, 0, :8, 0], {"fake": np.ones((n, 1))})
        assert all(changed(gan.generator, g)) and not any(changed(gan.discriminator, d))

    check(8)
    check(5)  # another batch size traces the step again
    gan.save(tmp_path)
    gan = tiny()
    gan.load(tmp_path)
    check(8)


def test_numbers_in_the_log_are_the_batchs_own():
    """On the oldest Keras `train_on_batch` returns a mean since `compile`."""
    a, b = tiny(learning_rate=1e-12), tiny(learning_rate=1e-12)
    a.train_step(pictures(8, seed=1))
    b.steps = 1  # the same noise as a's second step
    first, second = a.train_step(pictures(8, seed=2)), b.train_step(pictures(8, seed=2))
    for name in first:
        assert first[name] == pytest.approx(second[name], rel=1e-4), name


def test_save_and_load_go_on_exactly(tmp_path):
    straight, saved, other = tiny(), tiny(), tiny(seed=0)
    batches = [pictures(8, seed) for seed in range(4)]
    for batch in batches:
        straight.train_step(batch)
    for batch in batches[:2]:
        saved.train_step(batch)
    saved.save(tmp_path)
    other.load(tmp_path)
    for batch in batches[2:]:
        other.train_step(batch)
    for a, b in (
        (straight.generator, other.generator),
        (straight.discriminator, other.discriminator),
    ):
        for x, y in zip(values(a, False), values(b, False), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7)


def test_generator_file_needs_no_code_of_ours(tmp_path):
    gan = tiny()
    gan.save(tmp_path)
    z = np.random.default_rng(0).uniform(-1, 1, (4, 8)).astype("float32")
    loaded = keras.models.load_model(tmp_path / "generator.keras", safe_mode=True)
    np.testing.assert_allclose(
        loaded.predict(z, verbose=0), gan.generator.predict(z, verbose=0), atol=1e-6
    )


def test_train_with_arrays_and_callbacks():
    gan = tiny()
    seen = []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: seen.append(dict(logs)),
        on_epoch_end=lambda e, logs: seen.append(e),
    )
    images = np.random.default_rng(0).integers(0, 256, (20, 28, 28, 1), np.uint8)
    history = gan.train(images, 2, batch_size=8, callbacks=[callback])
    assert [s if isinstance(s, int) else "step" for s in seen] == [
        "step",
        "step",
        0,
        "step",
        "step",
        1,
    ]
    assert history.history["d_loss"][0] == pytest.approx(
        np.mean([s["d_loss"] for s in seen[:2]])
    )
    assert set(history.history) == {"d_loss", "g_loss", "d_real", "d_fake"}


def test_early_stopping_stops():
    gan = tiny()
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: setattr(gan.combined, "stop_training", True)
    )
    images = np.zeros((8, 28, 28, 1), np.uint8)
    assert len(gan.train(images, 5, batch_size=8, callbacks=[stop]).epoch) == 1
    # The next call is not stopped.
    assert len(gan.train(images, 2, batch_size=8).epoch) == 2
    stop = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: setattr(gan.combined, "stop_training", True)
    )
    gan.steps = 0
    # As Keras' own `fit`, after that batch.
    gan.train(images, 5, batch_size=2, callbacks=[stop])
    assert gan.steps == 1


@pytest.mark.parametrize(
    "images, says",
    [
        (np.zeros((4, 28, 28, 1), np.uint8), "4 images are fewer than batch_size=8"),
        (np.zeros((9, 28, 28, 1)), "not uint8"),
        (np.zeros((9, 28, 28), np.uint8), "not uint8"),
    ],
)
def test_arrays_that_cannot_be_trained_on(images, says):
    with pytest.raises(ValueError, match=says):
        tiny().train(images, 1, batch_size=8)


def test_generate_and_interpolate():
    gan = tiny()
    images = gan.generate(5, seed=3)
    assert images.shape == (5, 28, 28, 1) and images.dtype == np.uint8
    np.testing.assert_array_equal(images, gan.generate(5, seed=3))
    assert not np.array_equal(images, gan.generate(5, seed=4))
    row = gan.interpolate(6, seed=3)
    ends = np.random.default_rng(3).uniform(-1, 1, (2, 8)).astype("float32")
    assert np.abs(row[[0, -1]].astype(int) - gan.generate(z=ends)).max() <= 1
    assert row.shape == (6, 28, 28, 1)


def test_precision_keeps_outputs_in_float32():
    keras.config.set_dtype_policy("mixed_bfloat16")
    gan = tiny()
    assert gan.generator.output.dtype == gan.discriminator.output.dtype == "float32"
    assert np.isfinite(list(gan.train_step(pictures(8)).values())).all()


def test_frechet_distance_of_known_gaussians():
    random = np.random.default_rng(0)
    a = random.normal(0, 1, (100_000, 2))
    b = random.normal([3, 0], [1, 2], (100_000, 2))
    # |m - n|^2 = 9; axis by axis (1 - 1)^2 + (1 - 2)^2 = 1
    assert metrics.frechet_distance(a, b) == pytest.approx(10, rel=0.01)
    # Turned by 45 degrees the wide one has correlated axes: against its own quarter
    # turn that is not nothing.
    wide = (
        random.normal(0, [1, 2], (100_000, 2))
        @ np.array([[1, 1], [-1, 1]])
        / np.sqrt(2)
    )
    c, d = np.array([[2.5, -1.5], [-1.5, 2.5]]), np.array([[2.5, 1.5], [1.5, 2.5]])
    expected = np.trace(c + d - 2 * sqrtm(c @ d)).real
    assert (
        metrics.frechet_distance(wide, wide * [1, -1])
        == pytest.approx(expected, rel=0.03)
        and expected > 1
    )
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


@pytest.mark.usefixtures("eager")
def test_evaluation_with_many_and_with_few_images(tmp_path, monkeypatch):
    random = np.random.default_rng(0)
    x, y = (
        random.integers(0, 256, (300, 28, 28), np.uint8),
        random.choice([-1, 7, 10**9], 300),
    )
    gan = tiny()
    # As good as real.
    monkeypatch.setattr(gan, "generate", lambda z: x[: len(z), ..., None])
    results = []
    for n in (150, 1):
        np.savez(tmp_path / "set.npz", x_train=x, x_test=x[:n], y_train=y, y_test=y[:n])
        train, test = (
            dataset.load(tmp_path / "set.npz", 28, batch_size=1, split=split)
            for split in ("train", "test")
        )
        results.append(dcgan.evaluate(gan, train, test, n=200))
    many, few = results
    assert many["samples"]["frechet"] < 0.1 * many["untrained"]["frechet"]
    assert many["real (test)"]["accuracy %"] > 0
    assert set(many["samples"]) - set(few["samples"]) == {
        "frechet",
        "copies %",
        "diversity",
    }


def test_nearest_distances():
    images = np.random.default_rng(0).integers(0, 256, (30, 8, 8, 1), np.uint8)
    near = images[:3].astype(int) + np.where(images[:3] < 128, 2, -2)
    np.testing.assert_allclose(
        metrics.nearest_distances(near.astype(np.uint8), images), 2, atol=0.05
    )
    bright = np.full((2, 128, 128, 3), 250, np.uint8)
    bright[1] += 3
    np.testing.assert_allclose(
        metrics.nearest_distances(bright + np.uint8(1), bright), 1
    )
    np.testing.assert_array_equal(metrics.nearest_distances(bright, bright), 0)


@pytest.mark.usefixtures("eager")
def test_what_the_figures_say(tmp_path, monkeypatch):
    gan = tiny()
    x = noise(240, 28, 28)
    np.savez(
        tmp_path / "set.npz",
        x_train=x[:120],
        x_test=x[120:],
        y_train=np.arange(120) % 3,
        y_test=np.arange(120) % 3,
    )
    train, test = (
        dataset.load(tmp_path / "set.npz", 28, batch_size=1, split=split)
        for split in ("train", "test")
    )
    new = noise(120, 28, 28, seed=1)[..., None]
    results = {}
    for name, images in {
        "new": new,
        "copies": x[:120, ..., None],
        "one": new[:1].repeat(120, 0),
    }.items():
        monkeypatch.setattr(gan, "generate", lambda z, images=images: images)
        results[name] = dcgan.evaluate(gan, train, test, n=120)["samples"]
    assert results["new"]["copies %"] < 15 and results["copies"]["copies %"] == 100
    assert results["one"]["spread"] == 0 and results["new"]["spread"] > 60
    assert results["one"]["min class %"] == 0 and results["one"]["max diff %"] > 60


def test_interpolation_is_along_an_arc(monkeypatch):
    gan = tiny(100)
    monkeypatch.setattr(gan, "generate", lambda z: z)
    lengths = np.linalg.norm(gan.interpolate(9), axis=1)
    assert lengths.min() > 0.93 * lengths[[0, -1]].min()


def test_noise_is_as_in_training(monkeypatch):
    gan, seen = tiny(50), []
    monkeypatch.setattr(
        gan.generator,
        "predict",
        lambda z, **_: seen.append(z) or np.zeros((len(z), 28, 28, 1)),
    )
    gan.generate(200)
    assert 0.99 < np.abs(seen[0]).max() <= 1 and np.std(seen[0]) == pytest.approx(
        3**-0.5, rel=0.02
    )


def test_the_nearest_of_many():
    images = noise(1500, 4, 4)
    np.testing.assert_array_equal(
        metrics.nearest_distances(images[[0, 700, 1499]], images), 0
    )
