"""DualGAN's training step against one written by hand over the same networks. TensorFlow backend.

    python benchmarks/dualgan.py [--filters 64]    prints a table and writes benchmarks/dualgan.json

128x128 pixels, a U-Net of seven layers, two critic steps, batch 1. The contenders take turns in one process.
- zoo: DualGAN.train_step.
- tape: a tf.function, written by hand, in the zoo's order of updates. Each G makes its images once.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from turns import take_turns

from zoo.dualgan import DualGAN

SIZE, DEPTH, CRITIC_STEPS, ROUNDS = 128, 7, 2, 10


def l1(x, y):
    return tf.reduce_mean(tf.abs(x - y))


def tape_step(gan):
    g_ab, g_ba, d_a, d_b = gan.generator_ab, gan.generator_ba, gan.discriminator_a, gan.discriminator_b
    optimizers = [keras.optimizers.RMSprop(5e-5, epsilon=1e-10) for _ in range(3)]
    variables = g_ab.trainable_variables + g_ba.trainable_variables

    @tf.function
    def step(a, b):
        made = [(g_ba(b[:-1], training=True), g_ab(a[:-1], training=True))]
        with tf.GradientTape() as tape:
            fake_a, fake_b = g_ba(b[-1:], training=True), g_ab(a[-1:], training=True)
            recovery = l1(g_ba(fake_b, training=True), a[-1:]) + l1(g_ab(fake_a, training=True), b[-1:])
            values = tf.reduce_mean(d_a(fake_a, training=True)) + tf.reduce_mean(d_b(fake_b, training=True))
            g_loss = 500 * recovery - values
        optimizers[0].apply(tape.gradient(g_loss, variables), variables)
        made.append((fake_a, fake_b))
        logs, at_limit, weights = [g_loss, recovery], 0.0, 0
        for i, (d, real) in enumerate(((d_a, a), (d_b, b))):
            gaps = []
            for k in range(CRITIC_STEPS):
                with tf.GradientTape() as tape:
                    scores = d(made[k][i], training=True), d(real[k : k + 1], training=True)
                    loss = tf.reduce_mean(scores[0]) - tf.reduce_mean(scores[1])
                optimizers[1 + i].apply(tape.gradient(loss, d.trainable_variables), d.trainable_variables)
                for v in d.trainable_variables:
                    v.assign(tf.clip_by_value(v, -gan.clip, gan.clip))
                gaps.append(-loss)
            logs.append(tf.reduce_mean(gaps))
            for v in d.trainable_variables:
                at_limit += tf.reduce_sum(tf.cast(tf.abs(v) >= gan.clip, tf.float32))
                weights += np.prod(v.shape)
        return [*logs, at_limit / weights]

    return lambda images: [float(x) for x in step(*images)]


def main():
    parser = argparse.ArgumentParser(description="DualGAN's training step against a hand-written one.")
    parser.add_argument("--filters", type=int, default=64, help="width of the networks (64)")
    filters = parser.parse_args().filters
    zoo, other = (DualGAN(SIZE, DEPTH, filters, critic_steps=CRITIC_STEPS) for _ in range(2))
    for v in other.discriminator_a.trainable_variables + other.discriminator_b.trainable_variables:
        v.constraint = None  # it clips by hand
    shape = CRITIC_STEPS, SIZE, SIZE, 3
    images = [np.random.default_rng(i).uniform(-1, 1, shape).astype("float32") for i in range(2)]
    print(f"DualGAN {SIZE}x{SIZE}, {DEPTH} layers, {filters} filters, batch 1, {ROUNDS} rounds")
    result = {"batch": 1, "size": SIZE, "depth": DEPTH, "filters": filters, "rounds": ROUNDS}
    result |= take_turns({"zoo": partial(zoo.train_step, images), "tape": partial(tape_step(other), images)}, ROUNDS)
    Path(__file__).with_name("dualgan.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
