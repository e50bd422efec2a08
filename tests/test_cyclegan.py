"""CycleGAN's networks, step, pools and commands.

Runs on every backend; tests/test_backends.py sees to that.
"""

import json
from types import SimpleNamespace

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from conftest import CYCLEGAN_TINY, count, interrupted, same_state, values
from keras import layers, ops

from zoo import cyclegan
from zoo.common import domains
from zoo.cyclegan import (
    CycleGAN,
    build_discriminator,
    build_generator,
)


def tiny(**kwargs):
    keras.utils.set_random_seed(1)
    names = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
    networks = [build_generator(1, 2, name) for name in names[:2]]
    networks += [build_discriminator(32, 2, name) for name in names[2:]]
    return CycleGAN(*networks, **kwargs)


def pictures(n, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, (n, 32, 32, 3)).astype("float32")


def moved(gan, before):
    """The names of the networks all of whose weights have changed.

    The others' must not have changed at all.
    """
    result = set()
    for name in CycleGAN.networks:
        changes = [
            not np.array_equal(a, b)
            for a, b in zip(values(getattr(gan, name)), before[name], strict=True)
        ]
        assert all(changes) or not any(changes), name
        result |= {name} if all(changes) else set()
    return result


def snapshot(gan):
    return {name: values(getattr(gan, name)) for name in CycleGAN.networks}


def test_parameter_counts_are_the_papers():
    # A shift for each map of a normalised layer, which has no bias; the last layers
    # have biases.
    ends = 49 * 3 * 64 + 64 + 49 * 64 * 3 + 3
    down = 9 * (64 * 128 + 128 * 256) + 128 + 256
    up = 9 * (256 * 128 + 128 * 64) + 128 + 64
    for blocks, total in ((9, 11_378_179), (6, 7_837_699)):
        assert (
            count(build_generator(blocks))
            == ends + down + blocks * 2 * (9 * 256 * 256 + 256) + up
            == total
        )
    d = (
        16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1)
        + 64
        + 1
        + 128
        + 256
        + 512
    )
    assert count(build_discriminator()) == d == 2_764_737
    assert build_discriminator(filters=2).output_shape == (None, 30, 30, 1)


def test_any_multiple_of_4_goes_through():
    images, gan = np.zeros((2, 12, 20, 3), np.uint8), tiny()
    for direction in ("AtoB", "BtoA"):
        assert gan.translate(images, direction).shape == images.shape


def test_layers_mirror_and_normalise_each_image():
    x = np.random.default_rng(0).normal(3, 2, (2, 6, 8, 3)).astype("float32")
    image = keras.Input((None, None, 3))
    mirrored = keras.Model(image, cyclegan.reflect(image, 3)).predict(x, verbose=0)
    np.testing.assert_array_equal(
        mirrored, np.pad(x, [(0, 0), (3, 3), (3, 3), (0, 0)], mode="reflect")
    )
    network = keras.Model(image, cyclegan.instance_norm()(image))
    expected = (x - x.mean((1, 2), keepdims=True)) / np.sqrt(
        x.var((1, 2), keepdims=True) + 1e-5
    )
    np.testing.assert_allclose(network.predict(x, verbose=0), expected, atol=1e-4)
    assert len(network.trainable_variables) == 1


@pytest.mark.usefixtures("eager")
def test_each_player_moves_only_its_own_networks(tmp_path):
    gan = tiny()

    def check():
        before, images = snapshot(gan), [pictures(1), pictures(1, 1)]
        ones = np.ones((1, *gan.discriminator_a.output_shape[1:]))
        gan.d_step.train_on_batch(
            images * 2, dict.fromkeys(gan.d_step.output_names, ones)
        )
        assert moved(gan, before) == {"discriminator_a", "discriminator_b"}
        before = snapshot(gan)
        names = [
            name for name in gan.combined.output_names if not name.startswith("fake")
        ]
        targets = {name: images["ab".index(name[-1])] for name in names}
        gan.combined.train_on_batch(
            images, targets | {"adversarial_a": ones, "adversarial_b": ones}
        )
        assert moved(gan, before) == {"generator_ab", "generator_ba"}

    check()
    gan.save(tmp_path)
    gan = tiny()
    gan.load(tmp_path)
    check()
    before = snapshot(gan)
    gan.train_step((pictures(1), pictures(1, 1)))
    assert moved(gan, before) == set(CycleGAN.networks)


@pytest.mark.parametrize("identity_weight", [0.5, 0])
@pytest.mark.usefixtures("eager")
def test_losses_are_the_batchs_own(identity_weight):
    gan = tiny(learning_rate=1e-12, pool_size=0, identity_weight=identity_weight)
    for seed in range(2):
        a, b = pictures(1, seed), pictures(1, 9 + seed)
        logs = gan.train_step((a, b))

        def call(network, x):
            return ops.convert_to_numpy(getattr(gan, network)(x, training=True))

        fake_a, fake_b = call("generator_ba", b), call("generator_ab", a)
        cycle = (
            np.abs(call("generator_ba", fake_b) - a).mean()
            + np.abs(call("generator_ab", fake_a) - b).mean()
        )
        scores = {
            "a": call("discriminator_a", fake_a),
            "b": call("discriminator_b", fake_b),
        }
        adversarial = sum(((score - 1) ** 2).mean() for score in scores.values())
        total = adversarial + 10 * cycle
        if identity_weight:
            identity = (
                np.abs(call("generator_ba", a) - a).mean()
                + np.abs(call("generator_ab", b) - b).mean()
            )
            assert logs["identity_loss"] == pytest.approx(identity, rel=1e-4)
            total += 5 * identity
        assert ("identity_loss" in logs) == bool(identity_weight)
        expected = {
            "g_loss": total,
            "adversarial_loss": adversarial,
            "cycle_loss": cycle,
        }
        for domain, x in (("a", a), ("b", b)):
            real, fake = call(f"discriminator_{domain}", x), scores[domain]
            expected[f"d_{domain}_loss"] = (
                ((real - 1) ** 2).mean() + (fake**2).mean()
            ) / 2
            expected |= {
                f"d_{domain}_real": real.mean(),
                f"d_{domain}_fake": fake.mean(),
            }
        for name, value in expected.items():
            assert logs[name] == pytest.approx(float(value), rel=1e-3, abs=1e-5), name


def test_the_pool_shows_half_new_and_half_past_images():
    gan, pool, random = SimpleNamespace(pool_size=50), [], np.random.default_rng(0)
    images = np.arange(2050, dtype="float32")
    shown = np.concatenate(
        [
            CycleGAN.exchange(gan, pool, images[i : i + 2], random)
            for i in range(0, 2050, 2)
        ]
    )
    np.testing.assert_array_equal(shown[:50], images[:50])  # while it fills
    past = shown[50:] != images[50:]
    assert past.mean() == pytest.approx(0.5, abs=0.04)  # four standard deviations
    # Who is shown again leaves the pool.
    assert len(set(shown[50:][past])) == past.sum()
    assert len(pool) == 50 and set(pool) | set(shown) == set(images)
    ages = (images - shown)[50:][past]
    # Replaced one in 50 times, every other step.
    assert ages.mean() == pytest.approx(100, rel=0.2)
    gan.pool_size = 0
    np.testing.assert_array_equal(
        CycleGAN.exchange(gan, [], images[:3], random), images[:3]
    )


class Counted(keras.utils.PyDataset):
    """Batch i of epoch e is the number 10 e + i."""

    def __init__(self, length):
        super().__init__()
        self.length, self.epoch = length, 0

    def __len__(self):
        return self.length

    def __getitem__(self, step):
        return 10 * self.epoch + step


def pairs(folder, n, halves=("train", "val")):
    """Pictures with A on the left, all of one grey level for each pair, and on the
    right B, one level brighter.
    """
    for half in halves:
        (folder / half).mkdir(parents=True, exist_ok=True)
        for i in range(n):
            level = 10 * i + 5 * (half == "val")
            picture = np.full((40, 80, 3), level, np.uint8)
            picture[:, 40:] += 1
            iio.imwrite(folder / half / f"{i}.png", picture)
    return folder


def levels(images):
    images.steps = 8 * images.count
    return {
        round(float((images[i][0].mean() + 1) * 127.5)) for i in range(images.steps)
    }


def test_a_damaged_picture_takes_its_partner_with_it(tmp_path):
    for side in "AB":
        (tmp_path / side).mkdir()
        for i in range(40):
            iio.imwrite(
                tmp_path / side / f"{i:02d}.png", np.full((32, 32, 3), 4 * i, np.uint8)
            )
    (tmp_path / "B/19.png").write_text("not a picture")
    with pytest.warns(UserWarning, match="skipped"):
        a, b, paired = domains.take(tmp_path, 4, 32)
    assert paired and len(a) == 4
    np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_command_line(command, tmp_path, monkeypatch):
    args = ["--epochs", 2, *CYCLEGAN_TINY]
    assert command(cyclegan, *args, "--run", "straight")[0] == 0
    interrupted(command, monkeypatch, cyclegan, CycleGAN, 4, *args, "--run", "parts")
    same_state(tmp_path / "straight", tmp_path / "parts")
    assert {p.stem for p in (tmp_path / "straight").glob("*.keras")} == {
        "generator_ab",
        "generator_ba",
    }
    assert json.loads((tmp_path / "straight/options.json").read_text())["blocks"] == 1
    status, out, _ = command(cyclegan, "--evaluate", "--run", "straight")
    result = json.loads((tmp_path / "straight/evaluation.json").read_text())
    assert status == 0 and "64 squares" in out and "SSIM" in out and len(result) == 6
    assert set(result["AtoB made"]) == {"moved", "cycle", "L1", "PSNR dB", "SSIM"}
    iio.imwrite(
        tmp_path / "grey.png",
        np.random.default_rng(0).integers(0, 256, (30, 21), np.uint8),
    )
    for direction in ("AtoB", "BtoA"):
        assert (
            command(
                cyclegan,
                "--apply",
                "grey.png",
                "--direction",
                direction,
                "--run",
                "straight",
            )[0]
            == 0
        )
        assert iio.imread(tmp_path / f"grey_{direction}.png").shape == (30, 21, 3)
    assert (
        command(
            cyclegan, "--apply", "grey.png", "--output", "c.png", "--run", "straight"
        )[0]
        == 0
    )
    assert (tmp_path / "c.png").read_bytes() == (
        tmp_path / "grey_AtoB.png"
    ).read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_pairs_and_two_folders_on_the_command_line(command, folder, tmp_path):
    pairs(tmp_path / "set", 4)
    assert (
        command(
            cyclegan, "--epochs", 1, *CYCLEGAN_TINY, "--data", "set", "--run", "pairs"
        )[0]
        == 0
    )
    assert command(cyclegan, "--evaluate", "--run", "pairs")[0] == 0
    assert (
        json.loads((tmp_path / "pairs/evaluation.json").read_text())["AtoB input"]["L1"]
        == 1
    )
    two = ["--data", folder, "--data-b", "set/val", "--run", "two"]
    assert command(cyclegan, "--epochs", 1, *CYCLEGAN_TINY, *two)[0] == 0
    assert command(cyclegan, "--evaluate", "--run", "two")[0] == 0
    result = json.loads((tmp_path / "two/evaluation.json").read_text())
    assert set(result) == {"AtoB made", "BtoA made"} and set(result["AtoB made"]) == {
        "moved",
        "cycle",
    }


@pytest.mark.parametrize(
    "args, advice",
    [
        (["--size", "42"], "multiple of 4"),
        (["--size", "20"], "24 or more"),
        (["--data", "photos"], "photos has no domains A and B"),
        (["--data", "nowhere"], "there is no data set or path 'nowhere'"),
        (["--data-b", "photos"], "give --data too"),
        (
            ["--data", "photos", "--data-b", "one", "--run", "./one"],
            "is a folder of images too",
        ),
        (["--data", "one", "--batch-size", "1"], "too few for batches of 1"),
        (
            ["--data", "photos", "--data-b", "nowhere"],
            "there is no data set or path 'nowhere'",
        ),
        (["--cycle-weight", "-1"], "--cycle-weight"),
        (["--identity-weight", "-1"], "--identity-weight"),
        (["--pool", "-1"], "--pool"),
        (["--direction", "up"], "--direction"),
        (["--apply", "nothing.jpg"], "there is no photo"),
        (["--evaluate"], "train it first"),
    ],
)
def test_mistakes_get_one_line(args, advice, refused, tmp_path):
    pairs(tmp_path / "one", 1)
    assert advice in refused(
        cyclegan, *args, "--epochs", "1", "--filters", "2", "--blocks", "1"
    )


def test_the_generator_mirrors_wherever_the_size_is_kept():
    flat = [
        layer
        for layer in cyclegan.build_generator(2, 2).layers
        if type(layer) is layers.Conv2D
    ]
    assert {layer.padding for layer in flat if layer.strides == (1, 1)} == {"valid"}
