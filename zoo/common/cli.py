"""The command line that all models share: options, errors, results."""

import argparse
import contextlib
import difflib
import errno
import io
import json
import math
import os
import re
import shlex
import sys
import warnings
from pathlib import Path

import keras

from . import photos, pictures, sources

# The exceptions of NumPy, TensorFlow, JAX and PyTorch, or their texts inside Keras'
# own.
NO_MEMORY = (
    "MemoryError|Resource_?Exhausted|OOM when|out of memory"
    "|(can't|unable to|failed to) allocate"
)
# Checkpoints of a run, the newest first.
CHECKPOINTS = ("checkpoint.new", "checkpoint", "checkpoint.old")
# Options that use a trained run instead of training one.
ACTIONS = ("generate", "interpolate", "apply", "evaluate")
# How they are typed in an example.
EXAMPLES = {
    "generate": "--generate 64",
    "interpolate": "--interpolate 10",
    "apply": "--apply PHOTO",
    "evaluate": "--evaluate",
}
NAMES = (None, *sources.NAMES, "sketches")  # of sources that are not paths


def fail(message):
    """Ends the program with one line on stderr and exit status 2."""
    print("error:", " ".join(str(message).split()), file=sys.stderr)
    raise SystemExit(2)


@contextlib.contextmanager
def errors(*kinds, knobs="--batch-size, --size or --filters"):
    """Turns errors that users can fix into one line and exit status 2.

    These are the exceptions `kinds`, those of files, and those of too little memory.
    Bugs keep their traceback.

    Args:
        knobs: the options that the use of memory depends on.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        text = f"{type(error).__name__}: {error}"
        full = re.search(NO_MEMORY, text, re.IGNORECASE)
        if full and not isinstance(error, sources.DataError):  # JAX raises a ValueError
            fail(f"out of memory: use a smaller {knobs}")
        no_space = "No space left" in str(error)
        if isinstance(error, OSError) and (error.errno == errno.ENOSPC or no_space):
            fail(
                f"{error}; free some space and run the same command again, it goes on "
                "from the last checkpoint"
            )
        if isinstance(error, (*kinds, OSError)):
            fail(error)
        raise


def number(kind, least, most=math.inf):
    """An argparse type: a finite number of a kind (int or float) from `least` to
    `most`.
    """

    def convert(text):
        value = kind(text)
        if not least <= value <= most or value == math.inf:
            bounded = f"from {least} to {most}"
            limits = f"at least {least}" if most == math.inf else bounded
            raise argparse.ArgumentTypeError(f"{text} should be {limits}")
        return value

    convert.__name__ = kind.__name__  # for argparse's message where it is no number
    return convert


positive = number(int, 1, 2**31 - 1)


# Options of the models themselves that belong to a trained model, not to the training.
USING = ("--apply", "--generate", "--interpolate", "--direction", "--deterministic")


class Parser(argparse.ArgumentParser):
    """Options in groups. A typing error is answered in one line, with the nearest."""

    def __init__(self, prog, doc):
        first, _, rest = (doc or "").partition("\n\n")
        examples = re.findall(r"(?m)^    (python -m zoo.*)$", rest)
        super().__init__(
            prog=prog,
            usage=f"{prog} [options]",
            description="\n".join([first, "", *examples]),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        names = ["what to train on", "the training", "the networks and the task"]
        self.data, self.training, self.model, self.using = (
            self.add_argument_group(name) for name in [*names, "using a trained model"]
        )

    def add_argument(self, name, *args, **options):
        """An option of a model's own."""
        if not hasattr(self, "using"):  # --help, which argparse adds itself
            return super().add_argument(name, *args, **options)
        group = self.using if name in USING else self.model
        return group.add_argument(name, *args, **options)

    def error(self, message):
        options = [text for action in self._actions for text in action.option_strings]
        if found := re.match(r"unrecognized arguments: (\S+)", message):
            word = found[1].split("=")[0]
            message = f"there is no option {word}{nearest(word, options)}"
        elif found := re.match(
            r"argument (\S+): invalid choice: '?(.*?)'? \(", message
        ):
            choices = self._option_string_actions[found[1]].choices
            there = ", ".join(map(str, choices))
            guess = nearest(found[2], map(str, choices))
            message = f"{found[1]} {found[2]}{guess or ':'} It can be {there}"
        fail(f"{message} (--help lists the options)")


def warn(message):
    print("warning:", message, file=sys.stderr)


def nearest(word, names):
    """ ": did you mean NAME?", if one of the names is near."""
    found = difflib.get_close_matches(word, list(names), 1)
    return f": did you mean {found[0]}?" if found else ""


def parser(name, doc, data, size, batch_size, learning_rate, steps, weights=True):
    """A parser with the options that all models share.

    Args:
        name: of the model.
        doc: the model's docstring; its commands are the examples of --help.
        data, size, batch_size, learning_rate: the model's defaults.
        steps: the minimum number of steps in an epoch.
        weights: whether the model takes --weights, the file of one generator.
    """
    result = Parser(program(name), doc)
    result.name = name
    add = result.data.add_argument
    add(
        "--data",
        default=data,
        metavar="SOURCE",
        help=f"folder, zip, .npy, .npz, or {', '.join(NAMES[1:])} (%(default)s)",
    )
    add("--size", type=positive, default=size, metavar="N",
        help="side of the training images in pixels (%(default)s)")  # fmt: skip
    batch_help = batch_size or "128, or 32 for fewer than 1000 images"
    add("--batch-size", type=positive, default=batch_size, metavar="N",
        help=f"images in a mini-batch ({batch_help})")  # fmt: skip
    add = result.training.add_argument
    add("--epochs", type=positive, default=5, metavar="N",
        help="number of epochs, earlier calls included (%(default)s)")  # fmt: skip
    steps_help = f"training steps in an epoch (one pass, but at least {steps})"
    add("--steps-per-epoch", type=positive, metavar="N", help=steps_help)
    rate = number(float, 1e-12)
    add("--learning-rate", type=rate, default=learning_rate, metavar="X",
        help="learning rate of all optimisers (%(default)s)")  # fmt: skip
    whole = number(int, 0, 2**32 - 1)  # seeds of NumPy and Keras have 32 bits
    add("--seed", type=whole, default=0, metavar="N",
        help="seed of weights, noise and image order (%(default)s)")  # fmt: skip
    precisions = ["float32", "mixed_bfloat16", "mixed_float16"]
    add("--precision", choices=precisions, default="float32",
        help="number format of the inner layers (%(default)s)")  # fmt: skip
    add("--run", default=f"runs/{name}", metavar="FOLDER",
        help="folder of the run; resumed if it exists (%(default)s)")  # fmt: skip
    add("--fresh", action="store_true",
        help="start again; the old run folder is moved aside")  # fmt: skip
    add("--devices", choices=["one", "all"], default="one",
        help="all: split each mini-batch, on JAX (%(default)s)")  # fmt: skip
    if weights:
        add("--weights", metavar="FILE",
            help="generator (.keras) to start from, or to use")  # fmt: skip
    add = result.using.add_argument
    add("--evaluate", nargs="?", const=True, metavar="SOURCE",
        help="measure on held-out images, or on SOURCE")  # fmt: skip
    add("--output", metavar="PATH", help="where a picture is written")
    add("--pretrained", action="store_true",
        help="use the zoo's ready generator, also where there is a run")  # fmt: skip
    return result


def peek(parser, argv, name):
    """The value of one option, before all of them are parsed.

    Wrong ones are left out.
    """
    words = sys.argv[1:] if argv is None else list(map(str, argv))
    default = parser.get_default(name)
    found = [default]
    for word, after in zip(words, [*words[1:], default], strict=True):
        if word == f"--{name}":
            found.append(after)
        elif word.startswith(f"--{name}="):
            found.append(word.partition("=")[2])
    return found[-1]


def program(name):
    """How a model is called: as part of the zoo, or as a file of its own."""
    main = sys.modules["__main__"]
    alone = getattr(main, "__spec__", None) is None
    if alone and Path(getattr(main, "__file__", "")).name == f"{name}.py":
        return f"python {name}.py"
    return f"python -m zoo.{name}"


def start(parser, argv):
    """Parses the options of any command, and checks what can be checked at once."""
    if sys.stdout is None:  # closed by the caller; Keras' progress bar needs one
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # for names that it can't show
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    options = parser.parse_args(argv)
    refuse_empty(options)
    if wrong := photos.missing(getattr(options, "apply", None) or ()):
        fail(wrong)
    for name in ("data", "data_b", "evaluate"):
        # The shell's completion ends a folder's name with a slash.
        if isinstance(path := getattr(options, name, None), str):
            setattr(options, name, path.rstrip("/" + os.sep) or path)
    return options


def parse(parser, argv, actions, free=(), later=()):
    """The options; those not given come from the run folder, if there is one.

    Also sets seed, precision and devices. An option that contradicts the run folder is
    an error if there is a checkpoint in it.

    Args:
        actions: names of the options that use a trained run instead of training one.
            With one of them `--seed` is free, and `--weights`, or the ready generator
            of the zoo, can stand in for the run.
        free: names of the options that may always differ from the run's.
        later: names of the options that may be set as long as they are None in the run.
    """
    options = start(parser, argv)
    unset = object()
    blank = argparse.Namespace(**dict.fromkeys(vars(options), unset))
    given = vars(parser.parse_args(argv, blank))
    given = {name for name, value in given.items() if value is not unset}
    options.model = parser.name
    options.weights = getattr(options, "weights", None)
    acting = [f"--{name}" for name in actions if getattr(options, name)]
    if options.output and acting in ([], ["--evaluate"]):
        fail(f"--output is where a picture is written: give it with --{actions[0]}")
    if len(acting) > 1:
        fail(f"{' and '.join(acting)} do different things: give one of them")
    if acting and options.fresh:
        fail(f"--fresh starts a training, {acting[0]} uses one: leave one of them out")
    if options.pretrained and (options.weights or not acting):
        uses = ", ".join(f"--{name}" for name in actions)
        fail(f"--pretrained goes with {uses}, and without --weights")
    ignored = options.fresh or (acting and options.weights) or options.pretrained
    saved = {} if ignored else saved_options(Path(options.run))
    _check_folder(options, saved)
    options.ready = None
    if acting and not (saved or options.weights):
        options.ready = _ready(options, parser, "run" in given, acting[0])
        saved = saved_options(options.ready)
        file = options.ready / "generator.keras"  # CycleGAN and DualGAN have two
        options.weights = str(file if file.exists() else options.ready)
    free = {"run", "fresh", "epochs", "devices", "output", *actions, *free}
    free |= {"pretrained", "ready"}
    _merge(options, given, saved, free | ({"seed", "weights"} if acting else set()),
           later, acting)  # fmt: skip
    shared = options.devices == "all" and not acting
    if shared and keras.backend.backend() != "jax":
        fail(
            "--devices all needs the JAX backend: set the environment variable "
            "KERAS_BACKEND=jax"
        )
    distribution = keras.distribution.DataParallel() if shared else None
    keras.distribution.set_distribution(distribution)
    prepare_keras(options.seed)
    keras.config.set_dtype_policy(options.precision)
    return options


def run_or_ready(name, pretrained=False):
    """The folder of a model's run, or of its ready generator where there is no run."""
    run, ready = Path("runs", name), sources.shipped(f"weights/{name}")
    if ready and (pretrained or not any(run.glob("**/generator.keras"))):
        print(f"the ready {name} that comes with the zoo is used")
        return ready
    return run


def _ready(options, parser, run_given, action):
    """The folder of the zoo's ready generator, for a call that has no run to use."""
    name = Path(parser.get_default("run")).name
    folder = sources.shipped(f"weights/{name}")
    if not folder or (run_given and not options.pretrained):
        none = "" if folder else " (the zoo has no ready generator of this kind)"
        fail(
            f"{action} needs a trained run, and {options.run} is not one: train it "
            f"first ({parser.prog} --epochs 5){none}"
        )
    why = "" if options.pretrained else f"{options.run} is not a trained run: "
    print(f"{why}the ready generator that comes with the zoo is used")
    return folder


def _check_folder(options, saved):
    """Refuses a folder that is another model's run, a checkpoint or a set of images."""
    if saved.get("model", options.model) != options.model:
        fail(f"{options.run} is a run of {saved['model']}: give another --run")
    if os.path.exists(Path(options.run) / "state.json"):
        fail(f"{options.run} is a checkpoint of a run: give the folder that it is in")
    for path in source_paths(options).values():
        if os.path.realpath(options.run) == path:
            fail(f"--run {options.run} is a folder of images too: give another folder")
        run = os.path.realpath(options.run)
        if options.fresh and Path(path).is_relative_to(run):
            fail(f"--fresh would move the images in {options.run}: give another --run")


def _merge(options, given, saved, free, later, acting):
    """Sets the options that this call leaves out to the run's.

    Refuses contradictions.
    """
    for name, path in saved.get("paths", {}).items():
        mine = getattr(options, name)
        moved = not os.path.exists(path)
        same = name in given and (os.path.realpath(mine) == path or moved)
        saved[name] = mine if same else trained_on(saved, name)
    saved = {n: v for n, v in saved.items() if n not in free and hasattr(options, n)}
    saved = {n: v for n, v in saved.items() if getattr(options, n) != v}
    set_later = {n for n in saved if n in later and n in given and saved[n] is None}
    saved = {n: v for n, v in saved.items() if n not in set_later}
    clash = [
        f"--{name.replace('_', '-')} {value} (not {getattr(options, name)})"
        for name, value in saved.items()
        if name in given
    ]
    run = options.ready or Path(options.run)
    if not clash:
        vars(options).update(saved)
    elif acting or any((run / name).exists() for name in CHECKPOINTS):
        anew = "" if acting else ", or --fresh to start again"
        clash = ", ".join(clash)
        fail(f"{run} was made with {clash}: give the same, another --run{anew}")
    else:  # some of the saved options followed from the rest: all of them are forgotten
        print(f"{run} has no checkpoint yet: it starts again, with this call's options")


def prepare_keras(seed):
    """Sets the seed and the order of the axes; refuses a Keras that can't be used."""
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax", "torch"):
        fail(
            f"Keras' backend {backend} can't train: set the environment variable "
            "KERAS_BACKEND=tensorflow"
        )
    version = tuple(map(int, keras.__version__.split(".")[:2]))
    if backend == "torch" and version < (3, 15):
        fail(
            f"Keras {keras.__version__} shifts images on PyTorch: `pip install "
            "--upgrade "
            "keras` (3.15 or later)"
        )
    keras.config.set_image_data_format("channels_last")  # whatever keras.json says
    keras.config.set_floatx("float32")
    keras.utils.set_random_seed(seed)


def refuse_empty(options):
    """Refuses empty options: unset variables of the shell leave them."""
    for name, value in vars(options).items():
        if value == "":
            fail(f"--{name.replace('_', '-')} is empty")


def saved_options(folder):
    """The contents of options.json in a run folder; nothing if there is none."""
    file = folder / "options.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8-sig"))
        if not isinstance(found, dict):
            raise ValueError("there are no options in it")
        return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        fail(
            f"{file} can't be read ({error}): start again with --fresh, or give "
            "another "
            "run folder"
        )


def source_paths(options):
    """The sources of images that are paths: {name of the option: absolute path}."""
    given = {name: getattr(options, name, None) for name in ("data", "data_b")}
    return {
        name: os.path.realpath(path)
        for name, path in given.items()
        if path not in NAMES and os.path.exists(path)
    }


def trained_on(saved, name="data"):
    """The source in a run's `saved` options.

    It is the absolute path where the name now leads elsewhere.
    """
    source, path = saved.get(name), saved.get("paths", {}).get(name)
    moved = path and os.path.exists(path) and os.path.realpath(source) != path
    return path if moved else source


def held_out(options):
    """The source and split that --evaluate measures on.

    Without a SOURCE, or with the run's own, it is the held-out split.
    """
    data, source = options.data, options.evaluate
    if not isinstance(source, str) or source == data:
        return data, "test"
    path = source_paths(options).get("data")
    if data not in NAMES and not path:
        warnings.warn(
            f"{data} is not there: if {source} has its images, they were trained on",
            stacklevel=2,
        )
    same = path and os.path.exists(source) and os.path.samefile(path, source)
    return (data, "test") if same else (source, "all")


def given_generator(options):
    """The generator of `--weights` as a Keras model; None without that option.

    A run that was started with `--weights` goes on with the generator in its
    checkpoint.
    """
    file, run = options.weights, Path(options.run)
    uses = any(vars(options).get(name) for name in ACTIONS)
    if not options.fresh and not (uses and file) and saved_options(run).get("weights"):
        own = [run / name / "generator.keras" for name in CHECKPOINTS]
        file = next((path for path in own if path.exists()), file)
    if not file:
        return None
    if Path(file).suffix != ".keras":
        fail(f"--weights {file}: a generator is a .keras file, as in a run folder")
    try:
        if not Path(file).exists():
            raise FileNotFoundError("there is no such file")
        return sources.load_network(file)
    except OSError as error:
        fail(f"{file} can't be read ({error})")
    except Exception as error:  # Keras, h5py and zipfile raise many kinds
        fail(f"{file} can't be loaded: {str(error)[:300]}")


def say_next(options):
    """Says where the results of a training are, and what can be typed next."""
    print(f"\nthe pictures: {Path(options.run) / 'index.html'} (open it in a browser)")
    for action in ACTIONS:
        if hasattr(options, action):
            print(f"  {command(options)} {EXAMPLES[action]}")
    print(f"  {command(options)} --epochs {2 * options.epochs}   to train on")


def command(options):
    """The command that names the run of `options`."""
    words = [program(options.model)]
    task = getattr(options, "task", None)
    default = Path("runs") / options.model
    if Path(options.run) == Path(f"{default}-{task}"):
        words.append(f"--task {task}")
    elif Path(options.run) != default:
        words.append(f"--run {shlex.quote(options.run)}")
    return " ".join(words)


def output(options, image):
    """Writes a picture to --output, or as output.png into the run folder."""
    path = Path(options.output or Path(options.run) / "output.png")
    if not options.output:  # with --weights there may be no run yet
        path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix.lower() != ".png" or not path.parent.is_dir():
        fail(
            f"--output {path}: pictures are written as .png, into a folder that exists"
        )
    pictures.save_picture(path, image)
    print(f"wrote {path}")


def report(options, rows):
    """Prints {row: {column: number}} as a table; a run also gets evaluation.json."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    width = max(len(row) for row in rows)
    print(" " * width, *(f"{column:>12}" for column in columns))
    for row, numbers in rows.items():
        cells = [f"{numbers[c]:12.4g}" if c in numbers else " " * 12 for c in columns]
        print(f"{row:<{width}}", *cells)
    if not getattr(options, "weights", None):
        file = Path(options.run) / "evaluation.json"
        pictures.write(file, json.dumps(rows, indent=2).encode())
