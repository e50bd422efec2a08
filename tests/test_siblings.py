"""What the models have in common.

Options, samples, learning rates and layers arrive where they should.
"""

import inspect

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import (
    DEBLUR_TINY,
    SRGAN_TINY,
    TINY,
    noise,
)
from keras import layers
from skimage import data

from zoo import cyclegan, dcgan, deblur, dualgan, pix2pix, srgan
from zoo.common import photos, run
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
    pictures = []
    for tile in (48, 1000):
        monkeypatch.setattr(
            photos,
            "apply",
            lambda *a, tile=tile, **options: apply(*a, **options | {"tile": tile}),
        )
        assert command(module, "--apply", "photo.png", "--output", "out.png")[0] == 0
        pictures.append(iio.imread(tmp_path / "out.png").astype(int))
    assert np.abs(pictures[0] - pictures[1]).max() <= 1


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


class Reached(Exception):
    pass


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
