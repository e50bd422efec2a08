"""`python -m zoo`, and copying: with the zoo not importable where it must not be."""

import ast
import os
import re
import subprocess
import sys

import pytest
from conftest import CYCLEGAN_TINY, DEBLUR_TINY, DUALGAN_TINY, PIX2PIX_TINY, ROOT, SRGAN_TINY, TINY

from zoo.__main__ import GROUND_FLOOR, models

MODELS = list(models())


def run(args, cwd, status=0):
    """Python with the given arguments and without the zoo."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    program = "import sys; sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in str(f).lower()]; "
    program += f"sys.path = [p for p in sys.path if p != {str(ROOT)!r}]; sys.path.insert(0, ''); "
    program += "import importlib.util; assert importlib.util.find_spec('zoo') is None; "
    if args[0].endswith(".py"):
        program += f"sys.argv = {args!r}; import runpy; runpy.run_path({args[0]!r}, run_name='__main__')"
    else:
        program += args[0]
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == status, done.stderr[-3000:]
    return done.stdout, done.stderr


def zoo(*args, status=0, env=None):
    command = [sys.executable, "-m", "zoo", *map(str, args)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | (env or {}), capture_output=True, text=True)
    assert done.returncode == status
    return done.stdout, done.stderr


def test_list_names_every_model_without_importing_keras():
    out, _ = zoo()
    assert all(f"  {name} " in out for name in MODELS)
    code = "import sys; from zoo.__main__ import main; main([]); assert not {'keras', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.skipif(os.name == "nt", reason="head")
def test_a_reader_that_stops_early():
    for _ in range(3):
        done = subprocess.run(f"{sys.executable} -m zoo | true", shell=True, cwd=ROOT, capture_output=True, text=True)
        assert done.stderr == ""


def test_importing_prints_nothing():
    code = "; ".join(f"import zoo.{name}" for name in (*GROUND_FLOOR, *MODELS))
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == "" and "Warning" not in done.stderr


def test_a_model_is_called_by_its_own_name():
    _, err = zoo("dcgan", "--epochs", 5, status=2)
    assert err == "error: a model is called as `python -m zoo.dcgan --epochs 5`\n"


def test_a_backend_that_is_none():
    _, err = zoo(status=2, env={"KERAS_BACKEND": "pytorch"})
    assert err.startswith("error: KERAS_BACKEND is pytorch: it can be ") and err.count("\n") == 1


def test_copy_says_how_to_go_on(tmp_path):
    out, _ = zoo("copy", "dcgan", tmp_path / "my course")
    assert f"cd '{tmp_path}/my course' && python dcgan.py" in out


def test_copy_refuses(tmp_path):
    (tmp_path / "b/dcgan.py").mkdir(parents=True)
    _, err = zoo("copy", "dcgan", tmp_path / "b", status=2)
    assert err.startswith("error: ") and err.count("\n") == 1
    assert "empty" in zoo("copy", "dcgan", "", status=2)[1]
    _, err = zoo("copy", "nothing", tmp_path, status=2)
    assert "there is no model 'nothing'" in err and err.count("\n") == 1
    zoo("copy", "dcgan", tmp_path / "a")
    (tmp_path / "a/dcgan.py").write_text("mine")
    _, err = zoo("copy", "dcgan", tmp_path / "a", status=2)
    assert "already" in err and (tmp_path / "a/dcgan.py").read_text() == "mine"
    _, err = zoo("copy", "dcgan", tmp_path / "a/dcgan.py/b", status=2)
    assert err.startswith("error: ") and err.count("\n") == 1


def test_copies_of_two_models_share_a_folder(tmp_path):
    zoo("copy", "dcgan", tmp_path)
    out, _ = zoo("copy", "inpaint", tmp_path)
    assert {"dcgan", "inpaint", *GROUND_FLOOR} - {"domains"} == {p.stem for p in tmp_path.iterdir()}
    assert "python dcgan.py --epochs 5 && python inpaint.py" in out  # what comes first


TRAIN = "print(gan.train(images, epochs=1, batch_size=4).epoch)"
ALONE = {  # what a student would try first with the file alone
    "cyclegan": f"gan = cyclegan.CycleGAN(32, 1, 2); images = (np.zeros((4, 32, 32, 3), 'uint8'),) * 2; {TRAIN}",
    "dcgan": f"gan = dcgan.DCGAN((28, 28, 1), 8, 4); images = np.zeros((8, 28, 28, 1), 'uint8'); {TRAIN}",
    "deblur": f"gan = deblur.Deblurrer(2, size=32); images = np.zeros((8, 32, 32, 3), 'uint8'); {TRAIN}",
    "dualgan": f"gan = dualgan.DualGAN(32, 3, 2); images = (np.zeros((8, 32, 32, 3), 'uint8'),) * 2; {TRAIN}",
    "inpaint": (
        "from keras import Sequential, layers; images = np.zeros((2, 28, 28, 1), 'uint8'); "
        "g = Sequential([layers.Input((8,)), layers.Dense(784, 'tanh'), layers.Reshape((28, 28, 1))]); "
        "d = Sequential([layers.Input((28, 28, 1)), layers.Flatten(), layers.Dense(1)]); "
        "gan = inpaint.Inpainter(g, d, iterations=2); masks = inpaint.make_masks('center', 2, 28); "
        "print([int(gan.complete(images, masks)[~masks].max())])"
    ),
    "pix2pix": f"gan = pix2pix.Pix2Pix(size=32, filters=2); images = np.zeros((8, 32, 32, 3), 'uint8'); {TRAIN}",
    "srgan": f"gan = srgan.SRGAN(4, 1, 4, size=32, pretrain_steps=1); images = np.zeros((8, 32, 32, 3), 'u1'); {TRAIN}",
}
SMALL = {
    "cyclegan": CYCLEGAN_TINY,
    "dualgan": DUALGAN_TINY,
    "dcgan": TINY,
    "deblur": DEBLUR_TINY,
    "pix2pix": PIX2PIX_TINY,
    "srgan": SRGAN_TINY,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_file_alone(name, tmp_path):
    (tmp_path / f"{name}.py").write_text((ROOT / f"zoo/{name}.py").read_text())
    assert run([f"import numpy as np, {name}; {ALONE[name]}"], tmp_path)[0].endswith("[0]\n")
    if name != "dcgan":  # whose `ground_floor` all have, to the letter
        return
    _, err = run([f"{name}.py", "--epochs", "1"], tmp_path, status=2)
    line = err.strip().splitlines()[-1]
    assert line.startswith("error: ") and f"python -m zoo copy {name}" in line and "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_a_copied_model_does_what_the_zoo_does(name, tmp_path):
    zoo("copy", name, tmp_path / "coursework")
    copied = {p.stem for p in (tmp_path / "coursework").iterdir()}
    assert {name, "dataset", "metrics", "runs"} <= copied <= {name, "weights", *GROUND_FLOOR}
    weights = [p.relative_to(tmp_path / "coursework") for p in (tmp_path / "coursework").glob("weights/*")]
    assert weights == [p.relative_to(ROOT / "zoo") for p in (ROOT / "zoo").glob(f"weights/{name}.*")]
    run([f"{name}.py", "--epochs", "2", *SMALL[name]], tmp_path / "coursework")
    theirs = tmp_path / f"coursework/runs/{name}"
    assert len((theirs / "history.csv").read_text().splitlines()) == 3
    if name == "dcgan":  # the files are the same ones, so one will do
        command = [sys.executable, "-m", f"zoo.{name}", "--epochs", "2", *SMALL[name], "--run", tmp_path / "run"]
        subprocess.run(command, cwd=ROOT, check=True)
        assert (tmp_path / "run/history.csv").read_text() == (theirs / "history.csv").read_text()


@pytest.mark.parametrize("name", [*MODELS, *GROUND_FLOOR])
def test_no_file_names_a_backend_or_another_model(name):
    source = (ROOT / "zoo" / f"{name}.py").read_text()
    nodes = [n for n in ast.walk(ast.parse(source)) if isinstance(n, (ast.Import, ast.ImportFrom))]
    imported = {part for n in nodes for a in n.names for part in f"{getattr(n, 'module', '')}.{a.name}".split(".")}
    assert not imported & {"tensorflow", "jax", "torch"}
    assert not imported & set(MODELS)


SHARED = ("Player", "Frozen", "Batches", "checked", "to_uint8", "probability", "ground_floor", "sketch")
UNPAIRED = ("Unpaired", "sketches", "instance_norm")


def test_shared_blocks_are_identical():
    """The models (and domains.py, in one case) repeat these blocks on purpose, to the letter."""
    blocks = {}
    for name in (*MODELS, "domains"):
        text = (ROOT / "zoo" / f"{name}.py").read_text()
        for node in ast.parse(text).body:
            name_of_block = getattr(node, "name", None)
            if name_of_block in SHARED or (name in ("cyclegan", "dualgan") and name_of_block in UNPAIRED):
                blocks.setdefault(node.name, []).append(ast.get_source_segment(text, node))
    assert set(blocks) == {*SHARED, *UNPAIRED}
    for block, copies in blocks.items():
        assert len(copies) > 1 and len(set(copies)) == 1, block


def test_training_loops_are_identical():
    loops = []
    for name in MODELS:
        text = (ROOT / "zoo" / f"{name}.py").read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and node.name == "train":
                start = next(n for n in node.body if ast.get_source_segment(text, n).startswith("history = "))
                loops.append(text.splitlines()[start.lineno - 1 : node.end_lineno])
    assert len(loops) == 6 and all(loop == loops[0] for loop in loops)


def test_no_paths_of_this_machine():
    ours = ("zoo", "tests", "benchmarks", "images", "notebooks", "data/README.md", ".ci")
    files = [p for name in ours for p in (ROOT / name, *(ROOT / name).rglob("*"))] + list(ROOT.glob("*.*"))
    files = [p for p in files if p.suffix in (".py", ".md", ".toml", ".txt", ".json", ".ipynb") or p.name == "run"]
    assert len(files) > 80
    pattern = re.compile(r"/(home|Users|root|work|mnt)/\w|[A-Z]:\\\\Users")
    assert not [p for p in files if p.is_file() and pattern.search(p.read_text("utf-8"))]
