"""Kill -9, signals and a full disk, in processes of their own."""

import contextlib
import json
import random
import re
import signal
import subprocess
import time

import pytest
from conftest import TINY, finish, same_state, start

pytestmark = pytest.mark.slow
MODEL = ["-m", "zoo.dcgan"]
LONG = [*MODEL, "--epochs", 2, *TINY, "--steps-per-epoch", 300]


def finished(run):
    """The number of epochs in the checkpoint."""
    with contextlib.suppress(FileNotFoundError):
        return json.loads((run / "checkpoint/state.json").read_text())["epoch"]
    return 0


def wait_for_epoch(run, epoch, process):
    end = time.monotonic() + 120
    while finished(run) < epoch:
        assert time.monotonic() < end and process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.01)


def test_kill_in_mid_epoch_changes_nothing(tmp_path):
    args = [*MODEL, "--epochs", 4, *TINY, "--steps-per-epoch", 60]
    finish([*args, "--run", "straight"], tmp_path)
    killed = start([*args, "--run", "killed"], tmp_path)
    wait_for_epoch(tmp_path / "killed", 2, killed)
    time.sleep(0.3)
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
    time.sleep(0.3)
    stopped.send_signal(number)
    _, err = stopped.communicate(timeout=60)
    assert stopped.returncode == 128 + number and "goes on from here" in err and "Traceback" not in err
    out, _ = finish([*args, "--run", "stopped"], tmp_path)
    assert re.search(r"going on after epoch 1, step \d", out)
    same_state(straight, tmp_path / "stopped")


def test_kills_at_random_moments(tmp_path):
    """With one step in an epoch most of the time goes into pictures and checkpoints."""
    chance = random.Random(0)
    args = [*MODEL, "--epochs", 10**6, *TINY, "--steps-per-epoch", 1]
    run = tmp_path / "runs/dcgan"
    done = 0
    for _ in range(8):
        process = start(args, tmp_path, env={"KERAS_BACKEND": "jax"})
        wait_for_epoch(run, done + 1, process)
        time.sleep(chance.uniform(0, 0.7))
        process.kill()
        out, err = process.communicate()
        resumed = re.search(r"going on after epoch (\d+)", out)
        assert (int(resumed[1]) if resumed else 0) >= done, (out, err)  # no finished epoch is lost
        done = max(done, finished(run))


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], capture_output=True)
    except FileNotFoundError:
        pytest.skip("no mount on this system")
    if mounted.returncode:
        pytest.skip("only root may mount a small disk")
    try:
        args = [*MODEL, *TINY, "--run", disk / "run"]
        finish([*args, "--epochs", 2], tmp_path)
        with open(disk / "ballast", "wb", buffering=0) as ballast, pytest.raises(OSError):
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
