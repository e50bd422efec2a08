"""What the benchmarks of the training steps share: options, contenders that take turns,
the JSON file.

The contenders take turns in one process, a few steps each, so that a busy machine slows
all of them.
"""

import argparse
import json
import os
import platform
import random
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path

import keras

# So that `zoo` is found without having been installed.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def options(doc, sizes, turns):
    """The command line of a benchmark: `sizes`, `precision`, `rounds`, `steps`,
    `output`, and what `sizes` stands for.

    Args:
        doc: the benchmark's docstring; its first line is the description.
        sizes: {name: {what: number}}; the chosen one's numbers become attributes of the
            result.
        turns: {name: (rounds, steps in a turn)} for those of `sizes` that are slow,
            with the others' under None.
    """
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    add = parser.add_argument
    add(
        "--sizes",
        choices=sizes,
        default="default",
        help="the zoo's defaults, the paper's, ... (%(default)s)",
    )
    add(
        "--precision",
        choices=["float32", "mixed_bfloat16"],
        default="float32",
        help="(%(default)s)",
    )
    add("--rounds", type=int, metavar="N", help="turns of each contender")
    add(
        "--output",
        type=Path,
        default=Path(__file__).parent,
        metavar="FOLDER",
        help="for the JSON (benchmarks)",
    )
    o = parser.parse_args()
    rounds, o.steps = turns.get(o.sizes, turns[None])
    o.rounds = o.rounds or rounds
    o.numbers = sizes[o.sizes]
    keras.config.set_dtype_policy(o.precision)
    print(
        f"{Path(sys.argv[0]).stem}, {o.precision}:",
        ", ".join(f"{what} {n}" for what, n in o.numbers.items()),
    )
    return argparse.Namespace(**vars(o), **o.numbers)


def torch_module():
    """The PyTorch contenders, `in_torch`.

    None, and a line that says so, where PyTorch is not installed.
    """
    try:
        import in_torch
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        print("PyTorch is not installed: its contender is left out")
        return None
    return in_torch


def take_turns(contenders, rounds, steps=1):
    """Prints and returns {name: {"ms", "zoo_is_faster_by", "least", "most"}}: of one
    call, medians over the rounds.

    "zoo_is_faster_by" is a contender's time divided by the zoo's in the same round,
    "least" and "most" the extremes of that ratio.

    Args:
        contenders: {name: function without arguments}; the first is the zoo's, the
            others are compared with it.
        rounds: turns of each, after one to warm up.
        steps: calls in a turn.
    """
    times = {name: [] for name in contenders}
    shuffled = random.Random(0)
    for turn in range(rounds + 1):
        # In another order each time: what one leaves behind, as in the caches, is not
        # always the same one's to bear.
        for name in shuffled.sample(list(contenders), len(contenders)):
            start = time.perf_counter()
            for _ in range(steps):
                contenders[name]()
            if turn:  # the first traces
                times[name].append((time.perf_counter() - start) / steps)
    zoo = next(iter(times.values()))
    result = {}
    for name, seconds in times.items():
        ratios = [other / own for own, other in zip(zoo, seconds, strict=True)]
        ms, ratio = 1000 * statistics.median(seconds), statistics.median(ratios)
        result[name] = {
            "ms": ms,
            "zoo_is_faster_by": ratio,
            "least": min(ratios),
            "most": max(ratios),
        }
        print(
            f"{name:>16}: {ms:7.0f} ms, {ratio:.2f} of the zoo's ({min(ratios):.2f} to "
            f"{max(ratios):.2f})"
        )
    return result


def write(o, steps, **others):
    """Writes what was measured beside what it was measured with, as
    MODEL_SIZES[_PRECISION].json.

    Args:
        o: what `options` returned.
        steps: {name of a row of the table: what `take_turns` returned}.
        others: whatever else was measured.
    """
    precision = "" if o.precision == "float32" else f"_{o.precision}"
    path = o.output / f"{Path(sys.argv[0]).stem}_{o.sizes}{precision}.json"
    result = {
        "sizes": o.sizes,
        "precision": o.precision,
        "rounds": o.rounds,
        **o.numbers,
        "steps": steps,
        **others,
    }
    o.output.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result | {"with": machine()}, indent=2) + "\n")


def machine():
    """The versions of what was measured with, and the number of CPUs."""
    packages = [
        name for name in ("keras", "tensorflow", "torch") if name in sys.modules
    ]
    return {name: version(name) for name in packages} | {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
    }
