"""The whole step against one written by hand with tf.GradientTape.

Losses and every weight.
"""

import functools

import keras
import numpy as np
import pytest
from test_backends import two

from zoo import cyclegan, dcgan, deblur, dualgan, inpaint, pix2pix, srgan

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("written with tf.GradientTape", allow_module_level=True)


class Adam:
    """Kingma and Ba 2015, Algorithm 1, in the order of operations of its last paragraph
    of Section 2.
    """

    def __init__(self, lr, beta_1=0.5, beta_2=0.999, epsilon=1e-7):
        self.lr, self.b1, self.b2, self.eps, self.t = lr, beta_1, beta_2, epsilon, 0
        self.m, self.v = {}, {}

    def apply(self, variables, gradients):
        self.t += 1
        # In float32 like all else: 1 - 0.999^t has lost four digits there.
        t = tf.constant(self.t, tf.float32)
        rate = float(
            self.lr * tf.sqrt(1 - tf.pow(self.b2, t)) / (1 - tf.pow(self.b1, t))
        )
        for i, (w, g) in enumerate(zip(variables, gradients, strict=True)):
            g = g.numpy().astype(np.float64)
            self.m[i] = self.b1 * self.m.get(i, 0) + (1 - self.b1) * g
            self.v[i] = self.b2 * self.v.get(i, 0) + (1 - self.b2) * g**2
            w.assign(w.numpy() - rate * self.m[i] / (np.sqrt(self.v[i]) + self.eps))


class RMSprop:
    """Tieleman and Hinton 2012, lecture 6e, with epsilon under the root."""

    def __init__(self, lr, rho=0.9, epsilon=1e-10):
        self.lr, self.rho, self.eps, self.v = lr, rho, epsilon, {}

    def apply(self, variables, gradients):
        for i, (w, g) in enumerate(zip(variables, gradients, strict=True)):
            g = g.numpy().astype(np.float64)
            self.v[i] = self.rho * self.v.get(i, 0) + (1 - self.rho) * g**2
            w.assign(w.numpy() - self.lr * g / np.sqrt(self.v[i] + self.eps))


def cross_entropy(logits, target):
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(target * tf.ones_like(logits), logits)
    )


def assert_equal_weights(*pairs, slack=0.0):
    """Each pair of networks is equal to 1e-5 and a `slack` for each weight.

    Then the second takes over the first.
    """
    for ours, theirs in pairs:
        for a, b in zip(ours.variables, theirs.variables, strict=True):
            a, b = a.numpy(), b.numpy()
            # In norm: where a gradient is near 0, Adam makes a rounding error of it as
            # large as a step.
            assert (
                np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b) + slack * a.size**0.5
            ), a.shape
        theirs.set_weights(ours.get_weights())


@pytest.mark.parametrize("generator_steps, smoothing", [(1, 0.0), (2, 0.1)])
def test_step_equals_gradient_tape(generator_steps, smoothing):
    keras.utils.set_random_seed(3)
    shape = (32, 32, 3)
    networks = dcgan.build_generator(shape, 16, 8), dcgan.build_discriminator(shape, 8)
    gan = dcgan.DCGAN(*networks, 2e-4, smoothing, generator_steps, seed=7)
    g, d = dcgan.build_generator(shape, 16, 8), dcgan.build_discriminator(shape, 8)
    g.set_weights(gan.generator.get_weights())
    d.set_weights(gan.discriminator.get_weights())
    d_adam, g_adam = Adam(2e-4), Adam(2e-4)
    for step in range(2):
        images = (
            np.random.default_rng(step).uniform(-1, 1, (16, *shape)).astype("float32")
        )
        logs = gan.train_step(images)

        noise = np.random.default_rng((7, step))
        z = noise.uniform(-1, 1, (16, 16)).astype("float32")
        with tf.GradientTape() as tape:
            real, fake = d(images, training=True), d(g(z, training=True), training=True)
            d_loss = cross_entropy(real, 1 - smoothing) + cross_entropy(fake, 0)
        d_adam.apply(
            d.trainable_variables, tape.gradient(d_loss, d.trainable_variables)
        )
        for _ in range(generator_steps):
            z = noise.uniform(-1, 1, (16, 16)).astype("float32")
            with tf.GradientTape() as tape:
                g_loss = cross_entropy(d(g(z, training=True), training=True), 1)
            g_adam.apply(
                g.trainable_variables, tape.gradient(g_loss, g.trainable_variables)
            )

        expected = {
            "d_loss": d_loss,
            "g_loss": g_loss,
            "d_real": tf.reduce_mean(tf.sigmoid(real)),
            "d_fake": tf.reduce_mean(tf.sigmoid(fake)),
        }
        assert set(logs) == set(expected)
        for name, value in expected.items():
            assert logs[name] == pytest.approx(float(value), rel=1e-5), name
        assert_equal_weights((gan.generator, g), (gan.discriminator, d))


def test_srgan_steps_equal_gradient_tape():
    keras.utils.set_random_seed(3)
    image = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(8, 3, activation="relu")(image)
    vgg = keras.Model(image, keras.layers.Conv2D(8, 3, 2, activation="relu")(x))
    networks = srgan.build_generator(4, 2, 8), srgan.build_discriminator(32, 8)
    gan = srgan.SRGAN(*networks, vgg, pretrain=1 / 3, learning_rate=1e-3)
    gan.total_steps = 6  # as `train` sets it
    g, d = srgan.build_generator(4, 2, 8), srgan.build_discriminator(32, 8)
    g.get_layer("to_rgb").set_weights(
        [np.random.default_rng(0).normal(0, 0.02, (9, 9, 8, 3)), np.zeros(3)]
    )
    gan.generator.set_weights(g.get_weights())
    d.set_weights(gan.discriminator.get_weights())
    d_adam, g_adam = Adam(1e-4, 0.9), Adam(1e-4, 0.9)
    for step in range(5):
        # Not from seed 0 on: there a ReLU's input is so near 0 that the number of
        # threads decides which side it is on.
        high = (
            np.random.default_rng(10 + step)
            .uniform(-1, 1, (4, 32, 32, 3))
            .astype("float32")
        )
        high = srgan.to_uint8(high).astype("float32") / 127.5 - 1
        logs = gan.train_step(high)
        # Stage 1 has a schedule of its own: only its loss is compared, its weights are
        # taken over.
        if step < 2:
            low = srgan.downscale(srgan.to_uint8(high), 4) / np.float32(255)
            expected = tf.reduce_mean(tf.square(g(low, training=True) - high))
            assert logs == {"pretrain_loss": pytest.approx(float(expected), rel=1e-5)}
            g.set_weights(gan.generator.get_weights())
            continue
        # PiecewiseConstantDecay includes its boundary.
        d_adam.lr = g_adam.lr = 1e-4 if step - 2 <= 2 else 1e-5
        low = srgan.downscale(srgan.to_uint8(high), 4) / np.float32(255)
        with tf.GradientTape() as tape:
            made = g(low, training=True)
            content = tf.reduce_mean(tf.square(vgg(made) - vgg(high)))
            adversarial = cross_entropy(d(made, training=True), 1)
            g_loss = content + 1e-3 * adversarial
        g_adam.apply(
            g.trainable_variables, tape.gradient(g_loss, g.trainable_variables)
        )
        with tf.GradientTape() as tape:
            real, fake = d(high, training=True), d(made, training=True)
            d_loss = cross_entropy(real, 1) + cross_entropy(fake, 0)
        d_adam.apply(
            d.trainable_variables, tape.gradient(d_loss, d.trainable_variables)
        )
        expected = {
            "d_loss": d_loss,
            "g_loss": g_loss,
            "content_loss": content,
            "adversarial_loss": adversarial,
            "d_real": tf.reduce_mean(tf.sigmoid(real)),
            "d_fake": tf.reduce_mean(tf.sigmoid(fake)),
        }
        assert set(logs) == set(expected)
        for name, value in expected.items():
            assert logs[name] == pytest.approx(float(value), rel=1e-5), name
        # The BN offsets that began at 0 are nothing but steps of 1e-4: Keras 3.10
        # differs by 1.2e-5 of theirs.
        assert_equal_weights((gan.generator, g), (gan.discriminator, d), slack=1e-8)


@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_deblur_step_equals_gradient_tape(loss):
    keras.utils.set_random_seed(3)
    networks = deblur.build_generator(4), deblur.build_discriminator(32, 4)
    gan = deblur.Deblurrer(*networks, loss=loss, adversarial_weight=0.1, blur="gaussian",
                           jpeg=None, noise=None, learning_rate=2e-4, seed=7)  # fmt: skip
    g, d = deblur.build_generator(4), deblur.build_discriminator(32, 4)
    g.get_layer("to_rgb").set_weights(
        [np.random.default_rng(0).normal(0, 0.02, (5, 5, 3, 4)), np.zeros(3)]
    )
    gan.generator.set_weights(g.get_weights())
    d.set_weights(gan.discriminator.get_weights())
    d_adam, g_adam = Adam(2e-4), Adam(2e-4)
    for step in range(2):
        sharp = (
            np.random.default_rng(step).uniform(-1, 1, (8, 32, 32, 3)).astype("float32")
        )
        logs = gan.train_step(sharp)
        blurred = [
            deblur.blur(image, deblur.gaussian_kernel(2))
            for image in deblur.to_uint8(sharp)
        ]
        blurred = np.stack(blurred).astype("float32") / 127.5 - 1
        with tf.GradientTape() as tape:
            restored = g(blurred, training=True)
            error = restored - sharp
            pixel = tf.reduce_mean(tf.abs(error) if loss == "l1" else tf.square(error))
            g_loss = pixel + 0.1 * cross_entropy(d(restored, training=True), 1)
        g_adam.apply(
            g.trainable_variables, tape.gradient(g_loss, g.trainable_variables)
        )
        with tf.GradientTape() as tape:
            real, fake = d(sharp, training=True), d(restored, training=True)
            d_loss = cross_entropy(real, 1) + cross_entropy(fake, 0)
        d_adam.apply(
            d.trainable_variables, tape.gradient(d_loss, d.trainable_variables)
        )
        expected = {
            "d_loss": d_loss,
            "g_loss": g_loss,
            "pixel_loss": pixel,
            "d_real": tf.reduce_mean(tf.sigmoid(real)),
            "d_fake": tf.reduce_mean(tf.sigmoid(fake)),
        }
        assert set(logs) == set(expected)
        for name, value in expected.items():
            assert logs[name] == pytest.approx(float(value), rel=1e-5), name
        assert_equal_weights((gan.generator, g), (gan.discriminator, d))


@pytest.mark.parametrize("prior_weight", [0.003, 1.0])
def test_inpaint_steps_equal_gradient_tape(prior_weight):
    keras.utils.set_random_seed(3)
    random = np.random.default_rng(3)
    shape = (32, 32, 3)
    g, d = dcgan.build_generator(shape, 16, 8), dcgan.build_discriminator(shape, 8)
    # As after a training: the modes of batch normalisation differ.
    for v in g.variables + d.variables:
        if "moving" in v.path:
            v.assign(
                random.uniform(0.5, 1.5, v.shape)
                if "variance" in v.path
                else random.normal(0, 0.1, v.shape)
            )
        elif "kernel" in v.path:
            v.assign(random.normal(0, 0.1, v.shape))
    images = random.uniform(-1, 1, (6, *shape)).astype("float32")
    weights = inpaint.context_weights(inpaint.make_masks("half", 6, 32))
    start = random.uniform(-1, 1, (6, 16)).astype("float32")
    search = inpaint.Search(g, d, images, weights, start, prior_weight, clip=1)
    search.compile(keras.optimizers.Adam(0.05))
    z, adam = tf.Variable(start), Adam(0.05, 0.9)
    for _ in range(4):
        loss = search.step()
        with tf.GradientTape() as tape:
            made = g(z, training=False)
            context = tf.reduce_sum(weights * tf.abs(made - images))
            prior = tf.reduce_sum(tf.math.log(1 - tf.sigmoid(d(made, training=False))))
            expected = context + prior_weight * prior
        adam.apply([z], [tape.gradient(expected, z)])
        z.assign(tf.clip_by_value(z, -1, 1))
        assert loss == pytest.approx(float(expected) / 6, rel=1e-5)
        ours = search.z.numpy()
        assert np.linalg.norm(ours - z.numpy()) <= 1e-5 * np.linalg.norm(ours)
        z.assign(ours)
    assert (np.abs(ours) == 1).any() and not np.array_equal(ours, start)


@pytest.mark.parametrize("dropout, patch", [(0, 70), (0.5, 70), (0, 1)])
def test_pix2pix_step_equals_gradient_tape(dropout, patch, request):
    if not dropout:
        # Compiling takes long: one case each goes through the compiled step.
        request.getfixturevalue("eager")
    keras.utils.set_random_seed(3)
    networks = (
        pix2pix.build_generator(32, 3, 3, 4, dropout),
        pix2pix.build_discriminator(32, 3, 3, patch, 4),
    )
    gan = pix2pix.Pix2Pix("pairs", *networks, seed=7)
    g = pix2pix.build_generator(32, 3, 3, 4, dropout)
    d = pix2pix.build_discriminator(32, 3, 3, patch, 4)
    g.set_weights(gan.generator.get_weights())
    d.set_weights(gan.discriminator.get_weights())
    d_adam, g_adam = Adam(2e-4), Adam(2e-4)
    for step in range(2):
        both = (
            np.random.default_rng(step).uniform(-1, 1, (2, 32, 32, 6)).astype("float32")
        )
        x, y = tf.constant(both[..., :3]), tf.constant(both[..., 3:])
        logs = gan.train_step(both)
        pix2pix.fix_dropout(gan.generator, 7, step)  # the same masks
        for ours, theirs in zip(gan.generator.layers, g.layers, strict=True):
            if isinstance(ours, keras.layers.Dropout):
                theirs.seed_generator.state.assign(ours.seed_generator.state)
        with tf.GradientTape() as tape:
            made = g(x, training=True)
            l1, adversarial = (
                tf.reduce_mean(tf.abs(made - y)),
                cross_entropy(d([x, made], training=True), 1),
            )
            g_loss = adversarial + 100 * l1
        gradients = tape.gradient(g_loss, g.trainable_variables)
        with tf.GradientTape() as tape:
            real, fake = d([x, y], training=True), d([x, made], training=True)
            d_loss = (cross_entropy(real, 1) + cross_entropy(fake, 0)) / 2
        d_adam.apply(
            d.trainable_variables, tape.gradient(d_loss, d.trainable_variables)
        )
        g_adam.apply(g.trainable_variables, gradients)
        expected = {
            "g_loss": g_loss,
            "l1_loss": l1,
            "adversarial_loss": adversarial,
            "d_loss": d_loss,
            "d_real": tf.reduce_mean(tf.sigmoid(real)),
            "d_fake": tf.reduce_mean(tf.sigmoid(fake)),
        }
        assert set(logs) == set(expected)
        for name, value in expected.items():
            assert logs[name] == pytest.approx(float(value), rel=1e-5), name
        assert_equal_weights((gan.generator, g), (gan.discriminator, d))


def twins(module, gan, build_generator, build_discriminator):
    """Networks of the same weights as the four of `gan`: {name: network}."""
    build = [build_generator, build_generator, build_discriminator, build_discriminator]
    networks = {name: make() for name, make in zip(gan.networks, build, strict=True)}
    for name, network in networks.items():
        network.set_weights(getattr(gan, name).get_weights())
    return networks


def squares(scores, target):
    return tf.reduce_mean(tf.square(scores - target))


def l1(x, y):
    return tf.reduce_mean(tf.abs(x - y))


@pytest.mark.parametrize("pool_size, identity", [(0, 0.5), (0, 0), (2, 0.5)])
def test_cyclegan_step_equals_gradient_tape(pool_size, identity, request):
    if not pool_size:
        # Compiling takes long: one case each goes through the compiled step.
        request.getfixturevalue("eager")
    keras.utils.set_random_seed(3)
    keywords = {"pool_size": pool_size, "identity_weight": identity, "seed": 7}
    networks = two(cyclegan, functools.partial(cyclegan.build_generator, 1, 4))
    gan = cyclegan.CycleGAN(*networks, **keywords)
    gan.total_steps = 6  # as `train` sets it
    copies = twins(
        cyclegan,
        gan,
        lambda: cyclegan.build_generator(1, 4),
        lambda: cyclegan.build_discriminator(32, 4),
    )
    g_ab, g_ba, d_a, d_b = copies.values()
    adams, pools, swaps = [Adam(2e-4) for _ in range(3)], {"a": [], "b": []}, 0
    for step in range(6 if pool_size else 4):
        random = np.random.default_rng(step)
        a, b = (
            random.uniform(-1, 1, (1, 32, 32, 3)).astype("float32") for _ in range(2)
        )
        logs = gan.train_step((a, b))
        for adam in adams:
            adam.lr = 2e-4 * min(1, 2 * (6 - step) / 6)
        variables = g_ab.trainable_variables + g_ba.trainable_variables
        with tf.GradientTape() as tape:
            fake_a, fake_b = g_ba(b, training=True), g_ab(a, training=True)
            adversarial = squares(d_a(fake_a, training=True), 1) + squares(
                d_b(fake_b, training=True), 1
            )
            cycle = l1(g_ba(fake_b, training=True), a) + l1(
                g_ab(fake_a, training=True), b
            )
            g_loss = adversarial + 10 * cycle
            if identity:
                same = l1(g_ba(a, training=True), a) + l1(g_ab(b, training=True), b)
                g_loss += 10 * identity * same
        adams[0].apply(variables, tape.gradient(g_loss, variables))
        expected = {
            "g_loss": g_loss,
            "adversarial_loss": adversarial,
            "cycle_loss": cycle,
        }
        expected |= {"identity_loss": same} if identity else {}
        draws = np.random.default_rng((7, step))
        for domain, d, real, made, adam in (
            ("a", d_a, a, fake_a, adams[1]),
            ("b", d_b, b, fake_b, adams[2]),
        ):
            pool = pools[domain]
            if len(pool) < pool_size:
                pool.append(made)
            elif pool_size and draws.random() < 0.5:
                place, swaps = int(draws.integers(pool_size)), swaps + 1
                pool[place], made = made, pool[place]
            with tf.GradientTape() as tape:
                scores = d(real, training=True), d(made, training=True)
                d_loss = (squares(scores[0], 1) + squares(scores[1], 0)) / 2
            adam.apply(
                d.trainable_variables, tape.gradient(d_loss, d.trainable_variables)
            )
            expected |= {f"d_{domain}_loss": d_loss}
            expected |= {
                f"d_{domain}_{kind}": tf.reduce_mean(s)
                for kind, s in zip(("real", "fake"), scores, strict=True)
            }
        assert set(logs) == set(expected)
        for name, value in expected.items():
            assert logs[name] == pytest.approx(float(value), rel=1e-5, abs=1e-6), name
        assert_equal_weights(
            *((getattr(gan, name), copy) for name, copy in copies.items())
        )
    assert swaps >= 2 * bool(pool_size)


@pytest.mark.parametrize("critic_steps, dropout", [(1, 0), (3, 0), (1, 0.5)])
def test_dualgan_step_equals_gradient_tape(critic_steps, dropout, request):
    if critic_steps == 1:
        # Compiling takes long: one case each goes through the compiled step.
        request.getfixturevalue("eager")
    keras.utils.set_random_seed(3)
    networks = two(dualgan, functools.partial(dualgan.build_generator, 3, 4, dropout))
    numbers = {
        "recovery_weights": (300, 70),
        "critic_steps": critic_steps,
        "clip": 0.02,
    }
    gan = dualgan.DualGAN(*networks, **numbers, seed=7)
    copies = twins(
        dualgan,
        gan,
        lambda: dualgan.build_generator(3, 4, dropout),
        lambda: dualgan.build_discriminator(32, 4),
    )
    g_ab, g_ba, d_a, d_b = copies.values()
    optimizers = [RMSprop(5e-5) for _ in range(3)]
    for step in range(2):
        random = np.random.default_rng(step)
        a, b = (
            random.uniform(-1, 1, (2 * critic_steps, 32, 32, 3)).astype("float32")
            for _ in range(2)
        )
        logs = gan.train_step((a, b))
        gan._fix_dropout(7, step)  # the same masks
        for name in ("generator_ab", "generator_ba"):
            for ours, theirs in zip(
                getattr(gan, name).layers, copies[name].layers, strict=True
            ):
                if isinstance(ours, keras.layers.Dropout):
                    theirs.seed_generator.state.assign(ours.seed_generator.state)
        parts = [(a[k::critic_steps], b[k::critic_steps]) for k in range(critic_steps)]
        made = [(g_ba(y, training=True), g_ab(x, training=True)) for x, y in parts[:-1]]
        variables = g_ab.trainable_variables + g_ba.trainable_variables
        with tf.GradientTape() as tape:
            x, y = parts[-1]
            fake_a, fake_b = g_ba(y, training=True), g_ab(x, training=True)
            back_a, back_b = (
                l1(g_ba(fake_b, training=True), x),
                l1(g_ab(fake_a, training=True), y),
            )
            g_loss = (
                300 * back_a
                + 70 * back_b
                - tf.reduce_mean(d_a(fake_a))
                - tf.reduce_mean(d_b(fake_b))
            )
        optimizers[0].apply(variables, tape.gradient(g_loss, variables))
        made.append((fake_a, fake_b))
        expected = {"g_loss": g_loss, "recovery_loss": back_a + back_b}
        for i, (domain, d) in enumerate((("a", d_a), ("b", d_b))):
            gaps = []
            for part, fakes in zip(parts, made, strict=True):
                with tf.GradientTape() as tape:
                    gap = tf.reduce_mean(d(part[i])) - tf.reduce_mean(d(fakes[i]))
                    d_loss = -gap
                optimizers[1 + i].apply(
                    d.trainable_variables, tape.gradient(d_loss, d.trainable_variables)
                )
                for v in d.trainable_variables:
                    v.assign(np.clip(v.numpy(), -0.02, 0.02))
                gaps.append(gap)
            expected[f"gap_{domain}"] = tf.reduce_mean(gaps)
        weights = np.concatenate(
            [v.numpy().ravel() for d in (d_a, d_b) for v in d.trainable_variables]
        )
        expected["clipped"] = (np.abs(weights) == np.float32(0.02)).mean()
        assert set(logs) == set(expected)
        for name, value in expected.items():
            assert logs[name] == pytest.approx(float(value), rel=1e-5, abs=1e-6), name
        assert_equal_weights(
            *((getattr(gan, name), copy) for name, copy in copies.items())
        )
