"""CycleGAN's training step against three others over the same networks. TensorFlow
backend.

    python benchmarks/cyclegan.py [--sizes paper] [--precision mixed_bfloat16]   writes
    benchmarks/cyclegan_default.json

The paper has 9 blocks for 256 x 256 pixels, and 6 for 128 x 128, which is "half".
- zoo: CycleGAN.train_step, with full pools.
- tape: a tf.function with GradientTapes, written by hand, that shows D the newest
  images alone. Each G makes its images once.
- classic: the tutorials' calls: predict of both G, each D on real, on fake, combined
(made to work: both D move). - torch: eager PyTorch, as the tape.
"""

from functools import partial

import keras
import numpy as np
import tensorflow as tf
from turns import options, take_turns, torch_module, write

from zoo.cyclegan import NETWORKS, CycleGAN, Player

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


def tape_step(gan):
    g_ab, g_ba, d_a, d_b = (getattr(gan, name) for name in NETWORKS)
    adams = [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(3)]
    variables = g_ab.trainable_variables + g_ba.trainable_variables

    @tf.function
    def step(a, b):
        with tf.GradientTape() as tape:
            fake_a, fake_b = g_ba(b, training=True), g_ab(a, training=True)
            adversarial = squares(d_a(fake_a, training=True), 1) + squares(
                d_b(fake_b, training=True), 1
            )
            cycle = l1(g_ba(fake_b, training=True), a) + l1(
                g_ab(fake_a, training=True), b
            )
            identity = l1(g_ba(a, training=True), a) + l1(g_ab(b, training=True), b)
            g_loss = adversarial + 10 * cycle + 5 * identity
        adams[0].apply(tape.gradient(g_loss, variables), variables)
        logs = [g_loss, adversarial, cycle, identity]
        for d, real_images, fakes, adam in (
            (d_a, a, fake_a, adams[1]),
            (d_b, b, fake_b, adams[2]),
        ):
            with tf.GradientTape() as tape:
                real, fake = d(real_images, training=True), d(fakes, training=True)
                d_loss = (squares(real, 1) + squares(fake, 0)) / 2
            adam.apply(
                tape.gradient(d_loss, d.trainable_variables), d.trainable_variables
            )
            logs += [d_loss, tf.reduce_mean(real), tf.reduce_mean(fake)]
        return logs

    return lambda images: [float(x) for x in step(*images)]


def classic_step(gan, o):
    """The calls of the Keras tutorials."""
    g_ab, g_ba, d_a, d_b = (getattr(gan, name) for name in NETWORKS)
    a, b = (keras.Input((o.size, o.size, 3)) for _ in range(2))
    d_players = [Player(image, d(image), [d]) for image, d in ((a, d_a), (b, d_b))]
    for player in d_players:
        player.compile(
            keras.optimizers.Adam(2e-4, beta_1=0.5),
            "mse",
            loss_weights=0.5,
            metrics=["accuracy"],
        )
    fake_a, fake_b = g_ba(b), g_ab(a)
    outputs = [d_a(fake_a), d_b(fake_b), g_ba(fake_b), g_ab(fake_a), g_ba(a), g_ab(b)]
    combined = Player([a, b], outputs, [g_ab, g_ba])
    losses, weights = ["mse"] * 2 + ["mae"] * 4, [1, 1, 10, 10, 5, 5]
    combined.compile(
        keras.optimizers.Adam(2e-4, beta_1=0.5), losses, loss_weights=weights
    )
    shape = o.batch, *d_a.output_shape[1:]
    ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")

    def step(images):
        a, b = images
        fakes = g_ba.predict(b, verbose=0), g_ab.predict(a, verbose=0)
        for player, real, fake in zip(d_players, images, fakes, strict=True):
            player.train_on_batch(real, ones), player.train_on_batch(fake, zeros)
        return combined.train_on_batch([a, b], [ones, ones, a, b, a, b])

    return step


def torch_step(gan, o, torch):
    step = torch.cyclegan_step(
        o.blocks, o.filters, like=[getattr(gan, name) for name in NETWORKS]
    )
    step = torch.in_precision(o.precision, step)
    return lambda images: step(*images)


def main():
    o = options(__doc__, SIZES, TURNS)
    gans = [CycleGAN(o.size, o.blocks, o.filters) for _ in range(3)]
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
    gans[0].pools = {
        domain: [image[0]] * gans[0].pool_size
        for domain, image in zip("ab", images, strict=True)
    }
    contenders = {name: partial(step, images) for name, step in contenders.items()}
    write(o, {"cyclegan": take_turns(contenders, o.rounds, o.steps)})


if __name__ == "__main__":
    main()
