"""Inpainter: fills the hole in an image with what a trained DCGAN would draw there.

Yeh, Chen, Lim, Schwing, Hasegawa-Johnson, Do: Semantic Image Inpainting with Deep Generative Models, CVPR 2017,
arXiv:1607.07539.

    image (batch, size, size, channels) uint8, mask (batch, size, size), True in the hole  ->  image without the hole
    latents z (batch, 100) in [-1, 1]  ->  the DCGAN's generator  ->  image in [-1, 1]; only z is searched for

    python -m zoo.dcgan --epochs 5                      first: a DCGAN for whole images of the kind
    python -m zoo.inpaint                               cuts holes into held-out images and fills them; a GIF of it
    python -m zoo.inpaint --gan runs/mine --mask half   another run of the DCGAN, another hole
    python -m zoo.inpaint --apply a.png --mask m.png    your own picture; the mask is white in the hole
    python -m zoo.inpaint --evaluate [SOURCE]           PSNR and SSIM in the hole, beside classical methods

No network is trained here. For each image a z is sought with G(z) like the image around the hole (context loss), and
real to the discriminator (prior loss); then G(z) is joined into the hole.

Measured with the DCGAN of `python -m zoo.dcgan --data fashion_mnist --epochs 5`, then `python -m zoo.inpaint
--evaluate`, in the hole: 17.27 dB and SSIM 0.597; an untrained generator, whose plain grey becomes a smooth fill when
it is blended in, 14.03 and 0.386; biharmonic 12.65 and 0.365.

Differences from the paper:
- Adam takes 300 steps of 0.1 instead of 1500.
- The window of the context weights is 15 pixels wide instead of 7, with which the search sees no more than 3 pixels
  around the hole; `--window 7` is the paper's, `--window 0` lets all known pixels count alike (arXiv version 1).
- `--restarts` begins from several z, as the authors' published code does; their optimiser is `--optimizer nesterov`.
- Poisson blending is the exact solution of a sparse linear system, with the known pixels as its boundary.
"""

import argparse
import copy
import importlib
import sys
from pathlib import Path

import keras
import numpy as np
from keras import ops
from PIL import Image
from scipy.ndimage import uniform_filter
from scipy.sparse.linalg import LaplacianNd, spsolve
from skimage.restoration import inpaint_biharmonic

# Kinds of holes, and how much of the side (random: of the pixels) is missing unless `share` says otherwise.
KINDS = {"center": 0.5, "random": 0.8, "left": 0.5, "half": 0.5, "grid": 0.75}
RATES = {"adam": 0.1, "nesterov": 3e-4}


def load_networks(folder):
    """Generator and discriminator from a DCGAN's run folder, or from any folder with both as .keras files."""
    folder = Path(folder)
    for place in (folder / "checkpoint", folder / "checkpoint.old", folder):
        files = [place / f"{name}.keras" for name in ("generator", "discriminator")]
        if all(file.exists() for file in files):
            try:
                return [keras.models.load_model(file, compile=False) for file in files]
            except Exception as error:  # a damaged file may raise anything
                raise ValueError(f"the networks in {place} can't be loaded: {error}") from error
    command = "python -m zoo.dcgan" if __package__ else "python dcgan.py"
    raise ValueError(f"{folder} holds no trained DCGAN: make one with `{command} --epochs 5 --run {folder}`")


def make_masks(kind, count, size, share=None, seed=0):
    """`count` masks of one of KINDS: bool (count, size, size), True in the hole.

    Args:
        kind: "center", a square; "random", single pixels; "left"; "half", of each image one of its four halves;
            "grid", all but every n-th pixel of every n-th row, where `share` is rounded to 1 - 1 / n.
        share: how much of the side (random: of the pixels) is missing; None is what KINDS says.
    """
    if kind not in KINDS:
        raise ValueError(f"there are no masks {kind!r}: the kinds are {', '.join(KINDS)}")
    share = KINDS[kind] if share is None else share
    if not 0 < share < 1:
        raise ValueError(f"share is {share}, and should be between 0 and 1")
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
    """Equation 3: how much each known pixel counts, by the share of the hole in the window around it.

    Args:
        masks: bool (count, height, width), True in the hole.
        window: side of the window in pixels; 0 lets all known pixels count alike.

    Returns:
        float32 (count, height, width, 1), 0 in the hole.
    """
    masks = np.asarray(masks, bool)
    if not window:
        return np.float32(~masks)[..., None]
    # At the edges the window has fewer pixels; the share is of those.
    box = {"size": (1, window, window), "mode": "constant"}
    share = uniform_filter(masks.astype("float32"), **box) / uniform_filter(np.ones(masks.shape, "float32"), **box)
    return np.float32(~masks * share)[..., None]


def paste(images, generated, masks):
    """The generated images in the holes, the known pixels around them as they were."""
    return np.where(masks[..., None], generated, images)


def poisson(images, generated, masks):
    """Poisson blending (Perez et al. 2003): in the hole the gradients of G(z), at its rim the known pixels.

    That is G(z) plus the smoothest correction that leads over to the known pixels, one whose Laplacian is 0.
    """
    size = masks.shape[1]
    # Neumann: of neighbours inside the image alone, so that a hole may reach its edge.
    laplacian = LaplacianNd((size, size), boundary_conditions="neumann", dtype=float).tosparse().tocsr()
    result = paste(images, generated, masks)
    for image, made, filled, mask in zip(images, generated, result, masks, strict=True):
        hole = mask.ravel()
        correction = (image.astype(float) - made).reshape(size * size, -1)
        rows = laplacian[hole]
        correction = spsolve(rows[:, hole].tocsc(), -(rows[:, ~hole] @ correction[~hole]))
        filled[mask] = np.clip(np.rint(made[mask] + correction.reshape(hole.sum(), -1)), 0, 255)
    return result


BLENDS = {"paste": paste, "poisson": poisson}


def to_uint8(images):
    """Float images in [-1, 1] as uint8."""
    return np.clip(np.rint((np.asarray(images) + 1) * 127.5), 0, 255).astype(np.uint8)


class Clip(keras.constraints.Constraint):
    """Keeps a variable in [-limit, limit]: the optimiser applies it after each update."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, x):
        return ops.clip(x, -self.limit, self.limit)


class Search(keras.Model):
    """The search as a Keras model: its only trainable weights are the latents, and its loss is that of the search.

    Args:
        generator, discriminator: stay as they are, their batch normalisation in inference mode.
        images: float32 (count, size, size, channels) in [-1, 1].
        importance: see `context_weights`.
        z: float32 (count, latent_dim), where the search begins.
        restarts: `images` are the same ones, this many times.
        prior_weight: of the prior loss beside the context loss.
        clip: the latents are kept in [-clip, clip]; None for no limits.
    """

    def __init__(self, generator, discriminator, images, importance, z, restarts, prior_weight, clip):
        super().__init__(dtype="float32")
        self.generator, self.discriminator, self.prior_weight = generator, discriminator, prior_weight
        self.data, self.restarts = (images, importance), restarts  # a list would become Keras' own kind, no pytree
        self.z = self.add_weight(shape=z.shape, constraint=Clip(clip) if clip else None, name="z")
        self.z.assign(z)

    def call(self, inputs):
        images, importance = inputs
        # Not a functional model: that would hand on to its layers the training mode that it is called in.
        made = self.generator(self.z, training=False)
        # Sums over the images, so that how far one latent moves does not depend on how many others there are.
        self.add_loss(ops.sum(importance * ops.abs(made - images)))
        if self.prior_weight:
            logits = self.discriminator(made, training=False)
            self.add_loss(-self.prior_weight * ops.sum(ops.softplus(logits)))  # log(1 - D) = -softplus(logit)
        return made

    @property
    def trainable_variables(self):
        return [self.z]

    @property
    def non_trainable_variables(self):
        return [v for v in self.variables if v is not self.z]

    trainable_weights, non_trainable_weights = trainable_variables, non_trainable_variables

    def step(self):
        """One update of the latents; the loss, as a mean over the images."""
        self.reset_metrics()  # older Keras returns running means without it
        return float(self.train_on_batch(self.data, return_dict=True)["loss"]) / len(self.data[0])

    def best(self):
        """Of each image's restarts the G(z) with the least context loss: uint8 (images, size, size, channels)."""
        images, importance = self.data
        made = ops.convert_to_numpy(self.generator(self.z, training=False))
        losses = (importance * np.abs(made - images)).sum((1, 2, 3)).reshape(self.restarts, -1)
        made = to_uint8(made).reshape(*losses.shape, *made.shape[1:])
        return made[losses.argmin(0), np.arange(losses.shape[1])]


class Inpainter:
    """A trained DCGAN, and how it is searched.

    Args:
        generator: Keras model from noise (batch, latent_dim) to images (batch, size, size, channels) in [-1, 1].
        discriminator: Keras model from such images to logits (batch, 1), positive for real.
        prior_weight: of the prior loss beside the context loss; 0 leaves D out.
        window: see `context_weights`.
        iterations: updates of the latents.
        restarts: searches for each image, from different z; the one with the least context loss is kept.
        optimizer: "adam", or "nesterov" (momentum 0.9), as in the authors' code.
        learning_rate: None is what RATES says.
        blend: "paste" or "poisson", see the functions of these names.
        noise: "uniform" where G was trained with z from [-1, 1], as the zoo's DCGAN: z stays in there; else "normal".
        seed: fixes where the searches begin.
    """

    def __init__(self, generator, discriminator, prior_weight=0.003, window=15, iterations=300, restarts=1,
                 optimizer="adam", learning_rate=None, blend="poisson", noise="uniform", seed=0):  # fmt: skip
        if len(generator.input_shape) != 2 or generator.output_shape[1:] != discriminator.input_shape[1:]:
            raise ValueError(
                f"these are no DCGAN's networks: the generator goes from {generator.input_shape[1:]} to "
                f"{generator.output_shape[1:]}, the discriminator takes {discriminator.input_shape[1:]}"
            )
        if window and (window < 3 or window % 2 == 0):
            raise ValueError(f"--window {window} should be 0 or an odd number from 3 on")
        choices = {"optimizer": (optimizer, RATES), "blend": (blend, BLENDS), "noise": (noise, ("uniform", "normal"))}
        for name, (value, known) in choices.items():
            if value not in known:
                raise ValueError(f"{name} is {value!r}, and can be {' or '.join(known)}")
        self.generator, self.discriminator = generator, discriminator
        self.prior_weight, self.window, self.iterations, self.restarts = prior_weight, window, iterations, restarts
        self.optimizer, self.learning_rate = optimizer, learning_rate or RATES[optimizer]
        self.blend, self.noise, self.seed = blend, noise, seed

    def complete(self, images, masks):
        """Fills the holes of images; pixels outside them stay exactly as they are.

        Args:
            images: uint8 (count, size, size, channels); what is in the holes does not matter.
            masks: bool (count, size, size) or one for all (size, size), True in the hole.

        Returns:
            uint8 (count, size, size, channels).

        Raises:
            ValueError: the images or masks do not fit the generator, or a mask has no hole, or nothing but a hole.
            FloatingPointError: the search has diverged.
        """
        masks = self.check(images, masks)
        return BLENDS[self.blend](images, self.search(images, masks), masks)

    def check(self, images, masks):
        """Raises ValueError for images and masks that `complete` can't use; returns a mask for each image."""
        shape = self.generator.output_shape[1:]
        if images.dtype != np.uint8 or images.shape[1:] != shape:
            raise ValueError(
                f"the images are {images.dtype} {images.shape[1:]}, but the generator makes uint8 {shape}: cut and "
                "shrink them to that size, or train a DCGAN of theirs"
            )
        if masks.shape[-2:] != shape[:2] or masks.shape[:-2] not in ((), (len(images),)):
            raise ValueError(f"the masks are {masks.shape}, but the {len(images)} images are {shape[:2]}")
        masks = np.broadcast_to(masks.astype(bool), images.shape[:3]).copy()
        for i, share in enumerate(masks.mean((1, 2))):
            if share in (0, 1):
                fault = "no hole: there is nothing to fill" if share == 0 else "no known pixel: all of it is the hole"
                raise ValueError(f"the mask of image {i} has {fault}")
        return masks

    def search(self, images, masks, callbacks=()):
        """The generator's images that fit best around the holes.

        Args:
            images, masks: see `complete`.
            callbacks: Keras callbacks, an iteration being a batch; their `model.best()` is what is found so far.

        Returns:
            uint8 (count, size, size, channels): G(z), not joined to the images yet.
        """
        importance = np.tile(context_weights(masks, self.window), (self.restarts, 1, 1, 1))
        targets = np.tile(images.astype("float32") / 127.5 - 1, (self.restarts, 1, 1, 1))
        random, shape = np.random.default_rng(self.seed), (len(targets), self.generator.input_shape[1])
        z = random.uniform(-1, 1, shape) if self.noise == "uniform" else random.normal(size=shape)
        clip = 1 if self.noise == "uniform" else None
        model = Search(
            self.generator, self.discriminator, targets, importance, z, self.restarts, self.prior_weight, clip
        )
        if self.optimizer == "adam":
            model.compile(keras.optimizers.Adam(self.learning_rate))
        else:
            model.compile(keras.optimizers.SGD(self.learning_rate, momentum=0.9, nesterov=True))
        callbacks = keras.callbacks.CallbackList(
            callbacks, add_progbar=True, model=model, epochs=1, steps=self.iterations, verbose=1
        )
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        for iteration in range(self.iterations):
            callbacks.on_train_batch_begin(iteration)
            logs = {"loss": model.step()}
            if not np.isfinite(logs["loss"]):
                place = f"iteration {iteration + 1}"
                raise FloatingPointError(f"the loss is no longer a number ({place}): use a smaller --learning-rate")
            callbacks.on_train_batch_end(iteration, logs)
        callbacks.on_epoch_end(0, logs)
        callbacks.on_train_end()
        return model.best()


def mean_fill(images, masks):
    """Each image with the mean of its known pixels in the hole."""
    masks = np.asarray(masks, bool)
    filled = [np.where(m[..., None], np.rint(i[~m].mean(0)), i) for i, m in zip(images, masks, strict=True)]
    return np.stack(filled).astype(np.uint8)


def biharmonic(images, masks):
    """Each image with the smoothest surface in the hole that leads over to the known pixels, by scikit-image."""
    pairs = zip(images / 255, masks, strict=True)
    filled = [inpaint_biharmonic(image, mask, channel_axis=-1) for image, mask in pairs]
    return np.clip(np.rint(255 * np.stack(filled)), 0, 255).astype(np.uint8)


def evaluate(inpainter, images, masks, metrics, batch_size=64):
    """PSNR in dB and SSIM (of Y for colour) in the holes alone, means over the images: {row: {column: mean}}.

    The rows are mean_fill, biharmonic, the same search in an untrained generator, and in the trained one. Untrained G
    makes plain grey of every z, so that with Poisson blending its row is a smooth (harmonic) fill.
    """
    masks, untrained = np.asarray(masks, bool), copy.copy(inpainter)
    untrained.generator = keras.models.clone_model(inpainter.generator)  # with weights of its own
    fills = {"mean fill": mean_fill, "biharmonic": biharmonic}
    fills |= {"untrained": untrained.complete, "completed": inpainter.complete}
    result = {}
    for name, fill in fills.items():
        scores = []
        for start in range(0, len(images), batch_size):
            some = slice(start, start + batch_size)
            for image, truth, mask in zip(fill(images[some], masks[some]), images[some], masks[some], strict=True):
                grey = [metrics.luma(x) if x.shape[-1] == 3 else x[..., 0] for x in (image, truth)]
                scores.append((metrics.psnr(image[mask], truth[mask]), metrics.ssim(*grey, where=mask)))
        result[name] = dict(zip(("PSNR dB", "SSIM"), np.mean(scores, axis=0).tolist(), strict=True))
    return result


def demonstrate(inpainter, images, masks, runs):
    """Completes images and shows how: a picture, and the frames of a film of the search.

    The columns of the picture are the original, the image with its hole, G(z), the completed image, biharmonic().
    """
    join, frames = BLENDS[inpainter.blend], []
    moments = set(np.geomspace(1, inpainter.iterations, 40).astype(int))  # most of it happens in the first ones

    def shoot(iteration, logs):
        if iteration + 1 in moments:
            found = camera.model.best()
            frames.append(runs.grid(np.concatenate([found, join(images, found, masks)]), len(images)))

    camera = keras.callbacks.LambdaCallback(on_train_batch_end=shoot)
    generated = inpainter.search(images, masks, [camera])
    masked = paste(images, np.full_like(images, 255), masks)
    completed = join(images, generated, masks)
    return runs.columns(images, masked, generated, completed, biharmonic(images, masks)), frames


def read(photos, path, size, channels):
    """A photo file as uint8 (size, size, channels), alpha laid over white; ValueError if it has another size."""
    colours, alpha, _ = photos.read(path)
    picture = Image.fromarray(colours.repeat(3 // colours.shape[2], 2))
    if alpha:
        picture = Image.composite(picture, Image.new("RGB", picture.size, "white"), alpha)
    picture = picture.convert("L" if channels == 1 else "RGB")
    if picture.size != (size, size):
        raise ValueError(
            f"{path} has {picture.width}x{picture.height} pixels, but the DCGAN makes {size}x{size}: cut and shrink "
            "the picture and its mask to that size"
        )
    return np.asarray(picture).reshape(size, size, channels)


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


def parse(runs, argv):
    """The options of the command line."""
    prog = "python -m zoo.inpaint" if __package__ else "python inpaint.py"
    parser = argparse.ArgumentParser(prog=prog, description=__doc__.split("\n\n")[0])
    add = parser.add_argument
    share, real, whole = runs.number(float, 0.01, 0.99), runs.number(float, 0), runs.number(int, 0, 2**32 - 1)
    add("--gan", default="runs/dcgan", metavar="FOLDER", help="run folder of the trained DCGAN (%(default)s)")
    add("--data", metavar="SOURCE", help="data set's name, folder, zip, .npy or .npz (what the DCGAN was trained on)")
    kinds = f"{', '.join(KINDS)}, or a picture, white in the hole (%(default)s)"
    add("--mask", default="center", metavar="KIND", help=kinds)
    shares = ", ".join(f"{kind} {share}" for kind, share in KINDS.items())
    add("--mask-size", type=share, metavar="X", help=f"share of the side, random: of the pixels ({shares})")
    add("--blend", choices=BLENDS, default="poisson", help="how G(z) is joined to the image (%(default)s)")
    add("--prior-weight", type=real, default=0.003, metavar="X", help="beside the context loss (%(default)s)")
    near = "pixels that are near the hole; 0: all count alike (%(default)s)"
    add("--window", type=whole, default=15, metavar="N", help=near)
    add("--iterations", type=runs.positive, default=300, metavar="N", help="updates of the latents (%(default)s)")
    add("--restarts", type=runs.positive, default=1, metavar="N", help="searches for each image (%(default)s)")
    add("--optimizer", choices=RATES, default="adam", help="of the latents (%(default)s)")
    rates = ", ".join(f"{name} {rate}" for name, rate in RATES.items())
    add("--learning-rate", type=runs.number(float, 1e-12), metavar="X", help=f"of the optimiser ({rates})")
    add("--batch-size", type=runs.positive, default=64, metavar="N", help="images searched for at once (%(default)s)")
    add("--seed", type=whole, default=0, metavar="N", help="fixes the first latents and random masks (%(default)s)")
    add("--run", default="runs/inpaint", metavar="FOLDER", help="where pictures and figures are written (%(default)s)")
    add("--apply", nargs="+", metavar="PHOTO", help="complete pictures of the size that the DCGAN makes, and end")
    measure = "measure on 256 held-out images, or the first 256 of SOURCE, and end"
    add("--evaluate", nargs="?", const=True, metavar="SOURCE", help=measure)
    add("--output", metavar="FILE", help="where the picture is written; without --apply a GIF lies beside it")
    o = parser.parse_args(argv)
    runs.refuse_empty(o)
    if runs.saved_options(Path(o.run)):
        runs.fail(f"{o.run} is a training's run: give it with --gan; --run is where pictures are written")
    if o.apply and o.evaluate:
        runs.fail("--apply and --evaluate do different things: give one of them")
    if o.output and o.evaluate:
        runs.fail("--output is where a picture is written, and --evaluate writes none: leave one of them out")
    return o


def main(argv=None):
    """The command line: completes held-out images, or with --apply one's own, or measures with --evaluate."""
    dataset, metrics, photos, runs = ground_floor("dataset", "metrics", "photos", "runs")
    o = parse(runs, argv)
    runs.prepare_keras(o.seed)
    with runs.errors(ValueError):
        inpainter = Inpainter(*load_networks(o.gan), o.prior_weight, o.window, o.iterations, o.restarts, o.optimizer,
                              o.learning_rate, o.blend, seed=o.seed)  # fmt: skip
        size, channels = inpainter.generator.output_shape[2:]
        if o.apply:
            images = np.stack([read(photos, path, size, channels) for path in o.apply])
            files = [target for _, target in photos.targets(o.apply, o.output, "completed")]
        else:
            trained = runs.saved_options(Path(o.gan))
            o.data = o.data or runs.trained_on(trained)
            source, split = runs.held_out(o)
            if not source:
                raise ValueError(f"{o.gan} does not say what it was trained on: give --data SOURCE")
            images = dataset.load(source, size, channels, split=split, crop=trained.get("crop"))
            images = images.take(256 if o.evaluate else min(8, o.batch_size))
            Path(o.run).mkdir(parents=True, exist_ok=True)
            files = [Path(o.output or Path(o.run) / "output.png")]
        for file in files:  # not only after a long search
            if file.suffix.lower() != ".png" or not file.parent.is_dir():
                raise ValueError(f"{file} can't be written: give --output a .png in a folder that exists")
        if o.mask in KINDS:
            masks = make_masks(o.mask, len(images), size, o.mask_size, o.seed)
        elif o.mask_size:
            raise ValueError(f"--mask-size is for {', '.join(KINDS)}: of a picture the hole is what is white")
        else:
            masks = read(photos, o.mask, size, 1)[..., 0] > 127
        masks = inpainter.check(images, masks)

    with runs.errors(FloatingPointError, knobs="--batch-size or --restarts"):
        if o.evaluate:
            runs.report(o, evaluate(inpainter, images, masks, metrics, o.batch_size))
            return
        if o.apply:
            parts = [slice(i, i + o.batch_size) for i in range(0, len(images), o.batch_size)]
            pictures = np.concatenate([inpainter.complete(images[part], masks[part]) for part in parts])
        else:
            picture, film = demonstrate(inpainter, images, masks, runs)
            pictures = [picture]
            runs.save_gif(files[0].with_suffix(".gif"), film)
        for file, picture in zip(files, pictures, strict=True):
            runs.save_picture(file, picture)
            print(f"wrote {file}")


if __name__ == "__main__":
    main()
