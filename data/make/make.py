"""Makes the image sets of this folder's parent again, from public packages.

    pip install -r data/make/requirements.txt
    python data/make/make.py avatars glasses emoji drawings photos --output FOLDER
    python data/make/make.py --check

Needs Node.js 18 or later with npm, for the photos apt-get and dpkg-deb, and a network:
npm and Debian packages are downloaded into a temporary folder.
"""

import argparse
import io
import json
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import resvg_py
from PIL import Image, ImageOps

HERE = Path(__file__).resolve().parent

# ---- avatars and glasses: people drawn by DiceBear ----

# Names and colours of the classes. Neighbours are far apart, so that a person can tell
# them at 32x32.
HAIR = {
    "black": "1c1c1c",
    "brown": "6b3513",
    "blond": "f0cf5a",
    "red": "c8321e",
    "blue": "1e90d2",
    "green": "7ac21a",
}
SKIN = {"light": "ffdbac", "medium": "cb9e6e", "dark": "8d5524"}
NAMES = {
    "hair": list(HAIR),
    "skin": list(SKIN),
    "glasses": ["no glasses", "glasses"],
    "hat": ["no hat", "hat"],
    "beard": ["no beard", "beard"],
}
# The hair's colour is a label, so it must be visible. These styles cover less than 12
# of 16x16 squares ...
TINY = {"short05", "short07", "short12", "short20", "short21", "short23"}
STYLES = [f"short{n:02}" for n in range(1, 25)] + [f"long{n:02}" for n in range(1, 22)]
STYLES = [style for style in STYLES if style not in TINY]
# ... and under a hat, only these leave 4 squares or more visible.
UNDER_HAT = {"short01", "short11", "short14", "short15", "short17", "short18"}
UNDER_HAT |= {f"long{n:02}" for n in range(1, 22)} - {"long14"}
# Not variant04, which is as small as a mouth.
BEARDS = [f"variant{n:02}" for n in (1, 2, 3, 5, 6, 7, 8)]


def describe_people(rng, count, prefix):
    """Labels and DiceBear options of `count` random people."""
    people = []
    for i in range(count):
        labels = {
            "hair": int(rng.integers(len(HAIR))),
            "skin": int(rng.integers(len(SKIN))),
            "glasses": int(rng.random() < 0.5),
            "hat": int(rng.random() < 0.25),
            "beard": int(rng.random() < 0.25),
        }
        styles = [s for s in STYLES if not labels["hat"] or s in UNDER_HAT]
        options = {
            # DiceBear draws all the rest (clothes, eyes, mouth ...) from its seed.
            "seed": f"{prefix}-{i}",
            "hair": [styles[rng.integers(len(styles))]],
            "hairColor": [list(HAIR.values())[labels["hair"]]],
            "skinColor": [list(SKIN.values())[labels["skin"]]],
            "glassesProbability": 100 * labels["glasses"],
            "hatProbability": 100 * labels["hat"],
            "beardProbability": 100 * labels["beard"],
            "beard": BEARDS,
        }
        people.append((labels, options))
    return people


def draw_people(options, packages):
    """Images of people, uint8 of shape (count, 32, 32, 3)."""
    result = subprocess.run(
        ["node", "avatars.mjs"],
        cwd=packages,
        input=json.dumps(options),
        capture_output=True,
        check=True,
        text=True,
    )
    return np.stack([draw(svg, 32) for svg in json.loads(result.stdout)])


def first_of_each(images):
    """Indices of the images that no earlier image equals."""
    seen = {}
    for i, image in enumerate(images):
        seen.setdefault(image.tobytes(), i)
    return list(seen.values())


def make_avatars(output, packages):
    # 1 % more than needed, because some people come twice.
    people = describe_people(np.random.default_rng(1), 10_100, "avatar")
    images = draw_people([options for _, options in people], packages)
    keep = first_of_each(images)[:10_000]
    assert len(keep) == 10_000
    arrays = {"x_train": images[keep[:9000]], "x_test": images[keep[9000:]]}
    for name, names in NAMES.items():
        labels = np.array([people[i][0][name] for i in keep], np.uint8)
        arrays[f"{name}_train"], arrays[f"{name}_test"] = labels[:9000], labels[9000:]
        arrays[f"{name}_names"] = np.array(names)
    np.savez_compressed(output / "avatars.npz", **arrays)


def make_glasses(output, packages):
    people = describe_people(np.random.default_rng(2), 4300, "glasses")
    options = [options for _, options in people]
    without = draw_people([o | {"glassesProbability": 0} for o in options], packages)
    keep = first_of_each(without)[:4200]
    assert len(keep) == 4200
    wearing = draw_people([o | {"glassesProbability": 100} for o in options], packages)
    np.savez_compressed(
        output / "glasses.npz",
        trainA=without[keep[:2000]],
        trainB=wearing[keep[2000:4000]],
        testA=without[keep[4000:]],
        testB=wearing[keep[4000:]],
    )


# ---- emoji and drawings ----

# Code points with these parts repeat another drawing in five skin tones or mirrored.
VARIANTS = {"1F3FB", "1F3FC", "1F3FD", "1F3FE", "1F3FF", "27A1"}
# Words that say who does something, not what is done.
WHO = {"man", "men", "woman", "women", "person", "people", "boy", "girl", "and"}


def concept(name):
    """The same for all drawings of one thing, as "man cook" and "woman cook"."""
    return " ".join(word for word in re.findall(r"\w+", name) if word not in WHO)


def is_colourful(image, share):
    """Whether more than this share of the pixels is far from grey."""
    image = image.astype(int)
    return (image.max(2) - image.min(2) > 40).mean() > share


def is_repeated(image, earlier):
    """Whether an earlier image is nearly equal. Adds this one to `earlier`."""
    small = Image.fromarray(image).convert("L").resize((32, 32), Image.Resampling.BOX)
    small = np.asarray(small).astype(np.int16)
    differences = [np.abs(np.array(earlier) - small).mean((1, 2))] if earlier else []
    earlier.append(small)
    return bool(np.any(np.array(differences) < 1.3))


def choose_concepts(names, count, rng):
    """`count` of the codes in `names`: all those of a concept or none of them."""
    members = {}
    for code, name in names.items():
        members.setdefault(concept(name), []).append(code)
    # The largest concept, families, would fill a third of the test split.
    groups = [group for group in members.values() if len(group) <= 6]
    chosen = []
    for i in rng.permutation(len(groups)):
        if len(chosen) + len(groups[i]) <= count:
            chosen += groups[i]
    return set(chosen)


def make_emoji(output, packages):
    names, twemoji = read_iconify(packages, "twemoji")
    _, noto = read_iconify(packages, "noto")
    images, earlier = {}, {"A": [], "B": []}
    for code in sorted(twemoji.keys() & noto.keys()):
        pair = {"A": draw(twemoji[code], 64), "B": draw(noto[code], 64)}
        colourful = all(is_colourful(image, 0.1) for image in pair.values())
        if colourful and not any(is_repeated(pair[s], earlier[s]) for s in "AB"):
            images[code] = pair
    names = {code: names[code] for code in images}
    rng = np.random.default_rng(3)
    test = choose_concepts(names, 100, rng)
    names = {code: name for code, name in names.items() if code not in test}
    train_a = choose_concepts(names, len(names) // 2, rng)
    with new_zip(output / "emoji.zip") as archive:
        for code, pair in images.items():
            for side, image in pair.items():
                # A code is in one of trainA and trainB, or in both of testA and testB.
                if code in test or (code in train_a) == (side == "A"):
                    split = "test" if code in test else "train"
                    add(archive, f"{split}{side}/{code}.png", as_png(image))


def read_iconify(packages, package):
    """The names and the SVG drawings of an Iconify package, by code point."""
    folder = packages / "node_modules" / "@iconify-json" / package
    data = json.loads((folder / "icons.json").read_text())
    categories = json.loads((folder / "metadata.json").read_text())["categories"]
    left_out = {*categories["Flags"], *categories["Symbols"]}
    names, drawings = {}, {}
    for code, name in json.loads((folder / "chars.json").read_text()).items():
        code = code.upper()
        name = data["aliases"].get(name, {}).get("parent", name)
        if name in left_out or VARIANTS & set(code.split("-")):
            continue
        icon = data["icons"][name]
        width = icon.get("width", data["width"])
        height = icon.get("height", data["height"])
        # A square view, with the drawing in its middle.
        side = max(width, height)
        view = f"{(width - side) / 2} {(height - side) / 2} {side} {side}"
        names[code] = name
        drawings[code] = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{view}">'
            f"{icon['body']}</svg>"
        )
    return names, drawings


def make_drawings(output, packages):
    folder = packages / "node_modules" / "openmoji"
    groups = {"flags", "symbols", "component", "extras-unicode"}
    subgroups = {"brand", "ui-element", "interaction", "flags", "symbol-other"}
    subgroups |= {"queer-symbols"}  # flags, too
    living_people = {"trump", "Greta Thunberg"}
    pairs, names, authors, earlier = {}, {}, {}, []
    for entry in json.loads((folder / "data" / "openmoji.json").read_text()):
        code, name = entry["hexcode"], entry["annotation"]
        if (
            VARIANTS & set(code.split("-"))
            or entry["group"] in groups
            or entry["subgroups"] in subgroups
            or name in living_people
        ):
            continue
        outline, colour = (
            draw((folder / kind / "svg" / f"{code}.svg").read_text(), 128)
            for kind in ("black", "color")
        )
        if is_colourful(colour, 0.025) and not is_repeated(outline, earlier):
            pairs[code] = np.concatenate([outline, colour], axis=1)
            names[code], authors[code] = name, entry["openmoji_author"]
    test = choose_concepts(names, len(pairs) // 10, np.random.default_rng(4))
    lines = ["file,name,author"]
    with new_zip(output / "drawings.zip") as archive:
        for code, pair in pairs.items():
            file = f"{'test' if code in test else 'train'}/{code}.png"
            add(archive, file, as_png(pair))
            lines.append(f'{file},"{names[code]}","{authors[code]}"')
        add(archive, "index.csv", "\n".join([*lines, ""]).encode())


# ---- photos ----

DEBIAN_PACKAGES = ["lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04"]
DEBIAN_VERSION = "20.04.0-2"
# The wallpapers that are photos; the other five are abstract patterns.
WALLPAPERS = {
    "Bridge_by_Sander_Klootwijk",
    "Dragonfly_by_Bolly",
    "Kleiber_by_Lukas_Baubkus",
    "Picture_0B_by_freespace",
    "Picture_1A_by_freespace",
    "Wine_by_Jakkub_Mede",
    "aitzgorri_by_Aitzol_Berasategi",
    "free_by_Peter_Nerlich",
    "friends_by_Aitzol_Berasategi",
    "greentock_by_Peter_Nerlich",
    "life_by_Aitzol_Berasategi",
    "picosdeeuropa_by_Aitzol_Berasategi",
    "seeding_by_Clements_Engelhardt",
    "sunset_by_Aitzol_Berasategi",
}
INSTALLED = {
    "skimage": ["data/astronaut.png", "data/chelsea.png"]
    + ["data/coffee.png", "data/rocket.jpg"],
    "sklearn": ["datasets/images/china.jpg", "datasets/images/flower.jpg"],
}
# An animal, a still life, a person, a landscape.
TEST_PHOTOS = {"chelsea", "coffee", "astronaut", "picosdeeuropa_by_aitzol_berasategi"}
# Earlier measurements used these two without loss and in their own size.
LOSSLESS = {"chelsea", "coffee"}


def make_photos(output, packages):
    files = {}
    for name in DEBIAN_PACKAGES:
        files |= read_deb(name, WALLPAPERS)
    for package, names in INSTALLED.items():
        # Looked up without an import, which would take seconds.
        folder = Path(find_spec(package).submodule_search_locations[0])
        files |= {Path(name).stem: (folder / name).read_bytes() for name in names}
    with new_zip(output / "photos.zip") as archive:
        for name, data in sorted((name.lower(), data) for name, data in files.items()):
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
            memory = io.BytesIO()
            if name in LOSSLESS:
                image.save(memory, "PNG", optimize=True)
            else:
                image.thumbnail((768, 768), Image.Resampling.LANCZOS)
                image.save(memory, "JPEG", quality=90, optimize=True)
            folder = "test" if name in TEST_PHOTOS else "train"
            suffix = "png" if name in LOSSLESS else "jpg"
            add(archive, f"{folder}/{name}.{suffix}", memory.getvalue())


def read_deb(package, stems):
    """Files of a Debian package by the names in `stems`, which have no suffix."""
    with tempfile.TemporaryDirectory() as folder:
        fetch = ["apt-get", "download", f"{package}={DEBIAN_VERSION}"]
        subprocess.run(fetch, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (deb,) = Path(folder).glob("*.deb")
        subprocess.run(["dpkg-deb", "--extract", deb, folder], check=True)
        files = [file for file in Path(folder).rglob("*") if file.stem in stems]
        return {file.stem: file.read_bytes() for file in files if file.is_file()}


# ---- shared by the sets ----


def draw(svg, size):
    """An SVG drawing on white as uint8 of shape (size, size, 3)."""
    png = resvg_py.svg_to_bytes(
        svg_string=svg,
        width=size,
        height=size,
        background="#ffffff",
        skip_system_fonts=True,
    )
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB"))


def as_png(image, colours=64):
    """A small PNG file of a drawing: a palette instead of three bytes a pixel."""
    palette = Image.fromarray(image).quantize(colours, dither=Image.Dither.NONE)
    memory = io.BytesIO()
    palette.save(memory, "PNG", optimize=True)
    return memory.getvalue()


def new_zip(path):
    # Not compressed: PNG and JPEG files are compressed already.
    return zipfile.ZipFile(path, "w", zipfile.ZIP_STORED)


def add(archive, name, data):
    # ZipInfo's date is 1980 on every day, so that the same images give the same file.
    archive.writestr(zipfile.ZipInfo(name), data)


def install_packages(folder):
    """npm's packages, in the versions of package-lock.json."""
    for name in ("package.json", "package-lock.json", "avatars.mjs"):
        shutil.copy(HERE / name, folder)
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit("npm was not found: install Node.js 18 or later")
    command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    subprocess.run(command, cwd=folder, check=True)


def read_set(path):
    """The arrays of an .npz, the decoded images of a .zip, by name."""
    if path.suffix == ".npz":
        with np.load(path) as data:
            return dict(data)
    with zipfile.ZipFile(path) as archive:
        return {
            name: np.frombuffer(archive.read(name), np.uint8)
            if name.endswith(".csv")
            else np.asarray(Image.open(archive.open(name)).convert("RGB"))
            for name in archive.namelist()
        }


def compare(made, kept):
    """What differs between two files of a set, as text; "" if nothing does."""
    if not kept.exists():
        return f"{kept.name} is missing"
    made, kept = read_set(made), read_set(kept)
    if made.keys() != kept.keys():
        return f"{len(made.keys() ^ kept.keys())} names are in one of the two alone"
    differ = [name for name in made if not np.array_equal(made[name], kept[name])]
    return f"{len(differ)} of {len(made)} differ: {differ[:3]}" if differ else ""


SETS = {
    "avatars": (make_avatars, "avatars.npz"),
    "glasses": (make_glasses, "glasses.npz"),
    "emoji": (make_emoji, "emoji.zip"),
    "drawings": (make_drawings, "drawings.zip"),
    "photos": (make_photos, "photos.zip"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*", metavar="SET", help=", ".join(SETS))
    parser.add_argument("--output", type=Path, help="folder for the sets")
    parser.add_argument(
        "--check",
        action="store_true",
        help="make the sets in a temporary folder and compare with those in data/",
    )
    args = parser.parse_args()
    names = args.sets or list(SETS)
    if unknown := set(names) - set(SETS):
        parser.error(f"no set {', '.join(unknown)}: the sets are {', '.join(SETS)}")
    if args.check == bool(args.output):
        parser.error("give either --output FOLDER or --check")
    same = True
    with tempfile.TemporaryDirectory() as temporary:
        packages = Path(temporary, "packages")
        output = args.output or Path(temporary, "sets")
        packages.mkdir()
        output.mkdir(parents=True, exist_ok=True)
        if set(names) != {"photos"}:
            install_packages(packages)
        for name in names:
            make, file = SETS[name]
            make(output, packages)
            if args.check:
                difference = compare(output / file, HERE.parent / file)
                same = same and not difference
                print(f"{name}: {difference or 'the same images'}", flush=True)
            else:
                size = (output / file).stat().st_size
                print(f"{name}: {file}, {size:,} bytes", flush=True)
    sys.exit(0 if same else 1)


if __name__ == "__main__":
    main()
