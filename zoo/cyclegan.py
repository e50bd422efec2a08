"""CycleGAN: photos as pencil sketches and back, horses as zebras, or any two sets of images, without pairs.

Zhu, Park, Isola, Efros: Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks,
arXiv:1703.10593.

    image of A (batch, h, w, 3) in [-1, 1], h and w multiples of 4  ->  generator_ab     ->  image of B of that shape
    image of B (batch, h, w, 3)                                     ->  generator_ba     ->  image of A of that shape
    image of A or B (batch, 256, 256, 3)  ->  discriminator_a or _b (PatchGAN)  ->  scores (batch, 30, 30, 1): 1 is real

    python -m zoo.cyclegan --epochs 5                        photos and sketches of other photos, no download
    python -m zoo.cyclegan --data horse2zebra                or apple2orange, monet2photo, ..., or a folder of yours
                                                             with trainA and trainB in it
    python -m zoo.cyclegan --data my/cats --data-b my/dogs   two folders
    python -m zoo.cyclegan --data maps                       pairs; no image is used together with its partner
    python -m zoo.cyclegan --apply photo.jpg --direction AtoB   a picture of any size through the trained run
    python -m zoo.cyclegan --evaluate [SOURCE]               errors, beside those of the unchanged input

Measured on 40 pairs of `maps`, after 4800 steps on 120 photos and the maps of 120 others (`--data FOLDER --size 128
--precision mixed_bfloat16 --steps-per-epoch 240 --epochs 20`): photo to map has an L1 of 12.8 grey levels, the photo as
it is 155, the mean map 14.2; map to photo 34.7, the map 155, the mean photo 30.6.

With `--apply` a picture with a side of more than 1024 pixels is cut into tiles. Instance normalisation takes each
tile's own mean and contrast away, so that neighbouring tiles may differ slightly in colour.

Differences from the paper:
- The defaults are for laptops: `--size 256 --filters 64 --blocks 9 --batch-size 1` are the paper's. Data sets are
  shrunk to 286/256 of the size, cropped and mirrored, as in the authors' code; of the few embedded photos squares of
  any size are cut.
- The identity loss, which the paper has for paintings and flowers alone, is always on; `--identity-weight 0` leaves it
  out.
- The learning rate falls to zero over the second half of the steps, whatever `--epochs` is, and with every step; going
  on with a larger `--epochs` raises it again.
- Instance normalisation adds a shift, and the convolution before it has no bias, which the normalisation would take
  away again. The authors' code has it the other way round, with as many parameters.
"""

import importlib
import sys
from pathlib import Path

import keras
import numpy as np
from keras import layers, ops
from skimage import color
from skimage.filters import gaussian

NETWORKS = ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b")


def build_generator(blocks=9, filters=64, name="generator"):
    """The residual network of Section 7.2: images (batch, h, w, 3) in [-1, 1] -> the same shape; h, w multiples of 4.

    Args:
        blocks: residual blocks; the paper has 6 for 128 x 128 pixels and 9 from 256 x 256 on.
        filters: width of the first layer; the blocks are four times as wide.
    """
    x = image = keras.Input((None, None, 3), name="image")
    x = normalized(layers.Conv2D(filters, 7, use_bias=False, kernel_initializer=normal())(reflect(x, 3)))
    for width in (2 * filters, 4 * filters):
        x = normalized(layers.Conv2D(width, 3, 2, "same", use_bias=False, kernel_initializer=normal())(x))
    for _ in range(blocks):
        y = normalized(layers.Conv2D(width, 3, use_bias=False, kernel_initializer=normal())(reflect(x, 1)))
        y = layers.Conv2D(width, 3, use_bias=False, kernel_initializer=normal())(reflect(y, 1))
        x = layers.Add()([x, instance_norm()(y)])
    for width in (2 * filters, filters):
        x = normalized(layers.Conv2DTranspose(width, 3, 2, "same", use_bias=False, kernel_initializer=normal())(x))
    x = layers.Conv2D(3, 7, kernel_initializer=normal())(reflect(x, 3))
    return keras.Model(image, layers.Activation("tanh", dtype="float32")(x), name=name)


def build_discriminator(size=256, filters=64, name="discriminator"):
    """The 70 x 70 PatchGAN: images (batch, size, size, 3) in [-1, 1] -> scores (batch, h, w, 1), 1 for a real patch.

    Args:
        size: 24 or more; the map for 256 is 30 x 30.
        filters: width of the first layer; each layer is twice as wide as the one before, up to 8 times.
    """
    x = image = keras.Input((size, size, 3), name="image")
    for i in range(4):
        # One pixel on each side, as in PyTorch: 32 x 32 becomes 31 x 31, which with Keras' "same" would stay 32 x 32.
        x = layers.ZeroPadding2D(1)(x)
        x = layers.Conv2D(filters * 2**i, 4, 2 if i < 3 else 1, use_bias=i == 0, kernel_initializer=normal())(x)
        x = layers.LeakyReLU(negative_slope=0.2)(instance_norm()(x) if i else x)
    x = layers.Conv2D(1, 4, kernel_initializer=normal())(layers.ZeroPadding2D(1)(x))
    return keras.Model(image, layers.Activation("linear", dtype="float32")(x), name=name)


def normal():
    """Section 7.1: all weights are drawn from a normal distribution of standard deviation 0.02."""
    return keras.initializers.RandomNormal(0.0, 0.02)


def instance_norm():
    """Normalises each map over one image and adds a shift; a scale is left to the next convolution."""
    return layers.GroupNormalization(groups=-1, epsilon=1e-5, scale=False)


def normalized(x):
    return layers.ReLU()(instance_norm()(x))


def reflect(x, pixels):
    """Mirrors the image at its edges, which zeros around it would show as a frame in the result."""
    return ops.pad(x, [[0, 0], [pixels, pixels], [pixels, pixels], [0, 0]], mode="reflect")


class LinearDecay(keras.optimizers.schedules.LearningRateSchedule):
    """The learning rate of Section 4: `rate` for the first half of all steps, then along a line to 0."""

    def __init__(self, rate, total_steps):
        self.rate, self.total_steps = rate, total_steps

    def __call__(self, step):
        left = 1 - ops.cast(step, "float32") / self.total_steps
        return self.rate * ops.clip(2 * left, 0.0, 1.0)

    def get_config(self):
        return {"rate": self.rate, "total_steps": self.total_steps}


def sketch(image):
    """A pencil sketch, float (h, w) in [0, 1], of an RGB image in [0, 1]: white where it is not darker than around."""
    grey = color.rgb2gray(image) + 0.05  # so that what is evenly black is white too
    return np.minimum(grey / gaussian(grey, 3), 1)


def sketches(images):
    """Pencil sketches of float images (batch, h, w, 3) in [-1, 1], in that shape and range."""
    drawn = np.stack([sketch((image + 1) / 2) for image in images])
    return np.repeat(2 * drawn[..., None] - 1, 3, axis=-1).astype("float32")


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


class Unpaired(keras.utils.PyDataset):
    """Batches (a, b) of two PyDatasets, each in its own order; an epoch is once over the larger one."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b, self.epoch = a, b, 0

    def __len__(self):
        return max(len(self.a), len(self.b))

    def __getitem__(self, step):
        self.a.epoch = self.b.epoch = self.epoch
        return self.a[step % len(self.a)], self.b[step % len(self.b)]


def checked(images):
    """The images as an array uint8 (count, height, width, channels); ValueError if they are something else."""
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 4:
        raise ValueError(f"images are {images.dtype} {images.shape}, not uint8 (count, height, width, channels)")
    return images


def to_uint8(images):
    """Float images in [-1, 1] as uint8."""
    return np.clip(np.rint((np.asarray(images) + 1) * 127.5), 0, 255).astype(np.uint8)


def mean_output(_, output):
    """Metric: the mean score that D gives."""
    return output


class Combined(Player):
    """Both G under both D, which stay put. Its logs also hold the generated images, for the step of D."""

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        return logs | {name: y_pred[name] for name in ("fake_a", "fake_b")}


class CycleGAN:
    """The four networks and their game.

    Args:
        size: side of the training images in pixels, a multiple of 4.
        blocks, filters: see `build_generator`.
        cycle_weight: of the cycle loss, the paper's lambda.
        identity_weight: of the identity loss, as a share of `cycle_weight`; 0 leaves it out.
        pool_size: how many past images of each G its D is shown again (Section 4); 0 shows it the newest alone.
        learning_rate: of all Adam optimisers; beta_1 is 0.5.
        total_steps: of the whole training, see `LinearDecay`; None keeps the learning rate.
        seed: fixes the draws from the pools; `keras.utils.set_random_seed` fixes the first weights.
    """

    def __init__(self, size=256, blocks=9, filters=64, cycle_weight=10, identity_weight=0.5, pool_size=50,
                 learning_rate=2e-4, total_steps=None, seed=0):  # fmt: skip
        self.size, self.identity_weight, self.pool_size = size, identity_weight, pool_size
        self.seed, self.steps = seed, 0
        self.pools = {"a": [], "b": []}
        self.generator_ab = build_generator(blocks, filters, "generator_ab")
        self.generator_ba = build_generator(blocks, filters, "generator_ba")
        self.discriminator_a = build_discriminator(size, filters, "discriminator_a")
        self.discriminator_b = build_discriminator(size, filters, "discriminator_b")
        a, b = keras.Input((size, size, 3)), keras.Input((size, size, 3))

        def adam():
            rate = LinearDecay(learning_rate, total_steps) if total_steps else learning_rate
            return keras.optimizers.Adam(rate, beta_1=0.5)

        # The step of both G: D should take their images for real, and what goes there and back should not change.
        fake_a, fake_b = self.generator_ba(b), self.generator_ab(a)
        outputs = {
            "fake_a": fake_a,
            "fake_b": fake_b,
            "adversarial_a": self.discriminator_a(fake_a),
            "adversarial_b": self.discriminator_b(fake_b),
            "cycle_a": self.generator_ba(fake_b),
            "cycle_b": self.generator_ab(fake_a),
        }
        weights = {"adversarial_a": 1, "adversarial_b": 1, "cycle_a": cycle_weight, "cycle_b": cycle_weight}
        if identity_weight:  # an image that is one of the domain already should stay as it is
            outputs |= {"identity_a": self.generator_ba(a), "identity_b": self.generator_ab(b)}
            weights |= dict.fromkeys(("identity_a", "identity_b"), identity_weight * cycle_weight)
        self.combined = Combined([a, b], outputs, [self.generator_ab, self.generator_ba], name="combined")
        # Least squares in place of cross entropy (Section 4). The fakes have no loss of their own.
        losses = {name: "mse" if name.startswith("adversarial") else "mae" for name in weights}
        self.combined.compile(adam(), loss=losses, loss_weights=weights)

        # The step of both D, which have nothing to do with each other. Section 7.1 halves their losses; Adam divides
        # that out again, so that it shows in the log alone.
        real_a, fake_a, real_b, fake_b = inputs = [keras.Input((size, size, 3)) for _ in range(4)]
        outputs = {
            "real_a": self.discriminator_a(real_a),
            "fake_a": self.discriminator_a(fake_a),
            "real_b": self.discriminator_b(real_b),
            "fake_b": self.discriminator_b(fake_b),
        }
        self.d_step = Player(inputs, outputs, [self.discriminator_a, self.discriminator_b], name="d_step")
        losses, halves = dict.fromkeys(outputs, "mse"), dict.fromkeys(outputs, 0.5)
        scores = {name: [mean_output] for name in outputs}
        self.d_step.compile(adam(), loss=losses, loss_weights=halves, metrics=scores)

    def train_step(self, images):
        """One update of both G and then of both D on two float32 batches (a, b) in [-1, 1]: losses, mean scores."""
        a, b = images
        shape = len(a), *self.discriminator_a.output_shape[1:]
        ones, zeros = np.ones(shape, "float32"), np.zeros(shape, "float32")
        kinds = ("cycle", "identity") if self.identity_weight else ("cycle",)
        targets = {f"{kind}_{domain}": x for kind in kinds for domain, x in zip("ab", images, strict=True)}
        targets |= {"adversarial_a": ones, "adversarial_b": ones}
        g = self.combined.train_on_batch([a, b], targets, return_dict=True)
        logs = {"g_loss": g["loss"]}
        logs |= {f"{kind}_loss": g[f"{kind}_a_loss"] + g[f"{kind}_b_loss"] for kind in ("adversarial", *kinds)}
        random = np.random.default_rng((self.seed, self.steps))
        self.steps += 1
        fake_a, fake_b = (self.exchange(self.pools[domain], g[f"fake_{domain}"], random) for domain in "ab")
        targets = {"real_a": ones, "fake_a": zeros, "real_b": ones, "fake_b": zeros}
        d = self.d_step.train_on_batch([a, fake_a, b, fake_b], targets, return_dict=True)
        for domain in "ab":
            logs[f"d_{domain}_loss"] = (d[f"real_{domain}_loss"] + d[f"fake_{domain}_loss"]) / 2
            logs |= {f"d_{domain}_{kind}": d[f"{kind}_{domain}_mean_output"] for kind in ("real", "fake")}
        return {name: float(value) for name, value in logs.items()}

    def exchange(self, pool, images, random):
        """What D is shown for the newest images: half of the time, once the pool is full, one from there."""
        if not self.pool_size:
            return images
        shown = []
        for image in images:
            if len(pool) < self.pool_size:
                pool.append(image.copy())  # a view would keep its whole batch in memory
            elif random.random() < 0.5:
                place = random.integers(len(pool))
                pool[place], image = image.copy(), pool[place]
            shown.append(image)
        return np.stack(shown)

    def train(self, images, epochs, batch_size=1, callbacks=(), initial_epoch=0, initial_step=0):
        """Trains for `epochs` epochs in all; the first is `initial_epoch`, from its step `initial_step` on.

        Args:
            images: those of A and those of B, each uint8 (count, size, size, 3) or a PyDataset of float32 batches in
                [-1, 1]; or one PyDataset of two batches (a, b).
            batch_size: for arrays; a PyDataset has its own.
            callbacks: Keras callbacks; they see `combined` as their model: a learning rate that they set is G's.

        Returns:
            keras.callbacks.History: for each epoch the means of what `train_step` returns.
        """
        if not isinstance(images, keras.utils.PyDataset):
            datasets = (Batches(x, batch_size, self.seed + i) if isinstance(x, np.ndarray) else x
                        for i, x in enumerate(images))  # fmt: skip
            images = Unpaired(*datasets)  # with equal seeds, arrays of equal length would come in equal order
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

    def translate(self, images, direction="AtoB"):
        """uint8 images (batch, h, w, 3) of A (or of B: "BtoA"), h and w multiples of 4 -> of the other domain."""
        generator = {"AtoB": self.generator_ab, "BtoA": self.generator_ba}[direction]
        images = checked(images)
        if images.shape[1] % 4 or images.shape[2] % 4:
            raise ValueError(f"the images are {images.shape}: height and width should be multiples of 4")
        return to_uint8(generator.predict(images.astype("float32") / 127.5 - 1, batch_size=4, verbose=0))

    def save(self, folder):
        """Saves the networks (.keras files) and the state of the training (training.npz) in a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in NETWORKS:
            getattr(self, name).save(folder / f"{name}.keras")
        state = {f"optimizer_{i}": ops.convert_to_numpy(v) for i, v in enumerate(self._optimizer_variables())}
        pools = {f"pool_{domain}": np.array(pool, "float32") for domain, pool in self.pools.items()}
        np.savez(folder / "training.npz", steps=self.steps, **pools, **state)

    def load(self, folder):
        """Loads what `save` wrote, or a run's folder `checkpoint`, into a model made with the same arguments.

        The learning rate is loaded too, unless a schedule gives it.
        """
        folder = Path(folder)
        for name in NETWORKS:
            getattr(self, name).load_weights(folder / f"{name}.keras")
        with np.load(folder / "training.npz") as state:
            self.steps = int(state["steps"])
            self.pools = {domain: list(state[f"pool_{domain}"]) for domain in self.pools}
            for i, variable in enumerate(self._optimizer_variables()):
                variable.assign(state[f"optimizer_{i}"])

    def _optimizer_variables(self):
        return [v for player in (self.combined, self.d_step) for v in player.optimizer.variables]


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
    """The command line: trains or resumes a run, or with --apply or --evaluate uses a trained one."""
    dataset, domains, photos, runs = ground_floor("dataset", "domains", "photos", "runs")
    least = 200  # steps in an epoch
    parser = runs.parser("cyclegan", __doc__, data="sketches", size=64, batch_size=1, learning_rate=2e-4, steps=least)
    add = parser.add_argument
    add("--data-b", metavar="SOURCE", help="images of domain B; --data then has those of domain A")
    add("--blocks", type=runs.positive, metavar="N", help="residual blocks (9 from size 256 on, below it 6)")
    add("--filters", type=runs.positive, default=32, metavar="N", help="width; the paper's is 64 (%(default)s)")
    weight = runs.number(float, 0)
    add("--cycle-weight", type=weight, default=10, metavar="X", help="of the cycle loss (%(default)s)")
    add("--identity-weight", type=weight, default=0.5, metavar="X", help="as a share of the cycle's (%(default)s)")
    add("--pool", type=runs.number(int, 0), default=50, metavar="N", help="past images that D sees (%(default)s)")
    add("--apply", nargs="+", metavar="PHOTO", help="translate pictures of any size, and end")
    add("--direction", choices=["AtoB", "BtoA"], default="AtoB", help="of --apply (%(default)s)")
    o = runs.parse(parser, argv, actions=("apply", "evaluate"), free=("direction",))

    both = {"size": o.size, "source_b": o.data_b, "draw": sketches if o.data == "sketches" else None, "seed": o.seed}
    with runs.errors(ValueError):
        if o.size % 4 or o.size < 24:
            raise ValueError(f"--size {o.size} should be a multiple of 4, 24 or more")
        o.blocks = o.blocks or (9 if o.size >= 256 else 6)
        if not (o.apply or o.evaluate):
            a, b, paired = domains.load(o.data, batch_size=o.batch_size, **both)
            o.steps_per_epoch = a.steps = b.steps = o.steps_per_epoch or max(len(a), len(b), least)
            if paired and o.data != "sketches":
                print(f"{o.data} is taken for pairs of A and B; if it has A alone, give the images of B as --data-b")
            real_a, real_b, _ = domains.take(o.data, 4, **both)
        total = o.epochs * (o.steps_per_epoch or 0)
        gan = CycleGAN(o.size, o.blocks, o.filters, o.cycle_weight, o.identity_weight, o.pool, o.learning_rate, total,
                       o.seed)  # fmt: skip

    if o.apply or o.evaluate:
        with runs.errors(dataset.DataError, photos.PhotoError, knobs="photo"):
            runs.load_trained(o, gan)
            if o.evaluate:
                runs.report(o, domains.evaluate_source(gan, *runs.held_out(o), o.data, **both))
            else:
                for source, target in photos.targets(o.apply, o.output, o.direction):
                    # The halo is the reach of the layers, but for the normalisation's, which is the whole tile's.
                    tiles = {"tile": 1024, "halo": 8 * o.blocks + 16, "multiple": 4}
                    photos.apply(source, target, lambda x: gan.translate(x, o.direction), **tiles, colour=True)
                    print(f"wrote {target}")
        return

    def sample():
        fake_b, fake_a = gan.translate(real_a, "AtoB"), gan.translate(real_b, "BtoA")
        back_a, back_b = gan.translate(fake_b, "BtoA"), gan.translate(fake_a, "AtoB")
        return runs.columns(real_a, fake_b, back_a, real_b, fake_a, back_b)

    with runs.errors(dataset.DataError), runs.Run(o, gan, sample) as run:
        gan.train(Unpaired(a, b), o.epochs, callbacks=[run], **run.position)


if __name__ == "__main__":
    main()
