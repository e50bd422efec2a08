"""CycleGAN: translates images of domain A to domain B and back, learnt without pairs.

Zhu, Park, Isola, Efros: Unpaired Image-to-Image Translation using Cycle-Consistent
Adversarial Networks, arXiv:1703.10593.

    image of A (batch, h, w, 3) in [-1, 1]  ->  generator_ab  ->  image of B, same shape
    image of B (batch, h, w, 3) in [-1, 1]  ->  generator_ba  ->  image of A, same shape
    image of A  ->  discriminator_a (PatchGAN)  ->  scores (batch, 30, 30, 1), 1 is real

The paper's G, F, D_X, D_Y are generator_ab, generator_ba, discriminator_a and
discriminator_b; its code calls them G_A, G_B, D_B, D_A. h and w are multiples of 4.

    python -m zoo.cyclegan --epochs 5                         glasses on and off
    python -m zoo.cyclegan --data emoji                       emoji in two styles
    python -m zoo.cyclegan --data horse2zebra --size 128
    python -m zoo.cyclegan --data my/cats --data-b my/dogs    two folders
    python -m zoo.cyclegan --apply photo.png --direction AtoB
    python -m zoo.cyclegan --evaluate                         measures beside baselines

With --apply, photos with sides over 1024 pixels are cut into tiles. Instance
normalisation works on each tile alone, so that tiles may differ slightly in colour.

Differences from the paper:
- The defaults are for laptops (paper: `--size 256 --filters 64 --blocks 9
  --batch-size 1`). Images are shrunk to 286/256 of the size and cropped, as in the
  authors' code, but not pixel art: `--jitter 1`.
- The identity loss, which the paper uses for paintings only, is always on.
  `--identity-weight 0`.
- The learning rate falls to 0 over the second half of the training, whatever `--epochs`
  is (paper: over the last 100 of 200 epochs).
- G is updated before D, as in the authors' code.
- Instance normalisation adds a shift, and the convolution before it has no bias
  (authors' code: the other way round, with as many parameters).
"""

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
# 1. The networks (Section 7.2)


def build_generator(blocks=9, filters=64, name="generator"):
    """G: images (batch, h, w, 3) in [-1, 1] -> the same shape; h, w multiples of 4.

    Args:
        blocks: residual blocks; the paper has 6 for 128 x 128 and 9 from 256 x 256 on.
        filters: width of the first layer; the blocks are four times as wide.
    """
    image = keras.Input((None, None, 3), name="image")
    x = normalized(convolution(reflect(image, 3), filters, 7))  # (h, w, 64)
    for width in (2 * filters, 4 * filters):  # (h/2, w/2, 128), (h/4, w/4, 256)
        x = normalized(convolution(x, width, 3, strides=2, padding="same"))
    for _ in range(blocks):
        y = normalized(convolution(reflect(x, 1), width, 3))
        y = instance_norm()(convolution(reflect(y, 1), width, 3))
        x = layers.Add()([x, y])
    for width in (2 * filters, filters):  # (h/2, w/2, 128), (h, w, 64)
        x = layers.Conv2DTranspose(width, 3, 2, "same", use_bias=False,
                                   kernel_initializer=normal())(x)  # fmt: skip
        x = normalized(x)
    x = convolution(reflect(x, 3), 3, 7, use_bias=True)  # (h, w, 3)
    x = layers.Activation("tanh", dtype="float32")(x)
    return keras.Model(image, x, name=name)


def build_discriminator(size=256, filters=64, name="discriminator"):
    """D, a 70 x 70 PatchGAN: images (batch, size, size, 3) -> scores (batch, h, w, 1).

    Args:
        size: 24 or more; the map of 256 is 30 x 30.
        filters: width of the first layer; each next one is twice as wide, up to 8
            times.
    """
    x = image = keras.Input((size, size, 3), name="image")
    for i in range(4):  # (128, 128, 64), (64, 64, 128), (32, 32, 256), (31, 31, 512)
        # One pixel of zeros on each side, as in PyTorch: Keras' "same" would keep 32 x
        # 32.
        x = layers.ZeroPadding2D(1)(x)
        x = convolution(
            x, filters * 2**i, 4, strides=2 if i < 3 else 1, use_bias=i == 0
        )
        x = layers.LeakyReLU(negative_slope=0.2)(instance_norm()(x) if i > 0 else x)
    x = convolution(layers.ZeroPadding2D(1)(x), 1, 4, use_bias=True)  # (30, 30, 1)
    x = layers.Activation("linear", dtype="float32")(x)
    return keras.Model(image, x, name=name)


def convolution(x, width, kernel, use_bias=False, **options):
    """Section 7.1: weights start from a normal distribution, deviation 0.02."""
    options |= {"use_bias": use_bias, "kernel_initializer": normal()}
    return layers.Conv2D(width, kernel, **options)(x)


def normal():
    return keras.initializers.RandomNormal(0.0, 0.02)


def instance_norm():
    # It adds a shift; the scale is left to the next convolution.
    return layers.GroupNormalization(groups=-1, epsilon=1e-5, scale=False)


def normalized(x):
    return layers.ReLU()(instance_norm()(x))


def reflect(x, pixels):
    """Reflection padding. Zero padding would leave a visible frame in the output."""
    return ops.pad(x, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]], "reflect")


# --------------------------------------------------------------------------------------
# 3. The game (CycleGAN needs no chapter 2: it does nothing to the images)


class CycleGAN:
    """Two generators, two discriminators and their training.

    Args:
        generator_ab, generator_ba: Keras models, images in [-1, 1] -> the same shape.
            None: the paper's.
        discriminator_a, discriminator_b: Keras models, images (batch, size, size, 3) ->
            scores. None: the paper's, for training images of `size` pixels.
        cycle_weight: weight of the cycle loss, the paper's lambda.
        identity_weight: weight of the identity loss, as a share of `cycle_weight`.
        pool_size: past images of each G that its D is shown again (Section 4); 0: none.
        learning_rate: of both Adam optimisers in the first half of the training.
        seed: seed of the pools and of the order of the images. The first weights follow
            from `keras.utils.set_random_seed`.
    """

    networks = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
    players, state = ("combined", "d_step"), ("steps", "pool_a", "pool_b")
    batch_size = 1  # Section 7.1

    def __init__(self, generator_ab=None, generator_ba=None, discriminator_a=None,
                 discriminator_b=None, size=256, cycle_weight=10, identity_weight=0.5,
                 pool_size=50, learning_rate=2e-4, seed=0):  # fmt: skip
        given = generator_ab, generator_ba, discriminator_a, discriminator_b
        check_networks(*given)
        size = next((d.input_shape[1] for d in given[2:] if d is not None), size)
        build = 2 * [build_generator] + 2 * [partial(build_discriminator, size)]
        for name, network, make in zip(self.networks, given, build, strict=True):
            setattr(self, name, make(name=name) if network is None else network)
        G, F, D_A, D_B = (getattr(self, name) for name in self.networks)
        self.image_shape, self.stride = D_A.input_shape[1:], total_stride(G)
        self.identity_weight, self.pool_size = identity_weight, pool_size
        self.learning_rate, self.seed = learning_rate, seed
        self.steps, self.total_steps, self.pool_a, self.pool_b = 0, None, [], []
        a, b = keras.Input(self.image_shape), keras.Input(self.image_shape)

        # The generators' loss (equations 1 to 3, with squares in place of logarithms,
        # Section 4): (D_B(G(a)) - 1)^2 + (D_A(F(b)) - 1)^2
        # + lambda * (|F(G(a)) - a| + |G(F(b)) - b|)
        # + lambda * identity_weight * (|F(a) - a| + |G(b) - b|).
        fake_a, fake_b = F(b), G(a)
        outputs = {"fake_a": fake_a, "fake_b": fake_b}
        outputs |= {"adversarial_a": D_A(fake_a), "adversarial_b": D_B(fake_b)}
        outputs |= {"cycle_a": F(fake_b), "cycle_b": G(fake_a)}
        weights = {"adversarial_a": 1, "adversarial_b": 1}
        weights |= {"cycle_a": cycle_weight, "cycle_b": cycle_weight}
        if identity_weight:
            outputs |= {"identity_a": F(a), "identity_b": G(b)}
            weights |= dict.fromkeys(("identity_a", "identity_b"),
                                     identity_weight * cycle_weight)  # fmt: skip
        losses = {n: "mse" if n.startswith("adversarial") else "mae" for n in weights}
        adam = keras.optimizers.Adam(learning_rate, beta_1=0.5)
        self.combined = Player([a, b], outputs, [G, F], adam, ["fake_a", "fake_b"],
                               loss=losses, loss_weights=weights)  # fmt: skip
        # The discriminators' losses: ((D(real) - 1)^2 + D(fake)^2) / 2. Section 7.1
        # halves them; with Adam this changes only the logged number, not the update.
        real_a, fake_a, real_b, fake_b = (
            keras.Input(self.image_shape) for _ in range(4)
        )
        outputs = {"real_a": D_A(real_a), "fake_a": D_A(fake_a)}
        outputs |= {"real_b": D_B(real_b), "fake_b": D_B(fake_b)}
        self.d_step = Player(
            [real_a, fake_a, real_b, fake_b],
            outputs,
            [D_A, D_B],
            keras.optimizers.Adam(learning_rate, beta_1=0.5),
            loss=dict.fromkeys(outputs, "mse"),
            loss_weights=dict.fromkeys(outputs, 0.5),
            metrics={name: [mean_output] for name in outputs},
        )

    def train_step(self, images):
        """One update of both generators, then one of both discriminators.

        Args:
            images: two float32 mini-batches (a, b) in [-1, 1].

        Returns:
            dict of floats: the losses and the discriminators' mean scores.
        """
        a, b = images
        rate = linear_decay(self.learning_rate, self.steps, self.total_steps)
        self.combined.optimizer.learning_rate = rate
        self.d_step.optimizer.learning_rate = rate
        shape = len(a), *self.discriminator_a.output_shape[1:]
        ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")
        kinds = ("cycle", "identity") if self.identity_weight else ("cycle",)
        targets = {"adversarial_a": ones, "adversarial_b": ones}
        targets |= {f"{k}_a": a for k in kinds} | {f"{k}_b": b for k in kinds}
        g = self.combined.train_on_batch([a, b], targets)
        random = np.random.default_rng((self.seed, self.steps))
        self.steps += 1
        fake_a = self.exchange(self.pool_a, g["fake_a"], random)
        fake_b = self.exchange(self.pool_b, g["fake_b"], random)
        targets = {"real_a": ones, "fake_a": zeros, "real_b": ones, "fake_b": zeros}
        d = self.d_step.train_on_batch([a, fake_a, b, fake_b], targets)
        logs = {"g_loss": g["loss"]}
        for kind in ("adversarial", *kinds):
            logs[f"{kind}_loss"] = g[f"{kind}_a_loss"] + g[f"{kind}_b_loss"]
        for x in "ab":
            logs[f"d_{x}_loss"] = (d[f"real_{x}_loss"] + d[f"fake_{x}_loss"]) / 2
            logs[f"d_{x}_real"] = d[f"real_{x}_mean_output"]
            logs[f"d_{x}_fake"] = d[f"fake_{x}_mean_output"]
        return {name: float(value) for name, value in logs.items()}

    def exchange(self, pool, images, random):
        """Image pool (Section 4): the images that D is shown for the new ones.

        Once the pool is full, a stored image comes back with probability 0.5, and the
        new one takes its place.
        """
        if not self.pool_size:
            return images
        shown = []
        for image in images:
            if len(pool) < self.pool_size:
                pool.append(image.copy())  # a view would keep its mini-batch in memory
            elif random.random() < 0.5:
                place = random.integers(len(pool))
                pool[place], image = image.copy(), pool[place]
            shown.append(image)
        return np.stack(shown)

    def translate(self, images, direction="AtoB"):
        """Translates uint8 images (batch, h, w, 3) to the other domain, in that shape.

        h and w are multiples of the generators' total stride.
        """
        networks = {"AtoB": self.generator_ab, "BtoA": self.generator_ba}
        images = to_float(images, multiple=self.stride)
        return to_uint8(networks[direction].predict(images, batch_size=4, verbose=0))

    @classmethod
    def pretrained(cls):
        """A CycleGAN with the ready generators of the zoo."""
        try:
            from zoo.common import sources
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(missing(error)) from None
        return cls(*sources.ready("cyclegan", cls.networks))

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
# 5. Evaluation is the same as DualGAN's: zoo/common/domains.py


def mean_output(_, output):
    """Metric: the mean score that D gives."""
    return output


def linear_decay(rate, step, total):
    """Section 4: `rate` for the first half of the steps, then linearly to 0."""
    return rate * float(np.clip(2 - 2 * step / total, 0, 1)) if total else rate


def total_stride(network):
    """G keeps the shape of images whose sides are multiples of this."""
    if network.input_shape[1]:  # a network for images of one size
        return 1
    for stride in (1, 2, 4, 8, 16, 32, 64, 128, 256):
        shape = (1, 9 * stride, 9 * stride, 3)
        try:
            if tuple(network.compute_output_shape(shape)) == shape:
                return stride
        except ValueError:  # the maps that a skip joins have different sizes
            continue
    return 512


# --------------------------------------------------------------------------------------
# 6. The command line

STEPS = 200  # in an epoch, at least


def missing(error):
    """What to do where this file lies without the folder zoo."""
    if not error.name.startswith("zoo"):
        raise error
    name = Path(__file__).stem
    return (
        f"{name}.py needs the folder zoo beside it for this: in a clone of the zoo, "
        f"`python -m zoo copy {name} FOLDER` writes both"
    )


def parse(cli, argv):
    """The options of the command line."""
    parser = cli.parser("cyclegan", __doc__, data="glasses", size=32, batch_size=8,
                        learning_rate=2e-4, steps=STEPS, weights=False)  # fmt: skip
    add, weight = parser.add_argument, cli.number(float, 0)
    add("--data-b", metavar="SOURCE",
        help="images of domain B; --data then has those of domain A")  # fmt: skip
    add("--jitter", type=cli.number(float, 1, 2), metavar="X",
        help="enlargement before the crop (1 for pixel art, else 1.117)")  # fmt: skip
    add("--blocks", type=cli.positive, metavar="N",
        help="residual blocks (9 from size 256 on, below it 6)")  # fmt: skip
    add("--filters", type=cli.positive, default=24, metavar="N",
        help="width of the networks; the paper's is 64 (%(default)s)")  # fmt: skip
    add("--cycle-weight", type=weight, default=10, metavar="X",
        help="weight of the cycle loss (%(default)s)")  # fmt: skip
    add("--identity-weight", type=weight, default=0.5, metavar="X",
        help="weight of the identity loss, in cycle weights (%(default)s)")  # fmt: skip
    add("--pool", type=cli.number(int, 0), default=50, metavar="N",
        help="past images that D is shown again (%(default)s)")  # fmt: skip
    add("--apply", nargs="+", metavar="PHOTO", help="translate pictures of any size")
    add("--direction", choices=["AtoB", "BtoA"], default="AtoB",
        help="direction of --apply (%(default)s)")  # fmt: skip
    o = cli.parse(parser, argv, actions=("apply", "evaluate"), free=("direction",))
    if o.data_b and o.data == "glasses":
        cli.fail("--data-b has the images of B: give --data too, with those of A")
    if o.size % 4 or o.size < 24:
        cli.fail(f"--size {o.size} should be a multiple of 4, 24 or more")
    o.blocks = o.blocks or (9 if o.size >= 256 else 6)
    return o


def main(argv=None):
    """Trains or resumes a run; --apply and --evaluate use one."""
    try:
        from zoo.common import cli
    except ModuleNotFoundError as error:
        print("error:", missing(error), file=sys.stderr)
        raise SystemExit(2) from None
    o = parse(cli, argv)
    from zoo.common import dataset, domains, photos, run

    both = {"size": o.size, "source_b": o.data_b, "seed": o.seed, "jitter": o.jitter}
    with cli.errors(ValueError):
        if not (o.apply or o.evaluate):
            images = domains.load(o.data, batch_size=o.batch_size, **both)
            o.steps_per_epoch = images.steps = o.steps_per_epoch or max(
                len(images), STEPS
            )
            real_a, real_b, _ = domains.take(o.data, 5, **both)
        resnet = partial(build_generator, o.blocks, o.filters)
        patchgan = partial(build_discriminator, o.size, o.filters)
        networks = [resnet(f"generator_{n}") for n in ("ab", "ba")]
        networks += [patchgan(f"discriminator_{n}") for n in "ab"]
        gan = CycleGAN(*networks, o.size, o.cycle_weight, o.identity_weight, o.pool,
                       o.learning_rate, o.seed)  # fmt: skip

    with cli.errors(dataset.DataError, photos.PhotoError, knobs="photo"):
        if o.apply or o.evaluate:
            run.load_trained(o, gan)
        if o.evaluate:
            cli.report(
                o, domains.evaluate_source(gan, *cli.held_out(o), o.data, **both)
            )
        elif o.apply:
            # The overlap is the reach of the layers, without that of the normalisation.
            tiles = {"tile": 1024, "halo": 8 * o.blocks + 16, "multiple": gan.stride}
            translate = partial(gan.translate, direction=o.direction)
            tiles["colour"] = True
            photos.apply_all(o.apply, o.output, o.direction, translate, **tiles)
    if not (o.apply or o.evaluate):
        sample = partial(domains.sample, gan, real_a, real_b)
        with cli.errors(dataset.DataError), run.Run(o, gan, sample, images) as folder:
            gan.train(images, o.epochs, callbacks=folder, **folder.position)


if __name__ == "__main__":
    main()
