"""`python -m zoo` lists the models, calls one of them, or copies one into a folder."""

import argparse
import ast
import difflib
import functools
import importlib
import shlex
import shutil
import signal
import sys
from pathlib import Path

ZOO = Path(__file__).parent
# In a clone the folder data lies beside the package, else inside it.
DATA = next((d for d in (ZOO / "data", ZOO.parent / "data") if d.exists()), ZOO)
# Models that work on another's run, and that other, which goes with their copy.
BEFORE = {"inpaint": "dcgan"}


@functools.cache
def models():
    """{name: first line of the docstring} of every model's file."""
    files = [file for file in sorted(ZOO.glob("*.py")) if file.stem[:2] != "__"]
    trees = {file.stem: ast.parse(file.read_text("utf-8")) for file in files}
    return {
        name: ast.get_docstring(tree).split("\n")[0] for name, tree in trees.items()
    }


def copy(name, folder):
    """Copies a model's file, and the folder zoo that it needs, into a folder.

    The folder zoo gets `common`, the ready generator, and the built-in images that the
    model trains on by default. Existing files that differ are not overwritten.
    """
    if name not in models():
        fail(unknown(name))
    first = BEFORE.get(name, name)
    tops = [f"{stem}.py" for stem in dict.fromkeys((name, first))]
    files = {folder / top: ZOO / top for top in tops}
    inner = [ZOO / "__init__.py", *sorted(ZOO.glob("common/*.py"))]
    ready = (f"weights/{stem}{end}/*" for stem in {name, first} for end in ("", "-*"))
    inner += sorted(file for pattern in ready for file in ZOO.glob(pattern))
    files |= {folder / "zoo" / file.relative_to(ZOO): file for file in inner}
    text = "".join((ZOO / top).read_text("utf-8") for top in tops)
    images = [file for file in DATA.glob("*.[nz]*") if f'"{file.stem}"' in text]
    images += [file for file in DATA.glob("ATTRIBUTION.csv") if images]
    files |= {folder / "zoo/data" / file.name: file for file in images}
    try:
        for target, source in files.items():
            if target.exists() and target.read_bytes() != source.read_bytes():
                fail(
                    f"{target} is there already and differs: give another folder, or "
                    "move that file away"
                )
        for target, source in files.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    except OSError as error:
        fail(error)
    command = f"cd {shlex.quote(str(folder))} && python {first}.py --epochs 5"
    command += "" if first == name else f" && python {name}.py"
    print(
        f"copied {' and '.join(tops)}, and the folder zoo, to {folder}; now: {command}"
    )


def unknown(name):
    """The refusal of a name that no model has."""
    near = difflib.get_close_matches(name, [*models(), "copy"], 1)
    guess = f"did you mean {near[0]}?" if near else f"there are {', '.join(models())}"
    return f"there is no model {name!r}: {guess}"


def fail(message):
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def main(argv=None):
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in models():
        importlib.import_module(f"zoo.{words[0]}").main(words[1:])
        return
    parser = argparse.ArgumentParser(
        prog="python -m zoo", description="Image GANs in Keras 3, one file per model."
    )
    commands = parser.add_subparsers(dest="command", metavar="copy | MODEL ...")
    copier = commands.add_parser(
        "copy", help="copy a model's file, and the folder zoo that it needs"
    )
    copier.add_argument("model", metavar="MODEL")
    copier.add_argument("folder", metavar="FOLDER")
    if words and words[0] != "copy" and not words[0].startswith("-"):
        fail(unknown(words[0]))
    options = parser.parse_args(words)
    if options.command == "copy":
        copy(options.model, Path(options.folder or fail("FOLDER is empty")))
        return
    if hasattr(signal, "SIGPIPE"):  # `python -m zoo | head -1`
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for name, line in models().items():
        print(f"  {name:10}{line}")
    print(
        "\nTrain one:        python -m zoo.dcgan --epochs 5     (--help: its options)"
    )
    print("Copy one's file:  python -m zoo copy dcgan FOLDER")


if __name__ == "__main__":
    main()
