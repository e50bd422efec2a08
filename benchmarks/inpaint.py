"""A step of the search against two others over the same networks, and a whole search.

    python benchmarks/inpaint.py [--sizes paper] [--precision mixed_bfloat16]

It needs the TensorFlow backend and writes benchmarks/inpaint_default.json. The networks
are DCGAN's, untrained. The sizes are those of DCGAN's default and of its paper, for 64
images at once.
- zoo: Search.step.
- tape: a tf.function with a GradientTape, written by hand.
- torch: eager PyTorch.

There is no classic recipe: the tutorials search with a loop like one of these.
"""

import contextlib
import io
import time

import keras
import numpy as np
import tensorflow as tf
from turns import options, take_turns, torch_module, write

from zoo.dcgan import build_discriminator, build_generator
from zoo.inpaint import (
    RATES,
    Inpainter,
    Search,
    context_weights,
    make_masks,
    to_float,
)

SIZES = {
    "default": {"size": 32, "channels": 1, "filters": 64, "batch": 64},
    "paper": {"size": 64, "channels": 3, "filters": 128, "batch": 64},
    "tiny": {"size": 16, "channels": 1, "filters": 4, "batch": 4},
}
TURNS = {"paper": (4, 1), None: (12, 5)}  # rounds, and steps in a turn


def tape_step(g, d, images, weights, z):
    """The search written in TensorFlow: the same losses, optimiser and range of z."""
    z, adam = tf.Variable(z), keras.optimizers.Adam(RATES["adam"])
    images, weights = tf.constant(images), tf.constant(weights)
    adam.build([z])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            generated = g(z, training=False)
            prior = tf.reduce_sum(tf.math.softplus(d(generated, training=False)))
            context = tf.reduce_sum(weights * tf.abs(generated - images))
            loss = context - 0.003 * prior
        adam.apply([tape.gradient(loss, z)], [z])
        z.assign(tf.clip_by_value(z, -1, 1))
        return loss

    return lambda: float(step())


def main():
    o = options(__doc__, SIZES, TURNS)
    shape, latent_dim = (o.size, o.size, o.channels), 100
    g = build_generator(shape, latent_dim, o.filters)
    d = build_discriminator(shape, o.filters)
    pictures = np.random.default_rng(0).integers(0, 256, (o.batch, *shape), np.uint8)
    masks = make_masks("center", o.batch, o.size)
    z = np.random.default_rng(0).uniform(-1, 1, (o.batch, latent_dim)).astype("float32")
    weights = context_weights(masks)
    search = Search(g, d, to_float(pictures, shape), weights, z, 0.003, clip=True)
    search.compile(keras.optimizers.Adam(RATES["adam"]))
    contenders = {"zoo": search.step, "tape": tape_step(g, d, *search.data, z)}
    if torch := torch_module():
        step = torch.inpaint_step(
            o.size, o.channels, latent_dim, o.filters, *search.data, z, like=[g, d]
        )
        contenders["torch"] = torch.in_precision(o.precision, step)
    steps, others = {"inpaint": take_turns(contenders, o.rounds, o.steps)}, {}
    if o.sizes != "paper":  # where it would take ten minutes or more
        inpainter, start = Inpainter(g, d), time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()):  # its progress bar
            inpainter.complete(pictures, masks)
        seconds = time.perf_counter() - start
        print(
            f"{o.batch} images, {inpainter.iterations} iterations and the blending: "
            f"{seconds:.0f} s"
        )
        others["search"] = {"iterations": inpainter.iterations, "seconds": seconds}
    write(o, steps, **others)


if __name__ == "__main__":
    main()
