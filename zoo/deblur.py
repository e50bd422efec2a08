"""Deblurrer: sharp photos from blurred ones, by a convolutional autoencoder with a discriminator.

The "image translation machine" of github.com/lsqpku/img2img: DCGAN's discriminator (Radford et al.,
arXiv:1511.06434) is the encoder, its generator the decoder, with nothing dense between them.

    blurred image (batch, h, w, 3) in [-1, 1], h and w multiples of 16  ->  generator      ->  sharp image of that shape
    image (batch, 64, 64, 3) in [-1, 1]                                 ->  discriminator  ->  logit: is it real?

    python -m zoo.deblur --epochs 5                     trains on 7 photos, no download
    python -m zoo.deblur --data my/photos --epochs 50   your own photos
    python -m zoo.deblur --apply photo.jpg              sharpens a photo of any size with the trained run; where nothing
                                                        was trained, with the generator that comes with the zoo
    python -m zoo.deblur --evaluate [SOURCE]            PSNR and SSIM for each kind of blur, beside classical methods

After five epochs `--evaluate` has 31.3 dB for Gaussian blur of sigma 1 to 3, the blurred photo 29.1, and 30.3 for 28.8
where the photo was shrunk and enlarged; motion blur is hardly restored (30.6 for 30.5). The zoo's own generator, of a
longer training without discriminator, on 442 photos, restores that too: 24.9 for 23.7, on 20 photos held out.

Differences from the tutorial:
- The encoder's maps are added to the decoder's, and the image to the output, so that the network need not carry through
  its narrow middle what the blurred image still shows. So the output is no tanh. `--no-skips` is the tutorial's.
- There is a discriminator, with a small weight; `--adversarial-weight 0` is the tutorial's plain autoencoder. G
  and D are updated at once, so that what G has made serves both: a step is one call.
- The pixel loss is L1, as in the tutorial's code; `--loss l2` is its text's.
- Motion is a fourth kind of blur, beside the tutorial's three.
- Squares are cut out of the photos, and mirrored, at random; the tutorial shrinks whole photos to 64 x 64.
- For laptops, and so that the trained generator can come with the zoo, networks are half as wide and batches are of 8;
  the tutorial's are `--filters 64 --batch-size 64`.
- The learning rate begins at 1e-3, since a training is short, and falls to 0 along a cosine; the tutorial's is 2e-4.
- Convolutions before a batch normalisation have no bias: the normalisation would take it away again.
"""

import argparse
import importlib
import itertools
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from PIL import Image
from scipy.signal import fftconvolve
from skimage import restoration
from skimage.filters import unsharp_mask

KINDS = ("gaussian", "random-gaussian", "resize", "motion")
SHRINK = 4  # of "resize": to 16x16 of 64x64 pixels and back, both bilinear, as the tutorial's scipy.misc.imresize


def build_generator(filters=32, skips=True):
    """Encoder and decoder: images (batch, h, w, 3) in [-1, 1], h and w multiples of 16 -> images of that shape.

    Args:
        filters: width of the first layer; every layer of the encoder is twice as wide as the one before.
        skips: adds the encoder's maps and the image to the decoder's.
    """
    x = image = keras.Input((None, None, 3), name="blurred")
    maps = []
    for i in range(4):
        x = layers.Conv2D(filters * 2**i, 5, 2, "same", use_bias=i == 0, kernel_initializer=normal())(x)
        x = layers.LeakyReLU(negative_slope=0.2)(batch_norm()(x) if i else x)
        maps.append(x)
    for i in (2, 1, 0):
        x = layers.Conv2DTranspose(filters * 2**i, 5, 2, "same", use_bias=False, kernel_initializer=normal())(x)
        x = layers.ReLU()(batch_norm()(x))
        if skips:
            x = x + maps[i]
    # With skips it begins with the image as it is, so that a short training shows.
    start = "zeros" if skips else normal()
    x = layers.Conv2DTranspose(3, 5, 2, "same", kernel_initializer=start, name="to_rgb")(x)
    x = layers.Activation("linear" if skips else "tanh", dtype="float32")(x)
    return keras.Model(image, x + ops.cast(image, "float32") if skips else x, name="generator")


def build_discriminator(size=64, filters=32):
    """DCGAN's discriminator: images (batch, size, size, 3) in [-1, 1] -> logits (batch, 1), positive for real."""
    x = image = keras.Input((size, size, 3), name="image")
    for i in range(4):
        x = layers.Conv2D(filters * 2**i, 5, 2, "same", use_bias=i == 0, kernel_initializer=normal())(x)
        x = layers.LeakyReLU(negative_slope=0.2)(batch_norm()(x) if i else x)
    x = layers.Dense(1, kernel_initializer=normal(), dtype="float32")(layers.Flatten()(x))
    return keras.Model(image, x, name="discriminator")


def normal(mean=0.0):
    """DCGAN, Section 4: all weights are drawn from a normal distribution of standard deviation 0.02."""
    return keras.initializers.RandomNormal(mean, 0.02)


def batch_norm():
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=normal(1.0))


def gaussian_kernel(sigma):
    """A Gaussian of standard deviation `sigma` pixels as an odd square array of sum 1."""
    reach = max(1, round(3 * sigma))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    return np.outer(line, line) / line.sum() ** 2


def motion_kernel(length, angle):
    """A line of `length` pixels in the direction `angle` (radians) as an odd square array of sum 1."""
    reach = int(np.ceil(length / 2))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    kernel = np.clip(length / 2 + 0.5 - np.abs(along), 0, 1) * np.clip(1 - np.abs(across), 0, 1)
    return kernel / kernel.sum()


def draw_kernel(kind, random, sigma=(1, 3), length=(5, 15)):
    """A kernel of one of KINDS: its sigma, or length and angle, uniform in their ranges; None for "resize"."""
    if kind == "gaussian":
        return gaussian_kernel(np.mean(sigma))
    if kind == "random-gaussian":
        return gaussian_kernel(random.uniform(*sigma))
    if kind == "motion":
        return motion_kernel(random.uniform(*length), random.uniform(0, np.pi))
    if kind != "resize":
        raise ValueError(f"there is no blur {kind!r}: the kinds are {', '.join(KINDS)}")
    return None


def blur(image, kernel):
    """Blurs a uint8 image (h, w, 3) with a kernel, mirrored at its edges; without one by shrinking and enlarging it."""
    if kernel is None:
        height, width = image.shape[:2]
        size = max(1, width // SHRINK), max(1, height // SHRINK)
        small = Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)
        return np.asarray(small.resize((width, height), Image.Resampling.BILINEAR))
    reach = len(kernel) // 2
    padded = np.pad(image, [(reach, reach), (reach, reach), (0, 0)], mode="symmetric").astype(np.float32)
    blurred = fftconvolve(padded, kernel[..., None].astype(np.float32), mode="valid", axes=(0, 1))
    return np.clip(np.rint(blurred), 0, 255).astype(np.uint8)


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


class Deblurrer:
    """The two networks and their game.

    Args:
        filters, skips: see `build_generator`.
        size: side of the training images in pixels, a multiple of 16.
        blur: one of KINDS, or "mixed": for each image one of them at random.
        sigma: range in pixels of the Gaussian's standard deviation; "gaussian" has its middle.
        length: range in pixels of the motion.
        loss: "l1" or "l2", of the pixels.
        adversarial_weight: of the adversarial loss beside the pixels'; 0 leaves D out.
        learning_rate: of Adam at the start, for both networks; beta_1 is 0.5.
        total_steps: in which the learning rate falls to 0, along a cosine, to stay there; None keeps it.
        seed: fixes the blur of every step; `keras.utils.set_random_seed` fixes the first weights.
    """

    def __init__(self, filters=32, skips=True, size=64, blur="mixed", sigma=(1, 3), length=(5, 15), loss="l1",
                 adversarial_weight=1e-4, learning_rate=1e-3, total_steps=None, seed=0):  # fmt: skip
        if blur not in (*KINDS, "mixed"):
            raise ValueError(f"there is no blur {blur!r}: the kinds are {', '.join(KINDS)}, and mixed")
        if loss not in ("l1", "l2"):
            raise ValueError(f"loss is {loss!r}, and can be l1 or l2")
        self.blur, self.sigma, self.length = blur, sigma, length
        self.adversarial_weight, self.seed, self.steps = adversarial_weight, seed, 0
        self.generator = generator = build_generator(filters, skips)
        self.discriminator = discriminator = build_discriminator(size, filters)
        bce = keras.losses.BinaryCrossentropy(from_logits=True)
        blurred, sharp = (keras.Input((size, size, 3)) for _ in range(2))

        # Both players' losses in one model: neither update depends on the other's result. One optimiser updates all
        # weights, and gradients are stopped where they should not flow.
        restored = generator(blurred)
        networks = [generator, discriminator]
        outputs = {
            "pixel": restored,  # for G: should be the sharp image
            "adversarial": Frozen(discriminator)(restored),  # for G: D, which stays put, should take it for that
            "real": discriminator(sharp),  # for D; real and fake apart, so that each has its own statistics
            "fake": discriminator(ops.stop_gradient(restored)),
        }
        losses = {"pixel": {"l1": "mae", "l2": "mse"}[loss], "adversarial": bce, "real": bce, "fake": bce}
        weights = {"pixel": 1.0, "adversarial": adversarial_weight, "real": 1.0, "fake": 1.0}
        scores = {"real": [probability], "fake": [probability]}
        if not adversarial_weight:
            networks, outputs, scores = [generator], {"pixel": restored}, None
            losses, weights = {"pixel": losses["pixel"]}, {"pixel": 1.0}
        self.combined = Player([blurred, sharp], outputs, networks, name="combined")
        rate = keras.optimizers.schedules.CosineDecay(learning_rate, total_steps) if total_steps else learning_rate
        adam = keras.optimizers.Adam(rate, beta_1=0.5)
        self.combined.compile(adam, loss=losses, loss_weights=weights, metrics=scores)

    def blurred(self, images):
        """Float32 images (batch, h, w, 3) in [-1, 1], each blurred in a way that (seed, step) decides."""
        random = np.random.default_rng((self.seed, self.steps))
        kinds = random.choice(KINDS, len(images)) if self.blur == "mixed" else [self.blur] * len(images)
        kernels = [draw_kernel(kind, random, self.sigma, self.length) for kind in kinds]
        results = [blur(image, kernel) for image, kernel in zip(to_uint8(images), kernels, strict=True)]
        return np.stack(results).astype("float32") / 127.5 - 1

    def train_step(self, images):
        """One update of G and D on sharp float32 images (batch, size, size, 3) in [-1, 1]: losses, D's mean scores."""
        blurred = self.blurred(images)
        ones, zeros = np.ones((len(images), 1), "float32"), np.zeros((len(images), 1), "float32")
        self.steps += 1
        targets = {"pixel": images, "adversarial": ones, "real": ones, "fake": zeros}
        targets = {name: targets[name] for name in self.combined.output_names}
        logs = self.combined.train_on_batch([blurred, images], targets, return_dict=True)
        if not self.adversarial_weight:  # Keras has no name of its own for the only loss
            return {"g_loss": float(logs["loss"]), "pixel_loss": float(logs["loss"])}
        return {
            "g_loss": float(logs["pixel_loss"] + self.adversarial_weight * logs["adversarial_loss"]),
            "pixel_loss": float(logs["pixel_loss"]),
            "d_loss": float(logs["real_loss"] + logs["fake_loss"]),
            "d_real": float(logs["real_probability"]),
            "d_fake": float(logs["fake_probability"]),
        }

    def train(self, images, epochs, batch_size=64, callbacks=(), initial_epoch=0, initial_step=0):
        """Trains for `epochs` epochs in all; the first is `initial_epoch`, from its step `initial_step` on.

        Args:
            images: uint8 (count, size, size, 3), or a PyDataset of float32 batches in [-1, 1].
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

    @classmethod
    def pretrained(cls):
        """The default Deblurrer with the generator that comes with the zoo, in `weights` beside this file."""
        gan = cls()
        gan.generator.load_weights(Path(__file__).parent / "weights" / "deblur.keras")
        return gan

    def restore(self, images):
        """uint8 images (batch, h, w, 3) -> sharper ones of that shape; ValueError if h or w is no multiple of 16."""
        images = checked(images)
        if images.shape[1] % 16 or images.shape[2] % 16:
            raise ValueError(f"the images are {images.shape}: height and width should be multiples of 16")
        return to_uint8(self.generator.predict(images.astype("float32") / 127.5 - 1, batch_size=16, verbose=0))

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


def evaluate(gan, images, metrics, n=None):
    """Means over the first n (or all) whole photos of `images` (dataset.Images): {kind of blur: {column: mean}}.

    PSNR in dB on RGB and SSIM on Y, of the blurred image and the restored one; PSNR of Richardson-Lucy deconvolution,
    which is told the kernel, and of unsharp masking, which is not. Of sides over 1024 pixels the middle is taken.
    """
    scores = {}
    random = np.random.default_rng(0)
    for truth in itertools.islice(images.whole(least=16, most=1024), n):
        truth = truth[: truth.shape[0] // 16 * 16, : truth.shape[1] // 16 * 16]  # the network halves it four times
        for kind in KINDS:
            kernel = draw_kernel(kind, random, gan.sigma, gan.length)
            blurred = blur(truth, kernel)
            results = {"blurred": blurred, "restored": gan.restore(blurred[None])[0]}
            # Not channel_axis=-1: with that scikit-image 0.26 sharpens the first three rows alone.
            results["unsharp"] = 255 * unsharp_mask(blurred / 255, radius=2, amount=1, channel_axis=2)
            if kernel is not None:
                edge = len(kernel)  # it takes what lies outside for black
                padded = np.pad(blurred, [(edge, edge), (edge, edge), (0, 0)], mode="symmetric") / 255
                channels = [restoration.richardson_lucy(padded[..., c], kernel, 20) for c in range(3)]
                results["R.-Lucy"] = 255 * np.stack(channels, -1)[edge:-edge, edge:-edge]
            row = scores.setdefault(kind, {})
            for name, image in results.items():
                image = np.clip(np.rint(image), 0, 255)
                row.setdefault(name, []).append(metrics.psnr(image, truth))
                if name in ("blurred", "restored"):
                    row.setdefault(f"{name} SSIM", []).append(metrics.ssim(metrics.luma(image), metrics.luma(truth)))
    return {kind: {name: float(np.mean(values)) for name, values in row.items()} for kind, row in scores.items()}


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
    least = 500  # steps in an epoch
    parser = runs.parser("deblur", __doc__, data="photos", size=64, batch_size=8, learning_rate=1e-3, steps=least)
    add = parser.add_argument
    add("--filters", type=runs.positive, default=32, metavar="N", help="width; the tutorial's is 64 (%(default)s)")
    add("--skips", action=argparse.BooleanOptionalAction, default=True, help="the encoder's maps for the decoder (yes)")
    add("--blur", choices=[*KINDS, "mixed"], default="mixed", help="kind of blur to train on (%(default)s)")
    pixels = {"type": runs.number(float, 0.1, 100), "nargs": 2, "metavar": ("LEAST", "MOST")}
    add("--sigma", **pixels, default=[1.0, 3.0], help="of the Gaussian blur, in pixels (1 3)")
    add("--length", **pixels, default=[5.0, 15.0], help="of the motion blur, in pixels (5 15)")
    add("--loss", choices=["l1", "l2"], default="l1", help="of the pixels (%(default)s)")
    weight = runs.number(float, 0)
    add("--adversarial-weight", type=weight, default=1e-4, metavar="X", help="beside the pixel loss (%(default)s)")
    add("--apply", nargs="+", metavar="PHOTO", help="sharpen photos of any size, and end")
    o = runs.parse(parser, argv, actions=("apply", "evaluate"))

    with runs.errors(ValueError):
        if o.size % 16:
            raise ValueError(f"--size {o.size} should be a multiple of 16")
        if o.sigma[0] > o.sigma[1] or o.length[0] > o.length[1]:
            raise ValueError("--sigma and --length want the smaller number first")
        if not (o.apply or o.evaluate):
            images = dataset.load(o.data, o.size, 3, o.batch_size, crop="random", flip=True, seed=o.seed)
            o.steps_per_epoch = images.steps = o.steps_per_epoch or max(len(images), least)
            sharp = dataset.load(o.data, 2 * o.size, 3, split="test", crop="random").take(8)
        steps = o.epochs * (o.steps_per_epoch or least)
        gan = Deblurrer(o.filters, o.skips, o.size, o.blur, o.sigma, o.length, o.loss, o.adversarial_weight,
                        o.learning_rate, steps, o.seed)  # fmt: skip

    if o.apply or o.evaluate:
        with runs.errors(dataset.DataError, photos.PhotoError, knobs="photo"):
            runs.load_trained(o, gan)
            if o.evaluate:
                source, split = runs.held_out(o)
                test = dataset.load(source, o.size, 3, split=split, crop="random")
                n = 20 if split == "test" else None  # which takes a minute or two
                runs.report(o, evaluate(gan, test, metrics, n))
            else:
                for source, target in photos.targets(o.apply, o.output, "sharp"):
                    # The halo is the reach of the layers: 30 pixels in the encoder, as many in the decoder.
                    photos.apply(source, target, gan.restore, halo=64, multiple=16)
                    print(f"wrote {target}")
        return

    random = np.random.default_rng(0)
    kinds = [KINDS[i % len(KINDS)] if o.blur == "mixed" else o.blur for i in range(max(4, len(sharp)))]
    kernels = [draw_kernel(kind, random, o.sigma, o.length) for kind in kinds]
    sharp = [sharp[i % len(sharp)] for i in range(len(kinds))]
    blurred = [blur(image, kernel) for image, kernel in zip(sharp, kernels, strict=True)]

    def sample():
        return runs.columns(sharp, blurred, gan.restore(blurred))

    with runs.errors(dataset.DataError), runs.Run(o, gan, sample) as run:
        gan.train(images, o.epochs, callbacks=[run], **run.position)


if __name__ == "__main__":
    main()
