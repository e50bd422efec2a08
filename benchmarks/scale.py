"""200,000 JPEGs in a folder, and a photo of 300 megapixels. Not on Windows.

    python benchmarks/scale.py [--count 200000] [--megapixels 300]

It writes benchmarks/scale.json. The JPEGs, 64 x 64 pixels and all of them different,
are made in a temporary folder and deleted afterwards (0.8 GB). A process of its own
loads them all once, then trains a tiny DCGAN on them, whose steps take next to nothing.
Printed are the seconds from the start of that process to its first step, images a
second, and the memory it holds as it goes on.

The photo goes through `--apply` of each model that has it. It should be refused in one
line (exit status 2), or done within bounded memory.
"""

import argparse
import contextlib
import io
import tempfile
import time
from pathlib import Path

import numpy as np
from children import TRAINED, elsewhere, make_photo, measure, one_step, write
from PIL import Image

MODELS = ("srgan", "deblur", "inpaint", "pix2pix", "cyclegan", "dualgan")
BATCH = 128


def make_pictures(folder, seed, count):
    """Writes `count` small JPEGs, each of other random colours, into a folder of their
    own.
    """
    folder = folder / f"{seed:04d}"
    folder.mkdir()
    random = np.random.default_rng(seed)
    for i in range(count):
        picture = Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).resize(
            (64, 64)
        )
        picture.save(folder / f"{i:04d}.jpg", quality=85)


def train(folder, epochs, every):
    """Loads and trains; what that took.

    `every` is the number of steps from one look at the memory to the next.
    """
    import keras
    import psutil

    from zoo.common import dataset
    from zoo.dcgan import DCGAN, build_discriminator, build_generator

    process = psutil.Process()

    def age():
        return time.time() - process.create_time()

    def mebibytes():
        return process.memory_info().rss >> 20

    result = {"seconds_to_imported": age()}
    images = dataset.load(folder, 32, batch_size=BATCH)
    result |= {"images": images.count, "seconds_to_listed": age()}
    result["mebibytes"] = memory = {"start": mebibytes()}
    generator = build_generator(images.shape, latent_dim=8, filters=2)
    gan = DCGAN(generator, build_discriminator(images.shape, filters=2))

    def note(step, logs):
        result.setdefault("seconds_to_first_step", age())
        if step % every == 0:
            memory[f"epoch {images.epoch + 1}, step {step}"] = mebibytes()

    begun = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bar
        gan.train(
            images,
            epochs,
            callbacks=[keras.callbacks.LambdaCallback(on_train_batch_end=note)],
        )
    result["images_per_second_trained"] = (
        epochs * len(images) * BATCH / (time.perf_counter() - begun)
    )
    memory["end"] = mebibytes()

    # Another one, which has cached nothing yet.
    again = dataset.load(folder, 32, batch_size=BATCH)
    begun = time.perf_counter()
    for i in range(len(again)):
        again[i]
    result["images_per_second_loaded"] = (
        len(again) * BATCH / (time.perf_counter() - begun)
    )
    return result


def many_pictures(count, epochs):
    with tempfile.TemporaryDirectory() as folder:
        begun, folders = time.perf_counter(), -(-count // 1000)
        with elsewhere(2) as pool:
            list(
                pool.map(
                    make_pictures,
                    [Path(folder)] * folders,
                    range(folders),
                    [count // folders] * folders,
                )
            )
        print(f"{count} JPEGs made in {time.perf_counter() - begun:.0f} s")
        with elsewhere() as pool:
            result = pool.submit(
                train, folder, epochs, max(1, count // BATCH // 5)
            ).result()
    print(
        "first step after {seconds_to_first_step:.1f} s (Keras imported after "
        "{seconds_to_imported:.1f}, files listed "
        "after {seconds_to_listed:.1f})\n{images_per_second_loaded:.0f} images/s "
        "loaded, "
        "{images_per_second_trained:.0f} with the steps of a tiny DCGAN".format(
            **result
        )
    )
    for moment, mebibytes in result["mebibytes"].items():
        print(f"    {moment}: {mebibytes} MiB")
    return result


def large_photo(megapixels):
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        with elsewhere() as pool:
            pool.submit(make_photo, Path(folder) / "photo.jpg", megapixels).result()
        for model in MODELS:
            if model not in TRAINED:
                one_step("dcgan" if model == "inpaint" else model, folder)
            arguments = [
                "-m",
                f"zoo.{model}",
                "--apply",
                "photo.jpg",
                "--output",
                "out.png",
            ]
            result[model] = measure(arguments, folder)
            line = "{:>10}: exit status {status}, {seconds:.0f} s, {gigabytes:.2f} GB  {says}"
            print(line.format(model, **result[model]))
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add(
        "--count",
        type=int,
        default=200_000,
        metavar="N",
        help="of the JPEGs (%(default)s)",
    )
    add("--epochs", type=int, default=2, metavar="N", help="over them (%(default)s)")
    add(
        "--megapixels",
        type=float,
        default=300,
        metavar="N",
        help="of the photo (%(default)s)",
    )
    add(
        "--output",
        type=Path,
        default=Path(__file__).parent,
        metavar="FOLDER",
        help="for the JSON (benchmarks)",
    )
    o = parser.parse_args()
    result = {"count": o.count, "pictures": many_pictures(o.count, o.epochs)}
    print(f"a photo of {o.megapixels:g} megapixels:")
    result |= {"megapixels": o.megapixels, "photo": large_photo(o.megapixels)}
    write(o.output / "scale.json", result)


if __name__ == "__main__":
    main()
