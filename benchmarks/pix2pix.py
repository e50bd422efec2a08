"""Pix2pix's training step against two others over the same networks, and against the loader. TensorFlow backend.

    python benchmarks/pix2pix.py [--size 128 --rounds 10]    prints a table and writes benchmarks/pix2pix_128.json

The contenders take turns in one process, a few steps each, so that a busy machine slows all of them.
- zoo: Pix2Pix.train_step, from a batch that the loader has prepared.
- tape: a tf.function with two GradientTapes, written by hand; G makes its images once.
- classic: the tutorials' calls: G.predict, D on real, D on fake, combined (made to work: D's weights do move).
"""

import argparse
import json
import tempfile
import time
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from turns import take_turns

from zoo import dataset
from zoo.pix2pix import Pix2Pix, Player

BATCH, STEPS = 1, 2


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
            l1 = tf.reduce_mean(tf.abs(target - made))
            g_loss = bce(tf.ones_like(logits), logits) + 100 * l1
        g_adam.apply(tape.gradient(g_loss, g.trainable_variables), g.trainable_variables)
        with tf.GradientTape() as tape:
            real, fake = d([x, target], training=True), d([x, made], training=True)
            d_loss = (bce(tf.ones_like(real), real) + bce(tf.zeros_like(fake), fake)) / 2
        d_adam.apply(tape.gradient(d_loss, d.trainable_variables), d.trainable_variables)
        return g_loss, l1, d_loss, tf.reduce_mean(tf.sigmoid(real)), tf.reduce_mean(tf.sigmoid(fake))

    return lambda pair: [float(loss) for loss in step(*pair)]


def classic_step(gan):
    """The calls of the Keras tutorials."""
    x, y = (keras.Input(shape[1:]) for shape in (gan.generator.input_shape, gan.generator.output_shape))
    d = Player([x, y], gan.discriminator([x, y]), [gan.discriminator])
    made = gan.generator(x)
    combined = Player(x, [gan.discriminator([x, made]), made], [gan.generator])
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    d.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), bce, loss_weights=0.5, metrics=["accuracy"])
    combined.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), [bce, "mae"], loss_weights=[1, 100])
    shape = BATCH, *gan.discriminator.output_shape[1:]
    ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")

    def step(pair):
        x, target = pair
        fakes = gan.generator.predict(x, verbose=0)
        d_loss = np.add(d.train_on_batch([x, target], ones), d.train_on_batch([x, fakes], zeros)) / 2
        return d_loss, combined.train_on_batch(x, [ones, target])

    return step


def loader_seconds(gan, folder, size, count=64):
    """A batch's time in the loader, photos decoded, cut and brought into Lab, none of them seen before."""
    random = np.random.default_rng(0)
    for i in range(count):
        picture = Image.fromarray(random.integers(0, 256, (8, 12, 3), np.uint8)).resize((480, 320))
        picture.save(folder / f"{i:02d}.jpg", quality=90)
    images = dataset.load(folder, size, 3, BATCH, split="all", flip=True, jitter=286 / 256)
    images.map = gan.pair
    start = time.perf_counter()
    for i in range(count):
        images[i]
    return (time.perf_counter() - start) / count


def main():
    parser = argparse.ArgumentParser(description="Pix2pix's training step against others, and against the loader.")
    parser.add_argument("--size", type=int, default=256, help="pixels (256)")
    parser.add_argument("--filters", type=int, default=64, help="width of the networks (64)")
    parser.add_argument("--rounds", type=int, default=15, help="(15)")
    o = parser.parse_args()
    gans = [Pix2Pix(size=o.size, filters=o.filters) for _ in range(3)]
    contenders = {"zoo": gans[0].train_step, "tape": tape_step(gans[1]), "classic": classic_step(gans[2])}
    pair = gans[0].pair(np.random.default_rng(0).uniform(-1, 1, (BATCH, o.size, o.size, 3)).astype("float32"))
    print(f"pix2pix, colorize, {o.size}x{o.size}, {o.filters} filters, batch {BATCH}, {o.rounds} rounds")
    result = {"batch": BATCH, "size": o.size, "filters": o.filters, "rounds": o.rounds}
    result |= take_turns({name: partial(step, pair) for name, step in contenders.items()}, o.rounds, STEPS)
    with tempfile.TemporaryDirectory() as folder:
        seconds, step = loader_seconds(gans[0], Path(folder), o.size), result["zoo"]["ms"] / 1000
        result["loader"] = {"ms": 1000 * seconds, "of_the_step": seconds / step}
        print(f"{'loader':>16}: {1000 * seconds:6.0f} ms a batch in Lab, {seconds / step:.2f} of a step")
    Path(__file__).with_name(f"pix2pix_{o.size}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
