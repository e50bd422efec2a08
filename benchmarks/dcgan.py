"""DCGAN's training step against three others over the same networks, and against the
loader. TensorFlow backend.

    python benchmarks/dcgan.py [--sizes paper] [--precision mixed_bfloat16]

It writes benchmarks/dcgan_default.json.

- zoo: DCGAN.train_step.
- tape: a tf.function with GradientTapes, written by hand.
- classic: the tutorials' calls: G.predict, D on real, D on fake, combined
  (made to work: D's weights do move).
- torch: eager PyTorch.

The sizes are those of the first command in the README, of the paper, and of
Fashion-MNIST with one update of G a step.
"""

import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image
from turns import options, take_turns, torch_module, write

from zoo.common import dataset
from zoo.dcgan import DCGAN, Player, build_discriminator, build_generator

SIZES = {
    "default": {
        "size": 32,
        "channels": 1,
        "filters": 64,
        "batch": 32,
        "generator_steps": 2,
    },
    "paper": {
        "size": 64,
        "channels": 3,
        "filters": 128,
        "batch": 128,
        "generator_steps": 1,
    },
    "fashion": {
        "size": 32,
        "channels": 1,
        "filters": 64,
        "batch": 128,
        "generator_steps": 1,
    },
    "tiny": {"size": 16, "channels": 1, "filters": 4, "batch": 8, "generator_steps": 2},
}
TURNS = {"paper": (4, 1), None: (12, 3)}  # rounds, and steps in a turn


def tape_step(gan, o):
    """The step of the TensorFlow tutorials, with the zoo's order of updates and losses."""
    g, d = gan.generator, gan.discriminator
    g_adam, d_adam = (keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)

    def noise():
        return tf.random.uniform((o.batch, gan.generator.input_shape[1]), -1, 1)

    @tf.function
    def step(images):
        made = g(noise(), training=True)
        with tf.GradientTape() as tape:
            real, fake = d(images, training=True), d(made, training=True)
            d_loss = loss(0.9 * tf.ones_like(real), real) + loss(
                tf.zeros_like(fake), fake
            )
        d_adam.apply(
            tape.gradient(d_loss, d.trainable_variables), d.trainable_variables
        )
        for _ in range(o.generator_steps):
            with tf.GradientTape() as tape:
                logits = d(g(noise(), training=True), training=True)
                g_loss = loss(tf.ones_like(logits), logits)
            g_adam.apply(
                tape.gradient(g_loss, g.trainable_variables), g.trainable_variables
            )
        return (
            d_loss,
            g_loss,
            tf.reduce_mean(tf.sigmoid(real)),
            tf.reduce_mean(tf.sigmoid(fake)),
        )

    return lambda images: [float(x) for x in step(images)]


def classic_step(gan, o):
    """The calls of the Keras tutorials."""
    g, d = gan.generator, gan.discriminator
    image, z = keras.Input(d.input_shape[1:]), keras.Input(g.input_shape[1:])
    bce = keras.losses.BinaryCrossentropy(from_logits=True)
    d_adam, g_adam = (keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in range(2))
    real_or_fake = Player(
        image,
        {"d": d(image)},
        [d],
        d_adam,
        loss={"d": bce},
        metrics={"d": ["accuracy"]},
    )
    combined = Player(z, {"g": d(g(z))}, [g], g_adam, loss={"g": bce})
    ones, zeros = np.ones((o.batch, 1), "float32"), np.zeros((o.batch, 1), "float32")

    def noise():
        return np.random.uniform(-1, 1, (o.batch, gan.generator.input_shape[1])).astype(
            "float32"
        )

    def step(images):
        fakes = gan.generator.predict(noise(), verbose=0)
        d_loss = real_or_fake.train_on_batch(images, {"d": 0.9 * ones})["loss"]
        d_loss += real_or_fake.train_on_batch(fakes, {"d": zeros})["loss"]
        for _ in range(o.generator_steps):
            g_loss = combined.train_on_batch(noise(), {"g": ones})["loss"]
        return d_loss / 2, g_loss

    return step


def torch_step(gan, o, torch):
    numbers = (
        o.size,
        o.channels,
        gan.generator.input_shape[1],
        o.filters,
        o.generator_steps,
    )
    step = torch.dcgan_step(*numbers, like=[gan.generator, gan.discriminator])
    return torch.in_precision(o.precision, step)


def loader_speeds(folder, o):
    """Images a second, none of them seen before: {source: speed}."""
    random = np.random.default_rng(0)
    np.save(folder / "images.npy", random.integers(0, 256, (30_000, 28, 28), np.uint8))
    (folder / "jpegs").mkdir()
    for i in range(2_000):  # the size of CelebA's
        picture = Image.fromarray(
            random.integers(0, 256, (14, 11, 3), np.uint8)
        ).resize((178, 218))
        picture.save(folder / "jpegs" / f"{i:04d}.jpg", quality=90)
    with zipfile.ZipFile(folder / "jpegs.zip", "w") as archive:
        for file in sorted((folder / "jpegs").iterdir()):
            archive.write(file, file.name)
    speeds = {}
    for name, source in (
        ("array", "images.npy"),
        ("folder of JPEGs", "jpegs"),
        ("zip of JPEGs", "jpegs.zip"),
    ):
        images = dataset.load(folder / source, o.size, o.channels, o.batch)
        start = time.perf_counter()
        for i in range(len(images)):
            images[i]
        speeds[name] = len(images) * o.batch / (time.perf_counter() - start)
    return speeds


def main():
    o = options(__doc__, SIZES, TURNS)
    shape = o.size, o.size, o.channels

    def gan():
        networks = (
            build_generator(shape, filters=o.filters),
            build_discriminator(shape, o.filters),
        )
        return DCGAN(*networks, generator_steps=o.generator_steps)

    contenders = {
        "zoo": gan().train_step,
        "tape": tape_step(gan(), o),
        "classic": classic_step(gan(), o),
    }
    if torch := torch_module():
        contenders["torch"] = torch_step(gan(), o, torch)
    images = (
        np.random.default_rng(0).uniform(-1, 1, (o.batch, *shape)).astype("float32")
    )
    contenders = {name: partial(step, images) for name, step in contenders.items()}
    steps = {"dcgan": take_turns(contenders, o.rounds, o.steps)}
    loader = {}
    with tempfile.TemporaryDirectory() as folder:
        step_speed = 1000 * o.batch / steps["dcgan"]["zoo"]["ms"]
        for name, speed in loader_speeds(Path(folder), o).items():
            loader[name] = {
                "images_per_second": speed,
                "of_the_step": speed / step_speed,
            }
            print(
                f"{name:>16}: {speed:6.0f} images/s loaded, {speed / step_speed:.1f} "
                "times what the step takes"
            )
    write(o, steps, loader=loader)


if __name__ == "__main__":
    main()
