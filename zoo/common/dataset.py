"""The dataset loader: a name, a folder, a zip or an .npy file in; mini-batches out.

    images = load("avatars", size=32, batch_size=64)
    images[0]                # float32 (64, 32, 32, 3) in [-1, 1]

Names:
    avatars, drawings, glasses,     come with the zoo, in its folder data
    emoji, photos
    faces, textures                 inside the scikit-image package
    mnist, fashion_mnist, cifar10   downloaded once by keras.datasets, with labels
    facades, maps, horse2zebra ...  two domains, A and B, downloaded once into the
                                    folder data; all are in downloads.py
Paths:
    a folder of images (searched recursively) or a zip of them, which is not unpacked;
    folders `train` and `test` or `val` in it are the splits;
    .npy or .npz (uint8; `x_train`, `y_train`, `x_test` and `y_test` as Keras names
    them).

With `domain="AB"` the images are pairs: pictures with A on the left and B on the right,
or files of equal names in folders `A` and `B` (sources.SIDES has more names). A pair
comes out as one image of six channels, A's and then B's, so that both are cropped and
flipped alike. With `domain="A"` it is A alone, of such pairs or of folders `trainA` and
`testA`.

Where a source has no splits of its own, every tenth image (of fewer than ten the last)
is held out as `test`. Images of any mode come out as 8-bit RGB or grey: EXIF
orientation honoured, transparent parts laid over white, 16 bits scaled to 8.
"""

import concurrent.futures
import functools
import threading
import warnings

import keras
import numpy as np
from PIL import Image, ImageOps

from . import sources

DataError = sources.DataError
CACHE_BYTES = 256 * 2**20
ZOOM = 4  # what is cut out of a picture has at least a fourth of its short side
AHEAD = 4  # batches decoded before they are asked for
MIN_SIDE = 8  # pixels: less is an icon or a tracking pixel, not a picture
MAX_ASPECT = 20  # long side to short side


class Images(keras.utils.PyDataset):
    """Mini-batches of one split of a data set.

    Batch i of epoch e is a pure function of (seed, e, i).

    Attributes:
        epoch: int, set by the training loop; `images[i]` is batch i of this epoch.
        steps: batches in an epoch; when they have used all images, another pass in
            another order follows.
        flip, jitter: see `load`; may be set until the first batch is read.
        map: a function that every batch goes through, in the loader's threads; may be
            set as late.
        shape: (size, size, channels) of one image.
        labels: int array, one for each image of this split, or None: the set that
            `load` was asked for, or else `y_train`.
        classes: the names of these labels' values, or None.
        attributes: {name: (int array, names of the classes)}, all label sets.
    """

    def __init__(
        self, items, size, channels, batch_size, crop, flip, jitter, steps, seed, labels
    ):
        super().__init__()
        self.items, self.attributes = items, items.labels
        self.labelled, own = labels is not None, _label_set(items, labels)
        self.labels, self.classes = own if own else (None, None)
        self.shape = (size, size, channels)
        if batch_size is None:
            batch_size = 128 if len(items) >= 1000 else 32
            if crop == "center":
                batch_size = min(batch_size, len(items))
        # Otherwise a batch would hold the same picture twice, not as another crop.
        if crop == "center" and batch_size > len(items):
            raise DataError(
                f"a batch of {batch_size} is larger than the {len(items)} images of "
                f"{items.name}: "
                "use a smaller --batch-size"
            )
        self.batch_size, self.crop, self.flip, self.jitter, self.seed = (
            batch_size,
            crop,
            flip,
            jitter,
            seed,
        )
        self.steps = steps or max(1, len(items) // batch_size)
        self.epoch, self.map = 0, None
        self._cache, self._room, self._bad, self._lock = (
            {},
            CACHE_BYTES,
            set(),
            threading.Lock(),
        )
        self._pool = concurrent.futures.ThreadPoolExecutor(
            max_workers=2, thread_name_prefix="loader"
        )
        self._ahead, self._failure = {}, None

    def __len__(self):
        """The number of batches in an epoch."""
        return self.steps

    @property
    def count(self):
        """The number of images."""
        return len(self.items)

    def describe(self):
        """Lines that say what these images are, and what was left out."""
        kind = {1: "grey", 3: "colour", 6: "pairs of A and B in colour"}
        size, _, channels = self.shape
        line = f"{self.items.name}: {self.count:,} images, {kind[channels]}"
        lines = [f"{line}, {size}x{size} pixels in training"]
        known = self.items.name in sources.BUILT_IN  # with a list of labels beside
        if left := not known and self.items.left_out:
            counted = ", ".join(f"{n} {what}" for what, n in left.most_common())
            lines.append(f"left out: {counted}")
            if {".heic", ".heif"} & left.keys():
                lines.append("convert HEIC photos to JPEG first, to use them")
        return lines

    def __getitem__(self, step):
        """Batch `step` of the current epoch.

        Float32 (batch_size, size, size, channels) in [-1, 1], or `map` of it.
        """
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of {self.steps}")
        wanted = [(self.epoch, s) for s in range(step, min(step + AHEAD, self.steps))]
        with self._lock:
            ahead = {
                key: self._ahead.get(key) or self._pool.submit(self._batch, *key)
                for key in wanted
            }
            for key in self._ahead.keys() - ahead.keys():
                self._ahead[key].cancel()
            self._ahead, batch = ahead, ahead[wanted[0]]
        return batch.result()

    def on_epoch_end(self):
        """Keras' `fit` calls this; the zoo's training loops set `epoch` themselves."""
        self.epoch += 1

    def take(self, n):
        """The first n images, centre-cropped and not flipped.

        Uint8 (n, size, size, channels).
        """
        n = min(n, self.count)
        middle = (0.5, 0.5, 1.0, 1.0)
        return np.stack([self._cut(self._image(i)[1], middle) for i in range(n)])

    def whole(self, least=MIN_SIDE, most=None):
        """Yields every image at its own size, uint8 (height, width, channels), but
        those with a side below `least`.

        Of sides longer than `most` pixels the middle is taken.
        """
        for i in range(self.count):
            try:
                with self.items.open(i) as image:
                    parts = self._parts(image)
                _check_size(parts[0], least)
            except (
                Exception
            ) as error:  # a decoder fed with a damaged file may raise anything
                self._skip(i, error)
                continue
            image = _stack(parts)
            if most:
                top, left = (max(0, side - most) // 2 for side in image.shape[:2])
                image = image[top : top + most, left : left + most]
            yield image

    def _batch(self, epoch, step):
        numbers = 4 if self.crop == "zoom" else 3
        draws = np.random.default_rng((self.seed, epoch, step)).random(
            (self.batch_size, numbers)
        )
        batch = np.empty((self.batch_size, *self.shape), np.float32)
        labels = np.zeros(self.batch_size, np.int32)
        for k, draw in enumerate(draws):
            # The epoch is a walk through one shuffled pass over the images after
            # another.
            turn, place = divmod(step * self.batch_size + k, self.count)
            index = _shuffled(self.count, self.seed, epoch, turn)[place]
            index, image = self._image(index)
            batch[k] = self._cut(image, draw)
            labels[k] = self.labels[index] if self.labelled else 0
        batch = batch / 127.5 - 1
        batch = self.map(batch) if self.map else batch
        return (batch, labels) if self.labelled else batch

    def _cut(self, image, draw):
        """Crops (where the whole picture is at hand) and mirrors, as three or four
        uniform numbers say.
        """
        size = self.shape[0]
        side = (
            round(size + draw[3] * (min(image.shape[:2]) - size))
            if self.crop == "zoom"
            else size
        )
        top, left = (
            int(d * (length - side + 1))
            for d, length in zip(draw[:2], image.shape[:2], strict=True)
        )
        image = image[top : top + side, left : left + side]
        if side != size:
            planes = [Image.fromarray(image[..., c]) for c in range(image.shape[2])]
            image = np.stack(
                [
                    plane.resize((size, size), Image.Resampling.BICUBIC)
                    for plane in planes
                ],
                axis=-1,
            )
        return image[:, ::-1] if self.flip and draw[2] < 0.5 else image

    def _image(self, index):
        """(number, uint8 (height, width, channels)) of image `index`, ready to be cut.

        Where that one can't be decoded it is the next one that can.
        """
        for i in range(index, index + self.count):
            i %= self.count
            if i in self._cache:
                return i, self._cache[i]
            if i in self._bad:
                continue
            try:
                with self.items.open(i) as image:
                    image = self._prepare(image)
            except (
                Exception
            ) as error:  # a decoder fed with a damaged file may raise anything
                self._skip(i, error)
                continue
            with self._lock:
                if i not in self._cache and image.nbytes <= self._room:
                    self._cache[i] = image
                    self._room -= image.nbytes
            return i, image
        raise DataError(self._failure)

    def _prepare(self, image):
        size = round(self.shape[0] * self.jitter)
        if self.crop != "random" and not self.items.domain:
            times = 2 if self.crop == "center" else ZOOM
            # Lets a JPEG decode at a fraction of its size.
            image.draft(None, (times * size, times * size))
        parts = self._parts(image)
        _check_size(parts[0], MIN_SIDE)
        width, height = parts[0].size
        # Enlarged it could fill the memory.
        if max(width, height) > MAX_ASPECT * min(width, height):
            raise ValueError(f"it is a strip of {width}x{height} pixels")
        if self.crop == "center":
            parts = [
                ImageOps.fit(part, (size, size), Image.Resampling.BICUBIC)
                for part in parts
            ]
        short = min(width, height)
        wanted = max(size, min(short, ZOOM * size) if self.crop == "zoom" else short)
        if self.crop != "center" and wanted != short:
            sides = [max(wanted, round(s * wanted / short)) for s in (width, height)]
            parts = [part.resize(sides, Image.Resampling.BICUBIC) for part in parts]
        return _stack(parts)

    def _parts(self, image):
        """A file's picture as one 8-bit image, or cut into those of the domains that
        are asked for.
        """
        if not self.items.domain:
            return [sources.to_8bit(image, self.shape[2])]
        image = sources.to_8bit(image, 3)
        width, height = image.width // 2, image.height
        if image.width % 2:
            raise ValueError(
                f"its width of {image.width} pixels is odd: two halves side by side "
                "are equally wide"
            )
        halves = {
            "A": image.crop((0, 0, width, height)),
            "B": image.crop((width, 0, 2 * width, height)),
        }
        return [halves[domain] for domain in self.items.domain]

    def _skip(self, index, error):
        if isinstance(error, MemoryError):  # not the fault of the file
            raise error
        message = (
            f"{self.items.describe(index)} can't be used: {str(error) or repr(error)}"
        )
        with self._lock:
            if index in self._bad:  # another thread was first
                return
            bad = len(self._bad) + 1
            if bad > max(1, 0.05 * self.count) or bad == self.count:
                self._failure = (
                    f"{message}; {bad} of {self.count} images are damaged, remove or "
                    "replace them"
                )
            self._bad.add(index)
        if self._failure:
            raise DataError(self._failure)
        warnings.warn(f"{message}; it is skipped", stacklevel=2)


def _check_size(image, least):
    if min(image.size) < least:
        raise ValueError(f"it has only {image.width}x{image.height} pixels")


def _stack(images):
    """PIL images of one size as uint8 (height, width, their channels in turn)."""
    return np.concatenate(
        [np.asarray(i).reshape(i.height, i.width, -1) for i in images], axis=2
    )


@functools.lru_cache(maxsize=8)
def _shuffled(count, seed, epoch, turn):
    return np.random.default_rng((seed, epoch, turn)).permutation(count)


def load(source, size=64, channels=None, batch_size=None, split="train", crop=None,
         flip=False, jitter=1, steps=None, seed=0, domain=None,
         labels=None):  # fmt: skip
    """The images of `source` (see the top of this file) as `Images`.

    Args:
        size: pixels, the side of the square images that come out.
        channels: 1 for grey, 3 for RGB, None for what the source's first image is.
        batch_size: None is 128, or 32 where there are fewer than 1000 images: more
            steps in the same time.
        split: "train", "test" or "all".
        crop: "center" shrinks or enlarges the short side to `size` and keeps the
            middle; "random" cuts a square of `size` at a random place, at the picture's
            own scale; "zoom" a square of any size from there (of large pictures from a
            fourth of the short side) to the whole short side, shrunk to `size`; None is
            "random" for the names in sources.PHOTOS only.
        flip: flips half of the images left to right, at random.
        jitter: with "center", the middle is taken this much larger, and a random square
            of `size` cut out of it.
        steps: batches in an epoch; None is one pass over the images.
        seed: fixes the order of the images, the crops and the flips.
        domain: "A" or "B", one of two domains, or "AB", pairs of both in six channels.
        labels: name of a set of labels ("hair" of avatars; "class" of a folder with a
            sub-folder for each class, and of `y_train`). Then batches are
            (images, int32 labels).

    Raises:
        DataError: the source is not there or holds no usable images.
        OSError: a data set with two domains can't be downloaded.
    """
    choices = {
        "split": (split, "train", "test", "all"),
        "crop": (crop, None, "center", "random", "zoom"),
    }
    for name, (value, *known) in {
        **choices,
        "domain": (domain, None, "A", "B", "AB"),
    }.items():
        if value not in known:
            raise DataError(
                f"{name} is {value!r}, and can be {', '.join(map(str, known))}"
            )
    items = sources.find(str(source), split, domain)
    if not len(items):
        raise DataError(
            f"{source} has no {split} images: with two or more, one is held out as test"
        )
    if items.domain:
        channels = 3 * len(items.domain)
    elif channels is None:
        channels = _first_channels(items)
    crop = crop or ("random" if source in sources.PHOTOS else "center")
    numbers = crop, flip, jitter, steps, seed
    return Images(items, size, channels, batch_size, *numbers, labels)


def _label_set(items, name):
    """The set of labels called `name`, (integers, class names).

    None: that of y_train.
    """
    if name is None:
        own = items.labels.get("class")
        return own if isinstance(items, sources.Arrays) else None
    if name not in items.labels:
        there = ", ".join(items.labels) or "none"
        raise DataError(f"{items.name} has no labels {name!r}: there are {there}")
    return items.labels[name]


def _first_channels(items):
    try:
        with items.open(0) as image:
            return (
                1 if image.mode in ("1", "L", "LA") or image.mode.startswith("I") else 3
            )
    except Exception:  # Images names the damaged file when it comes to it
        return 3
