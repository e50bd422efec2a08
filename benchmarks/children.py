"""Shared by the benchmarks of whole command lines: a measured process, a large photo.

Not on Windows.
"""

import json
import multiprocessing
import os
import platform
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # so that `zoo` is found without having been installed
ENVIRONMENT = os.environ | {
    "PYTHONPATH": str(ROOT),
    "PYTHONUNBUFFERED": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
}
TRAINED = ("srgan", "deblur")  # whose generator comes with the zoo


def measure(arguments, folder):
    """Runs `python ARGUMENTS` in a folder: {"status", "seconds", "gigabytes": the most
    held, "says": last of stderr}.

    A child's peak counts from the memory of this process on, which therefore has to
    stay small.
    """
    with tempfile.TemporaryFile("w+") as stderr:
        start = time.perf_counter()
        command = [sys.executable, *map(str, arguments)]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        stderr.seek(0)
        lines = stderr.read().splitlines()
    # Kilobytes on Linux, bytes on macOS.
    gigabytes = usage.ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    says = lines[-1] if lines and process.returncode else ""
    return {
        "status": process.returncode,
        "seconds": seconds,
        "gigabytes": gigabytes,
        "says": says,
    }


def one_step(model, folder, *options):
    """Makes the run folder of a model that has been trained for one step.

    Raises RuntimeError where that fails.
    """
    result = measure(
        ["-m", f"zoo.{model}", "--epochs", 1, "--steps-per-epoch", 1, *options], folder
    )
    if result["status"]:
        raise RuntimeError(f"{model} can't be trained: {result['says']}")


def elsewhere(workers=1):
    """Processes for what needs much memory or Keras, so that this one stays small."""
    return ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))


def make_photo(path, megapixels):
    """Writes a JPEG of 3:2 with some noise, as a camera's has.

    Without it the PNG made of it would be too small.
    """
    from skimage import data

    height = round((megapixels * 1e6 * 2 / 3) ** 0.5)
    width = height * 3 // 2
    photo = np.array(
        Image.fromarray(data.astronaut()).resize(
            (width, height), Image.Resampling.BICUBIC
        )
    )
    noise = np.random.default_rng(0).integers(0, 9, (512, width, 3), np.uint8)
    for top in range(0, height, 512):
        band = photo[top : top + 512]
        band[:] = np.minimum(band, 246) + noise[: len(band)]
    Image.fromarray(photo).save(path, quality=92)


def write(path, result):
    machine = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "keras": version("keras"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"results": result, "with": machine}, indent=2) + "\n")
    print(f"wrote {path.name}")
