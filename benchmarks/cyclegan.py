"""CycleGAN's training step against three others over the same networks. TensorFlow
backend.

    python benchmarks/cyclegan.py [--sizes paper] [--precision mixed_bfloat16]

It writes benchmarks/cyclegan_default.json. The paper has 9 blocks for 256 x 256 pixels,
and 6 for 128 x 128, which is "half".
- zoo: CycleGAN.train_step, with full pools.
- tape: two tf.functions with a GradientTape each, written by hand: the generators'
  step, then the discriminators' on the newest images alone.
- classic: the tutorials' calls: predict of both G, each D on real, on fake, combined
  (made to work: the weights of both D are updated).
- torch: eager PyTorch, as the tape.
"""

from functools import partial

import keras
import numpy as np
import tensorflow as tf
from turns import options, take_turns, torch_module, write

from zoo.cyclegan import CycleGAN, Player, build_discriminator, build_generator

SIZES = {
    "default": {"size": 64, "blocks": 6, "filters": 32, "batch": 1},
    "paper": {"size": 256, "blocks": 9, "filters": 64, "batch": 1},
    "half": {"size": 128, "blocks": 6, "filters": 64, "batch": 1},
    "tiny": {"size": 24, "blocks": 1, "filters": 4, "batch": 1},
}
TURNS = {"paper": (4, 1), "half": (5, 1), None: (8, 3)}  # rounds, and steps in a turn


def squares(scores, target):
    return tf.reduce_mean(tf.square(scores - target))


def l1(x, y):
    return tf.reduce_mean(tf.abs(x - y))


def networks(gan):
    return [getattr(gan, name) for name in gan.networks]


def tape_step(gan):
    g_ab, g_ba, d_a, d_b = networks(gan)
    g_adam, d_adam = (keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2))
    g_variables = g_ab.trainable_variables + g_ba.trainable_variables
    d_variables = d_a.trainable_variables + d_b.trainable_variables

    @tf.function
    def g_step(a, b):
        with tf.GradientTape() as tape:
            fake_a, fake_b = g_ba(b, training=True), g_ab(a, training=True)
            adversarial = squares(d_a(fake_a, training=True), 1)
            adversarial += squares(d_b(fake_b, training=True), 1)
            cycle = l1(g_ba(fake_b, training=True), a)
            cycle += l1(g_ab(fake_a, training=True), b)
            identity = l1(g_ba(a, training=True), a) + l1(g_ab(b, training=True), b)
            loss = adversarial + 10 * cycle + 5 * identity
        g_adam.apply(tape.gradient(loss, g_variables), g_variables)
        return fake_a, fake_b, [loss, adversarial, cycle, identity]

    @tf.function
    def d_step(a, fake_a, b, fake_b):
        logs, total = [], 0.0
        with tf.GradientTape() as tape:
            for d, image, made in ((d_a, a, fake_a), (d_b, b, fake_b)):
                real, fake = d(image, training=True), d(made, training=True)
                loss = (squares(real, 1) + squares(fake, 0)) / 2
                total += loss
                logs += [loss, tf.reduce_mean(real), tf.reduce_mean(fake)]
        d_adam.apply(tape.gradient(total, d_variables), d_variables)
        return logs

    def step(images):
        a, b = images
        fake_a, fake_b, losses = g_step(a, b)
        return [float(x) for x in (*losses, *d_step(a, fake_a, b, fake_b))]

    return step


def classic_step(gan, o):
    """The calls of the Keras tutorials."""
    g_ab, g_ba, d_a, d_b = networks(gan)
    a, b = (keras.Input((o.size, o.size, 3)) for _ in range(2))

    def adam():
        return keras.optimizers.Adam(2e-4, beta_1=0.5)

    d_players = [
        Player(image, {"d": d(image)}, [d], adam(), loss={"d": "mse"},
               loss_weights={"d": 0.5}, metrics={"d": ["accuracy"]})
        for image, d in ((a, d_a), (b, d_b))
    ]  # fmt: skip
    fake_a, fake_b = g_ba(b), g_ab(a)
    outputs = {"d_a": d_a(fake_a), "d_b": d_b(fake_b)}
    outputs |= {"cycle_a": g_ba(fake_b), "cycle_b": g_ab(fake_a)}
    outputs |= {"identity_a": g_ba(a), "identity_b": g_ab(b)}
    weights = dict(zip(outputs, (1, 1, 10, 10, 5, 5), strict=True))
    losses = {name: "mse" if name[:2] == "d_" else "mae" for name in outputs}
    combined = Player([a, b], outputs, [g_ab, g_ba], adam(), loss=losses,
                      loss_weights=weights)  # fmt: skip
    shape = o.batch, *d_a.output_shape[1:]
    ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")

    def step(images):
        a, b = images
        fakes, logs = (g_ba.predict(b, verbose=0), g_ab.predict(a, verbose=0)), []
        for player, real, fake in zip(d_players, images, fakes, strict=True):
            logs.append(player.train_on_batch(real, {"d": ones})["loss"])
            logs.append(player.train_on_batch(fake, {"d": zeros})["loss"])
        targets = dict(zip(outputs, (ones, ones, a, b, a, b), strict=True))
        return *logs, combined.train_on_batch([a, b], targets)["loss"]

    return step


def torch_step(gan, o, torch):
    step = torch.cyclegan_step(o.blocks, o.filters, like=networks(gan))
    step = torch.in_precision(o.precision, step)
    return lambda images: step(*images)


def main():
    o = options(__doc__, SIZES, TURNS)

    def gan():
        generators = [
            build_generator(o.blocks, o.filters, name=name)
            for name in ("generator_ab", "generator_ba")
        ]
        discriminators = [
            build_discriminator(o.size, o.filters, name=name)
            for name in ("discriminator_a", "discriminator_b")
        ]
        return CycleGAN(*generators, *discriminators)

    gans = [gan() for _ in range(3)]
    contenders = {
        "zoo": gans[0].train_step,
        "tape": tape_step(gans[1]),
        "classic": classic_step(gans[2], o),
    }
    if torch := torch_module():
        contenders["torch"] = torch_step(gans[0], o, torch)
    shape = o.batch, o.size, o.size, 3
    images = [
        np.random.default_rng(i).uniform(-1, 1, shape).astype("float32")
        for i in range(2)
    ]
    pool_a, pool_b = ([image[0]] * gans[0].pool_size for image in images)
    gans[0].pool_a, gans[0].pool_b = pool_a, pool_b
    contenders = {name: partial(step, images) for name, step in contenders.items()}
    write(o, {"cyclegan": take_turns(contenders, o.rounds, o.steps)})


if __name__ == "__main__":
    main()
