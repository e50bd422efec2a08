"""Kills trainings with kill -9 at random moments, and starts them again: no finished
epoch may be lost.

python tests/kills.py --kills 100      spreads them over the models that train; exit
status 1 where one was lost
"""

import argparse
import contextlib
import json
import random
import re
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

from conftest import (
    CYCLEGAN_TINY,
    DEBLUR_TINY,
    DUALGAN_TINY,
    PIX2PIX_TINY,
    ROOT,
    SRGAN_TINY,
    TINY,
    start,
)

ARGS = {
    "dcgan": TINY,
    # Stage 2 needs VGG19, which takes long to build.
    "srgan": [*SRGAN_TINY, "--pretrain-epochs", 10**6],
    "deblur": DEBLUR_TINY,
    "pix2pix": PIX2PIX_TINY,
    "cyclegan": CYCLEGAN_TINY,
    "dualgan": DUALGAN_TINY,
}
# PyTorch starts fastest, where Keras does not look for TensorFlow.
ENV = {"KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
PROGRAM = "import runpy, sys; sys.modules['tensorflow'] = None; runpy.run_module(sys.argv.pop(1), run_name='__main__')"


def finished(run):
    """The number of epochs of which there is a whole checkpoint, under whatever name.

    Its last file is complete.
    """
    epochs = [0]
    for place in ("checkpoint.new", "checkpoint", "checkpoint.old"):
        with contextlib.suppress(FileNotFoundError, ValueError):
            epochs.append(json.loads((run / place / "state.json").read_text())["epoch"])
    return max(epochs)


def wait_for_epoch(run, epoch, process):
    end = time.monotonic() + 120
    while finished(run) < epoch:
        if time.monotonic() > end or process.poll() is not None:
            process.kill()
            raise AssertionError(process.communicate()[1][-2000:])
        time.sleep(0.01)


def training(model, run):
    """With one step in an epoch most of the time goes into pictures and checkpoints."""
    args = [
        "-c",
        PROGRAM,
        f"zoo.{model}",
        "--epochs",
        10**6,
        *ARGS[model],
        "--steps-per-epoch",
        1,
        "--run",
        run,
    ]
    return start(args, run.parent, ENV)


def rows(run):
    """The history in the checkpoint that a command would go on from."""
    from zoo.common import run as runs  # slow

    return runs._load_checkpoint(run, SimpleNamespace(load=lambda place: None))["rows"]


def kill(model, kills, folder, seed=0):
    """Kills a model's training `kills` times, mostly after an epoch or more, now and
    then while it starts.

    Returns {"in a save": kills in the middle of one, "epochs": finished in all, "lost":
    epochs that were begun again}.
    """
    chance, run = random.Random(seed), folder / model
    saves = lost = done = 0
    for i in range(kills):
        process = training(model, run)
        if i % 5 == 4:
            time.sleep(chance.uniform(0, 10))
        else:
            wait_for_epoch(run, done + 1, process)
            time.sleep(chance.uniform(0, 0.7))
        process.kill()
        out, err = process.communicate()
        resumed = re.search(r"going on after epoch (\d+)", out)
        # Else it was killed before it came to its checkpoint.
        if resumed or finished(run) > done:
            lost += max(0, done - int(resumed[1] if resumed else 0))
        assert "Traceback" not in err and "error" not in err, err
        saves += (run / "checkpoint.new").exists() or not (run / "checkpoint").exists()
        done = max(done, finished(run))
    epochs = [row["epoch"] for row in rows(run)]
    return {
        "in a save": saves,
        "epochs": done,
        "lost": lost + len(set(range(1, done + 1)) - set(epochs)),
    }


def undisturbed(model, run):
    """Whether a run that nobody kills has the same losses, to the bit."""
    straight = run.with_name(f"{model}-straight")
    process = training(model, straight)
    wait_for_epoch(straight, finished(run), process)
    process.kill()
    process.communicate()
    return rows(straight)[: finished(run)] == rows(run)


def main():
    sys.path.append(str(ROOT))
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="in all (%(default)s)")
    total, models = parser.parse_args().kills, list(ARGS)
    print(
        f"{'':10}{'kills':>8}{'in a save':>12}{'epochs':>8}{'lost':>6}{'as undisturbed':>16}"
    )
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for i, model in enumerate(models):
            kills = total // len(models) + (i < total % len(models))
            found = kill(model, kills, Path(folder))
            same = undisturbed(model, Path(folder) / model)
            failed |= bool(found["lost"]) or not same
            row = f"{model:10}{kills:8}{found['in a save']:12}{found['epochs']:8}{found['lost']:6}"
            print(f"{row}{'yes' if same else 'no':>16}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()
