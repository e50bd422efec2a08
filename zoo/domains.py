"""Images of two domains, A and B, for the models that learn without pairs, and how well they do.

    a, b, paired = load("horse2zebra", 128)        # two dataset.Images
    a, b, paired = take("horse2zebra", 6, 128)     # uint8 arrays of held-out images
    evaluate(gan, a, b)

Sources are what dataset.py knows of A and B: a name, folders trainA, trainB, testA and testB, or pairs. `sketches` is
photos from the scikit-image package (A) and pencil drawings of others (B), which the model makes.
"""

import warnings

import numpy as np

try:
    from . import dataset, metrics
except ImportError:  # copied out of the zoo, with those files beside this one
    import dataset
    import metrics

# Places among the training photos of sources.INSTALLED. A is astronaut, coffee, rocket and stars; B is drawings of the
# motorcycle, the microscope image and the retina.
PHOTOS_A, PHOTOS_B = [0, 1, 3, 4], [2, 5, 6]


def load(source, size=64, batch_size=1, split="train", source_b=None, draw=None, halves=True, seed=0):
    """The images of A and of B (two dataset.Images), and whether the source is of pairs: image i of A and image i of B.

    In the "train" half A and B are of different pairs, so that no image is there together with its partner.

    Args:
        source: images of both domains; with `source_b` those of A.
        size, batch_size, split, seed: see `dataset.load`.
        source_b: images of B.
        draw: function from float32 images (batch, size, size, 3) in [-1, 1] to drawings of them, of that shape and
            range. With it B is drawings of what `source` has (`sketches`, or photos), in squares of any size.
        halves: whether pictures with A and B side by side are accepted as pairs.

    Raises:
        dataset.DataError: the images are not there, or too few, or of one domain.
    """

    def part(source, seed, domain=None):
        crop, jitter = ("zoom", 1) if draw else ("center", 286 / 256 if split == "train" else 1)
        return dataset.load(source, size, 3, batch_size, split, crop, True, jitter, seed=seed, domain=domain)

    other = seed + (split == "train")  # equal seeds cut equal squares out
    if source_b and draw:
        raise dataset.DataError("--data-b has the images of domain B: give --data too, with those of domain A")
    if draw:
        source = "photos" if source == "sketches" else source
        a, b = part(source, seed), part(source, other)
        b.map, half = draw, a.count // 2
    elif source_b:
        return part(source, seed), part(source_b, other), False
    else:
        a, b = part(source, seed, "A"), part(source, other, "B")
        if a.items.domain and not halves:
            raise dataset.DataError(f"{source} should have folders A and B in it, as --data and --data-b are two")
        try:
            half = part(source, seed, "AB").count // 2
        except dataset.DataError as error:
            if "partner" in str(error):  # in folders A and B; in trainA and trainB nobody has one
                warnings.warn(f"A and B are not taken for pairs: {error}", stacklevel=2)
            return a, b, False
    if split == "train":
        own = draw and source == "photos"
        parts = (PHOTOS_A, PHOTOS_B) if own else (range(half), range(half, 2 * half))
        a.items, b.items = a.items.subset(parts[0]), b.items.subset(parts[1])
        if not own and a.count < batch_size:
            have = f"{source} has {a.count} images for each of A and B, which are taken of different pairs"
            raise dataset.DataError(f"{have}: too few for batches of {batch_size}")
        a.steps = b.steps = max(1, a.count // batch_size)
    return a, b, True


def take(source, n, size=64, split="test", source_b=None, draw=None, halves=True, seed=0):
    """The first n images of A and of B, or as many as there are, and whether they are pairs; for the rest see `load`.

    With `draw` it is always n: squares of any size, which the few photos are cut into.

    Returns:
        two uint8 arrays (n, size, size, 3), and a bool.
    """
    a, b, paired = load(source, size, n if draw else 1, split, source_b, draw, halves, seed)
    if draw:
        return to_uint8(a[0]), to_uint8(b[0]), True
    if paired:  # together, so that a damaged picture takes its partner with it
        both = dataset.load(source, size, 3, 1, split, domain="AB").take(n)
        return both[..., :3], both[..., 3:], True
    return a.take(n), b.take(n), False


def mean_image(images):
    """The mean of 200 images of a domain (dataset.Images), or of all where they are fewer, cut as for a test; uint8."""
    n = 200
    if images.crop != "zoom":
        images.jitter, images.flip, n = 1, False, min(n, images.count)
    images.steps = n
    return to_uint8(np.mean([images[i][0] for i in range(n)], axis=0))


def evaluate_source(gan, source, split, data, size, source_b, draw, seed):
    """What `evaluate` says of the first 64 images of A and of B in `source`; prints how many there are.

    Args:
        source, split: the images to measure on.
        data, size, source_b, draw, seed: what `load` was given for the training.
    """
    own = source_b if source == data else None
    a, b, paired = take(source, 64, size, split, own, draw, halves=not source_b, seed=seed)
    kind = "squares, cut out of images," if draw else "images"
    print(f"on {len(a)} {kind} of A, {len(b)} of B" + (", taken for pairs" if paired else ""))
    trained = load(data, size, source_b=source_b, draw=draw, seed=seed)[:2] if paired else ()
    return evaluate(gan, a, b, [mean_image(images) for images in trained] or None)


def evaluate(gan, a, b, means=None):
    """Means over uint8 images of A and of B: {direction and row: {column: number}}; L1 is in grey levels.

    The row "made" has how far G moves an image (L1; near 0 where it has learnt to do nothing), and the cycle error (L1
    of there and back). With `means`, the mean images of A and of B, the images are taken for pairs: then there are the
    distances to the truth too, beside those of the input as it is and of the mean image. PSNR is on RGB, SSIM on Y.
    """

    def l1(x, y):
        return float(np.abs(x.astype(float) - y).mean())

    result = {}
    for direction, back, x, truth, mean in (("AtoB", "BtoA", a, b, 1), ("BtoA", "AtoB", b, a, 0)):
        made = gan.translate(x, direction)
        rows = {"made": {"moved": l1(made, x), "cycle": l1(gan.translate(made, back), x)}}
        if means is not None:
            for name, images in {"made": made, "input": x, "mean": [means[mean]] * len(x)}.items():
                rows[name] = rows.get(name, {}) | metrics.scores(images, truth)
        result |= {f"{direction} {name}": row for name, row in rows.items()}
    return result


def to_uint8(images):
    """Float images in [-1, 1] as uint8."""
    return np.clip(np.rint((np.asarray(images) + 1) * 127.5), 0, 255).astype(np.uint8)
