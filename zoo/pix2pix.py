"""pix2pix: grey photos to colour, drawings to colour, or any pairs of images.

Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial
Networks, arXiv:1611.07004.

    input x (batch, 256, 256, 1 or 3) in [-1, 1]  ->  generator G (U-Net)  ->  image y
    [x, y or G(x)]  ->  discriminator D (PatchGAN)  ->  logits (batch, 30, 30, 1)

    python -m zoo.pix2pix --epochs 5                  colorize photos, no download
    python -m zoo.pix2pix --task drawing --epochs 5   colour outlines of emoji
    python -m zoo.pix2pix --data my/photos --epochs 50 --learning-rate 2e-4
    python -m zoo.pix2pix --task pairs --data facades --direction BtoA
    python -m zoo.pix2pix --apply photo.jpg           colour a photo of any size
    python -m zoo.pix2pix --evaluate                  errors beside the baselines

Tasks: colorize gets the lightness L of CIELAB and predicts the colours a and b. drawing
gets a grey outline, sketch a pencil sketch of a photo, and both predict the RGB image.
pairs translates A to B. Pictures of other sizes are shrunk to the network's square, as
each output pixel depends on the whole input. The colours are then enlarged and joined
with the photo's own L; the output of the other tasks is enlarged.

Differences from the paper:
- Normalisation is per image, in training and at test (paper: per batch, in both).
  `--norm batch`.
- The learning rate falls to 0 along a cosine over the second half of the training
  (paper: constant).
- Photos are cut to random squares of any size; pairs are jittered as in the paper. Red
  things (faces, flowers) are often in the middle of a photo. A U-Net trained on whole
  photos would therefore redden the middle of every picture.
- G is updated before D (paper: D first), so that D learns from the images that G has
  just generated.
- The defaults are for laptops (paper: `--size 256 --filters 64 --learning-rate 2e-4`,
  mini-batches of 1 to 10). The higher rate is for trainings of a few thousand steps.
- Convolutions before a normalisation have no bias: it would subtract it again.
"""

import argparse
import collections
import contextlib
import os
import signal
import sys
import threading
import warnings
from functools import partial
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up notes of TensorFlow
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster on CPUs without AVX-512

import keras
import numpy as np
from keras import layers, ops
from PIL import Image
from scipy import ndimage
from skimage import color
from skimage.filters import gaussian

keras.config.set_image_data_format("channels_last")  # whatever keras.json says
keras.config.set_floatx("float32")

# --------------------------------------------------------------------------------------
# 1. The networks (Section 6.1)

PATCHES = {1: 0, 16: 1, 70: 3, 286: 5}  # receptive field of D: its layers of stride 2


def build_generator(size=256, in_channels=1, out_channels=2, filters=64, dropout=0.5,
                    norm="instance", skips=True):  # fmt: skip
    """G, a U-Net: (batch, size, size, in_channels) -> (..., out_channels), in [-1, 1].

    Args:
        size: a multiple of 32 up to 512. The encoder halves it while it is even: 256 to
            1 in eight layers.
        filters: width of the first layer; the encoder's next are 2, 4 and 8 times as
            wide, the others 8 times.
        dropout: share of the values that the first three layers of the decoder drop:
            the noise z. It is on at test too: call the model with `training=True`.
        norm: "instance" or "batch", see `normalize`.
        skips: skip connections; without them G is an encoder-decoder.
    """
    if size % 32 or not 32 <= size <= 512:
        raise ValueError(f"size {size} should be a multiple of 32, from 32 to 512")
    x = image = keras.Input((size, size, in_channels), name="image")
    maps, widths = [], []
    while size % 2 == 0:  # (128, 128, 64), (64, 64, 128), ... (1, 1, 512)
        widths.append(filters * min(2 ** len(maps), 8))
        size //= 2
        plain = not maps or size == 1  # the normalisation of a single value is zero
        x = layers.LeakyReLU(negative_slope=0.2)(x) if maps else x
        x = layers.Conv2D(widths[-1], 4, 2, "same", use_bias=plain,
                          kernel_initializer=normal())(x)  # fmt: skip
        x = x if plain else normalize(x, norm)
        maps.append(x)
    maps.pop()
    for i, width in enumerate(reversed(widths[:-1])):  # (2, 2, 512) ... (128, 128, 64)
        x = layers.ReLU()(x)
        x = layers.Conv2DTranspose(width, 4, 2, "same", use_bias=False,
                                   kernel_initializer=normal())(x)  # fmt: skip
        x = normalize(x, norm)
        x = layers.Dropout(dropout, seed=i)(x) if dropout and i < 3 else x
        x = layers.Concatenate()([x, maps.pop()]) if skips else x
    x = layers.ReLU()(x)
    x = layers.Conv2DTranspose(out_channels, 4, 2, "same",
                               kernel_initializer=normal())(x)  # fmt: skip
    x = layers.Activation("tanh", dtype="float32")(x)  # (256, 256, out_channels)
    return keras.Model(image, x, name="generator")


def build_discriminator(size=256, in_channels=1, out_channels=2, patch=70, filters=64,
                        norm="instance"):  # fmt: skip
    """D, a PatchGAN: [x, y] -> logits (batch, h, w, 1), one for each overlapping patch.

    Args:
        size: side of x (batch, size, size, in_channels) and of y (..., out_channels).
        patch: side of the patches in pixels: 1, 16, 70 or 286. 70 of 256: 30 x 30 map.
        filters: width of the first layer; the next are 2, 4 and 8 times as wide.
        norm: "instance" or "batch", see `normalize`.
    """
    if patch not in PATCHES:
        raise ValueError(f"patch is {patch}, and can be {', '.join(map(str, PATCHES))}")
    n, kernel = PATCHES[patch], 1 if patch == 1 else 4
    if kernel > 1 and size < 4 << n:
        raise ValueError(f"patch {patch} needs a size of {4 << n} or more")
    inputs = [keras.Input((size, size, c)) for c in (in_channels, out_channels)]
    x = layers.Concatenate()(inputs)
    for i in range(max(2, n + 1)):  # (128, 128, 64), (64, ...), (32, ...), (31, ...)
        x = convolution(x, filters * min(2**i, 8), kernel, strides=2 if i < n else 1,
                        use_bias=i == 0)  # fmt: skip
        x = layers.LeakyReLU(negative_slope=0.2)(normalize(x, norm) if i > 0 else x)
    x = convolution(x, 1, kernel)  # (30, 30, 1)
    x = layers.Activation("linear", dtype="float32")(x)
    return keras.Model(inputs, x, name="discriminator")


def convolution(x, width, kernel, **options):
    # One pixel of zeros on each side, as in PyTorch: Keras' "same" would keep 32 x 32.
    x = layers.ZeroPadding2D(1)(x) if kernel > 1 else x
    return layers.Conv2D(width, kernel, kernel_initializer=normal(), **options)(x)


def normal(mean=0.0):
    """Section 6.2: weights start from a normal distribution, deviation 0.02."""
    return keras.initializers.RandomNormal(mean, 0.02)


def normalize(x, norm):
    """Normalises each map over an image ("instance") or the mini-batch ("batch")."""
    if norm not in ("instance", "batch"):
        raise ValueError(f"norm is {norm!r}, and can be instance or batch")
    gamma = normal(1.0)
    layer = layers.GroupNormalization(groups=-1, epsilon=1e-5, gamma_initializer=gamma)
    if norm == "instance":
        return layer(x)
    # Laid end to end; Keras' BatchNormalization would have moving averages at test.
    height, width, channels = x.shape[1:]
    x = layer(ops.reshape(x, (1, -1, width, channels)))
    return ops.reshape(x, (-1, height, width, channels))


# --------------------------------------------------------------------------------------
# 2. The task's images

# Channels of x and of y.
CHANNELS = {"colorize": (1, 2), "drawing": (1, 3), "sketch": (1, 3), "pairs": (3, 3)}
PAIRED = ("drawing", "pairs")  # tasks that are trained on pairs A | B


def to_lab(images):
    """RGB images (..., 3), uint8 or in [0, 1] -> float32 (L/50 - 1, a/110, b/110)."""
    return (color.rgb2lab(images) / [50, 110, 110] - [1, 0, 0]).astype("float32")


def colorize(photo, ab):
    """A uint8 photo (h, w, 3), its own lightness with the colours ab (any size, 2)."""
    width, scale, result = photo.shape[1], len(ab) / len(photo), np.empty_like(photo)
    planes = [Image.fromarray(np.array(ab[..., i], "float32")) for i in range(2)]
    for top in range(0, len(photo), 256):  # a band at a time, to save memory
        lab = color.rgb2lab(photo[top : top + 256])
        box = 0, scale * top, ab.shape[1], scale * (top + len(lab))
        for i, plane in enumerate(planes):
            plane = plane.resize((width, len(lab)), Image.Resampling.BILINEAR, box)
            lab[..., i + 1] = 110 * np.asarray(plane)
        with warnings.catch_warnings():  # RGB lacks some colours: the nearest is taken
            warnings.filterwarnings("ignore", "Conversion from CIE-LAB")
            result[top : top + 256] = np.rint(255 * color.lab2rgb(lab))
    return result


def sketch(image):
    """A pencil sketch, float (h, w) in [0, 1], of an RGB image in [0, 1]."""
    grey = color.rgb2gray(image) + 0.05  # so that an evenly black area becomes white
    return np.minimum(grey / gaussian(grey, 3), 1)


# --------------------------------------------------------------------------------------
# 3. The game


class Pix2Pix:
    """G, D and their training.

    Args:
        task: "colorize", "drawing", "sketch" or "pairs".
        generator: Keras model x -> y, both in [-1, 1]. None is the paper's.
        discriminator: Keras model [x, y] -> logits (without a sigmoid). None is the
            paper's. The size is that of the network given, or 256.
        direction: direction of pairs, "AtoB" or "BtoA".
        l1_weight: weight of the L1 loss, the paper's lambda.
        adversarial_weight: weight of the adversarial loss; 0 leaves D out.
        learning_rate: learning rate of both Adam optimisers, see `late_cosine`.
        deterministic: no dropout at test.
        seed: seed of the dropout and of the order of the images.
    """

    networks, players = ("generator", "discriminator"), ("d_step", "combined")
    state = ("steps",)
    batch_size = 1  # Section 6.2

    def __init__(self, task="colorize", generator=None, discriminator=None,
                 direction="AtoB", l1_weight=100, adversarial_weight=1,
                 learning_rate=2e-4, deterministic=False, seed=0):  # fmt: skip
        if task not in CHANNELS:
            raise ValueError(f"task is {task!r}, and can be {', '.join(CHANNELS)}")
        if direction not in ("AtoB", "BtoA"):
            raise ValueError(f"direction is {direction!r}, and can be AtoB or BtoA")
        if not (l1_weight or adversarial_weight):
            raise ValueError("both losses have the weight 0: there is nothing to learn")
        check_networks(generator, discriminator)
        self.size = size = side(task, generator, discriminator)
        if generator is None:
            generator = build_generator(size, *CHANNELS[task])
        if discriminator is None:
            discriminator = build_discriminator(size, *CHANNELS[task])
        self.generator, self.discriminator = G, D = generator, discriminator
        self.image_shape = (size, size, 6 if task in PAIRED else 3)
        self.task, self.direction, self.deterministic = task, direction, deterministic
        self.l1_weight, self.adversarial_weight = l1_weight, adversarial_weight
        self.learning_rate, self.seed = learning_rate, seed
        self.steps, self.total_steps = 0, None
        x, y = (keras.Input((size, size, n)) for n in CHANNELS[task])
        fake = keras.Input(y.shape[1:])
        bce = keras.losses.BinaryCrossentropy(from_logits=True)

        # G's loss (equations 1 to 4): -log D(x, G(x)) + lambda |y - G(x)|.
        generated = G(x)
        outputs = {"fake": generated, "adversarial": D([x, generated])}
        losses = {"fake": "mae", "adversarial": bce}
        weights = {"fake": l1_weight, "adversarial": adversarial_weight}
        if not adversarial_weight:
            del outputs["adversarial"], losses["adversarial"], weights["adversarial"]
        adam = keras.optimizers.Adam(learning_rate, beta_1=0.5)  # Section 6.2
        self.combined = Player(x, outputs, [G], adam, ["fake"], loss=losses,
                               loss_weights=weights)  # fmt: skip
        # D's loss: -log D(x, y) - log(1 - D(x, G(x))). Section 3.3 halves it; with Adam
        # this changes only the logged number, not the update.
        self.d_step = Player(
            [x, y, fake],
            {"real": D([x, y]), "fake": D([x, fake])},
            [D],
            keras.optimizers.Adam(learning_rate, beta_1=0.5),
            loss={"real": bce, "fake": bce},
            loss_weights={"real": 0.5, "fake": 0.5},
            metrics={"real": [probability], "fake": [probability]},
        )

    def train_step(self, images):
        """One update of G, then one of D on the images that G has just generated.

        Args:
            images: float32 images as `pair` takes them, or the (x, y) that it returns.

        Returns:
            dict of floats: the losses and D's mean scores.
        """
        x, y = images if isinstance(images, tuple) else self.pair(images)
        rate = late_cosine(self.learning_rate, self.steps, self.total_steps)
        self.combined.optimizer.learning_rate = rate
        self.d_step.optimizer.learning_rate = rate
        shape = len(x), *self.d_step.output["real"].shape[1:]
        ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")
        targets = {"fake": y, "adversarial": ones}
        if not self.adversarial_weight:
            del targets["adversarial"]
        fix_dropout(self.combined, self.seed, self.steps)
        g = self.combined.train_on_batch(x, targets)
        self.steps += 1
        if not self.adversarial_weight:
            loss = float(g["loss"])
            return {"g_loss": loss, "l1_loss": loss / self.l1_weight}
        d = self.d_step.train_on_batch([x, y, g["fake"]], {"real": ones, "fake": zeros})
        return {
            "g_loss": float(g["loss"]),
            "l1_loss": float(g["fake_loss"]),
            "adversarial_loss": float(g["adversarial_loss"]),
            "d_loss": float(d["loss"]),
            "d_real": float(d["real_probability"]),
            "d_fake": float(d["fake_probability"]),
        }

    def pair(self, images):
        """The x and y of float32 RGB images (pairs: six channels, A's then B's)."""
        if self.task == "colorize":
            lab = to_lab((images + 1) / 2)
            return lab[..., :1], lab[..., 1:]
        if self.task == "sketch":
            drawn = np.stack([sketch((image + 1) / 2) for image in images])
            return drawn[..., None].astype("float32") * 2 - 1, images
        a, b = images[..., :3], images[..., 3:]
        if self.task == "drawing":
            return color.rgb2gray(a)[..., None].astype("float32"), b
        return (a, b) if self.direction == "AtoB" else (b, a)

    def translate(self, images, seed=0):
        """The outputs for uint8 inputs (batch, h, w, 3) of any size, in that size.

        Args:
            images: photos, whose colours are ignored; drawings or sketches, dark on
                white; or one domain of the pairs.
            seed: of the dropout.
        """
        to_float(images)  # refuses other images
        results = []
        for i, image in enumerate(images):  # one by one: independent of each other
            size = self.size, self.size
            small = Image.fromarray(image).resize(size, Image.Resampling.BICUBIC)
            x = self.input(np.asarray(small))[None]
            fix_dropout(self.generator, seed, i)
            y = self.generator(x, training=not self.deterministic)
            y = ops.convert_to_numpy(y)[0]
            if self.task == "colorize":
                results.append(colorize(image, y))
            else:
                y = Image.fromarray(to_uint8(y))
                y = y.resize(image.shape[1::-1], Image.Resampling.BICUBIC)
                results.append(np.asarray(y))
        return np.stack(results)

    colorize = translate  # the verb of the default task

    def input(self, image):
        """G's input x (h, w, 1 or 3) for a uint8 image (h, w, 3)."""
        if self.task == "colorize":
            return to_lab(image)[..., :1]
        if self.task == "pairs":
            return to_float(image[None])[0]
        return color.rgb2gray(image)[..., None].astype("float32") * 2 - 1

    @classmethod
    def pretrained(cls, task="colorize"):
        """A Pix2Pix with the ready generator for a task: "colorize" or "drawing"."""
        try:
            from zoo.common import sources
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(missing(error)) from None
        name = "pix2pix" if task == "colorize" else f"pix2pix-{task}"
        networks = sources.ready(name, cls.networks)
        return cls(task, *networks)

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

MOST = 500  # images to evaluate on


def probability(_, logits):
    """Metric: the mean probability of "real" that D gives."""
    return ops.sigmoid(logits)


def side(task, generator, discriminator):
    """The side of the images of x and y, 256 if no network fixes it.

    Raises ValueError for networks with other channels. Keras would refuse most of them,
    but not a single channel for a network that takes three.
    """
    size, wanted = 256, CHANNELS[task]
    given = {"discriminator": discriminator, "generator": generator}
    for name, network in given.items():
        if network is None:
            continue
        tensors = network.inputs + (network.outputs if network is generator else [])
        shapes = [tuple(tensor.shape) for tensor in tensors]
        if [shape[3:] for shape in shapes] != [(n,) for n in wanted]:
            should = ", ".join(f"(None, size, size, {n})" for n in wanted)
            raise ValueError(f"the {name}'s x and y have the shapes {shapes}, and the "
                             f"task {task} needs [{should}]")  # fmt: skip
        size = shapes[0][1] or size
    return size


def late_cosine(rate, step, total):
    """The learning rate: `rate` for half of the steps, then along a cosine to 0."""
    half = max(1, (total or 0) // 2)
    share = np.clip(step / half - 1, 0, 1) if total else 0
    return rate * (1 + np.cos(np.pi * share)) / 2


def fix_dropout(model, seed, step):
    """Seeds dropout with (seed, step), so that a resumed run uses the same masks.

    On PyTorch, Keras seeds only layers that were given a seed: Dropout(0.5, seed=0).
    """
    states = [v for v in model.variables if v.name == "seed_generator_state"]
    for i, state in enumerate(states):
        state.assign(np.random.default_rng((seed, step, i)).integers(2**30, size=2))


def as_pictures(gan, images):
    """The inputs and the ground truth of uint8 `images`, as two uint8 RGB arrays."""
    if gan.task == "colorize":
        grey = [colorize(image, np.zeros((1, 1, 2))) for image in images]
        return np.stack(grey), images
    x, y = gan.pair(to_float(images, gan.image_shape))
    return np.repeat(to_uint8(x), 3 // x.shape[-1], axis=-1), to_uint8(y)


def filled(outline, colour):
    """A baseline for drawings: the outline (h, w, 3), filled with one colour."""
    parts, _ = ndimage.label(outline.min(-1) > 127)
    edges = {*parts[0], *parts[-1], *parts[:, 0], *parts[:, -1]}
    inside = ~np.isin(parts, [*edges, 0])
    return np.where(inside[..., None], np.uint8(colour), outline)


def evaluate(gan, images, train=None):
    """Compares G's output with the ground truth: {row: {column: mean}}.

    The rows are G's output and the baselines: the grey photo; or the input as it is,
    and with `train` the mean of the training targets ("mean target"), for drawings also
    the outline filled with the mean colour ("filled"). PSNR in dB is on RGB, SSIM on Y,
    L1 in grey levels. The ab error, the mean distance of the colours in CIELAB, rewards
    grey: read it together with the colourfulness.

    Args:
        images, train: dataset.Images; the first MOST of them, at the training size.
    """
    from zoo.common import metrics

    inputs, truths = as_pictures(gan, images.take(MOST))
    grey = gan.task == "colorize"
    rows = {"grey" if grey else "input": inputs, "output": gan.translate(inputs)}
    if train:
        targets = as_pictures(gan, train.take(MOST))[1]
        mean = np.rint(targets.mean(0)).astype(np.uint8)
        rows["mean target"] = [mean] * len(truths)
        if gan.task == "drawing":
            coloured = targets[np.ptp(targets, axis=-1) > 30]
            colour = np.rint(coloured.mean(0))
            rows["filled"] = [filled(outline, colour) for outline in inputs]
    result = {}
    for name, pictures in rows.items():
        result[name] = metrics.scores(pictures, truths)
        if grey:
            ab = [(to_lab(a)[..., 1:], to_lab(b)[..., 1:])
                  for a, b in zip(pictures, truths, strict=True)]  # fmt: skip
            errors = [110 * np.linalg.norm(a - b, axis=-1).mean() for a, b in ab]
            result[name]["ab error"] = float(np.mean(errors))
            colours = [metrics.colourfulness(picture) for picture in pictures]
            result[name]["colourful"] = float(np.mean(colours))
    if grey:
        colours = [metrics.colourfulness(picture) for picture in truths]
        result["ground truth"] = {"colourful": float(np.mean(colours))}
    return result


# --------------------------------------------------------------------------------------
# 6. The command line

STEPS = 100  # in an epoch, at least
# Data, size and mini-batch that each task starts with.
DEFAULTS = {
    "colorize": {"data": "photos", "size": 128, "batch_size": 4},
    "drawing": {"data": "drawings", "size": 64, "batch_size": 8},
    "sketch": {"data": "photos", "size": 128, "batch_size": 4},
    "pairs": {"data": "facades", "size": 128, "batch_size": 4},
}


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
    """The options of the command line; defaults and run folder follow the task."""
    parser = cli.parser("pix2pix", __doc__, **DEFAULTS["colorize"], learning_rate=3e-3,
                        steps=STEPS)  # fmt: skip
    add, flag = parser.add_argument, argparse.BooleanOptionalAction
    share, weight = cli.number(float, 0, 0.9), cli.number(float, 0)
    add("--task", choices=list(CHANNELS), default="colorize",
        help="what is translated (%(default)s)")  # fmt: skip
    add("--direction", choices=["AtoB", "BtoA"], default="AtoB",
        help="direction of pairs (%(default)s)")  # fmt: skip
    add("--filters", type=cli.positive, default=32, metavar="N",
        help="width of the networks; the paper's is 64 (%(default)s)")  # fmt: skip
    add("--dropout", type=share, default=0.5, metavar="X",
        help="share of the values dropped as noise (%(default)s)")  # fmt: skip
    add("--norm", choices=["instance", "batch"], default="instance",
        help="normalisation per image or mini-batch (%(default)s)")  # fmt: skip
    add("--skips", action=flag, default=True, help="skip connections: a U-Net (yes)")
    add("--patch", type=int, choices=list(PATCHES), default=70,
        help="pixels that one of D's logits sees (%(default)s)")  # fmt: skip
    add("--lambda", type=weight, default=100, metavar="X",
        help="weight of the L1 loss (%(default)s)")  # fmt: skip
    add("--adversarial-weight", type=weight, default=1, metavar="X",
        help="weight of the adversarial loss (%(default)s)")  # fmt: skip
    add("--deterministic", action="store_true", help="no dropout at test")
    add("--apply", nargs="+", metavar="PHOTO", help="translate pictures of any size")
    task = cli.peek(parser, argv, "task")
    run = "runs/pix2pix" + ("" if task == "colorize" else f"-{task}")
    parser.set_defaults(run=run, **DEFAULTS.get(task, {}))
    return cli.parse(
        parser, argv, actions=("apply", "evaluate"), free=("deterministic",)
    )


def main(argv=None):
    """Trains or resumes a run; --apply and --evaluate use one."""
    try:
        from zoo.common import cli
    except ModuleNotFoundError as error:
        print("error:", missing(error), file=sys.stderr)
        raise SystemExit(2) from None
    o = parse(cli, argv)
    from zoo.common import dataset, photos, run

    def load(source, split, batch_size=1):
        # Photos: random squares of any size. Pairs: the paper's jitter, 286 for 256.
        domain, crop, jitter = None, "zoom", 1
        if o.task in PAIRED:
            domain, crop = "AB", "center"
            jitter = 286 / 256 if split == "train" else 1
        return dataset.load(source, o.size, 3, batch_size, split, crop, True, jitter,
                            seed=o.seed, domain=domain)  # fmt: skip

    with cli.errors(ValueError):
        generator = cli.given_generator(o)
        o.size = (generator and generator.inputs[0].shape[1]) or o.size
        shapes = o.size, *CHANNELS[o.task]
        generator = generator or build_generator(*shapes, o.filters, o.dropout, o.norm,
                                                 o.skips)  # fmt: skip
        networks = generator, build_discriminator(*shapes, o.patch, o.filters, o.norm)
        weights = getattr(o, "lambda"), o.adversarial_weight
        gan = Pix2Pix(o.task, *networks, o.direction, *weights, o.learning_rate,
                      o.deterministic, o.seed)  # fmt: skip
        if not (o.apply or o.evaluate):
            images = load(o.data, "train", o.batch_size)
            o.steps_per_epoch = images.steps = o.steps_per_epoch or max(
                len(images), STEPS
            )
            images.map = gan.pair
            inputs, truths = as_pictures(gan, load(o.data, "test").take(6))

    def sample():
        generated = gan.translate(inputs)
        return {"input": inputs, "generated": generated, "ground truth": truths}

    with cli.errors(dataset.DataError, photos.PhotoError, knobs="photo"):
        if o.apply or o.evaluate:
            run.load_trained(o, gan)
        if o.evaluate:
            train, test = None, load(*cli.held_out(o))
            if o.task != "colorize" and (o.ready or not o.weights):
                train = load(o.data, "train")
                train.jitter = 1  # like the test images
            print(f"on {min(test.count, MOST)} images")
            cli.report(o, evaluate(gan, test, train))
        elif o.apply:
            # Whole photos instead of tiles, see the top of this file.
            whole = {"tile": 10**9, "halo": 0, "colour": True}
            translate = partial(gan.translate, seed=o.seed)
            photos.apply_all(o.apply, o.output, o.task, translate, **whole)
    if not (o.apply or o.evaluate):
        with cli.errors(dataset.DataError), run.Run(o, gan, sample, images) as folder:
            gan.train(images, o.epochs, callbacks=folder, **folder.position)


if __name__ == "__main__":
    main()
