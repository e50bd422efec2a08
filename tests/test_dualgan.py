"""DualGAN's networks, step, critics and commands.

Runs on every backend; tests/test_backends.py sees to that.
"""

import json

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from conftest import DUALGAN_TINY, count, interrupted, same_state, values
from keras import ops

from zoo import dualgan
from zoo.dualgan import DualGAN, build_discriminator, build_generator


def tiny(**kwargs):
    keras.utils.set_random_seed(1)
    dropout, filters = kwargs.pop("dropout", 0.5), kwargs.pop("filters", 2)
    names = ("generator_ab", "generator_ba")
    networks = [build_generator(3, filters, dropout, name) for name in names]
    names = ("discriminator_a", "discriminator_b")
    networks += [build_discriminator(32, filters, name) for name in names]
    return DualGAN(*networks, **kwargs)


def pictures(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 32, 32, 3)).astype("float32")


def snapshot(gan):
    return {name: values(getattr(gan, name)) for name in DualGAN.networks}


def moved(gan, before):
    """The names of the networks that have changed; of the others not a weight has."""
    return {
        name
        for name in DualGAN.networks
        if not all(
            np.array_equal(a, b)
            for a, b in zip(values(getattr(gan, name)), before[name], strict=True)
        )
    }


def test_parameter_counts():
    # 4x4 kernels; a bias, or after a normalisation a shift, for each map; skips double
    # the decoder's inputs.
    encoder = [3, 64, 128, 256, 512, 512, 512, 512, 512]
    g = sum(16 * a * b for a, b in zip(encoder, encoder[1:], strict=False)) + sum(
        encoder[1:]
    )
    decoder = [512, 512, 512, 512, 256, 128, 64]
    inputs = [512] + [2 * width for width in decoder]
    g += (
        sum(16 * a * b for a, b in zip(inputs, [*decoder, 3], strict=True))
        + sum(decoder)
        + 3
    )
    assert count(build_generator()) == g and round(g / 1e6, 2) == 54.41
    widths = [3, 64, 128, 256, 512, 1]
    d = sum(16 * a * b + b for a, b in zip(widths, widths[1:], strict=False))
    assert count(build_discriminator()) == d == 2_764_737
    assert build_discriminator(filters=2).output_shape == (None, 30, 30, 1)
    assert not build_discriminator(filters=2).non_trainable_variables


def test_any_multiple_goes_through_down_to_a_single_value():
    gan = tiny()
    for shape in ((2, 8, 8, 3), (1, 24, 16, 3)):
        for direction in ("AtoB", "BtoA"):
            assert gan.translate(np.zeros(shape, np.uint8), direction).shape == shape
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    gan.deterministic = True
    made = gan.translate(images)
    assert not np.array_equal(made[0], made[1])


@pytest.mark.usefixtures("eager")
def test_each_player_moves_only_its_own_networks(tmp_path):
    gan = tiny()

    def check():
        before, real, fake = snapshot(gan), pictures(1), pictures(1, 1)
        nothing = np.zeros((1, *gan.discriminator_a.output_shape[1:]))
        gan.d_step.train_on_batch(
            [real, fake] * 2, dict.fromkeys(gan.d_step.output_names, nothing)
        )
        assert moved(gan, before) == {"discriminator_a", "discriminator_b"}
        before = snapshot(gan)
        parts = [pictures(2, seed)[None] for seed in range(2)]
        targets = {"recovery_a": real, "recovery_b": fake}
        gan.combined.train_on_batch(
            parts, targets | {"adversarial_a": nothing, "adversarial_b": nothing}
        )
        assert moved(gan, before) == {"generator_ab", "generator_ba"}
        for name in ("generator_ab", "generator_ba"):
            assert not any(
                np.array_equal(a, b)
                for a, b in zip(values(getattr(gan, name)), before[name], strict=True)
            )

    check()
    gan.save(tmp_path)
    gan = tiny()
    gan.load(tmp_path)
    check()
    before = snapshot(gan)
    gan.train_step((pictures(2), pictures(2, 1)))
    assert moved(gan, before) == set(DualGAN.networks)


@pytest.mark.parametrize("critic_steps", [1, 3])
@pytest.mark.usefixtures("eager")
def test_losses_are_the_batchs_own(critic_steps):
    """Every part of the images serves one critic step.

    The last one serves the generators too.
    """
    gan = tiny(
        learning_rate=1e-12,
        dropout=0,
        critic_steps=critic_steps,
        clip=1,
        recovery_weights=(30, 7),
    )
    a, b = pictures(2 * critic_steps), pictures(2 * critic_steps, 1)
    for _ in range(2):
        logs = gan.train_step((a, b))

    def call(network, x):
        return ops.convert_to_numpy(getattr(gan, network)(x, training=True))

    fake_a, fake_b = call("generator_ba", b), call("generator_ab", a)
    last = slice(critic_steps - 1, None, critic_steps)
    back_a = np.abs(call("generator_ba", fake_b[last]) - a[last]).mean()
    back_b = np.abs(call("generator_ab", fake_a[last]) - b[last]).mean()
    values = sum(
        call(f"discriminator_{d}", x[last]).mean()
        for d, x in (("a", fake_a), ("b", fake_b))
    )
    expected = {
        "g_loss": 30 * back_a + 7 * back_b - values,
        "recovery_loss": back_a + back_b,
        "clipped": 0,
    }
    for domain, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
        critic = f"discriminator_{domain}"
        expected[f"gap_{domain}"] = (
            call(critic, real).mean() - call(critic, fake).mean()
        )
    assert set(logs) == set(expected)
    for name, value in expected.items():
        assert logs[name] == pytest.approx(float(value), rel=1e-3, abs=1e-6), name


def critic_gaps(shift, steps=60):
    """The gap after each step of a critic alone, on noise around 0 and around `shift`,
    always new.
    """
    gan, random = tiny(filters=4, learning_rate=1e-3), np.random.default_rng(0)
    nothing, gaps = np.zeros((8, *gan.discriminator_a.output_shape[1:])), []
    targets = dict.fromkeys(gan.d_step.output_names, nothing)
    for _ in range(steps):
        real, fake = (
            random.normal(mean, 0.3, (8, 32, 32, 3)).astype("float32")
            for mean in (0, shift)
        )
        logs = gan.d_step.train_on_batch([real, fake, fake, fake], targets)
        gaps.append(float(logs["real_a_loss"] - logs["fake_a_loss"]))
    return np.array(gaps), gan


def test_the_gap_grows_on_separable_data_and_stays_at_0_on_equal():
    apart, gan = critic_gaps(0.5)
    equal, _ = critic_gaps(0.0)
    assert (
        apart[-10:].mean() > 10 * max(apart[0], 0)
        and apart[-10:].mean() > apart[20:30].mean() > 0
    )
    assert abs(equal[-10:].mean()) < 0.05 * apart[-10:].mean()
    assert gan.clipped() > 0.1


@pytest.mark.usefixtures("eager")
def test_clipping_leaves_no_weight_beyond_and_touches_nothing_else():
    gan = tiny(clip=0.01, filters=4)
    wide = max(
        np.abs(v).max()
        for name in ("generator_ab", "generator_ba")
        for v in values(getattr(gan, name))
    )
    before = snapshot(gan)
    assert max(np.abs(v).max() for v in before["discriminator_a"]) > 0.05
    logs = gan.train_step((pictures(2), pictures(2, 1)))
    critics = [
        v
        for name in ("discriminator_a", "discriminator_b")
        for v in values(getattr(gan, name))
    ]
    assert max(np.abs(v).max() for v in critics) == np.float32(0.01)
    at_limit = sum((np.abs(v) == np.float32(0.01)).sum() for v in critics)
    assert (
        logs["clipped"] == pytest.approx(at_limit / sum(v.size for v in critics))
        and logs["clipped"] > 0.3
    )
    # Moved by a step of the optimiser, and nothing else.
    for name in ("generator_ab", "generator_ba"):
        for v, old in zip(values(getattr(gan, name)), before[name], strict=True):
            assert np.abs(v - old).max() <= 1.01 * 5e-5 / np.sqrt(0.1)
    assert wide > 0.05
    inner = values(gan.discriminator_a)
    for v, old in zip(inner, before["discriminator_a"], strict=True):
        kept = np.abs(old) < 0.009  # two steps from the limit, or more
        assert np.abs(v - old)[kept].max(initial=0) <= 2 * 1.01 * 5e-5 / np.sqrt(0.1)


@pytest.mark.usefixtures("eager")
def test_save_and_load_go_on_exactly(tmp_path):
    """Dropout and optimisers included, whatever was translated in between."""
    straight, saved, other = (tiny() for _ in range(3))

    def steps(gan, first, last):
        for seed in range(first, last):
            gan.train_step((pictures(2, seed), pictures(2, 9 + seed)))

    steps(straight, 0, 4)
    steps(saved, 0, 2)
    saved.save(tmp_path)
    other.load(tmp_path)
    other.translate(np.zeros((1, 32, 32, 3), np.uint8))
    steps(other, 2, 4)
    for name in DualGAN.networks:
        for x, y in zip(
            values(getattr(straight, name)), values(getattr(other, name)), strict=True
        ):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7)


@pytest.mark.usefixtures("eager")
def test_noise_is_another_in_every_step_and_for_every_seed():
    losses = []
    for seed in (0, 1):
        gan = tiny(learning_rate=1e-12, seed=seed, dropout=0.8)
        losses += [
            gan.train_step((pictures(2), pictures(2)))["recovery_loss"]
            for _ in range(2)
        ]
    assert len(set(losses)) == 4


def test_translation_has_noise_that_a_seed_repeats():
    gan, images = (
        tiny(dropout=0.8),
        np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8),
    )
    # From weights that small nothing can be seen.
    for v in gan.generator_ab.trainable_variables[2:]:
        v.assign(9 * v)
    first = gan.translate(images, seed=1)
    np.testing.assert_array_equal(first, gan.translate(images, seed=1))
    # Whatever else is in the batch.
    np.testing.assert_array_equal(first[:1], gan.translate(images[:1], seed=1))
    assert not np.array_equal(first, gan.translate(images, seed=2))
    gan.deterministic = True
    np.testing.assert_array_equal(
        gan.translate(images, seed=1), gan.translate(images, seed=2)
    )


def test_generator_files_need_no_code_of_ours(tmp_path):
    gan = tiny(deterministic=True)
    gan.save(tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (1, 16, 24, 3), np.uint8)
    for name, direction in (("generator_ab", "AtoB"), ("generator_ba", "BtoA")):
        loaded = keras.models.load_model(tmp_path / f"{name}.keras", safe_mode=True)
        theirs = dualgan.to_uint8(
            loaded.predict(images.astype("float32") / 127.5 - 1, verbose=0)
        )
        assert np.abs(gan.translate(images, direction).astype(int) - theirs).max() <= 1
    keras.models.load_model(tmp_path / "discriminator_a.keras", safe_mode=True)


def test_train_takes_arrays():
    a, b = (
        np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), np.uint8)
        for seed, n in ((0, 4), (1, 6))
    )
    history = tiny().train((a, b), 1).history
    assert (
        set(history) == {"g_loss", "recovery_loss", "gap_a", "gap_b", "clipped"}
        and len(history["g_loss"]) == 1
    )
    with pytest.raises(ValueError, match="not a multiple of critic_steps=3"):
        tiny(critic_steps=3).train((a, b), 1, batch_size=2)
    with pytest.raises(ValueError, match="4 images are fewer than batch_size=6"):
        tiny(critic_steps=3).train((a, b), 1, batch_size=6)


def test_sides_that_would_change():
    with pytest.raises(ValueError, match=r"'n \* 8', 'n \* 8', 3"):
        tiny().translate(np.zeros((1, 32, 36, 3), np.uint8))


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_command_line(command, tmp_path, monkeypatch):
    args = ["--epochs", 2, *DUALGAN_TINY]
    assert command(dualgan, *args, "--run", "straight")[0] == 0
    interrupted(command, monkeypatch, dualgan, DualGAN, 4, *args, "--run", "parts")
    same_state(tmp_path / "straight", tmp_path / "parts")
    assert {p.stem for p in (tmp_path / "straight").glob("*.keras")} == {
        "generator_ab",
        "generator_ba",
    }
    assert "gap_a" in (tmp_path / "straight/history.csv").read_text()
    status, out, _ = command(dualgan, "--evaluate", "--run", "straight")
    result = json.loads((tmp_path / "straight/evaluation.json").read_text())
    assert status == 0 and "200 of B, which are pairs" in out and len(result) == 8
    iio.imwrite(
        tmp_path / "photo.png",
        np.random.default_rng(0).integers(0, 256, (30, 21, 3), np.uint8),
    )
    for direction in ("AtoB", "BtoA"):
        apply = [
            "--apply",
            "photo.png",
            "--direction",
            direction,
            "--deterministic",
            "--run",
            "straight",
        ]
        assert command(dualgan, *apply)[0] == 0
        assert iio.imread(tmp_path / f"photo_{direction}.png").shape == (30, 21, 3)


@pytest.mark.parametrize(
    "args, advice",
    [
        (["--size", "48"], "multiple of 32"),
        (["--size", "16", "--depth", "3"], "24 or more"),
        (["--depth", "1"], "--depth"),
        (["--data", "photos"], "photos has no domains A and B"),
        (["--clip", "0"], "--clip"),
        (["--critic-steps", "0"], "--critic-steps"),
        (
            ["--data", "two.npy", "--data-b", "two.npy", "--critic-steps", "3"],
            "smaller --batch-size; a step takes --batch-size times --critic",
        ),
        (["--recovery-weights", "1"], "--recovery-weights"),
        (["--recovery-weights", "1", "-1"], "--recovery-weights"),
        (["--dropout", "1"], "--dropout"),
        (["--apply", "nothing.jpg"], "there is no photo"),
        (["--run", "none", "--evaluate"], "train it first"),
    ],
)
def test_mistakes_get_one_line(args, advice, refused, tmp_path):
    np.save(tmp_path / "two.npy", np.zeros((2, 32, 32, 3), np.uint8))
    assert advice in refused(dualgan, *args, "--epochs", "1", "--filters", "2")
