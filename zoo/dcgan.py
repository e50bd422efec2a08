"""DCGAN: images from noise, by two convolutional networks that play against each other.

Radford, Metz, Chintala: Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
Networks, arXiv:1511.06434.

    noise z (batch, 100) in [-1, 1]  ->  generator      ->  image (batch, 64, 64, 3) in [-1, 1]
    image (batch, 64, 64, 3)         ->  discriminator  ->  logit (batch, 1): is it real?

    python -m zoo.dcgan --epochs 5                      trains on 80 small faces, no download
    python -m zoo.dcgan --data my/photos --size 64      your own images
    python -m zoo.dcgan --generate 64                   a grid of new images from the trained run
    python -m zoo.dcgan --interpolate 10                a row from one image to another
    python -m zoo.dcgan --evaluate                      how near the images are to the real ones

After five epochs with `--data fashion_mnist`, `--evaluate` gives a Frechet distance of 1.88 in the features of a small
classifier; an untrained generator has 232, real images have 0.08.

Differences from the paper:
- Each step updates the generator twice, against a discriminator that gets too good, too fast; `--generator-steps 1` is
  the paper's. To the same end labels are smoothed (Salimans et al. 2016, arXiv:1606.03498): D is told 0.9 for a real
  image; `--label-smoothing 0` is the paper's.
- The layers have `--filters 64`, half of the paper's 128, so that a laptop can train them.
- Sizes other than 64 have as many layers as it takes to get from 4 (or 5, 6, 7) pixels to the size; the default is 32.
- A data set of fewer than 1000 images is mirrored and shifted at random (`--no-augment` for the paper's way): D would
  soon know every image by heart, and G would learn nothing from it. It comes in batches of 32, others of 128.
- Convolutions before a batch normalisation have no bias: the normalisation would take it away again.
"""

import argparse
import importlib
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops


def start_size(size):
    """The side in pixels of the generator's first map (4 for 64), and the number of doublings from there (4 for 64)."""
    doublings = 0
    while size % 2 == 0 and size > 7:
        size, doublings = size // 2, doublings + 1
    if not (4 <= size <= 7 and 2 <= doublings <= 5):
        raise ValueError("DCGAN doubles 4, 5, 6 or 7 pixels two to five times: use --size 28, 32, 48, 64, 96 or 128")
    return size, doublings


def build_generator(image_shape=(64, 64, 3), latent_dim=100, filters=128):
    """The generator of the paper's Figure 1: noise (batch, latent_dim) in [-1, 1] -> images in [-1, 1].

    Args:
        image_shape: (size, size, channels); raises ValueError for a size that doubling can't reach.
        filters: width of the last hidden layer; every layer before it is twice as wide as the next.
    """
    start, doublings = start_size(image_shape[0])
    width = filters * 2 ** (doublings - 1)
    x = z = keras.Input((latent_dim,), name="noise")
    x = layers.Dense(start * start * width, use_bias=False, kernel_initializer=normal())(x)
    x = layers.Reshape((start, start, width))(x)
    x = layers.ReLU()(batch_norm()(x))
    for _ in range(doublings - 1):
        width //= 2
        x = layers.Conv2DTranspose(width, 5, 2, "same", use_bias=False, kernel_initializer=normal())(x)
        x = layers.ReLU()(batch_norm()(x))
    x = layers.Conv2DTranspose(image_shape[2], 5, 2, "same", kernel_initializer=normal())(x)
    return keras.Model(z, layers.Activation("tanh", dtype="float32")(x), name="generator")


def build_discriminator(image_shape=(64, 64, 3), filters=128):
    """The discriminator: images in [-1, 1] -> logits (batch, 1), positive for real.

    Args:
        image_shape: (size, size, channels); raises ValueError for a size that halving can't bring down to 4 to 7.
        filters: width of the first layer; every layer after it is twice as wide as the one before.
    """
    _, halvings = start_size(image_shape[0])
    x = image = keras.Input(image_shape, name="image")
    for i in range(halvings):
        x = layers.Conv2D(filters * 2**i, 5, 2, "same", use_bias=i == 0, kernel_initializer=normal())(x)
        x = layers.LeakyReLU(negative_slope=0.2)(batch_norm()(x) if i else x)
    x = layers.Dense(1, kernel_initializer=normal(), dtype="float32")(layers.Flatten()(x))
    return keras.Model(image, x, name="discriminator")


def normal(mean=0.0):
    """Section 4: all weights are drawn from a normal distribution of standard deviation 0.02."""
    return keras.initializers.RandomNormal(mean, 0.02)


def batch_norm():
    # Section 3: it keeps the generator from collapsing all samples to one point.
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, gamma_initializer=normal(1.0))


class Player(keras.Model):
    """One player of the game, or both: a functional model, of which the optimiser moves only `networks`.

    Keras asks `trainable_variables` who learns. Switching `trainable` flags instead, as tutorials for older Keras do,
    leaves the discriminator without any weights to train, and its batch normalisation in the wrong mode.
    """

    def __init__(self, inputs, outputs, networks, **kwargs):
        if isinstance(outputs, dict):  # Keras takes the names from layers
            outputs = {name: layers.Identity(name=name, dtype="float32")(x) for name, x in outputs.items()}
        super().__init__(inputs, outputs, **kwargs)
        self.networks = networks

    def compile(self, optimizer, loss, **kwargs):
        """Makes all variables at once: `load` finds them, and TensorFlow need not compile the first step twice."""
        super().compile(optimizer, loss, **kwargs)
        self.optimizer.build(self.trainable_variables)
        outputs = keras.tree.map_structure(lambda output: ops.zeros((1, *output.shape[1:])), self.output)
        targets = {name: outputs[name] for name in loss} if isinstance(loss, dict) else outputs
        self.compute_loss(None, targets, outputs)
        self.compute_metrics(None, targets, outputs)

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """What `train_on_batch` returns: this batch's numbers, where older Keras has means over all batches so far."""
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        for metric in self.metrics:
            metric.reset_state()
        return logs

    def reset_metrics(self):
        """There is nothing left to reset. Keras does it before each step, outside of the compiled function: slowly."""

    @property
    def trainable_variables(self):
        return [v for network in self.networks for v in network.trainable_variables]

    @property
    def non_trainable_variables(self):
        moved = {id(v) for v in self.trainable_variables}
        return [v for v in self.variables if id(v) not in moved]

    trainable_weights, non_trainable_weights = trainable_variables, non_trainable_variables


class Batches(keras.utils.PyDataset):
    """uint8 images (count, height, width, channels) as float32 batches in [-1, 1], reshuffled for each `epoch`."""

    def __init__(self, images, batch_size, seed):
        super().__init__()
        self.images, self.batch_size, self.seed, self.epoch = checked(images), batch_size, seed, 0
        if len(self.images) < batch_size:
            raise ValueError(f"{len(self.images)} images are fewer than batch_size={batch_size}")

    def __len__(self):
        return len(self.images) // self.batch_size

    def __getitem__(self, step):
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.images))
        chosen = order[step * self.batch_size : (step + 1) * self.batch_size]
        return self.images[chosen].astype("float32") / 127.5 - 1


def checked(images):
    """The images as an array uint8 (count, height, width, channels); ValueError if they are something else."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"images are {images.dtype} {images.shape}, not uint8 (count, height, width, channels)")
    return images


def to_uint8(images):
    """Float images in [-1, 1] as uint8."""
    return np.clip(np.rint((np.asarray(images) + 1) * 127.5), 0, 255).astype(np.uint8)


def probability(_, logits):
    """Metric: the mean probability of being real that D gives."""
    return ops.sigmoid(logits)


class DCGAN:
    """The two networks and their game.

    Args:
        image_shape: (size, size, channels) of the images to learn and make.
        latent_dim: length of the noise vector z.
        filters: width of the networks, see `build_generator`.
        learning_rate: of both Adam optimisers; beta_1 is 0.5 (Section 4).
        label_smoothing: D is told 1 - label_smoothing for a real image.
        generator_steps: updates of G for each update of D.
        seed: fixes the noise of every step; `keras.utils.set_random_seed` fixes the first weights.
    """

    def __init__(self, image_shape=(64, 64, 3), latent_dim=100, filters=128, learning_rate=2e-4,
                 label_smoothing=0.1, generator_steps=2, seed=0):  # fmt: skip
        self.latent_dim, self.label_smoothing, self.generator_steps = latent_dim, label_smoothing, generator_steps
        self.seed, self.steps = seed, 0
        self.generator = generator = build_generator(image_shape, latent_dim, filters)
        self.discriminator = discriminator = build_discriminator(image_shape, filters)
        loss = keras.losses.BinaryCrossentropy(from_logits=True)

        # D's step: real and fake images go through D apart, so that each has its own batch statistics.
        image, z = keras.Input(image_shape), keras.Input((latent_dim,))
        outputs = {"real": discriminator(image), "fake": discriminator(ops.stop_gradient(generator(z)))}
        self.d_step = Player([image, z], outputs, [discriminator], name="d_step")
        scores = {"real": [probability], "fake": [probability]}
        optimizer = keras.optimizers.Adam(learning_rate, beta_1=0.5)
        self.d_step.compile(optimizer, loss={"real": loss, "fake": loss}, metrics=scores)

        # G's step: the noise should become an image that D, which stays put, takes for real.
        z = keras.Input((latent_dim,))
        self.combined = Player(z, discriminator(generator(z)), [generator], name="combined")
        self.combined.compile(keras.optimizers.Adam(learning_rate, beta_1=0.5), loss=loss)

    def train_step(self, images):
        """One update of D and `generator_steps` of G on float32 images in [-1, 1]: their (last) losses, D's scores."""
        random = np.random.default_rng((self.seed, self.steps))
        ones, zeros = np.ones((len(images), 1), "float32"), np.zeros((len(images), 1), "float32")

        def noise():
            return random.uniform(-1, 1, (len(images), self.latent_dim)).astype("float32")

        targets = {"real": (1 - self.label_smoothing) * ones, "fake": zeros}
        d = self.d_step.train_on_batch([images, noise()], targets, return_dict=True)
        for _ in range(self.generator_steps):
            g = self.combined.train_on_batch(noise(), ones, return_dict=True)
        self.steps += 1
        return {
            "d_loss": float(d["loss"]),
            "g_loss": float(g["loss"]),
            "d_real": float(d["real_probability"]),
            "d_fake": float(d["fake_probability"]),
        }

    def train(self, images, epochs, batch_size=128, callbacks=(), initial_epoch=0, initial_step=0):
        """Trains for `epochs` epochs in all; the first is `initial_epoch`, from its step `initial_step` on.

        Args:
            images: uint8 (count, size, size, channels), or a PyDataset of float32 batches in [-1, 1].
            batch_size: for an array; a PyDataset has its own.
            callbacks: Keras callbacks; they see `combined` as their model: a learning rate that they set is G's.

        Returns:
            keras.callbacks.History: for each epoch the means of what `train_step` returns.
        """
        if not isinstance(images, keras.utils.PyDataset):
            images = Batches(images, batch_size, self.seed)
        history = keras.callbacks.History()
        callbacks = keras.callbacks.CallbackList(
            [history, *callbacks], add_progbar=True, model=self.combined, epochs=epochs, steps=len(images), verbose=1
        )
        self.combined.stop_training = False
        callbacks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            images.epoch = epoch  # fixes the order of the images
            callbacks.on_epoch_begin(epoch)
            steps = []
            for step in range(initial_step, len(images)):
                callbacks.on_train_batch_begin(step)
                steps.append(self.train_step(images[step]))
                callbacks.on_train_batch_end(step, steps[-1])
                if self.combined.stop_training:
                    break
            initial_step = 0
            names = dict.fromkeys(name for logs in steps for name in logs)
            means = {name: float(np.mean([logs[name] for logs in steps if name in logs])) for name in names}
            callbacks.on_epoch_end(epoch, means)
            if self.combined.stop_training:
                break
        callbacks.on_train_end()
        return history

    def generate(self, n=64, seed=0, z=None):
        """n new images from noise drawn with `seed`, or one for each row of z: uint8 (n, size, size, channels)."""
        if z is None:
            z = np.random.default_rng(seed).uniform(-1, 1, (n, self.latent_dim)).astype("float32")
        return to_uint8(self.generator.predict(z, batch_size=128, verbose=0))

    def interpolate(self, n=10, seed=0):
        """n images on the path between two noise vectors drawn with `seed`: uint8 (n, size, size, channels).

        The path is an arc (slerp: White 2016, arXiv:1609.04468): on a straight line the vectors in the middle would be
        shorter than any that G was trained on. Values beyond [-1, 1] are clipped.
        """
        a, b = np.random.default_rng(seed).uniform(-1, 1, (2, self.latent_dim))
        angle = np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
        t = np.linspace(0, 1, n)[:, None]
        z = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
        return self.generate(z=np.clip(z, -1, 1).astype("float32"))

    def save(self, folder):
        """Saves the networks (.keras files) and the state of the training (training.npz) in a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.generator.save(folder / "generator.keras")
        self.discriminator.save(folder / "discriminator.keras")
        state = {f"optimizer_{i}": ops.convert_to_numpy(v) for i, v in enumerate(self._optimizer_variables())}
        np.savez(folder / "training.npz", steps=self.steps, **state)

    def load(self, folder):
        """Loads what `save` wrote, or a run's folder `checkpoint`, into a model made with the same arguments.

        The learning rate is loaded too, unless a schedule gives it.
        """
        folder = Path(folder)
        self.generator.load_weights(folder / "generator.keras")
        self.discriminator.load_weights(folder / "discriminator.keras")
        with np.load(folder / "training.npz") as state:
            self.steps = int(state["steps"])
            for i, variable in enumerate(self._optimizer_variables()):
                variable.assign(state[f"optimizer_{i}"])

    def _optimizer_variables(self):
        return self.d_step.optimizer.variables + self.combined.optimizer.variables


def build_classifier(image_shape, classes):
    """A small classifier: two models over the same layers, uint8 images -> logits and -> features (batch, 64)."""
    judge = {"dtype": "float32"}  # the same one, whatever --precision is
    x = image = keras.Input(image_shape)
    x = layers.Rescaling(1 / 127.5, -1, **judge)(x)
    for filters in (32, 64):
        x = layers.Conv2D(filters, 3, 2, "same", activation="relu", **judge)(x)
    features = layers.Dense(64, activation="relu", **judge)(layers.Flatten()(x))
    return keras.Model(image, layers.Dense(classes, **judge)(features)), keras.Model(image, features)


def evaluate(gan, train, test, metrics, n=10_000):
    """Measures n generated images against the halves `train` and `test` of a data set (dataset.Images).

    Returns {row: {column: number}}; the rows are the samples, those of an untrained generator, and the test half:
        spread: mean standard deviation of a pixel over the images, in grey levels; near 0 is one image n times.
        copies %: samples nearer to a training image (in pixels) than all but 1 % of the test images are, where there
            are 20 of these or more. Plain grey can be near to everything: an untrained generator has 100 on some data
            sets. Mirrored or shifted copies are not found.
    and where there are labels, by a classifier trained here on the training half:
        frechet: Frechet distance to training images in the classifier's 64 features (not comparable with Inception's),
            where there are 128 test images or more.
        least class %: the share of the class that the classifier finds least often.
        accuracy %: of the classifier on the test half, if that has labels too (of the same classes).
    """
    real, held_out = train.take(60_000), test.take(n)
    noise = np.random.default_rng(0).uniform(-1, 1, (n, gan.latent_dim)).astype("float32")
    untrained = to_uint8(keras.models.clone_model(gan.generator).predict(noise, batch_size=128, verbose=0))
    rows = {"samples": gan.generate(z=noise), "untrained": untrained, "real (test)": held_out}
    distances = {name: metrics.nearest_distances(images[:2000], real) for name, images in rows.items()}
    near = np.quantile(distances["real (test)"], 0.01)
    result = {}
    for name, images in rows.items():
        result[name] = {"spread": float(images.std(0).mean())}
        if len(held_out) >= 20:
            result[name]["copies %"] = float(100 * (distances[name] < near).mean())
    if train.labels is None:
        return result
    keras.utils.set_random_seed(0)
    classes, labels = np.unique(train.labels[: len(real)], return_inverse=True)
    classifier, embed = build_classifier(train.shape, len(classes))
    classifier.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    classifier.fit(real, labels, batch_size=128, epochs=3, verbose=0)
    n = min(n, len(real), len(held_out))  # Frechet distances of equally many images
    reference = embed.predict(real[:n], batch_size=500, verbose=0)
    for name, images in rows.items():
        features = embed.predict(images[:n], batch_size=500, verbose=0)
        found = classifier.predict(images, batch_size=500, verbose=0).argmax(1)
        if n >= 2 * features.shape[1]:  # of fewer the covariance is not known
            result[name]["frechet"] = metrics.frechet_distance(features, reference)
        result[name]["least class %"] = float(100 * np.bincount(found, minlength=len(classes)).min() / len(images))
    if test.labels is not None:  # `found` are the classes of the last row, the test half
        result["real (test)"]["accuracy %"] = float(100 * (classes[found] == test.labels[: len(found)]).mean())
    return result


def ground_floor(*names):
    """Imports modules of the zoo: from the package, or from the copies beside this file."""
    try:
        return [importlib.import_module(f"{__package__}.{name}" if __package__ else name) for name in names]
    except ModuleNotFoundError as error:
        if error.name not in names:
            raise
        model = Path(__file__).stem
        advice = f"`python -m zoo copy {model} FOLDER`, in the zoo, puts all of them into a folder"
        print(f"error: {model}.py's command line needs {', '.join(names)} (.py) beside it: {advice}", file=sys.stderr)
        raise SystemExit(2) from None


def main(argv=None):
    """The command line: trains or resumes a run, or with --generate, --interpolate or --evaluate uses a trained one."""
    dataset, metrics, runs = ground_floor("dataset", "metrics", "runs")
    least = 200  # steps in an epoch
    parser = runs.parser("dcgan", __doc__, data="faces", size=32, batch_size=None, learning_rate=2e-4, steps=least)
    add = parser.add_argument
    add("--filters", type=runs.positive, default=64, metavar="N", help="width; the paper's is 128 (%(default)s)")
    add("--latent-dim", type=runs.number(int, 2), default=100, metavar="N", help="length of the noise (%(default)s)")
    share = runs.number(float, 0, 0.9)
    add("--label-smoothing", type=share, default=0.1, metavar="X", help="D is told 1 - X for real (%(default)s)")
    add("--generator-steps", type=runs.positive, default=2, metavar="N", help="updates of G to each of D (%(default)s)")
    add("--channels", type=int, choices=[1, 3], help="1 for grey, 3 for colour (as the images are)")
    add("--crop", choices=["center", "random"], help="(random for photos, scenes and textures, else center)")
    add("--augment", action=argparse.BooleanOptionalAction, help="mirror and shift (for fewer than 1000 images)")
    add("--generate", type=runs.positive, metavar="N", help="write a grid of N new images, and end")
    add("--interpolate", type=runs.positive, metavar="N", help="write a row of N images from one to another, and end")
    o = runs.parse(parser, argv, actions=("generate", "interpolate", "evaluate"))

    def load(source, split, batch_size=None):
        return dataset.load(source, o.size, o.channels, batch_size, split, o.crop, seed=o.seed)

    with runs.errors(ValueError):
        start_size(o.size)
        if not (o.generate or o.interpolate):
            images = load(o.data, "train", o.batch_size)
            o.channels, o.batch_size = images.shape[2], images.batch_size
            o.steps_per_epoch = images.steps = o.steps_per_epoch or max(len(images), least)
            if o.augment is None:
                o.augment = images.count < 1000
        if not o.channels:
            raise ValueError("--weights FILE does not say whether it makes grey or colour: give --channels 1 or 3")
        shape = (o.size, o.size, o.channels)
        gan = DCGAN(shape, o.latent_dim, o.filters, o.learning_rate, o.label_smoothing, o.generator_steps, o.seed)

    if o.generate or o.interpolate or o.evaluate:
        with runs.errors(dataset.DataError, knobs="number of images"):
            runs.load_trained(o, gan)
            if o.evaluate:
                runs.report(o, evaluate(gan, images, load(*runs.held_out(o)), metrics))
            elif o.generate:
                runs.output(o, runs.grid(gan.generate(o.generate, o.seed)))
            else:
                runs.output(o, runs.grid(gan.interpolate(o.interpolate, o.seed), o.interpolate))
        return

    if o.augment:
        images.flip, images.jitter = True, 17 / 16
    with runs.errors(dataset.DataError), runs.Run(o, gan, lambda: runs.grid(gan.generate(64))) as run:
        gan.train(images, o.epochs, callbacks=[run], **run.position)


if __name__ == "__main__":
    main()
