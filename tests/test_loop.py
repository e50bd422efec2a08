"""What Keras' `fit` promises and `train` keeps, and what it refuses in one sentence.

Runs on every backend; the last tests start JAX, PyTorch and the settings of another
keras.json in processes of their own.
"""

import copy
import importlib.util
import json
import pickle
import re
import signal

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from conftest import ROOT, finish, noise
from interrupts import trials
from test_backends import GANS, dc_gan

from zoo import dcgan

BACKEND = keras.backend.backend()
callbacks = keras.callbacks


class Recorded(dcgan.DCGAN):
    """A DCGAN that only notes what a step gets; mini-batches of 4."""

    batch_size = 4

    def __init__(self):
        self.seen, self.steps, self.seed = [], 0, 3
        self.image_shape = 28, 28, 3
        self.combined = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])

    def train_step(self, images):
        self.seen.append(images)
        self.steps += 1
        return {"g_loss": 0.5}


def images(count=8):
    """Each has its number as its colour."""
    numbers = np.arange(count, dtype=np.uint8)
    return np.broadcast_to(numbers[:, None, None, None], (count, 28, 28, 3)).copy()


def number(batch):
    """The colours of a mini-batch of `images`."""
    return np.rint((batch[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()


def sentence(error):
    text = str(error.value)
    assert "\n" not in text and len(text) < 250
    return text


# Callbacks


@pytest.mark.parametrize("form", [None, "one", "list", "tuple", "nested"])
def test_callbacks_in_any_form(form):
    def note(seen):
        return callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: seen.append((epoch, logs["g_loss"])),
            on_train_batch_end=lambda step, logs: seen.append(step),
        )

    lists = [[], []]
    a, b = map(note, lists)
    forms = {None: None, "one": a, "list": [a, b], "tuple": (a, b), "nested": [[a], b]}
    gan = Recorded()
    history = gan.train(images(), 2, callbacks=forms[form])
    assert history.epoch == [0, 1] and history.history == {"g_loss": [0.5, 0.5]}
    expected = [0, 1, (0, 0.5), 0, 1, (1, 0.5)]
    used = {None: 0, "one": 1}.get(form, 2)
    assert lists == [expected] * used + [[]] * (2 - used)


def test_batch_hooks_run_between_the_steps():
    """Not in a thread beside the next step, as Keras may call them on JAX, PyTorch."""
    gan, seen = Recorded(), []
    hook = callbacks.LambdaCallback(
        on_train_batch_end=lambda step, logs: seen.append(gan.steps)
    )
    gan.train(images(80), 3, callbacks=hook)
    assert seen == list(range(1, 61))


WRONG = {
    "BackupAndRestore": (lambda f: callbacks.BackupAndRestore(f), "save"),
    "ModelCheckpoint": (lambda f: callbacks.ModelCheckpoint(f / "a.keras"), "save"),
    "LearningRateScheduler": (
        lambda f: callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2),
        "learning_rate",
    ),
    "ReduceLROnPlateau": (
        lambda f: callbacks.ReduceLROnPlateau("g_loss", mode="min"),
        "learning_rate",
    ),
    "EarlyStopping": (lambda f: callbacks.EarlyStopping("g_loss"), "mode='min'"),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("alone", [True, False])
def test_callbacks_that_do_not_fit(name, alone, tmp_path):
    build, advice = WRONG[name]
    gan, wrong = Recorded(), build(tmp_path)
    with pytest.raises(ValueError, match=f"{name} does not fit") as error:
        gan.train(
            images(), 2, callbacks=wrong if alone else [callbacks.Callback(), wrong]
        )
    assert advice in sentence(error) and gan.steps == 0


@pytest.mark.usefixtures("eager")
def test_callbacks_that_fit(tmp_path):
    gan = dc_gan()
    kept = [
        callbacks.EarlyStopping("g_loss", mode="min", min_delta=100),
        callbacks.CSVLogger(tmp_path / "log.csv"),
        callbacks.TerminateOnNaN(),
        callbacks.ModelCheckpoint(
            tmp_path / "{epoch}.weights.h5", save_weights_only=True
        ),
    ]
    history = gan.train(noise(8, 28, 28, 3), 5, 8, kept)
    assert history.epoch == [0, 1]  # no better by 100
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    assert header.startswith("epoch,d_fake,d_loss,d_real,g_loss") and len(rows) == 2
    before = gan.generate(2)
    gan.train(noise(8, 28, 28, 3), 1, 8)
    assert not np.array_equal(gan.generate(2), before)
    gan.combined.load_weights(tmp_path / "2.weights.h5")
    np.testing.assert_array_equal(gan.generate(2), before)


# Data


class Mine(keras.utils.PyDataset):
    """Shuffles after each epoch, as Keras documents it."""

    def __init__(self):
        super().__init__()
        self.order, self.calls = np.arange(8), []

    def __len__(self):
        return 2

    def __getitem__(self, step):
        chosen = self.order[4 * step : 4 * step + 4]
        self.calls.append(chosen.tolist())
        return images()[chosen].astype("float32") / 127.5 - 1

    def on_epoch_begin(self):
        self.calls.append("begin")

    def on_epoch_end(self):
        self.order = np.roll(self.order, 1)
        self.calls.append("end")


def test_hooks_of_a_data_set():
    data, gan = Mine(), Recorded()
    gan.train(data, 2)
    first, second = ["begin", [0, 1, 2, 3], [4, 5, 6, 7], "end"], [[7, 0, 1, 2]]
    assert data.calls == first + ["begin", *second, [3, 4, 5, 6], "end"]
    assert list(map(number, gan.seen)) == [x for x in data.calls if len(x) == 4]


def test_each_image_once_in_an_epoch():
    gan = Recorded()
    gan.train(images(), 3)
    epochs = [sum(map(number, gan.seen[i : i + 2]), []) for i in (0, 2, 4)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert gan.seen[0].dtype == np.float32


def test_going_on_is_the_same_order():
    straight, resumed = Recorded(), Recorded()
    straight.train(images(), 3)
    resumed.train(images(), 3, initial_epoch=1, initial_step=1)
    for a, b in zip(straight.seen[3:], resumed.seen, strict=True):
        np.testing.assert_array_equal(a, b)
    assert resumed.total_steps == 3 and straight.total_steps == 6


@pytest.mark.parametrize("kind", [np.asarray, list, tuple])
def test_labels_come_with_their_images(kind):
    gan, labels = Recorded(), 10 * np.arange(8)
    data = kind(images()) if kind is not tuple else images()
    gan.train((data, kind(labels) if kind is not tuple else labels, labels + 1), 2)
    for batch, tens, more in gan.seen:
        assert (10 * np.array(number(batch))).tolist() == list(tens)
        assert list(tens) == list(more - 1)
    assert len(gan.seen) == 4


def test_two_domains_are_drawn_apart():
    gan = Recorded()
    gan.train((images(8), images(12)), 1)
    a, b = ([number(batch[i]) for batch in gan.seen] for i in (0, 1))
    assert len(gan.seen) == 3 and sorted(sum(b, [])) == list(range(12))
    assert sorted(sum(a[:2], [])) == list(range(8)) and a[0] != b[0]


REFUSED = {
    "floats": (images() / 255, "float64"),
    "grey": (images()[..., :1], r"28, 28, 1\)"),
    "RGBA": (images()[..., [0, 1, 2, 2]], r"28, 28, 4\)"),
    "one image": (images()[0], r"28, 3\)"),
    "not square": (images()[:, :20], r"20, 28, 3\)"),
    "channels first": (images().transpose(0, 3, 1, 2), r"3, 28, 28\)"),
    "batches": ([images(), images()], r"8, 28, 28, 3\)"),
    "a generator": ((x for x in [images()]), "object"),
    "a function": (images, "object"),
    "a path": ("my/photos", "not uint8"),
    "None": (None, "object"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_data_that_is_refused(what):
    data, found = REFUSED[what]
    gan = Recorded()
    with pytest.raises(ValueError, match=found) as error:
        gan.train(data, 1)
    # What was found, what is wanted, what to do.
    assert "not uint8 ('count', 28, 28, 3): use" in sentence(error)
    assert gan.steps == 0


def test_labels_that_are_not_one_for_each_image():
    with pytest.raises(ValueError):
        Recorded().train((images(8), np.arange(7)), 1)


def test_images_of_several_sizes():
    gan, data = Recorded(), [images(1)[0], images(1)[0, :20]]
    with pytest.raises(ValueError, match="shape"):  # NumPy's own sentence
        gan.train(data, 1)


def test_too_few_images():
    with pytest.raises(ValueError, match="3 images are fewer than batch_size=4"):
        Recorded().train(images(3), 1)


@pytest.fixture
def photos(tmp_path):
    """A folder for `image_dataset_from_directory`: ten images in two classes."""
    for i, image in enumerate(images(10)):
        (tmp_path / "photos" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        iio.imwrite(tmp_path / "photos" / "ab"[i % 2] / f"{i}.png", image)
    return tmp_path / "photos"


def from_directory(folder, **options):
    pytest.importorskip("tensorflow")
    load = keras.utils.image_dataset_from_directory
    return load(folder, image_size=(28, 28), batch_size=3, **options)


def test_image_dataset_from_directory(photos):
    gan = Recorded()
    gan.train(from_directory(photos, label_mode=None), 1, batch_size=5)
    assert sorted(number(gan.seen[0]) + number(gan.seen[1])) == list(range(10))
    assert gan.seen[0].dtype == np.float32
    gan = Recorded()
    gan.train(from_directory(photos, label_mode="int"), 2, batch_size=5)
    for batch, labels in gan.seen:
        assert [n % 2 for n in number(batch)] == list(labels)
    with pytest.raises(ValueError, match=r"28, 28, 1\)"):
        gan.train(from_directory(photos, label_mode=None, color_mode="grayscale"), 1)


@pytest.mark.parametrize("scaled", [lambda x: x / 255, lambda x: x / 127.5 - 1])
def test_a_scaled_data_set_is_refused(photos, scaled):
    """Keras' own example of a DCGAN divides by 255."""
    data = from_directory(photos, label_mode=None).map(scaled)
    with pytest.raises(ValueError):
        Recorded().train(data, 1)


# What can't be kept


@pytest.mark.parametrize("copied", [pickle.dumps, copy.deepcopy])
def test_copies_are_refused(copied):
    gan = dc_gan()
    for which in (gan, gan.combined):
        with pytest.raises(NotImplementedError, match="use save") as error:
            copied(which)
        sentence(error)


@pytest.mark.parametrize("shape", [(64, 96, 3), (96, 64, 3), (64, 64), (100, 100, 3)])
def test_shapes_that_a_dcgan_can_not_make(shape):
    for build in (dcgan.build_generator, dcgan.build_discriminator):
        with pytest.raises(ValueError) as error:
            build(shape)
        assert str(shape) in sentence(error) and "use a size of 28" in sentence(error)


# Every model


@pytest.mark.parametrize("name", GANS)
@pytest.mark.usefixtures("eager")
def test_every_model_has_the_loop(name):
    gan, seen = GANS[name](), []
    size = 28 if name == "dcgan" else 32
    data = noise(2, size, size, 3)
    data = (data, data) if name in ("cyclegan", "dualgan") else data
    note = callbacks.LambdaCallback(on_epoch_end=lambda e, logs: seen.append(logs))
    assert gan.train(data, 2, 2, note).epoch == [0, 1] and gan.total_steps == 2
    assert len(seen) == 2 and all(
        np.isfinite(list(logs.values())).all() for logs in seen
    )
    assert gan.train(data, 3, 2, initial_epoch=2).epoch == [2] and gan.total_steps == 3
    with pytest.raises(ValueError, match="EarlyStopping"):
        gan.train(data, 1, 2, callbacks.EarlyStopping("g_loss"))
    with pytest.raises(NotImplementedError, match="use save"):
        pickle.dumps(gan)


# Interrupts


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers on Windows")
def test_interrupts_leave_a_whole_model():
    assert trials(dc_gan(), 20) == {}


def test_signals_wait_for_the_end_of_a_step():
    seen = []

    def handler(number, frame):
        seen.append(number)

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with dcgan.uninterrupted():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGINT)
            assert seen == []
        pytest.fail("no KeyboardInterrupt")
    except KeyboardInterrupt:
        assert seen == [signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# Other backends and settings, in processes of their own


def needs(backend):
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")


@pytest.mark.slow
def test_interrupts_on_jax():
    needs("jax")
    out, _ = finish([ROOT / "tests/interrupts.py", "--trials", 20], ROOT,
                    {"KERAS_BACKEND": "jax"})  # fmt: skip
    assert "jax: 0 of 20 trials failed" in out


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_loop_on_other_backends(backend):
    needs(backend)
    these = "not interrupts and not on_other and not keras_json"
    args = ["-m", "pytest", "-q", "tests/test_loop.py", "-k", these]
    out, _ = finish(args, ROOT, {"KERAS_BACKEND": backend})
    assert " passed" in out and not re.search(r"\d failed", out)


OTHER_SETTINGS = """
import numpy as np, keras
assert keras.config.image_data_format() == "channels_first"
import test_backends
from zoo import inpaint
assert keras.config.floatx() == "float32"
x = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
for name, build in test_backends.GANS.items():
    gan = build()
    small = x[:, :28, :28] if name == "dcgan" else x
    gan.train((x, x) if name in ("cyclegan", "dualgan") else small, 1, batch_size=4)
    for network in gan.networks:
        dtypes = {v.dtype for v in getattr(gan, network).weights}
        assert dtypes <= {"float32", "int64", "uint32"} and "float32" in dtypes, dtypes
    verb = [v for v in ("restore", "upscale", "translate") if hasattr(gan, v)]
    made = getattr(gan, verb[0])(x) if verb else gan.generate(4)
    assert made.dtype == np.uint8 and made.shape[-1] == 3, name
    if name == "dcgan":
        gan = inpaint.Inpainter(gan.generator, gan.discriminator, iterations=2)
        gan.complete(small, inpaint.make_masks("center", 4, 28))
for name in ("deblur", "srgan"):
    module = __import__(f"zoo.{name}", fromlist=["x"])
    gan = {"deblur": "Deblurrer", "srgan": "SRGAN"}[name]
    gan = getattr(module, gan).pretrained()
    assert getattr(gan, "restore" if name == "deblur" else "upscale")(x).dtype == np.uint8
print("all of them")
"""


@pytest.mark.slow
def test_another_keras_json(tmp_path):
    """An old one may say channels_first and float64."""
    settings = {"image_data_format": "channels_first", "floatx": "float64"}
    settings |= {"backend": BACKEND, "epsilon": 1e-7}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    env = {"KERAS_HOME": str(tmp_path), "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    out, _ = finish(["-c", OTHER_SETTINGS], tmp_path, env)
    assert out.endswith("all of them\n")
