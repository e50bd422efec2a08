"""The whole step against one written by hand with tf.GradientTape: losses and every weight."""

import keras
import numpy as np
import pytest

from zoo.dcgan import DCGAN, build_discriminator, build_generator

tf = pytest.importorskip("tensorflow")
if keras.backend.backend() != "tensorflow":
    pytest.skip("written with tf.GradientTape", allow_module_level=True)


class Adam:
    """Kingma and Ba 2015, Algorithm 1, in the order of operations of its last paragraph of Section 2."""

    def __init__(self, lr, beta_1=0.5, beta_2=0.999, epsilon=1e-7):
        self.lr, self.b1, self.b2, self.eps, self.t = lr, np.float32(beta_1), np.float32(beta_2), epsilon, 0
        self.m, self.v = {}, {}

    def apply(self, variables, gradients):
        self.t += 1
        rate = self.lr * np.sqrt(1 - self.b2**self.t) / (1 - self.b1**self.t)
        for i, (w, g) in enumerate(zip(variables, gradients, strict=True)):
            g = g.numpy().astype(np.float64)
            self.m[i] = self.b1 * self.m.get(i, 0) + (1 - self.b1) * g
            self.v[i] = self.b2 * self.v.get(i, 0) + (1 - self.b2) * g**2
            w.assign(w.numpy() - rate * self.m[i] / (np.sqrt(self.v[i]) + self.eps))


def cross_entropy(logits, target):
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(target * tf.ones_like(logits), logits))


@pytest.mark.parametrize("generator_steps, smoothing", [(1, 0.0), (2, 0.1)])
def test_step_equals_gradient_tape(generator_steps, smoothing):
    keras.utils.set_random_seed(3)
    shape = (32, 32, 3)
    gan = DCGAN(shape, 16, 8, 2e-4, smoothing, generator_steps, seed=7)
    g, d = build_generator(shape, 16, 8), build_discriminator(shape, 8)
    g.set_weights(gan.generator.get_weights())
    d.set_weights(gan.discriminator.get_weights())
    d_adam, g_adam = Adam(2e-4), Adam(2e-4)
    for step in range(3):
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
        for ours, theirs in ((gan.generator, g), (gan.discriminator, d)):
            for a, b in zip(ours.variables, theirs.variables, strict=True):
                a, b = a.numpy(), b.numpy()
                # In norm: where a gradient is near 0, Adam makes a rounding error of it as large as a step.
                assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b), (step, a.shape)
