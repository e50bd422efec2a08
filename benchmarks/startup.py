"""Seconds until something happens: `--help`, an error, the first training step.

    python benchmarks/startup.py [--rounds 3]

It writes benchmarks/startup.json, and does not run on Windows. The seconds count from
the start of a process; they are medians over the rounds, in which all commands take
turns.
- python -m zoo, and `python -m zoo copy` without a model: neither needs Keras.
- import keras: every other command waits for it.
- --help of each model, and an option with a wrong value.
- first step: the command without options, to the moment its progress bar shows the
  first step. SRGAN has `--vgg random`, so that no download is timed. The Inpainter
  trains nothing and is left out.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from children import ENVIRONMENT, measure, write

MODELS = ("dcgan", "srgan", "deblur", "inpaint", "pix2pix", "cyclegan", "dualgan")
COMMANDS = {
    "python -m zoo": ["-m", "zoo"],
    "python -m zoo copy": ["-m", "zoo", "copy"],
    "import keras": ["-c", "import keras"],
    **{f"{model} --help": ["-m", f"zoo.{model}", "--help"] for model in MODELS},
    "dcgan --epochs none": ["-m", "zoo.dcgan", "--epochs", "none"],
}
REFUSED = ("python -m zoo copy", "dcgan --epochs none")


def first_step(model):
    """Seconds until the progress bar of a model's training shows `1/200`, or however
    many steps an epoch has.
    """
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        command = [
            sys.executable,
            "-m",
            f"zoo.{model}",
            *(["--vgg", "random"] if model == "srgan" else []),
        ]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, **pipes) as process:
            for line in process.stdout:
                if re.search(r"\b1/\d\d", line):
                    seconds = time.perf_counter() - start
                    process.kill()
                    return seconds
    raise RuntimeError(f"{model} ended before its first step: {line}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add(
        "--rounds",
        type=int,
        default=3,
        metavar="N",
        help="turns of each command (%(default)s)",
    )
    add(
        "--output",
        type=Path,
        default=Path(__file__).parent,
        metavar="FOLDER",
        help="for the JSON (benchmarks)",
    )
    o = parser.parse_args()
    o.output.mkdir(parents=True, exist_ok=True)
    times = {}
    for _ in range(o.rounds):
        for name, arguments in COMMANDS.items():
            result = measure(arguments, o.output)
            # What crashes on its way would seem fast.
            if result["status"] != (2 if name in REFUSED else 0):
                raise RuntimeError(
                    f"{name} ended with {result['status']}: {result['says']}"
                )
            times.setdefault(name, []).append(result["seconds"])
        for model in MODELS:
            if model != "inpaint":
                times.setdefault(f"{model}, first step", []).append(first_step(model))
    result = {}
    for name, seconds in times.items():
        result[name] = {
            "seconds": statistics.median(seconds),
            "least": min(seconds),
            "most": max(seconds),
        }
        print(
            "{:>22}: {seconds:5.2f} s ({least:.2f} to {most:.2f})".format(
                name, **result[name]
            )
        )
    write(o.output / "startup.json", result)


if __name__ == "__main__":
    main()
