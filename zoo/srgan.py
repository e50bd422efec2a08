"""SRGAN: photos with four times the pixels on each side, sharp instead of blurred.

Ledig et al.: Photo-Realistic Single Image Super-Resolution Using a Generative
Adversarial Network, arXiv:1609.04802v5.

    low resolution (batch, h, w, 3) in [0, 1]  ->  generator G  ->  (batch, 4h, 4w, 3)
    image (batch, 96, 96, 3) in [-1, 1]  ->  discriminator D  ->  logit (batch, 1)

    python -m zoo.srgan --epochs 5                     train on 16 photos, no download
    python -m zoo.srgan --data my/photos --epochs 100  train on your own photos
    python -m zoo.srgan --apply photo.jpg              enlarge a photo of any size
    python -m zoo.srgan --evaluate                     PSNR and SSIM beside bicubic

The paper's I^LR, I^HR and I^SR are `low`, `high` and `fake` here.

The training has two stages. In stage 1, G alone minimises the mean squared error; the
result is kept as SRResNet. In stage 2, G learns to match VGG19's features of the ground
truth and to look real to D. A larger `--epochs` later makes stage 2 longer.
Without a training, --apply uses the ready generator.

Differences from the paper:
- G adds its output to the bicubic enlargement of its input, and its last layer starts
  at zero: it begins as good as bicubic, so that a short training shows.
  `--no-image-skip`.
- Stage 1 warms the learning rate up over 150 steps to 5e-4, and lowers it along a
  cosine to 1e-5 (paper: 1e-4 for a million steps). Stage 2 has the paper's 1e-4, and
  1e-5 from half-way.
- Batch normalisation has a momentum of 0.9, for short trainings. Mini-batches of 8
  (paper: 16), for laptops.
- G is updated before D (paper: D first), so that D learns from the images that G has
  just generated.
- Crops are flipped at random.
- Convolutions before a batch normalisation have no bias: it would subtract it again.
- PixelShuffle is a transposed convolution with a fixed kernel of ones and zeros, so
  that the saved generator loads without this file.
- Without VGG19's ImageNet weights, VGG19 has fixed random weights, which is worse:
  options.json names the weights.
"""

import argparse
import collections
import contextlib
import os
import signal
import sys
import threading
import warnings
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up notes of TensorFlow
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster on CPUs without AVX-512

import keras
import numpy as np
from keras import layers, ops
from PIL import Image

keras.config.set_image_data_format("channels_last")  # whatever keras.json says
keras.config.set_floatx("float32")

# --------------------------------------------------------------------------------------
# 1. The networks (Section 2.1 and Figure 4)


def build_generator(scale=4, blocks=16, filters=64, image_skip=True):
    """G, SRResNet: images in [0, 1] -> images in [-1, 1] with `scale` times the sides.

    Args:
        scale: 2, 4 or 8.
        blocks: residual blocks.
        filters: width of all layers but the last.
        image_skip: adds the bicubic enlargement of the input.
    """
    if scale not in (2, 4, 8):
        raise ValueError(f"scale is {scale}, not 2, 4 or 8: a pixel shuffle doubles")
    image = keras.Input((None, None, 3), name="low_resolution")
    x = first = prelu()(layers.Conv2D(filters, 9, padding="same")(image))  # (h, w, 64)
    for _ in range(blocks):
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        y = prelu()(batch_norm()(y))
        y = layers.Conv2D(filters, 3, padding="same", use_bias=False)(y)
        x = x + batch_norm()(y)
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    x = first + batch_norm()(x)
    for i in range(scale.bit_length() - 1):  # (2h, 2w, 64), (4h, 4w, 64)
        x = layers.Conv2D(4 * filters, 3, padding="same", name=f"enlarge_{i}")(x)
        x = prelu()(pixel_shuffle(x, 2))
    # Zeros: G starts as the bicubic enlargement.
    start = "zeros" if image_skip else "glorot_uniform"
    x = layers.Conv2D(3, 9, padding="same", kernel_initializer=start, name="to_rgb")(x)
    x = layers.Activation("linear", dtype="float32")(x)  # (4h, 4w, 3)
    if image_skip:
        x = x + (2 * bicubic(image, scale) - 1)
    return keras.Model(image, x, name="generator")


def build_discriminator(size=96, filters=64):
    """D: images (batch, size, size, 3) in [-1, 1] -> logits, positive for "real"."""
    x = image = keras.Input((size, size, 3), name="high_resolution")
    for i in range(8):  # (96, 96, 64), (48, 48, 64), (48, 48, 128) ... (6, 6, 512)
        width, strides = filters * 2 ** (i // 2), 1 + i % 2
        x = layers.Conv2D(width, 3, strides, "same", use_bias=i == 0)(x)
        x = layers.LeakyReLU(negative_slope=0.2)(batch_norm()(x) if i > 0 else x)
    x = layers.Dense(16 * filters)(layers.Flatten()(x))
    x = layers.LeakyReLU(negative_slope=0.2)(x)
    return keras.Model(image, layers.Dense(1, dtype="float32")(x), name="discriminator")


def prelu():
    return layers.PReLU(shared_axes=[1, 2])  # one slope a map, for images of any size


def batch_norm():
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)


def pixel_shuffle(x, factor, dtype=None):
    """Moves channels to pixels: (h, w, factor^2 c) -> (factor h, factor w, c).

    Shi et al. 2016, arXiv:1609.05158.
    """
    channels = x.shape[-1] // factor**2
    kernel = np.eye(x.shape[-1], dtype="float32")
    kernel = kernel.reshape(factor, factor, channels, x.shape[-1])
    layer = layers.Conv2DTranspose(channels, factor, factor, use_bias=False,
                                   trainable=False, dtype=dtype)  # fmt: skip
    x = layer(x)
    layer.set_weights([kernel])
    return x


def bicubic(x, scale):
    """Bicubic enlargement (Keys 1981, a = -0.5) of images, the same on all backends."""
    phases = (np.arange(scale) + 0.5) / scale - 0.5  # new pixels between the old ones
    distance = np.abs(np.arange(-2, 3)[None] - phases[:, None])
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    taps = np.where(distance < 1, near, np.where(distance < 2, far, 0))  # (scale, 5)
    kernel = np.einsum("iy,jx->yxij", taps, taps).reshape(5, 5, 1, scale**2)
    layer = layers.DepthwiseConv2D(5, depth_multiplier=scale**2, use_bias=False,
                                   trainable=False, dtype="float32")  # fmt: skip
    for axis in (1, 2):  # `ops.pad(..., "symmetric")` repeats the edge on PyTorch
        rows = (x[:, :2], x[:, -2:]) if axis == 1 else (x[:, :, :2], x[:, :, -2:])
        before, after = (ops.flip(edge, axis) for edge in rows)
        x = ops.concatenate([before, x, after], axis)
    x = layer(x)
    layer.set_weights([np.repeat(kernel, 3, axis=2)])
    planes = ops.split(x, 3, axis=-1)
    planes = [pixel_shuffle(plane, scale, "float32") for plane in planes]
    return ops.concatenate(planes, axis=-1)


def build_vgg(layer="block5_conv4", weights="imagenet"):
    """VGG19 to a layer, after its ReLU: images in [-1, 1] -> features / 12.75.

    Args:
        layer: "block5_conv4" is the paper's phi(5,4), "block2_conv2" its phi(2,2)
            (Section 2.2.1).
        weights: "imagenet", "random", or a file of weights for VGG19 without its top.
    """
    image = keras.Input((None, None, 3))
    x = keras.applications.vgg19.preprocess_input((image + 1) * 127.5)
    named = None if weights == "random" else weights
    vgg = keras.applications.VGG19(include_top=False, weights=named, input_tensor=x)
    if weights == "random":
        random, scale = np.random.default_rng(19), 1 / 64  # about 1 / size of a pixel
        for conv in (each for each in vgg.layers if isinstance(each, layers.Conv2D)):
            # He et al. 2015: a variance of 2 / inputs keeps the size of the features.
            shape = conv.kernel.shape
            kernel = random.normal(0, scale * np.sqrt(2 / np.prod(shape[:3])), shape)
            conv.set_weights([kernel, np.zeros(shape[3])])
            scale = 1
    features = ops.cast(vgg.get_layer(layer).output, "float32") / 12.75
    model = keras.Model(image, features, name="vgg")
    model.trainable = False
    return model


# --------------------------------------------------------------------------------------
# 2. The task's images


def downscale(images, scale):
    """uint8 (batch, h, w, 3) -> (batch, h / scale, w / scale, 3).

    Bicubic with antialiasing, like MATLAB's imresize. h and w: multiples of `scale`.
    """
    height, width = images.shape[1] // scale, images.shape[2] // scale
    return np.stack([
        np.asarray(Image.fromarray(x).resize((width, height), Image.Resampling.BICUBIC))
        for x in images
    ])  # fmt: skip


# --------------------------------------------------------------------------------------
# 3. The game


class SRGAN:
    """G, D and the two stages of their training.

    Args:
        generator: Keras model, low resolution in [0, 1] -> high resolution in [-1, 1].
            None: the paper's.
        discriminator: Keras model, images (batch, size, size, 3) -> logits (no
            sigmoid). None: the paper's, for the images of `generator`.
        features: Keras model from images in [-1, 1] to features, see `build_vgg`. None
            is VGG19 with random weights.
        size: side of the training images where neither network fixes it.
        pretrain: stage 1's share of the steps of the first call of `train`, 0 to 1.
        learning_rate: the highest of stage 1.
        adversarial_weight: of the adversarial loss (equation 3).
        seed: seed of the order of the images. The first weights follow from
            `keras.utils.set_random_seed`.
    """

    networks = ("generator", "srresnet", "discriminator")
    players, state = ("pretrain", "combined", "d_step"), ("steps", "pretrain_steps")
    batch_size = 16  # Section 3.2

    def __init__(self, generator=None, discriminator=None, features=None, size=96,
                 pretrain=0.8, learning_rate=5e-4, adversarial_weight=1e-3,
                 seed=0):  # fmt: skip
        check_networks(generator, discriminator)
        G = build_generator() if generator is None else generator
        own = G.output_shape[1] or size
        D = build_discriminator(own) if discriminator is None else discriminator
        shapes = G.input_shape, G.output_shape, D.input_shape
        if any(shape[3:] != (3,) for shape in shapes):  # Keras lets 1 channel pass
            raise ValueError("G: {} -> {} and D: {} need 3 channels".format(*shapes))
        features = build_vgg(weights="random") if features is None else features
        self.generator, self.discriminator, self.image_shape = G, D, D.input_shape[1:]
        self.srresnet = keras.models.clone_model(G)  # G at the end of stage 1
        small = [side or 24 for side in G.input_shape[1:3]]
        self.scale = max(1, G.compute_output_shape((1, *small, 3))[1] // small[0])
        self.share, self.learning_rate, self.seed = pretrain, learning_rate, seed
        self.steps, self.total_steps = 0, None
        self.pretrain_steps = -1  # the first call of `train` sets it
        side = self.image_shape[0] // self.scale
        low, fake = keras.Input((side, side, 3)), keras.Input(self.image_shape)
        high, bce = keras.Input(self.image_shape), keras.losses.BinaryCrossentropy(True)

        # Stage 1: the mean squared error (equation 4).
        enlarged = G(low)
        self.pretrain = Player(low, {"fake": enlarged}, [G],
                               keras.optimizers.Adam(learning_rate),
                               loss={"fake": "mse"})  # fmt: skip
        # Stage 2, G's loss (equations 3, 5 and 6):
        # mean (phi(high) - phi(G(low)))^2 - 1e-3 * log D(G(low)).
        outputs = {"fake": enlarged, "adversarial": D(enlarged)}
        difference = ops.square(features(enlarged) - features(high))
        outputs["content"] = ops.mean(difference, axis=(1, 2, 3))
        self.combined = Player(
            [low, high],
            outputs,
            [G],
            keras.optimizers.Adam(1e-4),
            ["fake"],
            loss={"content": "mae", "adversarial": bce},
            loss_weights={"content": 1.0, "adversarial": adversarial_weight},
        )
        # D's loss (equation 2): -log D(high) - log(1 - D(G(low))), with separate calls,
        # so that batch normalisation does not mix the statistics of the two.
        self.d_step = Player(
            [high, fake],
            {"real": D(high), "fake": D(fake)},
            [D],
            keras.optimizers.Adam(1e-4),
            loss={"real": bce, "fake": bce},
            metrics={"real": [probability], "fake": [probability]},
        )

    def train_step(self, images):
        """One step of the current stage; in stage 2 one update of G and then one of D.

        Args:
            images: float32 (batch, size, size, 3) in [-1, 1].

        Returns:
            dict of floats: the losses of the stage and D's mean scores.
        """
        low = downscale(to_uint8(images), self.scale).astype("float32") / 255
        step, total, end = self.steps, self.total_steps, self.pretrain_steps
        if end < 0 and total:
            end = self.pretrain_steps = step + round(self.share * (total - step))
        self.steps += 1
        if step < end or (end < 0 and self.share > 0):
            rate = warm_up_cosine(self.learning_rate, step, end if end > 0 else None)
            self.pretrain.optimizer.learning_rate = rate
            mse = self.pretrain.train_on_batch(low, {"fake": images})["loss"]
            if self.steps == end:
                self.srresnet.set_weights(self.generator.get_weights())
            return {"pretrain_loss": float(mse)}
        rate = drop_at_half(1e-4, step - max(0, end), total and total - max(0, end))
        self.combined.optimizer.learning_rate = rate
        self.d_step.optimizer.learning_rate = rate
        shape = len(images), *self.discriminator.output_shape[1:]
        ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")
        targets = {"content": np.zeros(len(images), "float32"), "adversarial": ones}
        g = self.combined.train_on_batch([low, images], targets)
        d = self.d_step.train_on_batch(
            [images, g["fake"]], {"real": ones, "fake": zeros}
        )
        return {
            "d_loss": float(d["loss"]),
            "g_loss": float(g["loss"]),
            "content_loss": float(g["content_loss"]),
            "adversarial_loss": float(g["adversarial_loss"]),
            "d_real": float(d["real_probability"]),
            "d_fake": float(d["fake_probability"]),
        }

    def upscale(self, images, network=None):
        """Enlarges uint8 images (batch, h, w, 3) -> (batch, scale h, scale w, 3).

        The memory grows with h * w. Use --apply for large photos: it cuts them into
        tiles.

        Args:
            network: another generator than G, such as `self.srresnet`.
        """
        network = self.generator if network is None else network
        low = (to_float(images, network.input_shape[1:]) + 1) / 2
        return to_uint8([network.predict_on_batch(x[None])[0] for x in low])

    @classmethod
    def pretrained(cls):
        """An SRGAN with the ready generator of the zoo."""
        try:
            from zoo.common import sources
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(missing(error)) from None
        networks = sources.ready("srgan", ("generator", "discriminator"))
        # The features are for training: they need not be downloaded for this.
        return cls(*networks, features=layers.Identity())

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


def warm_up_cosine(rate, step, total):
    """The learning rate at a step of stage 1.

    From 1e-6 to `rate` in 150 steps, because G would diverge at first. Then along a
    cosine to `rate` / 50 at `total`; None keeps it constant.
    """
    warm_up = min(150, total // 3) if total else 150
    if step < warm_up:
        return 1e-6 + (rate - 1e-6) * step / warm_up
    share = (step - warm_up) / (total - warm_up) if total else 0
    return rate * (0.02 + 0.98 * (1 + np.cos(np.pi * share)) / 2)


def drop_at_half(rate, step, total):
    """The learning rate at a step of stage 2: a tenth in the second half of `total`."""
    return rate if total is None or step <= max(1, total // 2) else rate / 10


def evaluate(gan, networks, images):
    """Compares enlargements with the ground truth: {row: {"PSNR dB", "SSIM"}}.

    The rows are bicubic enlargement by Pillow, and the generators in `networks`, {name:
    Keras model}. PSNR and SSIM are on Y, without a border of `scale` pixels, means over
    whole images. Of sides over 1024 pixels the middle is taken.

    Args:
        images: dataset.Images.
    """
    from zoo.common import metrics

    scores = {}
    # SSIM's window, what is cropped, and the border.
    for truth in images.whole(least=11 + 3 * gan.scale, most=1024):
        height, width = (side // gan.scale * gan.scale for side in truth.shape[:2])
        truth = truth[:height, :width]
        low = downscale(truth[None], gan.scale)
        small = Image.fromarray(low[0])
        bicubic = small.resize((width, height), Image.Resampling.BICUBIC)
        enlarged = {name: gan.upscale(low, g)[0] for name, g in networks.items()}
        for name, image in ({"bicubic": np.asarray(bicubic)} | enlarged).items():
            border = slice(gan.scale, -gan.scale)
            pair = [metrics.luma(x)[border, border] for x in (image, truth)]
            row = scores.setdefault(name, [])
            row.append((metrics.psnr(*pair), metrics.ssim(*pair)))
    means = {name: np.mean(pairs, axis=0).tolist() for name, pairs in scores.items()}
    return {
        name: dict(zip(("PSNR dB", "SSIM"), x, strict=True))
        for name, x in means.items()
    }


# --------------------------------------------------------------------------------------
# 6. The command line

STEPS = 60  # in an epoch, at least


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
    parser = cli.parser("srgan", __doc__, data="photos", size=96, batch_size=8,
                        learning_rate=5e-4, steps=STEPS)  # fmt: skip
    add, flag = parser.add_argument, argparse.BooleanOptionalAction
    add("--scale", type=int, choices=[2, 4, 8], default=4,
        help="enlargement of each side (%(default)s)")  # fmt: skip
    add("--blocks", type=cli.positive, default=16, metavar="N",
        help="residual blocks (%(default)s)")  # fmt: skip
    add("--filters", type=cli.positive, default=64, metavar="N",
        help="width of the networks (%(default)s)")  # fmt: skip
    add("--image-skip", action=flag, default=True, help="add bicubic enlargement (yes)")
    add("--pretrain-epochs", type=cli.number(int, 0), metavar="N",
        help="epochs of stage 1 (four fifths of the first call's)")  # fmt: skip
    add("--vgg", metavar="WEIGHTS",
        help="imagenet, random or a .h5 file (imagenet, else random)")  # fmt: skip
    add("--vgg-layer", choices=["block2_conv2", "block5_conv4"], default="block5_conv4",
        help="layer of the features (%(default)s)")  # fmt: skip
    add("--adversarial-weight", type=cli.number(float, 0), default=1e-3, metavar="X",
        help="weight of the adversarial loss (%(default)s)")  # fmt: skip
    add("--apply", nargs="+", metavar="PHOTO", help="enlarge photos of any size")
    o = cli.parse(parser, argv, actions=("apply", "evaluate"), later=("vgg",))
    if o.size % o.scale or o.size < 32:
        cli.fail(
            f"--size {o.size} should be 32 or more, a multiple of --scale {o.scale}"
        )
    if o.pretrain_epochs is None:
        o.pretrain_epochs = max(1, o.epochs * 4 // 5)
    return o


def find_vgg(choice, layer):
    """The VGG19 of `--vgg`, and the name of its weights: ImageNet's, or else random."""
    try:
        return build_vgg(layer, choice or "imagenet"), choice or "imagenet"
    except Exception as error:  # keras.utils.get_file raises a bare Exception
        if choice:
            raise ValueError(
                f"VGG19 can't have the weights {choice}: {error}"
            ) from error
        warnings.warn(
            f"VGG19's ImageNet weights can't be downloaded ({error}): random ones are "
            "used, which is worse. Put "
            "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 into the folder "
            "~/.keras/models for the real ones",
            stacklevel=2,
        )
        return build_vgg(layer, "random"), "random"


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
        features = layers.Identity()  # only stage 2 needs another
        if not (o.apply or o.evaluate):
            train = {"batch_size": o.batch_size, "flip": True, "seed": o.seed}
            images = load(o.data, "train", **train)
            o.steps_per_epoch = images.steps = o.steps_per_epoch or max(
                len(images), STEPS
            )
            crops = load(o.data, "test", size=192).take(4)
            if o.epochs > o.pretrain_epochs:
                features, o.vgg = find_vgg(o.vgg, o.vgg_layer)
        keras.utils.set_random_seed(o.seed)  # again: VGG19 has drawn from it
        generator = given_generator(cli, o) or build_generator(
            o.scale, o.blocks, o.filters, o.image_skip
        )
        gan = SRGAN(generator, build_discriminator(o.size, o.filters), features, o.size,
                    o.pretrain_epochs / o.epochs, o.learning_rate,
                    o.adversarial_weight, o.seed)  # fmt: skip

    def sample():
        low = downscale(crops, gan.scale)
        bicubic = [Image.fromarray(x).resize((192, 192), Image.Resampling.BICUBIC)
                   for x in low]  # fmt: skip
        bicubic = np.stack([np.asarray(x) for x in bicubic])
        return {
            "bicubic": bicubic,
            "generated": gan.upscale(low),
            "ground truth": crops,
        }

    with cli.errors(dataset.DataError, photos.PhotoError, knobs="photo"):
        if o.apply or o.evaluate:
            run.load_trained(o, gan)
        if o.evaluate:
            cli.report(o, evaluate(gan, trained_networks(gan, o),
                                   load(*cli.held_out(o))))  # fmt: skip
        elif o.apply:
            tiles = {"scale": gan.scale, "tile": 320, "halo": reach(gan.generator)}
            photos.apply_all(o.apply, o.output, f"x{gan.scale}", gan.upscale, **tiles)
    if not (o.apply or o.evaluate):
        both = min(o.epochs, o.pretrain_epochs), max(0, o.epochs - o.pretrain_epochs)
        print("epochs of stage 1: {}, of stage 2: {}".format(*both))
        with cli.errors(dataset.DataError), run.Run(o, gan, sample, images) as folder:
            gan.train(images, o.epochs, callbacks=folder, **folder.position)


def given_generator(cli, o):
    """The generator of --weights, which has to take images of any size; or None."""
    network = cli.given_generator(o)
    if network and None not in network.input_shape[1:3]:
        side = "x".join(map(str, network.input_shape[1:3]))
        raise ValueError(f"{o.weights} takes images of {side} pixels alone: give one "
                         "that begins with keras.Input((None, None, 3))")  # fmt: skip
    return network


def reach(network):
    """The tiles' overlap: at least the receptive radius, in pixels of the input.

    Convolutions after the enlargement are counted as if they came before it.
    """
    kernels = [v for v in network.trainable_weights if len(v.shape) == 4]
    return 1 + sum(v.shape[0] // 2 for v in kernels)


def trained_networks(gan, o):
    """The generators of a run to measure: {row: network}."""
    if o.weights:
        return {"generator": gan.generator}
    if gan.steps <= gan.pretrain_steps:
        return {"SRResNet": gan.generator}
    networks = {"SRResNet": gan.srresnet} if gan.pretrain_steps else {}
    return networks | {f"SRGAN, VGG19 {o.vgg}": gan.generator}


if __name__ == "__main__":
    main()
