"""Pix2pix's training step against three others over the same networks, and against the
loader. TensorFlow backend.

    python benchmarks/pix2pix.py [--sizes paper] [--precision mixed_bfloat16]    writes
    benchmarks/pix2pix_default.json

- zoo: Pix2Pix.train_step, from a batch that the loader has prepared.
- tape: a tf.function with two GradientTapes, written by hand; G makes its images once.
- classic: the tutorials' calls: G.predict, D on real, D on fake, combined (made to
work: D's weights do move). - torch: eager PyTorch; G makes its images once.
"""

import tempfile
import time
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from turns import options, take_turns, torch_module, write

from zoo.common import dataset
from zoo.pix2pix import Pix2Pix, Player

SIZES = {
    "default": {"size": 128, "filters": 32, "batch": 4},
    "paper": {"size": 256, "filters": 64, "batch": 1},
    "tiny": {"size": 32, "filters": 4, "batch": 1},
}
TURNS = {"paper": (20, 1), None: (12, 2)}  # rounds, and steps in a turn


def tape_step(gan):
    """The step of the TensorFlow tutorial, with the zoo's order of updates and losses."""
    g, d = gan.generator, gan.discriminator
    g_adam, d_adam = (keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2))
    bce = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step(x, target):
        with tf.GradientTape() as tape:
            made = g(x, training=True)
            logits = d([x, made], training=True)
            l1, adversarial = (
                tf.reduce_mean(tf.abs(target - made)),
                bce(tf.ones_like(logits), logits),
            )
            g_loss = adversarial + 100 * l1
        g_adam.apply(
            tape.gradient(g_loss, g.trainable_variables), g.trainable_variables
        )
        with tf.GradientTape() as tape:
            real, fake = d([x, target], training=True), d([x, made], training=True)
            d_loss = (
                bce(tf.ones_like(real), real) + bce(tf.zeros_like(fake), fake)
            ) / 2
        d_adam.apply(
            tape.gradient(d_loss, d.trainable_variables), d.trainable_variables
        )
        return (
            g_loss,
            l1,
            adversarial,
            d_loss,
            tf.reduce_mean(tf.sigmoid(real)),
            tf.reduce_mean(tf.sigmoid(fake)),
        )

    return lambda pair: [float(loss) for loss in step(*pair)]


def classic_step(gan, o):
    """The calls of the Keras tutorials."""
    x, y = (
        keras.Input(shape[1:])
        for shape in (gan.generator.input_shape, gan.generator.output_shape)
    )
    d = Player([x, y], gan.discriminator([x, y]), [gan.discriminator])
    made = gan.generator(x)
    combined = Player(x, [gan.discriminator([x, made]), made], [gan.generator])
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    d.compile(
        keras.optimizers.Adam(2e-4, beta_1=0.5),
        bce,
        loss_weights=0.5,
        metrics=["accuracy"],
    )
    combined.compile(
        keras.optimizers.Adam(2e-4, beta_1=0.5), [bce, "mae"], loss_weights=[1, 100]
    )
    shape = o.batch, *gan.discriminator.output_shape[1:]
    ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")

    def step(pair):
        x, target = pair
        fakes = gan.generator.predict(x, verbose=0)
        d_loss = (
            np.add(
                d.train_on_batch([x, target], ones), d.train_on_batch([x, fakes], zeros)
            )
            / 2
        )
        return d_loss, combined.train_on_batch(x, [ones, target])

    return step


def torch_step(gan, o, torch):
    step = torch.pix2pix_step(
        o.size, o.filters, like=[gan.generator, gan.discriminator]
    )
    step = torch.in_precision(o.precision, step)
    return lambda pair: step(*pair)


def loader_seconds(gan, folder, o, count=64):
    """A batch's time in the loader, photos decoded, cut and brought into Lab, none of
    them seen before.
    """
    random = np.random.default_rng(0)
    for i in range(count):
        picture = Image.fromarray(random.integers(0, 256, (8, 12, 3), np.uint8)).resize(
            (480, 320)
        )
        picture.save(folder / f"{i:02d}.jpg", quality=90)
    images = dataset.load(folder, o.size, 3, o.batch, "all", "zoom", flip=True)
    images.map = gan.pair
    start = time.perf_counter()
    for i in range(len(images)):
        images[i]
    return (time.perf_counter() - start) / len(images)


def main():
    o = options(__doc__, SIZES, TURNS)
    gans = [Pix2Pix(size=o.size, filters=o.filters) for _ in range(3)]
    contenders = {
        "zoo": gans[0].train_step,
        "tape": tape_step(gans[1]),
        "classic": classic_step(gans[2], o),
    }
    if torch := torch_module():
        contenders["torch"] = torch_step(gans[0], o, torch)
    pair = gans[0].pair(
        np.random.default_rng(0)
        .uniform(-1, 1, (o.batch, o.size, o.size, 3))
        .astype("float32")
    )
    steps = {
        "pix2pix": take_turns(
            {name: partial(step, pair) for name, step in contenders.items()},
            o.rounds,
            o.steps,
        )
    }
    with tempfile.TemporaryDirectory() as folder:
        seconds, step = (
            loader_seconds(gans[0], Path(folder), o),
            steps["pix2pix"]["zoo"]["ms"] / 1000,
        )
    print(
        f"{'loader':>16}: {1000 * seconds:7.0f} ms a batch in Lab, "
        f"{seconds / step:.2f} of a step"
    )
    write(o, steps, loader={"ms": 1000 * seconds, "of_the_step": seconds / step})


if __name__ == "__main__":
    main()
