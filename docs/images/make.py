"""Makes the pictures of README and docs from the ready generators.

    python docs/images/make.py [NAME ...]       all of them, or those named

They show held-out images of the built-in sets, the first ones in the order of the
files: nobody chose them.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from zoo import cyclegan, dcgan, deblur, dualgan, inpaint, pix2pix, srgan  # noqa: E402
from zoo.common import dataset, domains  # noqa: E402

LEFT, GAP, FONT = 170, 6, ImageFont.load_default(18)


def rows(named, side):
    """{caption: uint8 images} as one picture: a row for each caption, tiles of `side`.

    Small images are enlarged by whole factors, so that their pixels stay squares.
    """
    count = min(map(len, named.values()))
    size = LEFT + count * (side + GAP), len(named) * (side + GAP)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    for i, (caption, images) in enumerate(named.items()):
        top = i * (side + GAP)
        draw.multiline_text(
            (0, top + side // 2), caption, "black", FONT, anchor="lm", spacing=2
        )
        for j, image in enumerate(images[:count]):
            picture.paste(tile(image, side), (LEFT + j * (side + GAP), top))
    return picture


def tile(image, side):
    image = Image.fromarray(np.repeat(image, 3, 2) if image.shape[2] == 1 else image)
    nearest = side % max(image.size) == 0
    way = Image.Resampling.NEAREST if nearest else Image.Resampling.LANCZOS
    return image.resize((side, side), way)


def held_out(name, size, n, **options):
    return dataset.load(name, size, 3, split="test", **options).take(n)


def completed():
    people = held_out("avatars", 32, 8)
    masks = inpaint.make_masks("center", len(people), 32)
    model = inpaint.Inpainter.pretrained()
    return {
        "with a hole": np.where(masks[..., None], 255, people).astype("uint8"),
        "completed": model.complete(people, masks),
        "ground truth": people,
    }


def drawn(n=8):
    gan = pix2pix.Pix2Pix.pretrained("drawing")
    pairs = held_out("drawings", gan.size, n, domain="AB")
    given, truth = pix2pix.as_pictures(gan, pairs)
    return {"outline": given, "coloured": gan.translate(given), "ground truth": truth}


def colourized(n=4):
    gan = pix2pix.Pix2Pix.pretrained("colorize")
    photos = held_out("photos", 256, n)
    grey, truth = pix2pix.as_pictures(gan, photos)
    return {"grey": grey, "colourized": gan.translate(grey), "ground truth": truth}


def sharpened(n=4):
    photos = held_out("photos", 256, n)
    random = np.random.default_rng(0)
    kinds = [deblur.KINDS[i % len(deblur.KINDS)] for i in range(len(photos))]
    blurred = [
        deblur.compress(deblur.blur(x, deblur.draw_kernel(kind, random)), 90)
        for x, kind in zip(photos, kinds, strict=True)
    ]
    restored = deblur.Deblurrer.pretrained().restore(np.stack(blurred))
    return {"blurred": np.stack(blurred), "sharpened": restored, "ground truth": photos}


def larger(n=4):
    photos = held_out("photos", 256, n)
    low = srgan.downscale(photos, 4)
    way = Image.Resampling.BICUBIC
    bicubic = [np.asarray(Image.fromarray(x).resize((256, 256), way)) for x in low]
    made = srgan.SRGAN.pretrained().upscale(low)
    return {"bicubic": np.stack(bicubic), "enlarged 4x": made, "ground truth": photos}


def glasses(cls):
    gan = cls.pretrained()
    a, b, _ = domains.take("glasses", 8, 32)
    on, off = gan.translate(a, "AtoB"), gan.translate(b, "BtoA")
    back = gan.translate(on, "BtoA")
    return {"A": a, "A to B": on, "and back": back, "B": b, "B to A": off}


def front():
    """Before and after of four models, in one wide picture."""
    parts = {
        "Pix2Pix colours an outline": (drawn(2), "outline", "coloured"),
        "DCGAN fills a hole": (completed(), "with a hole", "completed"),
        "CycleGAN puts glasses on": (glasses(cyclegan.CycleGAN), "A", "A to B"),
        "The deblurrer sharpens": (sharpened(2), "blurred", "sharpened"),
    }
    side, font = 128, ImageFont.load_default(16)
    picture = Image.new("RGB", (1160, 2 * (side + GAP) + 26), "white")
    draw = ImageDraw.Draw(picture)
    for i, (title, (named, before, after)) in enumerate(parts.items()):
        left = i * 296
        draw.text((left, 0), title, "black", font)
        for j in range(2):
            for k, name in enumerate((before, after)):
                place = left + k * (side + GAP), 26 + j * (side + GAP)
                picture.paste(tile(named[name][j], side), place)
    return picture


PICTURES = {
    "dcgan": lambda: rows({"generated": dcgan.DCGAN.pretrained().generate(8)}, 96),
    "inpaint": lambda: rows(completed(), 96),
    "pix2pix-drawing": lambda: rows(drawn(), 96),
    "pix2pix": lambda: rows(colourized(), 192),
    "srgan": lambda: rows(larger(), 256),
    "deblur": lambda: rows(sharpened(), 256),
    "cyclegan": lambda: rows(glasses(cyclegan.CycleGAN), 96),
    "dualgan": lambda: rows(glasses(dualgan.DualGAN), 96),
    "front": front,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        picture = PICTURES[name]()
        # 256 colours are enough for drawings, and a third of the size.
        art = name in ("dcgan", "inpaint", "pix2pix-drawing", "cyclegan", "dualgan")
        picture = picture.quantize(256) if art else picture
        picture.save(HERE / f"{name}.png", optimize=True)
        print(f"docs/images/{name}.png", picture.size)
