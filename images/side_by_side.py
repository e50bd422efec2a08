"""Puts what several runs of pix2pix make of the same held-out pictures side by side.

    python images/side_by_side.py OUT.png RUN ...

Its columns are the input, the output of each run, and the ground truth, cut out of the
newest sample picture of each run.
"""

import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np


def columns(run):
    """The columns of a run's newest samples, uint8 (height, width, 3)."""
    picture = imageio.imread(max((run / "samples").glob("epoch_*.png")))
    step = (picture.shape[1] - 2) // 3  # a white line of 2 pixels between columns
    return [picture[:, x : x + step] for x in range(0, 3 * step, step)]


def main():
    target, *runs = sys.argv[1:]
    samples = [columns(Path(run)) for run in runs]
    (given, _, truth), outputs = samples[0], [made for _, made, _ in samples]
    imageio.imwrite(target, np.concatenate([given, *outputs, truth], axis=1))


if __name__ == "__main__":
    main()
