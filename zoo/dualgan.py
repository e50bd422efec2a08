"""DualGAN: photos as pencil sketches and back, or any two sets of images, without pairs, under Wasserstein critics.

Yi, Zhang, Tan, Gong: DualGAN: Unsupervised Dual Learning for Image-to-Image Translation, arXiv:1704.02510.

    image of A (batch, h, w, 3) in [-1, 1]; h, w multiples of 2**depth  ->  generator_ab  ->  image of B of that shape
    image of B (batch, h, w, 3)                                         ->  generator_ba  ->  image of A of that shape
    image of A or B (batch, 256, 256, 3)  ->  discriminator_a or _b: a critic (PatchGAN)  ->  values (batch, 30, 30, 1)

A critic gives high values to real images. The gap is the mean value of real images minus that of made ones; as long as
no weight leaves [-clip, clip], it estimates how far apart the two distributions are (their Wasserstein distance, up to
a factor). The critic's loss is -gap; that of the generators is -(mean value of made images) + weight * L1 recovery.

    python -m zoo.dualgan --epochs 5                        photos and sketches of other photos, no download
    python -m zoo.dualgan --data horse2zebra                or apple2orange, monet2photo, ..., or a folder of yours
                                                            with trainA and trainB in it
    python -m zoo.dualgan --data my/cats --data-b my/dogs   two folders
    python -m zoo.dualgan --data maps                       pairs; no image is used together with its partner
    python -m zoo.dualgan --apply photo.jpg --direction AtoB   a picture of any size through the trained run
    python -m zoo.dualgan --evaluate [SOURCE]               errors, beside those of the unchanged input

Measured on 40 pairs of `maps`, after 4800 steps on 120 photos and the maps of 120 others (`--data FOLDER --size 128
--depth 7 --precision mixed_bfloat16 --steps-per-epoch 240 --epochs 20`): photo to map has an L1 of 20.1 grey levels
(26.2 with `--seed 1`), the photo as it is 155, the mean map 14.2; map to photo 43.0, the map 155, the mean photo 30.6:
behind CycleGAN. With `--recovery-weights 100 100 --critic-steps 4` and `--epochs 40` SSIM is better than the input's
both ways (0.301 and 0.180, the input's 0.137), as it is not with the defaults.

With `--apply` a picture with a side of more than 1024 pixels is cut into tiles. Instance normalisation takes each
tile's own mean and contrast away, so that neighbouring tiles may differ slightly in colour, and from `--depth 7` on a
pixel depends on more than a tile's surroundings.

Differences from the paper:
- The defaults are for laptops and a short training: `--size 256 --filters 64 --depth 8` are the paper's,
  `--learning-rate 5e-5` is that of the authors' code. The paper's ranges are 100 to 1000 for the weights of the
  recovery, 0.01 to 0.1 for the clipping, and 2 to 4 critic steps.
- Data sets are shrunk to 286/256 of the size, cropped and mirrored, as in CycleGAN; of the few embedded photos squares
  of any size are cut.
- The generators have instance normalisation, as a batch has few images; the critics have none, which would undo what
  the clipping of their weights is for. (Tried: with it the gaps are steadier, but the pictures are no nearer to the
  truth, and it hides from the critics what is bright and what is dark.)
- In each step the generators are updated before the critics, not after them, so that the images that they have just
  made serve both; each of the `--critic-steps` updates gets images of its own, the generators those of the last one.
- The generators' normalisation has no scale, as in CycleGAN; pix2pix' and the authors' code have one.
- RMSprop's epsilon is 1e-10: clipped critics have small gradients, of which Keras' own would make next to nothing.
- A later version of the authors' code has a gradient penalty (Gulrajani et al., arXiv:1704.00028) in place of the
  clipping. It needs the critic's gradient inside the loss, for which each backend has code of its own: it is left out.
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


def build_generator(depth=8, filters=64, dropout=0.5, name="generator"):
    """pix2pix's U-Net: images (batch, h, w, 3) in [-1, 1] -> the same shape; h and w are multiples of 2**depth.

    The dropout is the noise: call the model with `training=True` for it; `predict` leaves it out.

    Args:
        depth: layers of the encoder, each of which halves the map, and of the decoder.
        filters: width of the first layer; each layer of the encoder is twice as wide as the one before, up to 8 times.
        dropout: share of the values that the first three layers of the decoder lose.
    """
    x = image = keras.Input((None, None, 3), name="image")
    maps, widths = [], [filters * min(2**i, 8) for i in range(depth)]
    for i, width in enumerate(widths):
        plain = i in (0, depth - 1)  # the innermost map may be a single value, whose normalisation is zero
        x = layers.LeakyReLU(negative_slope=0.2)(x) if i else x
        x = layers.Conv2D(width, 4, 2, "same", use_bias=plain, kernel_initializer=normal())(x)
        x = x if plain else instance_norm()(x)
        maps.append(x)
    maps.pop()
    for i, width in enumerate(reversed(widths[:-1])):
        x = layers.Conv2DTranspose(width, 4, 2, "same", use_bias=False, kernel_initializer=normal())(layers.ReLU()(x))
        x = instance_norm()(x)
        x = layers.Dropout(dropout, seed=i)(x) if dropout and i < 3 else x
        x = layers.Concatenate()([x, maps.pop()])
    x = layers.Conv2DTranspose(3, 4, 2, "same", kernel_initializer=normal())(layers.ReLU()(x))
    return keras.Model(image, layers.Activation("tanh", dtype="float32")(x), name=name)


def build_discriminator(size=256, filters=64, name="discriminator"):
    """The critic, pix2pix's 70 x 70 PatchGAN: images (batch, size, size, 3) in [-1, 1] -> values (batch, h, w, 1).

    Args:
        size: 24 or more; the map for 256 is 30 x 30.
        filters: width of the first layer; each layer is twice as wide as the one before, up to 8 times.
    """
    x = image = keras.Input((size, size, 3), name="image")
    for i in range(4):
        # One pixel on each side, as in PyTorch: 32 x 32 becomes 31 x 31, which with Keras' "same" would stay 32 x 32.
        x = layers.ZeroPadding2D(1)(x)
        x = layers.Conv2D(filters * 2**i, 4, 2 if i < 3 else 1, kernel_initializer=normal())(x)
        x = layers.LeakyReLU(negative_slope=0.2)(x)
    x = layers.Conv2D(1, 4, kernel_initializer=normal())(layers.ZeroPadding2D(1)(x))
    return keras.Model(image, layers.Activation("linear", dtype="float32")(x), name=name)


def normal():
    """All weights are drawn from a normal distribution of standard deviation 0.02, as in pix2pix."""
    return keras.initializers.RandomNormal(0.0, 0.02)


def instance_norm():
    """Normalises each map over one image and adds a shift; a scale is left to the next convolution."""
    return layers.GroupNormalization(groups=-1, epsilon=1e-5, scale=False)


class Clip(keras.constraints.Constraint):
    """Keeps weights in [-limit, limit]. An optimiser applies a variable's constraint after each of its updates."""

    def __init__(self, limit):
        self.limit = limit

    def __call__(self, weights):
        return ops.clip(weights, -self.limit, self.limit)


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
    """Loss: the output itself."""
    return output


class Combined(Player):
    """Both G under both critics, which stay put. Its logs also hold the generated images, for the critics' steps."""

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        logs = super().compute_metrics(x, y, y_pred, sample_weight)
        return logs | {name: y_pred[name] for name in ("fake_a", "fake_b")}


class DualGAN:
    """The four networks and their game.

    Args:
        size: side of the training images in pixels, a multiple of 2**depth.
        depth, filters, dropout: see `build_generator`.
        recovery_weights: of the L1 recovery of A and of B, the paper's lambda_U and lambda_V.
        critic_steps: updates of both critics for each of the generators, every one with images of its own.
        clip: the critics' weights stay in [-clip, clip].
        learning_rate: of all RMSprop optimisers.
        deterministic: no dropout at test time.
        seed: fixes the noise of every step; `keras.utils.set_random_seed` fixes the first weights.
    """

    def __init__(self, size=256, depth=8, filters=64, dropout=0.5, recovery_weights=(500, 500), critic_steps=2,
                 clip=0.01, learning_rate=5e-5, deterministic=False, seed=0):  # fmt: skip
        self.size, self.critic_steps, self.clip, self.deterministic = size, critic_steps, clip, deterministic
        self.seed, self.steps = seed, 0
        self.generator_ab = build_generator(depth, filters, dropout, "generator_ab")
        self.generator_ba = build_generator(depth, filters, dropout, "generator_ba")
        self.discriminator_a = build_discriminator(size, filters, "discriminator_a")
        self.discriminator_b = build_discriminator(size, filters, "discriminator_b")
        for variable in self.discriminator_a.trainable_variables + self.discriminator_b.trainable_variables:
            variable.constraint = Clip(clip)

        def rmsprop():
            # Clipped critics have small gradients, of which Keras' own epsilon would make next to nothing.
            return keras.optimizers.RMSprop(learning_rate, epsilon=1e-10)

        # The generators' step: the critics should give high values to their images, and what goes there and back should
        # not change. The images for the critics' other steps are only translated, without any loss.
        a, b = (keras.Input((critic_steps, size, size, 3)) for _ in range(2))
        last_a, last_b = a[:, -1], b[:, -1]
        fake_a, fake_b = self.generator_ba(last_b), self.generator_ab(last_a)
        outputs = {
            "fake_a": self._with_others(fake_a, self.generator_ba, b),
            "fake_b": self._with_others(fake_b, self.generator_ab, a),
            "adversarial_a": self.discriminator_a(fake_a),
            "adversarial_b": self.discriminator_b(fake_b),
            "recovery_a": self.generator_ba(fake_b),
            "recovery_b": self.generator_ab(fake_a),
        }
        self.combined = Combined([a, b], outputs, [self.generator_ab, self.generator_ba], name="combined")
        weights = dict(zip(("recovery_a", "recovery_b"), recovery_weights, strict=True))
        losses = dict.fromkeys(weights, "mae") | dict.fromkeys(("adversarial_a", "adversarial_b"), mean_output)
        weights |= {"adversarial_a": -1, "adversarial_b": -1}
        self.combined.compile(rmsprop(), loss=losses, loss_weights=weights)

        # The step of both critics, which have nothing to do with each other: the loss is -gap of A and -gap of B.
        real_a, fake_a, real_b, fake_b = inputs = [keras.Input((size, size, 3)) for _ in range(4)]
        outputs = {
            "real_a": self.discriminator_a(real_a),
            "fake_a": self.discriminator_a(fake_a),
            "real_b": self.discriminator_b(real_b),
            "fake_b": self.discriminator_b(fake_b),
        }
        self.d_step = Player(inputs, outputs, [self.discriminator_a, self.discriminator_b], name="d_step")
        weights = {"real_a": -1, "fake_a": 1, "real_b": -1, "fake_b": 1}
        losses = dict.fromkeys(weights, mean_output)
        self.d_step.compile(rmsprop(), loss=losses, loss_weights=weights)

    def _with_others(self, last, generator, images):
        """What G makes of all images (batch, critic_steps, ...), given what it has made of the last."""
        if self.critic_steps == 1:
            return last[:, None]
        shape = self.critic_steps - 1, self.size, self.size, 3
        others = generator(ops.reshape(images[:, :-1], (-1, *shape[1:])))
        return ops.concatenate([ops.reshape(ops.stop_gradient(others), (-1, *shape)), last[:, None]], axis=1)

    def train_step(self, images):
        """One update of both G, `critic_steps` of both critics: losses, mean gaps, share of the weights at the limits.

        Args:
            images: two float32 arrays (a, b) of critic_steps * batch_size images in [-1, 1].
        """
        a, b = (np.reshape(x, (-1, self.critic_steps, *x.shape[1:])) for x in images)
        nothing = np.zeros((len(a), *self.discriminator_a.output_shape[1:]), "float32")  # Keras wants targets
        targets = {"adversarial_a": nothing, "adversarial_b": nothing}
        targets |= {"recovery_a": a[:, -1], "recovery_b": b[:, -1]}
        self._fix_noise(self.seed, self.steps)
        self.steps += 1
        g = self.combined.train_on_batch([a, b], targets, return_dict=True)
        logs = {"g_loss": g["loss"], "recovery_loss": g["recovery_a_loss"] + g["recovery_b_loss"]}
        targets, gaps = dict.fromkeys(self.d_step.output_names, nothing), []
        for i in range(self.critic_steps):
            inputs = [x[:, i] for x in (a, g["fake_a"], b, g["fake_b"])]
            d = self.d_step.train_on_batch(inputs, targets, return_dict=True)
            gaps.append((d["real_a_loss"] - d["fake_a_loss"], d["real_b_loss"] - d["fake_b_loss"]))
        logs["gap_a"], logs["gap_b"] = np.mean(gaps, axis=0)
        logs["clipped"] = self.clipped()
        return {name: float(value) for name, value in logs.items()}

    def clipped(self):
        """The share of the critics' weights that lie at the limits: if most do, a critic has little freedom left."""
        weights = [ops.convert_to_numpy(v) for v in self.d_step.trainable_variables]
        return sum(np.count_nonzero(np.abs(v) >= self.clip) for v in weights) / sum(v.size for v in weights)

    def _fix_noise(self, seed, place):
        """The dropout's next draw follows from these two numbers alone, so that a stopped run goes on exactly."""
        both = self.generator_ab.layers + self.generator_ba.layers
        for i, layer in enumerate(each for each in both if isinstance(each, layers.Dropout)):
            layer.seed_generator.state.assign(np.random.default_rng((seed, place, i)).integers(2**30, size=2))

    def train(self, images, epochs, batch_size=1, callbacks=(), initial_epoch=0, initial_step=0):
        """Trains for `epochs` epochs in all; the first is `initial_epoch`, from its step `initial_step` on.

        Args:
            images: those of A and those of B, each uint8 (count, size, size, 3) or a PyDataset of float32 batches in
                [-1, 1]; or one PyDataset of two batches (a, b).
            batch_size: for arrays; a step takes critic_steps times as many. A PyDataset has its own.
            callbacks: Keras callbacks; they see `combined` as their model: a learning rate that they set is G's.

        Returns:
            keras.callbacks.History: for each epoch the means of what `train_step` returns.
        """
        if not isinstance(images, keras.utils.PyDataset):
            datasets = (Batches(x, self.critic_steps * batch_size, self.seed + i) if isinstance(x, np.ndarray) else x
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

    def translate(self, images, direction="AtoB", seed=0):
        """uint8 images (batch, h, w, 3) of A (or of B: "BtoA"), h and w multiples of 2**depth -> of the other domain.

        The dropout's draws follow from `seed`.
        """
        generator = {"AtoB": self.generator_ab, "BtoA": self.generator_ba}[direction]
        results = []
        for i, image in enumerate(checked(images)):  # one by one, so that no picture depends on the others
            self._fix_noise(seed, i)
            x = image[None].astype("float32") / 127.5 - 1
            results.append(ops.convert_to_numpy(generator(x, training=not self.deterministic)))
        return to_uint8(np.concatenate(results))

    def save(self, folder):
        """Saves the networks (.keras files) and the state of the training (training.npz) in a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for name in NETWORKS:
            getattr(self, name).save(folder / f"{name}.keras")
        state = {f"optimizer_{i}": ops.convert_to_numpy(v) for i, v in enumerate(self._optimizer_variables())}
        np.savez(folder / "training.npz", steps=self.steps, **state)

    def load(self, folder):
        """Loads what `save` wrote, or a run's folder `checkpoint`, into a model made with the same arguments.

        The learning rate is loaded too, unless a schedule gives it.
        """
        folder = Path(folder)
        for name in NETWORKS:
            getattr(self, name).load_weights(folder / f"{name}.keras")
        with np.load(folder / "training.npz") as state:
            self.steps = int(state["steps"])
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
    least = 400  # steps in an epoch
    parser = runs.parser("dualgan", __doc__, data="sketches", size=64, batch_size=1, learning_rate=2e-4, steps=least)
    add = parser.add_argument
    add("--data-b", metavar="SOURCE", help="images of domain B; --data then has those of domain A")
    add("--depth", type=runs.number(int, 2, 9), default=5, metavar="N", help="halvings in the U-Net (%(default)s)")
    add("--filters", type=runs.positive, default=32, metavar="N", help="width; the paper's is 64 (%(default)s)")
    share, weight = runs.number(float, 0, 0.9), runs.number(float, 0)
    add("--dropout", type=share, default=0.5, metavar="X", help="share of the values dropped as noise (%(default)s)")
    weights = {"type": weight, "nargs": 2, "metavar": ("A", "B"), "default": [500.0, 500.0]}
    add("--recovery-weights", **weights, help="of the L1 recovery of both domains (500 500)")
    add("--critic-steps", type=runs.positive, default=2, metavar="N", help="updates to each of the Gs (%(default)s)")
    limit = runs.number(float, 1e-4)
    add("--clip", type=limit, default=0.01, metavar="X", help="limit of the critics' weights (%(default)s)")
    add("--deterministic", action="store_true", help="no dropout in samples, --apply and --evaluate")
    add("--apply", nargs="+", metavar="PHOTO", help="translate pictures of any size, and end")
    add("--direction", choices=["AtoB", "BtoA"], default="AtoB", help="of --apply (%(default)s)")
    o = runs.parse(parser, argv, actions=("apply", "evaluate"), free=("direction", "deterministic"))

    both = {"size": o.size, "source_b": o.data_b, "draw": sketches if o.data == "sketches" else None, "seed": o.seed}
    with runs.errors(ValueError):
        if o.size % 2**o.depth or o.size < 24:
            raise ValueError(f"--size {o.size} should be a multiple of {2**o.depth} (of --depth {o.depth}), 24 or more")
        if not (o.apply or o.evaluate):
            try:
                a, b, paired = domains.load(o.data, batch_size=o.batch_size * o.critic_steps, **both)
            except dataset.DataError as error:
                product = "; a step takes --batch-size times --critic-steps images" if "batch" in str(error) else ""
                raise ValueError(f"{error}{product}") from error
            o.steps_per_epoch = a.steps = b.steps = o.steps_per_epoch or max(len(a), len(b), least)
            if paired and o.data != "sketches":
                print(f"{o.data} is taken for pairs of A and B; if it has A alone, give the images of B as --data-b")
            real_a, real_b, _ = domains.take(o.data, 4, **both)
        gan = DualGAN(o.size, o.depth, o.filters, o.dropout, o.recovery_weights, o.critic_steps, o.clip,
                      o.learning_rate, o.deterministic, o.seed)  # fmt: skip

    if o.apply or o.evaluate:
        with runs.errors(dataset.DataError, photos.PhotoError, knobs="photo"):
            runs.load_trained(o, gan)
            if o.evaluate:
                runs.report(o, domains.evaluate_source(gan, *runs.held_out(o), o.data, **both))
            else:
                for source, target in photos.targets(o.apply, o.output, o.direction):
                    tiles = {"tile": 1024, "halo": min(3 * 2**o.depth, 256), "multiple": 2**o.depth}
                    photos.apply(source, target, lambda x: gan.translate(x, o.direction, o.seed), **tiles, colour=True)
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
