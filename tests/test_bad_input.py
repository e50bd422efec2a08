"""The whole corpus of bad input, over every command of every model.

One line of advice, or a picture. Never harm.
"""

import importlib
import sys
import warnings

import imageio.v3 as iio
import numpy as np
import pytest
from conftest import (
    CYCLEGAN_TINY,
    DEBLUR_TINY,
    DUALGAN_TINY,
    PIX2PIX_TINY,
    SRGAN_TINY,
    TINY,
)
from corpus import (
    PICTURE,
    arrays,
    bad_pictures,
    bad_sources,
    bad_weights,
    encoded,
    odd_pictures,
    write,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from zoo.common import dataset, photos

resource = pytest.importorskip("resource")  # not on Windows

SMALL = {
    "cyclegan": [*CYCLEGAN_TINY, "--data", "domains"],
    "dcgan": TINY,
    "deblur": DEBLUR_TINY,
    "dualgan": [*DUALGAN_TINY, "--data", "domains"],
    "pix2pix": PIX2PIX_TINY,
    "srgan": SRGAN_TINY,
}
APPLY = {
    "cyclegan": "CycleGAN",
    "deblur": "Deblurrer",
    "dualgan": "DualGAN",
    "pix2pix": "Pix2Pix",
    "srgan": "SRGAN",
}
BOMBS = 2**31  # bytes of memory that a command may take beside what it has


def most_memory():
    """The most that this process has held, in bytes.

    MacOS counts them, Linux counts kilobytes.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (
        1 if sys.platform == "darwin" else 1024
    )


def module(name):
    return importlib.import_module(f"zoo.{name}")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    where = tmp_path_factory.mktemp("corpus")
    for kind in (bad_pictures, odd_pictures, bad_sources, bad_weights):
        write(where / kind.__name__, kind())
    pictures = [encoded(Image.effect_noise((40, 40), 9 + i)) for i in range(3)]
    domains = {
        half + side: {f"{side}{i}.png": picture for i, picture in enumerate(pictures)}
        for half in ("train", "test")
        for side in "AB"
    }
    write(where / "domains", domains)
    return where


@pytest.fixture(autouse=True)
def no_harm(corpus, tmp_path):
    """Nothing is run or written where it should not be, and memory stays bounded."""
    used = most_memory()
    before = sorted(corpus.rglob("*"))
    yield
    assert sorted(corpus.rglob("*")) == before
    assert not list(tmp_path.rglob("harmed")) and not list(
        tmp_path.parent.glob("climbed*")
    )
    assert most_memory() - used < BOMBS


@pytest.fixture
def built_once(monkeypatch):
    """Lets all commands of a test share one model, as building it takes most of their
    time: built_once(name).
    """

    def share(name):
        model = getattr(module(name), APPLY[name])
        built = []

        def build(*args, **kwargs):
            if not built:
                built.append(model(*args, **kwargs))
            return built[0]

        monkeypatch.setattr(module(name), model.__name__, build)

    return share


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    """Run folders of all models, made on first use."""
    where, made = tmp_path_factory.mktemp("runs"), set()

    def run(name):
        if name not in made:
            options = [str(corpus / o) if o == "domains" else o for o in SMALL[name]]
            module(name).main(
                [
                    "--epochs",
                    "1",
                    *options,
                    "--steps-per-epoch",
                    "1",
                    "--run",
                    str(where / name),
                ]
            )
            made.add(name)
        return where / name

    return run


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("source", bad_sources())
def test_bad_sources(name, source, corpus, refused):
    options = [o for o in SMALL[name] if o not in ("--data", "domains")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # which names the damaged pictures
        line = refused(
            module(name),
            "--epochs",
            1,
            *options,
            "--data",
            corpus / "bad_sources" / source,
        )
    assert len(line) < 600
    # The others need more images.
    if source.startswith("bomb") and name in ("deblur", "pix2pix", "srgan"):
        assert "unpacks to" in line


@pytest.mark.parametrize("name", APPLY)
@pytest.mark.usefixtures("eager")
def test_bad_pictures(name, corpus, trained, built_once, refused, monkeypatch):
    run = trained(name)
    built_once(name)
    for picture in sorted((corpus / "bad_pictures").iterdir()):
        line = refused(
            module(name), "--apply", picture, "--run", run, "--output", "made.png"
        )
        assert picture.name in line
    monkeypatch.setattr(photos, "read", lambda _: np.zeros(2**48))
    assert "use a smaller photo" in refused(
        module(name), "--apply", picture, "--run", run, "--output", "made.png"
    )


@pytest.mark.parametrize("name", APPLY)
def test_odd_pictures(name, corpus, trained, command, tmp_path):
    pictures, scale = (
        sorted((corpus / "odd_pictures").iterdir()),
        4 if name == "srgan" else 1,
    )
    status, out, err = command(
        module(name), "--apply", *pictures, "--run", trained(name), "--output", tmp_path
    )
    assert status == 0, err
    made = [
        line.removeprefix("wrote ")
        for line in out.splitlines()
        if line.startswith("wrote ")
    ]
    for picture, file in zip(pictures, made, strict=True):
        with Image.open(picture) as image:
            width, height = image.size[::-1] if picture.stem == "turned" else image.size
        assert iio.imread(file).shape[:2] == (height * scale, width * scale)


# Of two generators.
@pytest.mark.parametrize(
    "name", [name for name in APPLY if name not in ("cyclegan", "dualgan")]
)
def test_bad_weights(name, corpus, built_once, refused, tmp_path):
    built_once(name)
    iio.imwrite(tmp_path / "photo.png", PICTURE)
    for weights in sorted((corpus / "bad_weights").iterdir()):
        assert weights.name in refused(
            module(name), "--apply", "photo.png", "--weights", weights, *SMALL[name]
        )


TINIEST = Image.fromarray(PICTURE[:12, :12])
WHOLE = {
    f".{kind.lower()}": encoded(TINIEST, kind)
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP")
}
WHOLE |= {".npz": arrays(x=PICTURE[None])}


@settings(
    max_examples=2000,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data(), kind=st.sampled_from(sorted(WHOLE)))
def test_fuzz_the_loader(data, kind, tmp_path):
    """Whole files, with some bytes changed, cut out or put in.

    Images come out, or a DataError.
    """
    content = bytearray(WHOLE[kind])
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, max(0, len(content) - 1)))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.binary(max_size=3)
        )
    (tmp_path / "set").mkdir(exist_ok=True)
    for old in (tmp_path / "set").iterdir():
        old.unlink()
    file = tmp_path / "set" / f"a{kind}"
    file.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            source = file if kind == ".npz" else tmp_path / "set"
            images = dataset.load(source, 8, 1, batch_size=1, split="all")[0]
        except dataset.DataError:
            return
    assert images.shape == (1, 8, 8, 1) and abs(images).max() <= 1
