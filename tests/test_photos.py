import os
import tracemalloc
import warnings
import zlib

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image, ImageCms

from zoo.common import photos
from zoo.common.photos import PhotoError, apply

SIZES = [(1, 1), (3, 2), (30, 17), (100, 70), (257, 255)]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def identity(images):
    return images


def enlarge(scale):
    """Nearest neighbour, as `restore`."""
    return lambda images: images.repeat(scale, axis=1).repeat(scale, axis=2)


def network(images):
    """A box blur of radius 2 with zeros at the edges, as convolutions pad, inside
    blocks of 4x4 pixels: radius 8.
    """
    n, h, w, c = images.shape
    blocks = images.reshape(n, h // 4, 4, w // 4, 4, c).mean((2, 4))
    padded = np.pad(blocks, ((0, 0), (1, 1), (1, 1), (0, 0)))
    blurred = (
        sum(
            padded[:, i : i + h // 4, j : j + w // 4]
            for i in range(3)
            for j in range(3)
        )
        / 9
    )
    mixed = (images + blurred.repeat(4, axis=1).repeat(4, axis=2)) / 2
    return mixed.round().astype(np.uint8)


def noise(height, width, channels=3, seed=0):
    image = np.random.default_rng(seed).integers(
        0, 256, (height, width, channels), np.uint8
    )
    return image[..., 0] if channels == 1 else image


def write(path, image, **options):
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(path, **options)
    return path


def read(path):
    with Image.open(path) as image:
        return image.mode, np.asarray(image)


@pytest.fixture
def through(tmp_path):
    """Sends an image through `apply`; returns mode and pixels of what comes out."""

    def run(image, restore=identity, suffix=".png", **options):
        source = write(tmp_path / "source.png", image)
        apply(source, tmp_path / f"target{suffix}", restore, **options)
        return read(tmp_path / f"target{suffix}")

    return run


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "mode, channels", [("L", 1), ("LA", 2), ("RGB", 3), ("RGBA", 4)]
)
def test_identity_gives_the_same_pixels(through, mode, channels, size):
    image = noise(*size, channels)
    got, pixels = through(image, tile=32, halo=5, multiple=4)
    assert got == mode
    np.testing.assert_array_equal(pixels, image)


@pytest.mark.parametrize("size", SIZES)
def test_tiles_do_not_show(through, size):
    image = noise(*size)
    pad = [(16, 16 + -side % 4) for side in size]
    padded = np.pad(image, [*pad, (0, 0)], mode="symmetric")
    expected = network(padded[None])[0, 16 : 16 + size[0], 16 : 16 + size[1]]
    _, tiled = through(image, network, tile=32, halo=5, multiple=4)
    _, untiled = through(image, network, tile=10000, halo=5, multiple=4)
    np.testing.assert_array_equal(untiled, expected)
    np.testing.assert_array_equal(tiled, expected)


def test_tiles_do_not_show_enlarged(through):
    image = noise(70, 100)

    def restore(images):
        return enlarge(4)(network(images))

    _, tiled = through(image, restore, scale=4, tile=30, halo=8, multiple=4)
    _, untiled = through(image, restore, scale=4, tile=1000, halo=8, multiple=4)
    assert tiled.shape == (280, 400, 3)
    np.testing.assert_array_equal(tiled, untiled)


@pytest.mark.parametrize("size", SIZES)
def test_restore_sees_one_shape(through, size):
    shapes = set()

    def restore(images):
        assert images.dtype == np.uint8
        shapes.add(images.shape)
        return images

    through(noise(*size), restore, tile=33, halo=5, multiple=4)
    ((n, h, w, channels),) = shapes
    assert channels == 3 and n == 1
    for padded, side in ((h, size[0]), (w, size[1])):
        assert padded % 4 == 0 and padded <= min(36, side + 3) + 2 * 8


def test_grey_comes_in_three_channels(through):
    def restore(images):
        assert (images == images[..., :1]).all()
        return images + np.array([0, 10, 0], np.uint8)

    mode, pixels = through(np.full((9, 9), 100, np.uint8), restore)
    assert mode == "L" and (pixels == 106).all()


def palette_image(**info):
    image = Image.fromarray(noise(40, 50, 1) // 64).convert("P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 99, 199])
    image.info.update(info)
    return image


@pytest.mark.parametrize(
    "image, mode",
    [
        (palette_image(), "RGB"),
        (palette_image(transparency=2), "RGBA"),
        (palette_image(transparency=bytes([0, 50, 100, 255])), "RGBA"),
        (Image.fromarray(noise(40, 50, 1)).convert("1"), "L"),
    ],
)
def test_other_modes(through, image, mode):
    got, pixels = through(image, tile=16)
    assert got == mode
    np.testing.assert_array_equal(pixels, np.asarray(image.convert(mode)))


def test_transparent_colour(through, tmp_path):
    write(tmp_path / "grey.png", np.array([[1, 2], [3, 4]], np.uint8), transparency=3)
    apply(tmp_path / "grey.png", tmp_path / "target.png", identity)
    mode, pixels = read(tmp_path / "target.png")
    assert mode == "LA" and pixels[..., 1].tolist() == [[255, 255], [0, 255]]


def test_sixteen_bits(through):
    values = np.random.default_rng(0).integers(0, 65536, (40, 50), np.uint16)
    values[0, :2] = 0, 65535
    mode, pixels = through(values)
    assert mode == "L"
    np.testing.assert_array_equal(pixels, (values / 257).round())


def test_thirty_two_bits_are_clipped(tmp_path):
    write(tmp_path / "source.tif", np.array([[-9, 257], [65535, 70_000]], np.int32))
    apply(tmp_path / "source.tif", tmp_path / "target.png", identity)
    assert read(tmp_path / "target.png")[1].tolist() == [[0, 1], [255, 255]]


def test_cmyk(tmp_path):
    image = Image.fromarray(np.full((40, 50, 3), (200, 120, 40), np.uint8)).convert(
        "CMYK"
    )
    profile = SRGB[:16] + b"CMYK" + SRGB[20:]
    write(tmp_path / "source.jpg", image, quality=95, icc_profile=profile)
    apply(tmp_path / "source.jpg", tmp_path / "target.png", identity)
    with Image.open(tmp_path / "target.png") as result:
        assert result.mode == "RGB" and "icc_profile" not in result.info
        assert np.abs(np.asarray(result, int) - (200, 120, 40)).max() <= 3


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(tmp_path, orientation, suffix):
    upright = noise(3, 5).repeat(16, axis=0).repeat(16, axis=1)
    # What the camera did: a member of Image.Transpose.
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = Image.fromarray(upright)
    stored = stored.transpose(undo[orientation]) if orientation > 1 else stored
    exif = Image.Exif()
    exif[0x0112] = orientation
    write(tmp_path / f"source{suffix}", stored, exif=exif)
    apply(tmp_path / f"source{suffix}", tmp_path / f"target{suffix}", identity)
    with Image.open(tmp_path / f"target{suffix}") as result:
        assert result.getexif().get(0x0112, 1) == 1
        assert np.abs(np.asarray(result, int) - upright)[8::16, 8::16].max() <= (
            30 if suffix == ".jpg" else 0
        )


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_icc_profile_is_kept(tmp_path, suffix):
    write(tmp_path / "source.png", noise(40, 50), icc_profile=SRGB)
    apply(tmp_path / "source.png", tmp_path / f"target{suffix}", identity)
    with Image.open(tmp_path / f"target{suffix}") as result:
        assert result.info["icc_profile"] == SRGB


@pytest.mark.parametrize(
    "suffix, kept", [(".png", True), (".jpg", True), (".webp", False), (".tif", True)]
)
def test_icc_profile_of_grey(tmp_path, suffix, kept):
    """WebP has no grey, and the profile would not fit."""
    profile = SRGB[:16] + b"GRAY" + SRGB[20:]
    write(tmp_path / "source.png", noise(40, 50, 1), icc_profile=profile)
    apply(tmp_path / "source.png", tmp_path / f"target{suffix}", identity)
    with Image.open(tmp_path / f"target{suffix}") as result:
        assert result.info.get("icc_profile") == (profile if kept else None)


def test_a_profile_that_does_not_fit_is_left_out(tmp_path):
    profile = SRGB[:16] + b"GRAY" + SRGB[20:]
    for channels, colour in ((3, False), (1, True)):
        write(tmp_path / "source.png", noise(40, 50, channels), icc_profile=profile)
        apply(tmp_path / "source.png", tmp_path / "target.png", identity, colour=colour)
        with Image.open(tmp_path / "target.png") as result:
            assert result.mode == "RGB" and "icc_profile" not in result.info


@pytest.mark.parametrize("alpha", [False, True])
def test_grey_can_come_back_in_colour(through, alpha):
    def redden(images):
        images = images.copy()
        images[..., 0] = 255
        return images

    grey = Image.fromarray(noise(20, 30, 1)).convert("LA" if alpha else "L")
    mode, pixels = through(grey, redden, colour=True, tile=10**9, halo=0)
    assert mode == ("RGBA" if alpha else "RGB")
    assert (pixels[..., 0] == 255).all()
    np.testing.assert_array_equal(pixels[..., 1], noise(20, 30, 1))


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_enlarged_without_seams(through, scale, channels):
    image = noise(70, 50, channels)
    _, pixels = through(image, enlarge(scale), scale=scale, tile=16)
    _, untiled = through(image, enlarge(scale), scale=scale, tile=1000)
    np.testing.assert_array_equal(pixels, untiled)
    np.testing.assert_array_equal(
        pixels[..., :-1], enlarge(scale)(image[None])[0, ..., :-1]
    )


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_enlarged_as_by_pillow(through, scale, channels):
    # No overshoot that would be clipped between the two directions.
    image = noise(70, 50, channels) // 2 + 64
    alpha = Image.fromarray(image[..., -1]).resize(
        (50 * scale, 70 * scale), Image.Resampling.BICUBIC
    )
    _, pixels = through(image, enlarge(scale), scale=scale, tile=16)
    assert np.abs(pixels[..., -1].astype(int) - np.asarray(alpha)).max() <= 2


@pytest.mark.parametrize(
    "suffix, mode",
    [(".jpg", "RGB"), (".JPEG", "RGB"), (".webp", "RGBA"), (".tif", "RGBA")],
)
def test_other_formats(through, suffix, mode):
    image = np.full((40, 50, 4), (200, 120, 40, 128), np.uint8)
    got, pixels = through(image, enlarge(2), suffix, scale=2, tile=16)
    assert got == mode and pixels.shape == (80, 100, len(mode))
    expected = (227, 187, 147) if mode == "RGB" else (200, 120, 40, 128)
    assert np.abs(pixels.astype(int) - expected).max() <= 3


@pytest.mark.parametrize(
    "channels, suffix", [(1, ".jpg"), (1, ".tif"), (2, ".jpg"), (2, ".tif")]
)
def test_other_formats_keep_grey(through, channels, suffix):
    mode, pixels = through(
        np.full((40, 50, channels), 255, np.uint8).squeeze(), suffix=suffix, tile=16
    )
    assert (
        mode == ("LA" if (channels, suffix) == (2, ".tif") else "L")
        and (pixels == 255).all()
    )


def test_png_is_valid(through, tmp_path):
    """The checksums and the length of the pixel data, which a forgiving reader may not
    look at.
    """
    through(noise(200, 100), tile=32)
    data, position, pixels = (tmp_path / "target.png").read_bytes(), 8, b""
    while position < len(data):
        length, name = (
            int.from_bytes(data[position : position + 4]),
            data[position + 4 : position + 8],
        )
        content = data[position + 8 : position + 8 + length]
        assert zlib.crc32(name + content) == int.from_bytes(
            data[position + 8 + length : position + 12 + length]
        )
        pixels += content if name == b"IDAT" else b""
        position += 12 + length
    assert name == b"IEND" and len(zlib.decompress(pixels)) == 200 * (1 + 3 * 100)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_memory_is_bounded(tmp_path):
    ramp = np.add.outer(np.arange(2000) // 8, np.arange(3000) // 8).astype(np.uint8)
    write(tmp_path / "source.bmp", np.stack([ramp, ramp, ramp], axis=-1))
    tracemalloc.start()
    try:
        apply(tmp_path / "source.bmp", tmp_path / "target.png", enlarge(4), scale=4)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100e6  # the result has 288e6 bytes
    with Image.open(tmp_path / "target.png") as result:
        assert result.size == (12000, 8000)


def test_progress(through, capsys):
    through(noise(20, 20), tile=32)
    assert capsys.readouterr().out == ""
    through(noise(20, 50), tile=32)
    assert "2/2" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_target_as_it_was(tmp_path, suffix, error):
    write(tmp_path / "source.png", noise(100, 20))
    calls = []

    def restore(images):
        calls.append(images)
        if len(calls) == 3:
            raise error
        return images

    target = tmp_path / f"target{suffix}"
    target.write_bytes(b"before")
    with pytest.raises(error):
        apply(tmp_path / "source.png", target, restore, tile=32)
    assert target.read_bytes() == b"before"
    assert {path.name for path in tmp_path.iterdir()} == {"source.png", target.name}


def test_a_photo_may_replace_itself(tmp_path):
    image = noise(40, 50)
    path = write(tmp_path / "photo.png", image)
    apply(path, path, enlarge(2), scale=2, tile=16)
    np.testing.assert_array_equal(read(path)[1], enlarge(2)(image[None])[0])


def test_two_processes_may_write_the_same_photo(tmp_path, monkeypatch):
    """One begins, the other one writes all of it, the first goes on.

    No half of a photo, and no error.
    """
    photo, made, ours = tmp_path / "photo.png", tmp_path / "made.png", os.getpid()
    pixels = noise(20, 30)
    write(photo, pixels)

    def other(images):
        with monkeypatch.context() as patch:
            patch.setattr(os, "getpid", lambda: ours + 1)
            apply(photo, made, lambda images: 255 - images)
        np.testing.assert_array_equal(read(made)[1], 255 - pixels)
        return images

    apply(photo, made, other)
    np.testing.assert_array_equal(read(made)[1], pixels)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["made.png", "photo.png"]


@pytest.mark.parametrize("wrong", [enlarge(2), lambda images: images / 255])
def test_restore_must_keep_its_word(through, wrong):
    with pytest.raises(ValueError, match="restore gave"):
        through(noise(20, 20), wrong)


def refused(*args, match):
    with pytest.raises(PhotoError, match=match) as caught:
        apply(*args)
    assert "\n" not in str(caught.value)


def test_unreadable_photos(tmp_path):
    target = tmp_path / "target.png"
    refused(
        tmp_path / "none.png", target, identity, match="there is no photo .*none.png"
    )
    refused(tmp_path, target, identity, match="can't be read .*directory|denied")
    (tmp_path / "text.jpg").write_text("hello")
    refused(
        tmp_path / "text.jpg",
        target,
        identity,
        match="text.jpg can't be read .*identify",
    )
    for name in ("whole.png", "whole.jpg"):
        whole = write(tmp_path / name, noise(100, 100)).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) // 2])
        refused(tmp_path / name, target, identity, match="can't be read .*truncated")
    write(tmp_path / "float.tif", noise(9, 9, 1).astype(np.float32))
    refused(tmp_path / "float.tif", target, identity, match="floating-point")
    assert not target.exists()


def test_large_photos(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    source = write(tmp_path / "source.png", noise(40, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        apply(source, tmp_path / "target.png", identity)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    np.testing.assert_array_equal(read(tmp_path / "target.png")[1], noise(40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 700)
    refused(
        source, tmp_path / "target.png", identity, match="million pixels: shrink it"
    )


def test_unwritable_targets(tmp_path, monkeypatch):
    source = write(tmp_path / "source.png", noise(20, 5500, 1))
    refused(
        source,
        tmp_path / "target.xyz",
        identity,
        match="one of the extensions .png, .jpg",
    )
    refused(
        source, tmp_path / "target", identity, match="one of the extensions .png, .jpg"
    )
    refused(
        source,
        tmp_path / "none" / "target.png",
        identity,
        match="there is no folder .*none",
    )
    refused(
        source,
        tmp_path / "target.webp",
        identity,
        3,
        match="16500x60 pixels .* write a .png",
    )
    monkeypatch.setattr(photos, "MAX_WHOLE", 1000)
    refused(
        source,
        tmp_path / "target.jpg",
        identity,
        match="5500x20 pixels .* write a .png",
    )
    apply(source, tmp_path / "target.png", identity)


def test_two_photos_do_not_become_one(tmp_path):
    for names in (["a.png", "a.jpg"], ["x/a.png", "y/a.png"]):
        with pytest.raises(PhotoError, match="would both become"):
            photos.targets(names, tmp_path, "sharp")
    assert len(photos.targets(["x/a.png", "y/a.png"], None, "sharp")) == 2


def test_no_photo_is_overwritten_before_it_is_read(tmp_path):
    names = [tmp_path / "a.png", tmp_path / "b/../a_x4.png"]
    with pytest.raises(PhotoError, match="a_x4.png would be overwritten"):
        photos.targets(names, None, "x4")
    assert len(photos.targets(names[:1], None, "x4")) == 1
    assert (
        photos.targets(["a.png"], tmp_path / "b.jpg", "x4")[0][1] == tmp_path / "b.jpg"
    )


def test_postscript_is_not_run(tmp_path):
    page = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n%%EndComments\nshowpage\n%%EOF\n"
    (tmp_path / "page.jpg").write_bytes(page)
    with pytest.raises(PhotoError, match="cannot identify"):
        photos.read(tmp_path / "page.jpg")


@pytest.mark.parametrize(
    "suffix, kind", [(".jpg", "JPEG"), (".jpeg", "JPEG"), (".webp", "WEBP")]
)
def test_lossy_formats_lose_little(suffix, kind, tmp_path):
    image = Image.fromarray(noise(64, 64, 3))
    image.save(tmp_path / "source.png")
    photos.apply(
        tmp_path / "source.png", tmp_path / f"target{suffix}", lambda images: images
    )
    image.save(tmp_path / "expected", kind, quality=95)
    assert (tmp_path / f"target{suffix}").stat().st_size == (
        tmp_path / "expected"
    ).stat().st_size


@pytest.mark.parametrize("halo", [1, 3])
def test_a_halo_is_rounded_up(halo, tmp_path):
    image = noise(70, 50, 3)
    iio.imwrite(tmp_path / "source.png", image)
    padded = np.pad(image, [(16, 18), (16, 18), (0, 0)], mode="symmetric")
    photos.apply(
        tmp_path / "source.png",
        tmp_path / "target.png",
        network,
        tile=32,
        halo=halo,
        multiple=4,
    )
    np.testing.assert_array_equal(
        iio.imread(tmp_path / "target.png"), network(padded[None])[0, 16:86, 16:66]
    )
