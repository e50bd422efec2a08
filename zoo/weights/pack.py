"""Makes a ready generator of a finished run: its networks with float16 weights.

    python zoo/weights/pack.py runs/dcgan

It writes zoo/weights/dcgan/: the .keras files of the run, which Keras loads as float32,
and the options that they were trained with. README.md, beside this file, has the
command, the data and the figures of each.
"""

import io
import json
import sys
import zipfile
from pathlib import Path

import h5py

HERE = Path(__file__).parent
NEWER = ("quantization_config", "renorm")  # arguments of layers since Keras 3.10
KEPT = ("generator", "discriminator", "generator_ab", "generator_ba", "srresnet")


def halved(file):
    """The bytes of a .keras file, its weights rounded to float16."""
    packed, weights = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(packed, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "model.weights.h5":
                with h5py.File(io.BytesIO(data)) as f, h5py.File(weights, "w") as g:
                    copy(f, g)
                data = weights.getvalue()
            if name == "config.json":
                data = json.dumps(plain(json.loads(data))).encode()
            new.writestr(name, data, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def plain(config):
    """The configuration without what Keras 3.10 does not know and refuses."""
    if isinstance(config, list):
        return [plain(each) for each in config]
    if not isinstance(config, dict):
        return config
    if str(config.get("module", "")).startswith("keras.src.ops"):
        config = config | {"config": dict(config["config"])}
        config["config"].pop("name", None)
    return {n: plain(value) for n, value in config.items() if not n.startswith(NEWER)}


def copy(group, other):
    """Copies an HDF5 group into another, float32 as float16."""
    other.attrs.update(group.attrs)
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            copy(item, other.create_group(name))
        else:
            kind = "float16" if item.dtype == "float32" else item.dtype
            other.create_dataset(name, data=item[()].astype(kind))


def main(run):
    folder = HERE / run.name
    folder.mkdir(exist_ok=True)
    options = json.loads((run / "options.json").read_text())
    for name in ("run", "fresh", "pretrained", "ready", "output", "devices"):
        options.pop(name, None)
    for name in options.pop("paths"):  # the images of other people's disks
        options.pop(name)
    text = json.dumps(options, indent=2)
    (folder / "options.json").write_text(text + "\n")
    for file in sorted((run / "checkpoint").glob("*.keras")):
        if file.stem in KEPT:
            (folder / file.name).write_bytes(halved(file))
            print(folder / file.name, (folder / file.name).stat().st_size)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
