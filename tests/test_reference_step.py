"""The whole step against one written by hand with tf.GradientTape: losses and every weight."""

import keras
import numpy as np
import pytest

from zoo import dcgan, deblur, pix2pix, srgan

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("written with tf.GradientTape", allow_module_level=True)


class Adam:
    """Kingma and Ba 2015, Algorithm 1, in the order of operations of its last paragraph of Section 2."""

    def __init__(self, lr, beta_1=0.5, beta_2=0.999, epsilon=1e-7):
        self.lr, self.b1, self.b2, self.eps, self.t = lr, beta_1, beta_2, epsilon, 0
        self.m, self.v = {}, {}

    def apply(self, variables, gradients):
        self.t += 1
        # In float32 like all else: 1 - 0.999^t has lost four digits there.
        t = tf.constant(self.t, tf.float32)
        rate = float(self.lr * tf.sqrt(1 - tf.pow(self.b2, t)) / (1 - tf.pow(self.b1, t)))
        for i, (w, g) in enumerate(zip(variables, gradients, strict=True)):
            g = g.numpy().astype(np.float64)
            self.m[i] = self.b1 * self.m.get(i, 0) + (1 - self.b1) * g
            self.v[i] = self.b2 * self.v.get(i, 0) + (1 - self.b2) * g**2
            w.assign(w.numpy() - rate * self.m[i] / (np.sqrt(self.v[i]) + self.eps))


def cross_entropy(logits, target):
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(target * tf.ones_like(logits), logits))


def assert_equal_weights(*pairs, slack=0.0):
    """Each pair of networks is equal to 1e-5 and a `slack` for each weight; then the second takes over the first."""
    for ours, theirs in pairs:
        for a, b in zip(ours.variables, theirs.variables, strict=True):
            a, b = a.numpy(), b.numpy()
            # In norm: where a gradient is near 0, Adam makes a rounding error of it as large as a step.
            assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b) + slack * a.size**0.5, a.shape
        theirs.set_weights(ours.get_weights())


@pytest.mark.parametrize("generator_steps, smoothing", [(1, 0.0), (2, 0.1)])
def test_step_equals_gradient_tape(generator_steps, smoothing):
    keras.utils.set_random_seed(3)
    shape = (32, 32, 3)
    gan = dcgan.DCGAN(shape, 16, 8, 2e-4, smoothing, generator_steps, seed=7)
    g, d = dcgan.build_generator(shape, 16, 8), dcgan.build_discriminator(shape, 8)
    g.set_weights(gan.generator.get_weights())
    d.set_weights(gan.discriminator.get_weights())
    d_adam, g_adam = Adam(2e-4), Adam(2e-4)
    for step in range(2):
        images = np.random.default_rng(step).uniform(-1, 1, (16, *shape)).astype("float32")
        logs = gan.train_step(images)

        noise = np.random.default_rng((7, step))
        z = noise.uniform(-1, 1, (16, 16)).astype("float32")
        with tf.GradientTape() as tape:
            real, fake = d(images, training=True), d(g(z, training=True), training=True)
            d_loss = cross_entropy(real, 1 - smoothing) + cross_entropy(fake, 0)
        d_adam.apply(d.trainable_variables, tape.gradient(d_loss, d.trainable_variables))
        for _ in range(generator_steps):
            z = noise.uniform(-1, 1, (16, 16)).astype("float32")
            with tf.GradientTape() as tape:
                g_loss = cross_entropy(d(g(z, training=True), training=True), 1)
            g_adam.apply(g.trainable_variables, tape.gradient(g_loss, g.trainable_variables))

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
    gan = srgan.SRGAN(4, 2, 8, size=32, pretrain_steps=2, gan_steps=4, learning_rate=1e-3, vgg=vgg)
    g, d = srgan.build_generator(4, 2, 8), srgan.build_discriminator(32, 8)
    g.get_layer("to_rgb").set_weights([np.random.default_rng(0).normal(0, 0.02, (9, 9, 8, 3)), np.zeros(3)])
    gan.generator.set_weights(g.get_weights())
    d.set_weights(gan.discriminator.get_weights())
    d_adam, g_adam = Adam(1e-4, 0.9), Adam(1e-4, 0.9)
    for step in range(5):
        high = np.random.default_rng(step).uniform(-1, 1, (4, 32, 32, 3)).astype("float32")
        high = srgan.to_uint8(high).astype("float32") / 127.5 - 1
        logs = gan.train_step(high)
        if step < 2:  # stage 1 has a schedule of its own: only its loss is compared, its weights are taken over
            low = srgan.downscale(srgan.to_uint8(high), 4) / np.float32(255)
            expected = tf.reduce_mean(tf.square(g(low, training=True) - high))
            assert logs == {"pretrain_loss": pytest.approx(float(expected), rel=1e-5)}
            g.set_weights(gan.generator.get_weights())
            continue
        d_adam.lr = g_adam.lr = 1e-4 if step - 2 <= 2 else 1e-5  # PiecewiseConstantDecay includes its boundary
        low = srgan.downscale(srgan.to_uint8(high), 4) / np.float32(255)
        with tf.GradientTape() as tape:
            real, fake = d(high, training=True), d(g(low, training=True), training=True)
            d_loss = cross_entropy(real, 1) + cross_entropy(fake, 0)
        d_adam.apply(d.trainable_variables, tape.gradient(d_loss, d.trainable_variables))
        with tf.GradientTape() as tape:
            made = g(low, training=True)
            content = tf.reduce_mean(tf.square(vgg(made) - vgg(high)))
            adversarial = cross_entropy(d(made, training=True), 1)
            g_loss = content + 1e-3 * adversarial
        g_adam.apply(g.trainable_variables, tape.gradient(g_loss, g.trainable_variables))
        expected = {"d_loss": d_loss, "g_loss": g_loss, "content_loss": content, "adversarial_loss": adversarial}
        for name, value in expected.items():
            assert logs[name] == pytest.approx(float(value), rel=1e-5), name
        # The BN offsets that began at 0 are nothing but steps of 1e-4: Keras 3.10 differs by 1.2e-5 of theirs.
        assert_equal_weights((gan.generator, g), (gan.discriminator, d), slack=1e-8)


@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_deblur_step_equals_gradient_tape(loss):
    keras.utils.set_random_seed(3)
    gan = deblur.Deblurrer(4, size=32, loss=loss, adversarial_weight=0.1, blur="gaussian", seed=7)
    g, d = deblur.build_generator(4), deblur.build_discriminator(32, 4)
    g.get_layer("to_rgb").set_weights([np.random.default_rng(0).normal(0, 0.02, (5, 5, 3, 4)), np.zeros(3)])
    gan.generator.set_weights(g.get_weights())
    d.set_weights(gan.discriminator.get_weights())
    d_adam, g_adam = Adam(2e-4), Adam(2e-4)
    for step in range(2):
        sharp = np.random.default_rng(step).uniform(-1, 1, (8, 32, 32, 3)).astype("float32")
        logs = gan.train_step(sharp)
        blurred = [deblur.blur(image, deblur.gaussian_kernel(2)) for image in deblur.to_uint8(sharp)]
        blurred = np.stack(blurred).astype("float32") / 127.5 - 1
        with tf.GradientTape() as tape:
            real, fake = d(sharp, training=True), d(g(blurred, training=True), training=True)
            d_loss = cross_entropy(real, 1) + cross_entropy(fake, 0)
        d_adam.apply(d.trainable_variables, tape.gradient(d_loss, d.trainable_variables))
        with tf.GradientTape() as tape:
            restored = g(blurred, training=True)
            error = restored - sharp
            pixel = tf.reduce_mean(tf.abs(error) if loss == "l1" else tf.square(error))
            g_loss = pixel + 0.1 * cross_entropy(d(restored, training=True), 1)
        g_adam.apply(g.trainable_variables, tape.gradient(g_loss, g.trainable_variables))
        for name, value in {"d_loss": d_loss, "g_loss": g_loss, "pixel_loss": pixel}.items():
            assert logs[name] == pytest.approx(float(value), rel=1e-5), name
        assert_equal_weights((gan.generator, g), (gan.discriminator, d))


@pytest.mark.parametrize("dropout, patch", [(0, 70), (0.5, 70), (0, 1)])
def test_pix2pix_step_equals_gradient_tape(dropout, patch):
    keras.utils.set_random_seed(3)
    gan = pix2pix.Pix2Pix("pairs", 32, filters=4, dropout=dropout, patch=patch, seed=7)
    g = pix2pix.build_generator(32, 3, 3, 4, dropout)
    d = pix2pix.build_discriminator(32, 3, 3, patch, 4)
    g.set_weights(gan.generator.get_weights())
    d.set_weights(gan.discriminator.get_weights())
    d_adam, g_adam = Adam(2e-4), Adam(2e-4)
    for step in range(2):
        both = np.random.default_rng(step).uniform(-1, 1, (2, 32, 32, 6)).astype("float32")
        x, y = both[..., :3], both[..., 3:]
        logs = gan.train_step(both)
        gan._fix_noise(7, step)  # the same masks
        for ours, theirs in zip(gan.generator.layers, g.layers, strict=True):
            if isinstance(ours, keras.layers.Dropout):
                theirs.seed_generator.state.assign(ours.seed_generator.state)
        with tf.GradientTape() as tape:
            made = g(x, training=True)
            l1, adversarial = tf.reduce_mean(tf.abs(made - y)), cross_entropy(d([x, made], training=True), 1)
            g_loss = adversarial + 100 * l1
        gradients = tape.gradient(g_loss, g.trainable_variables)
        with tf.GradientTape() as tape:
            real, fake = d([x, y], training=True), d([x, made], training=True)
            d_loss = (cross_entropy(real, 1) + cross_entropy(fake, 0)) / 2
        d_adam.apply(d.trainable_variables, tape.gradient(d_loss, d.trainable_variables))
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
