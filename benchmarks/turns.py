"""Times several ways to do the same in turn, in one process, so that a busy machine slows all of them."""

import statistics
import time


def take_turns(contenders, rounds, steps=1):
    """Prints and returns {name: {"ms": of one call, "zoo_is_faster_by": ratio}}, medians over the rounds.

    Args:
        contenders: {name: function without arguments}; the first is the zoo's, the others are compared with it.
        rounds: turns of each, after one to warm up.
        steps: calls in a turn.
    """
    times = {name: [] for name in contenders}
    for turn in range(rounds + 1):
        for name, step in contenders.items():
            start = time.perf_counter()
            for _ in range(steps):
                step()
            if turn:  # the first traces
                times[name].append((time.perf_counter() - start) / steps)
    zoo = next(iter(times.values()))
    result = {}
    for name, seconds in times.items():
        ratios = [other / own for own, other in zip(zoo, seconds, strict=True)]
        result[name] = {"ms": 1000 * statistics.median(seconds), "zoo_is_faster_by": statistics.median(ratios)}
        print(
            f"{name:>16}: {result[name]['ms']:6.0f} ms; the zoo's speed is {statistics.median(ratios):.2f} "
            f"of this one's ({min(ratios):.2f} to {max(ratios):.2f})"
        )
    return result
