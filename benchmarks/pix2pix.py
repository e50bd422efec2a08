"""Pix2pix's training step against three others over the same networks, and against the
loader. TensorFlow backend.

    python benchmarks/pix2pix.py [--sizes paper] [--precision mixed_bfloat16]

It writes benchmarks/pix2pix_default.json.
- zoo: Pix2Pix.train_step, from a batch that the loader has prepared.
- tape: two tf.functions with a GradientTape each, written by hand: G's step, then D's
  on the images that G's has generated.
- classic: the tutorials' calls: G.predict, D on real, D on fake, combined (made to
  work: D's weights are updated).
- torch: eager PyTorch; G generates its images once.
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
from zoo.pix2pix import Pix2Pix, Player, build_discriminator, build_generator

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
    def g_step(x, y):
        with tf.GradientTape() as tape:
            fake = g(x, training=True)
            logits = d([x, fake], training=True)
            l1 = tf.reduce_mean(tf.abs(y - fake))
            adversarial = bce(tf.ones_like(logits), logits)
            loss = adversarial + 100 * l1
        gradients = tape.gradient(loss, g.trainable_variables)
        g_adam.apply(gradients, g.trainable_variables)
        return fake, [loss, l1, adversarial]

    @tf.function
    def d_step(x, y, fake):
        with tf.GradientTape() as tape:
            real, fake = d([x, y], training=True), d([x, fake], training=True)
            loss = bce(tf.ones_like(real), real) + bce(tf.zeros_like(fake), fake)
            loss /= 2
        gradients = tape.gradient(loss, d.trainable_variables)
        d_adam.apply(gradients, d.trainable_variables)
        scores = [tf.reduce_mean(tf.sigmoid(logits)) for logits in (real, fake)]
        return [loss, *scores]

    def step(pair):
        fake, losses = g_step(*pair)
        return [float(x) for x in (*losses, *d_step(*pair, fake))]

    return step


def classic_step(gan, o):
    """The calls of the Keras tutorials."""
    g, d = gan.generator, gan.discriminator
    x, y = (keras.Input(shape[1:]) for shape in (g.input_shape, g.output_shape))
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    d_adam, g_adam = (keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2))
    real_or_fake = Player([x, y], {"d": d([x, y])}, [d], d_adam, loss={"d": bce},
                          loss_weights={"d": 0.5}, metrics={"d": ["accuracy"]})  # fmt: skip
    fake = g(x)
    outputs, losses = {"l1": fake, "d": d([x, fake])}, {"l1": "mae", "d": bce}
    combined = Player(x, outputs, [g], g_adam, loss=losses,
                      loss_weights={"l1": 100, "d": 1})  # fmt: skip
    shape = o.batch, *d.output_shape[1:]
    ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")

    def step(pair):
        x, y = pair
        fakes = g.predict(x, verbose=0)
        d_loss = real_or_fake.train_on_batch([x, y], {"d": ones})["loss"]
        d_loss += real_or_fake.train_on_batch([x, fakes], {"d": zeros})["loss"]
        return d_loss, combined.train_on_batch(x, {"l1": y, "d": ones})["loss"]

    return step


def torch_step(gan, o, torch):
    step = torch.pix2pix_step(
        o.size, o.filters, like=[gan.generator, gan.discriminator]
    )
    step = torch.in_precision(o.precision, step)
    return lambda pair: step(*pair)


def loader_seconds(gan, folder, o, count=64):
    """Seconds that the loader takes for a mini-batch in Lab of photos not seen before."""
    random = np.random.default_rng(0)
    for i in range(count):
        small = random.integers(0, 256, (8, 12, 3), np.uint8)
        photo = Image.fromarray(small).resize((480, 320))
        photo.save(folder / f"{i:02d}.jpg", quality=90)
    images = dataset.load(folder, o.size, 3, o.batch, "all", "zoom", flip=True)
    images.map = gan.pair
    start = time.perf_counter()
    for i in range(len(images)):
        images[i]
    return (time.perf_counter() - start) / len(images)


def main():
    o = options(__doc__, SIZES, TURNS)

    def gan():
        networks = (
            build_generator(o.size, filters=o.filters),
            build_discriminator(o.size, filters=o.filters),
        )
        return Pix2Pix("colorize", *networks)

    gans = [gan() for _ in range(3)]
    contenders = {
        "zoo": gans[0].train_step,
        "tape": tape_step(gans[1]),
        "classic": classic_step(gans[2], o),
    }
    if torch := torch_module():
        contenders["torch"] = torch_step(gans[0], o, torch)
    shape = o.batch, o.size, o.size, 3
    images = np.random.default_rng(0).uniform(-1, 1, shape).astype("float32")
    pair = gans[0].pair(images)
    contenders = {name: partial(step, pair) for name, step in contenders.items()}
    steps = {"pix2pix": take_turns(contenders, o.rounds, o.steps)}
    with tempfile.TemporaryDirectory() as folder:
        seconds = loader_seconds(gans[0], Path(folder), o)
    share = 1000 * seconds / steps["pix2pix"]["zoo"]["ms"]
    print(
        f"{'loader':>16}: {1000 * seconds:7.0f} ms a batch in Lab, {share:.2f} of a step"
    )
    write(o, steps, loader={"ms": 1000 * seconds, "of_the_step": share})


if __name__ == "__main__":
    main()
