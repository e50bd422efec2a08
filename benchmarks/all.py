"""Times everything: each model's step at both sizes and precisions, start-up, large
photos, many files.

    python benchmarks/all.py                   all of it, one part after the other
    python benchmarks/all.py steps startup     these parts alone
    python benchmarks/all.py --quick           does everything run? One round, tiny
    sizes, nothing is kept

Each benchmark writes its own JSON beside this file. The table at the end has those of
earlier calls too. A benchmark that fails is named at the end, and the others go on. On
two CPU cores `steps` takes about half an hour, `startup` 6, `scale` 10; `apply` over an
hour, nearly all of it for SRGAN, whose result has 16 times the pixels.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
MODELS = ("dcgan", "srgan", "deblur", "inpaint", "pix2pix", "cyclegan", "dualgan")
SIZES = dict.fromkeys(MODELS, ("default", "paper"))
WITH_128 = "default", "half", "paper"
SIZES |= {
    "dcgan": ("default", "fashion", "paper"),
    "cyclegan": WITH_128,
    "dualgan": WITH_128,
}
PRECISIONS = ("float32", "mixed_bfloat16")
OTHERS = ("tape", "classic", "torch")


def plan(quick):
    """{part: {name of the JSON: the benchmark's command}}."""
    steps, apply = {}, {}
    once, few = (
        (["--rounds", "1"], ["--count", "2000", "--epochs", "1", "--megapixels", "180"])
        if quick
        else ([], [])
    )
    for precision in PRECISIONS:
        suffix = "" if precision == "float32" else f"_{precision}"
        for model in MODELS:
            for sizes in ("tiny",) if quick else SIZES[model]:
                command = [
                    f"{model}.py",
                    "--sizes",
                    sizes,
                    "--precision",
                    precision,
                    *once,
                ]
                steps[f"{model}_{sizes}{suffix}"] = command
        apply[f"apply{suffix}"] = [
            "apply.py",
            "--precision",
            precision,
            *(["--megapixels", "0.02"] if quick else []),
        ]
    return {
        "steps": steps,
        "startup": {"startup": ["startup.py", *once]},
        "scale": {"scale": ["scale.py", *few]},
        "apply": apply,
    }


def table(results):
    """The steps as a Markdown table.

    Milliseconds, and the others' time as a multiple of the zoo's.
    """
    lines = [
        "| | sizes | precision | zoo, ms | hand-written tape | classic recipe | eager "
        "PyTorch |"
    ]
    lines.append("|---" * (lines[0].count("|") - 1) + "|")
    for result in results:
        for row, turns in result["steps"].items():
            ratios = [turns.get(name) for name in OTHERS]
            cells = [
                "{zoo_is_faster_by:.2f} ({least:.2f} to {most:.2f})".format(**r)
                if r
                else ""
                for r in ratios
            ]
            cells = [
                row,
                result["sizes"],
                result["precision"],
                f"{turns['zoo']['ms']:.0f}",
                *cells,
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def run(parts, quick, output):
    """Runs the benchmarks of these parts; the names of those that failed."""
    failed = []
    for part in parts:
        for name, command in plan(quick)[part].items():
            print(f"\n== {' '.join(command)}", flush=True)
            begun = time.perf_counter()
            command = [
                sys.executable,
                HERE / command[0],
                *command[1:],
                "--output",
                output,
            ]
            if subprocess.run(
                command, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
            ).returncode:
                failed.append(name)
            print(f"({time.perf_counter() - begun:.0f} s)", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    # Argparse compares no parts at all, [], with the choices too.
    parts = [*plan(False), []]
    parser.add_argument(
        "parts",
        nargs="*",
        choices=parts,
        metavar="PART",
        help="steps, startup, scale, apply (all)",
    )
    parser.add_argument(
        "--quick", action="store_true", help="one round, tiny sizes; nothing is kept"
    )
    o = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) if o.quick else HERE
        failed = run(o.parts or plan(o.quick), o.quick, output)
        names = [
            name
            for part in plan(o.quick).values()
            for name in part
            if name not in failed
        ]
        files = {name: output / f"{name}.json" for name in names}
        results = {
            name: json.loads(file.read_text())
            for name, file in files.items()
            if file.exists()
        }
    print(
        "\nTimes of the others as multiples of the zoo's: medians, and the extremes of "
        "single rounds.\n"
    )
    print(table([results[name] for name in plan(o.quick)["steps"] if name in results]))
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
        raise SystemExit(1)


if __name__ == "__main__":
    main()
