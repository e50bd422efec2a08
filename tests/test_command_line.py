"""The command line and the run folder, as a student meets them."""

import hashlib
import io
import json
import os
import shutil
import signal
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from conftest import CYCLEGAN_TINY, DEBLUR_TINY, TINY, same_state
from matplotlib.axes import Axes
from PIL import Image
from skimage import data

from zoo import cyclegan, dcgan, deblur, inpaint, srgan
from zoo.common import pictures, run


def test_a_run_leaves_the_whole_folder(command, tmp_path):
    status, out, err = command(dcgan, "--epochs", 2, *TINY)
    assert status == 0 and "Epoch 2/2" in out
    run = tmp_path / "runs/dcgan"
    found = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    assert found == {
        ".lock",
        "options.json",
        "history.csv",
        "curves.png",
        "index.html",
        "generator.keras",
        *(
            f"samples/{name}"
            for name in (
                "epoch_0000.png",
                "epoch_0001.png",
                "epoch_0002.png",
                "samples.gif",
            )
        ),
        *(
            f"{c}/{n}"
            for c in ("checkpoint", "checkpoint.old")
            for n in ("generator.keras", "discriminator.keras")
        ),
        *(
            f"{c}/{n}"
            for c in ("checkpoint", "checkpoint.old")
            for n in ("training.npz", "state.json")
        ),
    }
    options = json.loads((run / "options.json").read_text())
    assert (
        options["filters"] == 4
        and options["data"] == "faces"
        and "keras" in options["versions"]
    )
    rows = (run / "history.csv").read_text().splitlines()
    assert len(rows) == 3 and rows[0].split(",")[0] == "epoch" and "d_loss" in rows[0]
    assert iio.imread(run / "samples/samples.gif").shape[0] == 3
    assert iio.imread(run / "curves.png").std() > 10
    assert keras.models.load_model(run / "generator.keras").output_shape == (
        None,
        28,
        28,
        1,
    )


def test_the_same_command_goes_on(command, tmp_path):
    command(dcgan, "--epochs", 3, *TINY, "--run", "straight")
    command(dcgan, "--epochs", 1, *TINY, "--run", "parts")
    # The folder knows the other options.
    status, out, _ = command(dcgan, "--epochs", 3, "--run", "parts")
    assert status == 0 and "going on after epoch 1" in out
    same_state(tmp_path / "straight", tmp_path / "parts")
    status, out, _ = command(dcgan, "--epochs", 3, "--run", "parts")
    assert status == 0 and "all 3 epochs are done" in out


@pytest.mark.usefixtures("eager")
def test_a_run_of_another_model(command, refused):
    command(dcgan, "--epochs", 1, *TINY, "--run", "mine")
    iio.imwrite("photo.png", np.zeros((20, 20, 3), np.uint8))
    for args in (DEBLUR_TINY, ["--apply", "photo.png"]):
        assert "mine is a run of dcgan: give another --run" in refused(
            deblur, "--run", "mine", *args
        )


@pytest.mark.usefixtures("eager")
def test_evaluation_of_its_own_source_leaves_out_what_was_trained_on(
    command, monkeypatch
):
    monkeypatch.setattr(
        dcgan,
        "evaluate",
        lambda gan, train, test: {"images": {"count": test.count}},
    )
    command(dcgan, "--epochs", 1, *TINY)
    counts = [
        command(dcgan, "--evaluate", *source)[1].split()[-1]
        for source in ([], ["faces"], ["textures"])
    ]
    assert counts == ["20", "20", "3"]


@pytest.mark.usefixtures("eager")
def test_a_runs_own_folder_is_known_by_any_path(command, folder, monkeypatch):
    monkeypatch.setattr(
        dcgan,
        "evaluate",
        lambda gan, train, test: {"images": {"count": test.count}},
    )
    command(dcgan, *TINY, "--data", "pictures", "--epochs", 1)
    for source in ("pictures", "./pictures", folder):
        assert command(dcgan, "--evaluate", source)[1].split()[-1] == "3"  # of the 30


@pytest.mark.usefixtures("eager")
def test_a_run_that_is_called_from_another_folder(
    command, refused, folder, monkeypatch, tmp_path
):
    """There `pictures` are others, or there are none: the run keeps to its own."""
    monkeypatch.setattr(
        dcgan,
        "evaluate",
        lambda gan, train, test: {"images": {"count": test.count}},
    )
    assert command(dcgan, *TINY, "--data", "pictures", "--epochs", 1)[0] == 0
    (tmp_path / "elsewhere/pictures").mkdir(parents=True)
    for i in range(20):
        iio.imwrite(
            tmp_path / f"elsewhere/pictures/{i}.png", np.zeros((32, 32, 3), np.uint8)
        )
    monkeypatch.chdir("elsewhere")
    run = ["--run", "../runs/dcgan"]
    for source in ([], [folder], ["../pictures"]):
        # Of the 30.
        assert command(dcgan, *run, "--evaluate", *source)[1].split()[-1] == "3"
    assert command(dcgan, *run, "--evaluate", "pictures")[1].split()[-1] == "20"
    assert f"was made with --data {folder}" in refused(
        dcgan, *run, "--data", "pictures", "--epochs", 9
    )
    for i, same in enumerate(([], ["--data", folder], ["--data", "../pictures"])):
        status, out, err = command(dcgan, *run, *same, "--epochs", 2 + i)
        assert status == 0 and f"going on after epoch {1 + i}" in out, err
    assert command(inpaint, "--gan", "../runs/dcgan", "--iterations", 1)[0] == 0
    assert iio.imread("runs/inpaint/output.png").std() > 60  # not the evenly black ones
    folder.rename("moved")
    status, out, err = command(dcgan, *run, "--data", "moved", "--epochs", 5)
    assert status == 0 and "going on after epoch 4" in out, err


@pytest.mark.slow
@pytest.mark.usefixtures("eager")
def test_images_that_may_have_been_trained_on(command, folder, tmp_path):
    assert command(deblur, "--data", "pictures", "--epochs", 1, *DEBLUR_TINY)[0] == 0
    folder.rename(tmp_path / "moved")
    with pytest.warns(
        UserWarning,
        match="pictures is not there: if moved has its images, they were trained on",
    ):
        assert command(deblur, "--evaluate", "moved")[0] == 0


def test_a_folder_of_the_name_of_a_data_set(command, tmp_path):
    (tmp_path / "photos").mkdir()
    iio.imwrite(tmp_path / "photos/cat.png", data.chelsea()[96:192, 96:192])
    status, out, err = command(srgan, "--evaluate", "./photos")
    assert status == 0 and "bicubic" in out, err


def test_a_checkpoint_is_no_run(command, refused):
    assert command(dcgan, "--epochs", 1, *TINY)[0] == 0
    assert "give the folder that it is in" in refused(
        dcgan, "--epochs", 2, *TINY, "--run", "runs/dcgan/checkpoint"
    )
    assert "give it with --gan" in refused(inpaint, "--run", "runs/dcgan")


def test_fresh_moves_nothing_else(command, refused, folder, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/a.tex").write_text("")
    assert "thesis is not a run" in refused(
        dcgan, "--epochs", 1, *TINY, "--run", "thesis", "--fresh"
    )
    assert command(dcgan, "--epochs", 1, *TINY, "--run", "thesis")[0] == 0
    args = ["--epochs", 1, *TINY, "--data", "pictures/inner", "--run", "pictures"]
    assert command(dcgan, *args)[0] == 0
    assert "no such file" in refused(
        dcgan, "--epochs", 1, *TINY, "--run", "new", "--weights", "nothing.keras"
    )
    assert command(dcgan, "--epochs", 1, *TINY, "--run", "new", "--fresh")[0] == 0
    assert "would move the images" in refused(dcgan, *args, "--fresh")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "new",
        "pictures",
        "thesis",
    ]


@pytest.mark.usefixtures("eager")
def test_without_a_terminal(command, monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    assert command(dcgan, "--epochs", 1, *TINY)[0] == 0


@pytest.mark.usefixtures("eager")
def test_names_that_the_terminal_cannot_show(command, monkeypatch, tmp_path):
    for name in ("日本.png", "b.png"):
        iio.imwrite(tmp_path / name, np.zeros((20, 20, 3), np.uint8))
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), "cp1252"))
    assert command(deblur, "--apply", "日本.png", "b.png")[0] == 0
    assert (tmp_path / "b_sharp.png").exists()


@pytest.mark.usefixtures("eager")
def test_order_of_the_axes_and_precision_whatever_the_settings_of_keras(command):
    keras.config.set_image_data_format("channels_first")
    keras.config.set_floatx("float16")
    try:
        assert command(dcgan, "--epochs", 1, *TINY)[0] == 0
        assert keras.config.floatx() == "float32"  # of the losses
    finally:
        keras.config.set_image_data_format("channels_last")
        keras.config.set_floatx("float32")


@pytest.mark.parametrize(
    "model, args", [(dcgan, ["--epochs", 1, *TINY]), (inpaint, ["--iterations", 1])]
)
def test_pytorch_with_an_older_keras(model, args, refused, monkeypatch):
    monkeypatch.setattr(keras, "__version__", "3.14.1")
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert "pip install --upgrade keras" in refused(model, *args)


def test_options_that_contradict_the_run(command, refused):
    command(dcgan, "--epochs", 1, *TINY)
    line = refused(dcgan, "--epochs", 2, "--filters", 8, "--seed", 3)
    assert (
        "--filters 4 (not 8)" in line
        and "--seed 0 (not 3)" in line
        and "--fresh" in line
    )
    line = refused(dcgan, "--generate", 2, "--filters", 8)
    # Which starts a training.
    assert "--filters 4 (not 8)" in line and "--fresh" not in line


@pytest.mark.usefixtures("eager")
def test_before_the_first_checkpoint_options_may_change(
    command, refused, monkeypatch, tmp_path
):
    def train_step(*_):
        raise MemoryError

    step = dcgan.DCGAN.train_step
    monkeypatch.setattr(dcgan.DCGAN, "train_step", train_step)
    assert "--batch-size" in refused(dcgan, "--epochs", 1, *TINY)
    monkeypatch.setattr(dcgan.DCGAN, "train_step", step)
    status, out, _ = command(dcgan, "--epochs", 1, *TINY, "--batch-size", 4)
    assert status == 0 and "starts again, with this call's options" in out
    assert (
        json.loads((tmp_path / "runs/dcgan/options.json").read_text())["batch_size"]
        == 4
    )


@pytest.mark.usefixtures("eager")
def test_options_say_how_long_the_training_was(command, tmp_path):
    command(dcgan, "--epochs", 2, *TINY)
    status, out, _ = command(dcgan, "--epochs", 1)
    assert status == 0 and "all 1 epochs are done" in out
    assert json.loads((tmp_path / "runs/dcgan/options.json").read_text())["epochs"] == 2


@pytest.fixture
def quick(eager, monkeypatch):
    """Has DCGAN take steps that do nothing, but what is set here.

    Quick(function of the step's number -> logs).
    """

    def set_step(logs):
        def step(gan, _):
            gan.steps += 1
            return logs(gan.steps)

        monkeypatch.setattr(dcgan.DCGAN, "train_step", step)

    set_step(lambda number: {"g_loss": 0.0})
    return set_step


def test_history_and_curves_are_means_of_epochs(command, quick, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        Axes, "plot", lambda _, x, y, label, **__: drawn.update({label: (x, y)})
    )
    monkeypatch.setattr(Axes, "legend", lambda _, **__: None)
    quick(
        lambda step: (
            {"accuracy": 0.5, "g_loss": float(step)}
            | ({"new_loss": 7.0} if step > 3 else {"mse": 1.0})
        )
    )
    assert command(dcgan, "--epochs", 2, *TINY)[0] == 0
    expected = "epoch,accuracy,g_loss,mse,new_loss\n1,0.5,2.0,1.0,\n2,0.5,5.0,,7.0\n"
    assert Path("runs/dcgan/history.csv").read_text() == expected
    expected = {"accuracy": ([1, 2], [0.5, 0.5]), "g_loss": ([1, 2], [2, 5])}
    assert drawn == expected | {"mse": ([1], [1]), "new_loss": ([2], [7])}


def test_checkpoints_come_every_few_minutes(command, quick, monkeypatch):
    now, saved = [0], []
    monkeypatch.setattr(run, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(dcgan.DCGAN, "save", lambda *_: saved.append(now[0]))
    quick(lambda number: now.append(now.pop() + 200) or {"g_loss": 0.0})
    assert command(dcgan, "--epochs", 2, *TINY)[0] == 0
    assert saved == [400, 600, 1000, 1200]


def test_once_more_stops_at_once(command, quick):
    def stop_twice(_):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    quick(stop_twice)
    assert command(dcgan, "--epochs", 1, *TINY)[0] == 130
    assert (
        signal.getsignal(signal.SIGINT) == before
        and not Path("runs/dcgan/checkpoint").exists()
    )
    quick(lambda _: signal.raise_signal(signal.SIGTERM) or {"g_loss": 0.0})
    assert command(dcgan, "--epochs", 1, *TINY)[0] == 128 + signal.SIGTERM
    assert json.loads(Path("runs/dcgan/checkpoint/state.json").read_text())["step"] == 1


def test_a_checkpoint_is_on_the_disk_before_it_takes_its_name(
    command, quick, monkeypatch
):
    synced = set()

    def fsync(file):
        assert (
            Path("runs/dcgan/checkpoint.new/state.json").exists()
            and not Path("runs/dcgan/checkpoint").exists()
        )
        synced.add(os.fstat(file).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    assert command(dcgan, "--epochs", 1, *TINY)[0] == 0
    assert synced == {
        file.stat().st_ino for file in Path("runs/dcgan/checkpoint").iterdir()
    }


def test_a_checkpoint_that_has_not_got_its_name_yet_is_not_lost(
    command, refused, quick, monkeypatch
):
    def save(*_):
        raise OSError("no more")

    assert command(dcgan, "--epochs", 1, *TINY)[0] == 0
    # As a kill leaves it.
    Path("runs/dcgan/checkpoint").rename("runs/dcgan/checkpoint.new")
    with monkeypatch.context() as patch:
        patch.setattr(dcgan.DCGAN, "save", save)
        assert "no more" in refused(dcgan, "--epochs", 2)
    assert "going on after epoch 1\n" in command(dcgan, "--epochs", 2)[1]


def test_a_run_may_be_renamed(command, quick):
    assert command(dcgan, "--epochs", 1, *TINY)[0] == 0
    shutil.move("runs/dcgan", "mine")
    status, out, err = command(dcgan, "--epochs", 2, "--run", "mine")
    assert status == 0 and "going on after epoch 1" in out, err
    for i in (1, 2):
        assert (
            f"the old run is now in mine.{i}"
            in command(dcgan, "--epochs", 1, *TINY, "--run", "mine", "--fresh")[1]
        )


def test_precision_reaches_the_layers(command, quick):
    quick(
        lambda _: {"bits": float(keras.config.dtype_policy().name == "mixed_bfloat16")}
    )
    assert command(dcgan, "--epochs", 1, *TINY, "--precision", "mixed_bfloat16")[0] == 0
    assert Path("runs/dcgan/history.csv").read_text() == "epoch,bits\n1,1.0\n"
    assert "bfloat16" in {
        layer.compute_dtype
        for layer in keras.models.load_model("runs/dcgan/generator.keras").layers
    }


def test_the_film_goes_from_the_first_epoch_to_the_last(command, quick, monkeypatch):
    monkeypatch.setattr(run, "GIF_FRAMES", 3)
    made = []

    def generate(gan, n):
        made.append(50 * len(made))
        return np.full((n, 28, 28, 1), made[-1], np.uint8)

    monkeypatch.setattr(dcgan.DCGAN, "generate", generate)
    assert command(dcgan, "--epochs", 4, *TINY)[0] == 0
    film = iio.imread("runs/dcgan/samples/samples.gif", index=None)
    assert film[:, 99, 99, 0].tolist() == [0, 100, 200]
    assert {"loop": 0, "duration": 300}.items() <= iio.immeta(
        "runs/dcgan/samples/samples.gif"
    ).items()
    for number, level in ((9999, 60), (10_000, 180)):
        pictures.save_picture(
            f"runs/dcgan/samples/epoch_{number}.png",
            np.full(film.shape[1:3], level, np.uint8),
        )
    assert command(dcgan, "--epochs", 4, *TINY)[0] == 0
    assert (
        iio.imread("runs/dcgan/samples/samples.gif", index=None)[-1, 99, 99, 0] == 180
    )


def test_pictures_of_many_images():
    a, b = (
        np.array(levels, np.uint8)[:, None, None, None] * np.ones((4, 4, 3), np.uint8)
        for levels in ([1, 2], [3, 4, 5])
    )
    assert pictures.side_by_side(a, b)[3::6, 3::6, 0].tolist() == [[1, 3], [2, 4]]
    assert pictures.grid(b)[3::6, 3::6, 2].tolist() == [[3, 4], [5, 255]]
    assert pictures.grid(b, 1)[3::6, 3::6, 1].tolist() == [[3], [4], [5]]


def test_fresh_moves_the_old_run_aside(command, tmp_path):
    command(dcgan, "--epochs", 1, *TINY)
    status, out, _ = command(dcgan, "--epochs", 1, *TINY, "--fresh", "--latent-dim", 9)
    assert status == 0 and "runs/dcgan.1" in out
    saved = [
        json.loads((tmp_path / f"runs/{name}/options.json").read_text())
        for name in ("dcgan", "dcgan.1")
    ]
    assert [s["latent_dim"] for s in saved] == [9, 8]
    status, out, _ = command(dcgan, "--epochs", 2)
    assert status == 0 and "going on after epoch 1" in out


@pytest.mark.parametrize("file", ["generator.keras", "training.npz", "state.json"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone"])
@pytest.mark.usefixtures("eager")
def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    file, damage, command, refused, tmp_path, tmp_path_factory
):
    # All these tests share it.
    reference = tmp_path_factory.getbasetemp() / "two_epochs"
    if not reference.exists():
        assert command(dcgan, "--epochs", 2, *TINY, "--run", reference)[0] == 0
    shutil.copytree(reference, tmp_path / "runs/dcgan")

    def hurt(path):
        data = bytearray(path.read_bytes())
        if damage == "flipped":
            data[len(data) // 2] ^= 255
        path.write_bytes(data[:50] if damage == "cut" else data)
        if damage == "gone":
            path.unlink()

    hurt(tmp_path / "runs/dcgan/checkpoint" / file)
    with pytest.warns(UserWarning, match="damaged"):
        status, out, _ = command(dcgan, "--epochs", 2)
    assert status == 0 and "going on after epoch 1" in out
    same_state(reference, tmp_path / "runs/dcgan")
    for place in ("checkpoint", "checkpoint.old"):
        if (tmp_path / "runs/dcgan" / place / file).exists():
            hurt(tmp_path / "runs/dcgan" / place / file)
    with pytest.warns(UserWarning, match="damaged"):
        assert "--fresh" in refused(dcgan, "--epochs", 2)


@pytest.mark.parametrize("change", ["an optimiser less", "another width"])
@pytest.mark.usefixtures("eager")
def test_a_checkpoint_of_another_version_gets_one_line(
    change, command, refused, monkeypatch, tmp_path
):
    players = ("combined",) if change == "an optimiser less" else ("d_step", "combined")
    monkeypatch.setattr(dcgan.DCGAN, "players", players)
    monkeypatch.setattr(dcgan.DCGAN, "state", ("steps", "seed")[: len(players)])
    assert command(dcgan, "--epochs", 1, *TINY)[0] == 0
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    if change == "another width":
        file = tmp_path / "runs/dcgan/checkpoint/discriminator.keras"
        dcgan.build_discriminator((28, 28, 1), 3).save(file)  # other networks
        state = tmp_path / "runs/dcgan/checkpoint/state.json"
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        saved = json.loads(state.read_text())
        saved["sha256"]["discriminator.keras"] = digest
        state.write_text(json.dumps(saved))
    before = sorted(tmp_path.rglob("*"))
    line = refused(dcgan, "--epochs", 2)
    assert "another version" in line and "--fresh" in line
    assert sorted(tmp_path.rglob("*")) == before
    generator = "runs/dcgan/checkpoint/generator.keras"
    status, _, err = command(dcgan, "--generate", 1, "--weights", generator)
    assert status == 0, err


@pytest.mark.usefixtures("eager")
def test_a_checkpoint_of_another_version_of_a_model_with_two_generators(
    command, refused, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(
            cyclegan.CycleGAN,
            "players",
            ("combined",),
        )
        assert command(cyclegan, "--epochs", 1, *CYCLEGAN_TINY)[0] == 0
    line = refused(cyclegan, "--epochs", 2, *CYCLEGAN_TINY)
    assert "another version" in line and "--weights" not in line


def test_a_second_process_is_refused(command, refused, quick, tmp_path):
    command(dcgan, "--epochs", 1, *TINY)
    held = run._lock(tmp_path / "runs/dcgan")
    assert "another process" in refused(dcgan, "--epochs", 2)
    assert "another process" in refused(dcgan, "--epochs", 2, *TINY, "--fresh")
    held.close()

    def lock(_):
        with pytest.raises(SystemExit):
            run._lock(tmp_path / "runs/dcgan")
        return {"g_loss": 0.0}

    quick(lock)
    assert command(dcgan, "--epochs", 2)[0] == 0
    run._lock(tmp_path / "runs/dcgan").close()


def test_a_loss_that_is_not_finite_stops_the_run(command, refused, quick):
    command(dcgan, "--epochs", 1, *TINY)
    for value in ("nan", "inf", "-inf"):
        quick(lambda _, value=value: {"d_loss": 1.0, "g_loss": float(value)})
        line = refused(dcgan, "--epochs", 2)
        assert "error: g_loss is" in line and "--learning-rate" in line


def test_weights_that_the_last_step_has_spoilt_are_not_saved(
    command, refused, quick, monkeypatch
):
    """The losses of that step are still finite."""

    def spoil(gan, value):
        gan.steps += 1
        if gan.steps == 6:
            gan.generator.trainable_variables[0].assign(
                gan.generator.trainable_variables[0] * value
            )
        return {"g_loss": 0.0}

    assert command(dcgan, "--epochs", 1, *TINY)[0] == 0
    for value in (np.nan, np.inf):
        with monkeypatch.context() as patch:
            patch.setattr(
                dcgan.DCGAN, "train_step", lambda gan, _, value=value: spoil(gan, value)
            )
            assert "no longer numbers" in refused(dcgan, "--epochs", 2)
    status, out, _ = command(dcgan, "--epochs", 2)
    assert status == 0 and "going on after epoch 1\n" in out


def test_out_of_memory_names_the_knobs(refused, command, monkeypatch):
    def train_step(*_):
        raise MemoryError

    command(dcgan, "--epochs", 1, *TINY)
    monkeypatch.setattr(dcgan.DCGAN, "train_step", train_step)
    assert "--batch-size" in refused(dcgan, "--epochs", 2)


def test_generate_and_interpolate(command, refused, tmp_path):
    assert "train it first" in refused(dcgan, "--generate", 4, "--run", "none")
    command(dcgan, "--epochs", 1, *TINY)
    assert command(dcgan, "--generate", 4)[0] == 0
    side = 3 * 28 + 2  # pixels of images are repeated
    output = iio.imread(tmp_path / "runs/dcgan/output.png")
    assert output.shape[:2] == (2 * side + 2, 2 * side + 2)
    assert (
        command(dcgan, "--interpolate", 5, "--seed", 3, "--output", "row.png")[0] == 0
    )
    assert iio.imread(tmp_path / "row.png").shape[:2] == (side + 2, 5 * side + 2)
    assert ".png" in refused(dcgan, "--generate", 4, "--output", "a.jpg")
    assert "a folder that exists" in refused(
        dcgan, "--generate", 4, "--output", "nowhere/a.png"
    )
    assert "leave one of them out" in refused(dcgan, "--generate", 4, "--fresh")
    assert "give one of them" in refused(dcgan, "--generate", 4, "--evaluate")
    weights = ["--weights", "runs/dcgan/generator.keras", *TINY]
    assert command(dcgan, "--generate", 4, *weights, "--output", "a.png")[0] == 0
    assert command(dcgan, "--generate", 4, *weights, "--run", "none/yet")[0] == 0
    assert (tmp_path / "none/yet/output.png").exists()


def test_evaluate(command, tmp_path, monkeypatch):
    monkeypatch.setattr(dcgan.evaluate, "__defaults__", (300,))  # images, of 10,000
    random = np.random.default_rng(0)
    x, y = random.integers(0, 256, (300, 28, 28), np.uint8), random.integers(0, 3, 300)
    np.savez(tmp_path / "set.npz", x_train=x, y_train=y, x_test=x[:150], y_test=y[:150])
    command(dcgan, "--epochs", 1, *TINY, "--data", "set.npz")
    status, out, _ = command(dcgan, "--evaluate")
    result = json.loads((tmp_path / "runs/dcgan/evaluation.json").read_text())
    assert (
        status == 0
        and set(result) == {"samples", "untrained", "real (test)"}
        and "frechet" in out
    )
    assert (
        result["real (test)"]["copies %"] == 0
        and result["samples"]["spread"] < result["real (test)"]["spread"]
    )
    assert (
        0 <= result["samples"]["min class %"] <= 34 and result["samples"]["frechet"] > 0
    )
    np.save(tmp_path / "unlabelled.npy", x)
    assert command(dcgan, "--evaluate", "unlabelled.npy")[0] == 0
    assert "accuracy" not in (tmp_path / "runs/dcgan/evaluation.json").read_text()
    command(
        dcgan,
        "--epochs",
        1,
        "--filters",
        4,
        "--steps-per-epoch",
        1,
        "--run",
        "unlabelled",
    )
    assert command(dcgan, "--evaluate", "--run", "unlabelled")[0] == 0


@pytest.mark.parametrize(
    "args, advice",
    [
        (["--data", ""], "--data is empty"),
        (["--output", "a.png"], "give it with --generate"),
        (["--data", "nowhere"], "there is no data set or path 'nowhere'"),
        (["--data", "empty"], "no images in the folder"),
        (["--data", "texts"], "no images in the folder"),
        (["--data", "wrong", "--batch-size", "1"], "1 of 1 images are damaged"),
        (["--data", "a.txt"], "neither a folder, nor"),
        (["--data", "tiny", "--batch-size", "1"], "it has only 3x3 pixels"),
        (["--data", "damaged.zip"], "not a readable zip"),
        (["--data", "locked.zip"], "password"),
        (["--data", "none.zip"], "no images in the zip"),
        (["--data", "pickled.npz"], "pickled"),
        (["--data", "pickled.npy"], "pickled"),
        (["--data", "numbers.npz"], "should hold one uint8 array"),
        (["--data", "floats.npy"], "should hold one uint8 array"),
        (["--data", "wide.npy"], "1 or 3]) are needed"),
        (["--data", "damaged.npz"], "can't be read"),
        (["--size", "30"], "use a size of 28, 32"),
        (["--batch-size", "9001"], "9001 is larger than the 9000 images"),
        (["--batch-size", "-1"], "--batch-size: -1"),
        (["--epochs", "0"], "--epochs: 0"),
        (["--epochs", "many"], "--epochs"),
        (["--learning-rate", "nan"], "--learning-rate"),
        (["--learning-rate", "inf"], "--learning-rate: inf"),
        (["--learning-rate", "-1"], "--learning-rate"),
        (["--label-smoothing", "1"], "--label-smoothing"),
        (["--steps-per-epoch", "1" + 30 * "0"], "--steps-per-epoch"),
        (["--seed", "-1"], "--seed"),
        (["--seed", "20240101123456"], "--seed"),
        (["--filters", "0"], "--filters"),
        (["--channels", "2"], "--channels"),
        (["--devices", "all"], "JAX"),
        (["--evaluate", "--run", "none"], "train it first"),
        (["--run", "a.txt"], "a.txt"),
        (["--run", "tiny", "--data", "tiny"], "is a folder of images too"),
        (["--evaluate", ""], "--evaluate is empty"),
        (["--weights", ""], "--weights is empty"),
    ],
)
def test_mistakes_get_one_line(args, advice, refused, tmp_path):
    for name in ("empty", "texts", "wrong", "tiny"):
        (tmp_path / name).mkdir()
    (tmp_path / "texts/notes.txt").write_text("hello")
    (tmp_path / "wrong/a.png").write_text("hello")
    (tmp_path / "a.txt").write_text("hello")
    iio.imwrite(tmp_path / "tiny/a.png", np.zeros((3, 3, 3), np.uint8))
    (tmp_path / "damaged.zip").write_bytes(b"PK\x03\x04 and then nothing")
    (tmp_path / "damaged.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("a.txt", "hello")
    with zipfile.ZipFile(tmp_path / "locked.zip", "w") as archive:
        archive.writestr("a.png", b"secret")
    data = bytearray((tmp_path / "locked.zip").read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1  # the flag of an encrypted member
    (tmp_path / "locked.zip").write_bytes(data)
    np.savez(tmp_path / "pickled.npz", a=np.array([{}, {}], object))
    np.save(tmp_path / "pickled.npy", np.array([{}, {}], object))
    np.savez(tmp_path / "numbers.npz", a=np.arange(5))
    np.save(tmp_path / "floats.npy", np.zeros((9, 32, 32, 3)))
    np.save(tmp_path / "wide.npy", np.zeros((9, 32, 32, 7), np.uint8))
    before = sorted(p.name for p in tmp_path.iterdir())
    args = args if "--epochs" in args else [*args, "--epochs", "1"]
    assert advice in refused(dcgan, *args)
    left = [p.name for p in tmp_path.iterdir() if p.name not in before]
    assert left in ([], ["runs"])


def test_a_download_that_fails_says_what_to_do(refused, monkeypatch):
    def load_data():
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.datasets.mnist, "load_data", load_data)
    line = refused(dcgan, "--data", "mnist")
    assert "URL fetch failure" in line and "data/mnist.npz" in line


def test_colour_pictures_from_a_folder_with_one_bad_file(command, folder, tmp_path):
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 broken")
    Image.new("L", (50, 40), 128).save(folder / "grey.png")
    with pytest.warns(UserWarning, match="broken.jpg"):
        status, _, _ = command(
            dcgan,
            "--epochs",
            1,
            *TINY,
            "--data",
            folder,
            "--steps-per-epoch",
            9,
            "--channels",
            3,
        )
    assert status == 0
    assert iio.imread(tmp_path / "runs/dcgan/samples/epoch_0001.png").shape[2] == 3


def test_what_the_shell_adds_to_a_folder(command, folder):
    for name in (folder, f"{folder}/", folder):
        assert (
            command(dcgan, "--epochs", 1, *TINY, "--data", name, "--run", "run")[0] == 0
        )


@pytest.mark.usefixtures("eager")
def test_pictures_of_earlier_epochs_are_gone_or_of_another_shape(command, tmp_path):
    assert command(dcgan, "--epochs", 1, *TINY)[0] == 0
    samples = tmp_path / "runs/dcgan/samples"
    iio.imwrite(samples / "epoch_0001.png", np.zeros((9, 9), np.uint8))
    (samples / "epoch_0000.png").write_bytes(b"")  # by a power cut
    assert command(dcgan, "--epochs", 2, *TINY)[0] == 0
    for file in samples.iterdir():
        file.unlink()
    assert command(dcgan, "--epochs", 2, *TINY)[0] == 0


@pytest.mark.usefixtures("eager")
def test_a_mistake_in_a_changed_save_keeps_its_trace(command, monkeypatch):
    monkeypatch.setattr(dcgan.DCGAN, "save", lambda gan, folder: gan.no_such_name)
    with pytest.raises(AttributeError, match="no_such_name"):
        command(dcgan, "--epochs", 1, *TINY)


@pytest.mark.usefixtures("eager")
def test_what_a_kill_left_half_written_is_removed(command, tmp_path):
    assert command(dcgan, "--epochs", 1, *TINY)[0] == 0
    for name in (
        "generator.keras.123.new",
        "samples/epoch_0001.png.4.new",
        "notes.2024.new",
    ):
        (tmp_path / "runs/dcgan" / name).write_text("half")
    (tmp_path / "runs/dcgan/checkpoint.new").mkdir()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", ".*is damaged")
        assert command(dcgan, "--epochs", 1, *TINY)[0] == 0
    (tmp_path / "runs/dcgan/checkpoint.new").rmdir()
    assert [file.name for file in (tmp_path / "runs").rglob("*.new")] == [
        "notes.2024.new"
    ]


def test_options_that_are_none(refused, tmp_path):
    (tmp_path / "runs/dcgan").mkdir(parents=True)
    (tmp_path / "runs/dcgan/options.json").write_text("[]")
    assert "there are no options in it" in refused(dcgan, "--epochs", 1)


def test_a_backend_that_cannot_train(refused, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "numpy")
    assert "numpy can't train" in refused(dcgan, "--epochs", 1, *TINY)
