"""`python -m zoo` lists the models; `python -m zoo copy MODEL FOLDER` copies one out of the zoo."""

import argparse
import ast
import shlex
import shutil
import signal
import sys
from pathlib import Path

ZOO = Path(__file__).parent
GROUND_FLOOR = ("dataset", "domains", "downloads", "metrics", "photos", "runs", "sources")
NO_MODELS = (*GROUND_FLOOR, "live", "__init__", "__main__")
BEFORE = {"inpaint": "dcgan"}  # models that work on another's run, and the other, which goes with their copy


def read(name):
    """The syntax tree of a file of the zoo."""
    return ast.parse((ZOO / f"{name}.py").read_text("utf-8"))


def models():
    """{name: first line of the docstring} of every model's file."""
    names = [file.stem for file in sorted(ZOO.glob("*.py")) if file.stem not in NO_MODELS]
    return {name: ast.get_docstring(read(name)).split("\n")[0] for name in names}


def needs(name):
    """The modules of the ground floor that a model asks for in its call of `ground_floor`, and those they import."""
    nodes = list(ast.walk(read(name)))
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ground_floor"]
    found = [arg.value for call in calls for arg in call.args]
    found += [alias.name for node in nodes if isinstance(node, ast.ImportFrom) and node.level for alias in node.names]
    return list(dict.fromkeys(found + [inner for module in found for inner in needs(module)]))


def copy(name, folder):
    """Copies a model's file and what it needs into a folder; overwrites nothing that differs."""
    if name not in models():
        fail(f"there is no model {name!r}: there are {', '.join(models())}")
    first = BEFORE.get(name, name)
    files = [f"{stem}.py" for stem in dict.fromkeys((name, first, *needs(name), *needs(first)))]
    weights = f"weights/{name}.keras"
    files += [weights] if (ZOO / weights).exists() else []
    try:
        there = [file for file in files if (folder / file).exists()]
        there = [file for file in there if (folder / file).read_bytes() != (ZOO / file).read_bytes()]
        if there:
            fail(f"{folder} has another {there[0]} already: give another folder, or move that file away")
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / file).parent.mkdir(exist_ok=True)
            shutil.copyfile(ZOO / file, folder / file)
    except OSError as error:
        fail(error)
    command = f"cd {shlex.quote(str(folder))} && python {first}.py --epochs 5"
    command += "" if first == name else f" && python {name}.py"
    print(f"copied {', '.join(files)} to {folder}; now: {command}")


def fail(message):
    print(f"error: {message}", file=sys.stderr)
    raise SystemExit(2)


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m zoo", description="Image GANs in Keras 3, one file per model.")
    commands = parser.add_subparsers(dest="command")
    copier = commands.add_parser("copy", help="copy a model's file, and what its command line needs, into a folder")
    copier.add_argument("model", metavar="MODEL")
    copier.add_argument("folder", metavar="FOLDER")
    words = sys.argv[1:] if argv is None else argv
    if words and words[0] in models():
        fail(f"a model is called as `python -m zoo.{' '.join(words)}`")
    options = parser.parse_args(argv)
    if options.command == "copy":
        copy(options.model, Path(options.folder or fail("FOLDER is empty")))
        return
    if hasattr(signal, "SIGPIPE"):  # `python -m zoo | head -1`
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for name, line in models().items():
        print(f"  {name:10}{line}")
    print("\nTrain one:        python -m zoo.dcgan --epochs 5     (--help lists its options)")
    print("Copy one's file:  python -m zoo copy dcgan FOLDER")


if __name__ == "__main__":
    main()
