"""CycleGAN's training step against one written by hand over the same networks. TensorFlow backend.

    python benchmarks/cyclegan.py [--filters 64]    prints a table and writes benchmarks/cyclegan.json

128x128 pixels, batch 1, 6 blocks, as in the paper. The contenders take turns in one process.
- zoo: CycleGAN.train_step, with full pools.
- tape: a tf.function with three GradientTapes, written by hand, that shows D the newest images alone. Each G makes its
  images once.
"""

import argparse
import json
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from turns import take_turns

from zoo.cyclegan import CycleGAN

SIZE, BLOCKS, ROUNDS = 128, 6, 10


def squares(scores, target):
    return tf.reduce_mean(tf.square(scores - target))


def l1(x, y):
    return tf.reduce_mean(tf.abs(x - y))


def tape_step(gan):
    g_ab, g_ba, d_a, d_b = gan.generator_ab, gan.generator_ba, gan.discriminator_a, gan.discriminator_b
    adams = [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(3)]
    variables = g_ab.trainable_variables + g_ba.trainable_variables

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            fake_a, fake_b = g_ba(b, training=True), g_ab(a, training=True)
            adversarial = squares(d_a(fake_a, training=True), 1) + squares(d_b(fake_b, training=True), 1)
            cycle = l1(g_ba(fake_b, training=True), a) + l1(g_ab(fake_a, training=True), b)
            identity = l1(g_ba(a, training=True), a) + l1(g_ab(b, training=True), b)
            g_loss = adversarial + 10 * cycle + 5 * identity
        adams[0].apply(tape.gradient(g_loss, variables), variables)
        logs = [g_loss, adversarial, cycle, identity]
        for d, real_images, fakes, adam in ((d_a, a, fake_a, adams[1]), (d_b, b, fake_b, adams[2])):
            with tf.GradientTape() as tape:
                real, fake = d(real_images, training=True), d(fakes, training=True)
                d_loss = (squares(real, 1) + squares(fake, 0)) / 2
            adam.apply(tape.gradient(d_loss, d.trainable_variables), d.trainable_variables)
            logs += [d_loss, tf.reduce_mean(real), tf.reduce_mean(fake)]
        return logs

    return lambda images: [float(x) for x in step(*images)]


def main():
    parser = argparse.ArgumentParser(description="CycleGAN's training step against a hand-written one.")
    parser.add_argument("--filters", type=int, default=64, help="width of the networks (64)")
    filters = parser.parse_args().filters
    zoo, other = (CycleGAN(SIZE, BLOCKS, filters) for _ in range(2))
    images = [np.random.default_rng(i).uniform(-1, 1, (1, SIZE, SIZE, 3)).astype("float32") for i in range(2)]
    zoo.pools = {domain: [image[0]] * zoo.pool_size for domain, image in zip("ab", images, strict=True)}
    print(f"CycleGAN {SIZE}x{SIZE}, {BLOCKS} blocks, {filters} filters, batch 1, {ROUNDS} rounds")
    result = {"batch": 1, "size": SIZE, "blocks": BLOCKS, "filters": filters, "rounds": ROUNDS}
    result |= take_turns({"zoo": partial(zoo.train_step, images), "tape": partial(tape_step(other), images)}, ROUNDS)
    Path(__file__).with_name("cyclegan.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
