"""Data sets by name, from a server on this machine."""

import errno
import functools
import gzip
import hashlib
import http.server
import io
import os
import shutil
import tarfile
import threading
import zipfile

import imageio.v3 as iio
import numpy as np
import pytest

from zoo.common import dataset, downloads

pytestmark = pytest.mark.filterwarnings("error")


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves `files`; breaks off after `limit` bytes, and honours Range where `ranges`
    says so.
    """

    files, limit, ranges, log = {}, None, True, []

    def do_GET(self):
        data = self.files.get(self.path.strip("/"))
        wanted = self.headers.get("Range")
        self.log.append((self.path, wanted))
        if data is None:
            self.send_error(404)
            return
        start = int(wanted.split("=")[1].strip("-")) if wanted and self.ranges else 0
        if start >= len(data):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(data)}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : self.limit])

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch, tmp_path):
    """A server, as its handler's class, and a table of the one set "small" there.

    The working folder is empty.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    handler = type("Small", (Handler,), {"files": {}, "log": []})
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        handler.url = f"http://127.0.0.1:{server.server_port}"
        offer(handler, monkeypatch)
        yield handler
        server.shutdown()


def offer(
    handler, monkeypatch, file="small.tar.gz", data=None, digest=None, mirrors=None
):
    data = archive() if data is None else data
    handler.files[file] = data
    mirrors = [handler.url + mirror for mirror in mirrors or [""]]
    monkeypatch.setattr(downloads, "ARCHIVES", {"small": (file, mirrors, digest)})


def picture(i, width=48):
    random = np.random.default_rng(i)
    return iio.imwrite(
        "<bytes>", random.integers(0, 256, (24, width, 3), np.uint8), extension=".png"
    )


def members(top="small/"):
    return {
        f"{top}{half}/{i}.png": picture(i)
        for half, n in (("train", 4), ("val", 2))
        for i in range(n)
    }


def archive(files=None):
    buffer = io.BytesIO()
    # gzip stores the time, if it is left to it: two archives would differ where a
    # second has passed.
    packed = gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0)
    with packed, tarfile.open(fileobj=packed, mode="w") as tar:
        for name, data in (files or members()).items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zipped(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, data in files.items():
            file.writestr(name, data)
    return buffer.getvalue()


def pairs(split="train"):
    return dataset.load("small", 16, split=split, domain="AB", batch_size=1)


def refused(match):
    with pytest.raises(OSError, match=match) as caught:
        pairs()
    assert "\n" not in str(caught.value) and "data/small" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("algorithm", [None, "md5", "sha256"])
@pytest.mark.parametrize("top", ["small/", ""])
def test_downloaded_once_and_unpacked(server, monkeypatch, tmp_path, algorithm, top):
    data = archive(members(top))
    digest = hashlib.new(algorithm, data).hexdigest() if algorithm else None
    offer(server, monkeypatch, data=data, digest=digest)
    assert pairs().count == 4 and pairs("test").count == 2 and pairs("all").count == 6
    assert pairs()[0].shape == (1, 16, 16, 6)
    assert len(server.log) == 1
    assert sorted(p.name for p in (tmp_path / "data").iterdir()) == ["small"]


def test_a_zip_of_two_domains(server, monkeypatch):
    folders = [half + side for half in ("train", "test") for side in "AB"]
    files = {
        f"small/{folder}/{i}.png": picture(10 * n + i)
        for n, folder in enumerate(folders)
        for i in range(3)
    }
    offer(server, monkeypatch, "small.zip", zipped(files))
    for split, side in (("train", "A"), ("test", "B")):
        images = dataset.load("small", 16, split=split, domain=side, batch_size=1)
        assert images.count == 3 and images.shape == (16, 16, 3)
        assert {
            os.path.basename(os.path.dirname(name)) for name in images.items.names
        } == {split + side}


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_broke_off_goes_on(server, monkeypatch, ranges):
    server.limit, server.ranges = 1000, ranges
    assert "broken off after 1000 of" in refused("small can't be downloaded")
    server.limit = None
    assert pairs().count == 4
    assert [wanted for _, wanted in server.log] == [None, "bytes=1000-"]


def test_a_complete_part_of_another_file_is_started_anew(server, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/small.tar.gz.part").write_bytes(bytes(10**6))
    refused("416")
    assert pairs().count == 4


def test_the_second_mirror_where_the_first_has_nothing(server, monkeypatch):
    offer(server, monkeypatch, mirrors=["/empty", ""])
    assert pairs().count == 4
    assert len(server.log) == 2


@pytest.mark.parametrize("digits", [32, 64])
def test_a_wrong_checksum(digits, server, monkeypatch, tmp_path):
    offer(server, monkeypatch, digest="0" * digits)
    refused("checksum of small.tar.gz is wrong")
    assert not list((tmp_path / "data").iterdir())


@pytest.mark.parametrize("kind", ["cut", "text", "no train"])
def test_a_damaged_archive(server, monkeypatch, tmp_path, kind):
    data = {
        "cut": archive()[:3000],
        "text": b"<html>moved</html>",
        "no train": archive({"a/b.png": picture(0)}),
    }[kind]
    offer(server, monkeypatch, data=data)
    refused("small can't be downloaded")
    assert (
        not (tmp_path / "data/small").exists()
        and not (tmp_path / "data/small.tar.gz").exists()
    )
    offer(server, monkeypatch)
    assert pairs().count == 4


@pytest.mark.parametrize(
    "name", ["../outside.png", "small/../../outside.png", "/absolute/outside.png"]
)
def test_nothing_is_written_outside(server, monkeypatch, tmp_path, name):
    name = name.replace("/absolute", str(tmp_path / "absolute"))

    def files():
        found = {
            p
            for p in tmp_path.rglob("*")
            if p.is_file() and tmp_path / "data/small" not in p.parents
        }
        return {p for p in found if "data/small.part" not in str(p)}

    offer(server, monkeypatch, data=archive(members() | {name: picture(0)}))
    if name.startswith("/"):  # the leading slash is taken off
        assert pairs().count == 4
    else:
        refused("outside")
    assert not files()
    offer(server, monkeypatch, "small.zip", zipped(members() | {name: picture(0)}))
    assert pairs().count == 4
    assert not files() and not list(tmp_path.parent.glob("outside.png"))


def test_links_to_the_outside_are_refused(server, monkeypatch, tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        link = tarfile.TarInfo("small/train")
        link.type, link.linkname = tarfile.SYMTYPE, "../../.."
        tar.addfile(link)
    offer(server, monkeypatch, data=buffer.getvalue())
    refused("outside")


def test_no_network_says_what_to_bring(server, monkeypatch, tmp_path):
    monkeypatch.setattr(
        downloads, "ARCHIVES", {"small": ("small.tar.gz", ["http://127.0.0.1:1"], None)}
    )
    line = refused("Connection refused")
    assert "small.tar.gz" in line and "train" in line
    (tmp_path / "data/small.tar.gz").write_bytes(archive())  # brought
    assert pairs().count == 4


def test_an_archive_that_was_brought_is_not_deleted(server, monkeypatch, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/small.tar.gz").write_bytes(archive())
    offer(server, monkeypatch, digest="0" * 32)
    (tmp_path / "data/small.tar.gz").write_bytes(archive())
    refused("replace it, or move it away")
    assert (tmp_path / "data/small.tar.gz").read_bytes() == archive() and not server.log


def test_a_folder_that_was_brought_is_used(server, tmp_path):
    for name, data in members("data/small/").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    assert pairs().count == 4 and not server.log


def test_what_a_kill_left_half_unpacked_is_removed(server, tmp_path):
    (tmp_path / "data/small.part/small/train").mkdir(parents=True)
    (tmp_path / "data/small.part/small/train/9.png").write_bytes(picture(9))
    assert pairs().count == 4


def test_a_full_disk_keeps_the_archive(server, monkeypatch):
    def unpack(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "unpack_archive", unpack)
        refused("No space left")
    assert pairs().count == 4 and len(server.log) == 1


def test_the_table():
    for file, mirrors, digest in downloads.ARCHIVES.values():
        assert file.endswith((".tar.gz", ".zip")) and all(
            m.startswith("https://") for m in mirrors
        )
        assert digest is None or len(digest) in (32, 64)


def test_a_part_that_was_complete_is_not_fetched_again(server, monkeypatch, tmp_path):
    data = archive()
    offer(server, monkeypatch, data=data)
    (tmp_path / "data").mkdir()
    (tmp_path / "data/small.tar.gz.part").write_bytes(data)
    assert pairs().count == 4 and len(server.log) == 1


def test_another_process_is_faster(server, monkeypatch, tmp_path):
    def get(url, target):
        (tmp_path / "data/small/train").mkdir(parents=True)
        raise FileNotFoundError("small.tar.gz.part")

    offer(server, monkeypatch, data=archive())
    monkeypatch.setattr(downloads, "_get", get)
    assert downloads.fetch("small").name == "small"
