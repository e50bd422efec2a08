"""The deblurrer's step against three others, and the share of it that making the blur
takes. TensorFlow backend.

    python benchmarks/deblur.py [--sizes paper] [--precision mixed_bfloat16]

It writes benchmarks/deblur_default.json. "paper" are the sizes of the tutorial. Each
contender blurs the images as the zoo does.
- zoo: Deblurrer.train_step.
- tape: two tf.functions with a GradientTape each, written by hand: G's step, then D's
  on the images that G's has restored.
- classic: the tutorials' calls: G.predict, D on real, D on fake, combined (made to
  work: D's weights are updated).
- torch: eager PyTorch; G restores the images once.
- blur: blurring one batch, and nothing else.
"""

from functools import partial

import keras
import numpy as np
import tensorflow as tf
from turns import options, take_turns, torch_module, write

from zoo.deblur import Deblurrer, Player, build_discriminator, build_generator

SIZES = {
    "default": {"size": 64, "filters": 32, "batch": 8},
    "paper": {"size": 64, "filters": 64, "batch": 64},
    "tiny": {"size": 32, "filters": 4, "batch": 2},
}
TURNS = {"paper": (6, 1), None: (12, 5)}  # rounds, and steps in a turn
BCE = keras.losses.BinaryCrossentropy(from_logits=True)


def blurring(gan, step):
    """`step(blurred, sharp)` as a function of the sharp images alone."""

    def blur_and_step(images):
        blurred = gan.blurred(images)
        gan.steps += 1  # another blur for the next step
        return step(blurred, images)

    return blur_and_step


def tape_step(gan):
    g, d = gan.generator, gan.discriminator
    g_adam, d_adam = (keras.optimizers.Adam(1e-3, beta_1=0.5) for _ in range(2))

    @tf.function
    def g_step(blurred, sharp):
        with tf.GradientTape() as tape:
            restored = g(blurred, training=True)
            logits = d(restored, training=True)
            pixel = tf.reduce_mean(tf.abs(restored - sharp))
            loss = pixel + 1e-4 * BCE(tf.ones_like(logits), logits)
        gradients = tape.gradient(loss, g.trainable_variables)
        g_adam.apply(gradients, g.trainable_variables)
        return restored, [loss, pixel]

    @tf.function
    def d_step(sharp, restored):
        with tf.GradientTape() as tape:
            real, fake = d(sharp, training=True), d(restored, training=True)
            loss = BCE(tf.ones_like(real), real) + BCE(tf.zeros_like(fake), fake)
        gradients = tape.gradient(loss, d.trainable_variables)
        d_adam.apply(gradients, d.trainable_variables)
        scores = [tf.reduce_mean(tf.sigmoid(logits)) for logits in (real, fake)]
        return [loss, *scores]

    def step(blurred, sharp):
        restored, losses = g_step(blurred, sharp)
        return [float(x) for x in (*losses, *d_step(sharp, restored))]

    return step


def classic_step(gan, o):
    """The calls of the Keras tutorials."""
    g, d = gan.generator, gan.discriminator
    blurred, image = (keras.Input((o.size, o.size, 3)) for _ in range(2))
    g_adam, d_adam = (keras.optimizers.Adam(1e-3, beta_1=0.5) for _ in range(2))
    real_or_fake = Player(image, {"d": d(image)}, [d], d_adam, loss={"d": BCE})
    restored = g(blurred)
    combined = Player(blurred, {"pixel": restored, "d": d(restored)}, [g], g_adam,
                      loss={"pixel": "mae", "d": BCE},
                      loss_weights={"pixel": 1, "d": 1e-4})  # fmt: skip
    ones, zeros = np.ones((o.batch, 1), "float32"), np.zeros((o.batch, 1), "float32")

    def step(blurred, sharp):
        fakes = g.predict(blurred, verbose=0)
        d_loss = real_or_fake.train_on_batch(sharp, {"d": ones})["loss"]
        d_loss += real_or_fake.train_on_batch(fakes, {"d": zeros})["loss"]
        targets = {"pixel": sharp, "d": ones}
        return d_loss, combined.train_on_batch(blurred, targets)["loss"]

    return step


def main():
    o = options(__doc__, SIZES, TURNS)

    def gan():
        networks = build_generator(o.filters), build_discriminator(o.size, o.filters)
        return Deblurrer(*networks)

    gans = [gan() for _ in range(4)]
    contenders = {
        "zoo": gans[0].train_step,
        "tape": blurring(gans[1], tape_step(gans[1])),
        "classic": blurring(gans[2], classic_step(gans[2], o)),
    }
    if torch := torch_module():
        step = torch.deblur_step(
            o.size, o.filters, like=[gans[3].generator, gans[3].discriminator]
        )
        contenders["torch"] = blurring(gans[3], torch.in_precision(o.precision, step))
    contenders["blur"] = blurring(gan(), lambda blurred, sharp: blurred)
    images = (
        np.random.default_rng(0)
        .uniform(-1, 1, (o.batch, o.size, o.size, 3))
        .astype("float32")
    )
    contenders = {name: partial(step, images) for name, step in contenders.items()}
    turns = take_turns(contenders, o.rounds, o.steps)
    print(
        f"making the blur is {100 * turns['blur']['ms'] / turns['zoo']['ms']:.1f} % of "
        "the step"
    )
    write(o, {"deblur": turns})


if __name__ == "__main__":
    main()
