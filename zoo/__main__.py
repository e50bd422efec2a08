"""`python -m zoo` lists the models; `python -m zoo copy MODEL FOLDER` copies one out of the zoo."""

import argparse
import ast
import shutil
import sys
from pathlib import Path

ZOO = Path(__file__).parent
GROUND_FLOOR = ("dataset", "downloads", "metrics", "photos", "runs")


def read(name):
    """The syntax tree of a file of the zoo."""
    return ast.parse((ZOO / f"{name}.py").read_text("utf-8"))


def models():
    """{name: first line of the docstring} of every model's file."""
    names = [file.stem for file in sorted(ZOO.glob("*.py")) if file.stem not in (*GROUND_FLOOR, "__init__", "__main__")]
    return {name: ast.get_docstring(read(name)).split("\n")[0] for name in names}


def needs(name):
    """The modules of the ground floor that a model asks for in its call of `ground_floor`, and those they import."""
    nodes = list(ast.walk(read(name)))
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ground_floor"]
    found = [arg.value for call in calls for arg in call.args]
    found += [alias.name for node in nodes if isinstance(node, ast.ImportFrom) and node.level for alias in node.names]
    return list(dict.fromkeys(found + [inner for module in found for inner in needs(module)]))


def copy(name, folder):
    """Copies a model's file and the ground floor that it needs into a folder; overwrites nothing."""
    if name not in models():
        sys.exit(fail(f"there is no model {name!r}: there are {', '.join(models())}"))
    files = [f"{stem}.py" for stem in (name, *needs(name))]
    there = [file for file in files if (folder / file).exists()]
    if there:
        sys.exit(fail(f"{folder} has a {there[0]} already: give another folder, or move that file away"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copyfile(ZOO / file, folder / file)
    except OSError as error:
        sys.exit(fail(error))
    print(f"copied {', '.join(files)} to {folder}; now: cd {folder} && python {name}.py --epochs 5")


def fail(message):
    print(f"error: {message}", file=sys.stderr)
    return 2


def main(argv=None):
    parser = argparse.ArgumentParser(prog="python -m zoo", description="Image GANs in Keras 3, one file per model.")
    commands = parser.add_subparsers(dest="command")
    copier = commands.add_parser("copy", help="copy a model's file, and what its command line needs, into a folder")
    copier.add_argument("model", metavar="MODEL")
    copier.add_argument("folder", metavar="FOLDER", type=Path)
    options = parser.parse_args(argv)
    if options.command == "copy":
        copy(options.model, options.folder)
        return
    for name, line in models().items():
        print(f"  {name:10}{line}")
    print("\nTrain one:        python -m zoo.dcgan --epochs 5     (--help lists its options)")
    print("Copy one's file:  python -m zoo copy dcgan FOLDER")


if __name__ == "__main__":
    main()
