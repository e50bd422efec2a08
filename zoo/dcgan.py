"""DCGAN: two convolutional networks learn to generate images from noise.

Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks, arXiv:1511.06434.

    noise z (batch, 100) in [-1, 1]  ->  generator G  ->  image (batch, 64, 64, 3)
    image (batch, 64, 64, 3) in [-1, 1]  ->  discriminator D  ->  logit (batch, 1)

    python -m zoo.dcgan --epochs 5                  train on 9,000 pixel-art people
    python -m zoo.dcgan --data my/photos --size 64  train on your own images
    python -m zoo.dcgan --generate 64               write a grid of generated images
    python -m zoo.dcgan --interpolate 10            write a row from one to another
    python -m zoo.dcgan --evaluate                  measure the generated images

Differences from the paper:
- G is updated twice per step (paper: once), and D's label for real images is 0.9
  (paper: 1; one-sided label smoothing, Salimans et al. 2016, arXiv:1606.03498).
  Otherwise D becomes too good too early. `--generator-steps 1 --label-smoothing 0`.
- 32 filters and mini-batches of 64 (paper: 128 and 128), so that a laptop can train it.
  `--filters 128 --batch-size 128`.
- Image sizes other than 64 get fewer or more layers, see `doublings`.
- Fewer than 1000 images are flipped and shifted at random; otherwise D learns them by
  heart. `--no-augment`.
- Convolutions before a batch normalisation have no bias: the normalisation would
  subtract it again.
"""

import argparse
import collections
import contextlib
import os
import signal
import sys
import threading
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up notes of TensorFlow
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster on CPUs without AVX-512

import keras
import numpy as np
from keras import layers, ops

keras.config.set_image_data_format("channels_last")  # whatever keras.json says
keras.config.set_floatx("float32")

# --------------------------------------------------------------------------------------
# 1. The networks (Section 3 and Figure 1)


def build_generator(image_shape=(64, 64, 3), latent_dim=100, filters=128):
    """G: noise (batch, latent_dim) in [-1, 1] -> images in [-1, 1].

    Args:
        image_shape: (size, size, channels), see `doublings` for the sizes.
        filters: width of the last hidden layer; the layer before is twice as wide.
    """
    start, n = doublings(image_shape)
    width = filters * 2 ** (n - 1)
    z = keras.Input((latent_dim,), name="noise")
    x = layers.Dense(start**2 * width, use_bias=False, kernel_initializer=normal())(z)
    x = layers.Reshape((start, start, width))(x)  # (4, 4, 1024) in the paper
    x = layers.ReLU()(batch_norm()(x))
    for _ in range(n - 1):  # (8, 8, 512), (16, 16, 256), (32, 32, 128)
        width //= 2
        x = layers.Conv2DTranspose(width, 5, 2, "same", use_bias=False,
                                   kernel_initializer=normal())(x)  # fmt: skip
        x = layers.ReLU()(batch_norm()(x))
    x = layers.Conv2DTranspose(image_shape[2], 5, 2, "same",
                               kernel_initializer=normal())(x)  # fmt: skip
    return keras.Model(
        z, layers.Activation("tanh", dtype="float32")(x), name="generator"
    )


def build_discriminator(image_shape=(64, 64, 3), filters=128):
    """D: images in [-1, 1] -> logits (batch, 1), positive for "real".

    Args:
        image_shape: (size, size, channels), see `doublings` for the sizes.
        filters: width of the first layer; each next layer is twice as wide.
    """
    _, n = doublings(image_shape)
    x = image = keras.Input(image_shape, name="image")
    for i in range(n):  # (32, 32, 128), (16, 16, 256), (8, 8, 512), (4, 4, 1024)
        x = layers.Conv2D(filters * 2**i, 5, 2, "same", use_bias=i == 0,
                          kernel_initializer=normal())(x)  # fmt: skip
        x = batch_norm()(x) if i > 0 else x  # none in the first layer (Section 3)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(1, kernel_initializer=normal(), dtype="float32")(x)
    return keras.Model(image, x, name="discriminator")


def normal(mean=0.0):
    """Section 4: weights start from a normal distribution, standard deviation 0.02."""
    return keras.initializers.RandomNormal(mean, 0.02)


def batch_norm():
    """Section 3: it keeps G from collapsing all samples to a single point."""
    gamma = normal(1.0)
    return layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, gamma_initializer=gamma
    )


def doublings(image_shape):
    """(start, n): G doubles `start` pixels n times. 64 -> (4, 4), 28 -> (7, 2)."""
    start, n = image_shape[0], 0
    while start % 2 == 0 and start > 7:
        start, n = start // 2, n + 1
    square = len(image_shape) == 3 and image_shape[0] == image_shape[1]
    if not (square and 4 <= start <= 7 and 2 <= n <= 5):
        raise ValueError(
            f"image shape {tuple(image_shape)}: DCGAN makes (size, size, channels) by "
            "doubling 4 to 7 pixels; use a size of 28, 32, 48, 64, 96 or 128"
        )
    return start, n


# --------------------------------------------------------------------------------------
# 3. The game


class DCGAN:
    """G, D and their training.

    Args:
        generator: Keras model from noise (batch, latent_dim) to images in [-1, 1].
            None is the paper's, or one for the images of `discriminator`.
        discriminator: Keras model from images to logits (without a sigmoid). None is
            the paper's, for the images of `generator`.
        learning_rate: learning rate of both Adam optimisers.
        label_smoothing: D's target for real images is 1 - label_smoothing.
        generator_steps: updates of G per update of D.
        seed: seed of the noise and of the order of the images. The first weights follow
            from `keras.utils.set_random_seed`.
    """

    networks, players = ("generator", "discriminator"), ("d_step", "combined")
    state = ("steps",)
    batch_size = 128  # Section 4

    def __init__(self, generator=None, discriminator=None, learning_rate=2e-4,
                 label_smoothing=0.1, generator_steps=2, seed=0):  # fmt: skip
        check_networks(generator, discriminator)
        if generator is None:
            own = discriminator.input_shape[1:] if discriminator else (64, 64, 3)
            generator = build_generator(own)
        self.image_shape = generator.output_shape[1:]
        if discriminator is None:
            discriminator = build_discriminator(self.image_shape)
        self.generator, self.discriminator = G, D = generator, discriminator
        self.label_smoothing, self.generator_steps = label_smoothing, generator_steps
        self.seed, self.steps = seed, 0
        z, image = keras.Input(G.input_shape[1:]), keras.Input(self.image_shape)
        bce = keras.losses.BinaryCrossentropy(from_logits=True)

        # D's loss: -log D(x) - log(1 - D(G(z))). Real and generated images go through D
        # separately, so that batch normalisation does not mix their statistics.
        self.d_step = Player(
            [image, z],
            {"real": D(image), "fake": D(ops.stop_gradient(G(z)))},
            [D],
            keras.optimizers.Adam(learning_rate, beta_1=0.5),  # Section 4
            loss={"real": bce, "fake": bce},
            metrics={"real": [probability], "fake": [probability]},
        )
        # G's loss: -log D(G(z)), small if D takes the generated images for real ones.
        adam = keras.optimizers.Adam(learning_rate, beta_1=0.5)
        self.combined = Player(z, {"fake": D(G(z))}, [G], adam, loss={"fake": bce})

    def train_step(self, images):
        """One update of D, then `generator_steps` of G.

        Args:
            images: float32 (batch, size, size, channels) in [-1, 1].

        Returns:
            dict of floats: the losses (of G's last update) and D's mean scores.
        """
        n = len(images)
        shape = n, *self.discriminator.output_shape[1:]
        ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")
        random = np.random.default_rng((self.seed, self.steps))
        targets = {"real": (1 - self.label_smoothing) * ones, "fake": zeros}
        d = self.d_step.train_on_batch([images, self.noise(n, random)], targets)
        for _ in range(self.generator_steps):
            g = self.combined.train_on_batch(self.noise(n, random), {"fake": ones})
        self.steps += 1
        return {
            "d_loss": float(d["loss"]),
            "g_loss": float(g["loss"]),
            "d_real": float(d["real_probability"]),
            "d_fake": float(d["fake_probability"]),
        }

    def noise(self, n, random):
        """n latent vectors z, uniform in [-1, 1]: float32 (n, latent_dim)."""
        return random.uniform(-1, 1, (n, *self.generator.input_shape[1:])).astype(
            "float32"
        )

    def generate(self, n=64, seed=0, z=None):
        """n images of noise drawn with `seed`, or one for each row of z.

        Returns:
            uint8 (n, size, size, channels).
        """
        z = self.noise(n, np.random.default_rng(seed)) if z is None else z
        return to_uint8(self.generator.predict(z, batch_size=128, verbose=0))

    def interpolate(self, n=10, seed=0):
        """n images on the arc between two z: uint8 (n, size, size, channels).

        This is slerp (White 2016, arXiv:1609.04468). The vectors in the middle of a
        straight line would be shorter than those that G was trained on.
        """
        a, b = self.noise(2, np.random.default_rng(seed))
        angle = np.arccos(np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b))
        t = np.linspace(0, 1, n).reshape(n, *[1] * a.ndim)
        z = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
        return self.generate(z=np.clip(z, -1, 1).astype("float32"))

    @classmethod
    def pretrained(cls):
        """A DCGAN with the ready networks of the zoo."""
        try:
            from zoo.common import sources
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(missing(error)) from None
        return cls(*sources.ready("dcgan", cls.networks))

    # ----------------------------------------------------------------------------------
    # 4. The same in every file: training loop, save and load, players, batches, checks

    def train(self, images, epochs, batch_size=None, callbacks=None, initial_epoch=0,
              initial_step=0):  # fmt: skip
        """Trains up to epoch `epochs`; returns a Keras History with the epochs' means.

        Args:
            images: uint8 (count, height, width, channels), in a tuple with labels or a
                second domain; or a PyDataset of float32 mini-batches in [-1, 1]; or
                `keras.utils.image_dataset_from_directory(...)`.
            batch_size: of arrays; None is `self.batch_size`.
            callbacks: Keras callbacks: one, several or None. Their model is `combined`.
            initial_epoch, initial_step: where to resume.
        """
        if not isinstance(images, keras.utils.PyDataset):
            images = Batches(images, batch_size or self.batch_size, self)
        model, steps = self.combined, len(images)
        self.total_steps = self.steps + (epochs - initial_epoch) * steps - initial_step
        callbacks = callback_list(callbacks, model=model, epochs=epochs, steps=steps)
        model.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            images.epoch, history = epoch, collections.defaultdict(list)
            images.on_epoch_begin()
            callbacks.on_epoch_begin(epoch)
            for step in range(initial_step if epoch == initial_epoch else 0, steps):
                callbacks.on_train_batch_begin(step)
                with uninterrupted():
                    logs = self.train_step(images[step])
                callbacks.on_train_batch_end(step, logs)
                for name, value in logs.items():
                    history[name].append(value)
                if model.stop_training:
                    break
            images.on_epoch_end()
            means = {name: float(np.mean(values)) for name, values in history.items()}
            callbacks.on_epoch_end(epoch, means)
            if model.stop_training:
                break
        callbacks.on_train_end()
        return model.history

    def save(self, folder):
        """Writes the networks as .keras files; training.npz has the rest for `load`."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name in self.networks:
            getattr(self, name).save(Path(folder, f"{name}.keras"))
        state = {name: getattr(self, name) for name in self.state}
        for name in self.players:
            for i, variable in enumerate(getattr(self, name).optimizer.variables):
                state[f"{name}_{i}"] = ops.convert_to_numpy(variable)
        np.savez(Path(folder, "training.npz"), **state)

    def load(self, folder):
        """Loads what `save` wrote, or the checkpoint of a run, into equal networks."""
        for name in self.networks:
            getattr(self, name).load_weights(Path(folder, f"{name}.keras"))
        with np.load(Path(folder, "training.npz")) as state:
            for name in self.players:
                for i, variable in enumerate(getattr(self, name).optimizer.variables):
                    variable.assign(state[f"{name}_{i}"])
            for name in self.state:
                setattr(self, name, list(x) if (x := state[name]).ndim else x.item())


class Player(keras.Model):
    """A Keras model whose optimiser updates only the weights of `networks`.

    Keras trains what `trainable_variables` lists. Switching D's `trainable` off would
    also stop D's own step. Identity layers name the outputs and their losses.
    """

    def __init__(self, inputs, outputs, networks, optimizer, shown=(), **options):
        named = {k: layers.Identity(name=k, dtype="float32") for k in outputs}
        super().__init__(inputs, {k: named[k](x) for k, x in outputs.items()})
        self.networks, self.shown = networks, shown
        self.compile(optimizer, **options)
        self.optimizer.build(self.trainable_variables)  # creates what `load` sets
        zeros = {k: ops.zeros((1, *x.shape[1:])) for k, x in self.output.items()}
        targets = {name: zeros[name] for name in options["loss"]}
        self.compute_loss(None, targets, zeros)
        self.compute_metrics(None, targets, zeros)

    def train_on_batch(self, x, y):
        self.reset_metrics()  # Keras 3.10 would return means over all batches so far
        return super().train_on_batch(x, y, return_dict=True)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        return logs | {name: y_pred[name] for name in self.shown}

    def get_config(self):
        raise NotImplementedError("a GAN can't be pickled or copied: use save(folder)")

    @property
    def trainable_variables(self):
        return [v for network in self.networks for v in network.trainable_variables]

    @property
    def non_trainable_variables(self):
        trained = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in trained]

    trainable_weights = trainable_variables
    non_trainable_weights = non_trainable_variables


class Batches(keras.utils.PyDataset):
    """Mini-batches of what `train` takes, in an order drawn from (seed, epoch)."""

    def __init__(self, images, batch_size, gan):
        super().__init__()
        if hasattr(images, "element_spec"):  # a tf.data.Dataset, values from 0 to 255
            parts = zip(*map(keras.tree.flatten, images), strict=True)
            x, *labels = (np.concatenate(part) for part in parts)
            images = (np.rint(x).astype("uint8" if x.max() > 2 else float), *labels)
        parts = images if isinstance(images, tuple) else (images,)
        self.parts, self.shape = [np.atleast_1d(x) for x in parts], gan.image_shape
        to_float(self.parts[0][:1], self.shape)  # refuses other images and iterables
        self.batch_size, self.seed, self.epoch = batch_size, gan.seed, 0
        if (count := min(map(len, self.parts))) < batch_size:
            raise ValueError(f"{count} images are fewer than batch_size={batch_size}")
        if {len(x) for x in self.parts if x.ndim == 1} - {len(self.parts[0])}:
            raise ValueError(f"there must be {len(self.parts[0])} labels, as of images")

    def __len__(self):
        return max(map(len, self.parts)) // self.batch_size

    def __getitem__(self, step):
        batch, n = [], self.batch_size
        for i, part in enumerate(self.parts):  # labels are drawn like their images
            seed = self.seed + i * (part.ndim > 1), self.epoch
            order = np.random.default_rng(seed).permutation(len(part))
            start = step % (len(part) // n) * n
            chosen = part[order[start : start + n]]
            batch.append(to_float(chosen, self.shape) if part.ndim > 1 else chosen)
        return tuple(batch) if len(batch) > 1 else batch[0]


def to_float(images, shape=(None, None, 3), multiple=1):
    """uint8 images (count, *shape) -> float32 in [-1, 1]. None: any n * `multiple`."""
    images = np.asarray(images)
    sides = zip(images.shape[1:], shape, strict=False)
    fits = all(n % multiple == 0 if m is None else n == m for n, m in sides)
    if images.dtype != np.uint8 or images.ndim != 4 or not fits:
        wanted = ("count", *(n or f"n * {multiple}" for n in shape))
        raise ValueError(
            f"images are {images.dtype} {images.shape}, not uint8 {wanted}: use "
            "np.asarray(Image.open(FILE).convert('RGB' or 'L').resize(size))[None]"
        )
    return images.astype("float32") / 127.5 - 1


def to_uint8(images):
    """Float images in [-1, 1] -> uint8, the inverse of `to_float`."""
    return np.clip(np.rint((np.asarray(images) + 1) * 127.5), 0, 255).astype("uint8")


def check_networks(*networks):
    """Raises ValueError for a subclassed Keras model, which has no fixed shapes."""
    if not all(getattr(n, "inputs", None) for n in networks if n is not None):
        raise ValueError("wrap it: keras.Sequential([keras.Input(shape), network])")


def callback_list(callbacks, **about):
    """A Keras CallbackList; ValueError for callbacks that need a single Keras model."""
    callbacks = [] if callbacks is None else keras.tree.flatten(callbacks)
    for c in callbacks:
        kind, advice = type(c).__name__, None
        if kind == "BackupAndRestore" or not getattr(c, "save_weights_only", True):
            advice = "call save(folder) in a LambdaCallback, and load(folder) to resume"
        if getattr(c, "save_best_only", True) and getattr(c, "mode", None) == "auto":
            advice = "give mode='min' or 'max'; a GAN's losses do not show its quality"
        if kind in ("LearningRateScheduler", "ReduceLROnPlateau"):
            advice = "give the class a learning_rate; all its optimisers have it"
        if advice:
            raise ValueError(f"{kind} does not fit a GAN of several models: {advice}")
    return keras.callbacks.CallbackList(callbacks, True, True, verbose=1, **about)


@contextlib.contextmanager
def uninterrupted():
    """Delays Ctrl-C and other signals to the end of the block: no step is half done."""
    late, main = [], threading.current_thread() is threading.main_thread()
    handlers = {n: signal.getsignal(n) for n in signal.valid_signals() if main}
    with contextlib.ExitStack() as stack:
        for n in filter(lambda n: callable(handlers[n]), handlers):
            signal.signal(n, lambda *args: late.append(args))
            stack.callback(signal.signal, n, handlers[n])
        yield
    for n, frame in late:
        handlers[n](n, frame)


# --------------------------------------------------------------------------------------
# 5. Evaluation


def probability(_, logits):
    """Metric: the mean probability of "real" that D gives."""
    return ops.sigmoid(logits)


def evaluate(gan, train, test, n=10_000):
    """Compares n generated images with a training and a test set (dataset.Images).

    Returns:
        {row: {column: number}}, see `metrics.compare_sets`. The rows are the samples,
        those of an untrained generator, and the test set.
    """
    from zoo.common import metrics

    z = gan.noise(n, np.random.default_rng(0))
    untrained = keras.models.clone_model(gan.generator)
    untrained = to_uint8(untrained.predict(z, batch_size=128, verbose=0))
    rows = {"samples": gan.generate(z=z), "untrained": untrained}
    return metrics.compare_sets(rows | {"real (test)": test.take(n)}, train, test)


# --------------------------------------------------------------------------------------
# 6. The command line


def missing(error):
    """What to do where this file lies without the folder zoo."""
    if not error.name.startswith("zoo"):
        raise error
    name = Path(__file__).stem
    return (
        f"{name}.py needs the folder zoo beside it for this: in a clone of the zoo, "
        f"`python -m zoo copy {name} FOLDER` writes both"
    )


def main(argv=None):
    """Trains or resumes a run; --generate, --interpolate and --evaluate use one."""
    try:
        from zoo.common import cli
    except ModuleNotFoundError as error:
        print("error:", missing(error), file=sys.stderr)
        raise SystemExit(2) from None
    least = 200  # steps in an epoch
    parser = cli.parser("dcgan", __doc__, data="avatars", size=32, batch_size=64,
                        learning_rate=2e-4, steps=least)  # fmt: skip
    add = parser.add_argument
    share, flag = cli.number(float, 0, 0.9), argparse.BooleanOptionalAction
    add("--filters", type=cli.positive, default=32, metavar="N",
        help="width of the networks; the paper's is 128 (%(default)s)")  # fmt: skip
    add("--latent-dim", type=cli.number(int, 2), default=100, metavar="N",
        help="length of the latent vector z (%(default)s)")  # fmt: skip
    add("--label-smoothing", type=share, default=0.1, metavar="X",
        help="D's target for real images is 1 - X (%(default)s)")  # fmt: skip
    add("--generator-steps", type=cli.positive, default=2, metavar="N",
        help="updates of G per update of D (%(default)s)")  # fmt: skip
    add("--channels", type=int, choices=[1, 3],
        help="1 for grey, 3 for colour (as the images are)")  # fmt: skip
    add("--crop", choices=["center", "random"],
        help="how squares are cut (random for textures, else center)")  # fmt: skip
    add("--augment", action=flag, help="flip and shift (for fewer than 1000 images)")
    add("--generate", type=cli.positive, metavar="N", help="write a grid of N images")
    add("--interpolate", type=cli.positive, metavar="N",
        help="write a row of N images from one to another")  # fmt: skip
    o = cli.parse(parser, argv, actions=("generate", "interpolate", "evaluate"))
    from zoo.common import dataset, pictures, run

    def load(source, split, batch_size=None):
        return dataset.load(source, o.size, o.channels, batch_size, split, o.crop,
                            seed=o.seed)  # fmt: skip

    with cli.errors(ValueError):
        generator = cli.given_generator(o)
        if generator is not None:
            o.size, o.channels = generator.output_shape[2:]
        if not (o.generate or o.interpolate):
            images = load(o.data, "train", o.batch_size)
            o.channels, o.batch_size = images.shape[2], images.batch_size
            o.steps_per_epoch = images.steps = o.steps_per_epoch or max(
                len(images), least
            )
            o.augment = images.count < 1000 if o.augment is None else o.augment
            if images.count < 200:
                cli.warn(f"{images.count} images are few: expect noise, or copies")
        shape = (o.size, o.size, o.channels or 3)
        generator = generator or build_generator(shape, o.latent_dim, o.filters)
        gan = DCGAN(generator, build_discriminator(shape, o.filters), o.learning_rate,
                    o.label_smoothing, o.generator_steps, o.seed)  # fmt: skip

    if o.generate or o.interpolate or o.evaluate:
        with cli.errors(dataset.DataError, knobs="number of images"):
            run.load_trained(o, gan)
            if o.generate:
                cli.output(o, pictures.sheet(gan.generate(o.generate, o.seed)))
            elif o.interpolate:
                row = gan.interpolate(o.interpolate, o.seed)
                cli.output(o, pictures.sheet(row, columns=o.interpolate))
            else:
                cli.report(o, evaluate(gan, images, load(*cli.held_out(o))))
        return

    images.flip, images.jitter = o.augment, 17 / 16 if o.augment else 1
    sample = partial(gan.generate, 64)
    with cli.errors(dataset.DataError), run.Run(o, gan, sample, images) as folder:
        gan.train(images, o.epochs, callbacks=folder, **folder.position)


if __name__ == "__main__":
    main()
