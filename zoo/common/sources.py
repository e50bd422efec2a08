"""Where images come from: finds those of a name, a folder, a zip or an array.

What `find` returns has a length, opens its images one by one as PIL images, and knows
their labels if there are any. dataset.py, whose first lines list the sources, makes
mini-batches of them.
"""

import collections
import difflib
import functools
import io
import os
import re
import zipfile
from pathlib import Path

import keras
import numpy as np
import skimage
from PIL import Image

from . import downloads

# Sets that come with the zoo, in its folder data.
BUILT_IN = {
    "avatars": "avatars.npz",
    "glasses": "glasses.npz",
    "emoji": "emoji.zip",
    "drawings": "drawings.zip",
    "photos": "photos.zip",
}
TWO_DOMAINS = ("glasses", "emoji", "drawings")  # of these
PHOTOS = ("photos", "textures")  # few and large, so that crops of them are trained on
# Images inside scikit-image: the rest of skimage.data would be downloaded.
TEXTURES = {"train": ["brick.png", "grass.png"], "test": ["gravel.png"]}
DOWNLOADS = ("mnist", "fashion_mnist", "cifar10")
NAMES = (*BUILT_IN, "faces", "textures", *DOWNLOADS, *downloads.ARCHIVES)

# Endings of files that are taken for images without opening them.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff")
TEST = ("test", "val", "valid", "validation")  # names of a folder of test images
# Names of the two folders of a data set with two domains.
SIDES = [("a", "b"), ("input", "target"), ("images", "masks"), ("source", "target")]
LAYOUTS = (
    "pictures with A on the left and B on the right; or folders A and B with files of "
    "equal names (or input and target, images and masks, source and target); or "
    "folders trainA, trainB, testA and testB"
)
MAX_FILE_BYTES = 200 * 2**20
MAX_RATIO = 100  # of an .npz unpacked to itself: more is a zip bomb


class DataError(ValueError):
    """The images can't be used; the message says why and what to do."""


class NoPairs(DataError):
    """There are images of two domains, but no pairs."""


def shipped(name):
    """The path of what comes with the zoo: "weights/srgan", "data/avatars.npz".

    None where it is missing.
    """
    import zoo

    # In a clone the folder data lies beside the package, else inside it.
    places = [Path(place) for place in zoo.__path__]
    files = [base / name for place in places for base in (place, place.parent)]
    return next((file for file in files if file.exists()), None)


def ready(name, networks):
    """The networks of a ready generator, in the order of their names.

    Those that do not come with it are None.

    Args:
        name: of its folder in zoo/weights, that of the run it comes from.
        networks: names, as a class lists them: ("generator", "discriminator").

    Raises:
        FileNotFoundError: there is no such folder.
    """
    if (folder := shipped(f"weights/{name}")) is None:
        raise FileNotFoundError(f"the zoo has no ready generator {name!r}: train one")
    files = [folder / f"{network}.keras" for network in networks]
    return [load_network(file) if file.exists() else None for file in files]


def load_network(file):
    """A Keras model from a .keras file, ready to be called on one tensor."""
    network = keras.models.load_model(file, compile=False)
    if isinstance(network.output, list) and len(network.output) == 1:
        # Files of Keras 3.10 come back in 3.15 as models that return lists.
        network = keras.Model(network.inputs[0], network.outputs[0], name=network.name)
    return network


def find(source, split, domain):
    """The images of one split of a source: `Files` or `Arrays`.

    Arguments and errors are those of `dataset.load`.
    """
    path = Path(source)
    if source in NAMES and path.is_dir():
        raise DataError(
            f"{source} is a data set's name, and a folder here: give ./{source} for "
            "the folder, or rename it"
        )
    if source in downloads.ARCHIVES:
        if not domain:
            raise DataError(
                f"{source} has two domains, A and B: give it to pix2pix --task pairs, "
                "or to cyclegan or dualgan without --data-b"
            )
        path = downloads.fetch(source)
    elif domain and source in NAMES and source not in TWO_DOMAINS:
        two = ", ".join([*TWO_DOMAINS, *downloads.ARCHIVES])
        raise DataError(f"{source} has no domains A and B, as {two} have")
    if source in BUILT_IN:
        path = shipped(f"data/{BUILT_IN[source]}")
        if path is None:
            raise DataError(
                f"the images of {source} are not here: copy data/{BUILT_IN[source]} of "
                "the zoo into the folder zoo/data beside this file"
            )
        return _path(path, split, domain, source)
    if source == "textures":
        folder = os.path.join(os.path.dirname(skimage.__file__), "data")
        names = sum(TEXTURES.values(), []) if split == "all" else TEXTURES[split]
        return Files(source, [os.path.join(folder, name) for name in names])
    if source == "faces":
        # 100 faces of Labeled Faces in the Wild, 25x25, grey, then 100 other patches.
        faces = (skimage.data.lfw_subset()[:100] * 255).round().astype(np.uint8)
        parts = {"train": faces[:80], "test": faces[80:], "all": faces}
        return Arrays(source, parts[split])
    if source in DOWNLOADS:
        return _choose(source, _download(source), split)
    if not path.exists():
        near = difflib.get_close_matches(source, NAMES, 1)
        guess = f"did you mean {near[0]}? The names" if near else "the names"
        raise DataError(
            f"there is no data set or path {source!r}: {guess} are {', '.join(NAMES)}"
        )
    return _path(path, split, domain)


def _path(path, split, domain, name=None):
    name, ending = name or str(path), path.suffix.lower()
    if path.is_dir() or ending == ".zip":
        return _files(path, split, domain, name)
    if ending not in (".npy", ".npz"):
        raise DataError(f"{path} is neither a folder, nor a .zip, .npy or .npz")
    return _numpy(path, split, domain, name)


# Folders and zips


def _files(path, split, domain, name):
    """The images of a folder or a zip, in whatever layout they lie."""
    names, archive, left_out = _walk(path) if path.is_dir() else _members(path)
    if not names:
        found = f" ({_counted(left_out)})" if left_out else ""
        kind = "folder" if path.is_dir() else "zip"
        raise DataError(f"no images in the {kind} {path}{found}")
    files = [_File(name, path if archive is None else None) for name in names]
    folders = {folder for file in files for folder in file.folders}
    sides = {}
    for a, b in SIDES:
        # Words such as "images" mean a domain only beside the other word.
        if (a, b) == ("a", "b") or {a, b} <= folders:
            sides |= {a: "A", b: "B"}
    for file in files:
        file.take_place(sides if domain else {})
    if domain and any(file.side for file in files):
        outside = sum(file.side is None for file in files)
        files = [file for file in files if file.side]
        if outside:
            left_out["outside of the folders for A and B"] += outside
        if domain == "AB":
            return _pairs(name, files, archive, left_out, split)
        files = [file for file in files if file.side == domain]
        tests = bool(files) and files[0].split in TEST and not _folders(files)
        if not files or (tests and split != "all"):
            raise DataError(
                f"{path} has no folder {domain} or train{domain}: {LAYOUTS}"
            )
        domain = None
    elif domain:
        _refuse_twins(path, files)
    chosen = _split(files, split, left_out)
    classes = {file.folder.split("/")[0] for file in files}
    labels = {}
    if "" not in classes and len(classes) > 1:
        classes = sorted(classes)
        numbers = [classes.index(file.folder.split("/")[0]) for file in chosen]
        labels["class"] = np.array(numbers), classes
    chosen = [file.name for file in chosen]
    return Files(name, chosen, archive, domain, labels, left_out)


class _File:
    """The place of an image file: its split, its domain, and the rest of its path."""

    def __init__(self, name, root):
        self.name = name
        inner = os.path.relpath(name, root) if root else name
        *self.parts, self.file = re.split(r"[/\\]", inner)
        self.folders = {part.lower() for part in self.parts}

    def take_place(self, sides):
        self.split = self.side = None
        rest = []
        for part in self.parts:
            word = part.lower()
            split, side = None, sides.get(word)
            if sides and (found := re.fullmatch(r"(\w+?)[ _-]?([ab])", word)):
                split, side = found[1], found[2].upper()
                if split not in ("train", *TEST):
                    split, side = None, sides.get(word)
            elif word in ("train", *TEST):
                split = word
            if split or side:
                self.split, self.side = split or self.split, side or self.side
            else:
                rest.append(part)
        self.folder = "/".join(rest)

    def key(self, ending=True):
        name = self.file if ending else os.path.splitext(self.file)[0]
        return (self.split, self.folder, name)


def _split(files, split, left_out):
    """The files of one split: of folders train and test, or every tenth for test."""
    places = _folders(files)
    if split == "all":
        return files
    if places:
        outside = sum(file.split is None for file in files)
        if outside:
            left_out[f"outside of the folders {' and '.join(places.values())}"] += (
                outside
            )
        return [file for file in files if file.split == places[split]]
    return [files[i] for i in _tenth(len(files), split)]


def _folders(files):
    """{split: the name of its folder}, if there are folders for both splits."""
    found = {file.split for file in files}
    test = next((name for name in TEST if name in found), None)
    return {"train": "train", "test": test} if test and "train" in found else {}


def _pairs(name, files, archive, left_out, split):
    """Pairs of files of A and B with equal names; the endings may differ."""
    if _folders(files):
        files, split = _split(files, split, left_out), "all"
    for ending in (True, False):
        a, b = ({f.key(ending): f for f in files if f.side == side} for side in "AB")
        if a.keys() == b.keys():
            break
    if not a.keys() & b.keys():
        raise NoPairs(f"{name} holds images of A and B that are no pairs")
    if alone := sorted(a.keys() ^ b.keys(), key=str):
        file = (a.get(alone[0]) or b.get(alone[0])).name
        raise NoPairs(
            f"{file} has no partner of that name, so that A and B are no pairs: add "
            "it, or remove the file"
        )
    chosen = _split([a[key] for key in sorted(a, key=str)], split, left_out)
    names = [(file.name, b[file.key(ending)].name) for file in chosen]
    return Files(name, names, archive, "AB", left_out=left_out)


def _refuse_twins(path, files):
    """Refuses folders with files of equal names: they would be cut into halves."""
    folders = collections.defaultdict(set)
    for file in files:
        folders[file.folder].add((file.split, os.path.splitext(file.file)[0]))
    seen = {}
    for folder, names in sorted(folders.items()):
        twin = seen.setdefault(frozenset(names), folder)
        if twin != folder:
            raise DataError(
                f"{path} has folders {twin!r} and {folder!r} with files of equal "
                "names: rename them to A and B, if they are pairs. The layouts are "
                f"{LAYOUTS}"
            )


def _walk(folder):
    """(image files, None, Counter of the endings of other files) of a folder."""
    found, left_out, seen = [], collections.Counter(), set()

    def stop(error):  # otherwise a folder that can't be read would be left out
        raise error

    for parent, folders, files in os.walk(folder, followlinks=True, onerror=stop):
        if (real := os.path.realpath(parent)) in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        if "options.json" in files and Path(parent) != Path(folder):
            folders.clear()  # a run of the zoo: its pictures are not data
            continue
        folders[:] = sorted(f for f in folders if not f.startswith((".", "__MACOSX")))
        for file in files:
            if not file.startswith("."):
                path = os.path.join(parent, file)
                if is_image(file, path):
                    found.append(path)
                else:
                    left_out[_ending(file)] += 1
    return sorted(found), None, left_out


def _members(path):
    """(image files, the archive, Counter of the endings of other files) of a zip."""
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(
            f"{path} is not a readable zip ({error}): download or copy it again"
        ) from None
    found, left_out = [], collections.Counter()
    for member in archive.infolist():
        name = member.filename
        if member.is_dir() or "__MACOSX" in name or "/." in f"/{name}":
            continue
        if member.flag_bits & 1:
            raise DataError(
                f"{path} is protected by a password: unpack it and give the folder"
            )
        large = member.file_size > MAX_FILE_BYTES
        if is_image(
            name, None if large else lambda m=member: io.BytesIO(archive.read(m))
        ):
            found.append(name)
        else:
            left_out[_ending(name)] += 1
    return sorted(found), archive, left_out


def is_image(name, file):
    """By its ending, or for unknown endings by what Pillow says of its first bytes."""
    if name.lower().endswith(EXTENSIONS):
        return True
    try:
        with open_image(file() if callable(file) else file):
            return True
    except Exception:  # a decoder given another kind of file may raise anything
        return False


def _ending(name):
    return os.path.splitext(name)[1].lower() or "no ending"


def _counted(left_out):
    """{".heic": 30, ".txt": 2} as "30 .heic, 2 .txt"."""
    return ", ".join(f"{n} {what}" for what, n in left_out.most_common())


# Arrays


def _numpy(path, split, domain, name):
    arrays = _read_arrays(path)
    both = {"x_train", "x_test"} <= set(arrays)
    if domain and {"trainA", "trainB"} <= set(arrays):
        return _array_domains(name, arrays, split, domain)
    if both:
        parts = [
            (arrays[f"x_{half}"], _labels(arrays, half)) for half in ("train", "test")
        ]
        items = _choose(name, parts, split)
    else:
        images = [
            a for a in arrays.values() if a.dtype == np.uint8 and a.ndim in (3, 4)
        ]
        if len(images) != 1:
            found = ", ".join(f"{n} {a.dtype} {a.shape}" for n, a in arrays.items())
            raise DataError(
                f"{path} should hold one uint8 array (count, height, width[, 1 or 3]), "
                "or x_train and x_test, or trainA and trainB; it holds "
                f"{found or 'nothing'}"
            )
        items = Arrays(name, images[0], _labels(arrays, "train"))
        items = items.subset(_tenth(len(items), split))
    items.domain = domain
    return items


def _read_arrays(path):
    try:
        if path.suffix.lower() == ".npz":
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > max(MAX_FILE_BYTES, MAX_RATIO * path.stat().st_size):
                raise ValueError(
                    f"it unpacks to {size >> 20} MiB, more than {MAX_RATIO} times its "
                    "size"
                )
        arrays = np.load(path, allow_pickle=False)
        if path.suffix.lower() == ".npy":
            return {"x": arrays}
        arrays = {name: arrays[name] for name in arrays.files}
        return {n: a for n, a in arrays.items() if isinstance(a, np.ndarray)}
    except Exception as error:  # a damaged file may raise anything
        reason = error
        if "pickle" in str(error).lower():
            reason = "it holds pickled objects, which could run code"
        raise DataError(
            f"{path} can't be read: {reason}; save plain uint8 arrays with numpy.savez"
        ) from None


def _labels(arrays, half):
    """{name: (integers, names of the classes)} of `y_train`, `hair_train` and so on.

    `hair_names` has the names of the classes.
    """
    labels = {}
    for key, array in arrays.items():
        name, found, tail = key.rpartition("_")
        if found and tail == half and name != "x":
            names = arrays.get(f"{name}_names")
            names = None if names is None else [str(n) for n in names]
            labels["class" if name == "y" else name] = array, names
    return labels


def _array_domains(name, arrays, split, domain):
    """One of trainA, trainB, testA, testB; the test images of A and B are pairs."""
    keys = {"train": ["train"], "test": ["test"], "all": ["train", "test"]}[split]
    keys = [key for key in keys if f"{key}A" in arrays]
    if domain == "AB":
        equal = np.shape(arrays.get("testA")) == np.shape(arrays.get("testB"))
        if keys != ["test"] or not equal:
            raise NoPairs(f"{name} holds images of A and B that are no pairs")
        both = np.concatenate([arrays["testA"], arrays["testB"]], axis=2)
        return Arrays(name, both, domain="AB")
    if not keys:
        raise DataError(f"{name} has no arrays testA and testB")
    return Arrays(name, np.concatenate([arrays[f"{key}{domain}"] for key in keys]))


def _download(name):
    try:
        (x, y), (x_test, y_test) = getattr(keras.datasets, name).load_data()
    except Exception as error:  # get_file raises a bare Exception
        raise DataError(
            f"{name} can't be downloaded ({error}): put it at data/{name}.npz (arrays "
            f"x_train, y_train, x_test, y_test) and give --data data/{name}.npz, or "
            "use avatars, photos or textures, which need no download"
        ) from None
    return (x, {"class": (y, None)}), (x_test, {"class": (y_test, None)})


def _choose(name, parts, split):
    """One split of two parts (images, labels), training and test, or both together."""
    train, test = (Arrays(name, *part) for part in parts)
    if split != "all":
        return train if split == "train" else test
    if train.images.shape[1:] != test.images.shape[1:]:
        raise DataError(
            f"{name} has training images {train.images.shape} and test images "
            f"{test.images.shape}"
        )
    labels = {
        key: (np.concatenate([train.labels[key][0], test.labels[key][0]]), names)
        for key, (_, names) in train.labels.items()
        if key in test.labels
    }
    return Arrays(name, np.concatenate([train.images, test.images]), labels)


def _tenth(count, split):
    """Places of a split: every tenth image (of fewer than ten the last) is for test."""
    if split == "all":
        return list(range(count))
    test = set(range(9, count, 10)) or set(range(1, count)[-1:])
    return [i for i in range(count) if (i in test) == (split == "test")]


# What `find` returns


class Files:
    """Image files, or with `archive` the image files inside a zip.

    Attributes:
        names: paths, or for pairs tuples of two.
        domain: what is wanted of pictures with A on the left and B on the right: "A",
            "B" or "AB".
        labels: {name: (integers, names of the classes)}.
        left_out: Counter of the files that are not read, by their endings.
    """

    def __init__(
        self, name, names, archive=None, domain=None, labels=None, left_out=None
    ):
        self.name, self.names, self.archive, self.domain = name, names, archive, domain
        self.labels, self.left_out = labels or {}, left_out or collections.Counter()

    def __len__(self):
        return len(self.names)

    def open(self, index):
        name = self.names[index]
        if isinstance(name, tuple):
            with self._open(name[0]) as left, self._open(name[1]) as right:
                return _side_by_side(left, right)
        return self._open(name)

    def _open(self, name):
        if self.archive is None:
            return open_image(name)
        if self.archive.getinfo(name).file_size > MAX_FILE_BYTES:
            raise ValueError(f"it unpacks to more than {MAX_FILE_BYTES >> 20} MiB")
        return open_image(io.BytesIO(self.archive.read(name)))

    def describe(self, index):
        name = self.names[index]
        name = " with ".join(name) if isinstance(name, tuple) else name
        return name if self.archive is None else f"{name} in {self.name}"

    def subset(self, indices):
        labels = {
            n: (values[list(indices)], names)
            for n, (values, names) in self.labels.items()
        }
        names = [self.names[i] for i in indices]
        return Files(self.name, names, self.archive, self.domain, labels, self.left_out)


def _side_by_side(left, right):
    """Two images as one picture, the first on the left."""
    left, right = to_8bit(left, 3), to_8bit(right, 3)
    if left.size != right.size:
        raise ValueError(
            f"they are {left.width}x{left.height} and {right.width}x{right.height}, "
            "not equally large"
        )
    both = Image.new("RGB", (2 * left.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


class Arrays:
    """Images in memory: uint8 (count, height, width[, 1 or 3])."""

    left_out = collections.Counter()

    def __init__(self, name, images, labels=None, domain=None):
        grey = images.ndim == 4 and images.shape[3] == 1
        images = images[..., 0] if grey else images
        colour = images.ndim == 4 and images.shape[3] == 3
        if images.dtype != np.uint8 or not (images.ndim == 3 or colour):
            raise DataError(
                f"{name} holds {images.dtype} {images.shape}; uint8 images (count, "
                "height, width[, 1 or 3]) are needed"
            )
        self.labels = {}
        for key, (values, names) in (labels or {}).items():
            values = np.ravel(values)
            if len(values) != len(images) or values.dtype.kind not in "iu":
                raise DataError(
                    f"{name} has {len(values)} labels {values.dtype} for {len(images)} "
                    "images: each image needs one integer"
                )
            self.labels[key] = values, names
        self.name, self.images, self.domain = name, images, domain

    def __len__(self):
        return len(self.images)

    def open(self, index):
        return Image.fromarray(self.images[index])

    def describe(self, index):
        return f"image {index} of {self.name}"

    def subset(self, indices):
        indices = list(indices)
        labels = {
            n: (values[indices], names) for n, (values, names) in self.labels.items()
        }
        return Arrays(self.name, self.images[indices], labels, self.domain)


# Image files


@functools.cache
def formats():
    """Pillow's formats that are read; not PostScript, which it hands to a program."""
    Image.init()
    wanted = (
        "JPEG MPO PNG BMP DIB GIF WEBP AVIF TIFF PPM JPEG2000 PCX SGI DDS ICO QOI PSD"
    )
    return [name for name in wanted.split() if name in Image.OPEN]


def open_image(file):
    """A PIL image of a file in one of `formats`, whatever its ending."""
    return Image.open(file, formats=formats())


# What EXIF tag 0x0112 says, and how to turn the pixels upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def upright(image):
    """The PIL image turned as its EXIF orientation says, if that can be read.

    `ImageOps.exif_transpose` also rewrites the EXIF block, and fails on odd ones.
    """
    image.load()  # Pillow turns TIFF files itself
    try:
        turn = TURNS.get(image.getexif().get(0x0112))
    except Exception:  # a block that can't be read is no reason to refuse the pixels
        turn = None
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = image.info  # with the transparent colour and the ICC profile
    return turned


def to_8bit(image, channels):
    """A PIL image of any mode as an upright 8-bit one.

    Grey (channels 1) or RGB (channels 3). Transparent parts are laid over white.
    """
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers; convert it to 8 or 16 bits")
    image = upright(image)
    if image.mode.startswith("I"):  # 16 bits
        values = np.clip(np.asarray(image, np.float64), 0, 65535) / 257
        image = Image.fromarray(values.round().astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return image.convert("L" if channels == 1 else "RGB")
