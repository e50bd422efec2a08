"""DualGAN: translates images of A to B and back, learnt without pairs, by Wasserstein.

Yi, Zhang, Tan, Gong: DualGAN: Unsupervised Dual Learning for Image-to-Image
Translation, arXiv:1704.02510.

    image of A (batch, h, w, 3) in [-1, 1]  ->  generator_ab  ->  image of B, same shape
    image of B (batch, h, w, 3) in [-1, 1]  ->  generator_ba  ->  image of A, same shape
    image of A  ->  discriminator_a, a critic (PatchGAN)  ->  values (batch, 30, 30, 1)

The paper's G_A, G_B, D_A, D_B are generator_ab, generator_ba, discriminator_b and
discriminator_a. h and w are multiples of 2**depth. A critic gives high values to real
images. The gap is its mean value of real images minus that of generated ones. It
estimates the Wasserstein distance of the two, up to a factor, as long as the weights
stay in [-clip, clip].

    python -m zoo.dualgan --epochs 5                          glasses on and off
    python -m zoo.dualgan --data emoji                        emoji in two styles
    python -m zoo.dualgan --data horse2zebra --size 128 --depth 7
    python -m zoo.dualgan --data my/cats --data-b my/dogs     two folders
    python -m zoo.dualgan --apply photo.png --direction AtoB
    python -m zoo.dualgan --evaluate                          measures beside baselines

With --apply, photos with sides over 1024 pixels are cut into tiles. Instance
normalisation works on each tile alone, so that tiles may differ slightly in colour.

Differences from the paper:
- The defaults are for laptops (paper: `--size 256 --filters 64 --depth 8`; its authors'
  code: `--learning-rate 5e-5`). The paper's ranges are 100 to 1000 for the recovery
  weights, 0.01 to 0.1 for the clipping and 2 to 4 critic steps.
- Images are shrunk to 286/256 of the size and cropped, as in CycleGAN, but not pixel
  art: `--jitter 1`.
- The generators have instance normalisation, because a mini-batch has few images; it
  has a shift and no scale. The critics have none, which would undo the clipping.
- The generators are updated before the critics (paper: after), so that the critics
  learn from the images just generated. Each critic step gets other images.
- RMSprop's epsilon is 1e-10: the gradients of clipped critics are small.
- Weight clipping, as in the paper. The authors' later gradient penalty needs a gradient
  inside the loss, for which Keras has no function that works on every backend.
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
# 1. The networks (Section 3.3: pix2pix's)


def build_generator(depth=8, filters=64, dropout=0.5, name="generator"):
    """G, a U-Net: images (batch, h, w, 3) in [-1, 1] -> the same shape.

    h and w are multiples of 2**depth.

    Args:
        depth: layers of the encoder, each of which halves the map, and of the decoder.
        filters: width of the first layer; each next one of the encoder is twice as
            wide, up to 8 times.
        dropout: share of the values that the first three layers of the decoder drop:
            the noise. It is on at test too: call the model with `training=True`.
    """
    x = image = keras.Input((None, None, 3), name="image")
    maps, widths = [], [filters * min(2**i, 8) for i in range(depth)]
    for i, width in enumerate(widths):  # (h/2, w/2, 64), (h/4, w/4, 128) ...
        plain = i in (0, depth - 1)  # the normalisation of a single value is zero
        x = layers.LeakyReLU(negative_slope=0.2)(x) if i > 0 else x
        x = layers.Conv2D(width, 4, 2, "same", use_bias=plain,
                          kernel_initializer=normal())(x)  # fmt: skip
        x = x if plain else instance_norm()(x)
        maps.append(x)
    maps.pop()
    for i, width in enumerate(
        reversed(widths[:-1])
    ):  # ... (h/4, w/4, 128), (h/2, ..., 64)
        x = layers.ReLU()(x)
        x = layers.Conv2DTranspose(width, 4, 2, "same", use_bias=False,
                                   kernel_initializer=normal())(x)  # fmt: skip
        x = instance_norm()(x)
        x = layers.Dropout(dropout, seed=i)(x) if dropout and i < 3 else x
        x = layers.Concatenate()([x, maps.pop()])
    x = layers.ReLU()(x)
    x = layers.Conv2DTranspose(3, 4, 2, "same", kernel_initializer=normal())(x)
    x = layers.Activation("tanh", dtype="float32")(x)  # (h, w, 3)
    return keras.Model(image, x, name=name)


def build_discriminator(size=256, filters=64, name="discriminator"):
    """A critic, a 70 x 70 PatchGAN: images (batch, size, size, 3) -> (batch, h, w, 1).

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
        x = layers.Conv2D(filters * 2**i, 4, 2 if i < 3 else 1,
                          kernel_initializer=normal())(x)  # fmt: skip
        x = layers.LeakyReLU(negative_slope=0.2)(x)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(1, 4, kernel_initializer=normal())(x)  # (30, 30, 1)
    x = layers.Activation("linear", dtype="float32")(x)
    return keras.Model(image, x, name=name)


def normal():
    """As in pix2pix: weights start from a normal distribution, deviation 0.02."""
    return keras.initializers.RandomNormal(0.0, 0.02)


def instance_norm():
    # It adds a shift; the scale is left to the next convolution.
    return layers.GroupNormalization(groups=-1, epsilon=1e-5, scale=False)


class Clip(keras.constraints.Constraint):
    """Keeps weights in [-limit, limit]: the optimiser applies it after each update."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, weights):
        return ops.clip(weights, -self.limit, self.limit)


# --------------------------------------------------------------------------------------
# 3. The game (DualGAN needs no chapter 2: it does nothing to the images)


class DualGAN:
    """Two generators, two critics and their training.

    Args:
        generator_ab, generator_ba: Keras models, images in [-1, 1] -> the same shape.
            None: the paper's.
        discriminator_a, discriminator_b: Keras models, images (batch, size, size, 3) ->
            values. None: the paper's, for training images of `size` pixels.
        recovery_weights: of the L1 recovery of A and of B, lambda_U and lambda_V.
        critic_steps: updates of the critics per update of the generators.
        clip: the critics' weights stay in [-clip, clip].
        learning_rate: of both RMSprop optimisers.
        deterministic: no dropout at test.
        seed: seed of the dropout and of the order of the images. The first weights
            follow from `keras.utils.set_random_seed`.

    A step takes the images of all critic steps: `batch_size` of `train` is a multiple
    of `critic_steps`.
    """

    networks = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")
    players, state = ("combined", "d_step"), ("steps",)

    def __init__(self, generator_ab=None, generator_ba=None, discriminator_a=None,
                 discriminator_b=None, size=256, recovery_weights=(500, 500),
                 critic_steps=2, clip=0.01, learning_rate=5e-5, deterministic=False,
                 seed=0):  # fmt: skip
        given = generator_ab, generator_ba, discriminator_a, discriminator_b
        check_networks(*given)
        size = next((d.input_shape[1] for d in given[2:] if d is not None), size)
        build = 2 * [build_generator] + 2 * [partial(build_discriminator, size)]
        for name, network, make in zip(self.networks, given, build, strict=True):
            setattr(self, name, make(name=name) if network is None else network)
        G, F, D_A, D_B = (getattr(self, name) for name in self.networks)
        self.image_shape, self.stride = D_A.input_shape[1:], total_stride(G)
        self.critic_steps, self.clip, self.deterministic = (
            critic_steps,
            clip,
            deterministic,
        )
        self.batch_size, self.seed, self.steps = critic_steps, seed, 0
        for variable in D_A.trainable_variables + D_B.trainable_variables:
            variable.constraint = Clip(clip)
        several = [keras.Input((critic_steps, *self.image_shape)) for _ in range(2)]
        a, b = (images[:, -1] for images in several)

        # The generators' loss (Section 3.2): -D_B(G(a)) - D_A(F(b))
        # + lambda_U |F(G(a)) - a| + lambda_V |G(F(b)) - b|.
        # The images for the other critic steps are only translated.
        fake_a, fake_b = F(b), G(a)
        outputs = {"fake_a": with_others(fake_a, F, several[1]),
                   "fake_b": with_others(fake_b, G, several[0])}  # fmt: skip
        outputs |= {"adversarial_a": D_A(fake_a), "adversarial_b": D_B(fake_b)}
        outputs |= {"recovery_a": F(fake_b), "recovery_b": G(fake_a)}
        weights = {"adversarial_a": -1, "adversarial_b": -1}
        weights |= dict(
            zip(("recovery_a", "recovery_b"), recovery_weights, strict=True)
        )
        losses = {n: "mae" if "recovery" in n else mean_output for n in weights}
        rmsprop = keras.optimizers.RMSprop(learning_rate, epsilon=1e-10)
        self.combined = Player(several, outputs, [G, F], rmsprop, ["fake_a", "fake_b"],
                               loss=losses, loss_weights=weights)  # fmt: skip
        # The critics' loss: -gap of A - gap of B.
        real_a, fake_a, real_b, fake_b = (
            keras.Input(self.image_shape) for _ in range(4)
        )
        outputs = {"real_a": D_A(real_a), "fake_a": D_A(fake_a)}
        outputs |= {"real_b": D_B(real_b), "fake_b": D_B(fake_b)}
        rmsprop = keras.optimizers.RMSprop(learning_rate, epsilon=1e-10)
        signs = {name: -1 if "real" in name else 1 for name in outputs}
        self.d_step = Player([real_a, fake_a, real_b, fake_b], outputs, [D_A, D_B],
                             rmsprop, loss=dict.fromkeys(outputs, mean_output),
                             loss_weights=signs)  # fmt: skip

    def train_step(self, images):
        """One update of both generators, then `critic_steps` of both critics.

        Args:
            images: two float32 arrays (a, b) of critic_steps * batch images in [-1, 1].

        Returns:
            dict of floats: the losses, the mean gaps, the share of clipped weights.
        """
        if len(images[0]) % self.critic_steps:
            raise ValueError(f"{len(images[0])} images in a step are not a multiple of "
                             f"critic_steps={self.critic_steps}")  # fmt: skip
        a, b = (np.reshape(x, (-1, self.critic_steps, *x.shape[1:])) for x in images)
        # The critics' values have no targets, but Keras needs an array for them.
        none = np.zeros((len(a), *self.discriminator_a.output_shape[1:]), "float32")
        targets = {"adversarial_a": none, "adversarial_b": none}
        targets |= {"recovery_a": a[:, -1], "recovery_b": b[:, -1]}
        self._fix_dropout(self.seed, self.steps)
        g = self.combined.train_on_batch([a, b], targets)
        self.steps += 1
        gaps, targets = [], dict.fromkeys(self.d_step.output_names, none)
        for i in range(self.critic_steps):
            inputs = [x[:, i] for x in (a, g["fake_a"], b, g["fake_b"])]
            d = self.d_step.train_on_batch(inputs, targets)
            gaps.append([d[f"real_{x}_loss"] - d[f"fake_{x}_loss"] for x in "ab"])
        recovery = g["recovery_a_loss"] + g["recovery_b_loss"]
        logs = {"g_loss": g["loss"], "recovery_loss": recovery}
        logs["gap_a"], logs["gap_b"] = np.mean(gaps, axis=0)
        logs["clipped"] = self.clipped()
        return {name: float(value) for name, value in logs.items()}

    def clipped(self):
        """The share of the critics' weights at the limits: near 1 they hardly learn."""
        weights = [ops.convert_to_numpy(v) for v in self.d_step.trainable_variables]
        at_limit = sum(np.count_nonzero(np.abs(v) >= self.clip) for v in weights)
        return at_limit / sum(v.size for v in weights)

    def _fix_dropout(self, seed, step):
        """Seeds dropout with (seed, step): a resumed run uses the same masks."""
        found, stack = [], [self.generator_ab, self.generator_ba]
        while stack:
            layer = stack.pop(0)
            if isinstance(layer, layers.Dropout):
                found.append(layer)
            stack = list(getattr(layer, "layers", [])) + stack
        for i, layer in enumerate(found):
            state = np.random.default_rng((seed, step, i)).integers(2**30, size=2)
            layer.seed_generator.state.assign(state)

    def translate(self, images, direction="AtoB", seed=0):
        """Translates uint8 images (batch, h, w, 3) to the other domain, in that shape.

        h and w are multiples of the generators' total stride. `seed` is the dropout's.
        """
        network = {"AtoB": self.generator_ab, "BtoA": self.generator_ba}[direction]
        results = []
        for i, image in enumerate(to_float(images, multiple=self.stride)):
            self._fix_dropout(seed, i)  # one by one: independent of each other
            result = network(image[None], training=not self.deterministic)
            results.append(to_uint8(ops.convert_to_numpy(result)))
        return np.concatenate(results)

    @classmethod
    def pretrained(cls):
        """A DualGAN with the ready generators of the zoo."""
        try:
            from zoo.common import sources
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(missing(error)) from None
        return cls(*sources.ready("dualgan", cls.networks))

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
# 5. Evaluation is the same as CycleGAN's: zoo/common/domains.py


def mean_output(_, output):
    """Loss: the mean value that a critic gives."""
    return output


def with_others(last, generator, images):
    """The images generated from (batch, critic_steps, ...), given those of the last."""
    steps, *shape = images.shape[1:]
    if steps == 1:
        return last[:, None]
    others = generator(ops.reshape(images[:, :-1], (-1, *shape)))
    others = ops.reshape(ops.stop_gradient(others), (-1, steps - 1, *shape))
    return ops.concatenate([others, last[:, None]], axis=1)


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

STEPS = 400  # in an epoch, at least


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
    parser = cli.parser("dualgan", __doc__, data="glasses", size=32, batch_size=4,
                        learning_rate=2e-4, steps=STEPS, weights=False)  # fmt: skip
    add, weight = parser.add_argument, cli.number(float, 0)
    add("--data-b", metavar="SOURCE",
        help="images of domain B; --data then has those of domain A")  # fmt: skip
    add("--jitter", type=cli.number(float, 1, 2), metavar="X",
        help="enlargement before the crop (1 for pixel art, else 1.117)")  # fmt: skip
    add("--depth", type=cli.number(int, 2, 9), default=5, metavar="N",
        help="halvings in the U-Net (%(default)s)")  # fmt: skip
    add("--filters", type=cli.positive, default=32, metavar="N",
        help="width of the networks; the paper's is 64 (%(default)s)")  # fmt: skip
    add("--dropout", type=cli.number(float, 0, 0.9), default=0.5, metavar="X",
        help="share of the values dropped as noise (%(default)s)")  # fmt: skip
    add("--recovery-weights", type=weight, nargs=2, metavar=("A", "B"),
        default=[500.0, 500.0], help="weights of L1 recovery (500 500)")  # fmt: skip
    add("--critic-steps", type=cli.positive, default=2, metavar="N",
        help="critic updates per generator update (%(default)s)")  # fmt: skip
    add("--clip", type=cli.number(float, 1e-4), default=0.01, metavar="X",
        help="limit of the critics' weights (%(default)s)")  # fmt: skip
    add("--deterministic", action="store_true", help="no dropout at test")
    add("--apply", nargs="+", metavar="PHOTO", help="translate pictures of any size")
    add("--direction", choices=["AtoB", "BtoA"], default="AtoB",
        help="direction of --apply (%(default)s)")  # fmt: skip
    o = cli.parse(parser, argv, actions=("apply", "evaluate"),
                  free=("direction", "deterministic"))  # fmt: skip
    if o.data_b and o.data == "glasses":
        cli.fail("--data-b has the images of B: give --data too, with those of A")
    if o.size % 2**o.depth or o.size < 24:
        cli.fail(f"--size {o.size} should be 24 or more, and a multiple of {2**o.depth}"
                 f", because of --depth {o.depth}")  # fmt: skip
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
            count = o.batch_size * o.critic_steps
            try:
                images = domains.load(o.data, batch_size=count, **both)
            except dataset.DataError as error:
                product = "; a step takes --batch-size times --critic-steps images"
                raise ValueError(
                    f"{error}{product * ('batch' in str(error))}"
                ) from error
            o.steps_per_epoch = images.steps = o.steps_per_epoch or max(
                len(images), STEPS
            )
            real_a, real_b, _ = domains.take(o.data, 5, **both)
        unet = o.depth, o.filters, o.dropout
        networks = [build_generator(*unet, f"generator_{n}") for n in ("ab", "ba")]
        critic = partial(build_discriminator, o.size, o.filters)
        networks += [critic(f"discriminator_{n}") for n in "ab"]
        gan = DualGAN(*networks, o.size, o.recovery_weights, o.critic_steps, o.clip,
                      o.learning_rate, o.deterministic, o.seed)  # fmt: skip

    with cli.errors(dataset.DataError, photos.PhotoError, knobs="photo"):
        if o.apply or o.evaluate:
            run.load_trained(o, gan)
        if o.evaluate:
            cli.report(
                o, domains.evaluate_source(gan, *cli.held_out(o), o.data, **both)
            )
        elif o.apply:
            overlap = min(3 * 2**o.depth, 256)
            tiles = {
                "tile": 1024,
                "halo": overlap,
                "multiple": gan.stride,
                "colour": True,
            }
            translate = partial(gan.translate, direction=o.direction, seed=o.seed)
            photos.apply_all(o.apply, o.output, o.direction, translate, **tiles)
    if not (o.apply or o.evaluate):
        sample = partial(domains.sample, gan, real_a, real_b)
        with cli.errors(dataset.DataError), run.Run(o, gan, sample, images) as folder:
            gan.train(images, o.epochs, callbacks=folder, **folder.position)


if __name__ == "__main__":
    main()
