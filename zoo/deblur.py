"""Deblurrer: a convolutional autoencoder with a discriminator sharpens blurred photos.

The "image translation machine" of github.com/lsqpku/img2img: DCGAN's discriminator
(Radford et al., arXiv:1511.06434) is the encoder, its generator the decoder.

    blurred image (batch, h, w, 3) in [-1, 1]  ->  generator G  ->  sharp image
    image (batch, 64, 64, 3) in [-1, 1]  ->  discriminator D  ->  logit (batch, 1)

    python -m zoo.deblur --epochs 5                     train on 16 photos, no download
    python -m zoo.deblur --data my/photos --epochs 50   train on your own photos
    python -m zoo.deblur --apply photo.jpg              sharpen a photo of any size
    python -m zoo.deblur --evaluate                     PSNR and SSIM, by kind of blur

h and w are multiples of 16. Without a training, --apply uses the ready generator.

Differences from the tutorial:
- Skip connections: the encoder's maps are added to the decoder's, and the image to the
  output, so that the narrow middle need not carry every detail. The output has no tanh
  therefore. `--no-skips`.
- There is a discriminator, with a small weight (tutorial: a plain autoencoder).
  `--adversarial-weight 0`.
- The pixel loss is L1, as in the tutorial's code; its text says L2. `--loss l2`.
- Motion is a fourth kind of blur.
- Photos are compressed: some blurred crops get JPEG artefacts, some get noise, before G
  sees them (tutorial: none). `--clean`.
- Square crops are taken and flipped at random (tutorial: whole photos at 64 x 64).
- 32 filters and mini-batches of 8 (tutorial: 64 and 64), so that a laptop can train it.
- The learning rate starts at 1e-3 and falls to 0 along a cosine, because a training is
  short (tutorial: 2e-4).
- G is updated before D, so that D learns from the images that G has just restored.
- Convolutions before a batch normalisation have no bias: the normalisation would
  subtract it again.
"""

import argparse
import collections
import contextlib
import io
import itertools
import os
import signal
import sys
import threading
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up notes of TensorFlow
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster on CPUs without AVX-512

import keras
import numpy as np
from keras import layers, ops
from PIL import Image
from scipy.signal import fftconvolve

keras.config.set_image_data_format("channels_last")  # whatever keras.json says
keras.config.set_floatx("float32")

# --------------------------------------------------------------------------------------
# 1. The networks


def build_generator(filters=32, skips=True):
    """G: images (batch, h, w, 3) in [-1, 1] -> the same shape; h, w multiples of 16.

    Args:
        filters: width of the first layer; each next one of the encoder is twice as
            wide.
        skips: adds the encoder's maps and the image to the decoder's.
    """
    x = image = keras.Input((None, None, 3), name="blurred")
    maps = []
    for i in range(
        4
    ):  # (h/2, w/2, 32), (h/4, ..., 64), (h/8, ..., 128), (h/16, ..., 256)
        x = layers.Conv2D(filters * 2**i, 5, 2, "same", use_bias=i == 0,
                          kernel_initializer=normal())(x)  # fmt: skip
        x = layers.LeakyReLU(negative_slope=0.2)(batch_norm()(x) if i > 0 else x)
        maps.append(x)
    for i in (2, 1, 0):  # (h/8, w/8, 128), (h/4, w/4, 64), (h/2, w/2, 32)
        x = layers.Conv2DTranspose(filters * 2**i, 5, 2, "same", use_bias=False,
                                   kernel_initializer=normal())(x)  # fmt: skip
        x = layers.ReLU()(batch_norm()(x))
        x = x + maps[i] if skips else x
    # Zeros: with skips, G starts as the identity, so that a short training shows.
    start = "zeros" if skips else normal()
    x = layers.Conv2DTranspose(3, 5, 2, "same", kernel_initializer=start,
                               name="to_rgb")(x)  # fmt: skip
    x = layers.Activation("linear" if skips else "tanh", dtype="float32")(
        x
    )  # (h, w, 3)
    x = x + ops.cast(image, "float32") if skips else x
    return keras.Model(image, x, name="generator")


def build_discriminator(size=64, filters=32):
    """D, as DCGAN's: images (batch, size, size, 3) in [-1, 1] -> logits (batch, 1)."""
    x = image = keras.Input((size, size, 3), name="image")
    for i in range(4):  # (32, 32, 32), (16, 16, 64), (8, 8, 128), (4, 4, 256)
        x = layers.Conv2D(filters * 2**i, 5, 2, "same", use_bias=i == 0,
                          kernel_initializer=normal())(x)  # fmt: skip
        x = layers.LeakyReLU(negative_slope=0.2)(batch_norm()(x) if i > 0 else x)
    x = layers.Flatten()(x)
    x = layers.Dense(1, kernel_initializer=normal(), dtype="float32")(x)
    return keras.Model(image, x, name="discriminator")


def normal(mean=0.0):
    """DCGAN, Section 4: weights start from a normal distribution, deviation 0.02."""
    return keras.initializers.RandomNormal(mean, 0.02)


def batch_norm():
    gamma = normal(1.0)
    return layers.BatchNormalization(
        momentum=0.9, epsilon=1e-5, gamma_initializer=gamma
    )


# --------------------------------------------------------------------------------------
# 2. The task's images: blur, noise and JPEG artefacts

KINDS = ("gaussian", "random-gaussian", "resize", "motion")
SHRINK = 4  # of "resize": to 16x16 of 64x64 pixels and back, both bilinear
NOISY, COMPRESSED = 0.5, 0.7  # share of the crops that get noise, JPEG artefacts


def blur(image, kernel):
    """Blurs a uint8 image (h, w, 3), reflected at its edges.

    Args:
        kernel: see `draw_kernel`; None shrinks and enlarges the image.
    """
    if kernel is None:
        height, width = image.shape[:2]
        size = max(1, width // SHRINK), max(1, height // SHRINK)
        small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
        return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
    reach = len(kernel) // 2
    edges = [(reach, reach), (reach, reach), (0, 0)]
    padded = np.pad(image, edges, mode="symmetric").astype(np.float32)
    kernel = kernel[..., None].astype(np.float32)
    blurred = fftconvolve(padded, kernel, mode="valid", axes=(0, 1))
    return np.clip(np.rint(blurred), 0, 255).astype(np.uint8)


def draw_kernel(kind, random, sigma=(1, 3), length=(5, 15)):
    """A random kernel of one of KINDS: an odd square array of sum 1; "resize" has None.

    Args:
        sigma: range in pixels of the Gaussian's standard deviation; "gaussian" has its
            middle.
        length: range in pixels of the motion.
    """
    if kind == "gaussian":
        return gaussian_kernel(np.mean(sigma))
    if kind == "random-gaussian":
        return gaussian_kernel(random.uniform(*sigma))
    if kind == "motion":
        return motion_kernel(random.uniform(*length), random.uniform(0, np.pi))
    if kind != "resize":
        raise ValueError(f"there is no blur {kind!r}: the kinds are {', '.join(KINDS)}")
    return None


def gaussian_kernel(sigma):
    """A Gaussian of deviation `sigma` pixels as an odd square array of sum 1."""
    reach = max(1, round(3 * sigma))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.outer(line, line) / line.sum() ** 2


def motion_kernel(length, angle):
    """A line of `length` pixels at `angle` (radians) as such an array."""
    reach = int(np.ceil(length / 2))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = x * np.cos(angle) + y * np.sin(angle)
    across = y * np.cos(angle) - x * np.sin(angle)
    kernel = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1)
    kernel *= np.clip(1 - np.abs(across), 0, 1)
    return kernel / kernel.sum()


def add_noise(image, sigma, random):
    """A uint8 image with Gaussian noise of standard deviation `sigma` grey levels."""
    noisy = image + random.normal(0, sigma, image.shape)
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8)


def compress(image, quality):
    """A uint8 image (h, w, 3) after JPEG compression."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=int(quality))
    return np.asarray(Image.open(file))


# --------------------------------------------------------------------------------------
# 3. The game


class Deblurrer:
    """G, D and their training.

    Args:
        generator: Keras model, images (batch, h, w, 3) in [-1, 1] -> the same shape.
            None is `build_generator()`.
        discriminator: Keras model, images (batch, size, size, 3) -> logits (no
            sigmoid). None is `build_discriminator(size)`, for training images of `size`
            pixels.
        blur: one of KINDS, or "mixed": one of them at random for each image.
        sigma, length: see `draw_kernel`.
        jpeg: range of the JPEG quality after the blur; None is no compression.
        noise: range of the noise after the blur, in grey levels; None is no noise.
        loss: "l1" or "l2", of the pixels.
        adversarial_weight: weight of the adversarial loss; 0 leaves D out.
        learning_rate: of both Adam optimisers at the start of the training.
        seed: seed of the blur and of the order of the images. The first weights follow
            from `keras.utils.set_random_seed`.
    """

    networks, players = ("generator", "discriminator"), ("d_step", "combined")
    state = ("steps",)
    batch_size = 64  # the tutorial's

    def __init__(self, generator=None, discriminator=None, size=64, blur="mixed",
                 sigma=(1, 3), length=(5, 15), jpeg=(60, 100), noise=(0, 5), loss="l1",
                 adversarial_weight=1e-4, learning_rate=1e-3, seed=0):  # fmt: skip
        if blur not in (*KINDS, "mixed"):
            raise ValueError(f"blur is {blur!r}, and can be mixed, {', '.join(KINDS)}")
        if loss not in ("l1", "l2"):
            raise ValueError(f"loss is {loss!r}, and can be l1 or l2")
        check_networks(generator, discriminator)
        G = build_generator() if generator is None else generator
        D = build_discriminator(size) if discriminator is None else discriminator
        self.generator, self.discriminator, self.image_shape = G, D, D.input_shape[1:]
        self.blur, self.sigma, self.length = blur, sigma, length
        self.jpeg, self.noise = jpeg, noise
        self.adversarial_weight, self.learning_rate = adversarial_weight, learning_rate
        self.seed, self.steps, self.total_steps = seed, 0, None
        blurred, real, fake = (keras.Input(self.image_shape) for _ in range(3))
        bce = keras.losses.BinaryCrossentropy(from_logits=True)

        # G's loss: |x - G(blurred)| - adversarial_weight * log D(G(blurred)).
        restored = G(blurred)
        outputs = {"fake": restored, "adversarial": D(restored)}
        losses = {"fake": {"l1": "mae", "l2": "mse"}[loss], "adversarial": bce}
        weights = {"fake": 1.0, "adversarial": adversarial_weight}
        if not adversarial_weight:
            del outputs["adversarial"], losses["adversarial"], weights["adversarial"]
        adam = keras.optimizers.Adam(learning_rate, beta_1=0.5)
        self.combined = Player(blurred, outputs, [G], adam, ["fake"], loss=losses,
                               loss_weights=weights)  # fmt: skip
        # D's loss: -log D(x) - log(1 - D(G(blurred))), with separate calls of D, so
        # that batch normalisation does not mix the statistics of sharp and restored
        # images.
        self.d_step = Player(
            [real, fake],
            {"real": D(real), "fake": D(fake)},
            [D],
            keras.optimizers.Adam(learning_rate, beta_1=0.5),
            loss={"real": bce, "fake": bce},
            metrics={"real": [probability], "fake": [probability]},
        )

    def train_step(self, images):
        """One update of G, then one of D on the images that G has just restored.

        Args:
            images: sharp float32 images (batch, size, size, 3) in [-1, 1].

        Returns:
            dict of floats: the losses and D's mean scores.
        """
        rate = cosine_decay(self.learning_rate, self.steps, self.total_steps)
        self.combined.optimizer.learning_rate = rate
        self.d_step.optimizer.learning_rate = rate
        shape = len(images), *self.discriminator.output_shape[1:]
        ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")
        targets = {"fake": images}
        if self.adversarial_weight:
            targets["adversarial"] = ones
        g = self.combined.train_on_batch(self.blurred(images), targets)
        self.steps += 1
        if not self.adversarial_weight:
            return {"g_loss": float(g["loss"]), "pixel_loss": float(g["loss"])}
        d = self.d_step.train_on_batch(
            [images, g["fake"]], {"real": ones, "fake": zeros}
        )
        return {
            "g_loss": float(g["loss"]),
            "pixel_loss": float(g["fake_loss"]),
            "d_loss": float(d["loss"]),
            "d_real": float(d["real_probability"]),
            "d_fake": float(d["fake_probability"]),
        }

    def blurred(self, images):
        """The images that G gets for sharp ones, both float32 in [-1, 1].

        Blur, noise and JPEG quality are random; they follow from (seed, step).
        """
        random = np.random.default_rng((self.seed, self.steps))
        mixed = random.choice(KINDS, len(images))
        results = []
        for image, kind in zip(to_uint8(images), mixed, strict=True):
            kind = kind if self.blur == "mixed" else self.blur
            image = blur(image, draw_kernel(kind, random, self.sigma, self.length))
            if self.noise and random.random() < NOISY:
                image = add_noise(image, random.uniform(*self.noise), random)
            if self.jpeg and random.random() < COMPRESSED:
                image = compress(image, random.uniform(*self.jpeg))
            results.append(image)
        return to_float(np.stack(results))

    def restore(self, images):
        """Sharpens uint8 images (batch, h, w, 3).

        h, w: multiples of G's total stride.
        """
        images = to_float(images, multiple=total_stride(self.generator))
        return to_uint8(self.generator.predict(images, batch_size=16, verbose=0))

    @classmethod
    def pretrained(cls):
        """A Deblurrer with the ready generator of the zoo."""
        try:
            from zoo.common import sources
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(missing(error)) from None
        return cls(*sources.ready("deblur", cls.networks))

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


def cosine_decay(rate, step, total):
    """The learning rate at a step.

    From `rate` to 0 at `total`; None keeps it constant.
    """
    share = min(step / total, 1) if total else 0
    return rate * (1 + np.cos(np.pi * share)) / 2


def total_stride(network):
    """G keeps the shape of images whose sides are multiples of this."""
    if network.input_shape[1]:  # a network for images of one size
        return 1
    for stride in (1, 2, 4, 8, 16, 32):
        shape = (1, 3 * stride, 3 * stride, 3)
        try:
            if tuple(network.compute_output_shape(shape)) == shape:
                return stride
        except ValueError:  # the maps that a skip adds have different sizes
            continue
    return 64


def degraded(truth, gan, random):
    """Yields (kind, blurred uint8 image, kernel): each kind of blur, and Gaussian blur
    after which noise was added or the photo was compressed."""
    for kind in KINDS:
        kernel = draw_kernel(kind, random, gan.sigma, gan.length)
        yield kind, blur(truth, kernel), kernel
    kernel = draw_kernel("gaussian", random, gan.sigma)
    plain = blur(truth, kernel)
    for quality in (95, 90, 75):
        yield f"gaussian, JPEG {quality}", compress(plain, quality), kernel
    yield "gaussian, noise 2", add_noise(plain, 2, random), kernel


def evaluate(gan, images, n=None):
    """Restores blurred photos: {kind of blur: {column: mean over the photos}}.

    The columns are PSNR in dB on RGB and SSIM on Y, of the blurred and of the restored
    image; PSNR of unsharp masking; and PSNR of Richardson-Lucy deconvolution
    ("R.-Lucy"), which is given the kernel. Of sides over 1024 pixels the middle is
    taken.

    Args:
        images: dataset.Images; the first n photos of it, or all.
    """
    from skimage import restoration
    from skimage.filters import unsharp_mask

    from zoo.common import metrics

    scores, random = {}, np.random.default_rng(0)
    for truth in itertools.islice(images.whole(least=16, most=1024), n):
        height, width = (side // 16 * 16 for side in truth.shape[:2])
        truth = truth[:height, :width]
        for kind, blurred, kernel in degraded(truth, gan, random):
            results = {"blurred": blurred, "restored": gan.restore(blurred[None])[0]}
            # Not channel_axis=-1: scikit-image 0.26 then sharpens three rows alone.
            sharpened = unsharp_mask(blurred / 255, radius=2, amount=1, channel_axis=2)
            results["unsharp"] = 255 * sharpened
            if kernel is not None:
                edge = len(kernel)  # it takes the outside for black
                edges = [(edge, edge), (edge, edge), (0, 0)]
                padded = np.pad(blurred, edges, mode="symmetric") / 255
                planes = [restoration.richardson_lucy(padded[..., c], kernel, 20)
                          for c in range(3)]  # fmt: skip
                results["R.-Lucy"] = 255 * np.stack(planes, -1)[edge:-edge, edge:-edge]
            row = scores.setdefault(kind, {})
            for name, image in results.items():
                image = np.clip(np.rint(image), 0, 255)
                row.setdefault(name, []).append(metrics.psnr(image, truth))
                if name in ("blurred", "restored"):
                    ssim = metrics.ssim(metrics.luma(image), metrics.luma(truth))
                    row.setdefault(f"{name} SSIM", []).append(ssim)
    return {
        kind: {name: float(np.mean(values)) for name, values in row.items()}
        for kind, row in scores.items()
    }


# --------------------------------------------------------------------------------------
# 6. The command line

STEPS = 500  # in an epoch, at least


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
    parser = cli.parser("deblur", __doc__, data="photos", size=64, batch_size=8,
                        learning_rate=1e-3, steps=STEPS)  # fmt: skip
    add, flag = parser.add_argument, argparse.BooleanOptionalAction
    pixels = {
        "type": cli.number(float, 0.1, 100),
        "nargs": 2,
        "metavar": ("MIN", "MAX"),
    }
    add("--filters", type=cli.positive, default=32, metavar="N",
        help="width of the networks; the tutorial's is 64 (%(default)s)")  # fmt: skip
    add("--skips", action=flag, default=True, help="skip connections (yes)")
    add("--blur", choices=[*KINDS, "mixed"], default="mixed",
        help="kind of blur to train on (%(default)s)")  # fmt: skip
    add("--sigma", **pixels, default=[1.0, 3.0], help="Gaussian blur in pixels (1 3)")
    add("--length", **pixels, default=[5.0, 15.0], help="motion blur in pixels (5 15)")
    add("--jpeg", type=cli.number(int, 1, 100), nargs=2, metavar=("MIN", "MAX"),
        default=[60, 100], help="JPEG quality after the blur (60 100)")  # fmt: skip
    add("--noise", type=cli.number(float, 0, 100), nargs=2, metavar=("MIN", "MAX"),
        default=[0.0, 5.0], help="noise after the blur, 0 to 255 (0 5)")  # fmt: skip
    add("--clean", action="store_true", help="no JPEG artefacts and no noise")
    add("--loss", choices=["l1", "l2"], default="l1", help="pixel loss (%(default)s)")
    weight = cli.number(float, 0)
    add("--adversarial-weight", type=weight, default=1e-4, metavar="X",
        help="weight of the adversarial loss (%(default)s)")  # fmt: skip
    add("--apply", nargs="+", metavar="PHOTO", help="sharpen photos of any size")
    o = cli.parse(parser, argv, actions=("apply", "evaluate"))
    if o.size % 16:
        cli.fail(f"--size {o.size} should be a multiple of 16")
    for name in ("sigma", "length", "jpeg", "noise"):
        if getattr(o, name)[0] > getattr(o, name)[1]:
            cli.fail(f"--{name} needs the smaller number first")
    return o


def main(argv=None):
    """Trains or resumes a run; --apply and --evaluate use one."""
    try:
        from zoo.common import cli
    except ModuleNotFoundError as error:
        print("error:", missing(error), file=sys.stderr)
        raise SystemExit(2) from None
    o = parse(cli, argv)
    from zoo.common import dataset, photos, run

    def load(source, split, size=o.size, **options):
        return dataset.load(source, size, 3, split=split, crop="random", **options)

    with cli.errors(ValueError):
        generator = cli.given_generator(o) or build_generator(o.filters, o.skips)
        jpeg, noise = (None, None) if o.clean else (o.jpeg, o.noise)
        networks = generator, build_discriminator(o.size, o.filters)
        blurs = o.size, o.blur, o.sigma, o.length, jpeg, noise
        gan = Deblurrer(*networks, *blurs, o.loss, o.adversarial_weight,
                        o.learning_rate, o.seed)  # fmt: skip
        if not (o.apply or o.evaluate):
            train = {"batch_size": o.batch_size, "flip": True, "seed": o.seed}
            images = load(o.data, "train", **train)
            o.steps_per_epoch = images.steps = o.steps_per_epoch or max(
                len(images), STEPS
            )
            sample = Sample(gan, load(o.data, "test", size=192))

    with cli.errors(dataset.DataError, photos.PhotoError, knobs="photo"):
        if o.apply or o.evaluate:
            run.load_trained(o, gan)
        if o.evaluate:
            source, split = cli.held_out(o)
            n = 20 if split == "test" else None  # which takes a minute or two
            cli.report(o, evaluate(gan, load(source, split), n))
        elif o.apply:
            # The overlap is the layers' reach: 30 pixels in encoder and decoder each.
            tiles = {"halo": 64, "multiple": 16}
            photos.apply_all(o.apply, o.output, "sharp", gan.restore, **tiles)
    if not (o.apply or o.evaluate):
        with cli.errors(dataset.DataError), run.Run(o, gan, sample, images) as folder:
            gan.train(images, o.epochs, callbacks=folder, **folder.position)


class Sample:
    """Held-out photos, one kind of blur each, as `pictures.sheet` takes them."""

    def __init__(self, gan, test):
        truth, random = test.take(8), np.random.default_rng(0)
        kinds = [KINDS[i % len(KINDS)] if gan.blur == "mixed" else gan.blur
                 for i in range(max(4, len(truth)))]  # fmt: skip
        self.gan, self.truth = gan, [truth[i % len(truth)] for i in range(len(kinds))]
        kernels = [draw_kernel(kind, random, gan.sigma, gan.length) for kind in kinds]
        pairs = zip(self.truth, kernels, strict=True)
        self.blurred = np.stack([blur(image, kernel) for image, kernel in pairs])

    def __call__(self):
        restored = self.gan.restore(self.blurred)
        return {
            "blurred": self.blurred,
            "restored": restored,
            "ground truth": self.truth,
        }


if __name__ == "__main__":
    main()
