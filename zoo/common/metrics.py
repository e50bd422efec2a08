"""Measures of images, defined once for all models."""

import keras
import numpy as np
from keras import layers
from skimage.metrics import peak_signal_noise_ratio, structural_similarity


def frechet_distance(a, b):
    """The Frechet distance of two sets of features, as Gaussians: |m - n|^2 + tr(C + D
    - 2 (C D)^(1/2)).

    It falls with the number of samples, so compare only values for equally many (Heusel
    et al. 2017, arXiv:1706.08500).

    Args:
        a, b: arrays (count, features); count should be well over features.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # C D has the eigenvalues of C^(1/2) D C^(1/2): real and not negative, up to
    # rounding.
    root = np.sqrt(np.clip(np.linalg.eigvals(c @ d).real, 0, None)).sum()
    return float(
        ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c) + np.trace(d) - 2 * root
    )


def nearest_distances(queries, images):
    """For each query the Euclidean distance to the nearest image, in grey levels (root
    mean square over the pixels).

    Args:
        queries, images: uint8 arrays (count, ...) of equal shape but for the count.
    """
    # With 64 bits the squares are exact: with 32 what bright pictures have in common
    # would hide how they differ.
    queries, images = (
        queries.reshape(len(queries), -1).astype(np.float64),
        images.reshape(len(images), -1),
    )
    nearest = np.full(len(queries), np.inf)
    for part in np.array_split(images, -(-len(images) // 1024)):
        # All of them would take eight times their memory.
        part = part.astype(np.float64)
        squares = (queries**2).sum(1)[:, None] + (part**2).sum(1) - 2 * queries @ part.T
        nearest = np.minimum(nearest, squares.min(1))
    return np.sqrt(nearest / queries.shape[1])


def luma(images):
    """Y of uint8 RGB images (..., 3).

    Float64 in 16 to 235, as MATLAB's rgb2ycbcr and the super-resolution papers.
    """
    return 16 + np.asarray(images, np.float64) @ (
        np.array([65.481, 128.553, 24.966]) / 255
    )


def _grey_levels(image, truth):
    """Two arrays as float64.

    ValueError for floats up to 1, of which all measures would be far too good.
    """
    image, truth = np.asarray(image), np.asarray(truth)
    if truth.dtype.kind == "f" and truth.max(initial=0) <= 1:
        raise ValueError(
            "grey levels from 0 to 255 are needed, and these images are at most 1: "
            "multiply them by 255"
        )
    return image.astype(np.float64), truth.astype(np.float64)


def psnr(image, truth):
    """Peak signal-to-noise ratio in dB of two arrays in grey levels, 0 to 255; at most
    100, for equal ones too.

    With infinity the mean over several images would be infinite, however bad the others
    are.
    """
    image, truth = _grey_levels(image, truth)
    if (image == truth).all():
        return 100.0
    # In this order: NaN stays NaN.
    return min(float(peak_signal_noise_ratio(truth, image, data_range=255)), 100.0)


def ssim(image, truth, where=None):
    """Structural similarity of two arrays (height, width) in grey levels: an 11x11
    Gaussian window of sigma 1.5.

    Wang et al. 2004. Sides shorter than the window are an error.

    Args:
        where: bool (height, width), the pixels to average over; None is all whose
            window lies inside the image.
    """
    image, truth = _grey_levels(image, truth)
    if truth.ndim != 2:
        raise ValueError(
            f"SSIM is of one channel of one image (height, width), not {truth.shape}: "
            "see luma"
        )
    window = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    mean, pixels = structural_similarity(
        truth, image, data_range=255, full=True, **window
    )
    return float(mean if where is None else pixels[where].mean())


def scores(images, truths):
    """Means over pairs of uint8 RGB images.

    {"L1": in grey levels, "PSNR dB": on RGB, "SSIM": on Y}.
    """
    pairs = list(zip(images, truths, strict=True))
    return {
        "L1": float(
            np.mean(
                [np.abs(image.astype(float) - truth).mean() for image, truth in pairs]
            )
        ),
        "PSNR dB": float(np.mean([psnr(*pair) for pair in pairs])),
        "SSIM": float(np.mean([ssim(*map(luma, pair)) for pair in pairs])),
    }


def colourfulness(image):
    """How colourful people find a uint8 RGB image.

    0 is grey, 33 moderate, 82 high (Hasler, Suesstrunk 2003).
    """
    red, green, blue = np.moveaxis(np.asarray(image, np.float64), -1, 0)
    opponents = np.stack([red - green, (red + green) / 2 - blue]).reshape(2, -1)
    return float(np.hypot(*opponents.std(1)) + 0.3 * np.hypot(*opponents.mean(1)))


class Classifier:
    """A small network that is trained here, to measure generated images with.

    Attributes:
        classes: {attribute: the values of its labels}.
        frequencies: {attribute: share of each class in the training images}.
    """

    def __init__(self, images, attributes, epochs=3):
        """Trains it.

        Args:
            images: uint8 (count, size, size, channels).
            attributes: {name: (labels, ...)}, one label for each image.
            epochs: passes over the images.
        """
        keras.utils.set_random_seed(0)
        exact = {"dtype": "float32"}  # the same classifier, whatever --precision is
        x = image = keras.Input(images.shape[1:])
        x = layers.Rescaling(1 / 127.5, -1, **exact)(x)
        for filters in (32, 64):
            x = layers.Conv2D(filters, 3, 2, "same", activation="relu", **exact)(x)
        x = layers.Dense(64, activation="relu", **exact)(layers.Flatten()(x))
        self.classes, self.frequencies, targets, outputs = {}, {}, {}, {}
        for name, (labels, *_) in attributes.items():
            self.classes[name], found = np.unique(labels, return_inverse=True)
            self.frequencies[name] = np.bincount(found) / len(found)
            targets[name] = found
            outputs[name] = layers.Dense(len(self.classes[name]), name=name, **exact)(x)
        self.model, self.embed = keras.Model(image, outputs), keras.Model(image, x)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        self.model.compile("adam", dict.fromkeys(outputs, loss))
        self.model.fit(images, targets, batch_size=128, epochs=epochs, verbose=0)

    def features(self, images):
        """float32 (count, 64)."""
        return self.embed.predict(images, batch_size=500, verbose=0)

    def find(self, images):
        """{attribute: int array, places in `classes`}."""
        logits = self.model.predict(images, batch_size=500, verbose=0)
        return {name: logits[name].argmax(1) for name in self.classes}


def diversity(features, n=1000):
    """Mean distance between two of the first n rows of features (count, features)."""
    a = np.asarray(features[:n], np.float64)
    squares = (a**2).sum(1)
    distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * a @ a.T, 0))
    return float(distances.sum() / max(1, len(a) * (len(a) - 1)))


def compare_sets(rows, train, test):
    """Compares sets of images with a data set: {row: {column: number}}.

    Args:
        rows: {name: uint8 images}; the last one is the test set.
        train, test: dataset.Images.

    The columns are
        spread: mean standard deviation of a pixel over the images, in grey levels.
            Near 0 it is the same image again and again.
        copies %: images nearer to a training image (in pixels) than all but 1 % of the
            test images are, where there are 20 of these or more. Plain grey can be near
            to everything. Flipped or shifted copies are not found.
    and where there are labels, by a classifier that is trained on the training set:
        frechet: Frechet distance to training images in the classifier's 64 features,
            where there are 128 test images or more. Not comparable with Inception's.
        diversity: mean distance between two images in these features, as a multiple of
            the test set's, where there are as many.
        max diff %: the largest difference between the share of a class here and in the
            training set's labels, over all classes of all attributes, in points.
        min class %: the share of the class that is found least often, over all
            attributes.
        accuracy %: of the classifier on the test set, mean over the attributes.
    """
    real, last = train.take(60_000), list(rows)[-1]
    near = {name: nearest_distances(x[:2000], real) for name, x in rows.items()}
    limit = np.quantile(near[last], 0.01)
    result = {}
    for name, images in rows.items():
        result[name] = {"spread": float(images.std(0).mean())}
        if len(rows[last]) >= 20:
            result[name]["copies %"] = float(100 * (near[name] < limit).mean())
    if not label_sets(train):
        return result
    labels = {k: (v[: len(real)], *_) for k, (v, *_) in label_sets(train).items()}
    classifier = Classifier(real, labels)
    # Frechet distances are of equally many images.
    n = min(len(real), *(len(images) for images in rows.values()))
    reference = classifier.features(real[:n])
    wide = diversity(classifier.features(rows[last][:n]))
    for name, images in rows.items():
        features, found = classifier.features(images[:n]), classifier.find(images)
        if n >= 2 * features.shape[1]:  # of fewer the covariance is not known
            result[name]["frechet"] = frechet_distance(features, reference)
            result[name]["diversity"] = diversity(features) / wide
        shares = {
            k: np.bincount(v, minlength=len(classifier.classes[k])) / len(images)
            for k, v in found.items()
        }
        difference = [abs(shares[k] - classifier.frequencies[k]).max() for k in shares]
        result[name]["max diff %"] = float(100 * max(difference))
        least = min(share.min() for share in shares.values())
        result[name]["min class %"] = float(100 * least)
    if own := label_sets(test):  # `found` is of the test set
        right = [
            (classifier.classes[k][found[k]] == own[k][0][: len(found[k])]).mean()
            for k in found
        ]
        result[last]["accuracy %"] = float(100 * np.mean(right))
    return result


def label_sets(images):
    """The sets of labels of dataset.Images that it is measured by.

    These are all that come with arrays; a folder's sub-folders only if they were asked
    for as labels.
    """
    if images.labels is None and "class" in images.attributes:
        return {}
    return images.attributes
