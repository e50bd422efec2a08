"""What every model's command line shares: the common options, the run folder, resume, pictures, errors.

A run is a folder from which the same command continues, even after kill -9:

    options.json      every option, and the versions it last ran with
    history.csv       the mean of every logged number, a row per epoch
    curves.png        the same as curves
    samples/          the same inputs after every epoch, and all of them as samples.gif
    checkpoint/       networks, optimisers, position in the epoch; checkpoint.old/ is the one before
    generator.keras   for use elsewhere: keras.models.load_model
    evaluation.json   what --evaluate printed
"""

import argparse
import contextlib
import csv
import errno
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
import zipfile
from pathlib import Path

import imageio.v3 as iio
import keras
import numpy as np
from matplotlib.figure import Figure
from skimage.util import montage

try:
    from . import sources
except ImportError:  # copied out of the zoo, with that file beside this one
    import sources

MINUTES = 5  # between checkpoints inside an epoch
GIF_FRAMES = 100
# The exceptions of NumPy, TensorFlow, JAX and PyTorch, or what they say in those that Keras wraps them in.
NO_MEMORY = "MemoryError|Resource_?Exhausted|OOM when|out of memory|(can't|unable to|failed to) allocate"
CHECKPOINTS = ("checkpoint.new", "checkpoint", "checkpoint.old")  # the newest first
DIVERGED = "use --fresh with a smaller --learning-rate, or --precision float32"
NAMES = (None, *sources.NAMES, "sketches")  # of sources that are not paths


def fail(message):
    """Ends the program with one line on stderr and exit status 2."""
    print("error:", " ".join(str(message).split()), file=sys.stderr)
    raise SystemExit(2)


@contextlib.contextmanager
def errors(*kinds, knobs="--batch-size, --size or --filters"):
    """Turns errors that users can fix (`kinds`, files, memory) into one line and exit status 2; bugs keep their trace.

    `knobs` are the options that the use of memory depends on.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        full = re.search(NO_MEMORY, f"{type(error).__name__}: {error}", re.IGNORECASE)
        if full and not isinstance(error, sources.DataError):  # JAX raises a ValueError
            fail(f"out of memory: use a smaller {knobs}")
        if isinstance(error, OSError) and (error.errno == errno.ENOSPC or "No space left" in str(error)):
            fail(f"{error}; free some space and run the same command again, it goes on from the last checkpoint")
        if isinstance(error, (*kinds, OSError)):
            fail(error)
        raise


def number(kind, least, most=math.inf):
    """An argparse type: a finite number of a kind (int or float) from `least` to `most`."""

    def convert(text):
        value = kind(text)
        if not least <= value <= most or value == math.inf:
            limits = f"at least {least}" if most == math.inf else f"from {least} to {most}"
            raise argparse.ArgumentTypeError(f"{text} should be {limits}")
        return value

    convert.__name__ = kind.__name__  # argparse names it where the text is no number at all
    return convert


positive = number(int, 1, 2**31 - 1)


def parser(name, doc, data, size, batch_size, learning_rate, steps):
    """The options that all models share, with a model's own defaults.

    `doc` is the model's docstring, `steps` is the least number of steps in an epoch.
    """
    command = f"python -m zoo.{name}" if __package__ else f"python {name}.py"
    result = argparse.ArgumentParser(prog=command, description=(doc or "").split("\n\n")[0])
    add = result.add_argument
    add("--epochs", type=positive, default=5, metavar="N", help="in all, those of earlier calls included (%(default)s)")
    add("--data", default=data, metavar="SOURCE", help="data set's name, folder, zip, .npy or .npz (%(default)s)")
    batch_help = batch_size or "128, or 32 for fewer than 1000 images"
    add("--batch-size", type=positive, default=batch_size, metavar="N", help=f"images in a batch ({batch_help})")
    add("--size", type=positive, default=size, metavar="N", help="side of the images in pixels (%(default)s)")
    steps_help = f"training steps in an epoch (once over the images, but at least {steps})"
    add("--steps-per-epoch", type=positive, metavar="N", help=steps_help)
    rate, whole = number(float, 1e-12), number(int, 0, 2**32 - 1)  # seeds of NumPy and Keras have 32 bits
    add("--learning-rate", type=rate, default=learning_rate, metavar="X", help="of the optimisers (%(default)s)")
    add("--seed", type=whole, default=0, metavar="N", help="fixes weights, noise and order of images (%(default)s)")
    precisions = ["float32", "mixed_bfloat16", "mixed_float16"]
    add("--precision", choices=precisions, default="float32", help="of the networks' inner layers (%(default)s)")
    add("--run", default=f"runs/{name}", metavar="FOLDER", help="folder of the run; resumed if it exists (%(default)s)")
    add("--fresh", action="store_true", help="start again; the old run folder is moved aside")
    add("--devices", choices=["one", "all"], default="one", help="all: split each batch, on JAX (%(default)s)")
    evaluate = {"nargs": "?", "const": True, "metavar": "SOURCE"}
    add("--evaluate", **evaluate, help="measure the trained run on held-out images, or those of SOURCE, and end")
    weights = "start from, or use, this generator (.keras or .weights.h5); not for models with two"
    add("--weights", metavar="FILE", help=weights)
    add("--output", metavar="FILE", help="where a picture is written")
    return result


def parse(parser, argv, actions, free=(), later=()):
    """The options; those not given come from the run folder, if there is one. Sets seed, precision and devices.

    A given option that contradicts the run folder is an error, if there is a checkpoint in it. `actions` are the names
    of the options that use a trained run instead of training one; then `--seed` is free, and `--weights`, or the
    generator that comes with the zoo, can stand in for the run. Where one is trained, `--weights` is what it begins
    with. Those in `free` always are free, those in `later` as long as they are None in the run.
    """
    if sys.stdout is None:  # closed by the caller; the progress bar of Keras needs one
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name may hold what the terminal can't show
        sys.stdout.reconfigure(errors="replace")
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    options = parser.parse_args(argv)
    refuse_empty(options)
    for name in ("data", "data_b", "evaluate"):  # the shell's completion ends a folder's name with a slash
        if isinstance(path := getattr(options, name, None), str):
            setattr(options, name, path.rstrip("/" + os.sep) or path)
    unset = object()
    given = vars(parser.parse_args(argv, argparse.Namespace(**dict.fromkeys(vars(options), unset))))
    given = {name for name, value in given.items() if value is not unset}
    options.model = Path(parser.get_default("run")).name
    acting = [f"--{name}" for name in actions if getattr(options, name)]
    if options.output and acting in ([], ["--evaluate"]):
        fail(f"--output is where a picture is written: give it with --{actions[0]}")
    if len(acting) > 1:
        fail(f"{' and '.join(acting)} do different things: give one of them")
    if acting and options.fresh:
        fail(f"--fresh starts a training, and {acting[0]} uses a trained run: leave one of them out")
    saved = {} if options.fresh or (acting and options.weights) else saved_options(Path(options.run))
    _check_folder(options, saved)
    if acting and not (saved or options.weights):
        ours = Path(__file__).parent / "weights" / f"{options.model}.keras"
        if "run" in given or not ours.exists():
            needs = f"{acting[0]} needs a trained run, and {options.run} is not one"
            fail(f"{needs}: train it first ({parser.prog} --epochs 5)")
        options.weights = str(ours)
        print(f"{options.run} is not a trained run: the generator that comes with the zoo is used ({ours.name})")
    free = {"run", "fresh", "epochs", "devices", "output", *actions, *free, *(["seed", "weights"] if acting else [])}
    _merge(options, given, saved, free, later, acting)
    shared = options.devices == "all" and not acting
    if shared and keras.backend.backend() != "jax":
        fail("--devices all needs the JAX backend: set the environment variable KERAS_BACKEND=jax")
    keras.distribution.set_distribution(keras.distribution.DataParallel() if shared else None)
    prepare_keras(options.seed)
    keras.config.set_dtype_policy(options.precision)
    return options


def _check_folder(options, saved):
    """Refuses a run folder that is something else: another model's, a checkpoint, or a folder of images."""
    if saved.get("model", options.model) != options.model:
        fail(f"{options.run} is a run of {saved['model']}: give another --run")
    if os.path.exists(Path(options.run) / "state.json"):
        fail(f"{options.run} is the checkpoint of a run: give the folder that it is in")
    for path in source_paths(options).values():
        if os.path.realpath(options.run) == path:
            fail(f"--run {options.run} is a folder of images too, and would be trained on: give another")
        if options.fresh and Path(path).is_relative_to(os.path.realpath(options.run)):
            fail(f"--fresh would move the images aside, which lie in {options.run}: give another --run")


def _merge(options, given, saved, free, later, acting):
    """Sets the options that this call leaves out to what the run's are; refuses given ones that contradict them."""
    for name, path in saved.get("paths", {}).items():
        mine = getattr(options, name)
        same = name in given and (os.path.realpath(mine) == path or not os.path.exists(path))  # or moved
        saved[name] = mine if same else trained_on(saved, name)
    saved = {n: v for n, v in saved.items() if n not in free and hasattr(options, n) and getattr(options, n) != v}
    saved = {n: v for n, v in saved.items() if not (n in later and n in given and v is None)}
    clash = [f"--{n.replace('_', '-')} {v} (not {getattr(options, n)})" for n, v in saved.items() if n in given]
    if not clash:
        vars(options).update(saved)
    elif acting or any((Path(options.run) / name).exists() for name in CHECKPOINTS):
        anew = "" if acting else ", or --fresh to start again"
        fail(f"{options.run} was made with {', '.join(clash)}: give the same, another --run{anew}")
    else:  # some of what is saved there followed from the rest: all of it is forgotten
        print(f"{options.run} has no checkpoint yet: it starts again, with the options of this call alone")


def prepare_keras(seed):
    """Sets the seed and the order of the axes; refuses a Keras that can't train, or would make other images."""
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax", "torch"):
        fail(f"Keras' backend {backend} can't train: set the environment variable KERAS_BACKEND=tensorflow")
    if backend == "torch" and tuple(map(int, keras.__version__.split(".")[:2])) < (3, 15):
        fail(f"Keras {keras.__version__} shifts images on PyTorch: `pip install --upgrade keras` (3.15 or later)")
    keras.config.set_image_data_format("channels_last")  # whatever ~/.keras/keras.json says
    keras.config.set_floatx("float32")
    keras.utils.set_random_seed(seed)


def refuse_empty(options):
    """Refuses empty options, which unset variables of the shell leave: the default would not be what was meant."""
    for name, value in vars(options).items():
        if value == "":
            fail(f"--{name.replace('_', '-')} is empty")


def saved_options(folder):
    """What options.json in a run folder says; nothing where there is none."""
    try:
        found = json.loads((folder / "options.json").read_text(encoding="utf-8-sig"))
        if not isinstance(found, dict):
            raise ValueError("there are no options in it")
        return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        fail(f"{folder / 'options.json'} can't be read ({error}): start again with --fresh, or give another run folder")


def source_paths(options):
    """The sources of images that are paths, not names of data sets: {name of the option: absolute path}."""
    given = {name: getattr(options, name, None) for name in ("data", "data_b")}
    return {name: os.path.realpath(path) for name, path in given.items() if path not in NAMES and os.path.exists(path)}


def trained_on(saved, name="data"):
    """The source that a run's `saved` options name; its absolute path where the name now leads elsewhere."""
    source, path = saved.get(name), saved.get("paths", {}).get(name)
    return path if path and os.path.exists(path) and os.path.realpath(source) != path else source


def load_trained(options, gan):
    """Loads the newest checkpoint of the run into `gan`, or the generator that `--weights` names."""
    if options.weights:
        _load_generator(options.weights, gan)
    elif _load_checkpoint(Path(options.run), gan) is None:
        fail(f"{options.run} was stopped before its first checkpoint: train it first")


def _load_generator(file, gan):
    if not hasattr(gan, "generator"):
        fail("--weights is for models with one generator; this one has two: give --run with its folder")
    try:
        if zipfile.is_zipfile(file):  # .keras: without skips the layers are others, the weights' shapes may be the same
            with zipfile.ZipFile(file) as archive, archive.open("config.json") as config:
                both = json.loads(config.read(10**7))["config"], gan.generator.get_config()
            theirs, ours = (sorted(layer["class_name"] for layer in network["layers"]) for network in both)
            if theirs != ours:
                raise ValueError("it has other layers")
        with warnings.catch_warnings(action="ignore"):  # the error says it
            gan.generator.load_weights(file)
    except OSError as error:
        fail(f"{file} can't be read ({error})")
    except Exception as error:  # whatever Keras and h5py raise
        advice = "give the options that it was trained with, such as --filters"
        reason = str(error).split(" Target variable:")[0]  # Keras goes on with thousands of numbers
        fail(f"{file} can't be loaded into this generator ({reason}): {advice}")


class Run(keras.callbacks.Callback):
    """The run folder as a Keras callback, so that a model's `train` knows nothing of it.

        with Run(options, gan, sample) as run:
            gan.train(images, options.epochs, callbacks=[run], **run.position)

    Args:
        options: what `parse` returned.
        gan: has `save(folder)` and `load(folder)`.
        sample: a function without arguments that returns a picture, uint8 (height, width[, 3]).
    """

    def __init__(self, options, gan, sample):
        super().__init__()
        self.options, self.gan, self.sample = options, gan, sample
        self.folder = Path(options.run)
        self.epoch, self.step = 0, 0  # where training continues
        self.rows, self.sums = [], {}  # history of whole epochs; sums over the steps of this one
        self.signal = None

    def __enter__(self):
        devices = len(keras.distribution.list_devices()) if self.options.devices == "all" else 1
        if self.options.batch_size % devices:
            fail(f"--devices all shares each batch among {devices}: give a --batch-size that is a multiple of that")
        if self.options.fresh and self.options.weights:  # now, as they may lie in the run that is moved aside
            _load_generator(self.options.weights, self.gan)
        if self.options.fresh and self.folder.exists():
            self._move_aside()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.lock = _lock(self.folder)
        for left in (*self.folder.glob("*.new"), *(self.folder / "samples").glob("*.new")):
            if re.search(r"\.(json|csv|png|gif|keras)\.\d+\.new$", left.name):
                left.unlink()  # a kill came in the middle of writing it
        state = _load_checkpoint(self.folder, self.gan)
        if state is None and self.options.weights and not self.options.fresh:
            _load_generator(self.options.weights, self.gan)
        self._write_options(max(self.options.epochs, state["epoch"] if state else 0))
        if state is None:
            self._write_sample()
        else:
            if state["place"].name != "checkpoint":  # so that the next save does not delete it
                shutil.rmtree(self.folder / "checkpoint", ignore_errors=True)
                state["place"].rename(self.folder / "checkpoint")
            self._publish()  # a kill may have come before that
            self.epoch, self.step = state["epoch"], state["step"]
            self.rows, self.sums = state["rows"], state["sums"]
            print(f"{self.folder}: going on after epoch {self.epoch}" + (f", step {self.step}" if self.step else ""))
            if self.epoch >= self.options.epochs:
                print(f"all {self.options.epochs} epochs are done; --epochs N with a larger N trains on")
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

    @property
    def position(self):
        """Where `train` begins: its arguments `initial_epoch` and `initial_step`."""
        return {"initial_epoch": self.epoch, "initial_step": self.step}

    def on_train_batch_end(self, step, logs):
        bad = [name for name, value in logs.items() if not math.isfinite(value)]
        if bad:
            fail(f"{', '.join(bad)} is no longer a number (epoch {self.epoch + 1}, step {step + 1}): {DIVERGED}")
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
        # Pictures before the checkpoint: who is killed in between writes the same ones again.
        self._write_history()
        self._write_sample()
        self._save()
        self._stop_if_asked()

    def on_train_end(self, logs=None):
        files = sorted((self.folder / "samples").glob("epoch_*.png"), key=lambda file: (len(file.name), file.name))
        files = [files[i] for i in np.linspace(0, len(files) - 1, min(len(files), GIF_FRAMES)).astype(int)]
        frames = []
        for file in files:
            with contextlib.suppress(OSError, SyntaxError, ValueError):  # one that a power cut has left empty
                frames.append(iio.imread(file))
        # Where photos have come to the data since, the earlier pictures show fewer.
        if frames := [frame for frame in frames if frame.shape == frames[-1].shape]:
            save_gif(self.folder / "samples" / "samples.gif", frames)

    def _move_aside(self):
        """Renames the run folder to the first free one of FOLDER.1, FOLDER.2 and so on."""
        found = {path.name for path in self.folder.iterdir()} - {".lock", "output.png"}  # left without a run
        if found and not found & {"options.json", "samples", *CHECKPOINTS}:
            fail(f"{self.folder} is not a run, and --fresh would move it aside: give another --run")
        _lock(self.folder).close()  # refuses to move a run that is in use
        number = next(i for i in itertools.count(1) if not Path(f"{self.folder}.{i}").exists())
        self.folder.rename(f"{self.folder}.{number}")
        print(f"the old run is now in {self.folder}.{number}")

    def _on_signal(self, number, _):
        if self.signal:  # asked twice
            raise KeyboardInterrupt
        self.signal = number
        print("\nstopping after this step; once more to stop at once", file=sys.stderr)

    def _stop_if_asked(self):
        if self.signal:
            print(f"\nstopped and saved in {self.folder}; the same command goes on from here", file=sys.stderr)
            raise SystemExit(128 + self.signal)

    def _save(self):
        """Writes checkpoint.new and renames it: whenever it is killed, one of the names has a whole checkpoint."""
        if not all(np.isfinite(keras.ops.convert_to_numpy(weight)).all() for weight in self.model.weights):
            fail(f"the weights are no longer numbers (after the last step), and not saved: {DIVERGED}")
        new, current, old = (self.folder / f"checkpoint{suffix}" for suffix in (".new", "", ".old"))
        shutil.rmtree(new, ignore_errors=True)
        try:
            new.mkdir()
            self.gan.save(new)
            state = {"epoch": self.epoch, "step": self.step, "rows": self.rows, "sums": self.sums}
            state["sha256"] = {file.name: _sha256(file) for file in sorted(new.iterdir())}
            (new / "state.json").write_text(json.dumps(state))
            for file in new.iterdir():
                with open(file, "rb+") as opened:
                    os.fsync(opened.fileno())
        except (OSError, RuntimeError) as error:  # h5py reports a full disk as a RuntimeError
            shutil.rmtree(new, ignore_errors=True)
            raise OSError(f"the checkpoint can't be written, the one before is kept: {error}") from error
        shutil.rmtree(old, ignore_errors=True)
        if current.exists():
            current.rename(old)
        new.rename(current)
        self._publish()
        self.saved = time.monotonic()

    def _publish(self):
        """Puts the checkpoint's generators beside it, for use elsewhere."""
        for network in (self.folder / "checkpoint").glob("generator*.keras"):
            _write(self.folder / network.name, network.read_bytes())

    def _write_options(self, epochs):
        options = vars(self.options) | {"epochs": epochs}
        backend = keras.backend.backend()
        versions = {"keras": keras.__version__, backend: sys.modules[backend].__version__, "numpy": np.__version__}
        options["paths"] = source_paths(self.options)
        options["versions"] = versions | {"python": platform.python_version()}
        _write(self.folder / "options.json", json.dumps(options, indent=2).encode())

    def _write_history(self):
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        _write(self.folder / "history.csv", text.getvalue().encode())
        panels = [[n for n in names if "loss" in n], [n for n in names if n != "epoch" and "loss" not in n]]
        panels = [panel for panel in panels if panel]
        figure = Figure(figsize=(5 * len(panels), 3.5), layout="constrained")
        for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
            for name in panel:
                points = [(row["epoch"], row[name]) for row in self.rows if name in row]
                axes.plot(*zip(*points, strict=True), marker="." if len(points) < 30 else None, label=name)
            axes.set_xlabel("epoch")
            axes.legend()
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        _write(self.folder / "curves.png", picture.getvalue())

    def _write_sample(self):
        (self.folder / "samples").mkdir(exist_ok=True)
        shared = keras.distribution.distribution()
        keras.distribution.set_distribution(None)  # Keras shares only what the number of devices divides
        save_picture(self.folder / "samples" / f"epoch_{self.epoch:04d}.png", self.sample())
        keras.distribution.set_distribution(shared)


def _load_checkpoint(folder, gan):
    """Loads the newest whole checkpoint into `gan`; its state, or None where there is none yet."""
    found = [folder / name for name in CHECKPOINTS if (folder / name).exists()]
    for place in found:
        try:
            state = json.loads((place / "state.json").read_text())
            for name, digest in state["sha256"].items():
                if _sha256(place / name) != digest:
                    raise ValueError(f"{name} has changed")
        except (OSError, ValueError, KeyError, TypeError) as error:
            if place.name != "checkpoint.new":  # which a kill leaves unfinished
                warnings.warn(f"{place} is damaged ({error}): going back to the checkpoint before it", stacklevel=2)
            continue
        try:
            gan.load(place)
        except (KeyError, ValueError):
            or_use = ", or give its generator to --weights" if hasattr(gan, "generator") else ""
            fail(f"{place} is of another version of the zoo: train again with --fresh{or_use}")
        return state | {"place": place}
    if any(place.name != "checkpoint.new" for place in found):
        fail(f"no checkpoint in {folder} is whole: start again with --fresh, or give another --run")
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
        fail(f"another process is training in {folder}: wait for it, or give another --run")
    except OSError:
        pass  # a network drive without locks
    return file


def _write(path, data):
    """Writes a file completely or not at all, even if another process writes it at the same time."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.write_bytes(data)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)


def save_picture(path, image):
    """Writes a uint8 image (height, width[, 1 or 3]) as PNG."""
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    _write(Path(path), iio.imwrite("<bytes>", image, extension=".png"))


def save_gif(path, images):
    """Writes uint8 images (height, width[, 3]) of one shape as a film."""
    images = np.stack([i[..., 0] if i.ndim == 3 and i.shape[2] == 1 else i for i in images])
    _write(Path(path), iio.imwrite("<bytes>", images, extension=".gif", duration=300, loop=0))


def grid(images, columns=None):
    """uint8 images (count, height, width, channels) as one picture with `columns` a row (None: a square)."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    white = [255] * images.shape[-1]
    return montage(images, grid_shape=(rows, columns), padding_width=2, fill=white, channel_axis=-1)


def columns(*series):
    """Series of uint8 images (count, height, width, channels) as columns of one picture, as long as the shortest."""
    return grid(np.stack([image for row in zip(*series, strict=False) for image in row]), len(series))


def held_out(options):
    """The source and split that --evaluate asks for, or without it (or of the run's own source) the held-out half."""
    data, source = options.data, options.evaluate
    if not isinstance(source, str) or source == data:
        return data, "test"
    path = source_paths(options).get("data")
    if data not in NAMES and not path:
        warnings.warn(f"{data} is not there: if {source} has its images, they were trained on", stacklevel=2)
    same = path and os.path.exists(source) and os.path.samefile(path, source)
    return (data, "test") if same else (source, "all")


def output(options, image):
    """Writes a picture where --output says, or as output.png into the run folder."""
    path = Path(options.output or Path(options.run) / "output.png")
    if not options.output:  # with --weights there may be no run yet
        path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        fail(f"--output {path}: pictures are written as .png, into a folder that exists")
    save_picture(path, image)
    print(f"wrote {path}")


def report(options, rows):
    """Prints {row: {column: number}} as a table and writes it to evaluation.json in the run folder, if there is one."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    width = max(len(row) for row in rows)
    print(" " * width, *(f"{column:>12}" for column in columns))
    for row, numbers in rows.items():
        cells = [f"{numbers[column]:12.4g}" if column in numbers else " " * 12 for column in columns]
        print(f"{row:<{width}}", *cells)
    if not getattr(options, "weights", None):
        _write(Path(options.run) / "evaluation.json", json.dumps(rows, indent=2).encode())
