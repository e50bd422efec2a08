"""`python -m zoo`, and copying: with the zoo not importable where it must not be."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys

import pytest
from conftest import (
    CYCLEGAN_TINY,
    DEBLUR_TINY,
    DUALGAN_TINY,
    PIX2PIX_TINY,
    ROOT,
    SRGAN_TINY,
    TINY,
)

from zoo import dcgan
from zoo.__main__ import copy, main, models

MODELS = list(models())
COMMON = sorted(file.stem for file in (ROOT / "zoo/common").glob("[a-z]*.py"))
SMALL = {
    "cyclegan": CYCLEGAN_TINY,
    "dualgan": DUALGAN_TINY,
    "dcgan": TINY,
    "deblur": DEBLUR_TINY,
    "pix2pix": PIX2PIX_TINY,
    "srgan": SRGAN_TINY,
}
KERAS = tuple(map(int, importlib.metadata.version("keras").split(".")[:2]))
# PyTorch starts fastest, where Keras does not look for TensorFlow.
FASTEST = "torch" if importlib.util.find_spec("torch") and KERAS >= (3, 15) else None


def start(code, args, cwd, path=(), backend=FASTEST):
    """Starts Python on code, where of all zoos only those in `path` can be imported.

    Args:
        code: begins after the line that takes the zoo of this folder away.
        args: sys.argv.
        path: folders in which modules are found beside those in `cwd`.
    """
    env = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHONPATH", "TF"))
    }
    env |= {"KERAS_BACKEND": backend, "OMP_NUM_THREADS": "1"} if backend else {}
    program = [
        "import os, runpy, sys",
        "sys.modules |= {'tensorflow': None} if 'torch' in os.environ.values() else {}",
        "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in str(f)]",
        f"sys.path[:] = ['', *{list(map(str, path))}, *[p for p in sys.path[1:] if p "
        f"!= {str(ROOT)!r}]]",
        f"sys.argv = {list(map(str, args))}",
        code,
    ]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-c", "\n".join(program)]
    return subprocess.Popen(command, cwd=cwd, env=env, **pipes)


def finish(process):
    """(stdout, stderr) without what differs from process to process."""
    out, err = process.communicate(timeout=600)
    assert process.returncode == 0, err[-3000:]
    lines = [line for line in out.splitlines() if line and "━" not in line]
    # TensorFlow's first notes, which no setting turns off.
    notes = re.compile(r"WARNING: All log|[IWE]\d{4} |To enable the following")
    return lines, [line for line in err.splitlines() if not notes.match(line)]


def refusal(capsys, *args):
    """The only line on stderr of `python -m zoo ARGS`, which must be refused."""
    with pytest.raises(SystemExit) as end:
        main([str(arg) for arg in args])
    _, err = capsys.readouterr()
    assert end.value.code == 2 and err.startswith("error: ") and err.count("\n") == 1
    return err


def test_list_names_every_model_without_importing_keras():
    code = "import sys; from zoo.__main__ import main; main([]); assert not {'keras', 'numpy'} & set(sys.modules)"
    out = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert all(f"  {name} " in out for name in MODELS)


@pytest.mark.skipif(os.name == "nt", reason="head")
def test_a_reader_that_stops_early():
    command = f"{sys.executable} -m zoo | true"
    for _ in range(3):
        done = subprocess.run(
            command, shell=True, cwd=ROOT, capture_output=True, text=True
        )
        assert done.stderr == ""


def test_importing_builds_and_prints_nothing():
    names = [f"zoo.common.{name}" for name in COMMON if name != "live"]
    names += [f"zoo.{name}" for name in MODELS]
    code = "import keras\ndef built(*args, **kwargs): raise AssertionError\n"
    code += (
        "keras.layers.Layer.__init__ = keras.optimizers.Optimizer.__init__ = built\n"
    )
    code += "\n".join(f"import {name}" for name in names)
    out, err = finish(start(code, [], ROOT, [ROOT]))
    assert out == [] and "Warning" not in "\n".join(err)


def test_two_ways_to_call_a_model(capsys):
    assert "argument --epochs: 0 should be" in refusal(capsys, "dcgan", "--epochs", 0)
    for words in (["--epochs", "0"], ["--help"]):
        with pytest.raises(SystemExit):
            main(["dcgan", *words])
        one = capsys.readouterr()
        with pytest.raises(SystemExit):
            dcgan.main(words)
        assert one == capsys.readouterr()


def test_the_nearest_name(capsys):
    assert "did you mean srgan?" in refusal(capsys, "srgna", "--epochs", 5)
    assert "did you mean dcgan?" in refusal(capsys, "copy", "dgcan", "there")
    assert "did you mean copy?" in refusal(capsys, "coppy", "dcgan", "there")
    assert "there are cyclegan, dcgan" in refusal(capsys, "xyzzy")


def test_a_backend_that_is_none():
    command, env = [sys.executable, "-m", "zoo"], {"KERAS_BACKEND": "pytorch"}
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | env, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: KERAS_BACKEND is pytorch: here it can be ")


def test_copy_says_how_to_go_on(tmp_path, capsys):
    main(["copy", "dcgan", str(tmp_path / "my course")])
    out, _ = capsys.readouterr()
    assert f"cd '{tmp_path}/my course' && python dcgan.py --epochs 5" in out


def test_copy_refuses(tmp_path, capsys):
    (tmp_path / "b/dcgan.py").mkdir(parents=True)
    refusal(capsys, "copy", "dcgan", tmp_path / "b")
    assert "empty" in refusal(capsys, "copy", "dcgan", "")
    assert "there is no model 'nothing'" in refusal(capsys, "copy", "nothing", tmp_path)
    for folder, changed in (("c", "dcgan.py"), ("d", "zoo/common/cli.py")):
        there = tmp_path / folder
        copy("dcgan", there)
        (there / changed).write_text("mine")
        capsys.readouterr()
        assert "already" in refusal(capsys, "copy", "dcgan", there)
        assert (there / changed).read_text() == "mine"
    refusal(capsys, "copy", "dcgan", tmp_path / "c/dcgan.py/b")


@pytest.mark.parametrize("name", MODELS)
def test_copies_are_byte_for_byte(name, tmp_path):
    copy(name, tmp_path)
    found = {p.relative_to(tmp_path) for p in tmp_path.rglob("*") if p.is_file()}
    tops = {path for path in found if len(path.parts) == 1}
    first = {"inpaint": {"inpaint.py", "dcgan.py"}}.get(name, {f"{name}.py"})
    assert set(map(str, tops)) == first
    for path in found:
        source = ROOT / "zoo" / path if path in tops else ROOT / path
        source = source if source.exists() else ROOT / path.relative_to("zoo")
        assert (tmp_path / path).read_bytes() == source.read_bytes()
    inner = {path.relative_to("zoo") for path in found - tops}
    common = {str(path) for path in inner if path.parts[0] == "common"}
    assert common == {f"common/{stem}.py" for stem in ("__init__", *COMMON)}
    runs = {"inpaint": ["dcgan"], "pix2pix": ["pix2pix", "pix2pix-drawing"]}
    files = {p.relative_to(ROOT / "zoo") for run in runs.get(name, [name])
             for p in (ROOT / "zoo/weights" / run).glob("*")}  # fmt: skip
    assert {p for p in inner if p.parts[0] == "weights"} == files
    assert {str(p) for p in inner if len(p.parts) == 1} == {"__init__.py"}


def test_copies_of_two_models_share_a_folder(tmp_path, capsys):
    copy("dcgan", tmp_path)
    copy("inpaint", tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"dcgan.py", "inpaint.py", "zoo"}
    out, _ = capsys.readouterr()
    assert "python dcgan.py --epochs 5 && python inpaint.py" in out  # what comes first


# What a student would try first with the file alone, and with a generator of their own.
ALONE = """
import contextlib, importlib, importlib.util, io, runpy, sys
import numpy as np
from keras import Input, Sequential, layers

zeros = np.zeros((8, 32, 32, 3), "uint8")


def conv(filters):
    return layers.Conv2D(filters, 3, padding="same", activation="tanh")


def own(channels=3, filters=3, side=None):
    return Sequential([Input((side, side, channels)), conv(filters)])


def four():
    return Sequential([Input((None, None, 3)), layers.UpSampling2D(4), conv(3)])


def from_noise():
    shape = layers.Reshape((32, 32, 3))
    return Sequential([Input((8,)), layers.Dense(32 * 32 * 3, "tanh"), shape])


def dcgan(m, D):
    yield m.DCGAN(m.build_generator((32, 32, 3), 8, 4))
    yield m.DCGAN(from_noise(), D((32, 32, 3), 4))


def inpaint(m, _):
    D = Sequential([Input((32, 32, 3)), layers.Flatten(), layers.Dense(1)])
    yield m.Inpainter(from_noise(), D, iterations=2)


def srgan(m, D):
    for G in (m.build_generator(4, 1, 4), four()):
        yield m.SRGAN(G, D(32, 4), layers.Identity(), pretrain=0.5)


def pix2pix(m, D):
    for G in (m.build_generator(32, filters=2), own(1, 2, 32)):
        yield m.Pix2Pix("colorize", G, D(32, filters=2))


def deblur(m, D):
    for G in (m.build_generator(2), own()):
        yield m.Deblurrer(G, D(32, 2))


def cyclegan(m, D, blocks=1):
    G = m.build_generator
    for pair in ([G(blocks, 2, name=name) for name in "FG"], [own(), own()]):
        both = *pair, D(32, 2, name="D_X"), D(32, 2, name="D_Y")
        yield m.CycleGAN(*both) if hasattr(m, "CycleGAN") else m.DualGAN(*both)


def dualgan(m, D):
    return cyclegan(m, D, 3)


for name in sys.argv[1:]:
    sys.path[0] = name  # a folder with that file and nothing else
    assert importlib.util.find_spec("zoo") is None
    module = importlib.import_module(name)
    for gan in globals()[name](module, getattr(module, "build_discriminator", None)):
        if name == "inpaint":
            masks = module.make_masks("center", 8, 32)
            assert not gan.complete(zeros, masks)[~masks].any()
        else:
            images = (zeros, zeros) if name in ("cyclegan", "dualgan") else zeros
            assert gan.train(images, epochs=1, batch_size=4).epoch == [0], name
    said, stderr = [], io.StringIO()
    try:
        type(gan).pretrained()
    except ModuleNotFoundError as error:
        said.append(str(error))
    sys.argv = [f"{name}.py", "--epochs", "1"]
    try:
        with contextlib.redirect_stderr(stderr):
            runpy.run_path(f"{name}/{name}.py", run_name="__main__")
    except SystemExit as end:
        assert end.code == 2
    error, _, line = stderr.getvalue().removesuffix("\\n").partition("error: ")
    assert error == "" and line
    for line in [*said, line]:
        assert f"python -m zoo copy {name}" in line and "\\n" not in line, line
    print(name, len(said))
"""


@pytest.mark.slow
def test_files_alone(tmp_path):
    """Each file in a folder of its own; in one process, whose start takes longest."""
    for name in MODELS:
        (tmp_path / name).mkdir()
        shutil.copy(ROOT / f"zoo/{name}.py", tmp_path / name)
    out, _ = finish(start(ALONE, ["-c", *MODELS], tmp_path))
    assert out == [f"{name} 1" for name in MODELS]  # pretrained says what is missing


FILE = "runpy.run_path(sys.argv[0], run_name='__main__')"
MODULE = "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
WHERE = """
import zoo.common.cli, zoo.pix2pix
print("common is", zoo.common.cli.__file__)
print("another model is", zoo.pix2pix.__file__)
"""


def installed(folder):
    """Installs the zoo into a folder, as pip does, and returns the folder."""
    source = folder.with_name("source")
    source.mkdir()
    for part in ("zoo", "data", "pyproject.toml", "requirements.txt", "README.md"):
        there = shutil.copytree if (ROOT / part).is_dir() else shutil.copyfile
        there(ROOT / part, source / part)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"]
    version = tuple(map(int, importlib.metadata.version("setuptools").split(".")[:1]))
    pip += ["--no-build-isolation"] if version >= (77,) else []
    subprocess.run([*pip, "--no-deps", "--target", folder, source], check=True)
    return folder


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with an installed zoo."""
    return installed(tmp_path_factory.mktemp("pip") / "site-packages")


# What DCGAN says of the faces.
FEW = ["warning: 80 images are few: expect noise, or copies"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, backend", [*((name, FASTEST) for name in SMALL), ("dcgan", "tensorflow")]
)
def test_a_copy_does_what_the_zoo_does(name, backend, tmp_path, capsys, site):
    there, elsewhere = tmp_path / "coursework", tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy(name, there)
    args = [*SMALL[name], "--epochs"]
    copied = start(FILE, [f"{name}.py", *args, 1], there, backend=backend)
    ours = start(MODULE, [f"zoo.{name}", *args, 1], elsewhere, [ROOT], backend)
    (out, err), (our_out, our_err) = finish(copied), finish(ours)
    assert [
        line.replace(f"python {name}.py", f"python -m zoo.{name}") for line in out
    ] == our_out
    assert f"  python {name}.py --epochs 2   to train on" in out
    few = FEW if name == "dcgan" else []
    assert err == our_err == few
    history = (there / f"runs/{name}/history.csv").read_text()
    assert history == (elsewhere / f"runs/{name}/history.csv").read_text()
    # Where a zoo is installed too, both ways of calling go on with the same run. The
    # copy's `common` comes first; other models are found in the installed zoo.
    code = (
        f"{FILE}\nsys.argv[:] = ['zoo.{name}', *sys.argv[1:-1], '3']\n{MODULE}{WHERE}"
    )
    out, err = finish(start(code, [f"{name}.py", *args, 2], there, [site], backend))
    assert err == 2 * few
    assert [line for line in out if "going on" in line] == [
        f"runs/{name}: going on after epoch {epoch}" for epoch in (1, 2)
    ]
    assert out[-2:] == [
        f"common is {there / 'zoo/common/cli.py'}",
        f"another model is {site / 'zoo/pix2pix.py'}",
    ]


@pytest.mark.slow
def test_a_copied_inpaint(tmp_path, site):
    copy("inpaint", tmp_path)
    code = f"{FILE}\nsys.argv = ['inpaint.py', '--iterations', '2']\n{FILE}"
    args = ["dcgan.py", "--epochs", 1, *TINY]
    out, err = finish(start(code, args, tmp_path))
    assert "wrote runs/inpaint/output.png" in out and err == FEW


@pytest.mark.parametrize("name", [*MODELS, *(f"common/{name}" for name in COMMON)])
def test_no_file_names_a_backend_or_another_model(name):
    source = (ROOT / "zoo" / f"{name}.py").read_text()
    nodes = [
        n
        for n in ast.walk(ast.parse(source))
        if isinstance(n, (ast.Import, ast.ImportFrom))
    ]
    imported = {
        part
        for n in nodes
        for a in n.names
        for part in f"{getattr(n, 'module', '')}.{a.name}".split(".")
    }
    assert not imported & {"tensorflow", "jax", "torch"}
    assert not imported & set(MODELS)


def test_no_paths_of_this_machine():
    ours = (
        "zoo",
        "tests",
        "benchmarks",
        "images",
        "notebooks",
        "data/README.md",
        ".ci",
    )
    files = [
        p for name in ours for p in (ROOT / name, *(ROOT / name).rglob("*"))
    ] + list(ROOT.glob("*.*"))
    files = [
        p
        for p in files
        if p.suffix in (".py", ".md", ".toml", ".txt", ".json", ".ipynb")
        or p.name == "run"
    ]
    assert len(files) > 80
    pattern = re.compile(r"/(home|Users|root|work|mnt)/\w|[A-Z]:\\\\Users")
    assert not [
        p for p in files if p.is_file() and pattern.search(p.read_text("utf-8"))
    ]
