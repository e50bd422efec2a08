"""Draws the networks and the games of all models as SVG, from the models' own layers.

    python docs/images/diagrams.py

A box is a layer with weights and what follows it; the numbers are the shape of its
output. In a game, a green network is updated by this call, and a grey one is not.
"""

import html
import sys
from pathlib import Path

import keras

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from zoo import cyclegan, dcgan, deblur, dualgan, pix2pix, srgan  # noqa: E402

WIDTH, BOX, HEIGHT, GAP, COLUMNS = 700, 150, 52, 30, 4
FIRST = (  # layers that begin a box
    keras.layers.InputLayer, keras.layers.Dense, keras.layers.Conv2D,
    keras.layers.Conv2DTranspose, keras.layers.Add, keras.layers.Concatenate,
)  # fmt: skip
NAMES = {
    "InputLayer": "input", "Dense": "dense", "Conv2D": "conv",
    "Conv2DTranspose": "transp. conv", "Add": "add", "Concatenate": "join",
    "BatchNormalization": "batch norm", "GroupNormalization": "instance norm",
    "LeakyReLU": "leaky ReLU", "ReLU": "ReLU", "PReLU": "PReLU", "Dropout": "dropout",
}  # fmt: skip


def boxes(network):
    """[(first line, second line, shape)]: the layers, each box with what follows it."""
    found = []
    for layer in network.layers:
        kind = NAMES.get(type(layer).__name__, "")
        if kind == "" and hasattr(layer, "activation"):
            kind = layer.activation.__name__
        shape = " x ".join(str(n or "n") for n in layer.output.shape[1:])
        if isinstance(layer, FIRST) or not found:
            if hasattr(layer, "kernel_size"):
                kind += f" {layer.kernel_size[0]}, stride {layer.strides[0]}"
            found.append([kind, "", shape])
        else:
            flat = isinstance(layer, keras.layers.Flatten)
            found[-1][2] = found[-1][2] if flat else shape
            if kind and kind not in found[-1][1]:
                found[-1][1] += ", " * bool(found[-1][1]) + kind
    return repeated([tuple(box) for box in found])


def repeated(items):
    """Box sequences that repeat are drawn once: [(box, how often)]."""
    for length in range(1, 8):
        for start in range(len(items) - 2 * length):
            pattern, count = items[start : start + length], 1
            while items[start + count * length :][:length] == pattern:
                count += 1
            if count > 2:
                end = start + count * length
                middle = [(box, count) for box in pattern]
                before = [(box, 1) for box in items[:start]]
                return before + middle + [(box, 1) for box in items[end:]]
    return [(box, 1) for box in items]


class Svg:
    def __init__(self):
        self.parts = []

    def box(self, x, y, lines, colour="#eef3fb", width=BOX, height=HEIGHT):
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="5" '
            f'fill="{colour}" stroke="#57606a"/>'
        )
        lines = [line for line in lines if line]
        for i, line in enumerate(lines):
            at = y + height / 2 + 4 + (i - (len(lines) - 1) / 2) * 15
            self.text(x + width / 2, at, line, "middle")

    def text(self, x, y, line, anchor="start", size=10):
        self.parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}">'
            f"{html.escape(line)}</text>"
        )

    def arrow(self, *points):
        path = " ".join(f"{x},{y}" for x, y in points)
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="#57606a" '
            'marker-end="url(#tip)"/>'
        )

    def write(self, name, height):
        marker = (
            '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
            'markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z" fill="#57606a"/>'
            "</marker>"
        )
        text = "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} '
                f'{height}" font-family="sans-serif"><defs>{marker}</defs>',
                f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
                *self.parts,
                "</svg>\n",
            ]
        )
        (HERE / f"{name}.svg").write_text(text)
        print(f"docs/images/{name}.svg")


def draw_networks(name, networks):
    """All networks of a model below each other, four boxes in a line."""
    svg, y = Svg(), 8
    for title, network in networks.items():
        svg.text(4, y + 12, f"{title}: {network.count_params():,} weights", size=13)
        y += 24
        found = boxes(network)
        for i, (lines, count) in enumerate(found):
            x = 4 + i % COLUMNS * (BOX + GAP)
            if i and i % COLUMNS == 0:
                y += HEIGHT + 26
                above = y - 13
                right = 4 + (COLUMNS - 1) * (BOX + GAP) + BOX / 2
                svg.arrow((right, y - 26), (right, above), (x + BOX / 2, above),
                          (x + BOX / 2, y))  # fmt: skip
            elif i:
                svg.arrow((x - GAP, y + HEIGHT / 2), (x, y + HEIGHT / 2))
            times = f"  ({count} times)" if count > 1 else ""
            svg.box(x, y, [lines[0], lines[1], lines[2] + times])
        y += HEIGHT + 22
    svg.write(f"{name}-networks", y)


def path(tensor):
    """The networks and stops of the gradient on the way to a tensor, input first."""
    layer = tensor._keras_history.operation
    if isinstance(layer, keras.layers.InputLayer):
        return ["noise" if len(tensor.shape) == 2 else "image"]
    inputs = layer._inbound_nodes[tensor._keras_history.node_index].input_tensors
    before = path(inputs[0])
    if isinstance(layer, keras.Model):
        return [*before, layer]
    return [*before, "stop"] if "stop" in layer.name else before


def draw_game(name, gan):
    """A line for each output of each call: input, networks, loss."""
    svg, y = Svg(), 8
    names = {getattr(gan, n): n for n in gan.networks if hasattr(gan, n)}
    svg.text(4, y + 10, "green: updated by this call; grey: not; stop: no gradient")
    y += 20
    for player in gan.players:
        model = getattr(gan, player)
        svg.text(4, y + 12, f"the call of {player}", size=13)
        y += 22
        losses = model.loss if isinstance(model.loss, dict) else {}
        for output, tensor in model.output.items():
            if output not in losses:
                continue
            x, steps = 4, path(tensor)
            for i, step in enumerate(steps):
                trained = any(step is network for network in model.networks)
                if step == "stop":
                    svg.text(x - GAP / 2, y + 12, "stop", "middle", 9)
                    continue
                if i:
                    svg.arrow((x - GAP, y + 17), (x, y + 17))
                label = step if isinstance(step, str) else names.get(step, step.name)
                colour = "#c9f0d1" if trained else "#e4e6ea"
                colour = "white" if isinstance(step, str) else colour
                svg.box(x, y, [label], colour, BOX - 10, 34)
                x += BOX - 10 + GAP
            svg.arrow((x - GAP, y + 17), (x, y + 17))
            svg.text(x + 6, y + 21, f"loss: {output}")
            y += 44
        y += 6
    svg.write(f"{name}-game", y)


def main():
    small = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(4, 3)])
    gans = {
        "dcgan": dcgan.DCGAN(),
        "pix2pix": pix2pix.Pix2Pix("pairs"),
        "srgan": srgan.SRGAN(features=small),
        "deblur": deblur.Deblurrer(),
        "cyclegan": cyclegan.CycleGAN(),
        "dualgan": dualgan.DualGAN(),
    }
    for name, gan in gans.items():
        two = hasattr(gan, "generator_ab")  # both of a kind have the same layers
        chosen = ("generator_ab", "discriminator_a") if two else gan.networks
        chosen = [n for n in chosen if n != "srresnet"]
        draw_networks(name, {n: getattr(gan, n) for n in chosen})
        draw_game(name, gan)


if __name__ == "__main__":
    main()
