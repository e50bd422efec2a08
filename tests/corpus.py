"""Makes a folder of bad and odd inputs: python tests/corpus.py FOLDER"""

import contextlib
import io
import pickle
import struct
import sys
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 40, 3), np.uint8)


class Harm:
    """Once it is unpickled there is a file `harmed` in the current folder."""

    def __reduce__(self):
        return open, ("harmed", "w")


def encoded(image, format="PNG", **options):
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(width, height):
    """The head of a PNG file that says it has this size, and hardly any data."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data))
            + kind
            + data
            + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(100)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


def npy(shape):
    """An .npy file that says it has this shape, and hardly any data."""
    head = (
        f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(
            117
        ).encode()
        + b"\n"
    )
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + bytes(100)


def zipped(members, compression=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of names given twice
        for name, data in members:
            archive.writestr(name, data)
    return file.getvalue()


def arrays(**named):
    file = io.BytesIO()
    np.savez(file, **named)
    return file.getvalue()


def bad_pictures():
    """{file name: bytes} of what no picture can be made of."""
    whole = encoded(Image.fromarray(PICTURE))
    jpeg = encoded(Image.fromarray(PICTURE), "JPEG")
    crc = bytearray(whole)
    crc[40] ^= 255
    return {
        "empty.png": b"",
        "text.png": b"this is no picture",
        "page.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
        "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'><circle r='9'/></svg>",
        "head_alone.png": whole[:30],
        "truncated.png": whole[: len(whole) // 2],
        "truncated.jpg": jpeg[: len(jpeg) // 2],
        "crc.png": bytes(crc),
        "gigantic.png": png(60_000, 60_000),
        "long.png": png(2**31 - 1, 2**31 - 1),
        "zero.png": png(0, 0),
        "floats.tif": encoded(Image.fromarray(np.ones((40, 40), np.float32)), "TIFF"),
        "pickle.png": pickle.dumps(Harm()),
    }


def odd_pictures():
    """{file name: bytes} of what is unusual, but a picture."""
    image, grey = Image.fromarray(PICTURE), Image.fromarray(PICTURE[..., 0])
    deep = Image.fromarray(PICTURE[..., 0].astype(np.uint16) * 257)
    rgba = image.convert("RGBA")
    rgba.putalpha(grey)
    exif = Image.Exif()
    exif[0x0112] = 6
    return {
        "grey.png": encoded(grey),
        "bits.png": encoded(image.convert("1")),
        "deep.png": encoded(deep),
        "rgba.png": encoded(rgba),
        "grey_alpha.png": encoded(grey.convert("LA")),
        "palette.png": encoded(image.convert("P"), transparency=0),
        "cmyk.jpg": encoded(image.convert("CMYK"), "JPEG"),
        "turned.jpg": encoded(image, "JPEG", exif=exif.tobytes()),
        "progressive.jpg": encoded(image, "JPEG", progressive=True),
        "film.gif": encoded(
            image, "GIF", save_all=True, append_images=[grey.convert("RGB")]
        ),
        "a name with spaces, ümläuts and 日本.png": encoded(image),
        "wide.png": encoded(image.resize((300, 9))),
        "wrong_name.png": encoded(image, "JPEG"),
    }


def bad_sources():
    """{name: bytes, or a folder as {file name.

    Bytes}} of what no data set can be made of.
    """
    whole = encoded(Image.fromarray(PICTURE))
    images = np.zeros((9, 32, 32, 3), np.uint8)

    pickled = io.BytesIO()
    np.save(pickled, np.array([Harm()], object), allow_pickle=True)
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|u1", "fortran_order": False, "shape": (4000, 1000, 1000, 3)}
    )
    return {
        "nothing_in_it": {},
        "no_pictures": {"notes.txt": b"hello", "data.csv": b"1,2"},
        "all_bad": bad_pictures(),
        "icons": {f"{i}.png": encoded(Image.new("RGB", (3, 3))) for i in range(9)},
        "single": {"one.png": whole},
        "hidden": {".one.png": whole, ".two.png": whole},
        "plain.txt": b"hello",
        "picture.png": whole,
        "no_zip.zip": b"PK\x03\x04 and then nothing",
        "empty.zip": zipped([]),
        "texts.zip": zipped([("a.txt", "hello")]),
        "climbs.zip": zipped(
            [
                ("../climbed.png", b"x"),
                ("/climbed.png", b"x"),
                ("..\\climbed.png", b"x"),
            ]
        ),
        "twice.zip": zipped([("a.png", b"x"), ("a.png", b"y")]),
        "bomb.zip": zipped(
            [(f"{i}.png", bytes(300 * 2**20)) for i in range(2)], zipfile.ZIP_DEFLATED
        ),
        "in_a_zip.zip": zipped([("inner.zip", zipped([("a.png", whole)]))]),
        "no_npz.npz": b"PK\x03\x04 and then nothing",
        "text.npy": b"hello",
        "cut.npy": npy((9, 32, 32, 3))[:90],
        "short.npy": npy((9, 32, 32, 3)),
        "claims.npy": npy((10**6, 10**4, 10**4, 3)),
        "overflows.npy": npy((2**62, 2**62)),
        "negative.npy": npy((-1, 32, 32, 3)),
        "unclosed.npz": zipped([("x.npy", npy("(9, 32, 32, 3"))]),
        "unclosed.npy": npy("(9, 32, 32, 3"),
        "pickled.npy": pickled.getvalue(),
        "pickled.npz": zipped([("x.npy", pickled.getvalue())]),
        "bomb.npz": zipped(
            [("x.npy", head.getvalue() + bytes(2**28))], zipfile.ZIP_DEFLATED
        ),
        "floats.npz": arrays(x=images.astype(float)),
        "text.npz": arrays(x=np.array(["hello"])),
        "two.npz": arrays(x=images, y=images),
        "no_images.npz": arrays(x=images[:0]),
        "seven.npz": arrays(x=np.zeros((9, 32, 32, 7), np.uint8)),
        "no_array.npz": arrays(),
    }


def crafted_model():
    """A whole .keras file whose layer makes a file `harmed`, as soon as Keras builds it
    with safe_mode=False.
    """
    import keras

    harm = keras.layers.Lambda(lambda x: (open("harmed", "w").close(), x)[1])
    # Building it makes that file too.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        keras.Sequential([keras.Input((1,)), harm]).save("model.keras")
        return Path("model.keras").read_bytes()


def bad_weights():
    """{name: bytes} of what should be weights."""
    code = pickle.dumps(Harm())
    return {
        "empty.keras": b"",
        "text.weights.h5": b"hello",
        "no_zip.keras": b"PK\x03\x04 and then nothing",
        "crafted.keras": crafted_model(),
        "pickled.keras": code,
        "pickled.weights.h5": code,
        "head.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        "other.npz": zipped([("x.npy", npy((2, 2)))]),
        "climbs.keras": zipped(
            [("../climbed.h5", b"x"), ("config.json", "{}"), ("model.weights.h5", b"")]
        ),
    }


def write(folder, entries):
    """Writes {name: bytes, or again such a folder} into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in entries.items():
        if isinstance(content, dict):
            write(folder / name, content)
        else:
            (folder / name).write_bytes(content)
    return folder


if __name__ == "__main__":
    where = Path(sys.argv[1])
    for kind in (bad_pictures, odd_pictures, bad_sources, bad_weights):
        print(write(where / kind.__name__, kind()))
