"""Measures of images, defined once for all models."""

import numpy as np
from skimage.metrics import peak_signal_noise_ratio, structural_similarity


def frechet_distance(a, b):
    """The Frechet distance of two sets of features, as Gaussians: |m - n|^2 + tr(C + D - 2 (C D)^(1/2)).

    It falls with the number of samples, so compare only values for equally many (Heusel et al. 2017, arXiv:1706.08500).

    Args:
        a, b: arrays (count, features); count should be well over features.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # C D has the eigenvalues of C^(1/2) D C^(1/2): real and not negative, up to rounding.
    root = np.sqrt(np.clip(np.linalg.eigvals(c @ d).real, 0, None)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * root)


def nearest_distances(queries, images):
    """For each query the Euclidean distance to the nearest image, in grey levels (root mean square over the pixels).

    Args:
        queries, images: uint8 arrays (count, ...) of equal shape but for the count.
    """
    # With 64 bits the squares are exact: with 32 what bright pictures have in common would hide how they differ.
    queries, images = queries.reshape(len(queries), -1).astype(np.float64), images.reshape(len(images), -1)
    nearest = np.full(len(queries), np.inf)
    for part in np.array_split(images, -(-len(images) // 1024)):
        part = part.astype(np.float64)  # all of them would take eight times their memory
        squares = (queries**2).sum(1)[:, None] + (part**2).sum(1) - 2 * queries @ part.T
        nearest = np.minimum(nearest, squares.min(1))
    return np.sqrt(nearest / queries.shape[1])


def luma(images):
    """Y of uint8 RGB images (..., 3): float64 in 16 to 235, as MATLAB's rgb2ycbcr and the super-resolution papers."""
    return 16 + np.asarray(images, np.float64) @ (np.array([65.481, 128.553, 24.966]) / 255)


def _grey_levels(image, truth):
    """Two arrays as float64; ValueError for floats up to 1, of which all measures would be far too good."""
    image, truth = np.asarray(image), np.asarray(truth)
    if truth.dtype.kind == "f" and truth.max(initial=0) <= 1:
        raise ValueError("grey levels from 0 to 255 are needed, and these images are at most 1: multiply them by 255")
    return image.astype(np.float64), truth.astype(np.float64)


def psnr(image, truth):
    """Peak signal-to-noise ratio in dB of two arrays in grey levels, 0 to 255; at most 100, for equal ones too.

    With infinity the mean over several images would be infinite, however bad the others are.
    """
    image, truth = _grey_levels(image, truth)
    if (image == truth).all():
        return 100.0
    return min(float(peak_signal_noise_ratio(truth, image, data_range=255)), 100.0)  # in this order: NaN stays NaN


def ssim(image, truth, where=None):
    """Structural similarity of two arrays (height, width) in grey levels: an 11x11 Gaussian window of sigma 1.5.

    Wang et al. 2004. Sides shorter than the window are an error.

    Args:
        where: bool (height, width), the pixels to average over; None is all whose window lies inside the image.
    """
    image, truth = _grey_levels(image, truth)
    if truth.ndim != 2:
        raise ValueError(f"SSIM is of one channel of one image (height, width), not {truth.shape}: see luma")
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    mean, pixels = structural_similarity(truth, image, data_range=255, full=True, **window)
    return float(mean if where is None else pixels[where].mean())


def scores(images, truths):
    """Means over pairs of uint8 RGB images: {"L1": in grey levels, "PSNR dB": on RGB, "SSIM": on Y}."""
    pairs = list(zip(images, truths, strict=True))
    return {
        "L1": float(np.mean([np.abs(image.astype(float) - truth).mean() for image, truth in pairs])),
        "PSNR dB": float(np.mean([psnr(*pair) for pair in pairs])),
        "SSIM": float(np.mean([ssim(*map(luma, pair)) for pair in pairs])),
    }


def colourfulness(image):
    """How colourful people find a uint8 RGB image: 0 is grey, 33 moderate, 82 high (Hasler, Suesstrunk 2003)."""
    red, green, blue = np.moveaxis(np.asarray(image, np.float64), -1, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue]).reshape(2, -1)
    return float(np.hypot(*opponents.std(1)) + 0.3 * np.hypot(*opponents.mean(1)))
