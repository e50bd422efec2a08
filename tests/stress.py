"""Trains each model twice from one state, on a busy machine: equal to the bit.

    python tests/stress.py [--steps 500] [--busy 4]

A step in which one player reads a variable while another updates it depends on which
thread comes first. That shows on a busy machine alone. So `--busy` processes do nothing
but work meanwhile. The exit status is 1 if any weight differs.
"""

import argparse
import multiprocessing
import os
import sys
import tempfile

import keras
import numpy as np


def work():
    while True:
        np.random.default_rng().random(10**6).sum()


def trained(gan, state, batches):
    """All weights of the networks after a step on each of the batches."""
    gan.load(state)
    for batch in batches:
        gan.train_step(batch)
    weights = [w for name in gan.networks for w in getattr(gan, name).get_weights()]
    return np.concatenate([w.ravel() for w in weights])


def differing(name, steps):
    """The number of weights that differ between two trainings of a model."""
    from test_backends import GANS, batch

    keras.utils.set_random_seed(0)
    gan, images, random = GANS[name](), batch(name), np.random.default_rng(0)

    def turned(x):
        return np.roll(x, random.integers(0, 32, 2), (1, 2))

    pair = isinstance(images, tuple)
    batches = [
        tuple(map(turned, images)) if pair else turned(images) for _ in range(steps)
    ]
    gan.total_steps = steps  # which `train` sets: some learning rates fall to its end
    with tempfile.TemporaryDirectory() as state:
        gan.save(state)
        first, second = (trained(gan, state, batches) for _ in range(2))
    assert np.isfinite(first).all()
    return int(np.sum(first != second))


def main():
    from test_backends import GANS

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--steps", type=int, default=500, help="(%(default)s)")
    parser.add_argument("--busy", type=int, default=4, help="(%(default)s)")
    options = parser.parse_args()
    workers = [
        multiprocessing.Process(target=work, daemon=True) for _ in range(options.busy)
    ]
    for worker in workers:
        worker.start()
    found = {}
    for name in GANS:
        found[name] = differing(name, options.steps)
        print(f"{name:10}{options.steps} steps: {found[name]} weights differ")
    sys.exit(any(found.values()))


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    main()
