import shutil
import warnings
import zipfile

import imageio.v3 as iio
import keras
import numpy as np
import pytest
from conftest import noise
from PIL import Image, ImageOps

from zoo.common import dataset, sources
from zoo.common.dataset import DataError, load


def batches(images, epoch):
    images.epoch = epoch
    return [images[i] for i in range(len(images))]


@pytest.mark.parametrize(
    "source, channels", [("photos", 3), ("faces", 1), ("textures", 1)]
)
def test_embedded_sets_need_no_download(source, channels):
    images = load(source, size=32, batch_size=4)
    assert images.shape == (32, 32, channels)
    batch = images[0]
    assert batch.shape == (4, 32, 32, channels) and batch.dtype == np.float32
    assert -1 <= batch.min() < -0.2 and 0.2 < batch.max() <= 1


@pytest.mark.parametrize("source", ["photos", "faces", "textures"])
def test_halves_share_no_picture(source):
    train, test, both = (
        load(source, 32, batch_size=1, split=split)
        for split in ("train", "test", "all")
    )
    assert train.count + test.count == both.count
    seen = {picture.tobytes() for picture in train.take(1000)}
    assert not seen & {picture.tobytes() for picture in test.take(1000)}


def test_a_batch_is_a_function_of_seed_epoch_and_step(folder):
    first = load(folder, 24, batch_size=4, crop="random", flip=True, seed=5)
    epochs = [batches(first, e) for e in range(2)]
    again = load(folder, 24, batch_size=4, crop="random", flip=True, seed=5)
    again.epoch = 1
    # Out of order, in another object, cold cache.
    np.testing.assert_array_equal(again[3], epochs[1][3])
    np.testing.assert_array_equal(again[0], epochs[1][0])
    assert not np.array_equal(epochs[0][0], epochs[1][0])
    other = load(folder, 24, batch_size=4, crop="random", flip=True, seed=6)
    assert not np.array_equal(other[0], epochs[0][0])


@pytest.mark.parametrize("count, size, crop", [(1, 24, "random"), (40, 60, "center")])
def test_each_step_epoch_and_seed_has_its_own_cuts_and_order(
    count, size, crop, tmp_path
):
    np.save(tmp_path / "a.npy", noise(count, 60, 60))
    seen = []
    for seed in (0, 1):
        images = load(
            tmp_path / "a.npy",
            size,
            batch_size=count,
            split="all",
            crop=crop,
            steps=2,
            seed=seed,
        )
        seen += [
            batch.tobytes() for epoch in (0, 1) for batch in batches(images, epoch)
        ]
    assert len(set(seen)) == 8


def test_an_epoch_holds_every_image_once(folder):
    images = load(folder, 24, batch_size=3)
    shown = np.concatenate(batches(images, 0))
    assert len(images) == 9 and images.count == 27  # three of thirty are held out
    assert len({picture.tobytes() for picture in shown}) == 27
    assert len(load(folder, 24, batch_size=4)) == 6  # and none twice


@pytest.mark.parametrize("count, batch_size", [(999, 32), (1000, 128)])
def test_few_images_come_in_smaller_batches(count, batch_size, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((count, 8, 8), np.uint8))
    assert load(tmp_path / "a.npy", 8, split="all").batch_size == batch_size


def test_more_steps_are_more_passes(folder):
    images = load(folder, 24, batch_size=9, steps=6)
    shown = [picture.tobytes() for batch in batches(images, 0) for picture in batch]
    assert all(shown.count(picture) == 2 for picture in shown)


def test_fit_takes_it(folder):
    images = load(folder, 24, batch_size=9)

    class Mean(keras.Model):
        def train_step(self, batch):
            return {"mean": keras.ops.mean(batch)}

    model = Mean()
    model.compile()
    history = model.fit(images, epochs=2, verbose=0, shuffle=False).history["mean"]
    assert history[0] != history[1] and images.epoch >= 2


def test_flip_mirrors_about_half():
    train = load("faces", 25, batch_size=80, flip=True)
    plain = {
        picture.tobytes()
        for picture in (train.take(80) / np.float32(127.5) - 1).astype(np.float32)
    }
    same = sum(picture.tobytes() in plain for picture in train[0])
    assert 20 < same < 60


@pytest.mark.parametrize("channels, flip, jitter", [(1, False, 1), (3, True, 2)])
def test_take_cuts_the_middle_and_mirrors_nothing(channels, flip, jitter, tmp_path):
    picture = noise(1, 40, 40, channels)
    np.save(tmp_path / "a.npy", picture)
    for size, crop in ((20, "random"), (40 // jitter, "center")):
        images = load(
            tmp_path / "a.npy", size, split="all", crop=crop, flip=flip, jitter=jitter
        )
        edge = (40 - size) // 2
        np.testing.assert_array_equal(
            images.take(1), picture[:, edge : 40 - edge, edge : 40 - edge]
        )


def test_every_place_may_be_cut_out(tmp_path):
    np.save(tmp_path / "a.npy", noise(1, 40, 40))
    images = load(tmp_path / "a.npy", 39, batch_size=64, split="all", crop="random")
    assert len({picture.tobytes() for picture in images[0]}) == 4


@pytest.mark.parametrize(
    "crop, shape, size",
    [("center", (40, 60), 20), ("center", (60, 40), 20), ("zoom", (80, 80), 20)]
    + [("zoom", (600, 600), 20), ("random", (20, 20), 40)],
)
def test_other_sizes_are_bicubic_and_keep_the_aspect(crop, shape, size, tmp_path):
    picture = np.kron(
        noise(shape[0] // 10, shape[1] // 10), np.ones((10, 10), np.uint8)
    )
    np.save(tmp_path / "a.npy", picture[None])
    made = (
        load(tmp_path / "a.npy", size, split="all", crop=crop)
        .take(1)[0, ..., 0]
        .astype(int)
    )
    expected = ImageOps.fit(
        Image.fromarray(picture), (size, size), Image.Resampling.BICUBIC
    )
    # Those are shrunk twice.
    assert np.abs(made - expected).max() <= (12 if shape[0] > 80 else 0)


def test_random_crops_of_a_jpeg_keep_its_scale(tmp_path):
    Image.fromarray(noise(200, 200)).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        expected = np.asarray(image)[88:112, 88:112]
    np.testing.assert_array_equal(
        load(tmp_path, 24, split="all", crop="random").take(1)[0, ..., 0], expected
    )


def test_the_cache_is_bounded(folder, monkeypatch):
    monkeypatch.setattr(dataset, "CACHE_BYTES", 5 * 24 * 24 * 3)
    images, opened = load(folder, 24, batch_size=27), []
    find = images.items.open
    monkeypatch.setattr(
        images.items, "open", lambda index: opened.append(index) or find(index)
    )
    batches(images, 0)
    batches(images, 1)
    assert len(opened) == 27 + 27 - 5


def test_zip_and_folder_give_the_same_images(folder, tmp_path):
    # After inner/, and before it in a folder's own list.
    for i, name in ((0, "z.JPG"), (6, "y.jpeg")):
        (folder / f"{i:02d}.jpg").rename(folder / name)
    archive = shutil.make_archive(tmp_path / "all", "zip", folder)
    a, b = (load(source, 24, split="all") for source in (folder, archive))
    assert a.count == b.count == 30
    np.testing.assert_array_equal(a.take(99), b.take(99))
    assert a.items.names == sorted(a.items.names)
    # Nothing was unpacked.
    assert sorted(p.name for p in tmp_path.iterdir()) == ["all.zip", "pictures"]


def test_what_systems_hide_is_left_out(folder, tmp_path):
    for name in (".thumbnails", "__MACOSX"):
        shutil.copytree(folder / "inner", folder / name)
    archive = shutil.make_archive(tmp_path / "all", "zip", folder)
    assert (
        load(folder, 24, split="all").count
        == load(archive, 24, split="all").count
        == 30
    )


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_folder_with_halves(val, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "set" / "train")
    shutil.copytree(folder / "inner", tmp_path / "set" / val)
    assert load(tmp_path / "set", 24).count == 30
    assert load(tmp_path / "set", 24, split="test", batch_size=1).count == 15


@pytest.mark.parametrize(
    "count, test", [(1, 0), (2, 1), (9, 1), (10, 1), (19, 1), (20, 2), (45, 4)]
)
def test_what_is_held_out(count, test, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((count, 8, 8), np.uint8))
    assert load(tmp_path / "a.npy", 8).count == count - test
    if test:
        assert load(tmp_path / "a.npy", 8, split="test").count == test
    else:
        with pytest.raises(DataError, match="no test images"):
            load(tmp_path / "a.npy", 8, split="test")


@pytest.mark.parametrize("shape", [(20, 24, 24), (20, 24, 24, 1), (20, 24, 24, 3)])
def test_arrays(shape, tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    np.save(tmp_path / "a.npy", pictures)
    np.savez(
        tmp_path / "b.npz",
        x_train=pictures,
        x_test=pictures[:5],
        y_train=np.arange(20),
        y_test=np.arange(5),
    )
    assert load(tmp_path / "a.npy", 24, batch_size=2).count == 18
    train, test = (
        load(tmp_path / "b.npz", 24, batch_size=2, split=split)
        for split in ("train", "test")
    )
    assert (train.count, test.count) == (20, 5)
    np.testing.assert_array_equal(train.labels, np.arange(20))
    both = load(tmp_path / "b.npz", 24, split="all")
    assert both.count == 25 and both.labels.tolist() == [*range(20), *range(5)]
    np.testing.assert_array_equal(train.take(20).reshape(shape), pictures)


def left_half_dark(width=40, height=20):
    picture = np.full((height, width), 200, np.uint8)
    picture[:, : width // 2] = 50
    return Image.fromarray(picture)


def save_as(kind, path):
    image = left_half_dark()
    if kind == "16-bit":
        Image.fromarray(np.asarray(image).astype(np.uint16) * 257).save(path / "a.png")
    elif kind == "exif":  # stored on its side, to be turned by the reader
        exif = Image.Exif()
        exif[274] = 8
        image.rotate(-90, expand=True).save(path / "a.png", exif=exif)
    elif kind == "alpha":
        rgba = np.dstack(
            [np.full((20, 40, 3), 50, np.uint8), np.full((20, 40), 255, np.uint8)]
        )
        # So much white shines through that 50 becomes 200.
        rgba[:, 20:, 3] = round(255 * (1 - 150 / 205))
        Image.fromarray(rgba).save(path / "a.png")
    elif kind == "grey alpha":
        image.convert("LA").save(path / "a.png")
    elif kind == "palette":
        image.quantize(4).save(path / "a.png")
    elif kind == "CMYK":
        image.convert("RGB").convert("CMYK").save(path / "a.tif")
    elif kind == "bilevel":
        Image.fromarray(np.asarray(image) > 100).save(path / "a.png")
    else:
        image.save(path / f"a.{kind}")


KINDS = [
    "png",
    "pgm",
    "webp",
    "bmp",
    "16-bit",
    "exif",
    "alpha",
    "grey alpha",
    "palette",
    "CMYK",
    "bilevel",
]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image(kind, channels, tmp_path):
    save_as(kind, tmp_path)
    picture = (
        load(tmp_path, 20, channels, batch_size=1, split="all").take(1)[0].astype(int)
    )
    dark, light = (0, 255) if kind == "bilevel" else (50, 200)
    assert picture.shape == (20, 20, channels)
    assert abs(picture[:, :9] - dark).max() < 8
    assert abs(picture[:, 11:] - light).max() < 8


@pytest.mark.parametrize(
    "kind, channels",
    [("pgm", 1), ("16-bit", 1), ("grey alpha", 1), ("bilevel", 1), ("alpha", 3)],
)
def test_channels_are_those_of_the_first_image(kind, channels, tmp_path):
    save_as(kind, tmp_path)
    assert load(tmp_path, 20, split="all").shape == (20, 20, channels)


@pytest.mark.parametrize(
    "values", [np.array([0, 65535], np.uint16), np.array([-9, 70_000], np.int32)]
)
def test_the_ends_of_deep_greys(values, tmp_path):
    Image.fromarray(values.repeat(200).reshape(20, 20)).save(tmp_path / "a.tif")
    picture = load(tmp_path, 20, split="all").take(1)[0]
    assert (picture[:10] == 0).all() and (picture[10:] == 255).all()


def test_a_transparent_colour_becomes_white(tmp_path):
    left_half_dark().save(tmp_path / "a.png", transparency=50)
    picture = load(tmp_path, 20, split="all").take(1)[0]
    assert (picture[:, :9] == 255).all() and (picture[:, 11:] == 200).all()


@pytest.mark.parametrize("source", ["set", "set.zip", "pairs"])
def test_postscript_is_not_run(source, tmp_path):
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"
    for place in ("set", "pairs/A", "pairs/B"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "page.jpg").write_bytes(page)
    shutil.make_archive(tmp_path / "set", "zip", tmp_path / "set")
    with pytest.raises(DataError, match="cannot identify"):
        load(
            tmp_path / source,
            24,
            split="all",
            domain="AB" if source == "pairs" else None,
        )[0]


def test_a_damaged_file_is_skipped_with_one_warning(folder):
    good = [p for p in sorted(folder.rglob("*.*"))][3]
    good.write_bytes(good.read_bytes()[:200])
    images = load(folder, 24, batch_size=5, steps=20)
    with pytest.warns(UserWarning) as caught:
        batches(images, 0)
    assert [good.name in str(w.message) for w in caught] == [True]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batches(images, 1)


@pytest.mark.parametrize("damage", ["text", "truncated", "tiny", "empty"])
def test_many_damaged_files_are_an_error(damage, folder):
    for path in sorted(folder.rglob("*.*"))[:5]:
        if damage == "text":
            path.write_text("not a picture")
        elif damage == "truncated":
            path.write_bytes(path.read_bytes()[:120])
        elif damage == "tiny":
            iio.imwrite(path, np.zeros((3, 3, 3), np.uint8))
        else:
            path.write_bytes(b"")
    images = load(folder, 24, batch_size=5, steps=20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="remove or replace"):
            batches(images, 0)


def test_of_two_threads_either_names_the_damaged_file(tmp_path):
    (tmp_path / "wrong.png").write_text("not a picture")
    images = load(tmp_path, 24, batch_size=1, split="all")
    for _ in range(2):  # the second time it is known to be damaged
        with pytest.raises(DataError, match="wrong.png"):
            images._image(0)


def test_a_decompression_bomb_is_not_decoded(tmp_path, monkeypatch):
    iio.imwrite(tmp_path / "bomb.png", np.zeros((400, 400), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(DataError, match="bomb.png"):
        load(tmp_path, 24, batch_size=1, split="all")[0]


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(10**6))
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 10**5)
    with pytest.raises(DataError, match="unpacks to more"):
        load(tmp_path / "a.zip", 24, batch_size=1, split="all")[0]


def test_a_bomb_of_an_array_is_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "a.npz", np.zeros((9, 400, 400), np.uint8))
    assert load(tmp_path / "a.npz", 24, batch_size=1)[0].shape == (1, 24, 24, 1)
    monkeypatch.setattr(sources, "MAX_FILE_BYTES", 10**5)
    with pytest.raises(DataError, match="unpacks to 1 MiB"):
        load(tmp_path / "a.npz", 24)


def pair(i, size=40):
    """A picture of blocks, and its negative."""
    blocks = np.random.default_rng(i).integers(
        0, 256, (size // 8, size // 8, 3), np.uint8
    )
    a = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    return a, 255 - a


@pytest.fixture
def paired(tmp_path):
    """The same 20 pairs in folders.

    `sides`, side by side, in two halves, and `folders`, A and B.
    """
    for i in range(20):
        a, b = pair(i)
        half = "train" if i < 15 else "test"
        for path, image in (
            (f"sides/{half}", np.hstack([a, b])),
            ("folders/A", a),
            ("folders/B/", b),
        ):
            (tmp_path / path).mkdir(parents=True, exist_ok=True)
            iio.imwrite(tmp_path / path / f"{i:02d}.png", image)
    return tmp_path


@pytest.mark.parametrize(
    "crop, jitter", [("random", 1), ("center", 286 / 256), ("zoom", 1)]
)
@pytest.mark.parametrize("source", ["sides", "folders"])
def test_both_of_a_pair_are_cut_and_mirrored_alike(source, crop, jitter, paired):
    images = load(
        paired / source,
        24,
        batch_size=8,
        crop=crop,
        jitter=jitter,
        flip=True,
        domain="AB",
    )
    assert images.shape == (24, 24, 6)
    batch = images[0]
    assert np.abs(batch[..., :3] + batch[..., 3:]).max() <= 2.1 / 127.5
    assert len({picture.tobytes() for picture in batch}) == 8


def test_pairs_in_every_layout_are_the_same(paired):
    shutil.make_archive(paired / "zipped", "zip", paired / "sides")
    np.save(paired / "array.npy", np.stack([np.hstack(pair(i)) for i in range(20)]))
    for i in range(20):
        half = paired / "both" / ("train" if i < 15 else "val")
        for side in "AB":
            (half / side).mkdir(parents=True, exist_ok=True)
            shutil.copy(paired / f"folders/{side}/{i:02d}.png", half / side)
    everything = None
    for source in ("sides", "folders", "both", "zipped.zip", "array.npy"):
        images = load(paired / source, 40, split="all", batch_size=1, domain="AB")
        found = {picture.tobytes() for picture in images.take(20)}
        assert len(found) == 20 and found == (everything or found)
        everything = found
        for domain, channels in (("A", slice(0, 3)), ("B", slice(3, 6))):
            alone = load(
                paired / source, 40, split="all", batch_size=1, domain=domain
            ).take(20)
            np.testing.assert_array_equal(
                np.sort(images.take(20)[..., channels], 0), np.sort(alone, 0)
            )
    for source in ("sides", "both"):
        counts = [
            load(paired / source, 40, split=split, domain="AB").count
            for split in ("train", "test")
        ]
        assert counts == [15, 5]


def test_domains_without_pairs(paired):
    for name, source in (("trainA", "A"), ("trainB", "B"), ("testB", "B")):
        shutil.copytree(paired / "folders" / source, paired / "two" / name)
    (paired / "two/trainA/00.png").unlink()
    counts = {
        (d, s): load(paired / "two", 24, split=s, domain=d).count
        for d in "AB"
        for s in ("train", "test", "all")
    }
    assert (
        counts["B", "train"] == counts["B", "test"] == 20 and counts["B", "all"] == 40
    )
    # No testA: every tenth.
    assert (counts["A", "train"], counts["A", "test"], counts["A", "all"]) == (
        18,
        1,
        19,
    )
    with pytest.raises(DataError, match="no pairs"):
        load(paired / "two", 24, domain="AB")


@pytest.mark.parametrize(
    "size, wrong",
    [((81, 40), "81 pixels is odd"), ((40, 40), "40x40 and 80x40, not equally")],
)
def test_pairs_of_unequal_pictures(size, wrong, paired):
    for file in ("sides/train/00.png", "folders/A/00.png"):
        Image.new("RGB", size).save(paired / file)
    Image.new("RGB", (80, 40)).save(paired / "folders/B/00.png")
    source = "sides" if "odd" in wrong else "folders"
    with pytest.warns(UserWarning, match=wrong):
        load(paired / source, 24, split="all", domain="AB", batch_size=20)[0]


def test_whole_pairs(paired):
    whole = list(
        load(paired / "sides", 24, split="test", domain="AB", batch_size=1).whole()
    )
    assert len(whole) == 5 and whole[0].shape == (40, 40, 6)
    np.testing.assert_array_equal(whole[0], np.dstack(pair(15)))


def test_zoom_goes_from_the_size_to_the_whole_picture(tmp_path):
    ramp = np.broadcast_to(
        np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], (120, 120, 3)
    )
    iio.imwrite(tmp_path / "ramp.png", ramp)
    images = load(tmp_path, 24, batch_size=50, split="all", crop="zoom")
    spans = (images[0][:, 0, -1, 0] - images[0][:, 0, 0, 0]) * 127.5
    assert 45 < spans.min() < 90 and 180 < spans.max() < 240
    whole = images.take(1)[0]
    assert whole[0, 0, 0] < 10 and whole[0, -1, 0] > 228
    # With four times 40 it would be enlarged.
    batch = load(tmp_path, 40, batch_size=50, split="all", crop="zoom")[0]
    assert ((batch[:, 0, -1, 0] - batch[:, 0, 0, 0]) * 127.5).min() > 75


@pytest.mark.parametrize("side", [480, 960])
def test_zoom_cuts_no_mere_details_out_of_a_large_picture(side, tmp_path):
    ramp = np.broadcast_to(
        (np.arange(side) * 240 // side).astype(np.uint8)[None, :, None], (side, side, 3)
    )
    iio.imwrite(tmp_path / "ramp.jpg", ramp, quality=95)
    batch = load(tmp_path, 24, batch_size=50, split="all", crop="zoom")[0]
    spans = (batch[:, 0, -1, 0] - batch[:, 0, 0, 0]) * 127.5
    assert 50 < spans.min() < 90 and spans.max() > 200


def test_map_is_applied_to_batches(folder):
    plain, mapped = load(folder, 24, batch_size=4), load(folder, 24, batch_size=4)
    mapped.map = lambda batch: (batch[..., :1], batch[..., 1:])
    a, b = mapped[2]
    np.testing.assert_array_equal(np.concatenate([a, b], -1), plain[2])


def test_a_folder_of_a_data_sets_name_is_asked_for(folder, monkeypatch):
    folder.rename(folder.parent / "photos")
    monkeypatch.chdir(folder.parent)
    with pytest.raises(DataError, match="give ./photos for the folder"):
        load("photos", 24)
    assert load("./photos", 24, split="all").count == 30


def test_links_that_lead_back_are_followed_once(folder):
    for name in ("again", "and_again"):
        (folder / name).symlink_to(folder)
    assert load(folder, 24, split="all").count == 30
    (folder.parent / "links").mkdir()
    (folder.parent / "links/elsewhere").symlink_to(folder / "inner")
    assert load(folder.parent / "links", 24, split="all").count == 15


@pytest.mark.parametrize("size", [(6000, 8), (8, 6000)])
def test_a_strip_is_not_enlarged(size, folder):
    Image.new("RGB", size).save(folder / "strip.png")
    images = load(folder, 96, batch_size=31, crop="random", split="all")
    with pytest.warns(
        UserWarning,
        match="strip.png can't be used: it is a strip of {}x{} pixels".format(*size),
    ):
        assert images[0].shape == (31, 96, 96, 3)


def test_whole_leaves_out_what_is_damaged_or_too_small(folder):
    Image.new("RGB", (40, 9)).save(folder / "low.png")
    images = load(folder, 24, split="all")
    with pytest.warns(
        UserWarning, match="low.png can't be used: it has only 40x9 pixels"
    ):
        assert len(list(images.whole(least=16))) == 30


def test_a_lack_of_memory_is_no_damage(folder, monkeypatch):
    def no_memory(*_):
        raise MemoryError

    monkeypatch.setattr(sources, "to_8bit", no_memory)
    images = load(folder, 24, batch_size=4)
    with pytest.raises(MemoryError):
        images[0]
    with pytest.raises(MemoryError):
        next(images.whole())


@pytest.mark.parametrize(
    "labels", [np.eye(10, dtype=int)[:9], np.arange(8), np.linspace(0, 1, 9)]
)
def test_labels_that_fit_no_images(labels, tmp_path):
    x = np.zeros((9, 24, 24), np.uint8)
    np.savez(
        tmp_path / "set.npz", x_train=x, y_train=labels, x_test=x, y_test=np.arange(9)
    )
    with pytest.raises(DataError, match="each image needs one integer"):
        load(tmp_path / "set.npz", 24)


def test_a_stray_file_in_an_npz(tmp_path):
    np.savez(tmp_path / "set.npz", x=np.zeros((9, 24, 24), np.uint8))
    with zipfile.ZipFile(tmp_path / "set.npz", "a") as archive:
        archive.writestr("README.txt", "hello")
    assert load(tmp_path / "set.npz", 24, split="all").count == 9


def test_a_zip_of_two_domains(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i, file in enumerate(sorted(folder.rglob("*.png"))):
            archive.write(file, f"set/train{'AB'[i % 2]}/{file.name}")
    for domain in "AB":
        assert load(tmp_path / "set.zip", 24, split="all", domain=domain).count == 10
    with pytest.raises(DataError, match="no pairs"):
        load(tmp_path / "set.zip", 24, domain="AB")
    assert load(tmp_path / "set.zip", 24, split="all").count == 20


def test_one_damaged_picture_of_a_few_is_skipped(folder):
    for path in sorted(folder.rglob("*.*"))[9:]:
        path.unlink()
    sorted(folder.rglob("*.*"))[3].write_text("not a picture")
    with pytest.warns(UserWarning, match="skipped"):
        assert len(load(folder, 24, split="all").take(9)) == 9


def test_a_zip_with_halves(folder, tmp_path):
    files = sorted(folder.rglob("*.*"))
    for under in ("", "set/"):
        with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
            for i, file in enumerate(files):
                archive.write(
                    file, f"{under}{'val' if i < 4 else 'train'}/{i:02d}{file.suffix}"
                )
            archive.writestr(f"{under}train/._00.png", b"what a Mac adds")
        train, test, whole = (
            load(tmp_path / "set.zip", 24, split=split)
            for split in ("train", "test", "all")
        )
        assert (
            test.count == 4
            and train.count == len(files) - 4
            and whole.count == len(files)
        )
        assert all("val/" in name for name in test.items.names)


@pytest.mark.parametrize(
    "folders, message",
    [
        (["trainA", "testB"], "has no folder B or trainB"),
        (["trainB"], "has no folder A or trainA"),
        (["testA", "testB"], "has no folder A or trainA"),
        (["A"], "has no folder B or trainB"),
        (["train/B", "test/B"], "has no folder A or trainA"),
        (["one", "two"], "'one' and 'two' with files of equal names"),
    ],
)
def test_domains_that_are_not_whole(folders, message, tmp_path):
    for place in folders:
        (tmp_path / place).mkdir(parents=True)
        for i in range(4):
            iio.imwrite(tmp_path / place / f"{i}.png", np.zeros((24, 48, 3), np.uint8))
    with pytest.raises(DataError, match=message):
        for domain in "AB":
            load(tmp_path, 24, domain=domain)


@pytest.mark.parametrize(
    "a, b",
    [
        ("A", "B"),
        ("train/a", "train/b"),
        ("A/train", "B/train"),
        ("trainA", "trainB"),
        ("train_A", "train_B"),
        ("train-a", "train-b"),
        ("input", "target"),
        ("set/Images", "set/Masks"),
        ("val/source", "val/target"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_folders_of_pairs(a, b, packed, tmp_path):
    for i in range(12):
        for side, colour in ((a, (255, 0, 0)), (b, (0, 0, 255))):
            (tmp_path / "set" / side).mkdir(parents=True, exist_ok=True)
            ending = "png" if side == a or i % 2 else "bmp"  # names are enough
            picture = Image.new("RGB", (48, 48), colour)
            picture.save(tmp_path / "set" / side / f"{i:03}.{ending}")
    source = tmp_path / "set"
    if packed:
        source = shutil.make_archive(tmp_path / "set", "zip", source)
    pairs = load(source, 24, domain="AB", split="all").take(99)
    assert pairs.shape == (12, 24, 24, 6) and (pairs == (255, 0, 0, 0, 0, 255)).all()
    for domain, colour in (("A", (255, 0, 0)), ("B", (0, 0, 255))):
        alone = load(source, 24, domain=domain, split="all").take(99)
        assert alone.shape == (12, 24, 24, 3) and (alone == colour).all()


def test_images_without_masks_are_one_domain(folder, tmp_path):
    folder.rename(tmp_path / "images")
    assert load(tmp_path, 24, split="all", domain="A").count == 30  # left halves


def test_pairs_of_the_test_images_alone(tmp_path):
    for place, names in (
        ("trainA", "abc"),
        ("trainB", "def"),
        ("testA", "gh"),
        ("testB", "gh"),
    ):
        (tmp_path / place).mkdir()
        for name in names:
            Image.new("RGB", (24, 24)).save(tmp_path / place / f"{name}.png")
    assert load(tmp_path, 24, split="test", domain="AB").count == 2
    with pytest.raises(DataError, match="no pairs"):
        load(tmp_path, 24, domain="AB")
    arrays = {f"train{side}": noise(9, 24, 24, 3) for side in "AB"}
    arrays |= {f"test{side}": noise(4, 24, 24, 3, seed=ord(side)) for side in "AB"}
    np.savez(tmp_path / "set.npz", **arrays)
    pairs = load(tmp_path / "set.npz", 24, split="test", domain="AB").take(9)
    np.testing.assert_array_equal(pairs[..., 3:], arrays["testB"])
    assert load(tmp_path / "set.npz", 24, domain="B").count == 9
    with pytest.raises(DataError, match="no pairs"):
        load(tmp_path / "set.npz", 24, domain="AB")


def test_images_under_any_ending(folder):
    pictures = sorted(folder.rglob("*.png"))
    for i, ending in enumerate((".jfif", ".jpe", "", ".dat", ".xyz")):
        pictures[i].rename(pictures[i].with_suffix(ending))
    (folder / "notes.txt").write_text("hello")
    for name in ("a.heic", "b.HEIC", "c"):
        (folder / name).write_bytes(b"not for Pillow")
    for source in (folder, shutil.make_archive(folder, "zip", folder)):
        images = load(source, 24, split="all")
        assert images.count == 30
        assert images.items.left_out == {".heic": 2, ".txt": 1, "no ending": 1}


def test_what_lies_beside_the_splits_is_counted(folder, tmp_path):
    for place in ("train", "val", "more"):
        shutil.copytree(folder, tmp_path / "set" / place)
    images = load(tmp_path / "set", 24)
    assert images.count == 30
    assert sum(images.items.left_out.values()) == 30


def test_labels_of_sub_folders(tmp_path):
    for place, level in (("cat", 10), ("dog", 200)):
        (tmp_path / "set" / place).mkdir(parents=True)
        for i in range(20):
            picture = Image.new("L", (24, 24), level + i)
            picture.save(tmp_path / "set" / place / f"{i}.png")
    images = load(tmp_path / "set", 24, batch_size=8, labels="class", flip=True)
    assert images.classes == ["cat", "dog"] and images.labels.shape == (images.count,)
    shown, labels = images[1]
    assert shown.shape == (8, 24, 24, 1) and labels.dtype == np.int32
    np.testing.assert_array_equal(labels, shown[:, 0, 0, 0] > 0)
    assert load(tmp_path / "set", 24).labels is None  # nobody asked
    with pytest.raises(DataError, match="no labels 'hair': there are class"):
        load(tmp_path / "set", 24, labels="hair")


def test_labels_of_arrays(tmp_path):
    x, y = noise(30, 24, 24), np.arange(30) % 3
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    images = load(tmp_path / "a.npz", 24, batch_size=5, labels="class")
    shown, labels = images[0]
    found = {picture.tobytes(): label for picture, label in zip(x, y, strict=True)}
    levels = np.rint((shown[..., 0] + 1) * 127.5).astype(np.uint8)
    assert [found[level.tobytes()] for level in levels] == labels.tolist()


def test_labels_of_the_built_in_set():
    train, test = (
        load("avatars", 32, split=s, labels="hair") for s in ("train", "test")
    )
    assert (train.count, test.count) == (9000, 1000)
    assert set(train.attributes) == {"hair", "skin", "glasses", "hat", "beard"}
    assert len(train.classes) == 6 and set(train.labels) == set(test.labels) == set(
        range(6)
    )


def test_runs_among_the_images_are_no_images(folder):
    before = load(folder, 24, split="all").count
    (folder / "runs/deblur/samples").mkdir(parents=True)
    for name in ("curves.png", "samples/epoch_0001.png"):
        iio.imwrite(folder / "runs/deblur" / name, np.zeros((24, 24, 3), np.uint8))
    assert load(folder, 24, split="all").count == before + 2
    (folder / "runs/deblur/options.json").write_text("{}")
    assert load(folder, 24, split="all").count == before
    assert load(folder / "runs/deblur", 24, split="all").count == 2  # asked for by name


def test_capitals_of_folders_do_not_count(tmp_path):
    for place, level in (("Train/a", 1), ("Train/b", 2), ("TEST/a", 3), ("TEST/b", 4)):
        (tmp_path / place).mkdir(parents=True)
        iio.imwrite(tmp_path / place / "x.png", np.full((24, 24, 3), level, np.uint8))
    for split, levels in (("train", (1, 2)), ("test", (3, 4))):
        both = load(tmp_path, 24, split=split, domain="AB").take(9)
        assert (
            both.shape == (1, 24, 24, 6)
            and (both[0, 0, 0, 0], both[0, 0, 0, 3]) == levels
        )
        assert load(tmp_path, 24, split=split).count == 2


@pytest.mark.parametrize("name", ["test/{}/{}.png", "{}\\{}.png", "{}/dogs/{}.png"])
def test_halves_in_a_zip_share_no_picture(name, folder, tmp_path):
    files = sorted(folder.rglob("*.png"))
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for i, file in enumerate(files):
            archive.write(file, name.format("Test" if i < 6 else "train", i))
    train, test, whole = (
        load(tmp_path / "set.zip", 24, split=split)
        for split in ("train", "test", "all")
    )
    assert (train.count, test.count, whole.count) == (len(files) - 6, 6, len(files))
    assert not {x.tobytes() for x in train.take(99)} & {
        x.tobytes() for x in test.take(99)
    }


def test_halves_of_an_array_that_differ(tmp_path):
    x = {
        "x_train": np.zeros((9, 32, 32), np.uint8),
        "x_test": np.zeros((9, 28, 28), np.uint8),
    }
    np.savez(tmp_path / "a.npz", **x)
    assert load(tmp_path / "a.npz", 24, split="test").count == 9
    with pytest.raises(DataError, match=r"\(9, 32, 32\) and test images \(9, 28, 28\)"):
        load(tmp_path / "a.npz", 24, split="all")


def test_labels_without_a_test_half(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        x_train=np.zeros((20, 8, 8), np.uint8),
        y_train=np.arange(20),
    )
    assert load(tmp_path / "a.npz", 24, batch_size=2, split="test").labels.tolist() == [
        9,
        19,
    ]


def test_whole_takes_the_middle_of_what_is_too_large(tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    iio.imwrite(tmp_path / "a.png", picture)
    images = load(tmp_path, 24, split="all", batch_size=1)
    np.testing.assert_array_equal(next(images.whole(most=30)), picture[5:35, 15:45])
    np.testing.assert_array_equal(next(images.whole(most=50)), picture[:, 5:55])
    np.testing.assert_array_equal(next(images.whole()), picture)


@pytest.mark.parametrize(
    "choice", [{"split": "val"}, {"crop": "centre"}, {"domain": "ab"}]
)
def test_choices_that_there_are_not(choice, folder):
    (name, value), *_ = choice.items()
    with pytest.raises(DataError, match=f"{name} is '{value}', and can be"):
        load(folder, 24, **choice)
