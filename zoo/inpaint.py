"""Inpainter: fills the hole in an image with what a trained DCGAN generates there.

Yeh, Chen, Lim, Schwing, Hasegawa-Johnson, Do: Semantic Image Inpainting with Deep
Generative Models, CVPR 2017, arXiv:1607.07539.

    image (batch, size, size, channels) uint8 and mask (batch, size, size), True in the
    hole  ->  completed image
    latent vector z (batch, 100) in [-1, 1]  ->  the DCGAN's generator G  ->  image

    python -m zoo.dcgan --epochs 5                      first: a DCGAN of whole images
    python -m zoo.inpaint                               complete held-out images, film
    python -m zoo.inpaint --gan runs/mine --mask half   another DCGAN, another hole
    python -m zoo.inpaint --apply a.png --mask m.png    your picture; the hole is white
    python -m zoo.inpaint --evaluate                    PSNR and SSIM in the hole

No network is trained here. For each image the search finds a z for which G(z) is like
the image around the hole (context loss) and looks real to the discriminator D (prior
loss). Then G(z) is blended into the hole. The paper's y is `images`, its W `weights`;
its M is 1 at known pixels, where `masks` is False.

Differences from the paper:
- Adam takes 300 steps of 0.1 (paper: 1500 steps). `--iterations`, `--learning-rate`.
- The window of the context weights is 15 pixels wide (paper: 7, which reaches only 3
  pixels beyond the hole). `--window 7`. `--window 0` weights all known pixels alike, as
  in arXiv version 1.
- `--restarts` starts from several z, as the authors' code does. Their optimiser is
  `--optimizer nesterov`.
- Poisson blending solves the sparse linear system exactly, with the known pixels as its
  boundary.
"""

import contextlib
import copy
import os
import signal
import sys
import threading
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no start-up notes of TensorFlow
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # faster on CPUs without AVX-512

import keras
import numpy as np
from keras import ops
from PIL import Image
from scipy.ndimage import uniform_filter
from scipy.sparse.linalg import LaplacianNd, spsolve

keras.config.set_image_data_format("channels_last")  # whatever keras.json says
keras.config.set_floatx("float32")

# --------------------------------------------------------------------------------------
# 1. The networks: those of a trained DCGAN


def load_networks(folder):
    """(G, D) from a DCGAN's run folder, or from any folder with both as .keras files.

    Any Keras models will do that fit each other: G from noise (batch, latent_dim) to
    images (batch, height, width, channels) in [-1, 1], D from such images to logits.
    """
    folder = Path(folder)
    for place in (folder / "checkpoint", folder / "checkpoint.old", folder):
        files = [place / f"{name}.keras" for name in ("generator", "discriminator")]
        if all(file.exists() for file in files):
            try:
                return [keras.models.load_model(file, compile=False) for file in files]
            except Exception as error:  # a damaged file may raise anything
                text = f"the networks in {place} can't be loaded: {error}"
                raise ValueError(text) from error
    command = "python -m zoo.dcgan" if __package__ else "python dcgan.py"
    raise ValueError(
        f"{folder} has no trained DCGAN: train one first, `{command} --epochs 5 --run "
        f"{folder}`"
    )


def check_networks(*networks):
    """Raises ValueError for a subclassed Keras model, which has no fixed shapes."""
    if not all(getattr(n, "inputs", None) for n in networks if n is not None):
        raise ValueError("wrap it: keras.Sequential([keras.Input(shape), network])")


# --------------------------------------------------------------------------------------
# 2. The task's images: holes, context weights, blending

# Kinds of holes, and which share of the side (random: of the pixels) is missing.
KINDS = {"center": 0.5, "random": 0.8, "left": 0.5, "half": 0.5, "grid": 0.75}


def make_masks(kind, count, size, share=None, seed=0):
    """`count` masks of one of KINDS: bool (count, size, size), True in the hole.

    Args:
        kind: "center", a square; "random", single pixels; "left"; "half", a random one
            of the four halves of each image; "grid", all pixels but every n-th of every
            n-th row, where `share` is rounded to 1 - 1 / n.
        share: missing share of the side (random: of the pixels); None is that in KINDS.
    """
    if kind not in KINDS:
        raise ValueError(
            f"there are no masks {kind!r}: the kinds are {', '.join(KINDS)}"
        )
    share = KINDS[kind] if share is None else share
    if not 0 < share < 1:
        raise ValueError(f"share is {share}: it should be between 0 and 1")
    random = np.random.default_rng(seed)
    if kind == "random":
        return random.random((count, size, size)) < share
    masks = np.zeros((count, size, size), bool)
    hole = round(share * size)
    start = (size - hole) // 2
    if kind == "center":
        masks[:, start : start + hole, start : start + hole] = True
    elif kind == "grid":
        step = round(1 / (1 - share))
        masks[:] = True
        masks[:, ::step, ::step] = False
    else:
        for mask in masks:
            np.rot90(mask, random.integers(4) if kind == "half" else 0)[:, :hole] = True
    return masks


def context_weights(masks, window=15):
    """Equation 3, W: the weight of a known pixel is the missing share around it.

    Args:
        masks: bool (count, height, width), True in the hole.
        window: side in pixels of the window in which the share is counted; with 0 all
            known pixels have the weight 1.

    Returns:
        float32 (count, height, width, 1), 0 in the hole.
    """
    masks = np.asarray(masks, bool)
    if not window:
        return np.float32(~masks)[..., None]
    box = {"size": (1, window, window), "mode": "constant"}
    missing = uniform_filter(masks.astype("float32"), **box)
    inside = uniform_filter(np.ones(masks.shape, "float32"), **box)  # less at the edges
    return np.float32(~masks * missing / inside)[..., None]


def paste(images, generated, masks):
    """The generated images in the holes, the unchanged images around them."""
    return np.where(masks[..., None], generated, images)


def poisson(images, generated, masks):
    """Equation 6, Poisson blending: G(z)'s gradients in the hole, no seam at its edge.

    The solution x is G(z) plus a correction: the known difference y - G(z) outside of
    the hole, and inside of it values whose Laplacian is 0.

    Args:
        images, generated: uint8 (count, height, width, channels).
        masks: bool (count, height, width), True in the hole.
    """
    # Neumann: uses only neighbours inside the image, so that a hole may reach its edge.
    laplacian = LaplacianNd(masks.shape[1:], boundary_conditions="neumann", dtype=float)
    laplacian = laplacian.tosparse().tocsr()  # (pixels, pixels)
    result = paste(images, generated, masks)
    for y, g, x, mask in zip(images, generated, result, masks, strict=True):
        hole, rows = mask.ravel(), laplacian[mask.ravel()]
        known = (y.astype(float) - g)[~mask]  # (known pixels, channels)
        correction = spsolve(rows[:, hole].tocsc(), -(rows[:, ~hole] @ known))
        x[mask] = np.clip(np.rint(g[mask] + correction.reshape(g[mask].shape)), 0, 255)
    return result


BLENDS = {"paste": paste, "poisson": poisson}


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


# --------------------------------------------------------------------------------------
# 3. The search

RATES = {"adam": 0.1, "nesterov": 3e-4}


class Inpainter:
    """The networks of a trained DCGAN, and the search for the best z of an image.

    Args:
        generator: Keras model from noise (batch, latent_dim) to images (batch, height,
            width, channels) in [-1, 1].
        discriminator: Keras model from such images to logits (without a sigmoid).
        prior_weight: lambda, the weight of the prior loss; 0 leaves D out.
        window: see `context_weights`.
        iterations: number of updates of z.
        restarts: number of searches for each image, from different z. The result is the
            one with the smallest context loss.
        optimizer: "adam", or "nesterov" (momentum 0.9), as in the authors' code.
        learning_rate: None is that in RATES.
        blend: "paste" or "poisson", see the functions of these names.
        noise: distribution of z in G's training: "uniform" in [-1, 1], as in the zoo's
            DCGAN, to which z is then clipped; or "normal".
        seed: seed of the first z.
    """

    def __init__(self, generator, discriminator, prior_weight=0.003, window=15,
                 iterations=300, restarts=1, optimizer="adam", learning_rate=None,
                 blend="poisson", noise="uniform", seed=0):  # fmt: skip
        check_networks(generator, discriminator)
        made, taken = generator.output_shape[1:], discriminator.input_shape[1:]
        if len(made) != 3 or made != taken:
            raise ValueError(
                f"the generator's images are {made}, the discriminator takes {taken}: "
                "both should be the same (height, width, channels)"
            )
        if window and (window < 3 or window % 2 == 0):
            raise ValueError(f"window {window} should be 0, or an odd number from 3 on")
        for name, value, known in (
            ("optimizer", optimizer, RATES),
            ("blend", blend, BLENDS),
            ("noise", noise, ("uniform", "normal")),
        ):
            if value not in known:
                raise ValueError(f"{name} is {value!r}: it can be {' or '.join(known)}")
        self.generator, self.discriminator = generator, discriminator
        self.image_shape = made
        self.prior_weight, self.window, self.noise = prior_weight, window, noise
        self.iterations, self.restarts, self.optimizer = iterations, restarts, optimizer
        self.learning_rate = learning_rate or RATES[optimizer]
        self.blend, self.seed = blend, seed

    @classmethod
    def pretrained(cls, **options):
        """An Inpainter with the ready DCGAN of the zoo; options as of the class."""
        try:
            from zoo.common import sources
        except ModuleNotFoundError as error:
            raise ModuleNotFoundError(missing(error)) from None
        networks = sources.ready("dcgan", ("generator", "discriminator"))
        return cls(*networks, **options)

    def complete(self, images, masks):
        """Fills the holes in images; the pixels around them stay as they are.

        Args:
            images: uint8 (count, height, width, channels); the pixels in the holes have
                no influence.
            masks: bool (count, height, width), or (height, width) for all images, True
                in the hole.

        Returns:
            uint8 (count, height, width, channels).

        Raises:
            ValueError: the images or masks do not fit the generator, or a mask has only
                known or only missing pixels.
            FloatingPointError: the search has diverged.
        """
        images, masks = np.asarray(images), self.check(images, masks)
        return BLENDS[self.blend](images, self.search(images, masks), masks)

    def check(self, images, masks):
        """Returns a mask for each image; ValueError for what `complete` can't use."""
        full = to_float(images, self.image_shape).shape[:3]
        masks = np.asarray(masks)
        if masks.shape not in (full, full[1:]):
            raise ValueError(
                f"masks are {masks.shape}, not {full} or {full[1:]}: they should be "
                "True at each pixel of the hole"
            )
        masks = np.broadcast_to(masks.astype(bool), full).copy()
        for i, mask in enumerate(masks):
            if mask.all() or not mask.any():
                lacks = "known pixel (False)" if mask.all() else "hole (True)"
                raise ValueError(f"the mask of image {i} has no {lacks}")
        return masks

    def search(self, images, masks, callbacks=()):
        """The generated images that fit best around the holes.

        Args:
            images, masks: see `complete`; a mask for each image.
            callbacks: list of Keras callbacks. A batch is an iteration; `model.best()`
                is the result so far.

        Returns:
            uint8 (count, height, width, channels): G(z), not blended yet.
        """
        repeats = (self.restarts, 1, 1, 1)
        y = np.tile(to_float(images, self.image_shape), repeats)
        weights = np.tile(context_weights(masks, self.window), repeats)
        random, uniform = np.random.default_rng(self.seed), self.noise == "uniform"
        shape = len(y), *self.generator.input_shape[1:]
        z = random.uniform(-1, 1, shape) if uniform else random.normal(size=shape)
        model = Search(self.generator, self.discriminator, y, weights, z,
                       self.prior_weight, uniform, self.restarts)  # fmt: skip
        rate = self.learning_rate
        adam, sgd = keras.optimizers.Adam, keras.optimizers.SGD
        nesterov = self.optimizer == "nesterov"
        model.compile(sgd(rate, 0.9, nesterov=True) if nesterov else adam(rate))
        about = {"model": model, "epochs": 1, "steps": self.iterations, "verbose": 1}
        callbacks = keras.callbacks.CallbackList(callbacks, add_progbar=True, **about)
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        for iteration in range(self.iterations):
            callbacks.on_train_batch_begin(iteration)
            with uninterrupted():
                logs = {"loss": model.step()}
            if not np.isfinite(logs["loss"]):
                raise FloatingPointError(
                    f"the loss is NaN or infinite (iteration {iteration + 1}): use a "
                    "smaller --learning-rate"
                )
            callbacks.on_train_batch_end(iteration, logs)
        callbacks.on_epoch_end(0, logs)
        callbacks.on_train_end()
        return model.best()


class Search(keras.Model):
    """The search as a Keras model: its only trainable weights are z.

    Args:
        generator, discriminator: frozen, their batch normalisation in inference mode.
        images: y, float32 (count, height, width, channels) in [-1, 1].
        weights: W, see `context_weights`.
        z: first latent vectors (count, latent_dim).
        prior_weight: lambda, the weight of the prior loss.
        clip: whether z is clipped to [-1, 1].
        restarts: number of times that `images` repeat each image.
    """

    def __init__(self, generator, discriminator, images, weights, z, prior_weight, clip,
                 restarts=1):  # fmt: skip
        super().__init__(dtype="float32")
        self.generator, self.discriminator = generator, discriminator
        self.data, self.prior_weight = (images, weights), prior_weight
        self.restarts, constraint = restarts, Clip() if clip else None
        self.z = self.add_weight(shape=z.shape, constraint=constraint, name="z")
        self.z.assign(z)

    def call(self, inputs):
        """G(z). The losses are sums over the images: each z is updated as if alone."""
        y, weights = inputs
        # Not a functional model, which would call G and D in its own training mode.
        generated = self.generator(self.z, training=False)
        # Equation 4, context loss: sum of W * |G(z) - y|.
        self.add_loss(ops.sum(weights * ops.abs(generated - y)))
        if self.prior_weight:
            # Equation 5, prior loss: lambda * log(1 - D(G(z))); for a logit x of D,
            # log(1 - sigmoid(x)) = -softplus(x).
            logits = self.discriminator(generated, training=False)
            self.add_loss(-self.prior_weight * ops.sum(ops.softplus(logits)))
        return generated

    @property
    def trainable_variables(self):
        return [self.z]

    @property
    def non_trainable_variables(self):
        return [v for v in self.variables if v is not self.z]

    trainable_weights = trainable_variables
    non_trainable_weights = non_trainable_variables

    def step(self):
        """One update of z; returns the loss, a mean over the images."""
        self.reset_metrics()  # Keras 3.10 would return means over all batches so far
        loss = self.train_on_batch(self.data, return_dict=True)["loss"]
        return float(loss) / len(self.data[0])

    def best(self):
        """G(z) of the restarts with the smallest context loss: uint8, one per image."""
        y, weights = self.data
        generated = ops.convert_to_numpy(self.generator(self.z, training=False))
        losses = (weights * np.abs(generated - y)).sum((1, 2, 3))
        losses = losses.reshape(self.restarts, -1)  # (restarts, images)
        generated = generated.reshape(*losses.shape, *y.shape[1:])
        return to_uint8(generated[losses.argmin(0), np.arange(losses.shape[1])])


class Clip(keras.constraints.Constraint):
    """Clips a variable to [-1, 1] after each update."""

    def __call__(self, x):
        return ops.clip(x, -1, 1)


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


def mean_fill(images, masks):
    """Each image with the mean of its known pixels in the hole."""
    masks = np.asarray(masks, bool)
    known = [image[~mask].mean(0) for image, mask in zip(images, masks, strict=True)]
    means = np.rint(known).astype("uint8")[:, None, None]  # (count, 1, 1, channels)
    return paste(images, means, masks)


def biharmonic(images, masks):
    """Each image with a smooth surface in the hole, by scikit-image."""
    from skimage.restoration import inpaint_biharmonic

    filled = [
        inpaint_biharmonic(image / 255, mask, channel_axis=-1)
        for image, mask in zip(images, masks, strict=True)
    ]
    return np.clip(np.rint(255 * np.stack(filled)), 0, 255).astype("uint8")


def evaluate(inpainter, images, masks, batch_size=64):
    """PSNR in dB and SSIM (of Y for colour) in the holes alone, means over the images.

    Returns:
        {row: {column: mean}}. The rows are mean_fill, biharmonic, the same search with
        an untrained generator, and with the trained one. Untrained G generates plain
        grey, which Poisson blending turns into a smooth (harmonic) fill.
    """
    from zoo.common import metrics

    masks, untrained = np.asarray(masks, bool), copy.copy(inpainter)
    untrained.generator = keras.models.clone_model(inpainter.generator)
    fills = {"mean fill": mean_fill, "biharmonic": biharmonic}
    fills |= {"untrained": untrained.complete, "completed": inpainter.complete}
    parts = [slice(i, i + batch_size) for i in range(0, len(images), batch_size)]
    result = {}
    for name, fill in fills.items():
        filled = np.concatenate([fill(images[part], masks[part]) for part in parts])
        scores = []
        for image, truth, mask in zip(filled, images, masks, strict=True):
            colour = image.shape[2] == 3
            grey = [metrics.luma(x) if colour else x[..., 0] for x in (image, truth)]
            psnr = metrics.psnr(image[mask], truth[mask])
            scores.append((psnr, metrics.ssim(*grey, where=mask)))
        psnr, ssim = np.mean(scores, axis=0).tolist()
        result[name] = {"PSNR dB": psnr, "SSIM": ssim}
    return result


def demonstrate(inpainter, images, masks):
    """Completes images, and shows the search.

    Returns:
        {caption: images}, and a list of what the search had found after each of some
        iterations: uint8 images (2 * count, ...), first generated, then blended.
    """
    blend, film = BLENDS[inpainter.blend], []
    # Most of it happens in the first iterations.
    moments = set(np.geomspace(1, inpainter.iterations, 40).astype(int))

    def shoot(iteration, logs):
        if iteration + 1 in moments:
            found = camera.model.best()
            film.append(np.concatenate([found, blend(images, found, masks)]))

    camera = keras.callbacks.LambdaCallback(on_train_batch_end=shoot)
    generated = inpainter.search(images, masks, [camera])
    return {
        "ground truth": images,
        "with a hole": paste(images, np.full_like(images, 255), masks),
        "generated": generated,
        "completed": blend(images, generated, masks),
        "biharmonic": biharmonic(images, masks),
    }, film


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


def on_white(path, colours, alpha, shape):
    """A photo as uint8 `shape`, transparent parts over white; other sizes are refused.

    Args:
        path: named in the refusal.
        colours, alpha: of the photo, see `photos.read`.
    """
    picture = Image.fromarray(colours.repeat(3 // colours.shape[2], 2))
    if alpha:
        white = Image.new("RGB", picture.size, "white")
        picture = Image.composite(picture, white, alpha)
    if picture.size != (shape[1], shape[0]):
        raise ValueError(
            f"{path} has {picture.width}x{picture.height} pixels, but the DCGAN makes "
            f"{shape[1]}x{shape[0]}: cut and shrink the picture and its mask to that"
        )
    return np.asarray(picture.convert("L" if shape[2] == 1 else "RGB")).reshape(shape)


def main(argv=None):
    """Completes held-out images or, with --apply, one's own; --evaluate measures."""
    try:
        from zoo.common import cli
    except ModuleNotFoundError as error:
        print("error:", missing(error), file=sys.stderr)
        raise SystemExit(2) from None
    parser = cli.Parser(cli.program("inpaint"), __doc__)
    add, count = parser.data.add_argument, {"type": cli.positive, "metavar": "N"}
    whole = cli.number(int, 0, 2**32 - 1)
    add("--gan", metavar="FOLDER", help="a DCGAN's run (runs/dcgan, or the ready one)")
    add("--data", metavar="SOURCE", help="name, folder, zip, .npy, .npz (the DCGAN's)")
    add("--mask", default="center", metavar="KIND",
        help=f"{', '.join(KINDS)}, or a picture of it (%(default)s)")  # fmt: skip
    shares = ", ".join(f"{kind} {share}" for kind, share in KINDS.items())
    add("--mask-size", type=cli.number(float, 0.01, 0.99), metavar="X",
        help=f"share of the side, random: of the pixels ({shares})")  # fmt: skip
    add = parser.model.add_argument
    add("--blend", choices=BLENDS, default="poisson",
        help="how G(z) is joined to the image (%(default)s)")  # fmt: skip
    add("--prior-weight", type=cli.number(float, 0), default=0.003, metavar="X",
        help="weight of the prior loss (%(default)s)")  # fmt: skip
    add("--window", type=whole, default=15, metavar="N",
        help="window of the context weights in pixels (%(default)s)")  # fmt: skip
    add("--iterations", default=300, help="updates of z (%(default)s)", **count)
    add("--restarts", default=1, help="searches per image (%(default)s)", **count)
    add("--optimizer", choices=RATES, default="adam", help="of z (%(default)s)")
    add("--learning-rate", type=cli.number(float, 1e-12), metavar="X",
        help=", ".join(f"{name} {rate}" for name, rate in RATES.items()))  # fmt: skip
    add("--batch-size", default=64, **count,
        help="images searched for at once (%(default)s)")  # fmt: skip
    add("--seed", type=whole, default=0, metavar="N",
        help="seed of the first z and of random masks (%(default)s)")  # fmt: skip
    add = parser.using.add_argument
    add("--run", default="runs/inpaint", metavar="FOLDER",
        help="where pictures and figures are written (%(default)s)")  # fmt: skip
    add("--apply", nargs="+", metavar="PHOTO",
        help="complete pictures of the DCGAN's size")  # fmt: skip
    add("--evaluate", nargs="?", const=True, metavar="SOURCE",
        help="measure on 256 held-out images, or on the first of SOURCE")  # fmt: skip
    add("--output", metavar="FILE",
        help="where the picture is written; without --apply also a film")  # fmt: skip
    add("--pretrained", action="store_true", help="use the zoo's ready DCGAN")
    o = cli.start(parser, argv)
    if cli.saved_options(Path(o.run)):
        cli.fail(f"{o.run} is a training's run: give it with --gan")
    o.gan = o.gan or cli.run_or_ready("dcgan", o.pretrained)
    if o.evaluate and (o.apply or o.output):
        cli.fail("--evaluate writes no picture: leave --apply and --output out")
    from zoo.common import dataset, photos, pictures

    cli.prepare_keras(o.seed)
    with cli.errors(ValueError):
        inpainter = Inpainter(*load_networks(o.gan), o.prior_weight, o.window,
                              o.iterations, o.restarts, o.optimizer, o.learning_rate,
                              o.blend, seed=o.seed)  # fmt: skip
        shape, trained = inpainter.image_shape, cli.saved_options(Path(o.gan))
        if o.apply:
            read = [(path, *photos.read(path)[:2]) for path in o.apply]
            images = np.stack([on_white(*photo, shape) for photo in read])
            targets = photos.targets(o.apply, o.output, "completed")
            files = [target for _, target in targets]
        else:
            o.data = o.data or cli.trained_on(trained)
            source, split = cli.held_out(o)
            if not source:
                cli.fail(f"{o.gan} does not name its images: give --data SOURCE")
            images = dataset.load(source, *shape[1:], split=split,
                                  crop=trained.get("crop"))  # fmt: skip
            images = images.take(256 if o.evaluate else min(8, o.batch_size))
            Path(o.run).mkdir(parents=True, exist_ok=True)
            files = [Path(o.output or Path(o.run) / "output.png")]
        for file in files:  # now, not after a long search
            if file.suffix.lower() != ".png" or not file.parent.is_dir():
                cli.fail(f"{file}: give --output a .png in a folder that exists")
        if o.mask in KINDS:
            masks = make_masks(o.mask, len(images), shape[0], o.mask_size, o.seed)
        elif o.mask_size:
            cli.fail(f"--mask-size is for {', '.join(KINDS)}, not for a picture")
        else:
            picture = on_white(o.mask, *photos.read(o.mask)[:2], (*shape[:2], 1))
            masks = picture[..., 0] > 127
        masks = inpainter.check(images, masks)
    with cli.errors(FloatingPointError, knobs="--batch-size or --restarts"):
        if o.evaluate:
            cli.report(o, evaluate(inpainter, images, masks, o.batch_size))
            return
        if o.apply:
            starts = range(0, len(images), o.batch_size)
            parts = [slice(i, i + o.batch_size) for i in starts]
            done = [inpainter.complete(images[part], masks[part]) for part in parts]
            results = np.concatenate(done)
        else:
            columns, film = demonstrate(inpainter, images, masks)
            results, across = [pictures.sheet(columns)], len(images)
            film = [pictures.grid(pictures.enlarged(x, 96), across) for x in film]
            pictures.save_gif(files[0].with_suffix(".gif"), film)
        for file, picture in zip(files, results, strict=True):
            pictures.save_picture(file, picture)
            print(f"wrote {file}")


if __name__ == "__main__":
    main()
