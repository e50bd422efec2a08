"""DCGAN's training step against two others over the same networks, and against the loader. TensorFlow backend.

    python benchmarks/dcgan.py [--size 28]    prints a table and writes benchmarks/dcgan_28.json

The contenders take turns in one process, a few steps each, so that a busy machine slows all of them.
- zoo: DCGAN.train_step (with one update of G, as the others).
- tape: a tf.function with two GradientTapes, written by hand.
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
from zoo.dcgan import DCGAN, Player

BATCH, ROUNDS, STEPS = 128, 25, 3


def tape_step(gan):
    """The step of the TensorFlow tutorials, with the zoo's order of updates and losses."""
    g, d = gan.generator, gan.discriminator
    g_adam, d_adam = (keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step(images):
        z = tf.random.uniform((BATCH, 100), -1, 1)
        with tf.GradientTape() as tape:
            real, fake = d(images, training=True), d(g(z, training=True), training=True)
            d_loss = loss(0.9 * tf.ones_like(real), real) + loss(tf.zeros_like(fake), fake)
        d_adam.apply(tape.gradient(d_loss, d.trainable_variables), d.trainable_variables)
        z = tf.random.uniform((BATCH, 100), -1, 1)
        with tf.GradientTape() as tape:
            logits = d(g(z, training=True), training=True)
            g_loss = loss(tf.ones_like(logits), logits)
        g_adam.apply(tape.gradient(g_loss, g.trainable_variables), g.trainable_variables)
        return d_loss, g_loss, tf.reduce_mean(tf.sigmoid(real)), tf.reduce_mean(tf.sigmoid(fake))

    return lambda images: [float(x) for x in step(images)]


def classic_step(gan, size):
    """The calls of the Keras tutorials."""
    image, z = keras.Input((size, size, 1)), keras.Input((100,))
    d = Player(image, gan.discriminator(image), [gan.discriminator])
    combined = Player(z, gan.discriminator(gan.generator(z)), [gan.generator])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    d.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), loss, metrics=["accuracy"])
    combined.compile(keras.optimizers.Adam(2e-4, beta_1=0.5), loss)
    ones, zeros = np.ones((BATCH, 1), "float32"), np.zeros((BATCH, 1), "float32")

    def step(images):
        fakes = gan.generator.predict(np.random.uniform(-1, 1, (BATCH, 100)), verbose=0)
        d_loss = np.add(d.train_on_batch(images, 0.9 * ones), d.train_on_batch(fakes, zeros)) / 2
        return d_loss, combined.train_on_batch(np.random.uniform(-1, 1, (BATCH, 100)), ones)

    return step


def loader_speeds(folder, size):
    """Images a second, none of them seen before: {source: speed}."""
    random = np.random.default_rng(0)
    np.save(folder / "array.npy", random.integers(0, 256, (30_000, 28, 28), np.uint8))
    (folder / "jpegs").mkdir()
    for i in range(2_000):  # the size of CelebA's
        picture = Image.fromarray(random.integers(0, 256, (14, 11, 3), np.uint8)).resize((178, 218))
        picture.save(folder / "jpegs" / f"{i:04d}.jpg", quality=90)
    speeds = {}
    for name, source in (("array", folder / "array.npy"), ("folder of JPEGs", folder / "jpegs")):
        images = dataset.load(source, size, batch_size=BATCH)
        start = time.perf_counter()
        for i in range(len(images)):
            images[i]
        speeds[name] = len(images) * BATCH / (time.perf_counter() - start)
    return speeds


def main():
    parser = argparse.ArgumentParser(description="DCGAN's training step against others, and against the loader.")
    parser.add_argument("--size", type=int, default=32, help="pixels (32)")
    size = parser.parse_args().size
    shape = (size, size, 1)
    contenders = {
        "zoo": DCGAN(shape, filters=64, generator_steps=1).train_step,
        "tape": tape_step(DCGAN(shape, filters=64)),
        "classic": classic_step(DCGAN(shape, filters=64), size),
    }
    images = np.random.default_rng(0).uniform(-1, 1, (BATCH, *shape)).astype("float32")
    print(f"DCGAN {size}x{size}x1, 64 filters, batch {BATCH}, {ROUNDS} rounds")
    result = {"batch": BATCH, "size": size, "rounds": ROUNDS}
    result |= take_turns({name: partial(step, images) for name, step in contenders.items()}, ROUNDS, STEPS)
    with tempfile.TemporaryDirectory() as folder:
        step_speed = 1000 * BATCH / result["zoo"]["ms"]
        for name, speed in loader_speeds(Path(folder), size).items():
            result[name] = {"images_per_second": speed, "of_the_step": speed / step_speed}
            print(f"{name:>16}: {speed:6.0f} images/s loaded, {speed / step_speed:.1f} times what the step takes")
    Path(__file__).with_name(f"dcgan_{size}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
