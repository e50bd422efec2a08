"""DualGAN's training step against three others over the same networks. TensorFlow
backend.

    python benchmarks/dualgan.py [--sizes paper] [--precision mixed_bfloat16]    writes
    benchmarks/dualgan_default.json

Each step has two updates of the critics. "half" is 128 x 128 pixels.
- zoo: DualGAN.train_step.
- tape: a tf.function, written by hand, in the zoo's order of updates. Each G makes its
images once. - classic: the tutorials' calls: for each update of the critics predict of
both G, each critic on real, on fake, its
  weights fetched, clipped and set; then combined (made to work: both critics move).
- torch: eager PyTorch, as the tape.
"""

from functools import partial

import keras
import numpy as np
import tensorflow as tf
from turns import options, take_turns, torch_module, write

from zoo.dualgan import NETWORKS, DualGAN, Player

SIZES = {
    "default": {"size": 64, "depth": 5, "filters": 32, "critic_steps": 2},
    "paper": {"size": 256, "depth": 8, "filters": 64, "critic_steps": 2},
    "half": {"size": 128, "depth": 7, "filters": 64, "critic_steps": 2},
    "tiny": {"size": 32, "depth": 3, "filters": 4, "critic_steps": 2},
}
TURNS = {"paper": (5, 1), "half": (5, 1), None: (8, 3)}  # rounds, and steps in a turn


def l1(x, y):
    return tf.reduce_mean(tf.abs(x - y))


def rmsprop():
    return keras.optimizers.RMSprop(5e-5, epsilon=1e-10)


def tape_step(gan, o):
    g_ab, g_ba, d_a, d_b = (getattr(gan, name) for name in NETWORKS)
    optimizers = [rmsprop() for _ in range(3)]
    variables = g_ab.trainable_variables + g_ba.trainable_variables

    @tf.function
    def step(a, b):
        made = [(g_ba(b[:-1], training=True), g_ab(a[:-1], training=True))]
        with tf.GradientTape() as tape:
            fake_a, fake_b = g_ba(b[-1:], training=True), g_ab(a[-1:], training=True)
            recovery = l1(g_ba(fake_b, training=True), a[-1:]) + l1(
                g_ab(fake_a, training=True), b[-1:]
            )
            values = tf.reduce_mean(d_a(fake_a, training=True)) + tf.reduce_mean(
                d_b(fake_b, training=True)
            )
            g_loss = 500 * recovery - values
        optimizers[0].apply(tape.gradient(g_loss, variables), variables)
        made.append((fake_a, fake_b))
        logs, at_limit, weights = [g_loss, recovery], 0.0, 0
        for i, (d, real) in enumerate(((d_a, a), (d_b, b))):
            gaps = []
            for k in range(o.critic_steps):
                with tf.GradientTape() as tape:
                    scores = (
                        d(made[k][i], training=True),
                        d(real[k : k + 1], training=True),
                    )
                    loss = tf.reduce_mean(scores[0]) - tf.reduce_mean(scores[1])
                optimizers[1 + i].apply(
                    tape.gradient(loss, d.trainable_variables), d.trainable_variables
                )
                for v in d.trainable_variables:
                    v.assign(tf.clip_by_value(v, -gan.clip, gan.clip))
                gaps.append(-loss)
            logs.append(tf.reduce_mean(gaps))
            for v in d.trainable_variables:
                at_limit += tf.reduce_sum(tf.cast(tf.abs(v) >= gan.clip, tf.float32))
                weights += np.prod(v.shape)
        return [*logs, at_limit / weights]

    return lambda images: [float(x) for x in step(*images)]


def mean_output(target, output):
    """The tutorials' Wasserstein loss: the target is the sign."""
    return target * output


def classic_step(gan, o):
    """The calls of the Keras tutorials."""
    g_ab, g_ba, d_a, d_b = (getattr(gan, name) for name in NETWORKS)
    a, b = (keras.Input((o.size, o.size, 3)) for _ in range(2))
    critics = [Player(image, d(image), [d]) for image, d in ((a, d_a), (b, d_b))]
    for critic in critics:
        critic.compile(rmsprop(), mean_output)
    fake_a, fake_b = g_ba(b), g_ab(a)
    combined = Player(
        [a, b], [d_a(fake_a), d_b(fake_b), g_ba(fake_b), g_ab(fake_a)], [g_ab, g_ba]
    )
    combined.compile(
        rmsprop(), [mean_output] * 2 + ["mae"] * 2, loss_weights=[1, 1, 500, 500]
    )
    real = -np.ones((1, *d_a.output_shape[1:]), "float32")

    def step(images):
        for k in range(o.critic_steps):
            a, b = (x[k : k + 1] for x in images)
            fakes = g_ba.predict(b, verbose=0), g_ab.predict(a, verbose=0)
            for critic, x, fake in zip(critics, (a, b), fakes, strict=True):
                critic.train_on_batch(x, real), critic.train_on_batch(fake, -real)
            for d in (d_a, d_b):
                for layer in d.layers:
                    layer.set_weights(
                        [np.clip(w, -gan.clip, gan.clip) for w in layer.get_weights()]
                    )
        return combined.train_on_batch([a, b], [real, real, a, b])

    return step


def torch_step(gan, o, torch):
    networks = [getattr(gan, name) for name in NETWORKS]
    step = torch.dualgan_step(
        o.depth, o.filters, o.critic_steps, gan.clip, like=networks
    )
    step = torch.in_precision(o.precision, step)
    return lambda images: step(*images)


def main():
    o = options(__doc__, SIZES, TURNS)
    gans = [
        DualGAN(o.size, o.depth, o.filters, critic_steps=o.critic_steps)
        for _ in range(3)
    ]
    for gan in gans[1:]:  # these clip by hand
        for v in (
            gan.discriminator_a.trainable_variables
            + gan.discriminator_b.trainable_variables
        ):
            v.constraint = None
    contenders = {
        "zoo": gans[0].train_step,
        "tape": tape_step(gans[1], o),
        "classic": classic_step(gans[2], o),
    }
    if torch := torch_module():
        contenders["torch"] = torch_step(gans[0], o, torch)
    shape = o.critic_steps, o.size, o.size, 3
    images = [
        np.random.default_rng(i).uniform(-1, 1, shape).astype("float32")
        for i in range(2)
    ]
    contenders = {name: partial(step, images) for name, step in contenders.items()}
    write(o, {"dualgan": take_turns(contenders, o.rounds, o.steps)})


if __name__ == "__main__":
    main()
