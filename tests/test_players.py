"""Every model that trains: who learns in which call, exact resume, own networks,
schedules.

Runs on every backend; tests/test_backends.py sees to that.
"""

import importlib
import inspect

import keras
import numpy as np
import pytest
from conftest import changed, values
from keras import layers
from test_backends import GANS, batch

from zoo import cyclegan, dcgan, deblur, dualgan, pix2pix, srgan

LEARNERS = {
    "d_step": ("discriminator", "discriminator_a", "discriminator_b"),
    "combined": ("generator", "generator_ab", "generator_ba"),
    "pretrain": ("generator",),
}


def awake(gan):
    """A last layer of zeros would keep the gradients of the layers before it at zero."""
    for name in gan.networks:
        for v in getattr(gan, name).trainable_variables:
            if not np.any(keras.ops.convert_to_numpy(v)) and "kernel" in v.path:
                v.assign(np.random.default_rng(0).normal(0, 0.02, v.shape))
    return gan


@pytest.mark.parametrize("name", GANS)
@pytest.mark.usefixtures("eager")
def test_each_call_updates_only_its_own_networks(name, monkeypatch):
    gan, calls = awake(GANS[name]()), []
    for player in gan.players:
        step = getattr(gan, player).train_on_batch

        def watch(*args, player=player, step=step):
            before = {n: values(getattr(gan, n)) for n in gan.networks}
            result = step(*args)
            calls.append(player)
            for network in gan.networks:
                moved = changed(getattr(gan, network), before[network])
                learns = network in LEARNERS[player]
                # Weights at the limits of the clipping may stay there.
                enough = any(moved) if name == "dualgan" else all(moved)
                assert enough if learns else not any(moved), (player, network)
            return result

        monkeypatch.setattr(getattr(gan, player), "train_on_batch", watch)
    for _ in range(2):
        logs = gan.train_step(batch(name))
    assert all(type(value) is float for value in logs.values())
    assert set(calls) == set(gan.players)


@pytest.mark.parametrize("name", GANS)
@pytest.mark.usefixtures("eager")
def test_save_and_load_go_on_exactly(name, tmp_path):
    straight, saved, other = (awake(GANS[name]()) for _ in range(3))
    straight.save(tmp_path / "start")
    saved.load(tmp_path / "start")
    for _ in range(4):
        straight.train_step(batch(name))
    for _ in range(2):
        saved.train_step(batch(name))
    saved.save(tmp_path / "half")
    other.load(tmp_path / "half")
    for _ in range(2):
        last = other.train_step(batch(name))
    assert other.steps == 4 and set(last) == set(straight.train_step(batch(name)))
    other.train_step(batch(name))
    for network in straight.networks:
        pair = values(getattr(straight, network)), values(getattr(other, network))
        for x, y in zip(*pair, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", GANS)
@pytest.mark.usefixtures("eager")
def test_generators_load_without_this_code(name, tmp_path):
    gan = GANS[name]()
    gan.save(tmp_path)
    for network in (n for n in gan.networks if n.startswith("generator")):
        file = tmp_path / f"{network}.keras"
        loaded = keras.models.load_model(file, compile=False, safe_mode=True)
        for x, y in zip(values(loaded), values(getattr(gan, network)), strict=True):
            np.testing.assert_array_equal(x, y)


@keras.saving.register_keras_serializable("tests")
class Double(layers.Layer):
    """A layer of one's own."""

    def call(self, x):
        return 2 * x


def image_network(channels=3, out=3):
    convolution = layers.Conv2D(out, 3, padding="same", activation="tanh")
    return keras.Sequential([keras.Input((32, 32, channels)), Double(), convolution])


def critic(size=32):
    first = layers.Conv2D(4, 4, 4)
    head = [layers.Flatten(), layers.Dense(1)]
    return keras.Sequential([keras.Input((size, size, 3)), first, *head])


def small_srgan(**networks):
    return srgan.SRGAN(features=layers.Identity(), size=32, pretrain=0.5, **networks)


def enlarging():
    shape = keras.Input((None, None, 3))
    up = layers.UpSampling2D(4)
    return keras.Sequential([shape, up, layers.Conv2D(3, 3, padding="same")])


OWN = {
    "dcgan": lambda: dcgan.DCGAN(
        keras.Sequential(
            [keras.Input((8,)), layers.Dense(3072, "tanh"), layers.Reshape((32, 32, 3))]
        ),
        critic(),
    ),
    "deblur": lambda: deblur.Deblurrer(image_network(), critic()),
    "srgan": lambda: small_srgan(generator=enlarging(), discriminator=critic()),
    "pix2pix": lambda: pix2pix.Pix2Pix("colorize", image_network(1, 2)),
    "cyclegan": lambda: cyclegan.CycleGAN(
        image_network(), image_network(), critic(), critic()
    ),
    "dualgan": lambda: dualgan.DualGAN(
        image_network(), image_network(), critic(), critic(), critic_steps=1
    ),
}


@pytest.mark.parametrize("name", OWN)
@pytest.mark.usefixtures("eager")
def test_networks_of_ones_own(name, tmp_path):
    if name == "pix2pix" and keras.backend.backend() != "tensorflow":
        pytest.skip("the paper's discriminator takes long to compile")
    gan, images = OWN[name](), np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3))
    images = images.astype(np.uint8)
    two = name in ("cyclegan", "dualgan")
    gan.train((images, images) if two else images, 2, batch_size=2)
    gan.save(tmp_path)
    other = OWN[name]()
    other.load(tmp_path)
    for network in gan.networks:
        pair = values(getattr(gan, network)), values(getattr(other, network))
        for x, y in zip(*pair, strict=True):
            np.testing.assert_array_equal(x, y)
    verbs = {"dcgan": "generate", "deblur": "restore", "srgan": "upscale"}
    verb = getattr(gan, verbs.get(name, "translate"))
    assert verb(images[:1] if name != "dcgan" else 1).dtype == np.uint8


def test_a_missing_partner_fits():
    gan = dcgan.DCGAN(dcgan.build_generator((32, 32, 1), 8, 2))
    assert gan.discriminator.input_shape == (None, 32, 32, 1)
    gan = dcgan.DCGAN(discriminator=dcgan.build_discriminator((28, 28, 3), 2))
    assert gan.generator.output_shape == (None, 28, 28, 3)


WRONG = [
    lambda: dcgan.DCGAN(dcgan.build_generator((28, 28, 3), 8, 2), critic()),
    lambda: deblur.Deblurrer(image_network(), critic(64)),
    lambda: small_srgan(generator=image_network(1), discriminator=critic()),
    lambda: pix2pix.Pix2Pix("colorize", image_network(3), None),
    lambda: cyclegan.CycleGAN(image_network(), image_network(), critic(64), critic(64)),
]


@pytest.mark.parametrize("build", WRONG)
def test_networks_that_do_not_fit_are_refused_with_both_shapes(build):
    with pytest.raises(ValueError, match=r"\(.*\).*\(.*\)"):
        build()


def test_a_subclassed_model_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="keras.Sequential"):
        dcgan.DCGAN(Own())
    with pytest.raises(ValueError, match="keras.Sequential"):
        cyclegan.CycleGAN(generator_ba=Own())


def test_schedules():
    steps = np.arange(12)
    found = [deblur.cosine_decay(0.1, step, 12) for step in steps]
    np.testing.assert_allclose(found, 0.05 * (1 + np.cos(np.pi * steps / 12)))
    found = [pix2pix.late_cosine(0.1, step, 12) for step in steps]
    half = 0.05 * (1 + np.cos(np.pi * (steps - 6) / 6))
    np.testing.assert_allclose(found, np.where(steps < 6, 0.1, half))
    found = [cyclegan.linear_decay(0.1, step, 12) for step in steps]
    np.testing.assert_allclose(found, 0.1 * np.minimum(1, 2 * (12 - steps) / 12))
    for schedule in (deblur.cosine_decay, pix2pix.late_cosine, cyclegan.linear_decay):
        assert schedule(0.1, 5, None) == pytest.approx(0.1)


@pytest.mark.usefixtures("eager")
def test_train_sets_the_length_of_the_schedule():
    gan, rates = GANS["deblur"](), []
    images = np.zeros((8, 32, 32, 3), np.uint8)
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: rates.append(
            [float(getattr(gan, p).optimizer.learning_rate) for p in gan.players]
        )
    )
    gan.train(images, 2, batch_size=4, callbacks=note)
    expected = [[deblur.cosine_decay(1e-3, step, 4)] * 2 for step in range(4)]
    np.testing.assert_allclose(rates, expected, rtol=1e-5)


@pytest.mark.usefixtures("eager")
def test_srgan_reaches_its_second_stage():
    gan = GANS["srgan"]()
    gan.pretrain_steps, gan.share, names = -1, 0.5, []
    note = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: names.append("d_loss" in logs)
    )
    gan.train(np.zeros((4, 32, 32, 3), np.uint8), 2, batch_size=2, callbacks=note)
    assert names == [False, False, True, True] and gan.pretrain_steps == 2


@pytest.mark.parametrize("name", GANS)
def test_what_goes_into_a_class(name):
    gan = GANS[name]()
    verbs = {"dcgan": None, "deblur": "restore", "srgan": "upscale"}
    verb = verbs.get(name, "translate")
    if verb is None:
        return
    good = np.zeros((1, 32, 32, 3), np.uint8)
    assert getattr(gan, verb)(list(good)).shape[0] == 1
    for images in (good / 255, good[0], good[..., :1], good[..., [0, 0, 0, 0]]):
        with pytest.raises(ValueError, match="not uint8.*convert"):
            getattr(gan, verb)(images)
    with pytest.raises(ValueError, match="not uint8"):
        gan.train(good[:, :20], 1, batch_size=1)


def test_signatures_begin_with_the_networks():
    for module, name in ((dcgan, "DCGAN"), (srgan, "SRGAN"), (deblur, "Deblurrer")):
        names = list(inspect.signature(getattr(module, name)).parameters)
        assert names[:2] == ["generator", "discriminator"]


class Reached(Exception):
    pass


REACH = {
    "cyclegan": "--identity-weight 0.25 --blocks 2 --filters 5 --pool 7",
    "dualgan": "--clip 0.5 --critic-steps 3 --depth 4 --filters 5",
    "pix2pix": "--lambda 30 --adversarial-weight 3 --filters 5 --patch 16",
    "deblur": "--adversarial-weight 3 --blur motion --sigma 1.5 2 --length 7 9 --filters 5",
    "srgan": "--scale 2 --blocks 3 --filters 5 --pretrain-epochs 1 --vgg random",
    "dcgan": "--label-smoothing 0.25 --generator-steps 3 --latent-dim 7 --filters 5",
}
ATTRIBUTES = {
    "cyclegan": {"identity_weight": 0.25, "pool_size": 7, "learning_rate": 0.125},
    "dualgan": {"clip": 0.5, "critic_steps": 3, "stride": 16},
    "pix2pix": {"l1_weight": 30, "adversarial_weight": 3, "learning_rate": 0.125},
    "deblur": {"adversarial_weight": 3, "blur": "motion", "sigma": [1.5, 2]},
    "srgan": {"scale": 2, "share": 0.2, "learning_rate": 0.125},
    "dcgan": {"label_smoothing": 0.25, "generator_steps": 3},
}


@pytest.mark.parametrize("name", REACH)
def test_options_reach_the_model(name, command, monkeypatch):
    from zoo.common import run

    def reached(options, gan, *_):
        raise Reached(gan)

    monkeypatch.setattr(run, "Run", reached)
    module = importlib.import_module(f"zoo.{name}")
    with pytest.raises(Reached) as found:
        command(module, "--learning-rate", 0.125, "--seed", 9, *REACH[name].split())
    gan = found.value.args[0]
    assert gan.seed == 9
    for attribute, value in ATTRIBUTES[name].items():
        assert getattr(gan, attribute) == value, attribute
    width = gan.discriminator if hasattr(gan, "discriminator") else gan.discriminator_a
    convolutions = [x for x in width.layers if isinstance(x, layers.Conv2D)]
    assert convolutions[0].filters == 5


@pytest.mark.usefixtures("eager")
def test_clipping_leaves_no_weight_beyond():
    gan = GANS["dualgan"]()
    gan.train_step(batch("dualgan"))
    for network in (gan.discriminator_a, gan.discriminator_b):
        assert max(np.abs(v).max() for v in values(network)) <= np.float32(gan.clip)
    assert max(np.abs(v).max() for v in values(gan.generator_ab)) > gan.clip
