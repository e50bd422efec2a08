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
from zoo.common import dataset, domains, metrics
from zoo.common.domains import Unpaired
from zoo.cyclegan import CycleGAN, build_discriminator, build_generator, linear_decay


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


@pytest.mark.usefixtures("eager")
def test_the_learning_rate_is_constant_then_falls_to_zero():
    rates = [linear_decay(2e-4, step, 8) for step in range(10)]
    np.testing.assert_allclose(
        rates, 2e-4 * np.array([1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0, 0]), rtol=1e-6
    )
    assert linear_decay(2e-4, 10**6, None) == 2e-4
    gan = tiny()
    gan.total_steps = 4
    for step in range(4):
        gan.train_step((pictures(1), pictures(1, 1)))
        for player in (gan.combined, gan.d_step):
            now = float(ops.convert_to_numpy(player.optimizer.learning_rate))
            assert now == pytest.approx(2e-4 * (1, 1, 1, 0.5)[step])
    before = snapshot(gan)
    gan.train_step((pictures(1), pictures(1, 1)))
    assert moved(gan, before) == set()


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


@pytest.mark.usefixtures("eager")
def test_save_and_load_go_on_exactly(tmp_path):
    """Optimisers, learning rate and pools included."""
    straight, saved, other = (tiny(pool_size=2) for _ in range(3))
    straight.total_steps = saved.total_steps = other.total_steps = 6

    def steps(gan, first, last):
        for seed in range(first, last):
            gan.train_step((pictures(1, seed), pictures(1, 9 + seed)))

    steps(straight, 0, 5)
    steps(saved, 0, 3)
    saved.save(tmp_path)
    other.load(tmp_path)
    steps(other, 3, 5)
    assert straight.steps == other.steps == 5
    for name in CycleGAN.networks:
        for x, y in zip(
            values(getattr(straight, name)), values(getattr(other, name)), strict=True
        ):
            np.testing.assert_allclose(x, y, rtol=1e-6, atol=1e-7)
    for pool in ("pool_a", "pool_b"):
        np.testing.assert_allclose(
            getattr(straight, pool), getattr(other, pool), rtol=1e-4, atol=1e-5
        )
    assert not all(
        np.array_equal(getattr(saved, pool), getattr(other, pool))
        for pool in ("pool_a", "pool_b")
    )


def test_generator_files_need_no_code_of_ours(tmp_path):
    gan = tiny()
    gan.save(tmp_path)
    gan.load(tmp_path)
    assert gan.pool_a == gan.pool_b == []
    images = np.random.default_rng(0).integers(0, 256, (1, 16, 12, 3), np.uint8)
    for name, direction in (("generator_ab", "AtoB"), ("generator_ba", "BtoA")):
        loaded = keras.models.load_model(tmp_path / f"{name}.keras", safe_mode=True)
        theirs = cyclegan.to_uint8(
            loaded.predict(images.astype("float32") / 127.5 - 1, verbose=0)
        )
        np.testing.assert_array_equal(gan.translate(images, direction), theirs)


class Counted(keras.utils.PyDataset):
    """Batch i of epoch e is the number 10 e + i, in a new pass after `length`."""

    def __init__(self, length):
        super().__init__()
        self.length, self.epoch, self.steps = length, 0, length

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        assert step < self.steps
        return 10 * self.epoch + step % self.length


def test_an_epoch_is_once_over_the_larger_domain():
    both = Unpaired(Counted(2), Counted(3), False)
    both.epoch = 4
    assert [both[i] for i in range(len(both))] == [(40, 40), (41, 41), (40, 42)]
    both.steps = 4
    assert [both[i] for i in range(len(both))][3] == (41, 40)


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_train_takes_arrays_and_datasets():
    a, b = (
        np.random.default_rng(seed).integers(0, 256, (n, 32, 32, 3), np.uint8)
        for seed, n in ((0, 2), (1, 3))
    )
    batches = cyclegan.Batches((a, b), 1, tiny())
    assert len(batches) == 3
    histories = [tiny().train(images, 1).history for images in ((a, b), batches)]
    assert histories[0] == histories[1] and len(histories[0]["g_loss"]) == 1
    with pytest.raises(ValueError, match="images are float32"):
        tiny().train((a / np.float32(255), b), 1)


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


def test_no_image_of_a_pair_is_trained_on_together_with_its_partner(tmp_path):
    source = pairs(tmp_path / "set", 5)
    images = domains.load(source, 32)
    assert images.paired and len(images) == 2  # steps of an epoch
    assert levels(images.a) == {0, 10} and levels(images.b) == {21, 31}
    with pytest.raises(dataset.DataError, match="too few for batches of 3"):
        domains.load(source, 32, batch_size=3)
    a, b, paired = domains.take(source, 99, 32)
    assert paired and len(a) == 5
    np.testing.assert_array_equal(a + 1, b)


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


def test_the_mean_is_of_pictures_as_they_are_evaluated(tmp_path, monkeypatch):
    """Of the training pictures of each domain, not mirrored and not shifted."""
    pictures = np.random.default_rng(0).integers(0, 256, (9, 32, 64, 3), np.uint8)
    for i, picture in enumerate(pictures):
        iio.imwrite(tmp_path / f"{i}.png", picture)
    seen = []
    monkeypatch.setattr(domains, "evaluate", lambda *args: seen.append(args))
    both = {"size": 32, "source_b": None, "seed": 0, "jitter": None}
    domains.evaluate_source(None, tmp_path, "test", tmp_path, **both)
    ((_, a, b, train, paired),) = seen
    np.testing.assert_array_equal(a[0], pictures[8, :, :32])
    np.testing.assert_array_equal(b[0], pictures[8, :, 32:])
    # Of eight, as one is held out, the earlier half and the later.
    assert paired and len(a) == len(b) == 1
    np.testing.assert_array_equal(train[0], pictures[:4, :, :32])
    np.testing.assert_array_equal(train[1], pictures[4:8, :, 32:])


def test_pictures_are_mirrored_and_shifted_in_training_alone(tmp_path):
    ramps = np.broadcast_to(
        np.arange(0, 240, 6, dtype=np.uint8)[:, None], (20, 40, 40, 3)
    )
    np.save(tmp_path / "a.npy", ramps)
    both = domains.load(tmp_path / "a.npy", 40, source_b=tmp_path / "a.npy")
    for images in (both.a, both.b):
        images.steps = 40
        rows = [images[i][0, 0, :, 0] for i in range(40)]
        assert {np.sign(row[-1] - row[0]) for row in rows} == {-1, 1} and len(
            {row.tobytes() for row in rows}
        ) > 4
    a, b, _ = domains.take(tmp_path / "a.npy", 2, 40, source_b=tmp_path / "a.npy")
    np.testing.assert_array_equal(a, ramps[:2])
    np.testing.assert_array_equal(b, ramps[:2])


def test_pixel_art_is_not_resampled():
    images = domains.load("glasses", 32)
    assert images.a.jitter == images.b.jitter == 1
    assert domains.load("glasses", 32, jitter=1.1).a.jitter == 1.1
    assert domains.load("emoji", 32).a.jitter == 286 / 256


@pytest.mark.usefixtures("eager")
def test_a_run_of_two_folders_is_not_evaluated_on_halves_of_pictures(
    command, refused, tmp_path
):
    for name in ("cats", "dogs", "others/A", "others/B"):
        (tmp_path / name).mkdir(parents=True)
        for i in range(11):
            iio.imwrite(
                tmp_path / name / f"{i}.png", np.full((32, 64, 3), 9 * i, np.uint8)
            )
    two = ["--data", "cats", "--data-b", "dogs", "--epochs", 1, *CYCLEGAN_TINY]
    assert command(cyclegan, *two)[0] == 0
    for source in ("cats", "cats/"):
        status, out, _ = command(cyclegan, "--evaluate", source)
        assert status == 0 and "moved" in out and "SSIM" not in out
    assert "should have folders A and B" in refused(cyclegan, "--evaluate", "dogs")
    status, out, _ = command(cyclegan, "--evaluate", "others")
    assert status == 0 and "which are pairs" in out and "SSIM" in out


def test_pairs_in_an_array(tmp_path):
    x = np.zeros((11, 32, 64, 3), np.uint8)
    x[:, :, 32:] = 255
    np.save(tmp_path / "pairs.npy", x)
    images = domains.load(tmp_path / "pairs.npy", 32)
    assert images.paired and levels(images.a) == {0} and levels(images.b) == {255}


def test_domains_in_folders(tmp_path):
    for name, level in (("trainA", 1), ("trainB", 2), ("testA", 3), ("testB", 4)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for i in range(level):
            iio.imwrite(
                tmp_path / "set" / name / f"{i}.png",
                np.full((40, 40, 3), level, np.uint8),
            )
    images = domains.load(tmp_path / "set", 32)
    assert not images.paired and levels(images.a) == {1} and levels(images.b) == {2}
    a, b, paired = domains.take(tmp_path / "set", 99, 32)
    assert not paired and len(a) == 3 and len(b) == 4
    images = domains.load(tmp_path / "set/testA", 32, source_b=tmp_path / "set/testB")
    assert not images.paired and levels(images.a) == {3} and levels(images.b) == {4}


def test_one_missing_partner_is_told(tmp_path):
    for side in "AB":
        (tmp_path / side).mkdir()
        for i in range(4):
            iio.imwrite(tmp_path / side / f"{i}.png", np.full((40, 40, 3), i, np.uint8))
    assert domains.load(tmp_path, 32).paired
    (tmp_path / "B/3.png").rename(tmp_path / "B/x.png")
    with pytest.warns(UserWarning, match="not taken for pairs.*3.png has no partner"):
        assert not domains.load(tmp_path, 32).paired
    (tmp_path / "B/x.png").unlink()
    assert not domains.load(tmp_path, 32).paired


def test_a_and_b_are_drawn_apart(folder):
    images = domains.load(folder, 32, source_b=folder)
    assert any(not np.array_equal(*images[i]) for i in range(5))


class Judge:
    """In place of the classifier: bright images are of domain B."""

    def __init__(self, images, attributes):
        (labels,) = attributes["domain"]
        self.limit = images[labels == 1].mean() / 2 + images[labels == 0].mean() / 2

    def find(self, images):
        return {"domain": (images.mean((1, 2, 3)) > self.limit).astype(int)}


def test_evaluation_knows_its_baselines(monkeypatch):
    class Copy:
        def translate(self, images, direction):
            return images

    monkeypatch.setattr(metrics, "Classifier", Judge)
    a = np.random.default_rng(0).integers(0, 200, (3, 32, 32, 3), np.uint8)
    result = domains.evaluate(Copy(), a, a + 10, (a, a + 10), paired=True)
    rows = ("generated", "input", "mean", "real")
    assert list(result) == [f"{way} {row}" for way in ("AtoB", "BtoA") for row in rows]
    assert result["AtoB generated"]["moved"] == result["AtoB generated"]["cycle"] == 0
    for way in ("AtoB", "BtoA"):
        generated, shown, mean, real = (result[f"{way} {row}"] for row in rows)
        assert generated["L1"] == shown["L1"] == 10 < mean["L1"]
        assert shown["PSNR dB"] == pytest.approx(20 * np.log10(25.5))
        assert 0.9 < shown["SSIM"] < 1
        assert generated["target %"] == shown["target %"] == 0
        assert real == {"target %": 100} and mean["target %"] == 100
    assert set(domains.evaluate(Copy(), a, a[:2])) == {
        "AtoB generated",
        "BtoA generated",
    }
    unpaired = domains.evaluate(Copy(), a, a[:2] + 10, (a, a + 10))
    assert set(unpaired) == set(result)
    assert set(unpaired["AtoB generated"]) == {"moved", "cycle", "target %"}
    assert set(unpaired["AtoB mean"]) == {"target %"}


def test_the_classifier_learns_which_domain_an_image_is_of():
    class Swap:
        def translate(self, images, direction):
            return 255 - images

    dark = np.random.default_rng(0).integers(0, 60, (200, 32, 32, 3), np.uint8)
    result = domains.evaluate(Swap(), dark, 255 - dark, (dark, 255 - dark))
    for way in ("AtoB", "BtoA"):
        shares = [result[f"{way} {r}"]["target %"] for r in ("generated", "input")]
        assert shares == [100, 0] and result[f"{way} real"]["target %"] == 100


def test_evaluation_of_a_model_that_is_right(monkeypatch):
    class Ten:
        def translate(self, images, direction):
            return (
                images + np.uint8(10) if direction == "AtoB" else images - np.uint8(10)
            )

    monkeypatch.setattr(metrics, "Classifier", Judge)
    a = np.full((3, 32, 32, 3), 100, np.uint8)
    b = a + np.uint8(10)
    result = domains.evaluate(Ten(), a, b, (a, b), paired=True)
    for way in ("AtoB", "BtoA"):
        generated = result[f"{way} generated"]
        assert generated["moved"] == 10 and generated["cycle"] == 0
        assert generated["L1"] == result[f"{way} mean"]["L1"] == 0
        assert generated["target %"] == 100 and result[f"{way} input"]["target %"] == 0


def test_sides_that_would_change():
    with pytest.raises(ValueError, match=r"'n \* 4', 'n \* 4', 3"):
        tiny().translate(np.zeros((1, 32, 30, 3), np.uint8))


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
    assert status == 0 and "on 200 images of A, 200 of B, which are pairs" in out
    rows = ("generated", "input", "mean", "real")
    assert list(result) == [f"{way} {row}" for way in ("AtoB", "BtoA") for row in rows]
    pairwise = {"target %", "L1", "PSNR dB", "SSIM"}
    assert set(result["AtoB generated"]) == {"moved", "cycle"} | pairwise
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
    rows = ("generated", "input", "mean", "real")
    assert list(result) == [f"{way} {row}" for way in ("AtoB", "BtoA") for row in rows]
    assert set(result["AtoB generated"]) == {"moved", "cycle", "target %"}


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
        (["--evaluate", "--run", "none"], "train it first"),
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
