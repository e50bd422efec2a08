"""Data sets of two domains, A and B, that `dataset` knows by name: downloaded once,
checked, unpacked into data/.

    fetch("facades")    # the folder data/facades

An interrupted download is resumed. Without a network, put the archive, or the folders
that are in it, there by hand.
"""

import hashlib
import shutil
import urllib.error
import urllib.request
from pathlib import Path

import keras

# Where the authors of the two papers keep them, in the order tried.
PIX2PIX = (
    "https://efrosgans.eecs.berkeley.edu/pix2pix/datasets",
    "https://people.eecs.berkeley.edu/~tinghuiz/projects/pix2pix/datasets",
)
CYCLEGAN = (
    "https://efrosgans.eecs.berkeley.edu/cyclegan/datasets",
    "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN/datasets",
)
# CycleGAN's data sets and their SHA-256 sums, as TensorFlow Datasets publishes them.
UNPAIRED = {
    "apple2orange": "845a191e9af8926408ea597001cd03a452e3300a1f44a79fe329b3d59f6e3eb8",
    "cezanne2photo": "3a6c10ca21f9485862f1cbd707744b9dc258954a04631271d23a3605eeb63cff",
    "horse2zebra": "a74d9d392eecca9966b51287a76ca126af473d9de4f3e8fc0e9cda08fa1730a1",
    "iphone2dslr_flower": "8fcb5e374d631b107e1d961b8c4cd0a186aa2a4ff3e279923f4c426128de7113",  # noqa: E501
    "monet2photo": "88f91b00fc228f97c9411fbf1880ec1d119c98f1722e4cfcfaa2fb35fac05b04",
    "summer2winter_yosemite": "167fe1726807a9d22bd106b4a6c0bd7953b688af924ac1bf967439c4961e49f9",  # noqa: E501
    "ukiyoe2photo": "02a2a2fb5ecf425ca1bf86aca7304377da64a2a1d3b86df54eb65e4068bf3b08",
    "vangogh2photo": "362c3473e70be0944bda08d49d660eafdc2854df55d697835b8186d1d79caaff",
}
# Name: archive, mirrors, MD5 or SHA-256 sum, or None where none is published.
# Pix2pix's hold pairs side by side in folders train and test or val, CycleGAN's folders
# trainA, trainB, testA, testB.
ARCHIVES = {
    "facades": ("facades.tar.gz", PIX2PIX, "e2e25dd517e9d15828416ab329da2854"),
    "maps": ("maps.tar.gz", PIX2PIX, "e5f65d26eb288457f5ac056deb94d154"),
    "cityscapes": ("cityscapes.tar.gz", PIX2PIX, "32569df708076e427e9cd02abbca7748"),
    "edges2shoes": ("edges2shoes.tar.gz", PIX2PIX, "71da478b54fedde126e234a2a050bc15"),
    "edges2handbags": (
        "edges2handbags.tar.gz",
        PIX2PIX,
        "815592f22fa7f7534a286a25bb73bf03",
    ),
    "night2day": ("night2day.tar.gz", PIX2PIX, None),
    **{name: (f"{name}.zip", CYCLEGAN, digest) for name, digest in UNPAIRED.items()},
}


def fetch(name):
    """The folder data/NAME of one of ARCHIVES.

    Where it isn't, the archive is downloaded, checked and unpacked.
    """
    file, mirrors, digest = ARCHIVES[name]
    folder, archive = Path("data") / name, Path("data") / file
    if folder.is_dir():
        return folder
    reasons, brought = [], archive.exists()
    for mirror in mirrors:
        try:
            if not archive.exists():
                _get(f"{mirror}/{file}", archive)
            _unpack(archive, folder, digest)
            archive.unlink()
            return folder
        except Exception as error:  # a network or a damaged archive may raise anything
            if folder.is_dir():  # another process was faster
                return folder
            if brought:
                reason = (
                    f"{archive} can't be used ({error}): replace it, or move it away "
                    "to have it downloaded"
                )
                raise OSError(reason) from error
            # The archive's fault, not the disk's.
            if getattr(error, "errno", None) is None:
                archive.unlink(missing_ok=True)
            reasons.append(f"{mirror}: {error}")
    raise OSError(
        f"{name} can't be downloaded ({'; '.join(reasons)}): put {file} into the "
        "folder data by hand, or the folders "
        f"in it (train, test or val; or trainA, trainB, ...) into data/{name}"
    )


def _get(url, target):
    """Downloads a file, or the rest of it where an earlier attempt was interrupted."""
    part = target.with_name(target.name + ".part")
    part.parent.mkdir(exist_ok=True)
    start = part.stat().st_size if part.exists() else 0
    print(f"downloading {url}" + (f" from byte {start} on" if start else ""))
    try:
        request = urllib.request.Request(
            url, headers={"Range": f"bytes={start}-"} if start else {}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            start = start if answer.status == 206 else 0
            size = start + int(answer.headers["Content-Length"])
            progress = keras.utils.Progbar(size, unit_name="byte")
            with open(part, "ab" if start else "wb") as file:
                while block := answer.read(2**20):
                    file.write(block)
                    progress.update(file.tell())
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        # Nothing is left to download: the file was complete, or it is another one.
        if not error.headers.get("Content-Range", "").endswith(f"/{start}"):
            part.unlink()
            raise
        size = start
    if part.stat().st_size != size:
        raise OSError(
            f"broken off after {part.stat().st_size} of {size} bytes; the next try "
            "goes on from there"
        )
    part.rename(target)


def _unpack(archive, folder, digest):
    """Checks an archive and unpacks it into a folder, completely or not at all."""
    if digest:
        with open(archive, "rb") as file:
            if (
                hashlib.file_digest(
                    file, "md5" if len(digest) == 32 else "sha256"
                ).hexdigest()
                != digest
            ):
                raise ValueError(f"the checksum of {archive.name} is wrong")
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    # The filter refuses members that would be written outside the folder; of a zip they
    # are left out anyway.
    shutil.unpack_archive(
        archive, part, **({} if archive.suffix == ".zip" else {"filter": "data"})
    )
    inner = part / folder.name if (part / folder.name).is_dir() else part
    if not (inner / "train").is_dir() and not (inner / "trainA").is_dir():
        raise ValueError(f"{archive.name} has no folder train")
    inner.rename(folder)
    shutil.rmtree(part, ignore_errors=True)
