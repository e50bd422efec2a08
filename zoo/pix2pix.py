"""Pix2pix: grey photos in colour, sketches in colour, or whatever a folder of A|B pairs shows.

Isola, Zhu, Zhou, Efros: Image-to-Image Translation with Conditional Adversarial Networks, arXiv:1611.07004.

    input x (batch, 256, 256, 1 or 3) in [-1, 1]  ->  generator (U-Net)         ->  output (batch, 256, 256, 2 or 3)
    x and an output, or the true target y         ->  discriminator (PatchGAN)  ->  logits (batch, 30, 30, 1): real?

    python -m zoo.pix2pix --epochs 5                                    colorizes; trains on 4 photos, no download
    python -m zoo.pix2pix --data my/photos --epochs 50 --learning-rate 2e-4    your own; long, so at the paper's rate
    python -m zoo.pix2pix --task sketch                                 pencil sketch to photo
    python -m zoo.pix2pix --task pairs --data facades --direction BtoA  or maps, edges2shoes, ..., or a folder of pairs
    python -m zoo.pix2pix --apply photo.jpg                             a picture of any size through the trained run
    python -m zoo.pix2pix --evaluate [SOURCE]                           errors, beside those of the unchanged input

Measured on 40 photos of BSDS500, held out, after `--data FOLDER --learning-rate 2e-4 --precision mixed_bfloat16
--steps-per-epoch 400 --epochs 25` on 360 others: the colours are off by 18.1 in CIELAB, those of the grey photo by
21.8; their colourfulness is 29.7, that of the photos 43.4.

The colorizer is given the lightness L of CIELAB and makes the colours a and b. A picture of another size is shrunk to
the square of `--size` pixels that the network knows, whole and not in tiles: each pixel of a U-Net's output depends on
the whole input. Its colours are then enlarged and joined with the photo's own L, so that no detail is lost; the output
of the other tasks is enlarged as it is.

Differences from the paper:
- The normalisation is over each image; the paper's is over the batch, in training and at test (`--norm batch`). With
  more than one image in a batch, the statistics at test, of a single one, are others than in training.
- The learning rate falls to zero, along a cosine, over the second half of the training (going on with a larger
  `--epochs` raises it again); the paper's is constant.
- A larger picture is shrunk, not translated at its own size.
- Photos are cut to squares of any size at any place, pairs are jittered as in the paper. Photographers put what is red
  (faces, flowers) into the middle, and the innermost layers of a U-Net know where they are: trained on whole photos it
  reddens the middle of every picture.
- G and D are updated at once, not D before G, so that what G has made serves both: a step is one call.
- The defaults are for laptops; the paper's are `--size 256 --filters 64 --learning-rate 2e-4`, and batches of 1 to
  10. The rate of 3e-3 is for short trainings: after 500 to 2000 steps the colours of photos held out are nearer than
  at the paper's, with fewer blotches; after 10,000 steps the paper's has the nearer ones.
- Convolutions before a normalisation have no bias: the normalisation would take it away again.
"""

import argparse
import importlib
import sys
import warnings
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from PIL import Image
from skimage import color
from skimage.filters import gaussian

CHANNELS = {"colorize": (1, 2), "sketch": (1, 3), "pairs": (3, 3)}  # of the input, of the output
PATCHES = {1: 0, 16: 1, 70: 3, 286: 5}  # receptive field of D: its layers of stride 2
MOST = 500  # images to evaluate on


def build_generator(size=256, in_channels=1, out_channels=2, filters=64, dropout=0.5, norm="instance", skips=True):
    """The U-Net of Section 6.1.1: images (batch, size, size, in_channels) in [-1, 1] -> (..., out_channels) in [-1, 1].

    The dropout is the noise z: call the model with `training=True` for it; `predict` leaves it out.

    Args:
        size: a multiple of 32 up to 512. The encoder halves it while it is even, 256 to 1 in eight layers: powers
            of two are best, 288 has five layers alone.
        filters: width of the first layer; each layer of the encoder is twice as wide as the one before, up to 8 times.
        dropout: share of the values that the first three layers of the decoder lose.
        norm: "instance" or "batch", see `normalize`.
        skips: gives the decoder the encoder's maps of each size; without them it is an encoder-decoder.
    """
    if size % 32 or not 32 <= size <= 512:
        raise ValueError(f"--size {size} should be a multiple of 32, from 32 to 512")
    x = image = keras.Input((size, size, in_channels), name="image")
    maps, widths = [], []
    while size % 2 == 0:
        widths.append(filters * min(2 ** len(maps), 8))
        size //= 2
        plain = not maps or size == 1  # the normalisation of a single value is zero
        x = layers.LeakyReLU(negative_slope=0.2)(x) if maps else x
        x = layers.Conv2D(widths[-1], 4, 2, "same", use_bias=plain, kernel_initializer=normal())(x)
        x = x if plain else normalize(x, norm)
        maps.append(x)
    maps.pop()
    for i, width in enumerate(reversed(widths[:-1])):
        x = layers.Conv2DTranspose(width, 4, 2, "same", use_bias=False, kernel_initializer=normal())(layers.ReLU()(x))
        x = normalize(x, norm)
        x = layers.Dropout(dropout, seed=i)(x) if dropout and i < 3 else x
        x = layers.Concatenate()([x, maps.pop()]) if skips else x
    x = layers.Conv2DTranspose(out_channels, 4, 2, "same", kernel_initializer=normal())(layers.ReLU()(x))
    return keras.Model(image, layers.Activation("tanh", dtype="float32")(x), name="generator")


def build_discriminator(size=256, in_channels=1, out_channels=2, patch=70, filters=64, norm="instance"):
    """The PatchGAN of Section 6.1.2: [x, y] -> logits (batch, h, w, 1), each for one patch of x and y, overlapping.

    Args:
        size: side of x (batch, size, size, in_channels) and y (batch, size, size, out_channels).
        patch: side of the patches: 1 (PixelGAN), 16, 70 or 286 pixels (ImageGAN); the map for 70 of 256 is 30 x 30.
        filters: width of the first layer; each layer is twice as wide as the one before, up to 8 times.
        norm: "instance" or "batch", see `normalize`.
    """
    if patch not in PATCHES:
        raise ValueError(f"patch is {patch}, and can be {', '.join(map(str, PATCHES))}")
    halvings = PATCHES[patch]
    kernel = 4 if halvings else 1
    if kernel > 1 and size < 4 << halvings:
        raise ValueError(f"--patch {patch} needs --size {4 << halvings} or more")
    inputs = [keras.Input((size, size, channels)) for channels in (in_channels, out_channels)]
    x = layers.Concatenate()(inputs)
    for i in range(max(2, halvings + 1)):
        x = convolution(x, filters * min(2**i, 8), kernel, strides=2 if i < halvings else 1, use_bias=i == 0)
        x = layers.LeakyReLU(negative_slope=0.2)(normalize(x, norm) if i else x)
    x = convolution(x, 1, kernel)
    return keras.Model(inputs, layers.Activation("linear", dtype="float32")(x), name="discriminator")


def convolution(x, width, kernel, **options):
    # One pixel on each side, as in PyTorch: 32 x 32 becomes 31 x 31, which with Keras' "same" would stay 32 x 32.
    x = layers.ZeroPadding2D(1)(x) if kernel > 1 else x
    return layers.Conv2D(width, kernel, kernel_initializer=normal(), **options)(x)


def normal(mean=0.0):
    """Section 6.2: all weights are drawn from a normal distribution of standard deviation 0.02."""
    return keras.initializers.RandomNormal(mean, 0.02)


def normalize(x, norm):
    """Normalises each map over one image ("instance"), or over all those of the batch ("batch"), at test as well.

    A batch laid end to end is one image, so that the instance normalisation of that is the batch's. Keras' own
    BatchNormalization has moving averages at test, which the paper does without.
    """
    if norm not in ("instance", "batch"):
        raise ValueError(f"norm is {norm!r}, and can be instance or batch")
    layer = layers.GroupNormalization(groups=-1, epsilon=1e-5, gamma_initializer=normal(1.0))
    if norm == "instance":
        return layer(x)
    height, width, channels = x.shape[1:]
    return ops.reshape(layer(ops.reshape(x, (1, -1, width, channels))), (-1, height, width, channels))


def to_lab(images):
    """RGB images (..., 3), uint8 or float in [0, 1], as float32 (L/50 - 1, a/110, b/110)."""
    return (color.rgb2lab(images) / [50, 110, 110] - [1, 0, 0]).astype("float32")


def colorize(photo, ab):
    """A uint8 photo (h, w, 3) with its own lightness and the colours `ab` (any size, 2) in [-1, 1], enlarged to it."""
    height, width = photo.shape[:2]
    planes = [Image.fromarray(np.ascontiguousarray(ab[..., i], "float32")) for i in range(2)]
    result = np.empty_like(photo)
    for top in range(0, height, 256):  # a band at a time, to save memory
        bottom = min(top + 256, height)
        lab = color.rgb2lab(photo[top:bottom])
        box = 0, top * ab.shape[0] / height, ab.shape[1], bottom * ab.shape[0] / height
        for i, plane in enumerate(planes):
            lab[..., i + 1] = 110 * np.asarray(plane.resize((width, bottom - top), Image.Resampling.BILINEAR, box))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Conversion from CIE-LAB")  # no such colour: the nearest in RGB is taken
            result[top:bottom] = np.rint(255 * color.lab2rgb(lab))
    return result


def sketch(image):
    """A pencil sketch, float (h, w) in [0, 1], of an RGB image in [0, 1]: white where it is not darker than around."""
    grey = color.rgb2gray(image) + 0.05  # so that what is evenly black is white too
    return np.minimum(grey / gaussian(grey, 3), 1)


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


class Pix2Pix:
    """The two networks and their game.

    Args:
        task: "colorize", "sketch" or "pairs".
        size: side of the training images in pixels.
        direction: of pairs: "AtoB" or "BtoA".
        filters, dropout, norm, skips, patch: see `build_generator` and `build_discriminator`.
        l1_weight: of the L1 loss, the paper's lambda.
        adversarial_weight: of the adversarial loss beside it; 0 leaves D out.
        learning_rate: of Adam, for both networks; beta_1 is 0.5.
        total_steps: of the whole training: over its second half the learning rate falls to 0, to stay there; None keeps
            it.
        deterministic: no dropout at test time.
        seed: fixes the noise of every step; `keras.utils.set_random_seed` fixes the first weights.
    """

    def __init__(self, task="colorize", size=256, direction="AtoB", filters=64, dropout=0.5, norm="instance",
                 skips=True, patch=70, l1_weight=100, adversarial_weight=1, learning_rate=2e-4, total_steps=None,
                 deterministic=False, seed=0):  # fmt: skip
        if task not in CHANNELS:
            raise ValueError(f"task is {task!r}, and can be {', '.join(CHANNELS)}")
        if direction not in ("AtoB", "BtoA"):
            raise ValueError(f"direction is {direction!r}, and can be AtoB or BtoA")
        if not (l1_weight or adversarial_weight):
            raise ValueError("the weights of both losses are 0: there is nothing to learn")
        self.task, self.size, self.direction, self.deterministic = task, size, direction, deterministic
        self.l1_weight, self.adversarial_weight, self.seed, self.steps = l1_weight, adversarial_weight, seed, 0
        inputs, outputs = CHANNELS[task]
        self.generator = generator = build_generator(size, inputs, outputs, filters, dropout, norm, skips)
        self.discriminator = discriminator = build_discriminator(size, inputs, outputs, patch, filters, norm)
        bce = keras.losses.BinaryCrossentropy(from_logits=True)
        x, target = (keras.Input((size, size, channels)) for channels in (inputs, outputs))

        # Both players' losses in one model: neither update depends on the other's result. One optimiser updates all
        # weights, and gradients are stopped where they should not flow.
        fake = generator(x)
        networks = [generator, discriminator]
        outputs = {
            "l1": fake,  # for G: should be the target
            "adversarial": Frozen(discriminator)([x, fake]),  # for G: D, which stays put, should take it for that
            "real": discriminator([x, target]),  # for D; real and fake apart, so that with `--norm batch` each
            "fake": discriminator([x, ops.stop_gradient(fake)]),  # has its own statistics
        }
        losses = {"l1": "mae", "adversarial": bce, "real": bce, "fake": bce}
        # Section 3.3 halves D's loss; Adam divides that out again, so that it shows in the log alone.
        weights = {"l1": l1_weight, "adversarial": adversarial_weight, "real": 0.5, "fake": 0.5}
        scores = {"real": [probability], "fake": [probability]}
        if not adversarial_weight:
            networks, outputs, scores = [generator], {"l1": fake}, None
            losses, weights = {"l1": "mae"}, {"l1": l1_weight}
        self.combined = Player([x, target], outputs, networks, name="combined")
        rate = learning_rate
        if total_steps:
            half = max(1, total_steps // 2)
            rate = keras.optimizers.schedules.CosineDecay(rate, half, warmup_target=rate, warmup_steps=half)
        adam = keras.optimizers.Adam(rate, beta_1=0.5)
        self.combined.compile(adam, loss=losses, loss_weights=weights, metrics=scores)

    def pair(self, images):
        """Float32 RGB images in [-1, 1] (pairs: A's channels on B's) -> the input x and the target."""
        if self.task == "pairs":
            a, b = images[..., :3], images[..., 3:]
            return (a, b) if self.direction == "AtoB" else (b, a)
        if self.task == "colorize":
            lab = to_lab((images + 1) / 2)
            return lab[..., :1], lab[..., 1:]
        return np.stack([sketch((image + 1) / 2) for image in images])[..., None].astype("float32") * 2 - 1, images

    def train_step(self, images):
        """One update of G and D on float32 images as `pair` takes them, or on what it returns: losses, mean scores."""
        x, target = images if isinstance(images, tuple) else self.pair(images)
        shape = len(x), *self.discriminator.output_shape[1:]
        ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")
        self._fix_noise(self.seed, self.steps)
        self.steps += 1
        targets = {"l1": target, "adversarial": ones, "real": ones, "fake": zeros}
        targets = {name: targets[name] for name in self.combined.output_names}
        logs = self.combined.train_on_batch([x, target], targets, return_dict=True)
        if not self.adversarial_weight:  # Keras has no name of its own for the only loss
            return {"g_loss": float(logs["loss"]), "l1_loss": float(logs["loss"] / self.l1_weight)}
        return {
            "g_loss": float(self.l1_weight * logs["l1_loss"] + self.adversarial_weight * logs["adversarial_loss"]),
            "l1_loss": float(logs["l1_loss"]),
            "adversarial_loss": float(logs["adversarial_loss"]),
            "d_loss": float(logs["real_loss"] + logs["fake_loss"]) / 2,
            "d_real": float(logs["real_probability"]),
            "d_fake": float(logs["fake_probability"]),
        }

    def _fix_noise(self, seed, place):
        """The dropout's next draw follows from these two numbers alone, so that a stopped run goes on exactly."""
        for i, layer in enumerate(each for each in self.generator.layers if isinstance(each, layers.Dropout)):
            layer.seed_generator.state.assign(np.random.default_rng((seed, place, i)).integers(2**30, size=2))

    def train(self, images, epochs, batch_size=1, callbacks=(), initial_epoch=0, initial_step=0):
        """Trains for `epochs` epochs in all; the first is `initial_epoch`, from its step `initial_step` on.

        Args:
            images: uint8 (count, size, size, 3), of pairs 6, or a PyDataset of batches that `train_step` takes.
            batch_size: for an array; a PyDataset has its own.
            callbacks: Keras callbacks; they see `combined` as their model.

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

    def translate(self, images, seed=0):
        """uint8 inputs (batch, h, w, 3) of any size -> outputs of that size: colorized photos, coloured sketches, ...

        Args:
            images: photos, whose colours do not count; sketches, dark on white; or one domain of the pairs.
            seed: of the dropout.
        """
        results = []
        for i, image in enumerate(checked(images)):  # one by one, so that no picture depends on the others
            small = np.asarray(Image.fromarray(image).resize((self.size, self.size), Image.Resampling.BICUBIC))
            if self.task == "colorize":
                x = to_lab(small)[..., :1]
            else:
                x = (small if self.task == "pairs" else 255 * color.rgb2gray(small)[..., None]) / 127.5 - 1
            self._fix_noise(seed, i)
            made = self.generator(x[None].astype("float32"), training=not self.deterministic)
            made = ops.convert_to_numpy(made)[0]
            if self.task != "colorize":
                made = Image.fromarray(to_uint8(made)).resize(image.shape[1::-1], Image.Resampling.BICUBIC)
            results.append(colorize(image, made) if self.task == "colorize" else np.asarray(made))
        return np.stack(results)

    def save(self, folder):
        """Saves the networks (.keras files) and the state of the training (training.npz) in a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.generator.save(folder / "generator.keras")
        self.discriminator.save(folder / "discriminator.keras")
        state = {f"optimizer_{i}": ops.convert_to_numpy(v) for i, v in enumerate(self.combined.optimizer.variables)}
        np.savez(folder / "training.npz", steps=self.steps, **state)

    def load(self, folder):
        """Loads what `save` wrote, or a run's folder `checkpoint`, into a model made with the same arguments.

        The learning rate is loaded too, unless a schedule gives it.
        """
        folder = Path(folder)
        self.generator.load_weights(folder / "generator.keras")
        self.discriminator.load_weights(folder / "discriminator.keras")
        with np.load(folder / "training.npz") as state:
            self.steps = int(state["steps"])
            for i, variable in enumerate(self.combined.optimizer.variables):
                variable.assign(state[f"optimizer_{i}"])


def as_pictures(gan, images):
    """What `translate` is given, and what it should make of that, for uint8 `images`: two uint8 RGB arrays."""
    if gan.task == "colorize":
        return np.stack([colorize(image, np.zeros((1, 1, 2))) for image in images]), images
    x, target = gan.pair(images.astype("float32") / 127.5 - 1)
    return np.repeat(to_uint8(x), 3 // x.shape[-1], axis=-1), to_uint8(target)


def evaluate(gan, images, metrics, train=None):
    """Means over the first MOST of `images` (dataset.Images), at the training size: {row: {column: number}}.

    The rows are G's output, and what one has without G: the grey photo; or the input as it is, and, where there are
    images to `train` on, the mean of their targets. PSNR in dB is on RGB, SSIM on Y, L1 in grey levels. The ab error,
    the mean distance of the colours in CIELAB, rewards grey: read it together with the colourfulness, and that beside
    the truth's.
    """
    inputs, targets = as_pictures(gan, images.take(MOST))
    grey = gan.task == "colorize"
    rows = {"grey" if grey else "input": inputs, "output": gan.translate(inputs)}
    if train:
        mean = as_pictures(gan, train.take(MOST))[1].mean(0)
        rows["mean target"] = [np.rint(mean).astype(np.uint8)] * len(targets)
    result = {}
    for name, pictures in rows.items():
        result[name] = metrics.scores(pictures, targets)
        if grey:
            colours = [(to_lab(a)[..., 1:], to_lab(b)[..., 1:]) for a, b in zip(pictures, targets, strict=True)]
            result[name]["ab error"] = np.mean([110 * np.linalg.norm(a - b, axis=-1).mean() for a, b in colours])
            result[name]["colourful"] = np.mean([metrics.colourfulness(picture) for picture in pictures])
    if grey:
        result["truth"] = {"colourful": np.mean([metrics.colourfulness(picture) for picture in targets])}
    return {name: {column: float(value) for column, value in row.items()} for name, row in result.items()}


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
    least = 100  # steps in an epoch
    parser = runs.parser("pix2pix", __doc__, data="scenes", size=128, batch_size=4, learning_rate=3e-3, steps=least)
    add = parser.add_argument
    add("--task", choices=list(CHANNELS), default="colorize", help="what is made of what (%(default)s)")
    add("--direction", choices=["AtoB", "BtoA"], default="AtoB", help="of pairs (%(default)s)")
    add("--filters", type=runs.positive, default=32, metavar="N", help="width of the networks (%(default)s)")
    share = runs.number(float, 0, 0.9)
    add("--dropout", type=share, default=0.5, metavar="X", help="share of the values dropped as noise (%(default)s)")
    add("--norm", choices=["instance", "batch"], default="instance", help="over each image or the batch (%(default)s)")
    add("--skips", action=argparse.BooleanOptionalAction, default=True, help="U-Net, not encoder-decoder (yes)")
    add("--patch", type=int, choices=list(PATCHES), default=70, help="pixels that a logit of D sees (%(default)s)")
    weight = runs.number(float, 0)
    add("--lambda", type=weight, default=100, metavar="X", help="weight of the L1 loss (%(default)s)")
    add("--adversarial-weight", type=weight, default=1, metavar="X", help="beside the L1 loss (%(default)s)")
    add("--deterministic", action="store_true", help="no dropout in samples, --apply and --evaluate")
    add("--apply", nargs="+", metavar="PHOTO", help="translate pictures of any size, and end")
    o = runs.parse(parser, argv, actions=("apply", "evaluate"), free=("deterministic",))

    def load(source, split, batch_size=1):
        # Of pairs the paper's jitter, 286 pixels for 256; of photos squares of any size: see the top of this file.
        domain, crop, jitter = None, "zoom", 1
        if o.task == "pairs":
            domain, crop, jitter = "AB", "center", 286 / 256 if split == "train" else 1
        return dataset.load(source, o.size, 3, batch_size, split, crop, True, jitter, seed=o.seed, domain=domain)

    with runs.errors(ValueError):
        if not (o.apply or o.evaluate):
            images = load(o.data, "train", o.batch_size)
            o.steps_per_epoch = images.steps = o.steps_per_epoch or max(len(images), least)
            held_out = load(o.data, "test").take(6)
        total = o.epochs * (o.steps_per_epoch or 0)
        gan = Pix2Pix(o.task, o.size, o.direction, o.filters, o.dropout, o.norm, o.skips, o.patch, getattr(o, "lambda"),
                      o.adversarial_weight, o.learning_rate, total, o.deterministic, o.seed)  # fmt: skip

    if o.apply or o.evaluate:
        with runs.errors(dataset.DataError, photos.PhotoError, knobs="photo"):
            runs.load_trained(o, gan)
            if o.evaluate:
                train, test = None, load(*runs.held_out(o))
                if o.task != "colorize" and not o.weights:
                    train = load(o.data, "train")
                    train.jitter = 1  # the mean of what is not enlarged, as the test images are not
                print(f"on {min(test.count, MOST)} images")
                runs.report(o, evaluate(gan, test, metrics, train))
            else:
                for source, target in photos.targets(o.apply, o.output, gan.task):
                    whole = {"tile": 10**9, "halo": 0}  # no tiles: see the top of this file
                    photos.apply(source, target, lambda photo: gan.translate(photo, o.seed), **whole, colour=True)
                    print(f"wrote {target}")
        return

    images.map = gan.pair
    inputs, targets = as_pictures(gan, held_out)

    def sample():
        return runs.columns(inputs, gan.translate(inputs), targets)

    with runs.errors(dataset.DataError), runs.Run(o, gan, sample) as run:
        gan.train(images, o.epochs, callbacks=[run], **run.position)


if __name__ == "__main__":
    main()
