"""Faults: kill -9, signals, full and read-only disks, damage, two processes at once,
NaN, out of memory.

Most of them befall every model inside the test process, with a step that takes no time;
kill -9, signals and a disk that is truly full need processes of their own.
"""

import contextlib
import csv
import errno
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import TINY, finish, same_state, start
from keras import ops
from kills import ARGS, finished, kill, wait_for_epoch

from zoo import cyclegan, dcgan, deblur, dualgan, inpaint, pix2pix, srgan
from zoo.common import cli
from zoo.common import run as runs

pytestmark = pytest.mark.slow
MODEL = ["-m", "zoo.dcgan"]
LONG = [*MODEL, "--epochs", 2, *TINY, "--steps-per-epoch", 150]
CLASSES = {
    "dcgan": (dcgan, "DCGAN"),
    "srgan": (srgan, "SRGAN"),
    "deblur": (deblur, "Deblurrer"),
    "pix2pix": (pix2pix, "Pix2Pix"),
    "cyclegan": (cyclegan, "CycleGAN"),
    "dualgan": (dualgan, "DualGAN"),
}
FULL = OSError(errno.ENOSPC, "No space left on device")
READ_ONLY = OSError(errno.EROFS, "Read-only file system")


class Crash(BaseException):
    """Nothing in the zoo catches it."""


class Disk:
    """In a `with` block, operations on files below a folder fail from the n-th on;
    `operation` is the first that did.

    Python tells audit hooks of them before it does them, whoever asks. A full disk
    takes no contents and folders, a read-only one renames and removes nothing either;
    after a crash nothing at all is done.
    """

    here = None  # the one that is in force

    def __init__(self, folder, error, n=1):
        self.folder, self.error, self.left, self.operation = str(folder), error, n, None
        more = {
            FULL: [],
            READ_ONLY: ["os.rename", "os.remove"],
            Crash: ["os.rename", "os.remove", "shutil.rmtree"],
        }
        self.kinds = {"open", "os.mkdir", *more[error]}

    def check(self, kind, args):
        if kind not in self.kinds or not str(Path(str(args[0])).absolute()).startswith(
            self.folder
        ):
            return
        if (
            self.error is not Crash
            and kind == "open"
            and not set("wax+") & set(args[1] or "")
        ):
            return
        self.left -= 1
        if self.left > 0:
            return
        if (
            not self.operation
            and kind == "open"
            and "w" in (args[1] or "")
            and self.error is not READ_ONLY
        ):
            Disk.here = False
            open(args[0], "w").close()  # it comes to be, but nothing comes into it
            Disk.here = self
        self.operation = self.operation or (kind, *args)
        raise self.error

    def __enter__(self):
        if Disk.here is None:  # a hook can't be taken away again
            sys.addaudithook(
                lambda kind, args: Disk.here and Disk.here.check(kind, args)
            )
        Disk.here = self
        return self

    def __exit__(self, *_):
        Disk.here = False


def moved(gan):
    """The variable that the quick step moves."""
    return gan.combined.trainable_variables[0]


def quick_step(gan, _):
    """In place of `train_step`.

    Takes no time, and what it returns follows from all steps before.
    """
    gan.steps += 1
    moved(gan).assign(moved(gan) / 2 + gan.steps)
    return {"g_loss": float(ops.max(moved(gan)))}


def went_straight(run, epochs):
    """The history is that of quick steps, three in an epoch, which nothing has
    disturbed.
    """
    with open(run / "history.csv") as file:
        found = [float(row["g_loss"]) for row in csv.DictReader(file)]
    values = list(
        itertools.accumulate(
            range(1, 3 * epochs + 1), lambda value, step: value / 2 + step
        )
    )
    return found == pytest.approx(
        [np.mean(values[i : i + 3]) for i in range(0, 3 * epochs, 3)]
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """{class: its only model here, and where its run folder after one epoch is kept}."""
    return {
        name: Namespace(gan=None, run=tmp_path_factory.mktemp(name) / "run")
        for _, name in CLASSES.values()
    }


@pytest.fixture(params=CLASSES)
def model(request, built, command, monkeypatch, tmp_path):
    """A model with quick steps and a run folder after one epoch.

    Has `module`, `cls`, `args`, `run` and `gan`.
    """
    module, name = CLASSES[request.param]
    cls, made = getattr(module, name), built[name]

    def make(*options):
        made.gan = made.gan or cls(*options)
        made.gan.steps = 0
        moved(made.gan).assign(ops.zeros_like(moved(made.gan)))
        return made.gan

    monkeypatch.setattr(cls, "train_step", quick_step)
    monkeypatch.setattr(module, name, make)
    run, args = tmp_path / "runs" / request.param, ARGS[request.param]
    if made.gan:
        shutil.copytree(made.run, run)
    else:
        assert command(module, "--epochs", 1, *args)[0] == 0
        shutil.copytree(run, made.run)
    return Namespace(module=module, cls=cls, args=args, run=run, gan=made.gan)


def run_out_of_memory(who):
    """Asks for a petabyte, or fails as one that does.

    TensorFlow would try for ten seconds, and CUDA needs a GPU.
    """
    if who == "numpy":
        np.empty(2**50, "uint8")
    elif who == "tensorflow":
        errors = pytest.importorskip("tensorflow").errors
        raise errors.ResourceExhaustedError(
            None, None, "OOM when allocating tensor with shape[281474976710656]"
        )
    elif (
        who == "a layer"
    ):  # Keras wraps what a layer raises into an exception of its own

        class Greedy(keras.layers.Layer):
            def call(self, _):
                run_out_of_memory("tensorflow")

        Greedy()(np.zeros(1))
    elif who == "jax":
        pytest.importorskip("jax").numpy.zeros(2**48)
    elif who == "jax, later":  # what follows is told of it in other words
        random = pytest.importorskip("jax").random
        (random.normal(random.key(0), (2**48,)) * 2).block_until_ready()
    elif who == "jax, while networks are built":
        raise ValueError(
            "RESOURCE_EXHAUSTED: Out of memory allocating 2880000000000 bytes."
        )
    elif who == "torch":
        pytest.importorskip("torch").empty(2**48)
    elif who == "cuda":
        raise pytest.importorskip("torch").OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 1024.00 TiB."
        )


@pytest.mark.parametrize(
    "who",
    [
        "numpy",
        "tensorflow",
        "a layer",
        "jax",
        "jax, later",
        "jax, while networks are built",
        "torch",
        "cuda",
    ],
)
def test_out_of_memory_however_it_is_said(who, capsys):
    with pytest.raises(SystemExit), cli.errors(ValueError):
        run_out_of_memory(who)
    assert (
        capsys.readouterr().err
        == "error: out of memory: use a smaller --batch-size, --size or --filters\n"
    )


@pytest.mark.filterwarnings("ignore:.*is damaged")
def test_one_fault_after_another(model, command, refused, monkeypatch):
    """Each is told in one line, and at the end all is as if nothing had been."""

    def in_step_5(fault):
        def step(gan, images):
            logs = quick_step(gan, images)
            return logs | (fault() or {}) if gan.steps == 5 else logs

        monkeypatch.setattr(model.cls, "train_step", step)

    again = model.module, "--epochs", 2
    in_step_5(lambda: {"g_loss": float("nan")})
    assert (
        "g_loss is no longer a number (epoch 2, step 2): use --fresh with a smaller"
        in refused(*again)
    )
    in_step_5(lambda: run_out_of_memory("tensorflow"))
    assert "--batch-size, --size or --filters" in refused(*again)
    in_step_5(dict)
    with Disk(model.run / "checkpoint.new", FULL, 4) as disk:
        assert "free some space" in refused(*again) and disk.operation[0] == "open"
    with Disk(model.run, READ_ONLY):
        assert "Read-only file system" in refused(*again)
    other = runs._lock(model.run)
    assert "another process" in refused(*again)
    assert "another process" in refused(*again, *model.args, "--fresh")
    other.close()
    assert finished(model.run) == 1
    in_step_5(lambda: signal.raise_signal(signal.SIGTERM))
    assert command(*again)[0] == 128 + signal.SIGTERM
    in_step_5(dict)
    status, out, _ = command(*again)
    assert (
        status == 0
        and "going on after epoch 1, step 2\n" in out
        and went_straight(model.run, 2)
    )

    files = sorted((model.run / "checkpoint").iterdir())
    assert len(files) >= 4
    for file in files:
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
        assert (
            runs._load_checkpoint(model.run, Namespace(load=lambda _: None))["step"]
            == 2
        )
        if file is not files[-1]:
            file.write_bytes(whole)
    assert "going on after epoch 1, step 2\n" in command(*again)[1] and went_straight(
        model.run, 2
    )
    for place in ("checkpoint", "checkpoint.old"):
        (model.run / place / "training.npz").unlink(missing_ok=True)
    assert "--fresh" in refused(*again)


@pytest.mark.parametrize(
    "model, error",
    [("dcgan", FULL), *((name, Crash) for name in CLASSES)],
    indirect=["model"],
)
def test_any_file_operation_of_an_epochs_end_fails(model, error, capsys):
    """The next run loses no epoch that has a whole checkpoint, nor the generator beside
    it.

    Of DCGAN each operation fails in turn; of the others, which differ in the names of
    the files alone, every ninth.
    """
    options = Namespace(
        model="gan",
        data="faces",
        run=str(model.run),
        fresh=False,
        epochs=99,
        steps_per_epoch=3,
        weights=None,
        devices="one",
        batch_size=1,
    )
    for n in itertools.count(1, 1 if model.module is dcgan else 9):
        with runs.Run(options, model.gan, lambda: np.zeros((9, 9), np.uint8)) as run:
            run.set_model(model.gan.combined)
            assert run.epoch == finished(model.run) and model.gan.steps == 3 * run.epoch
            for network in (model.run / "checkpoint").glob("generator*.keras"):
                assert (model.run / network.name).read_bytes() == network.read_bytes()
            for step in range(3):
                run.on_train_batch_end(step, model.gan.train_step(None))
            before = finished(model.run)
            with (
                pytest.raises((Crash, SystemExit, StopIteration)),
                cli.errors(),
                Disk(model.run, error, n) as disk,
            ):
                run.on_epoch_end(run.epoch)
                raise StopIteration
        assert finished(model.run) in (before, before + 1)
        if not disk.operation:
            break
        assert error is Crash or "free some space" in capsys.readouterr().err
    assert n > 15 and went_straight(model.run, before + 1)


@pytest.fixture
def completed(command, monkeypatch, tmp_path):
    """The inpainter's arguments and folder, after one call of it.

    Its search takes no time.
    """
    networks = (
        dcgan.build_generator((28, 28, 1), 8, 4),
        dcgan.build_discriminator((28, 28, 1), 4),
    )
    monkeypatch.setattr(inpaint, "load_networks", lambda _: networks)
    monkeypatch.setattr(inpaint.Search, "step", lambda _: 1.0)
    args = ["--data", "faces", "--iterations", 2]
    assert command(inpaint, *args)[0] == 0
    return args, tmp_path / "runs/inpaint"


def contents(run):
    return {name: (run / name).read_bytes() for name in ("output.png", "output.gif")}


@pytest.mark.parametrize("error", [Crash, FULL], ids=["crash", "full"])
def test_inpaint_leaves_whole_pictures(error, completed, command):
    args, run = completed
    before, found = contents(run), []
    for n in itertools.count(1):
        with contextlib.suppress(Crash), Disk(run, error, n) as disk:
            status, _, err = command(inpaint, *args, "--mask", "left")
        found.append(contents(run))
        if not disk.operation:
            break
        assert error is Crash or (status == 2 and "free some space" in err)
    after = found[-1]
    assert n > 3 and all(after[name] != before[name] for name in after)
    assert all(
        each[name] in (before[name], after[name]) for each in found for name in each
    )


@pytest.mark.parametrize(
    "fault, advice",
    [("nan", "--learning-rate"), ("memory", "--batch-size or --restarts")],
)
def test_inpaint_stops_with_one_line(fault, advice, completed, refused, monkeypatch):
    args, run = completed
    before = contents(run)
    step = {
        "nan": lambda _: float("nan"),
        "memory": lambda _: run_out_of_memory("tensorflow"),
    }[fault]
    monkeypatch.setattr(inpaint.Search, "step", step)
    assert advice in refused(inpaint, *args, "--mask", "left")
    assert contents(run) == before


def test_two_inpainters_at_once(completed, command, monkeypatch):
    """The second one writes its files when the first has written one, but has not
    renamed it yet.
    """
    args, run = completed
    write_bytes, done = Path.write_bytes, []

    def write(path, data):
        monkeypatch.setattr(Path, "write_bytes", write_bytes)
        write_bytes(path, data)
        with monkeypatch.context() as process:
            process.setattr(os, "getpid", lambda: 1)
            done.append(command(inpaint, *args, "--mask", "left"))

    before = contents(run)
    monkeypatch.setattr(Path, "write_bytes", write)
    done.append(command(inpaint, *args))
    assert [status for status, _, _ in done] == [0, 0], done
    assert contents(run) == before and not list(run.glob("*.new"))


def test_kill_in_mid_epoch_changes_nothing(tmp_path):
    args = [*MODEL, "--epochs", 4, *TINY, "--steps-per-epoch", 60]
    finish([*args, "--run", "straight"], tmp_path)
    killed = start([*args, "--run", "killed"], tmp_path)
    wait_for_epoch(tmp_path / "killed", 2, killed)
    time.sleep(0.1)
    killed.kill()
    killed.communicate()
    assert 2 <= finished(tmp_path / "killed") < 4
    out, _ = finish([*args, "--run", "killed"], tmp_path)
    assert "going on after epoch" in out
    same_state(tmp_path / "straight", tmp_path / "killed")


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """A run of two epochs that nothing has stopped."""
    where = tmp_path_factory.mktemp("straight")
    finish([*LONG, "--run", "straight"], where)
    return where / "straight"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_inside_the_epoch(number, straight, tmp_path):
    args = LONG
    stopped = start([*args, "--run", "stopped"], tmp_path)
    wait_for_epoch(tmp_path / "stopped", 1, stopped)
    time.sleep(0.1)
    stopped.send_signal(number)
    _, err = stopped.communicate(timeout=60)
    assert (
        stopped.returncode == 128 + number
        and "goes on from here" in err
        and "Traceback" not in err
    )
    out, _ = finish([*args, "--run", "stopped"], tmp_path)
    assert re.search(r"going on after epoch 1, step \d", out)
    same_state(straight, tmp_path / "stopped")


@pytest.mark.parametrize("name", ARGS)
def test_kills_at_random_moments(name, tmp_path):
    assert kill(name, 2, tmp_path)["lost"] == 0


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk],
            capture_output=True,
        )
    except FileNotFoundError:
        pytest.skip("no mount on this system")
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        args = [*MODEL, *TINY, "--run", disk / "run"]
        finish([*args, "--epochs", 2], tmp_path)
        with (
            open(disk / "ballast", "wb", buffering=0) as ballast,
            pytest.raises(OSError),
        ):
            while True:
                ballast.write(bytes(4096))
        _, err = finish([*args, "--epochs", 4], tmp_path, status=2)
        line = err.strip().splitlines()[-1]
        assert line.startswith("error: ") and "space" in line and "Traceback" not in err
        (disk / "ballast").unlink()
        out, _ = finish([*args, "--epochs", 4], tmp_path)
        assert "going on after epoch 2" in out
        finish([*MODEL, *TINY, "--run", tmp_path / "straight", "--epochs", 4], tmp_path)
        same_state(disk / "run", tmp_path / "straight")
    finally:
        subprocess.run(["umount", "-l", disk], check=True)
