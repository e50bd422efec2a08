"""For the notebooks: pictures side by side, who moves in a step, and curves that are
drawn anew while a model trains.

show({"original": images, "blurred": blurred})
model.train(..., callbacks=[Live(lambda: {"samples": model.generate(8)})])
"""

import inspect

import keras
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import Markdown, clear_output, display


def show(rows, height=0.9):
    """Draws {name: uint8 images (count, h, w, 1 or 3)}, a row of pictures of `height`
    inches for each name.
    """
    columns = max(len(images) for images in rows.values())
    size = columns * height, len(rows) * (height + 0.2)
    # Distances by hand: a layout of Matplotlib's would make room for a name that is
    # longer than its picture is wide.
    spaces = {
        "left": 0,
        "right": 1,
        "bottom": 0,
        "top": 1 - 0.2 / size[1],
        "wspace": 0.05,
        "hspace": 0.2 / height,
    }
    _, axes = plt.subplots(
        len(rows), columns, figsize=size, squeeze=False, gridspec_kw=spaces
    )
    for line, (name, images) in zip(axes, rows.items(), strict=True):
        line[0].set_title(name, fontsize=8, loc="left", pad=2)
        for axis in line:
            axis.axis("off")
        for axis, image in zip(line, images, strict=False):
            axis.imshow(np.squeeze(image), cmap="gray", vmin=0, vmax=255)
    plt.show()


def curves(logs, names=None):
    """Draws {name: [a number for each step]}, of `names` or all, smoothed where there
    are many steps; NaN is a gap.
    """
    _, axis = plt.subplots(figsize=(7, 2.2), layout="tight")
    # Some come in a later stage alone.
    for name in (name for name in names or logs if name in logs):
        width = max(1, len(logs[name]) // 50)
        smooth = np.convolve(logs[name], np.ones(width) / width, "valid")
        axis.plot(np.arange(len(smooth)) + width / 2, smooth, label=name)
    axis.legend(fontsize=8)
    axis.set_xlabel("step")
    plt.show()


def table(rows):
    """Shows {row: {column: number}}, as `evaluate` of every model returns it."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = ["| | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for name, row in rows.items():
        lines.append(
            f"| {name} | "
            + " | ".join(f"{row[c]:.4g}" if c in row else "" for c in columns)
            + " |"
        )
    display(Markdown("\n".join(lines)))


def code(*objects):
    """Shows the source of functions or classes."""
    display(
        Markdown(
            "```python\n"
            + "\n\n".join(inspect.getsource(each) for each in objects)
            + "```"
        )
    )


class Watch:
    """Says which networks have moved.

    `Watch(generator=..., discriminator=...)`, a step, `moved()`.
    """

    def __init__(self, **networks):
        self.networks = networks
        self.before = self._weights()

    def moved(self):
        """The names of the networks that have changed since the last call."""
        now, before = self._weights(), self.before
        self.before = now
        return [
            name
            for name in now
            if any((a != b).any() for a, b in zip(now[name], before[name], strict=True))
        ]

    def _weights(self):
        return {
            name: [
                np.array(keras.ops.convert_to_numpy(v))
                for v in network.trainable_variables
            ]
            for name, network in self.networks.items()
        }


class Live(keras.callbacks.Callback):
    """Draws curves and sample pictures in place of what stood there before.

    Args:
        sample: a function without arguments that makes the rows for `show`.
        names: of the logs to draw; None is all.
        every: steps from one drawing to the next.

    Attributes:
        logs: {name: [its number in each step]}; NaN in steps of another stage.
    """

    def __init__(self, sample, names=None, every=50):
        super().__init__()
        self.sample, self.names, self.every, self.steps, self.logs = (
            sample,
            names,
            every,
            0,
            {},
        )

    def on_train_batch_end(self, step, logs):
        self.steps += 1
        for name in self.logs | logs:
            self.logs.setdefault(name, [np.nan] * (self.steps - 1)).append(
                logs.get(name, np.nan)
            )
        if self.steps % max(1, self.every) == 0:
            self.draw()

    def on_train_end(self, logs=None):
        self.draw()

    def draw(self):
        clear_output(wait=True)
        curves(self.logs, self.names)
        show(self.sample())
