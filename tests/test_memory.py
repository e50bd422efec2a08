"""Training from a folder of 20,000 photos in a process of its own."""

import os

import numpy as np
import pytest
from conftest import finish
from PIL import Image

PROGRAM = """
import sys
import keras, psutil
from zoo.common import dataset
from zoo.dcgan import DCGAN, build_discriminator, build_generator

# 5,120 photos in an epoch, 12 KiB each.
images = dataset.load(sys.argv[1], size=64, batch_size=128, steps=40)
gan = DCGAN(build_generator(images.shape, 8, 2), build_discriminator(images.shape, 2))
sizes = []
note = lambda *_: sizes.append(psutil.Process().memory_info().rss >> 20)
gan.train(images, 3, callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=note)])
print("MiB", *sizes)
"""


@pytest.mark.slow
def test_twenty_thousand_photos_fit_in_memory(tmp_path):
    pytest.importorskip("psutil")
    random = np.random.default_rng(0)
    pictures = [
        Image.fromarray(random.integers(0, 256, (12, 16, 3), np.uint8)).resize(
            (200, 150)
        )
        for _ in range(50)
    ]

    for i in range(20_000):
        file = tmp_path / f"{i:05d}.jpg"
        if i < 350:
            pictures[i % 50].rotate(i % 7).save(file, quality=85)
        else:  # another file as far as the loader can tell
            os.link(tmp_path / f"{i % 350:05d}.jpg", file)
    out, _ = finish(["-c", PROGRAM, tmp_path], tmp_path)
    sizes = [int(s) for s in out.splitlines()[-1].split()[1:]]
    assert len(sizes) == 3 and max(sizes) < 1500
    assert sizes[2] - sizes[1] < 50, sizes
