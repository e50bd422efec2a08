"""Images of two domains, A and B, for models that learn without pairs, and measures.

    images = load("horse2zebra", 128)           # images[0] is (batch of A, batch of B)
    a, b, paired = take("horse2zebra", 6, 128)  # uint8 arrays of held-out images

Sources are those in which dataset.py finds A and B: a name, folders trainA, trainB,
testA and testB, or pairs.
"""

import warnings

import keras
import numpy as np

from . import dataset, metrics, sources

PIXEL_ART = ("avatars", "glasses")  # resampling would blur it
JITTER = 286 / 256  # Zhu et al. 2017: shrunk to 286 pixels, cropped to 256


class Unpaired(keras.utils.PyDataset):
    """Mini-batches (a, b) of two dataset.Images, each in an order of its own.

    An epoch is one pass over the larger one, or `steps` mini-batches.
    """

    def __init__(self, a, b, paired):
        super().__init__()
        self.a, self.b, self.paired, self.epoch = a, b, paired, 0
        self.steps = max(len(a), len(b))

    def __len__(self):
        return self.steps

    def __getitem__(self, step):
        for images in (self.a, self.b):
            images.epoch, images.steps = self.epoch, self.steps
        return self.a[step], self.b[step]

    def describe(self):
        """Lines that say what these images are."""
        lines = [f"A: {self.a.describe()[0]}", f"B: {self.b.describe()[0]}"]
        lines += self.a.describe()[1:] + self.b.describe()[1:]
        if self.paired:
            lines.append("taken for pairs: A and B are trained on from different pairs")
        return lines


def load(
    source, size=64, batch_size=1, split="train", source_b=None, seed=0, jitter=None
):
    """The images of A and of B as `Unpaired`.

    In the training split A and B are from different pairs, so that no image is there
    together with its partner.

    Args:
        source: images of both domains; with `source_b` those of A.
        size, batch_size, split, seed: see `dataset.load`.
        source_b: images of B.
        jitter: see `dataset.load`; None is 286/256 in training, 1 for pixel art.

    Raises:
        dataset.DataError: the images are not there, or too few, or of one domain.
    """
    if jitter is None:
        jitter = 1 if source in PIXEL_ART else JITTER
    numbers = (
        size,
        3,
        batch_size,
        split,
        "center",
        True,
        jitter if split == "train" else 1,
    )

    def part(source, domain=None, seed=seed):
        return dataset.load(source, *numbers, seed=seed, domain=domain)

    other = seed + (split == "train")  # equal seeds would draw equal crops
    if source_b:
        return Unpaired(part(source), part(source_b, seed=other), False)
    a, b = part(source, "A"), part(source, "B", other)
    try:
        half = part(source, "AB").count // 2
    except sources.NoPairs as error:
        # Some names are equal: perhaps they were meant as pairs.
        if "partner" in str(error):
            warnings.warn(f"A and B are not taken for pairs: {error}", stacklevel=2)
        return Unpaired(a, b, False)
    if split == "train":
        a.items, b.items = (
            a.items.subset(range(half)),
            b.items.subset(range(half, 2 * half)),
        )
        if a.count < batch_size:
            raise dataset.DataError(
                f"{source} has {a.count} images for each of A and B, taken from "
                f"different pairs: too few for batches of {batch_size}"
            )
        a.steps = b.steps = max(1, a.count // batch_size)
    return Unpaired(a, b, True)


def take(source, n, size=64, split="test", source_b=None, seed=0, jitter=None):
    """The first n images of A and of B, or as many as there are, and whether they are
    pairs.

    Returns:
        two uint8 arrays (n, size, size, 3), and a bool.
    """
    images = load(source, size, 1, split, source_b, seed)
    if images.paired:  # together, so that a damaged picture takes its partner with it
        both = dataset.load(source, size, 3, 1, split, domain="AB").take(n)
        return both[..., :3], both[..., 3:], True
    return images.a.take(n), images.b.take(n), False


def sample(gan, a, b):
    """Held-out images there and back, as `pictures.sheet` takes them."""
    fake_b, fake_a = gan.translate(a, "AtoB"), gan.translate(b, "BtoA")
    return {
        "A": a,
        "generated B": fake_b,
        "reconstructed A": gan.translate(fake_b, "BtoA"),
        "B": b,
        "generated A": fake_a,
        "reconstructed B": gan.translate(fake_a, "AtoB"),
    }


def evaluate_source(gan, source, split, data, **options):
    """What `evaluate` says of the first 200 images of A and of B in `source`.

    Args:
        source, split: the images to measure on.
        data, options: what `load` was given for the training.
    """
    own = options["source_b"] if source == data else None
    a, b, paired = take(source, 200, options["size"], split, own, options["seed"])
    if options["source_b"] and not own and load(source, split=split).a.items.domain:
        raise dataset.DataError(
            f"{source} should have folders A and B in it, as --data and --data-b are "
            "two"
        )
    print(f"on {len(a)} images of A, {len(b)} of B" + (", which are pairs" * paired))
    train = load(data, **options | {"jitter": 1})
    real = [images.take(2000) for images in (train.a, train.b)]
    return evaluate(gan, a, b, real, paired)


def evaluate(gan, a, b, train=None, paired=False):
    """Measures translations of uint8 images of A and of B: {row: {column: number}}.

    The rows are "generated", "input" (the image as it is) and "mean" (the mean training
    image of the target domain), in both directions. The columns are
        moved: L1 between the image and its translation, in grey levels; near 0 where G
            does nothing.
        cycle: L1 between the image and the one there and back.
        target %: images that a classifier takes for the target domain. It is trained on
            the training images of both domains; row "real" has real target images.
        L1, PSNR dB, SSIM: to the ground truth, where A and B are pairs.

    Args:
        train: training images of A and of B, uint8.
        paired: whether image i of A and image i of B are pairs.
    """

    def l1(x, y):
        return float(np.abs(x.astype(float) - y).mean())

    if train:
        labels = np.repeat([0, 1], [len(images) for images in train])
        judge = metrics.Classifier(np.concatenate(train), {"domain": (labels,)})
    result = {}
    directions = (("AtoB", "BtoA", a, b, 1), ("BtoA", "AtoB", b, a, 0))
    for direction, back, x, truth, target in directions:
        generated = gan.translate(x, direction)
        cycle = l1(gan.translate(generated, back), x)
        rows = {"generated": {"moved": l1(generated, x), "cycle": cycle}, "input": {}}
        shown = {"generated": generated, "input": x}
        if train:
            mean = np.rint(train[target].mean(0)).astype(np.uint8)
            shown["mean"] = np.broadcast_to(mean, x.shape)
            for name, images in (shown | {"real": truth}).items():
                share = (judge.find(images)["domain"] == target).mean()
                rows.setdefault(name, {})["target %"] = float(100 * share)
        if paired:
            for name, images in shown.items():
                rows[name] |= metrics.scores(images, truth)
        result |= {f"{direction} {name}": row for name, row in rows.items() if row}
    return result
