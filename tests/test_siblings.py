"""What the models have in common.

Options, samples, learning rates and layers arrive where they should.
"""

import inspect

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import (
    CYCLEGAN_TINY,
    DEBLUR_TINY,
    DUALGAN_TINY,
    PIX2PIX_TINY,
    SRGAN_TINY,
    TINY,
    noise,
)
from keras import layers, ops
from skimage import data

from zoo import cyclegan, dcgan, deblur, dualgan, pix2pix, srgan
from zoo.common import photos, pictures, run
from zoo.cyclegan import CycleGAN
from zoo.dcgan import DCGAN
from zoo.deblur import Deblurrer
from zoo.dualgan import DualGAN
from zoo.pix2pix import Pix2Pix
from zoo.srgan import SRGAN

NETWORKS = [
    lambda: [srgan.build_generator(filters=2), srgan.build_discriminator(filters=2)],
    lambda: [deblur.build_generator(2), deblur.build_discriminator(filters=2)],
    lambda: [dcgan.build_generator(filters=2), dcgan.build_discriminator(filters=2)],
    lambda: [
        pix2pix.build_generator(filters=2),
        pix2pix.build_discriminator(filters=2),
    ],
    lambda: [
        cyclegan.build_generator(filters=2),
        cyclegan.build_discriminator(filters=2),
    ],
    lambda: [
        dualgan.build_generator(filters=2),
        dualgan.build_discriminator(filters=2),
    ],
]


@pytest.mark.parametrize(
    "module", [deblur, pytest.param(srgan, marks=pytest.mark.slow)]
)
def test_tiles_do_not_show(module, command, monkeypatch, tmp_path):
    """The halo is as wide as the generator's reach.

    In tiles or whole is the same within one grey level.
    """
    apply = photos.apply
    iio.imwrite(tmp_path / "photo.png", data.chelsea()[100:196, 100:220])
    results = []
    for tile in (48, 1000):
        monkeypatch.setattr(
            photos,
            "apply",
            lambda *a, tile=tile, **options: apply(*a, **options | {"tile": tile}),
        )
        assert command(module, "--apply", "photo.png", "--output", "out.png")[0] == 0
        results.append(iio.imread(tmp_path / "out.png").astype(int))
    assert np.abs(results[0] - results[1]).max() <= 1


@pytest.mark.parametrize(
    "module, model, options",
    [(srgan, SRGAN, SRGAN_TINY), (deblur, Deblurrer, DEBLUR_TINY)],
)
def test_crops_are_mirrored(module, model, options, command, monkeypatch, tmp_path):
    slopes = []

    def look(gan, images):
        slopes.extend(np.sign(images[:, 0, -1, 0] - images[:, 0, 0, 0]))
        return {"loss": 0.0}

    monkeypatch.setattr(model, "train_step", look)
    (tmp_path / "set").mkdir()
    for i in range(8):
        iio.imwrite(
            tmp_path / f"set/{i}.png",
            np.broadcast_to(np.arange(80, dtype=np.uint8)[None, :, None], (80, 80, 3)),
        )
    assert (
        command(
            module, "--epochs", 1, *options, "--steps-per-epoch", 8, "--data", "set"
        )[0]
        == 0
    )
    assert set(slopes) == {-1, 1}


@pytest.mark.parametrize("build", NETWORKS)
def test_numbers_that_no_count_of_parameters_shows(build):
    flat = [layer for network in build() for layer in network.layers]
    assert {
        layer.negative_slope for layer in flat if type(layer) is layers.LeakyReLU
    } == {0.2}
    assert {
        layer.momentum for layer in flat if type(layer) is layers.BatchNormalization
    } <= {0.9}


@pytest.mark.parametrize("module", [pix2pix, dualgan])
def test_the_first_three_layers_of_the_decoder_have_dropout(module):
    drops = [
        layer
        for layer in module.build_generator(filters=2, dropout=0.4).layers
        if type(layer) is layers.Dropout
    ]
    assert [layer.rate for layer in drops] == [0.4] * 3 and [
        layer.output.shape[-1] for layer in drops
    ] == [16] * 3


@pytest.mark.parametrize(
    "module, model, more",
    [
        (pix2pix, Pix2Pix, {"seed": 3}),
        (cyclegan, CycleGAN, {"direction": "BtoA"}),
        (dualgan, DualGAN, {"direction": "BtoA", "seed": 3}),
    ],
)
def test_apply_does_as_it_is_told(module, model, more, command, monkeypatch, tmp_path):
    seen, translate = [], inspect.signature(model.translate)

    def look(gan, images, *args, **kwargs):
        seen.append(translate.bind(gan, images, *args, **kwargs).arguments)
        return images

    monkeypatch.setattr(model, "translate", look)
    monkeypatch.setattr(run, "load_trained", lambda *_: None)
    iio.imwrite(tmp_path / "photo.png", noise(32, 32, 3))
    (tmp_path / "run").mkdir()
    (tmp_path / "run/options.json").write_text('{"filters": 2}')
    args = [word for name, value in more.items() for word in (f"--{name}", value)]
    assert command(module, "--apply", "photo.png", "--run", "run", *args)[0] == 0
    assert more.items() <= seen[0].items()


@pytest.mark.parametrize(
    "module, model, options, last",
    [
        # A cosine over all 6 steps.
        (deblur, Deblurrer, DEBLUR_TINY, (1 + np.cos(np.pi * 5 / 6)) / 2),
        # Over the last 3.
        (pix2pix, Pix2Pix, PIX2PIX_TINY, (1 + np.cos(np.pi * 2 / 3)) / 2),
        (cyclegan, CycleGAN, CYCLEGAN_TINY, 1 / 3),  # a line over the last 3
    ],
)
@pytest.mark.usefixtures("eager")
def test_the_learning_rate_reaches_0_after_the_last_step(
    module, model, options, last, command, monkeypatch
):
    rates, train_step = [], model.train_step

    def look(gan, images):
        logs = train_step(gan, images)
        players = [getattr(gan, name) for name in gan.players]
        now = [ops.convert_to_numpy(p.optimizer.learning_rate) for p in players]
        rates.append([float(rate) for rate in now])
        return logs

    monkeypatch.setattr(model, "train_step", look)
    assert command(module, "--epochs", 2, *options)[0] == 0
    assert len(rates) == 6
    for player in zip(*rates, strict=True):
        assert player[-1] / player[0] == pytest.approx(last, rel=1e-3)


def tiny_networks(module):
    """Two generators and two discriminators of CycleGAN or DualGAN."""
    first = 1 if module is cyclegan else 3  # blocks, depth
    return [module.build_generator(first, 2, name=f"generator_{n}") for n in "ab"] + [
        module.build_discriminator(32, 2, f"discriminator_{n}") for n in "ab"
    ]


@pytest.mark.parametrize("module, model", [(cyclegan, CycleGAN), (dualgan, DualGAN)])
def test_arrays_come_in_different_orders(module, model, monkeypatch):
    seen = []
    monkeypatch.setattr(
        model, "train_step", lambda gan, images: seen.append(images) or {"loss": 0.0}
    )
    images = np.broadcast_to(
        np.arange(8, dtype=np.uint8)[:, None, None, None], (8, 32, 32, 3)
    )
    model(*tiny_networks(module)).train((images, images), 1)
    assert any(not np.array_equal(a, b) for a, b in seen)


class Reached(Exception):
    pass


@pytest.mark.parametrize(
    "module, model, options, expected, built",
    [
        (
            cyclegan,
            CycleGAN,
            "--cycle-weight 3 --identity-weight 0.25 --blocks 2 --filters 5 --pool 7",
            {"cycle_weight": 3, "identity_weight": 0.25, "pool_size": 7},
            {
                "generator_ab": lambda: cyclegan.build_generator(2, 5),
                "generator_ba": lambda: cyclegan.build_generator(2, 5),
                "discriminator_a": lambda: cyclegan.build_discriminator(32, 5),
                "discriminator_b": lambda: cyclegan.build_discriminator(32, 5),
            },
        ),
        (
            dualgan,
            DualGAN,
            "--recovery-weights 30 40 --clip 0.5 --critic-steps 3 --depth 4 --filters "
            "5 --dropout 0.25",
            {"recovery_weights": [30, 40], "clip": 0.5, "critic_steps": 3},
            {
                "generator_ab": lambda: dualgan.build_generator(4, 5, 0.25),
                "generator_ba": lambda: dualgan.build_generator(4, 5, 0.25),
                "discriminator_a": lambda: dualgan.build_discriminator(32, 5),
                "discriminator_b": lambda: dualgan.build_discriminator(32, 5),
            },
        ),
        (
            pix2pix,
            Pix2Pix,
            "--task sketch --lambda 30 --adversarial-weight 3 --dropout 0.25 --filters "
            "5 --patch 16 --norm batch --no-skips --size 64",
            {"task": "sketch", "l1_weight": 30, "adversarial_weight": 3},
            {
                "generator": lambda: pix2pix.build_generator(
                    64, *pix2pix.CHANNELS["sketch"], 5, 0.25, "batch", False
                ),
                "discriminator": lambda: pix2pix.build_discriminator(
                    64, *pix2pix.CHANNELS["sketch"], 16, 5, "batch"
                ),
            },
        ),
        (
            deblur,
            Deblurrer,
            "--adversarial-weight 3 --blur motion --sigma 1.5 2 --length 7 9 --loss l2 "
            "--jpeg 70 80 --noise 1 2 --filters 5 --no-skips",
            {
                "adversarial_weight": 3,
                "blur": "motion",
                "sigma": [1.5, 2],
                "length": [7, 9],
                "jpeg": [70, 80],
                "noise": [1, 2],
                "loss": "l2",
            },
            {
                "generator": lambda: deblur.build_generator(5, False),
                "discriminator": lambda: deblur.build_discriminator(64, 5),
            },
        ),
        (
            srgan,
            SRGAN,
            "--adversarial-weight 3 --scale 2 --blocks 3 --filters 5 --no-image-skip "
            "--size 32 --vgg random",
            {"adversarial_weight": 3, "size": 32},
            {
                "generator": lambda: srgan.build_generator(2, 3, 5, False),
                "discriminator": lambda: srgan.build_discriminator(32, 5),
            },
        ),
        (
            dcgan,
            DCGAN,
            "--latent-dim 7 --filters 5 --label-smoothing 0.25 --generator-steps 3",
            {"label_smoothing": 0.25, "generator_steps": 3},
            {
                "generator": lambda: dcgan.build_generator((32, 32, 3), 7, 5),
                "discriminator": lambda: dcgan.build_discriminator((32, 32, 3), 5),
            },
        ),
    ],
)
def test_options_reach_the_model(
    module, model, options, expected, built, command, monkeypatch
):
    signature = inspect.signature(model.__init__)

    def init(gan, *args, **kwargs):
        raise Reached(signature.bind(gan, *args, **kwargs).arguments)

    monkeypatch.setattr(model, "__init__", init)
    common = ["--epochs", 1, "--seed", 9, "--learning-rate", 0.125]
    with pytest.raises(Reached) as reached:
        command(module, *common, *options.split())
    arguments = reached.value.args[0]
    for name, value in {**expected, "seed": 9, "learning_rate": 0.125}.items():
        assert arguments[name] == value, name

    def numbers(network):
        kept = ("filters", "rate", "strides", "units", "groups")
        return [
            (type(x).__name__, x.output.shape)
            + tuple(getattr(x, name, None) for name in kept)
            for x in network.layers
        ]

    for name, build in built.items():
        assert numbers(arguments[name]) == numbers(build()), name


@pytest.mark.parametrize(
    "module, model, options",
    [(cyclegan, CycleGAN, CYCLEGAN_TINY), (dualgan, DualGAN, DUALGAN_TINY)],
)
def test_samples_go_there_and_back(module, model, options, command, monkeypatch):
    shown, sheet = [], pictures.sheet

    def look(sample, *args):
        shown.append(sample)
        return sheet(sample, *args)

    def translate(gan, images, direction="AtoB", **_):
        return images ^ np.uint8({"AtoB": 1, "BtoA": 2}[direction])

    monkeypatch.setattr(model, "train_step", lambda *_: {"loss": 0.0})
    monkeypatch.setattr(model, "translate", translate)
    monkeypatch.setattr(pictures, "sheet", look)
    assert command(module, "--epochs", 1, *options)[0] == 0
    assert len(shown) == 2  # before the first epoch and after it
    a, b = shown[-1]["A"], shown[-1]["B"]
    assert not np.array_equal(a, b)
    expected = {"A": a, "generated B": a ^ 1, "reconstructed A": a ^ 3}
    expected |= {"B": b, "generated A": b ^ 2, "reconstructed B": b ^ 3}
    assert list(shown[-1]) == list(expected)
    for caption, images in expected.items():
        np.testing.assert_array_equal(shown[-1][caption], images)


def test_small_sets_are_mirrored_and_shifted(command, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(
        DCGAN,
        "train",
        lambda gan, images, *_, **__: seen.append((images.flip, images.jitter)),
    )
    np.save(tmp_path / "many.npy", np.zeros((1200, 28, 28), np.uint8))
    for i, more in enumerate(
        (
            [],
            ["--no-augment"],
            ["--data", "many.npy"],
            ["--data", "many.npy", "--augment"],
        )
    ):
        assert command(dcgan, "--epochs", 1, *TINY, *more, "--run", f"run{i}")[0] == 0
    assert [flip for flip, _ in seen] == [True, False, False, True]
    assert [jitter > 1 for _, jitter in seen] == [True, False, False, True]


@pytest.mark.parametrize(
    "verb",
    [
        lambda images: SRGAN(
            srgan.build_generator(2, 1, 2), srgan.build_discriminator(32, 2), size=32
        ).upscale(images),
        lambda images: Deblurrer(
            deblur.build_generator(2), deblur.build_discriminator(32, 2), size=32
        ).restore(images),
        lambda images: Pix2Pix(
            "colorize",
            pix2pix.build_generator(32, filters=2),
            pix2pix.build_discriminator(32, filters=2),
        ).translate(images),
        lambda images: CycleGAN(*tiny_networks(cyclegan)).translate(images),
        lambda images: DualGAN(*tiny_networks(dualgan)).translate(images),
        lambda images: DCGAN(
            dcgan.build_generator((32, 32, 3), 4, 2),
            dcgan.build_discriminator((32, 32, 3), 2),
        ).train(images, 1, batch_size=1),
    ],
)
@pytest.mark.usefixtures("eager")
def test_images_are_uint8(verb):
    """Floats from 0 to 1 would come out as black images, or as other ones than are
    meant.
    """
    image = noise(32, 32, 3)
    for images in (image[None] / 255, image):
        with pytest.raises(ValueError, match=r"not uint8 \('count', "):
            verb(images)
    verb([image])
