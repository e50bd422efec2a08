"""One photo file of any size through a generator and back: read, pad, tile, join,
write.

    apply("holiday.jpg", "holiday_large.png", restore, scale=4)

`restore` sees tiles of one shape, so Keras traces it once. Only one row of tiles is in
memory beside the photo itself: a .png is written while the rows are made and may be of
any size.
"""

import difflib
import math
import os
import struct
import sys
import warnings
import zlib
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from . import sources

# Extension: Pillow's name of the format, the longest side that it can store, how it is
# saved.
FORMATS = {
    ".png": ("PNG", 2**31 - 1, {}),
    ".jpg": ("JPEG", 65500, {"quality": 95}),
    ".jpeg": ("JPEG", 65500, {"quality": 95}),
    ".webp": ("WEBP", 16383, {"quality": 95}),
    ".tif": ("TIFF", 2**31 - 1, {"compression": "tiff_lzw"}),
    ".tiff": ("TIFF", 2**31 - 1, {"compression": "tiff_lzw"}),
}
# Pixels of a picture that has to be in memory before it can be saved.
MAX_WHOLE = 100_000_000
PNG_COLOURS = {"L": 0, "RGB": 2, "LA": 4, "RGBA": 6}
PNG_ROWS = 64  # compressed at once


class PhotoError(ValueError):
    """The photo can't be read or written.

    The message says why and what to do, in one line.
    """


def targets(photos, output, suffix):
    """The file to write for each photo.

    Beside it, with a suffix, or where `output` (a file, a folder or None) says.
    """
    photos = [Path(photo) for photo in photos]
    if output and len(photos) == 1 and not Path(output).is_dir():
        return [(photos[0], Path(output))]
    if output and not Path(output).is_dir():
        raise PhotoError(
            f"for {len(photos)} photos --output {output} should be a folder that exists"
        )
    written = {}
    for photo in photos:
        target = (
            Path(output) if output else photo.parent
        ) / f"{photo.stem}_{suffix}.png"
        if target in written:
            raise PhotoError(
                f"{written[target]} and {photo} would both become {target}: give them "
                "in two calls, to two folders"
            )
        written[target] = photo
    if clash := {p.resolve() for p in photos} & {
        target.resolve() for target in written
    }:
        name = min(clash).name
        raise PhotoError(
            f"{name} would be overwritten before it is read: leave it out, or give "
            "--output FOLDER"
        )
    return [(photo, target) for target, photo in written.items()]


def apply_all(photos, output, suffix, restore, **tiles):
    """`apply` for each photo. One that can't be read is named, and the others are done.

    Args:
        photos: photo files, or folders of them.
        output: where to write, see `targets`.
        suffix: of the new files' names.
        restore, tiles: see `apply`.

    Raises:
        PhotoError: at the end, where photos could not be read or written.
    """
    failed, files = [], targets(_files(photos), output, suffix)
    for source, target in files:
        try:
            apply(source, target, restore, **tiles)
        except PhotoError as error:
            if len(files) == 1:
                raise
            print(f"error: {error}", file=sys.stderr)
            failed.append(source)
        else:
            print(f"wrote {target}")
    if failed:
        raise PhotoError(f"{len(failed)} of the photos were not done, see above")


def _files(photos):
    """The photos, and for a folder the image files in it."""
    files = []
    for photo in map(Path, photos):
        if photo.is_dir():
            inside = sorted(photo.iterdir())
            found = [file for file in inside if sources.is_image(file.name, file)]
            if not found:
                raise PhotoError(f"there are no photos in the folder {photo}")
            files += found
        else:
            files.append(photo)
    return files


def missing(photos):
    """What is wrong with the names of photos, before anything is loaded; or None."""
    for photo in map(Path, photos):
        if not photo.exists():
            folder = photo.parent if photo.parent.is_dir() else Path(".")
            near = difflib.get_close_matches(photo.name, os.listdir(folder), 1)
            guess = f": did you mean {folder / near[0]}?" if near else ""
            return f"there is no photo {photo}{guess or ': check name and folder'}"
    return None


def apply(
    source, target, restore, scale=1, tile=256, halo=16, multiple=1, colour=False
):
    """Sends the photo file `source` through `restore`, tile by tile, and writes the
    file `target`.

    The photo is turned upright. Grey stays grey, alpha is enlarged by Pillow, the ICC
    profile is kept where it fits. The tiles do not show where the network's receptive
    radius is at most `halo`.

    Args:
        source: an image file in one of the formats of `sources.formats`.
        target: .png, .jpg, .jpeg, .webp, .tif or .tiff; it is replaced when the new one
            is complete. JPEG has no alpha: the photo is laid over white.
        restore: function uint8 (1, h, w, 3) -> uint8 (1, h * scale, w * scale, 3). All
            calls have the same h and w.
        scale: int, how many times larger the photo becomes.
        tile: the longest side of a tile, in pixels of the source, without the halo.
            Less is less memory.
        halo: pixels of the source that a tile sees on every side of it; the photo is
            mirrored at its edges.
        multiple: h and w, and where a tile begins, are multiples of it: the total
            stride of the network.
        colour: a grey photo comes back in colour.

    Raises:
        PhotoError: `source` is missing or damaged, or `target` can't hold the result.
        OSError: `target` can't be written.
    """
    source, target = Path(source), Path(target)
    if target.suffix.lower() not in FORMATS:
        raise PhotoError(
            f"{target} can't be written: give it one of the extensions "
            f"{', '.join(FORMATS)}"
        )
    if not target.parent.is_dir():
        raise PhotoError(
            f"{target} can't be written: there is no folder {target.parent}, create it "
            "first"
        )
    format, longest, options = FORMATS[target.suffix.lower()]

    colours, alpha, icc = read(source)
    if colour and colours.shape[2] == 1:
        colours, icc = np.repeat(colours, 3, axis=2), None
    size = colours.shape[1] * scale, colours.shape[0] * scale
    if max(size) > longest or (format != "PNG" and math.prod(size) > MAX_WHOLE):
        raise PhotoError(
            f"{size[0]}x{size[1]} pixels are too many for {target.name}: write a .png, "
            "which has no limit"
        )
    mode = ("L" if colours.shape[2] == 1 else "RGB") + ("A" if alpha else "")
    if format == "WEBP" and mode in ("L", "LA"):
        icc = None  # it is stored as RGB
    bands = _bands(colours, alpha, restore, scale, tile, halo, multiple)

    # Another process may write the same photo.
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        with open(part, "w+b") as file:
            if format == "PNG":
                _write_png(file, mode, size, icc, bands)
            else:
                picture = _whole(
                    mode.removesuffix("A") if format == "JPEG" else mode, size, bands
                )
                picture.save(file, format, icc_profile=icc, **options)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def read(source):
    """The upright photo: colours uint8 (h, w, 1 or 3).

    Alpha, a PIL image or None; the ICC profile or None.
    """
    try:
        with warnings.catch_warnings():
            # Large photos are what tiles are for.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with sources.open_image(source) as image:
                return _channels(sources.upright(image))
    except FileNotFoundError:
        raise PhotoError(
            f"there is no photo {source}: check the name and the folder"
        ) from None
    except Image.DecompressionBombError:
        limit = 2 * Image.MAX_IMAGE_PIXELS // 10**6
        raise PhotoError(
            f"{source} has more than {limit} million pixels: shrink it or cut it into "
            "parts"
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # a decoder fed with a damaged file may raise anything
        reason = " ".join(str(error).split()) or repr(error)
        raise PhotoError(
            f"{source} can't be read ({reason}): convert it to PNG or JPEG, or copy it "
            "again"
        ) from None


def _channels(image):
    icc = image.info.get("icc_profile")
    if image.mode == "F":
        raise ValueError("it holds floating-point numbers")
    if image.mode.startswith("I"):  # 16 bits
        values = np.clip(np.asarray(image), 0, 65535).astype(np.int32)
        image = Image.fromarray(((values + 128) // 257).astype(np.uint8))
    mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    if icc and icc[16:20] != (b"GRAY" if mode == "L" else b"RGB "):
        # That of a CMYK photo, for one, says nothing about the RGB made of it.
        icc = None
    alpha = image.has_transparency_data
    if image.mode != mode + "A" * alpha:
        image = image.convert(mode + "A" * alpha)
    pixels = np.asarray(image).reshape(image.height, image.width, -1)
    return pixels[..., : len(mode)], image.getchannel("A") if alpha else None, icc


def _bands(colours, alpha, restore, scale, tile, halo, multiple):
    """Yields the result from top to bottom, a row of tiles at a time: uint8 (rows,
    width, channels).

    A band is valid until the next one is asked for: they share their memory.
    """
    height, width, channels = colours.shape
    halo = math.ceil(halo / multiple) * multiple
    # As many tiles as `tile` asks for, but of even size: no tile lies mostly outside
    # the photo.
    tall, wide = (
        math.ceil(s / math.ceil(s / tile) / multiple) * multiple
        for s in (height, width)
    )
    tops, lefts = range(0, height, tall), range(0, width, wide)
    # Where the pixels of the mirrored photo come from.
    down = np.pad(np.arange(height), (halo, halo + tall), mode="symmetric")
    across = np.pad(np.arange(width), (halo, halo + wide), mode="symmetric")
    shape = (1, (tall + 2 * halo) * scale, (wide + 2 * halo) * scale, 3)
    count = len(tops) * len(lefts)
    progress = keras.utils.Progbar(count, unit_name="tile") if count > 1 else None

    buffer = np.empty(
        (min(tall, height) * scale, width * scale, channels + bool(alpha)), np.uint8
    )
    for top in tops:
        bottom = min(top + tall, height)
        band = buffer[: (bottom - top) * scale]
        for left in lefts:
            seen = np.ix_(
                down[top : top + tall + 2 * halo], across[left : left + wide + 2 * halo]
            )
            restored = restore(np.repeat(colours[seen][None], 3 // channels, axis=3))
            if restored.shape != shape or restored.dtype != np.uint8:
                raise ValueError(
                    f"restore gave {restored.dtype} {restored.shape} instead of uint8 "
                    f"{shape}"
                )
            place = band[:, left * scale : (left + wide) * scale, :channels]
            inner = restored[0, halo * scale :, halo * scale :][
                : place.shape[0], : place.shape[1]
            ]
            place[:] = (
                inner
                if channels == 3
                else np.asarray(Image.fromarray(inner).convert("L"))[..., None]
            )
            if progress:
                progress.add(1)
        if alpha:
            # Pillow looks at the rows around the box too, so there are no seams; but
            # which direction it enlarges first, if left to it, depends on the height of
            # the band, and changes the result.
            tall_alpha = alpha.resize(
                (width, len(band)), Image.Resampling.BICUBIC, (0, top, width, bottom)
            )
            band[..., -1] = tall_alpha.resize(
                (width * scale, len(band)), Image.Resampling.BICUBIC
            )
        yield band


def _whole(mode, size, bands):
    """The bands as one PIL image.

    Alpha that `mode` has no room for is laid over white.
    """
    picture, top = Image.new(mode, size, "white"), 0
    for band in bands:
        rows = Image.fromarray(band[..., 0] if band.shape[2] == 1 else band)
        picture.paste(rows, (0, top), mask=rows if band.shape[2] > len(mode) else None)
        top += rows.height
    return picture


def _write_png(file, mode, size, icc, bands):
    """Writes a PNG while its rows are made, which neither Pillow nor imageio can."""

    def chunk(name, data):
        file.write(
            struct.pack(">I", len(data))
            + name
            + data
            + struct.pack(">I", zlib.crc32(name + data))
        )

    file.write(b"\x89PNG\r\n\x1a\n")
    chunk(b"IHDR", struct.pack(">2I5B", *size, 8, PNG_COLOURS[mode], 0, 0, 0))
    if icc:
        chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(icc))
    deflate = zlib.compressobj(3)
    above = np.zeros(size[0] * len(mode), np.uint8)
    for band in bands:
        for start in range(0, len(band), PNG_ROWS):
            rows = band[start : start + PNG_ROWS].reshape(-1, above.size)
            # Every line begins with the number of its filter; 2 stores the difference
            # to the line above.
            lines = np.full((len(rows), 1 + above.size), 2, np.uint8)
            lines[:, 1:] = rows
            lines[0, 1:] -= above
            lines[1:, 1:] -= rows[:-1]
            above = rows[-1].copy()
            chunk(b"IDAT", deflate.compress(lines))
    chunk(b"IDAT", deflate.flush())
    chunk(b"IEND", b"")
