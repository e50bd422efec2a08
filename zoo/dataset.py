"""The dataset loader: a name, a folder, a zip or an array in; batches of images out.

    images = load("faces", size=32, batch_size=64)
    images[0]                # float32 (64, 32, 32, 1) in [-1, 1]

Names:
    photos, faces, textures         inside the scikit-image package: no download
    scenes                          the photos without those by microscope and telescope, and of an eye's retina
    mnist, fashion_mnist, cifar10   downloaded once by keras.datasets, with labels
    facades, maps, horse2zebra, ... two domains, A and B: downloaded once into the folder data; all are in downloads.py
Paths:
    a folder of images (searched recursively; folders `train` and `test` or `val` in it are the halves),
    a zip of images (read in place, with the same halves), .npy or .npz (uint8; `x_train`, `y_train`, `x_test` and
    `y_test` as Keras names them).

With `domain="AB"` the images are pairs: pictures with A on the left and B on the right, or files of equal names in
folders `A` and `B`. A pair comes out as one image of six channels, A's on B's, so that both are cropped and mirrored
alike. With `domain="A"` it is A alone, of such pairs or of folders `trainA` and `testA`.

Where a source has no halves of its own, every tenth image (of fewer than ten the last) is held out as `test`.
Images of any mode come out as 8-bit RGB or grey: EXIF orientation honoured, alpha laid over white, 16 bits scaled.
"""

import concurrent.futures
import functools
import io
import os
import re
import threading
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np
import skimage
from PIL import Image, ImageOps

try:
    from . import downloads
except ImportError:  # copied out of the zoo, with that file beside this one
    import downloads

# No other decoders: Pillow would hand PostScript, under whatever extension, to a program.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")
# The images that every installed scikit-image carries; the rest of skimage.data would be downloaded.
PHOTOS = {
    "train": ["astronaut.png", "coffee.png", "motorcycle_left.png", "rocket.jpg", "hubble_deep_field.jpg", "ihc.png"]
    + ["retina.jpg"],
    "test": ["chelsea.png"],
}
SCENES = {"train": PHOTOS["train"][:4], "test": PHOTOS["test"]}
TEXTURES = {"train": ["brick.png", "grass.png"], "test": ["gravel.png"]}
DOWNLOADS = ("mnist", "fashion_mnist", "cifar10")
NAMES = ("photos", "scenes", "faces", "textures", *DOWNLOADS, *downloads.ARCHIVES)
RANDOM_CROPS = ("photos", "scenes", "textures")  # few large pictures: many different crops
TEST = ("test", "val", "valid", "validation")  # what the folder of a test half may be called
CACHE_BYTES = 256 * 2**20
ZOOM = 4  # what is cut out of a picture has at least a fourth of its short side
AHEAD = 4  # batches decoded before they are asked for
MAX_FILE_BYTES = 200 * 2**20
MAX_RATIO = 100  # of an .npz unpacked to itself: more is no set of images, but a bomb
MIN_SIDE = 8  # pixels: less is an icon or a tracking pixel, not a picture
MAX_ASPECT = 20  # long side to short side


class DataError(ValueError):
    """The images can't be used; the message says why and what to do."""


class Images(keras.utils.PyDataset):
    """Batches of one half of a data set. Batch i of epoch e is a pure function of (seed, e, i).

    Attributes:
        epoch: int, set by the training loop; `images[i]` is batch i of this epoch.
        steps: batches in an epoch; more than one pass is more passes.
        flip, jitter: see `load`; may be set until the first batch is read.
        map: a function that every batch goes through, in the loader's threads; may be set as late.
        shape: (size, size, channels) of one image.
        labels: int array, one per image of this half, or None.
    """

    def __init__(self, items, size, channels, batch_size, crop, flip, jitter, steps, seed):
        super().__init__()
        self.items, self.labels = items, items.labels
        self.shape = (size, size, channels)
        if batch_size is None:
            batch_size = 128 if len(items) >= 1000 else 32
            if crop == "center":
                batch_size = min(batch_size, len(items))
        # Else a batch would hold the same picture twice, and not as another crop.
        if crop == "center" and batch_size > len(items):
            raise DataError(
                f"a batch of {batch_size} is larger than the {len(items)} images of {items.name}: "
                f"use --batch-size {len(items)} or less"
            )
        self.batch_size, self.crop, self.flip, self.jitter, self.seed = batch_size, crop, flip, jitter, seed
        self.steps = steps or max(1, len(items) // batch_size)
        self.epoch, self.map = 0, None
        self._cache, self._room, self._bad, self._lock = {}, CACHE_BYTES, set(), threading.Lock()
        self._pool = concurrent.futures.ThreadPoolExecutor(max_workers=2, thread_name_prefix="loader")
        self._ahead, self._failure = {}, None

    def __len__(self):
        """The number of batches in an epoch."""
        return self.steps

    @property
    def count(self):
        """The number of images."""
        return len(self.items)

    def __getitem__(self, step):
        """Batch `step` of the current epoch: float32 (batch_size, size, size, channels) in [-1, 1], or `map` of it."""
        if not 0 <= step < self.steps:
            raise IndexError(f"step {step} of {self.steps}")
        wanted = [(self.epoch, s) for s in range(step, min(step + AHEAD, self.steps))]
        with self._lock:
            ahead = {key: self._ahead.get(key) or self._pool.submit(self._batch, *key) for key in wanted}
            for key in self._ahead.keys() - ahead.keys():
                self._ahead[key].cancel()
            self._ahead, batch = ahead, ahead[wanted[0]]
        return batch.result()

    def on_epoch_end(self):
        """Keras' `fit` calls this; the zoo's training loops set `epoch` themselves."""
        self.epoch += 1

    def take(self, n):
        """The first n images, centre-cropped and not flipped: uint8 (n, size, size, channels)."""
        n = min(n, self.count)
        return np.stack([self._cut(self._image(i), (0.5, 0.5, 1.0, 1.0)) for i in range(n)])

    def whole(self, least=MIN_SIDE, most=None):
        """Yields every image at its own size, uint8 (height, width, channels), but those with a side below `least`.

        Of sides longer than `most` pixels the middle is taken.
        """
        for i in range(self.count):
            try:
                with self.items.open(i) as image:
                    parts = self._parts(image)
                _check_size(parts[0], least)
            except MemoryError:
                raise
            except Exception as error:  # a decoder fed with a damaged file may raise anything
                self._skip(i, error)
                continue
            image = _stack(parts)
            if most:
                top, left = (max(0, side - most) // 2 for side in image.shape[:2])
                image = image[top : top + most, left : left + most]
            yield image

    def _batch(self, epoch, step):
        numbers = 4 if self.crop == "zoom" else 3
        draws = np.random.default_rng((self.seed, epoch, step)).random((self.batch_size, numbers))
        batch = np.empty((self.batch_size, *self.shape), np.float32)
        for k, draw in enumerate(draws):
            # The epoch is a walk through one shuffled pass over the images after another.
            turn, place = divmod(step * self.batch_size + k, self.count)
            batch[k] = self._cut(self._image(_shuffled(self.count, self.seed, epoch, turn)[place]), draw)
        batch = batch / 127.5 - 1
        return self.map(batch) if self.map else batch

    def _cut(self, image, draw):
        """Crops (where the whole picture is at hand) and mirrors, as three or four uniform numbers say."""
        size = self.shape[0]
        side = round(size + draw[3] * (min(image.shape[:2]) - size)) if self.crop == "zoom" else size
        top, left = (int(d * (length - side + 1)) for d, length in zip(draw[:2], image.shape[:2], strict=True))
        image = image[top : top + side, left : left + side]
        if side != size:
            planes = [Image.fromarray(image[..., c]) for c in range(image.shape[2])]
            image = np.stack([plane.resize((size, size), Image.Resampling.BICUBIC) for plane in planes], axis=-1)
        return image[:, ::-1] if self.flip and draw[2] < 0.5 else image

    def _image(self, index):
        """Image `index`, or the next one that can be decoded, as uint8 (height, width, channels), ready to be cut."""
        for i in range(index, index + self.count):
            i %= self.count
            if i in self._cache:
                return self._cache[i]
            if i in self._bad:
                continue
            try:
                with self.items.open(i) as image:
                    image = self._prepare(image)
            except MemoryError:
                raise
            except Exception as error:  # a decoder fed with a damaged file may raise anything
                self._skip(i, error)
                continue
            with self._lock:
                if i not in self._cache and image.nbytes <= self._room:
                    self._cache[i] = image
                    self._room -= image.nbytes
            return image
        raise DataError(self._failure)

    def _prepare(self, image):
        size = round(self.shape[0] * self.jitter)
        if self.crop != "random" and not self.items.domain:
            times = 2 if self.crop == "center" else ZOOM
            image.draft(None, (times * size, times * size))  # lets a JPEG decode at a fraction of its size
        parts = self._parts(image)
        _check_size(parts[0], MIN_SIDE)
        width, height = parts[0].size
        if max(width, height) > MAX_ASPECT * min(width, height):  # enlarged it could fill the memory
            raise ValueError(f"it is a strip of {width}x{height} pixels")
        if self.crop == "center":
            parts = [ImageOps.fit(part, (size, size), Image.Resampling.BICUBIC) for part in parts]
        short = min(width, height)
        wanted = max(size, min(short, ZOOM * size) if self.crop == "zoom" else short)
        if self.crop != "center" and wanted != short:
            sides = [max(wanted, round(s * wanted / short)) for s in (width, height)]
            parts = [part.resize(sides, Image.Resampling.BICUBIC) for part in parts]
        return _stack(parts)

    def _parts(self, image):
        """A file's picture as one 8-bit image, or cut into those of the domains that are asked for."""
        if not self.items.domain:
            return [to_8bit(image, self.shape[2])]
        image = to_8bit(image, 3)
        width, height = image.width // 2, image.height
        if image.width % 2:
            raise ValueError(f"its width of {image.width} pixels is odd: two halves side by side are equally wide")
        halves = {"A": image.crop((0, 0, width, height)), "B": image.crop((width, 0, 2 * width, height))}
        return [halves[domain] for domain in self.items.domain]

    def _skip(self, index, error):
        message = f"{self.items.describe(index)} can't be used: {str(error) or repr(error)}"
        with self._lock:
            if index in self._bad:  # another thread was first
                return
            bad = len(self._bad) + 1
            if bad > max(1, 0.05 * self.count) or bad == self.count:
                self._failure = f"{message}; {bad} of {self.count} images are damaged, remove or replace them"
            self._bad.add(index)
        if self._failure:
            raise DataError(self._failure)
        warnings.warn(f"{message}; it is skipped", stacklevel=2)


def _check_size(image, least):
    if min(image.size) < least:
        raise ValueError(f"it has only {image.width}x{image.height} pixels")


def _stack(images):
    """PIL images of one size as uint8 (height, width, their channels in turn)."""
    return np.concatenate([np.asarray(i).reshape(i.height, i.width, -1) for i in images], axis=2)


@functools.lru_cache(maxsize=8)
def _shuffled(count, seed, epoch, turn):
    return np.random.default_rng((seed, epoch, turn, 0)).permutation(count)


def to_8bit(image, channels):
    """A PIL image of any mode as an upright 8-bit one: grey (channels 1) or RGB (channels 3), alpha over white."""
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers; convert it to 8 or 16 bits")
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):  # 16 bits
        image = Image.fromarray((np.clip(np.asarray(image, np.float64), 0, 65535) / 257).round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")


class _Files:
    """Image files, or with `archive` the image files inside a zip; a name may be the two of a pair.

    `domain` is what is wanted of pictures with A on the left and B on the right: "A", "B" or "AB".
    """

    labels = None

    def __init__(self, name, names, archive=None, domain=None):
        self.name, self.names, self.archive, self.domain = name, names, archive, domain

    def __len__(self):
        return len(self.names)

    def open(self, index):
        name = self.names[index]
        if isinstance(name, tuple):
            return _side_by_side(*name)
        if self.archive is None:
            return Image.open(name, formats=FORMATS)
        if self.archive.getinfo(name).file_size > MAX_FILE_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_FILE_BYTES >> 20} MiB")
        return Image.open(io.BytesIO(self.archive.read(name)), formats=FORMATS)

    def describe(self, index):
        name = self.names[index]
        name = " with ".join(name) if isinstance(name, tuple) else name
        return name if self.archive is None else f"{name} in {self.name}"

    def subset(self, indices):
        return _Files(self.name, [self.names[i] for i in indices], self.archive, self.domain)


def _side_by_side(a, b):
    """Two image files as one picture, the first on the left."""
    with Image.open(a, formats=FORMATS) as left, Image.open(b, formats=FORMATS) as right:
        left, right = to_8bit(left, 3), to_8bit(right, 3)
    if left.size != right.size:
        raise ValueError(f"they are {left.width}x{left.height} and {right.width}x{right.height}, not equally large")
    both = Image.new("RGB", (2 * left.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


class _Arrays:
    """Images in memory: uint8 (count, height, width) or (count, height, width, 1 or 3)."""

    domain = None

    def __init__(self, name, images, labels=None):
        images = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
            raise DataError(
                f"{name} holds {images.dtype} {images.shape}; wanted are uint8 images (count, height, width[, 1 or 3])"
            )
        if labels is not None:
            labels = np.ravel(labels)
            if len(labels) != len(images) or labels.dtype.kind not in "iu":
                found = f"{len(labels)} labels {labels.dtype} for {len(images)} images"
                raise DataError(f"{name} has {found}: each image wants one whole number")
        self.name, self.images, self.labels = name, images, labels

    def __len__(self):
        return len(self.images)

    def open(self, index):
        return Image.fromarray(self.images[index])

    def describe(self, index):
        return f"image {index} of {self.name}"

    def subset(self, indices):
        result = _Arrays(self.name, self.images[indices], None if self.labels is None else self.labels[indices])
        result.domain = self.domain
        return result


def load(
    source,
    size=64,
    channels=None,
    batch_size=None,
    split="train",
    crop=None,
    flip=False,
    jitter=1,
    steps=None,
    seed=0,
    domain=None,
):
    """The images of `source` (see the top of this file) as `Images`.

    Args:
        size: pixels, the side of the square images that come out.
        channels: 1 for grey, 3 for RGB, None for what the source's first image is.
        batch_size: None is 128, or 32 where there are fewer than 1000 images: more steps in the same time.
        split: "train", "test" or "all".
        crop: "center" shrinks or enlarges the short side to `size` and keeps the middle; "random" cuts a square of
            `size` at a random place, at the picture's own scale; "zoom" a square of any size from there (of large
            pictures from a fourth of the short side) to the whole short side, shrunk to `size`; None is "random" for
            the names of RANDOM_CROPS only.
        flip: mirrors every other image, at random.
        jitter: with "center", the middle is taken this much larger, and a random square of `size` cut out of it.
        steps: batches in an epoch; None is one pass over the images.
        domain: "A" or "B", one of two domains, or "AB", pairs of both in six channels.

    Raises:
        DataError: the source is not there or holds no usable images.
    """
    items = _find(str(source), split, domain)
    if not len(items):
        raise DataError(f"{source} has no {split} images: with two or more, one is held out as test")
    if items.domain:
        channels = 3 * len(items.domain)
    elif channels is None:
        channels = _first_channels(items)
    crop = crop or ("random" if source in RANDOM_CROPS else "center")
    return Images(items, size, channels, batch_size, crop, flip, jitter, steps, seed)


def _first_channels(items):
    try:
        with items.open(0) as image:
            return 1 if image.mode in ("1", "L", "LA") or image.mode.startswith("I") else 3
    except Exception:  # Images names the damaged file when it comes to it
        return 3


def _find(source, split, domain):
    """The items of one half of a source."""
    path = Path(source)
    if source in NAMES and path.is_dir():
        raise DataError(
            f"{source} is a data set's name, and a folder here: give ./{source} for the folder, or rename it"
        )
    if source in downloads.ARCHIVES:
        if not domain:
            raise DataError(
                f"{source} has two domains, A and B: give pix2pix --task pairs with it; give cyclegan and dualgan no "
                "--data-b, which is for a second folder"
            )
        path = downloads.fetch(source)
    elif domain and source in NAMES:
        raise DataError(
            f"{source} has no domains A and B, as {', '.join(downloads.ARCHIVES)} or a folder of yours have"
        )
    if source in RANDOM_CROPS:
        halves = {"photos": PHOTOS, "scenes": SCENES, "textures": TEXTURES}[source]
        folder = os.path.join(os.path.dirname(skimage.__file__), "data")
        names = halves["train"] + halves["test"] if split == "all" else halves[split]
        return _Files(source, [os.path.join(folder, name) for name in names])
    if source == "faces":
        # 100 faces of Labeled Faces in the Wild, 25x25, grey, then 100 patches without a face.
        faces = (skimage.data.lfw_subset()[:100] * 255).round().astype(np.uint8)
        return _Arrays(source, {"train": faces[:80], "test": faces[80:], "all": faces}[split])
    if source in DOWNLOADS:
        return _choose(source, _download(source), split)
    if path.is_dir():
        return _folder(path, split, domain)
    if not path.exists():
        raise DataError(f"there is no data set or path {source!r}: the names are {', '.join(NAMES)}")
    if path.suffix.lower() not in (".zip", ".npy", ".npz"):
        raise DataError(f"{source} is neither a folder, nor a .zip, .npy or .npz")
    items = _zip(path, split, domain) if path.suffix.lower() == ".zip" else _numpy(path, split)
    items.domain = domain
    return items


def _folder(path, split, domain):
    tail = ""
    if domain and any(_inside(path, f"{half}{side}").is_dir() for half in ("train", *TEST) for side in "AB"):
        if domain == "AB":
            raise DataError(f"{path} holds images of A and B that are no pairs")
        if not _inside(path, f"train{domain}").is_dir():
            raise DataError(f"{path} has no folder train{domain}: domains are in trainA, trainB, testA and testB")
        tail, domain = domain, None
    train, *tests = (_inside(path, f"{half}{tail}") for half in ("train", *TEST))
    test = next((folder for folder in tests if folder.is_dir()), None)
    if train.is_dir() and test and split != "all":
        return _domain(train if split == "train" else test, domain)
    if train.is_dir() and (tail or domain):  # each half has its own A and B
        halves = [_domain(folder, domain) for folder in (train, test) if folder]
        return _tenth(_Files(str(path), sum((half.names for half in halves), []), domain=halves[0].domain), split)
    return _tenth(_domain(path, domain), split)


def _inside(folder, name):
    """The folder `name` in a folder, as systems find it that do not tell capitals from small letters."""
    found = (entry for entry in sorted(folder.iterdir()) if entry.name.lower() == name.lower() and entry.is_dir())
    return next(found, folder / name)


def _domain(folder, domain):
    """The images of a folder, or of its domain(s): in folders A and B, or halves of each picture."""
    sides = {side: _inside(folder, side) for side in "AB" if _inside(folder, side).is_dir()} if domain else {}
    if len(sides) == 1:
        raise DataError(f"{folder} has a folder {min(sides)} alone: A and B go together")
    if any(_inside(side, "train").is_dir() for side in sides.values()):
        raise DataError(f"{folder} has folders A/train and so on: make them train/A, train/B, test/A and test/B")
    if not sides:
        return _Files(str(folder), _image_files(folder), domain=domain)
    if domain != "AB":
        return _Files(str(sides[domain]), _image_files(sides[domain]))
    a, b = ({os.path.relpath(file, sides[side]): file for file in _image_files(sides[side])} for side in "AB")
    alone = sorted(a.keys() ^ b.keys())
    if alone:
        side, other = "AB" if alone[0] in a else "BA"
        raise DataError(f"{sides[side] / alone[0]} has no partner of that name in {sides[other]}: add or remove it")
    return _Files(str(folder), [(a[name], b[name]) for name in sorted(a)], domain=domain)


def _image_files(folder):
    found = []
    seen = set()

    def stop(error):  # else a folder that can't be read would be left out
        raise error

    for parent, folders, files in os.walk(folder, followlinks=True, onerror=stop):
        if (real := os.path.realpath(parent)) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        if "options.json" in files and Path(parent) != Path(folder):  # a run of the zoo: its pictures are no data
            folders.clear()
            continue
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        found += [os.path.join(parent, f) for f in files if f.lower().endswith(EXTENSIONS) and not f.startswith(".")]
    if not found:
        raise DataError(f"no images in the folder {folder} (looked for {', '.join(EXTENSIONS)})")
    return sorted(found)


def _zip(path, split, domain):
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} is not a readable zip ({error}): download or copy it again") from None
    members = [m for m in archive.infolist() if m.filename.lower().endswith(EXTENSIONS)]
    members = [m for m in members if not m.is_dir() and "__MACOSX" not in m.filename and "/." not in f"/{m.filename}"]
    if not members:
        raise DataError(f"no images in the zip {path} (looked for {', '.join(EXTENSIONS)})")
    if any(m.flag_bits & 1 for m in members):
        raise DataError(f"{path} is protected by a password: unpack it and give the folder")
    folders = {m.filename: re.split(r"[/\\]", m.filename.lower())[:-1] for m in members}
    if domain and any({"traina", "trainb", "a", "b"} & set(inside) for inside in folders.values()):
        raise DataError(f"{path} has folders for A and B: unpack it and give the folder")
    names = sorted(m.filename for m in members)
    halves = {name: [f for f in folders[name] if f in ("train", *TEST)][-1:] for name in names}  # the innermost
    train, *tests = ([name for name in names if halves[name] == [half]] for half in ("train", *TEST))
    test = next(filter(None, tests), None)
    if train and test and split != "all":
        return _Files(str(path), train if split == "train" else test, archive)
    return _tenth(_Files(str(path), names, archive), split)


def _numpy(path, split):
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > max(MAX_FILE_BYTES, MAX_RATIO * path.stat().st_size):
                raise ValueError(f"it unpacks to {size >> 20} MiB, more than {MAX_RATIO} times its size")
        arrays = np.load(path, allow_pickle=False)
        arrays = {"x": arrays} if path.suffix.lower() == ".npy" else {name: arrays[name] for name in arrays.files}
        arrays = {name: array for name, array in arrays.items() if isinstance(array, np.ndarray)}  # no stray text file
    except Exception as error:  # a damaged file may raise anything
        reason = "it holds pickled objects, which could run code" if "pickle" in str(error).lower() else error
        raise DataError(f"{path} can't be read: {reason}; save plain uint8 arrays with numpy.savez") from None
    if {"x_train", "x_test"} <= set(arrays):
        labels = [arrays.get(name) for name in ("y_train", "y_test")]
        return _choose(str(path), ((arrays["x_train"], labels[0]), (arrays["x_test"], labels[1])), split)
    images = [a for a in arrays.values() if a.dtype == np.uint8 and a.ndim in (3, 4)]
    if len(images) != 1:
        found = ", ".join(f"{name} {a.dtype} {a.shape}" for name, a in arrays.items()) or "nothing"
        raise DataError(f"{path} should hold one uint8 array (count, height, width[, 1 or 3]); it holds {found}")
    return _tenth(_Arrays(str(path), images[0], arrays.get("y_train")), split)


def _download(name):
    try:
        return getattr(keras.datasets, name).load_data()
    except Exception as error:  # get_file raises a bare Exception
        raise DataError(
            f"{name} can't be downloaded ({error}): bring it as data/{name}.npz (arrays x_train, y_train, x_test, "
            f"y_test) and give --data data/{name}.npz, or use photos, faces or textures, which need no download"
        ) from None


def _choose(name, arrays, split):
    train, test = (_Arrays(name, *half) for half in arrays)
    if split != "all":
        return train if split == "train" else test
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(f"{name} has training images {train.images.shape} and test images {test.images.shape}")
    labels = None if train.labels is None or test.labels is None else np.concatenate([train.labels, test.labels])
    return _Arrays(name, np.concatenate([train.images, test.images]), labels)


def _tenth(items, split):
    if split == "all":
        return items
    count = len(items)
    held_out = set(range(9, count, 10)) or set(range(1, count)[-1:])  # of fewer than ten images the last
    return items.subset([i for i in range(count) if (i in held_out) == (split == "test")])
