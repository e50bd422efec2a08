"""A step of the search against a hand-written one over the same networks, and a whole search. TensorFlow backend.

    python benchmarks/inpaint.py    prints a table and writes benchmarks/inpaint_32.json

The contenders take turns in one process, a few steps each, so that a busy machine slows both of them.
- zoo: Search.step.
- tape: a tf.function with a GradientTape, written by hand.
"""

import argparse
import json
import statistics
import time
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

from zoo.dcgan import build_discriminator, build_generator
from zoo.inpaint import Inpainter, Search, context_weights, make_masks

SIZE, BATCH, ROUNDS, STEPS = 32, 64, 25, 10


def tape_step(g, d, images, weights, z):
    """The search as one would write it in TensorFlow: the same losses, optimiser and limits."""
    z, adam = tf.Variable(z), keras.optimizers.Adam(0.03)
    images, weights = tf.constant(images), tf.constant(weights)
    adam.build([z])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            made = g(z, training=False)
            context = tf.reduce_sum(weights * tf.abs(made - images))
            loss = context - 0.003 * tf.reduce_sum(tf.math.softplus(d(made, training=False)))
        adam.apply([tape.gradient(loss, z)], [z])
        z.assign(tf.clip_by_value(z, -1, 1))
        return loss

    return lambda: float(step())


def main():
    parser = argparse.ArgumentParser(description="A step of the search against a hand-written one.")
    parser.add_argument("--iterations", type=int, default=1000, help="of the whole search (1000)")
    iterations = parser.parse_args().iterations
    g, d = build_generator((SIZE, SIZE, 1), 100, 64), build_discriminator((SIZE, SIZE, 1), 64)
    pictures = np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE, 1), np.uint8)
    masks = make_masks("center", BATCH, SIZE)
    z = np.random.default_rng(0).uniform(-1, 1, (BATCH, 100)).astype("float32")
    search = Search(g, d, pictures.astype("float32") / 127.5 - 1, context_weights(masks), z, 1, 0.003, 1)
    search.compile(keras.optimizers.Adam(0.03))
    contenders = {"zoo": search.step, "tape": tape_step(g, d, *search.data, z)}
    times = {name: [] for name in contenders}
    for turn in range(ROUNDS + 1):
        for name, step in contenders.items():
            start = time.perf_counter()
            for _ in range(STEPS):
                step()
            if turn:  # the first traces
                times[name].append((time.perf_counter() - start) / STEPS)
    ratios = [tape / zoo for zoo, tape in zip(*times.values(), strict=True)]
    result = {"batch": BATCH, "size": SIZE, "rounds": ROUNDS}
    result |= {f"{name}_ms": 1000 * statistics.median(seconds) for name, seconds in times.items()}
    result["zoo_is_faster_by"] = statistics.median(ratios)
    print(f"search in a DCGAN {SIZE}x{SIZE}x1, 64 filters, {BATCH} images at once, {ROUNDS} rounds")
    print(
        f"zoo {result['zoo_ms']:.0f} ms a step, tape {result['tape_ms']:.0f} ms; the zoo's speed is "
        f"{statistics.median(ratios):.2f} of the tape's ({min(ratios):.2f} to {max(ratios):.2f})"
    )
    start = time.perf_counter()
    Inpainter(g, d, iterations=iterations).complete(pictures, masks)
    result[f"seconds_{iterations}_iterations"] = time.perf_counter() - start
    print(f"{BATCH} images, {iterations} iterations: {result[f'seconds_{iterations}_iterations']:.0f} s")
    Path(__file__).with_name(f"inpaint_{SIZE}.json").write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
