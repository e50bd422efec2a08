"""SRGAN's two steps against others over the same networks. TensorFlow backend.

    python benchmarks/srgan.py [--sizes paper] [--precision mixed_bfloat16]

It writes benchmarks/srgan_default.json. 24 to 96 pixels, the paper's networks, VGG19 to
block5_conv4 with random weights. Making the low-resolution images is part of each step.
- zoo: SRGAN.train_step, in stage 2 and in stage 1.
- tape: tf.functions with a GradientTape each, written by hand: of stage 1 one, of stage
  2 G's step, then D's on the images that G's has made.
- classic: the tutorials' calls: G.predict, D on real, D on fake, VGG.predict, combined
  (made to work: D learns). For stage 1 they are the same one call as the zoo's.
- torch: eager PyTorch.
"""

from functools import partial

import keras
import numpy as np
import tensorflow as tf
from turns import options, take_turns, torch_module, write

from zoo.srgan import (
    SRGAN,
    Player,
    build_discriminator,
    build_generator,
    build_vgg,
    downscale,
    to_uint8,
)

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
    def g_step(low, high):
        features = vgg(high)
        with tf.GradientTape() as tape:
            made = g(low, training=True)
            logits = d(made, training=True)
            content = tf.reduce_mean(tf.square(vgg(made) - features))
            adversarial = BCE(tf.ones_like(logits), logits)
            loss = content + 1e-3 * adversarial
        gradients = tape.gradient(loss, g.trainable_variables)
        g_adam.apply(gradients, g.trainable_variables)
        return made, [loss, content, adversarial]

    @tf.function
    def d_step(high, made):
        with tf.GradientTape() as tape:
            real, fake = d(high, training=True), d(made, training=True)
            loss = BCE(tf.ones_like(real), real) + BCE(tf.zeros_like(fake), fake)
        gradients = tape.gradient(loss, d.trainable_variables)
        d_adam.apply(gradients, d.trainable_variables)
        scores = [tf.reduce_mean(tf.sigmoid(logits)) for logits in (real, fake)]
        return [loss, *scores]

    def stage_2(low, high):
        made, losses = g_step(low, high)
        return [float(x) for x in (*losses, *d_step(high, made))]

    return lambda low, high: float(stage_1(low, high)[0]), stage_2


def classic_step(gan, vgg, o):
    """The calls of the Keras tutorials."""
    g, d = gan.generator, gan.discriminator
    low = keras.Input((o.size // 4, o.size // 4, 3))
    image = keras.Input((o.size, o.size, 3))
    g_adam, d_adam = (keras.optimizers.Adam(1e-4) for _ in range(2))
    real_or_fake = Player(image, {"d": d(image)}, [d], d_adam, loss={"d": BCE})
    made = g(low)
    combined = Player(low, {"content": vgg(made), "d": d(made)}, [g], g_adam,
                      loss={"content": "mse", "d": BCE},
                      loss_weights={"content": 1, "d": 1e-3})  # fmt: skip
    ones, zeros = np.ones((o.batch, 1), "float32"), np.zeros((o.batch, 1), "float32")

    def step(low, high):
        fakes = g.predict(low, verbose=0)
        d_loss = real_or_fake.train_on_batch(high, {"d": ones})["loss"]
        d_loss += real_or_fake.train_on_batch(fakes, {"d": zeros})["loss"]
        targets = {"content": vgg.predict(high, verbose=0), "d": ones}
        return d_loss, combined.train_on_batch(low, targets)["loss"]

    return step


def main():
    o = options(__doc__, SIZES, TURNS)
    vgg = build_vgg(weights="random")

    def gan(pretrain_steps=0):
        gan = SRGAN(build_generator(), build_discriminator(o.size), vgg)
        gan.pretrain_steps = pretrain_steps
        return gan

    tape_1, tape_2 = tape_steps(gan(), vgg)
    classic, gans = classic_step(gan(), vgg, o), [gan(10**6), gan()]
    first = {"zoo": gans[0].train_step, "tape": shrunk(tape_1)}
    second = {
        "zoo": gans[1].train_step,
        "tape": shrunk(tape_2),
        "classic": shrunk(classic),
    }
    if torch := torch_module():
        like = gans[1].generator, gans[1].discriminator
        both = torch.srgan_steps(o.size, like=like)
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
