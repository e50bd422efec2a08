"""How long `--apply` takes on a large photo, and the most memory that it holds. Not on Windows.

    python benchmarks/apply.py [--model srgan] [--megapixels 24] [--precision mixed_bfloat16]

Uses the generator that comes with the zoo, in a process of its own, and prints one line.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

parser = argparse.ArgumentParser(description="--apply on a large photo: seconds and memory.")
parser.add_argument("--model", choices=["srgan", "deblur"], default="srgan")
parser.add_argument("--megapixels", type=float, default=24)
parser.add_argument("--precision", default="float32")
o = parser.parse_args()

with tempfile.TemporaryDirectory() as folder:
    height = round((o.megapixels * 1e6 * 2 / 3) ** 0.5)
    photo = Image.fromarray(data.astronaut()).resize((height * 3 // 2, height), Image.Resampling.BICUBIC)
    noise = np.random.default_rng(0).integers(-4, 5, (*photo.size[::-1], 3))  # so that the PNG does not compress away
    Image.fromarray(np.clip(photo + noise, 0, 255).astype(np.uint8)).save(Path(folder) / "photo.jpg", quality=92)
    command = [sys.executable, "-m", f"zoo.{o.model}", "--apply", "photo.jpg", "--output", "out.png"]
    zoo = os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    start = time.perf_counter()
    subprocess.run([*command, "--precision", o.precision], cwd=folder, env=zoo, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - start
    size = Image.open(Path(folder) / "out.png").size
    # Kilobytes on Linux, bytes on macOS.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    print(
        f"{o.model} {o.precision}: {photo.width}x{photo.height} -> {size[0]}x{size[1]}: {seconds:.0f} s, {peak:.2f} GB"
    )
