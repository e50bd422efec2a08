"""SRGAN: a photo with four times the pixels on each side, sharp instead of blurred.

Ledig et al.: Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network, arXiv:1609.04802v5.

    low resolution (batch, h, w, 3) in [0, 1]       ->  generator (SRResNet)  ->  (batch, 4 h, 4 w, 3) in [-1, 1]
    high resolution (batch, 96, 96, 3) in [-1, 1]   ->  discriminator         ->  logit (batch, 1): is it real?

    python -m zoo.srgan --epochs 5                     trains on 7 photos, no download of pictures
    python -m zoo.srgan --data my/photos --epochs 100  your own photos
    python -m zoo.srgan --apply photo.jpg              enlarges a photo of any size with the trained run; where nothing
                                                       was trained, with the generator that comes with the zoo
    python -m zoo.srgan --evaluate [SOURCE]            PSNR and SSIM of bicubic, SRResNet and SRGAN

The zoo's generator has 31.26 dB on Set5 (`--evaluate FOLDER`), bicubic enlargement 28.43; it is an SRResNet, see below.

Training has two stages: the generator alone learns the mean squared error (it is called SRResNet then, and kept), then
it learns to please a discriminator, and to have the features that VGG19 sees in the original. Going on with a larger
`--epochs` makes the second longer, not the first: for both, `--fresh`, or `--pretrain-epochs` in the first call.

Differences from the paper:
- The generator adds its output to the bicubic enlargement of its input, and its last layer starts at zero, so that it
  begins as good as bicubic and a short training shows; `--no-image-skip` is the paper's.
- In stage 1 the learning rate warms up over 150 steps (at most a third of the stage) to 5e-4 and falls along a cosine
  to 1e-5; the paper keeps 1e-4 for a million steps. `--learning-rate` is its highest. Stage 2 has the paper's 1e-4,
  and a tenth of it from half-way.
- Batch normalisation has a momentum of 0.9, for trainings of less than a million steps; batches are of 8 by default,
  for laptops (`--batch-size 16`).
- G and D are updated at once, not D before G, so that what G has made serves both: a step is one call.
- The crops are mirrored at random.
- Convolutions before a batch normalisation have no bias: the normalisation would take it away again.
- PixelShuffle is a transposed convolution with a fixed kernel of ones and zeros: Keras' reshape can't do it for images
  of any size, and a layer of our own would keep `load_model` from working without this file.
- Where VGG19's ImageNet weights are missing (in Python: without `vgg=build_vgg()`), it has fixed random weights;
  `options.json` says which it was. Their features are small beside ImageNet's, so that the adversarial loss weighs
  more then.
"""

import argparse
import importlib
import itertools
import math
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from PIL import Image


def build_generator(scale=4, blocks=16, filters=64, image_skip=True):
    """The generator of Figure 4: images (batch, h, w, 3) in [0, 1] -> (batch, scale h, scale w, 3) in [-1, 1].

    Args:
        scale: 2, 4 or 8.
        blocks: residual blocks.
        filters: width of all but the last layer.
        image_skip: adds the bicubic enlargement of the input.

    Raises:
        ValueError: `scale` is another one.
    """
    if scale not in (2, 4, 8):
        raise ValueError(f"scale is {scale}, but each pixel shuffle doubles the sides: it can be 2, 4 or 8")
    image = keras.Input((None, None, 3), name="low_resolution")
    x = first = prelu()(layers.Conv2D(filters, 9, padding="same")(image))
    for _ in range(blocks):
        y = prelu()(batch_norm()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)))
        x = x + batch_norm()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y))
    x = first + batch_norm()(layers.Conv2D(filters, 3, padding="same", use_bias=False)(x))
    for i in range(scale.bit_length() - 1):
        x = layers.Conv2D(4 * filters, 3, padding="same", name=f"enlarge_{i}")(x)
        x = prelu()(pixel_shuffle(x, 2))
    # Zeros: it begins as the bicubic enlargement.
    start = "zeros" if image_skip else "glorot_uniform"
    x = layers.Conv2D(3, 9, padding="same", kernel_initializer=start, name="to_rgb")(x)
    x = layers.Activation("linear", dtype="float32")(x)
    if image_skip:
        x = x + (2 * bicubic(image, scale) - 1)
    return keras.Model(image, x, name="generator")


def halves(generator):
    """A generator cut where it begins to enlarge: image -> features, and [features, image] -> result.

    Keras can't save it any more then.
    """
    features = generator.get_layer("enlarge_0").input
    return keras.Model(generator.input, features), keras.Model([features, generator.input], generator.output)


def build_discriminator(size=96, filters=64):
    """The discriminator of Figure 4: images (batch, size, size, 3) in [-1, 1] -> logits, positive for real."""
    x = image = keras.Input((size, size, 3), name="high_resolution")
    for i, (width, strides) in enumerate((w * filters, s) for w in (1, 2, 4, 8) for s in (1, 2)):
        x = layers.Conv2D(width, 3, strides, "same", use_bias=i == 0)(x)
        x = layers.LeakyReLU(negative_slope=0.2)(batch_norm()(x) if i else x)
    x = layers.LeakyReLU(negative_slope=0.2)(layers.Dense(16 * filters)(layers.Flatten()(x)))
    return keras.Model(image, layers.Dense(1, dtype="float32")(x), name="discriminator")


def prelu():
    return layers.PReLU(shared_axes=[1, 2])  # one slope for each map, so that images of any size fit


def batch_norm():
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5)


def pixel_shuffle(x, factor, dtype=None):
    """PixelShuffle (Shi et al. 2016, arXiv:1609.05158): (batch, h, w, factor^2 c) -> (batch, factor h, factor w, c)."""
    channels = x.shape[-1] // factor**2
    kernel = np.eye(x.shape[-1], dtype="float32").reshape(factor, factor, channels, x.shape[-1])
    layer = layers.Conv2DTranspose(channels, factor, factor, use_bias=False, trainable=False, dtype=dtype)
    x = layer(x)
    layer.set_weights([kernel])
    return x


def bicubic(x, scale):
    """Bicubic enlargement (Keys 1981, a = -0.5) of images (batch, h, w, 3), the same on every backend."""
    phases = (np.arange(scale) + 0.5) / scale - 0.5  # where the new pixels lie between the old ones
    distance = np.abs(np.arange(-2, 3)[None] - phases[:, None])
    near = 1.5 * distance**3 - 2.5 * distance**2 + 1
    far = -0.5 * distance**3 + 2.5 * distance**2 - 4 * distance + 2
    taps = np.where(distance < 1, near, np.where(distance < 2, far, 0))  # (scale, 5)
    kernel = np.einsum("iy,jx->yxij", taps, taps).reshape(5, 5, 1, scale**2)
    layer = layers.DepthwiseConv2D(5, depth_multiplier=scale**2, use_bias=False, trainable=False, dtype="float32")
    for axis in (1, 2):  # mirrored by hand: `ops.pad(..., mode="symmetric")` repeats the edge on PyTorch (Keras 3.15)
        first, last = (x[:, :2], x[:, -2:]) if axis == 1 else (x[:, :, :2], x[:, :, -2:])
        x = ops.concatenate([ops.flip(first, axis), x, ops.flip(last, axis)], axis)
    x = layer(x)
    layer.set_weights([np.repeat(kernel, 3, axis=2)])
    planes = [pixel_shuffle(x[..., i * scale**2 : (i + 1) * scale**2], scale, "float32") for i in range(3)]
    return ops.concatenate(planes, axis=-1)


def build_vgg(layer="block5_conv4", weights="imagenet"):
    """VGG19 up to a layer, after its ReLU: images (batch, h, w, 3) in [-1, 1] -> features / 12.75 (Section 3.2).

    Args:
        layer: "block5_conv4" is the paper's phi(5,4), "block2_conv2" its phi(2,2).
        weights: "imagenet", "random", or a file of weights for VGG19 without its top.
    """
    image = keras.Input((None, None, 3))
    x = keras.applications.vgg19.preprocess_input((image + 1) * 127.5)
    vgg = keras.applications.VGG19(include_top=False, weights=None if weights == "random" else weights, input_tensor=x)
    features = vgg.get_layer(layer).output
    if weights == "random":
        # He et al. 2015: normal weights of variance 2 / inputs keep the size of the features from layer to layer.
        random = np.random.default_rng(19)
        scale = 1 / 64  # about the size of preprocessed pixels
        for conv in (each for each in vgg.layers if isinstance(each, layers.Conv2D)):
            shape = conv.kernel.shape
            kernel = random.normal(0, scale * np.sqrt(2 / np.prod(shape[:3])), shape)
            conv.set_weights([kernel, np.zeros(shape[3])])
            scale = 1
    model = keras.Model(image, ops.cast(features, "float32") / 12.75, name="vgg")
    model.trainable = False
    return model


def find_vgg(choice, layer):
    """The VGG19 that `--vgg` asks for, and the name of its weights: without a choice ImageNet's, or else random."""
    try:
        return build_vgg(layer, choice or "imagenet"), choice or "imagenet"
    except Exception as error:  # keras.utils.get_file raises a bare Exception
        if choice:
            raise ValueError(f"VGG19 can't have the weights {choice}: {error}") from error
        warnings.warn(
            f"VGG19's ImageNet weights can't be downloaded ({error}): random ones are used, which is worse. Put "
            "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5 into the folder ~/.keras/models for the real ones",
            stacklevel=2,
        )
        return build_vgg(layer, "random"), "random"


def downscale(images, scale):
    """uint8 images (batch, h, w, 3) -> (batch, h / scale, w / scale, 3), bicubic and antialiased as MATLAB's.

    h and w should be multiples of `scale`: others are scaled by another factor.
    """
    height, width = images.shape[1] // scale, images.shape[2] // scale
    return np.stack([np.asarray(Image.fromarray(i).resize((width, height), Image.Resampling.BICUBIC)) for i in images])


class Player(keras.Model):
    """One player of the game, or both: a functional model, of which the optimiser moves only `networks`.

    Keras asks `trainable_variables` who learns. Switching `trainable` flags instead, as tutorials for older Keras do,
    leaves the discriminator without any weights to train, and its batch normalisation in the wrong mode.
    """

    def __init__(self, inputs, outputs, networks, **kwargs):
        if isinstance(outputs, dict):  # Keras takes the names from layers
            outputs = {name: layers.Identity(name=name, dtype="float32")(x) for name, x in outputs.items()}
        super().__init__(inputs, outputs, **kwargs)
        self.networks = networks

    def compile(self, optimizer, loss, **kwargs):
        """Makes all variables at once: `load` finds them, and TensorFlow need not compile the first step twice."""
        super().compile(optimizer, loss, **kwargs)
        self.optimizer.build(self.trainable_variables)
        outputs = keras.tree.map_structure(lambda output: ops.zeros((1, *output.shape[1:])), self.output)
        targets = {name: outputs[name] for name in loss} if isinstance(loss, dict) else outputs
        self.compute_loss(None, targets, outputs)
        self.compute_metrics(None, targets, outputs)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """What `train_on_batch` returns: this batch's numbers, where older Keras has means over all batches so far."""
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        for metric in self.metrics:
            metric.reset_state()
        return logs

    def reset_metrics(self):
        """There is nothing left to reset. Keras does it before each step, outside of the compiled function: slowly."""

    @property
    def trainable_variables(self):
        return [v for network in self.networks for v in network.trainable_variables]

    @property
    def non_trainable_variables(self):
        moved = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in moved]

    trainable_weights, non_trainable_weights = trainable_variables, non_trainable_variables


class Batches(keras.utils.PyDataset):
    """uint8 images (count, height, width, channels) as float32 batches in [-1, 1], reshuffled for each `epoch`."""

    def __init__(self, images, batch_size, seed):
        super().__init__()
        self.images, self.batch_size, self.seed, self.epoch = checked(images), batch_size, seed, 0
        if len(self.images) < batch_size:
            raise ValueError(f"{len(self.images)} images are fewer than batch_size={batch_size}")

    def __len__(self):
        return len(self.images) // self.batch_size

    def __getitem__(self, step):
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.images))
        chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
        return self.images[chosen].astype("float32") / 127.5 - 1


def checked(images):
    """The images as an array uint8 (count, height, width, channels); ValueError if they are something else."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"images are {images.dtype} {images.shape}, not uint8 (count, height, width, channels)")
    return images


def to_uint8(images):
    """Float images in [-1, 1] as uint8."""
    return np.clip(np.rint((np.asarray(images) + 1) * 127.5), 0, 255).astype(np.uint8)


def probability(_, logits):
    """Metric: the mean probability of being real that D gives."""
    return ops.sigmoid(logits)


class Frozen(layers.Layer):
    """A network that stays put: gradients pass through it to its inputs, but not to its own weights."""

    def __init__(self, network):
        super().__init__(dtype="float32")  # lets `network` choose how precise it is
        self.network = network

    def call(self, inputs):
        # A call as a function of the weights. What else it would change (moving averages) it returns, and we drop.
        weights = [ops.stop_gradient(v.value) for v in self.network.trainable_variables]
        others = [v.value for v in self.network.non_trainable_variables]
        return self.network.stateless_call(weights, others, inputs)[0]


class SRGAN:
    """The networks and the two stages of their training.

    Args:
        scale, blocks, filters, image_skip: see `build_generator`.
        size: side of the high-resolution training images in pixels, a multiple of `scale`, 32 or more.
        pretrain_steps, gan_steps: steps of the two stages, the paper's; only after the first is there a game at all.
        learning_rate: the highest of stage 1; stage 2 has the paper's 1e-4, from half-way on 1e-5.
        vgg: a model from images to features, see `build_vgg`; None is one with random weights.
        adversarial_weight: of the adversarial loss beside the content loss (equation 3: 1e-3).
        seed: fixes the order of the images; `keras.utils.set_random_seed` fixes the first weights.
    """

    def __init__(self, scale=4, blocks=16, filters=64, image_skip=True, size=96, pretrain_steps=1_000_000,
                 gan_steps=200_000, learning_rate=5e-4, vgg=None, adversarial_weight=1e-3, seed=0):  # fmt: skip
        self.scale, self.pretrain_steps, self.adversarial_weight = scale, pretrain_steps, adversarial_weight
        self.seed, self.steps = seed, 0
        self.generator = generator = build_generator(scale, blocks, filters, image_skip)
        self.srresnet = build_generator(scale, blocks, filters, image_skip)  # the generator at the end of stage 1
        self.discriminator = discriminator = build_discriminator(size, filters)
        vgg = vgg or build_vgg(weights="random")
        low, high = keras.Input((size // scale, size // scale, 3)), keras.Input((size, size, 3))
        fake = generator(low)

        # Stage 1: the mean squared error alone. Without a warm-up the net first blows up, then stays at zero for long.
        warm_up = min(150, pretrain_steps // 3)
        rate = keras.optimizers.schedules.CosineDecay(
            1e-6, max(1, pretrain_steps - warm_up), alpha=0.02, warmup_target=learning_rate, warmup_steps=warm_up
        )
        self.pretrain = Player(low, fake, [generator], name="pretrain")
        self.pretrain.compile(keras.optimizers.Adam(rate), loss="mse")

        # Stage 2.
        # Both players' losses in one model: neither update depends on the other's result. One optimiser updates all
        # weights, and gradients are stopped where they should not flow.
        bce = keras.losses.BinaryCrossentropy(from_logits=True)
        outputs = {
            "content": ops.mean(ops.square(vgg(fake) - vgg(high)), axis=(1, 2, 3)),  # for G: 0 or more, should be 0
            "adversarial": Frozen(discriminator)(fake),  # for G: D, which stays put, should take the image for real
            "real": discriminator(high),  # for D; real and fake apart, so that each has its own statistics
            "fake": discriminator(ops.stop_gradient(fake)),
        }
        self.combined = Player([low, high], outputs, [generator, discriminator], name="combined")
        drop = keras.optimizers.schedules.PiecewiseConstantDecay([max(1, gan_steps // 2)], [1e-4, 1e-5])
        self.combined.compile(
            keras.optimizers.Adam(drop),
            loss={"content": "mae", "adversarial": bce, "real": bce, "fake": bce},
            loss_weights={"content": 1.0, "adversarial": adversarial_weight, "real": 1.0, "fake": 1.0},
            metrics={"real": [probability], "fake": [probability]},
        )

        self.cut = build_generator(scale, blocks, filters, image_skip)  # for `upscale`, with the weights of the others
        self.halves = halves(self.cut)

    def train_step(self, images):
        """One step of the current stage, for float32 images (batch, size, size, 3) in [-1, 1]: the losses."""
        low = downscale(to_uint8(images), self.scale).astype("float32") / 255
        stage_1 = self.steps < self.pretrain_steps
        self.steps += 1
        if stage_1:
            mse = self.pretrain.train_on_batch(low, images, return_dict=True)["loss"]
            if self.steps == self.pretrain_steps:
                self.srresnet.set_weights(self.generator.get_weights())
            return {"pretrain_loss": float(mse)}
        ones, zeros = np.ones((len(images), 1), "float32"), np.zeros((len(images), 1), "float32")
        targets = {"content": zeros, "adversarial": ones, "real": ones, "fake": zeros}
        logs = self.combined.train_on_batch([low, images], targets, return_dict=True)
        return {
            "d_loss": float(logs["real_loss"] + logs["fake_loss"]),
            "g_loss": float(logs["content_loss"] + self.adversarial_weight * logs["adversarial_loss"]),
            "content_loss": float(logs["content_loss"]),
            "adversarial_loss": float(logs["adversarial_loss"]),
            "d_real": float(logs["real_probability"]),
            "d_fake": float(logs["fake_probability"]),
        }

    def train(self, images, epochs, batch_size=16, callbacks=(), initial_epoch=0, initial_step=0):
        """Trains for `epochs` epochs in all; the first is `initial_epoch`, from its step `initial_step` on.

        Args:
            images: uint8 (count, size, size, 3), or a PyDataset of float32 batches in [-1, 1].
            batch_size: for an array; a PyDataset has its own.
            callbacks: Keras callbacks; they see `combined` as their model. CSVLogger writes stage 1 alone.

        Returns:
            keras.callbacks.History: for each epoch the means of what `train_step` returns.
        """
        if not isinstance(images, keras.utils.PyDataset):
            images = Batches(images, batch_size, self.seed)
        history = keras.callbacks.History()
        callbacks = keras.callbacks.CallbackList(
            [history, *callbacks], add_progbar=True, model=self.combined, epochs=epochs, steps=len(images), verbose=1
        )
        self.combined.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            images.epoch = epoch  # fixes the order of the images
            callbacks.on_epoch_begin(epoch)
            steps = []
            for step in range(initial_step, len(images)):
                callbacks.on_train_batch_begin(step)
                steps.append(self.train_step(images[step]))
                callbacks.on_train_batch_end(step, steps[-1])
                if self.combined.stop_training:
                    break
            initial_step = 0
            names = dict.fromkeys(name for logs in steps for name in logs)
            means = {name: float(np.mean([logs[name] for logs in steps if name in logs])) for name in names}
            callbacks.on_epoch_end(epoch, means)
            if self.combined.stop_training:
                break
        callbacks.on_train_end()
        return history

    @classmethod
    def pretrained(cls):
        """The default SRGAN with the generator that comes with the zoo, in `weights` beside this file."""
        gan = cls(vgg=layers.Identity())  # which is for training
        gan.generator.load_weights(Path(__file__).parent / "weights" / "srgan.keras")
        return gan

    def upscale(self, images, network=None):
        """uint8 images (batch, h, w, 3) -> (batch, scale h, scale w, 3), by the generator or another network.

        Most of the memory goes into the layers that enlarge: they are given windows of 128 pixels and a border, which
        is as wide as their reach. What the many layers before them see of the image is not cut.
        """
        self.cut.set_weights((network or self.generator).get_weights())
        first, last = self.halves
        scale, border = self.scale, 3
        images = checked(images)
        count, height, width = images.shape[:3]
        tall, wide = (math.ceil(side / math.ceil(side / 128)) for side in (height, width))
        result = np.empty((count, scale * height, scale * width, 3), np.uint8)
        for image, enlarged in zip(images.astype("float32")[:, None] / 255, result, strict=True):
            features = first.predict_on_batch(image)
            for top, left in itertools.product(range(0, height, tall), range(0, width, wide)):
                # All windows have the same shape: those at the edges reach further in.
                y = max(0, min(top - border, height - tall - 2 * border))
                x = max(0, min(left - border, width - wide - 2 * border))
                window = np.s_[:, y : y + tall + 2 * border, x : x + wide + 2 * border]
                part = last.predict_on_batch([features[window], image[window]])[0]
                place = enlarged[scale * top : scale * (top + tall), scale * left : scale * (left + wide)]
                place[:] = to_uint8(part[scale * (top - y) :, scale * (left - x) :][: place.shape[0], : place.shape[1]])
        return result

    def save(self, folder):
        """Saves the networks (.keras files) and the state of the training (training.npz) in a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.generator.save(folder / "generator.keras")
        self.srresnet.save(folder / "srresnet.keras")
        self.discriminator.save(folder / "discriminator.keras")
        state = {f"optimizer_{i}": ops.convert_to_numpy(v) for i, v in enumerate(self._optimizer_variables())}
        np.savez(folder / "training.npz", steps=self.steps, **state)

    def load(self, folder):
        """Loads what `save` wrote, or a run's folder `checkpoint`, into a model made with the same arguments.

        The learning rate is loaded too, unless a schedule gives it.
        """
        folder = Path(folder)
        self.generator.load_weights(folder / "generator.keras")
        self.srresnet.load_weights(folder / "srresnet.keras")
        self.discriminator.load_weights(folder / "discriminator.keras")
        with np.load(folder / "training.npz") as state:
            self.steps = int(state["steps"])
            for i, variable in enumerate(self._optimizer_variables()):
                variable.assign(state[f"optimizer_{i}"])

    def _optimizer_variables(self):
        return [v for player in (self.pretrain, self.combined) for v in player.optimizer.variables]


def evaluate(gan, networks, images, metrics):
    """PSNR and SSIM on Y, without a border of `scale` pixels, of whole images (dataset.Images): {row: {column: mean}}.

    The rows are bicubic enlargement by Pillow, and the generators in `networks`, a dictionary of their names. Of sides
    over 1024 pixels the middle is taken.
    """
    scores = {}
    for truth in images.whole(least=11 + 3 * gan.scale, most=1024):  # SSIM's window, what is cropped, and the border
        height, width = (side // gan.scale * gan.scale for side in truth.shape[:2])
        truth = truth[:height, :width]
        low = downscale(truth[None], gan.scale)
        bicubic = np.asarray(Image.fromarray(low[0]).resize((width, height), Image.Resampling.BICUBIC))
        enlarged = {"bicubic": bicubic} | {name: gan.upscale(low, g)[0] for name, g in networks.items()}
        for name, image in enlarged.items():
            border = slice(gan.scale, -gan.scale)
            pair = [metrics.luma(x)[border, border] for x in (image, truth)]
            scores.setdefault(name, []).append((metrics.psnr(*pair), metrics.ssim(*pair)))
    means = {name: np.mean(pairs, axis=0) for name, pairs in scores.items()}
    return {name: {"PSNR dB": float(psnr), "SSIM": float(ssim)} for name, (psnr, ssim) in means.items()}


def ground_floor(*names):
    """Imports modules of the zoo: from the package, or from the copies beside this file."""
    try:
        return [importlib.import_module(f"{__package__}.{name}" if __package__ else name) for name in names]
    except ModuleNotFoundError as error:
        if error.name not in names:
            raise
        model = Path(__file__).stem
        advice = f"`python -m zoo copy {model} FOLDER`, in the zoo, puts all of them into a folder"
        print(f"error: {model}.py's command line needs {', '.join(names)} (.py) beside it: {advice}", file=sys.stderr)
        raise SystemExit(2) from None


def main(argv=None):
    """The command line: trains or resumes a run, or with --apply or --evaluate uses a trained one."""
    dataset, metrics, photos, runs = ground_floor("dataset", "metrics", "photos", "runs")
    least = 60  # steps in an epoch
    parser = runs.parser("srgan", __doc__, data="photos", size=96, batch_size=8, learning_rate=5e-4, steps=least)
    add = parser.add_argument
    add("--scale", type=int, choices=[2, 4, 8], default=4, help="enlargement of each side (%(default)s)")
    add("--blocks", type=runs.positive, default=16, metavar="N", help="residual blocks (%(default)s)")
    add("--filters", type=runs.positive, default=64, metavar="N", help="width of the networks (%(default)s)")
    add("--image-skip", action=argparse.BooleanOptionalAction, default=True, help="add the bicubic enlargement (yes)")
    first = "epochs of stage 1, without D (four fifths of the first call's)"
    add("--pretrain-epochs", type=runs.number(int, 0), metavar="N", help=first)
    add("--vgg", metavar="WEIGHTS", help="imagenet, random or a .h5 file (imagenet, or random without a network)")
    depths = ["block2_conv2", "block5_conv4"]
    add("--vgg-layer", choices=depths, default="block5_conv4", help="where features are taken (%(default)s)")
    weight = runs.number(float, 0)
    add("--adversarial-weight", type=weight, default=1e-3, metavar="X", help="beside the content loss (%(default)s)")
    add("--apply", nargs="+", metavar="PHOTO", help="enlarge photos of any size, and end")
    o = runs.parse(parser, argv, actions=("apply", "evaluate"), later=("vgg",))

    with runs.errors(ValueError):
        if o.size % o.scale or o.size < 32:
            raise ValueError(f"--size {o.size} should be 32 or more and a multiple of --scale {o.scale}")
        if o.pretrain_epochs is None:
            o.pretrain_epochs = max(1, o.epochs * 4 // 5)
        vgg = layers.Identity()  # which only stage 2 needs another for
        if not (o.apply or o.evaluate):
            images = dataset.load(o.data, o.size, 3, o.batch_size, crop="random", flip=True, seed=o.seed)
            o.steps_per_epoch = images.steps = o.steps_per_epoch or max(len(images), least)
            crops = dataset.load(o.data, 2 * o.size, 3, 1, "test", "random").take(4)
            if o.epochs > o.pretrain_epochs:
                vgg, o.vgg = find_vgg(o.vgg, o.vgg_layer)
        keras.utils.set_random_seed(o.seed)  # the same first weights, whatever VGG19 has drawn
        epoch = o.steps_per_epoch or least
        steps = [o.pretrain_epochs * epoch, max(0, o.epochs - o.pretrain_epochs) * epoch]
        gan = SRGAN(o.scale, o.blocks, o.filters, o.image_skip, o.size, *steps, o.learning_rate, vgg,
                    o.adversarial_weight, o.seed)  # fmt: skip

    if o.apply or o.evaluate:
        with runs.errors(dataset.DataError, photos.PhotoError, knobs="photo"):
            runs.load_trained(o, gan)
            if o.evaluate:
                source, split = runs.held_out(o)
                test = dataset.load(source, o.size, 3, split=split, crop="random")
                if o.weights:
                    networks = {"generator": gan.generator}
                elif gan.steps <= gan.pretrain_steps:
                    networks = {"SRResNet": gan.generator}
                else:
                    networks = {"SRResNet": gan.srresnet} if gan.pretrain_steps else {}
                    networks[f"SRGAN, VGG19 {o.vgg}"] = gan.generator
                runs.report(o, evaluate(gan, networks, test, metrics))
            else:
                for source, target in photos.targets(o.apply, o.output, f"x{o.scale}"):
                    # The halo is the reach of the layers, in pixels of the input.
                    photos.apply(source, target, gan.upscale, scale=o.scale, tile=512, halo=2 * o.blocks + 12)
                    print(f"wrote {target}")
        return

    def sample():
        low = downscale(crops, o.scale)
        enlarged = [Image.fromarray(i).resize((2 * o.size, 2 * o.size), Image.Resampling.BICUBIC) for i in low]
        return runs.columns(map(np.asarray, enlarged), gan.upscale(low), crops)

    print(f"epochs of stage 1: {min(o.epochs, o.pretrain_epochs)}, of stage 2: {max(0, o.epochs - o.pretrain_epochs)}")
    with runs.errors(dataset.DataError), runs.Run(o, gan, sample) as run:
        gan.train(images, o.epochs, callbacks=[run], **run.position)


if __name__ == "__main__":
    main()
