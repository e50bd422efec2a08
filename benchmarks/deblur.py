"""The deblurrer's step against a hand-written one, and the share of it that making the blur takes. TensorFlow backend.

    python benchmarks/deblur.py    prints a table and writes benchmarks/deblur.json

64x64 pixels, the defaults of the command line. The contenders take turns in one process.
- zoo: Deblurrer.train_step.
- tape: a tf.function with two GradientTapes, written by hand, on images that are blurred the same way; G restores them
  once.
- blur: blurring one batch, and nothing else.
"""

import json
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from turns import take_turns

from zoo.deblur import Deblurrer

BATCH, SIZE, ROUNDS, STEPS = 8, 64, 15, 5
BCE = keras.losses.BinaryCrossentropy(from_logits=True)


def tape_step(gan):
    g, d = gan.generator, gan.discriminator
    g_adam, d_adam = (keras.optimizers.Adam(1e-3, beta_1=0.5) for _ in range(2))

    @tf.function
    def step(blurred, sharp):
        with tf.GradientTape() as tape:
            restored = g(blurred, training=True)
            logits = d(restored, training=True)
            pixel = tf.reduce_mean(tf.abs(restored - sharp))
            g_loss = pixel + 1e-4 * BCE(tf.ones_like(logits), logits)
        g_adam.apply(tape.gradient(g_loss, g.trainable_variables), g.trainable_variables)
        with tf.GradientTape() as tape:
            real, fake = d(sharp, training=True), d(restored, training=True)
            d_loss = BCE(tf.ones_like(real), real) + BCE(tf.zeros_like(fake), fake)
        d_adam.apply(tape.gradient(d_loss, d.trainable_variables), d.trainable_variables)
        return d_loss, g_loss, pixel, tf.reduce_mean(tf.sigmoid(real)), tf.reduce_mean(tf.sigmoid(fake))

    return lambda images: [float(x) for x in step(gan.blurred(images), images)]


def main():
    contenders = {"zoo": Deblurrer().train_step, "tape": tape_step(Deblurrer()), "blur": Deblurrer().blurred}
    images = np.random.default_rng(0).uniform(-1, 1, (BATCH, SIZE, SIZE, 3)).astype("float32")
    print(f"Deblurrer {SIZE}x{SIZE}, batch {BATCH}, {ROUNDS} rounds")
    result = {"batch": BATCH, "size": SIZE, "rounds": ROUNDS}
    result |= take_turns({name: partial(step, images) for name, step in contenders.items()}, ROUNDS, STEPS)
    print(f"making the blur is {100 * result['blur']['ms'] / result['zoo']['ms']:.1f} % of the step")
    Path(__file__).with_name("deblur.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
