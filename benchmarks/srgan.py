"""SRGAN's two steps against others over the same networks. TensorFlow backend.

    python benchmarks/srgan.py [--sizes paper] [--precision mixed_bfloat16]    writes
    benchmarks/srgan_default.json

24 to 96 pixels, the paper's networks, VGG19 to block5_conv4 with random weights. Making
the low-resolution images is part of each step. - zoo: SRGAN.train_step, in stage 2 and
in stage 1. - tape: a tf.function with GradientTapes, written by hand; G makes its
images once. - classic: the tutorials' calls: G.predict, D on real, D on fake,
VGG.predict, combined (made to work: D learns). Of
  stage 1 they have one call, as the zoo.
- torch: eager PyTorch.
"""

from functools import partial

import keras
import numpy as np
import tensorflow as tf
from turns import options, take_turns, torch_module, write

from zoo.srgan import SRGAN, Player, build_vgg, downscale, to_uint8

SIZES = {
    "default": {"size": 96, "batch": 8},
    "paper": {"size": 96, "batch": 16},
    "tiny": {"size": 32, "batch": 1},
}
TURNS = {"paper": (5, 1), None: (5, 1)}  # rounds, and steps in a turn
BCE = keras.losses.BinaryCrossentropy(from_logits=True)


def shrunk(step):
    """`step(low, high)` as a function of the high-resolution images alone."""
    return lambda images: step(
        downscale(to_uint8(images), 4).astype("float32") / 255, images
    )


def tape_steps(gan, vgg):
    """The steps of stage 1 and of stage 2."""
    g, d = gan.generator, gan.discriminator
    first_adam = keras.optimizers.Adam(5e-4)
    g_adam, d_adam = (keras.optimizers.Adam(1e-4) for _ in range(2))

    @tf.function
    def stage_1(low, high):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(g(low, training=True) - high))
        first_adam.apply(
            tape.gradient(loss, g.trainable_variables), g.trainable_variables
        )
        return [loss]

    @tf.function
    def stage_2(low, high):
        features = vgg(high)
        with tf.GradientTape() as tape:
            made = g(low, training=True)
            logits = d(made, training=True)
            content = tf.reduce_mean(tf.square(vgg(made) - features))
            adversarial = BCE(tf.ones_like(logits), logits)
            g_loss = content + 1e-3 * adversarial
        g_adam.apply(
            tape.gradient(g_loss, g.trainable_variables), g.trainable_variables
        )
        with tf.GradientTape() as tape:
            real, fake = d(high, training=True), d(made, training=True)
            d_loss = BCE(tf.ones_like(real), real) + BCE(tf.zeros_like(fake), fake)
        d_adam.apply(
            tape.gradient(d_loss, d.trainable_variables), d.trainable_variables
        )
        return (
            d_loss,
            g_loss,
            content,
            adversarial,
            tf.reduce_mean(tf.sigmoid(real)),
            tf.reduce_mean(tf.sigmoid(fake)),
        )

    return [
        lambda low, high, step=step: [float(x) for x in step(low, high)]
        for step in (stage_1, stage_2)
    ]


def classic_step(gan, vgg, o):
    low, image = (
        keras.Input((o.size // 4, o.size // 4, 3)),
        keras.Input((o.size, o.size, 3)),
    )
    made = gan.generator(low)
    d = Player(image, gan.discriminator(image), [gan.discriminator])
    combined = Player(low, [vgg(made), gan.discriminator(made)], [gan.generator])
    d.compile(keras.optimizers.Adam(1e-4), BCE)
    combined.compile(keras.optimizers.Adam(1e-4), ["mse", BCE], loss_weights=[1, 1e-3])
    ones, zeros = np.ones((o.batch, 1), "float32"), np.zeros((o.batch, 1), "float32")

    def step(low, high):
        fakes = gan.generator.predict(low, verbose=0)
        d.train_on_batch(high, ones), d.train_on_batch(fakes, zeros)
        return combined.train_on_batch(low, [vgg.predict(high, verbose=0), ones])

    return step


def main():
    o = options(__doc__, SIZES, TURNS)
    vgg = build_vgg(weights="random")
    gan = SRGAN(size=o.size, pretrain_steps=0, vgg=vgg)
    tape_1, tape_2 = tape_steps(SRGAN(size=o.size, vgg=vgg), vgg)
    classic = classic_step(SRGAN(size=o.size, vgg=vgg), vgg, o)
    first = {"zoo": SRGAN(size=o.size, vgg=vgg).train_step, "tape": shrunk(tape_1)}
    second = {"zoo": gan.train_step, "tape": shrunk(tape_2), "classic": shrunk(classic)}
    if torch := torch_module():
        both = torch.srgan_steps(o.size, like=[gan.generator, gan.discriminator])
        first["torch"], second["torch"] = (
            shrunk(torch.in_precision(o.precision, step)) for step in both
        )
    images = (
        np.random.default_rng(0)
        .uniform(-1, 1, (o.batch, o.size, o.size, 3))
        .astype("float32")
    )
    steps = {}
    for row, contenders in {"srgan, stage 1": first, "srgan, stage 2": second}.items():
        print(row)
        steps[row] = take_turns(
            {name: partial(step, images) for name, step in contenders.items()},
            o.rounds,
            o.steps,
        )
    write(o, steps)


if __name__ == "__main__":
    main()
