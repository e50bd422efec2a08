"""Interrupts trainings at random moments: afterwards the object is as good as before.

KERAS_BACKEND=jax python tests/interrupts.py --trials 100     exit status 1 if it is not

Half of the interrupts are a timer's signal whose handler raises KeyboardInterrupt, half
a real SIGINT, as Ctrl-C sends it.
"""

import argparse
import contextlib
import io
import os
import signal
import sys
import tempfile
import threading

import keras
import numpy as np

LONGEST, AGAIN = 0.2, 2  # seconds until the interrupt, and until the next one


@contextlib.contextmanager
def interrupt(seconds, real):
    """Yields a function, which raises KeyboardInterrupt after some seconds.

    And again after AGAIN seconds: Python ignores an exception in `__del__`.
    """
    over = threading.Event()
    thread = threading.Thread(target=lambda: send(seconds))

    def raise_it(*_):
        raise KeyboardInterrupt

    def send(wait):
        while not over.wait(wait):
            os.kill(os.getpid(), signal.SIGINT)
            wait = AGAIN

    def arm():
        if real:
            thread.start()
        else:
            signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN)

    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGALRM: raise_it}
    before = {n: signal.signal(n, handler) for n, handler in handlers.items()}
    try:
        yield arm
    finally:
        over.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
        if thread.ident:
            thread.join()
        left = {n: signal.signal(n, handler) for n, handler in before.items()}
        if left != handlers:
            raise AssertionError(f"other signal handlers than before: {left}")


def count(gan):
    """Compares how often each player of a DCGAN was updated."""
    d, g = (int(getattr(gan, name).optimizer.iterations) for name in gan.players)
    if {gan.steps, d, g / gan.generator_steps} != {gan.steps}:
        raise AssertionError(f"half a step: D {d}, G {g} after {gan.steps} steps")


def trial(gan, images, seconds, real):
    """What is wrong after an interrupt: a list of texts; empty if nothing is."""
    faults = []
    uses = {
        "count": lambda: count(gan),
        "generate": lambda: gan.generate(2),
        "save": lambda: gan.save(folder),
        "load": lambda: gan.load(folder),
        "train": lambda: gan.train(images, 1, 8),
    }
    with (
        tempfile.TemporaryDirectory() as folder,
        contextlib.redirect_stdout(io.StringIO()),  # progress bars
    ):
        try:
            with interrupt(seconds, real) as arm:
                second = keras.callbacks.LambdaCallback(
                    on_epoch_begin=lambda epoch, logs: arm() if epoch == 1 else None
                )
                gan.train(images, 10**6, 8, second)
        except KeyboardInterrupt:
            pass
        except AssertionError as error:
            faults.append(str(error))
        for name, use in uses.items():
            try:
                use()
            except Exception as error:
                faults.append(f"{name}: {type(error).__name__}: {str(error)[:200]}")
    return faults


def trials(gan, count, seed=0):
    """{number of a trial: its faults}, of those that have any."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (32, *gan.image_shape), np.uint8)
    with contextlib.redirect_stdout(io.StringIO()):
        gan.train(images, 1, 8)  # compiles
        gan.generate(2)
    found = {}
    for number in range(count):
        seconds = random.uniform(1e-3, LONGEST)
        if faults := trial(gan, images, seconds, real=number % 2 == 1):
            found[number] = faults
    return found


def main():
    from test_backends import dc_gan

    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--trials", type=int, default=100, help="(%(default)s)")
    count = parser.parse_args().trials
    found = trials(dc_gan(), count)
    for number, faults in found.items():
        print(f"trial {number}:", "; ".join(faults), file=sys.stderr)
    print(f"{keras.backend.backend()}: {len(found)} of {count} trials failed")
    sys.exit(bool(found))


if __name__ == "__main__":
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    main()
