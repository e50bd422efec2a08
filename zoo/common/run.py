"""The run folder: checkpoints, resume, history, sample pictures.

A run is a folder from which the same command continues, even after kill -9:

    options.json      every option, and the versions that it last ran with
    index.html        the run as one page, to look at and to hand in
    history.csv       the mean of every logged number, a row per epoch
    curves.png        the same as curves
    samples/          the same inputs after every epoch, and all of them as samples.gif
    checkpoint/       networks, optimisers, position in the epoch
    checkpoint.old/   the checkpoint before that
    generator.keras   for use elsewhere: keras.models.load_model
    evaluation.json   what --evaluate printed
"""

import contextlib
import csv
import hashlib
import io
import itertools
import json
import math
import os
import platform
import re
import shutil
import signal
import sys
import time
import warnings
from pathlib import Path

import imageio.v3 as iio
import keras
import numpy as np

from . import cli, pictures
from .cli import CHECKPOINTS, fail

MINUTES = 5  # between checkpoints inside an epoch
GIF_FRAMES = 100
DIVERGED = "use --fresh with a smaller --learning-rate, or --precision float32"


FEW = 200  # steps after which a generator may still make little but noise


def load_trained(options, gan):
    """Loads the newest checkpoint of the run into `gan`; warns after a few steps.

    With --weights there is nothing to load: `cli.given_generator` has done it. A ready
    pair of generators is loaded here.
    """
    if options.ready and Path(options.weights).is_dir():
        for name in gan.networks:
            if (file := options.ready / f"{name}.keras").exists():
                getattr(gan, name).load_weights(file)
        return
    if not options.weights and _load_checkpoint(Path(options.run), gan) is None:
        fail(f"{options.run} was stopped before its first checkpoint: train it first")
    if not options.weights and gan.steps < FEW:
        cli.warn(
            f"{options.run} has had {gan.steps} training steps, so that its pictures "
            "are still noise, or nearly: train on with a larger --epochs"
        )


class Run(keras.callbacks.Callback):
    """The run folder as a Keras callback, so that a model's `train` knows nothing of
    it.

        with Run(options, gan, sample, images) as folder:
            gan.train(images, options.epochs, callbacks=folder, **folder.position)

    Args:
        options: what `cli.parse` returned.
        gan: has `save(folder)` and `load(folder)`.
        sample: a function without arguments that returns what `pictures.sheet` takes:
            images, or {caption: images}.
        images: dataset.Images that are trained on, for the lines at the start.
    """

    def __init__(self, options, gan, sample, *images):
        super().__init__()
        self.options, self.gan, self.sample, self.images = options, gan, sample, images
        self.folder = Path(options.run)
        self.epoch, self.step = 0, 0  # where training continues
        # History of whole epochs; sums over the steps of this one.
        self.rows, self.sums = [], {}
        self.signal = None

    def __enter__(self):
        shared = self.options.devices == "all"
        devices = len(keras.distribution.list_devices()) if shared else 1
        if self.options.batch_size % devices:
            fail(
                f"--devices all shares each batch among {devices}: give a --batch-size "
                "that is a multiple of that"
            )
        if self.options.fresh and self.folder.exists():
            self._move_aside()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = _lock(self.folder)
        for left in (
            *self.folder.glob("*.new"),
            *(self.folder / "samples").glob("*.new"),
        ):
            if re.search(r"\.(json|csv|png|gif|keras)\.\d+\.new$", left.name):
                left.unlink()  # a kill came in the middle of writing it
        state = _load_checkpoint(self.folder, self.gan)
        self._announce()
        self._write_options(max(self.options.epochs, state["epoch"] if state else 0))
        if state is None:
            self._write_sample()
        else:
            # So that the next save does not delete it.
            if state["place"].name != "checkpoint":
                shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
                state["place"].rename(self.folder / "checkpoint")
            self._publish()  # a kill may have come before that
            self.epoch, self.step = state["epoch"], state["step"]
            self.rows, self.sums = state["rows"], state["sums"]
            print(
                f"{self.folder}: going on after epoch {self.epoch}"
                + (f", step {self.step}" if self.step else "")
            )
            if self.epoch >= self.options.epochs:
                print(
                    f"all {self.options.epochs} epochs are done; --epochs N with a "
                    "larger N trains on"
                )
        self.saved = time.monotonic()
        self.handlers = {}
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(ValueError):  # not in the main thread
                self.handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_):
        for number, handler in self.handlers.items():
            signal.signal(number, handler)
        self.lock.close()

    def _announce(self):
        """Says what is trained on, how long, and where the results go."""
        for images in self.images:
            for line in images.describe():
                print(line)
        o = self.options
        print(f"{o.epochs} epochs of {o.steps_per_epoch} steps; the run is {o.run}")

    @property
    def position(self):
        """Where `train` begins: its arguments `initial_epoch` and `initial_step`."""
        return {"initial_epoch": self.epoch, "initial_step": self.step}

    def on_train_batch_end(self, step, logs):
        bad = [name for name, value in logs.items() if not math.isfinite(value)]
        if bad:
            fail(
                f"{', '.join(bad)} is no longer a number (epoch {self.epoch + 1}, step "
                f"{step + 1}): {DIVERGED}"
            )
        for name, value in logs.items():
            total, count = self.sums.get(name, (0.0, 0))
            self.sums[name] = (total + value, count + 1)
        self.step = step + 1
        if self.signal or time.monotonic() - self.saved > MINUTES * 60:
            self._save()
        self._stop_if_asked()

    def on_epoch_end(self, epoch, logs=None):
        means = {name: total / count for name, (total, count) in self.sums.items()}
        self.rows.append({"epoch": epoch + 1, **means})
        self.epoch, self.step, self.sums = epoch + 1, 0, {}
        # Pictures before the checkpoint: who is killed in between writes the same ones
        # again.
        self._write_history()
        self._write_sample()
        self._save()
        self._stop_if_asked()

    def on_train_end(self, logs=None):
        files = sorted(
            (self.folder / "samples").glob("epoch_*.png"),
            key=lambda file: (len(file.name), file.name),
        )
        few = np.linspace(0, len(files) - 1, min(len(files), GIF_FRAMES)).astype(int)
        frames = []
        for i in few:
            # One that a power cut has left empty.
            with contextlib.suppress(OSError, SyntaxError, ValueError):
                frames.append(iio.imread(files[i]))
        # Where photos have come to the data since, the earlier pictures show fewer.
        if frames := [frame for frame in frames if frame.shape == frames[-1].shape]:
            pictures.save_gif(self.folder / "samples" / "samples.gif", frames)
        self._write_page()
        cli.say_next(self.options)

    def _move_aside(self):
        """Renames the run folder to the first free name FOLDER.1, FOLDER.2, ..."""
        # Left without a run.
        found = {path.name for path in self.folder.iterdir()} - {".lock", "output.png"}
        if found and not found & {"options.json", "samples", *CHECKPOINTS}:
            fail(
                f"{self.folder} is not a run, and --fresh would move it aside: give "
                "another --run"
            )
        _lock(self.folder).close()  # refuses to move a run that is in use
        number = next(
            i for i in itertools.count(1) if not Path(f"{self.folder}.{i}").exists()
        )
        self.folder.rename(f"{self.folder}.{number}")
        print(f"the old run is now in {self.folder}.{number}")

    def _on_signal(self, number, _):
        if self.signal:  # asked twice
            raise KeyboardInterrupt
        self.signal = number
        print("\nstopping after this step; once more to stop at once", file=sys.stderr)

    def _stop_if_asked(self):
        if self.signal:
            self._write_page()
            print(
                f"\nstopped and saved in {self.folder}; the same command goes on from "
                "here",
                file=sys.stderr,
            )
            cli.say_next(self.options)
            raise SystemExit(128 + self.signal)

    def _save(self):
        """Writes checkpoint.new and renames it.

        Whenever it is killed, one of the names has a whole checkpoint.
        """
        if not all(
            np.isfinite(keras.ops.convert_to_numpy(weight)).all()
            for weight in self.model.weights
        ):
            fail(
                "the weights are no longer numbers (after the last step), and not "
                f"saved: {DIVERGED}"
            )
        new, current, old = (
            self.folder / f"checkpoint{suffix}" for suffix in (".new", "", ".old")
        )
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir()
            self.gan.save(new)
            state = {
                "epoch": self.epoch,
                "step": self.step,
                "rows": self.rows,
                "sums": self.sums,
            }
            state["sha256"] = {
                file.name: _sha256(file) for file in sorted(new.iterdir())
            }
            (new / "state.json").write_text(json.dumps(state))
            for file in new.iterdir():
                with open(file, "rb+") as opened:
                    os.fsync(opened.fileno())
        except (
            OSError,
            RuntimeError,
        ) as error:  # h5py reports a full disk as a RuntimeError
            shutil.rmtree(new, ignore_errors=True)
            raise OSError(
                f"the checkpoint can't be written, the one before is kept: {error}"
            ) from error
        shutil.rmtree(old, ignore_errors=True)
        if current.exists():
            current.rename(old)
        new.rename(current)
        self._publish()
        self.saved = time.monotonic()

    def _publish(self):
        """Puts the checkpoint's generators beside it, for use elsewhere."""
        for network in (self.folder / "checkpoint").glob("generator*.keras"):
            pictures.write(self.folder / network.name, network.read_bytes())

    def _write_options(self, epochs):
        options = vars(self.options) | {"epochs": epochs}
        backend = keras.backend.backend()
        versions = {
            "keras": keras.__version__,
            backend: sys.modules[backend].__version__,
            "numpy": np.__version__,
        }
        options["paths"] = cli.source_paths(self.options)
        options["versions"] = versions | {"python": platform.python_version()}
        pictures.write(
            self.folder / "options.json", json.dumps(options, indent=2).encode()
        )

    def _write_history(self):
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        pictures.write(self.folder / "history.csv", text.getvalue().encode())
        pictures.save_curves(self.folder / "curves.png", self.rows, self._title())
        self._write_page()

    def _title(self):
        return f"{self.options.model} on {Path(self.options.data).name}"

    def _write_page(self):
        command = f"{cli.command(self.options)} --epochs {self.options.epochs}"
        pictures.write_page(self.folder, self._title(), command)

    def _write_sample(self):
        (self.folder / "samples").mkdir(exist_ok=True)
        shared = keras.distribution.distribution()
        # Keras shares only what the number of devices divides.
        keras.distribution.set_distribution(None)
        sample = self.sample()
        if not isinstance(sample, np.ndarray) or sample.ndim == 4:
            sample = pictures.sheet(sample, f"epoch {self.epoch}")
        file = self.folder / "samples" / f"epoch_{self.epoch:04d}.png"
        pictures.save_picture(file, sample)
        keras.distribution.set_distribution(shared)


def _load_checkpoint(folder, gan):
    """Loads the newest whole checkpoint into `gan`.

    Its state, or None where there is none yet.
    """
    found = [folder / name for name in CHECKPOINTS if (folder / name).exists()]
    for place in found:
        try:
            state = json.loads((place / "state.json").read_text())
            for name, digest in state["sha256"].items():
                if _sha256(place / name) != digest:
                    raise ValueError(f"{name} has changed")
        except (OSError, ValueError, KeyError, TypeError) as error:
            if place.name != "checkpoint.new":  # which a kill leaves unfinished
                warnings.warn(
                    f"{place} is damaged ({error}): going back to the checkpoint "
                    "before it",
                    stacklevel=2,
                )
            continue
        try:
            gan.load(place)
        except (KeyError, ValueError):
            or_use = (
                ", or give its generator to --weights"
                if hasattr(gan, "generator")
                else ""
            )
            fail(
                f"{place} is of another version of the zoo: train again with "
                f"--fresh{or_use}"
            )
        return state | {"place": place}
    if any(place.name != "checkpoint.new" for place in found):
        fail(
            f"no checkpoint in {folder} is whole: start again with --fresh, or give "
            "another --run"
        )
    return None


def _sha256(file):
    with open(file, "rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _lock(folder):
    """A file that is locked until it is closed or the process ends, however it ends."""
    file = open(folder / ".lock", "w")  # noqa: SIM115
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        file.close()
        fail(
            f"another process is training in {folder}: wait for it, or give another "
            "--run"
        )
    except OSError:
        pass  # a network drive without locks
    return file
