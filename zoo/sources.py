"""Where images come from: finds those of a name, a folder, a zip or an array, and the half that is asked for.

What `find` returns has a length, opens its images one by one as PIL images, and knows their labels, if there are any;
dataset.py, whose beginning lists the sources, makes batches of them.
"""

import io
import os
import re
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
# The images that every installed scikit-image carries; the rest of skimage.data would be downloaded. They are few and
# large, so that training sees many different crops of them.
SCENES = ["astronaut.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"]
INSTALLED = {
    "photos": {"train": [*SCENES, "hubble_deep_field.jpg", "ihc.png", "retina.jpg"], "test": ["chelsea.png"]},
    "scenes": {"train": SCENES, "test": ["chelsea.png"]},
    "textures": {"train": ["brick.png", "grass.png"], "test": ["gravel.png"]},
}
DOWNLOADS = ("mnist", "fashion_mnist", "cifar10")
NAMES = (*INSTALLED, "faces", *DOWNLOADS, *downloads.ARCHIVES)
TEST = ("test", "val", "valid", "validation")  # what the folder of a test half may be called
MAX_FILE_BYTES = 200 * 2**20
MAX_RATIO = 100  # of an .npz unpacked to itself: more is not a set of images, but a zip bomb


class DataError(ValueError):
    """The images can't be used; the message says why and what to do."""


def find(source, split, domain):
    """The images of one half of a source, `Files` or `Arrays`; arguments and errors are those of `dataset.load`."""
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
    if source in INSTALLED:
        folder = os.path.join(os.path.dirname(skimage.__file__), "data")
        halves = INSTALLED[source]
        names = halves["train"] + halves["test"] if split == "all" else halves[split]
        return Files(source, [os.path.join(folder, name) for name in names])
    if source == "faces":
        # 100 faces of Labeled Faces in the Wild, 25x25, grey, then 100 patches without a face.
        faces = (skimage.data.lfw_subset()[:100] * 255).round().astype(np.uint8)
        return Arrays(source, {"train": faces[:80], "test": faces[80:], "all": faces}[split])
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
        return _tenth(Files(str(path), sum((half.names for half in halves), []), domain=halves[0].domain), split)
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
        return Files(str(folder), _image_files(folder), domain=domain)
    if domain != "AB":
        return Files(str(sides[domain]), _image_files(sides[domain]))
    a, b = ({os.path.relpath(file, sides[side]): file for file in _image_files(sides[side])} for side in "AB")
    alone = sorted(a.keys() ^ b.keys())
    if alone:
        side, other = "AB" if alone[0] in a else "BA"
        raise DataError(f"{sides[side] / alone[0]} has no partner of that name in {sides[other]}: add or remove it")
    return Files(str(folder), [(a[name], b[name]) for name in sorted(a)], domain=domain)


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
        if "options.json" in files and Path(parent) != Path(folder):  # a run of the zoo: its pictures are not data
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
        return Files(str(path), train if split == "train" else test, archive)
    return _tenth(Files(str(path), names, archive), split)


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
    return _tenth(Arrays(str(path), images[0], arrays.get("y_train")), split)


def _download(name):
    try:
        return getattr(keras.datasets, name).load_data()
    except Exception as error:  # get_file raises a bare Exception
        raise DataError(
            f"{name} can't be downloaded ({error}): put it at data/{name}.npz (arrays x_train, y_train, x_test, "
            f"y_test) and give --data data/{name}.npz, or use photos, faces or textures, which need no download"
        ) from None


def _choose(name, arrays, split):
    train, test = (Arrays(name, *half) for half in arrays)
    if split != "all":
        return train if split == "train" else test
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(f"{name} has training images {train.images.shape} and test images {test.images.shape}")
    labels = None if train.labels is None or test.labels is None else np.concatenate([train.labels, test.labels])
    return Arrays(name, np.concatenate([train.images, test.images]), labels)


def _tenth(items, split):
    if split == "all":
        return items
    count = len(items)
    held_out = set(range(9, count, 10)) or set(range(1, count)[-1:])  # of fewer than ten images the last
    return items.subset([i for i in range(count) if (i in held_out) == (split == "test")])


class Files:
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
        return Files(self.name, [self.names[i] for i in indices], self.archive, self.domain)


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


class Arrays:
    """Images in memory: uint8 (count, height, width) or (count, height, width, 1 or 3)."""

    def __init__(self, name, images, labels=None, domain=None):
        images = images[..., 0] if images.ndim == 4 and images.shape[3] == 1 else images
        if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
            raise DataError(
                f"{name} holds {images.dtype} {images.shape}; uint8 images (count, height, width[, 1 or 3]) are needed"
            )
        if labels is not None:
            labels = np.ravel(labels)
            if len(labels) != len(images) or labels.dtype.kind not in "iu":
                found = f"{len(labels)} labels {labels.dtype} for {len(images)} images"
                raise DataError(f"{name} has {found}: each image needs one integer")
        self.name, self.images, self.labels, self.domain = name, images, labels, domain

    def __len__(self):
        return len(self.images)

    def open(self, index):
        return Image.fromarray(self.images[index])

    def describe(self, index):
        return f"image {index} of {self.name}"

    def subset(self, indices):
        labels = None if self.labels is None else self.labels[indices]
        return Arrays(self.name, self.images[indices], labels, self.domain)


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
