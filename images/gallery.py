"""Makes the pictures of the README's table (given, made, truth), and those of what
SRGAN and the deblurrer do.

    for m in dcgan pix2pix cyclegan dualgan; do python -m zoo.$m --epochs 5; done
    python -m zoo.srgan --epochs 5 --vgg random
    python images/gallery.py [RUNS]     RUNS is the folder of these runs (runs)

The deblurrer needs no run, as its generator comes with the zoo. Everything is of
scikit-image: the cat is `chelsea` (CC0), held out from all of these trainings; the
faces are from Labeled Faces in the Wild.
"""

import importlib
import sys
import tempfile
from pathlib import Path

import imageio.v3 as imageio
import keras
import numpy as np
from PIL import Image
from skimage import color, data

HERE = Path(__file__).resolve().parent
SIDE = 128  # pixels of a tile

sys.path.insert(0, str(HERE.parent))
from zoo.common import dataset, pictures  # noqa: E402
from zoo.deblur import KINDS, blur, draw_kernel, to_uint8  # noqa: E402
from zoo.pix2pix import sketch  # noqa: E402
from zoo.srgan import SRGAN, downscale  # noqa: E402


def command(model, *options):
    importlib.import_module(f"zoo.{model}").main([str(option) for option in options])


def applied(model, image, *options):
    """What `python -m zoo.MODEL --apply` makes of a uint8 image."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder, "given.png"), Path(folder, "made.png")
        imageio.imwrite(given, image)
        command(model, "--apply", given, "--output", made, *options)
        return imageio.imread(made)


def strip(name, *images):
    """Writes images side by side, each in a square of SIDE pixels.

    Small ones keep their pixels as squares.
    """
    tiles = []
    for image in images:
        way = (
            Image.Resampling.NEAREST
            if len(image) <= SIDE // 2
            else Image.Resampling.LANCZOS
        )
        tiles.append(
            np.asarray(
                Image.fromarray(np.squeeze(image))
                .convert("RGB")
                .resize((SIDE, SIDE), way)
            )
        )
    pictures.save_picture(
        HERE / "gallery" / f"{name}.png", pictures.grid(np.stack(tiles), len(tiles))
    )
    print(f"wrote {HERE.name}/gallery/{name}.png")


def main():
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs")
    (HERE / "gallery").mkdir(exist_ok=True)
    ours = HERE.parent / "zoo/weights"
    deblurrer = "--weights", ours / "deblur/generator.keras"
    cat = np.ascontiguousarray(data.chelsea()[:288, 80:368])
    eye = np.ascontiguousarray(cat[68:196, 28:156])

    small = np.asarray(Image.fromarray(eye).resize((32, 32), Image.Resampling.BICUBIC))
    strip(
        "srgan",
        small,
        applied("srgan", small, "--weights", ours / "srgan/generator.keras"),
        eye,
    )

    gan, low = SRGAN.pretrained(), downscale(cat[None], 4)
    bicubic = np.asarray(
        Image.fromarray(low[0]).resize(cat.shape[1::-1], Image.Resampling.BICUBIC)
    )
    trained = [
        keras.models.load_model(folder / f"srgan/checkpoint/{name}.keras")
        for name in ("srresnet", "generator")
    ]
    made = [
        bicubic,
        *(gan.upscale(low, network)[0] for network in (*trained, None)),
        cat,
    ]
    rows = [
        image[y : y + 130, x : x + 180]
        for y, x in ((60, 20), (158, 90))
        for image in made
    ]
    pictures.save_picture(HERE / "srgan.png", pictures.grid(np.stack(rows), len(made)))

    blurred = blur(eye, draw_kernel("gaussian", np.random.default_rng(0)))
    strip("deblur", blurred, applied("deblur", blurred, *deblurrer), eye)

    both, random, rows = cat[60:200, 20:220], np.random.default_rng(0), []
    for kind in KINDS:
        blurred = blur(both, draw_kernel(kind, random))
        rows += [both, blurred, applied("deblur", blurred, *deblurrer)]
    pictures.save_picture(HERE / "deblur.png", pictures.grid(np.stack(rows), 3))

    grey = (255 * color.rgb2gray(cat)).astype("uint8")
    strip("pix2pix", grey, applied("pix2pix", cat, "--run", folder / "pix2pix"), cat)

    drawn = np.rint(255 * sketch(eye / 255)).astype("uint8")
    for model in ("cyclegan", "dualgan"):
        strip(model, eye, applied(model, eye, "--run", folder / model), drawn)

    faces = dataset.load("faces", 32, 1, split="test", crop="center").take(6)[..., 0]
    holes = faces.copy()
    holes[:, 8:24, 8:24] = 255
    made = applied("inpaint", faces[5], "--gan", folder / "dcgan")
    strip("inpaint", holes[5], made, faces[5])

    generator = keras.models.load_model(folder / "dcgan/generator.keras")
    noise = (
        np.random.default_rng(0)
        .uniform(-1, 1, (12, generator.input_shape[1]))
        .astype("float32")
    )
    made = to_uint8(generator.predict(noise, verbose=0))
    tiles = [
        np.vstack([np.hstack(made[i : i + 2]), np.hstack(made[i + 2 : i + 4])])
        for i in (0, 4, 8)
    ]
    strip("dcgan", *tiles)


if __name__ == "__main__":
    main()
