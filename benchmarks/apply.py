"""How long `--apply` takes on large photos, and the most memory that it holds. Not on
Windows.

    python benchmarks/apply.py [--models deblur] [--megapixels 12 24]    writes
    benchmarks/apply.json

Each photo in a process of its own, by the generator that comes with the zoo, or where
there is none by one that was trained for a single step with the model's defaults: that
is as fast. SRGAN takes most of the time: what it writes has 16 times the pixels.
"""

import argparse
import json
import tempfile
from pathlib import Path

from children import TRAINED, elsewhere, make_photo, measure, one_step, write

MODELS = ("pix2pix", "deblur", "cyclegan", "dualgan", "srgan")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--models", nargs="+", choices=MODELS, default=MODELS, help="(all)")
    add(
        "--megapixels",
        nargs="+",
        type=float,
        default=[12, 24],
        metavar="N",
        help="(12 24)",
    )
    add(
        "--precision",
        choices=["float32", "mixed_bfloat16"],
        default="float32",
        help="(%(default)s)",
    )
    add(
        "--output",
        type=Path,
        default=Path(__file__).parent,
        metavar="FOLDER",
        help="for the JSON (benchmarks)",
    )
    o = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for megapixels in o.megapixels:
            with elsewhere() as pool:
                pool.submit(
                    make_photo, Path(folder) / f"{megapixels:g}.jpg", megapixels
                ).result()
        for model in o.models:
            precision = "--precision", o.precision
            if model not in TRAINED:
                one_step(model, folder, *precision)
            for megapixels in o.megapixels:
                photo = "--apply", f"{megapixels:g}.jpg", "--output", "out.png"
                row = {
                    "model": model,
                    "megapixels": megapixels,
                    "precision": o.precision,
                }
                row |= measure(["-m", f"zoo.{model}", *photo, *precision], folder)
                rows.append(row)
                print(
                    "{model} {precision}: {megapixels:g} MP: {seconds:.0f} s, {gigabytes:.2f} GB".format(
                        **row
                    )
                )
                if row["status"]:
                    print(f"    exit status {row['status']}: {row['says']}")
    path = o.output / (
        "apply.json" if o.precision == "float32" else f"apply_{o.precision}.json"
    )
    earlier = json.loads(path.read_text())["results"] if path.exists() else []
    anew = {(row["model"], row["megapixels"]) for row in rows}
    write(
        path,
        [row for row in earlier if (row["model"], row["megapixels"]) not in anew]
        + rows,
    )


if __name__ == "__main__":
    main()
