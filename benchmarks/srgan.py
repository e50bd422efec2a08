"""SRGAN's two steps against others over the same networks. TensorFlow backend.

    python benchmarks/srgan.py [--precision mixed_bfloat16]    prints a table and writes benchmarks/srgan_float32.json

24 to 96 pixels, batch 16, the paper's networks, VGG19 to block5_conv4 with random weights. The contenders take turns in
one process.
- zoo: SRGAN.train_step, making the low-resolution images included.
- tape: a tf.function with two GradientTapes, written by hand; G makes its images once.
- classic: the tutorials' calls: G.predict, D on real, D on fake, VGG.predict, combined (made to work: D learns).
"""

import argparse
import json
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from turns import take_turns

from zoo.srgan import SRGAN, Player, build_vgg, downscale, to_uint8

BATCH, SIZE, ROUNDS = 16, 96, 5
BCE = keras.losses.BinaryCrossentropy(from_logits=True)


def shrink(images):
    return downscale(to_uint8(images), 4).astype("float32") / 255


def tape_step(gan, vgg):
    g, d = gan.generator, gan.discriminator
    g_adam, d_adam = (keras.optimizers.Adam(1e-4) for _ in range(2))

    @tf.function
    def step(low, high):
        features = vgg(high)
        with tf.GradientTape() as tape:
            made = g(low, training=True)
            logits = d(made, training=True)
            content = tf.reduce_mean(tf.square(vgg(made) - features))
            adversarial = BCE(tf.ones_like(logits), logits)
            g_loss = content + 1e-3 * adversarial
        g_adam.apply(tape.gradient(g_loss, g.trainable_variables), g.trainable_variables)
        with tf.GradientTape() as tape:
            real, fake = d(high, training=True), d(made, training=True)
            d_loss = BCE(tf.ones_like(real), real) + BCE(tf.zeros_like(fake), fake)
        d_adam.apply(tape.gradient(d_loss, d.trainable_variables), d.trainable_variables)
        return d_loss, g_loss, content, adversarial, tf.reduce_mean(tf.sigmoid(real)), tf.reduce_mean(tf.sigmoid(fake))

    return lambda images: [float(x) for x in step(shrink(images), images)]


def classic_step(gan, vgg):
    low, image = keras.Input((SIZE // 4, SIZE // 4, 3)), keras.Input((SIZE, SIZE, 3))
    made = gan.generator(low)
    d = Player(image, gan.discriminator(image), [gan.discriminator])
    combined = Player(low, [vgg(made), gan.discriminator(made)], [gan.generator])
    d.compile(keras.optimizers.Adam(1e-4), BCE)
    combined.compile(keras.optimizers.Adam(1e-4), ["mse", BCE], loss_weights=[1, 1e-3])
    ones, zeros = np.ones((BATCH, 1), "float32"), np.zeros((BATCH, 1), "float32")

    def step(images):
        low = shrink(images)
        fakes = gan.generator.predict(low, verbose=0)
        d.train_on_batch(images, ones), d.train_on_batch(fakes, zeros)
        return combined.train_on_batch(low, [vgg.predict(images, verbose=0), ones])

    return step


def main():
    parser = argparse.ArgumentParser(description="SRGAN's training step against others.")
    parser.add_argument("--precision", choices=["float32", "mixed_bfloat16"], default="float32")
    precision = parser.parse_args().precision
    keras.config.set_dtype_policy(precision)
    vgg = build_vgg(weights="random")
    contenders = {
        "zoo": SRGAN(pretrain_steps=0, vgg=vgg).train_step,
        "tape": tape_step(SRGAN(vgg=vgg), vgg),
        "classic": classic_step(SRGAN(vgg=vgg), vgg),
        "zoo, stage 1": SRGAN(vgg=vgg).train_step,
    }
    images = np.random.default_rng(0).uniform(-1, 1, (BATCH, SIZE, SIZE, 3)).astype("float32")
    print(f"SRGAN {SIZE // 4} to {SIZE} pixels, batch {BATCH}, {precision}, {ROUNDS} rounds")
    result = {"batch": BATCH, "size": SIZE, "rounds": ROUNDS, "precision": precision}
    result |= take_turns({name: partial(step, images) for name, step in contenders.items()}, ROUNDS)
    Path(__file__).with_name(f"srgan_{precision}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
