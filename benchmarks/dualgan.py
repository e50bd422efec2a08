"""DualGAN's training step against three others over the same networks. TensorFlow
backend.

    python benchmarks/dualgan.py [--sizes paper] [--precision mixed_bfloat16]

It writes benchmarks/dualgan_default.json. Each step has two updates of the critics.
"half" is 128 x 128 pixels.
- zoo: DualGAN.train_step.
- tape: two tf.functions with a GradientTape each, written by hand: the generators'
  step, then the critics' on the images that it has made.
- classic: the tutorials' calls: for each update of the critics predict of both G, each
  critic on real, on fake, its weights fetched, clipped and set; then combined (made to
  work: the weights of both critics are updated).
- torch: eager PyTorch, as the tape.
"""

from functools import partial

import keras
import numpy as np
import tensorflow as tf
from turns import options, take_turns, torch_module, write

from zoo.dualgan import DualGAN, Player, build_discriminator, build_generator

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


def networks(gan):
    return [getattr(gan, name) for name in gan.networks]


def tape_step(gan, o):
    g_ab, g_ba, d_a, d_b = networks(gan)
    g_rmsprop, d_rmsprop = rmsprop(), rmsprop()
    g_variables = g_ab.trainable_variables + g_ba.trainable_variables
    d_variables = d_a.trainable_variables + d_b.trainable_variables

    @tf.function
    def g_step(a, b):
        others = g_ba(b[:-1], training=True), g_ab(a[:-1], training=True)
        with tf.GradientTape() as tape:
            fake_a, fake_b = g_ba(b[-1:], training=True), g_ab(a[-1:], training=True)
            recovery = l1(g_ba(fake_b, training=True), a[-1:])
            recovery += l1(g_ab(fake_a, training=True), b[-1:])
            values = tf.reduce_mean(d_a(fake_a, training=True))
            values += tf.reduce_mean(d_b(fake_b, training=True))
            loss = 500 * recovery - values
        g_rmsprop.apply(tape.gradient(loss, g_variables), g_variables)
        made = tf.concat([others[0], fake_a], 0), tf.concat([others[1], fake_b], 0)
        return *made, [loss, recovery]

    @tf.function
    def d_step(a, fake_a, b, fake_b):
        with tf.GradientTape() as tape:
            gaps = [
                tf.reduce_mean(d(real, training=True))
                - tf.reduce_mean(d(fake, training=True))
                for d, real, fake in ((d_a, a, fake_a), (d_b, b, fake_b))
            ]
            loss = -gaps[0] - gaps[1]
        d_rmsprop.apply(tape.gradient(loss, d_variables), d_variables)
        for v in d_variables:
            v.assign(tf.clip_by_value(v, -gan.clip, gan.clip))
        return gaps

    def step(images):
        a, b = images
        fake_a, fake_b, losses = g_step(a, b)
        logs = [float(x) for x in losses]
        for k in range(o.critic_steps):
            gaps = d_step(*(x[k : k + 1] for x in (a, fake_a, b, fake_b)))
            logs += [float(x) for x in gaps]
        at_limit = sum(np.sum(np.abs(v.numpy()) >= gan.clip) for v in d_variables)
        return [*logs, at_limit / sum(np.prod(v.shape) for v in d_variables)]

    return step


def mean_output(target, output):
    """The tutorials' Wasserstein loss: the target is the sign."""
    return target * output


def classic_step(gan, o):
    """The calls of the Keras tutorials."""
    g_ab, g_ba, d_a, d_b = networks(gan)
    a, b = (keras.Input((o.size, o.size, 3)) for _ in range(2))
    critics = [
        Player(image, {"d": d(image)}, [d], rmsprop(), loss={"d": mean_output})
        for image, d in ((a, d_a), (b, d_b))
    ]
    fake_a, fake_b = g_ba(b), g_ab(a)
    outputs = {"d_a": d_a(fake_a), "d_b": d_b(fake_b)}
    outputs |= {"recovery_a": g_ba(fake_b), "recovery_b": g_ab(fake_a)}
    weights = dict(zip(outputs, (1, 1, 500, 500), strict=True))
    losses = {name: mean_output if name[:2] == "d_" else "mae" for name in outputs}
    combined = Player([a, b], outputs, [g_ab, g_ba], rmsprop(), loss=losses,
                      loss_weights=weights)  # fmt: skip
    real = -np.ones((1, *d_a.output_shape[1:]), "float32")

    def step(images):
        logs = []
        for k in range(o.critic_steps):
            a, b = (x[k : k + 1] for x in images)
            fakes = g_ba.predict(b, verbose=0), g_ab.predict(a, verbose=0)
            for critic, x, fake in zip(critics, (a, b), fakes, strict=True):
                logs.append(critic.train_on_batch(x, {"d": real})["loss"])
                logs.append(critic.train_on_batch(fake, {"d": -real})["loss"])
            for d in (d_a, d_b):
                for layer in d.layers:
                    layer.set_weights(
                        [np.clip(w, -gan.clip, gan.clip) for w in layer.get_weights()]
                    )
        targets = dict(zip(outputs, (real, real, a, b), strict=True))
        return *logs, combined.train_on_batch([a, b], targets)["loss"]

    return step


def torch_step(gan, o, torch):
    numbers = o.depth, o.filters, o.critic_steps, gan.clip
    step = torch.dualgan_step(*numbers, like=networks(gan))
    step = torch.in_precision(o.precision, step)
    return lambda images: step(*images)


def main():
    o = options(__doc__, SIZES, TURNS)

    def gan():
        generators = [
            build_generator(o.depth, o.filters, name=name)
            for name in ("generator_ab", "generator_ba")
        ]
        discriminators = [
            build_discriminator(o.size, o.filters, name=name)
            for name in ("discriminator_a", "discriminator_b")
        ]
        return DualGAN(*generators, *discriminators, critic_steps=o.critic_steps)

    gans = [gan() for _ in range(3)]
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
