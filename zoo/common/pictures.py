"""Pictures of a run: captioned sheets, films, curves, and the run as one page."""

import html
import io
import json
import math
import os
from pathlib import Path

import imageio.v3 as iio
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from skimage.util import montage

TEXT = 14  # pixels, height of the captions


def grid(images, columns=None):
    """uint8 images (count, height, width, channels) as one picture.

    Args:
        columns: images in a row; None makes the grid about square.
    """
    columns = columns or math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    return montage(
        images,
        grid_shape=(rows, columns),
        padding_width=2,
        fill=[255] * images.shape[-1],
        channel_axis=-1,
    )


def side_by_side(*series):
    """Series of uint8 images (count, height, width, channels) as columns of one
    picture.

    The picture has as many rows as the shortest series.
    """
    rows = zip(*series, strict=False)
    return grid(np.stack([image for row in rows for image in row]), len(series))


def enlarged(images, side):
    """Repeats the pixels of small images by a whole factor, to about `side` pixels."""
    factor = max(1, round(side / max(images.shape[1:3])))
    return images.repeat(factor, axis=1).repeat(factor, axis=2)


def sheet(sample, title="", columns=None):
    """A sample as one picture with captions: uint8 (height, width, 3).

    Args:
        sample: uint8 images (count, height, width, channels), which become a grid; or
            {caption: such images}, a column for each caption.
        title: text over the picture.
        columns: images in a row of a grid; None makes it about square.
    """
    named = sample if isinstance(sample, dict) else {"": sample}
    series = [np.asarray(images) for images in named.values()]
    series = [np.repeat(x, 3, axis=3) if x.shape[3] == 1 else x for x in series]
    if isinstance(sample, dict):
        series = [enlarged(x, 160) for x in series]
        picture = side_by_side(*series)
    else:
        picture = grid(enlarged(series[0], 96), columns)
    height, width = picture.shape[:2]
    top = (bool(title) + any(named)) * (TEXT + 6)
    result = Image.new("RGB", (width, height + top), "white")
    result.paste(Image.fromarray(picture), (0, top))
    draw, font = ImageDraw.Draw(result), ImageFont.load_default(TEXT)
    if title:
        draw.text((4, 2), title, "black", font)
    for i, caption in enumerate(named):
        place = (4 + i * width // len(named), top - TEXT - 4)
        draw.text(place, _cut(caption, width // len(named) - 6, font), "black", font)
    return np.asarray(result)


def _cut(text, width, font):
    """The text, shortened where it is wider than `width` pixels."""
    while text and font.getlength(text) > width:
        text = text[:-2].rstrip() + "."
    return text


def save_picture(path, image):
    """Writes a uint8 image (height, width[, 1 or 3]) as PNG."""
    image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    write(Path(path), iio.imwrite("<bytes>", image, extension=".png"))


def save_gif(path, images):
    """Writes uint8 images (height, width[, 1 or 3]) of one shape as a film."""
    grey = [i[..., 0] if i.ndim == 3 and i.shape[2] == 1 else i for i in images]
    options = {"extension": ".gif", "duration": 300, "loop": 0}
    write(Path(path), iio.imwrite("<bytes>", np.stack(grey), **options))


# Curves

BALANCE = "0.5: D can't tell real from generated"


def plot_history(history, title=""):
    """Draws what a training has logged, as curves over the epochs.

    Args:
        history: what `train` returns, or the rows of history.csv as dictionaries.

    Returns:
        a matplotlib Figure: losses of about the same size share a panel, D's scores for
        real and generated images have one of their own.
    """
    from matplotlib.figure import Figure  # here, so that --help does not wait for it
    from matplotlib.ticker import MaxNLocator

    points = _points(history)
    panels = _panels(points)
    across = min(3, len(panels))
    down = math.ceil(len(panels) / across)
    figure = Figure(figsize=(4.6 * across, 3.1 * down), layout="constrained")
    if title:
        figure.suptitle(title)
    axes = np.ravel(figure.subplots(down, across, squeeze=False))
    for axis, names in zip(axes, panels, strict=False):
        for name in names:
            marker = "." if len(points[name][0]) < 30 else None
            axis.plot(*points[name], marker=marker, label=name)
        if _is_score(names[0]):
            low, high = axis.get_ylim()
            axis.set_ylim(min(low, 0), max(high, 1))
            axis.axhline(0.5, color="grey", linestyle=":", label=BALANCE)
        axis.set_title(_panel_title(names), fontsize=10)
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.legend(fontsize=8)
    for axis in axes[len(panels) :]:
        axis.axis("off")
    return figure


def _points(history):
    """{name: ([epochs], [values])} of a Keras History or of rows."""
    if hasattr(history, "history"):
        rows = []
        for name, values in history.history.items():
            # A loss of a later stage has fewer values: they are those of the last
            # epochs.
            epochs = [epoch + 1 for epoch in history.epoch][-len(values) :]
            if name.startswith("pretrain"):
                epochs = [epoch + 1 for epoch in history.epoch][: len(values)]
            rows += [{"epoch": e, name: v} for e, v in zip(epochs, values, strict=True)]
    else:
        rows = history
    points = {}
    for row in rows:
        for name, value in row.items():
            if name != "epoch":
                epochs, values = points.setdefault(name, ([], []))
                epochs.append(row["epoch"])
                values.append(value)
    return points


def _is_score(name):
    return name.endswith(("real", "fake"))


def _panels(points):
    """Names that share a panel: scores, losses of about one size, the rest alone."""
    losses = [name for name in points if "loss" in name]
    scores = [name for name in points if _is_score(name)]
    sizes = {name: float(np.median(np.abs(points[name][1]))) for name in losses}
    panels, previous = [], None
    for name in sorted(losses, key=sizes.get, reverse=True):
        alone = name.startswith("pretrain") or previous is None
        if (
            alone
            or sizes[name] * 8 < sizes[previous]
            or previous.startswith("pretrain")
        ):
            panels.append([])
        panels[-1].append(name)
        previous = name
    panels = [sorted(panel, key=losses.index) for panel in panels]
    for start in ("d_a_", "d_b_", "d_real", "d_fake"):
        panels.append([name for name in scores if name.startswith(start)])
    panels[-2:] = [panels[-2] + panels[-1]]
    gaps = [name for name in points if name.startswith("gap")]
    rest = [[name] for name in points if name not in {*losses, *scores, *gaps}]
    return [panel for panel in (*panels, gaps, *rest) if panel]


def _panel_title(names):
    if _is_score(names[0]):
        return "mean score of real and generated images"
    return "losses" if len(names) > 1 and "loss" in names[0] else names[0]


def save_curves(path, rows, title=""):
    """Draws the rows of history.csv into a PNG file, see `plot_history`."""
    picture = io.BytesIO()
    plot_history(rows, title).savefig(picture, format="png", dpi=110)
    write(Path(path), picture.getvalue())


# The run as one page

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; color: #222 }
img { max-width: 100%; height: auto }
h2 { margin-top: 2rem }
table { border-collapse: collapse }
td, th { padding: .2rem .8rem; text-align: left; border-bottom: 1px solid #ddd }
code { background: #f4f4f4; padding: .1rem .3rem }
.epochs { display: flex; flex-wrap: wrap; gap: 1rem }
.epochs img { max-width: 28rem }
"""


def write_page(folder, title, command):
    """Writes index.html: the run in `folder` as one page, to look at and to hand in."""
    folder = Path(folder)
    parts = [f"<h1>{html.escape(title)}</h1><code>{html.escape(command)}</code>"]
    samples = sorted(folder.glob("samples/epoch_*.png"))
    samples = [f"samples/{f.name}" for f in sorted(samples, key=lambda f: len(f.name))]
    if samples:
        parts.append(f"<h2>After the last epoch</h2>{_picture(samples[-1])}")
    if (folder / "curves.png").exists():
        parts.append(f"<h2>Curves</h2>{_picture('curves.png')}")
    if len(samples) > 2:
        places = np.linspace(0, len(samples) - 1, min(6, len(samples))).astype(int)
        few = "".join(_picture(samples[i]) for i in places)
        parts.append(f'<h2>Over the epochs</h2><div class="epochs">{few}</div>')
    if (folder / "samples/samples.gif").exists():
        parts.append('<p><a href="samples/samples.gif">all epochs as a film</a></p>')
    if (file := folder / "evaluation.json").exists():
        parts.append("<h2>Evaluation</h2>" + _table(json.loads(file.read_text())))
    if (file := folder / "options.json").exists():
        options = json.loads(file.read_text(encoding="utf-8-sig"))
        versions = options.pop("versions", {})
        shown = {k: {"": v} for k, v in options.items() if not isinstance(v, dict)}
        shown |= {k: {"": v} for k, v in versions.items()}
        parts.append("<h2>Options and versions</h2>" + _table(shown))
    body = "\n".join(parts)
    text = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE}</style></head>\n"
        f"<body>{body}</body></html>\n"
    )
    write(folder / "index.html", text.encode())


def _picture(file):
    return f'<img src="{file}" alt="{Path(file).stem.replace("_", " ")}">'


def _table(rows):
    """{row: {column: value}} as HTML."""
    names = list(dict.fromkeys(name for row in rows.values() for name in row))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    lines = [f"<tr><th></th>{head}</tr>"] if any(names) else []
    for row, values in rows.items():
        cells = [values.get(name, "") for name in names]
        cells = [f"{cell:.4g}" if isinstance(cell, float) else cell for cell in cells]
        cells = "".join(f"<td>{html.escape(str(cell))}</td>" for cell in cells)
        lines.append(f"<tr><th>{html.escape(row)}</th>{cells}</tr>")
    return f"<table>{''.join(lines)}</table>"


def write(path, data):
    """Writes a file completely or not at all, even if another process writes it too."""
    new = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        new.write_bytes(data)
        os.replace(new, path)
    finally:
        new.unlink(missing_ok=True)
