"""The zoo's networks and training steps in eager PyTorch, as a contender for the
benchmarks.

Each function `MODEL_step` makes the networks and the optimisers and returns
`step(images)`: one training step on the NumPy batch (batch, height, width, channels)
that the zoo's step is given, in the same order of updates, with the same losses and
optimisers. The numbers of trainable weights have to be those of the Keras networks in
`like`.

What differs is what costs nothing: how weights begin, and the constants of an
interpolation. The optimisers have PyTorch's own defaults (`Adam(fused=True)` is
faster). Under autocast the last layers are bfloat16, the zoo's float32.
"""

import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from zoo import dcgan

# All CPUs that this process may use, as TensorFlow does.
torch.set_num_threads(
    len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
)
torch.set_flush_denormal(True)  # as TensorFlow does: numbers next to 0 are slow


def in_precision(precision, step):
    """`step` under Keras' policy of that name."""

    def cast_step(*args):
        with torch.autocast(
            "cpu", torch.bfloat16, enabled=precision == "mixed_bfloat16"
        ):
            return step(*args)

    return cast_step


def check(networks, like):
    """Raises ValueError unless the networks have as many trainable weights as the Keras
    networks `like`.
    """
    ours = [sum(p.numel() for p in network.parameters()) for network in networks]
    theirs = [
        sum(int(np.prod(v.shape)) for v in network.trainable_variables)
        for network in like
    ]
    if ours != theirs:
        raise ValueError(
            f"PyTorch's networks have {ours} trainable weights, the zoo's {theirs}"
        )


def tensor(images):
    """A NumPy batch (batch, height, width, channels) as PyTorch has it.

    Channels first.
    """
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def update(optimizer, loss):
    """One update of the optimiser's own weights.

    No time is spent on gradients of the others'.
    """
    weights = optimizer.param_groups[0]["params"]
    for weight, gradient in zip(
        weights, torch.autograd.grad(loss, weights), strict=True
    ):
        weight.grad = gradient
    optimizer.step()
    torch.clear_autocast_cache()  # of the weights as they were


def adam(*networks, rate=2e-4, beta_1=0.5):
    weights = [weight for network in networks for weight in network.parameters()]
    return torch.optim.Adam(weights, rate, betas=(beta_1, 0.999), eps=1e-7)


def bce(logits, target):
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


def squares(scores, target):
    return F.mse_loss(scores, torch.full_like(scores, target))


def numbers(*tensors):
    """What a training loop logs."""
    return [each.item() for each in tensors]


# Layers. Keras' padding "same" is written out; it pads on other sides, but by as much.


def conv(inputs, outputs, kernel, stride=1, bias=True):
    return nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, bias=bias)


def conv_up(inputs, outputs, kernel, bias=True):
    """A transposed convolution that doubles the sides."""
    return nn.ConvTranspose2d(
        inputs, outputs, kernel, 2, (kernel - 1) // 2, kernel % 2, bias=bias
    )


def instance_norm(channels):
    return nn.InstanceNorm2d(channels, affine=True)


class ShiftedNorm(nn.Module):
    """Instance normalisation with a shift, but no scale."""

    def __init__(self, channels):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        return F.instance_norm(x, bias=self.shift)


class Plus(nn.Sequential):
    """x plus what these layers make of it."""

    def forward(self, x):
        return x + super().forward(x)


# Networks.


def dcgan_generator(start, doublings, channels, latent_dim, filters):
    width = filters * 2 ** (doublings - 1)
    layers = [
        nn.Linear(latent_dim, start * start * width, bias=False),
        nn.Unflatten(1, (width, start, start)),
    ]
    layers += [nn.BatchNorm2d(width), nn.ReLU()]
    for _ in range(doublings - 1):
        layers += [
            conv_up(width, width // 2, 5, bias=False),
            nn.BatchNorm2d(width // 2),
            nn.ReLU(),
        ]
        width //= 2
    return nn.Sequential(*layers, conv_up(width, channels, 5), nn.Tanh())


def dcgan_discriminator(start, halvings, channels, filters):
    layers = []
    for i in range(halvings):
        width = filters * 2**i
        layers += [
            conv(channels, width, 5, 2, bias=i == 0),
            *([nn.BatchNorm2d(width)] if i else []),
            nn.LeakyReLU(0.2),
        ]
        channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(start * start * width, 1))


def srgan_generator(blocks=16, filters=64):
    def block(*more):
        return [conv(filters, filters, 3, bias=False), nn.BatchNorm2d(filters), *more]

    layers = [conv(3, filters, 9), nn.PReLU(filters)]
    layers += [
        Plus(
            *(Plus(*block(nn.PReLU(filters)), *block()) for _ in range(blocks)),
            *block(),
        )
    ]
    for _ in range(2):
        layers += [conv(filters, 4 * filters, 3), nn.PixelShuffle(2), nn.PReLU(filters)]
    return nn.Sequential(*layers, conv(filters, 3, 9))


def srgan_discriminator(size, filters=64):
    layers, channels = [], 3
    for i, (width, stride) in enumerate(
        (w * filters, s) for w in (1, 2, 4, 8) for s in (1, 2)
    ):
        norm = [nn.BatchNorm2d(width)] if i else []
        layers += [
            conv(channels, width, 3, stride, bias=i == 0),
            *norm,
            nn.LeakyReLU(0.2),
        ]
        channels = width
    dense = nn.Linear(channels * (size // 16) ** 2, 16 * filters)
    return nn.Sequential(
        *layers, nn.Flatten(), dense, nn.LeakyReLU(0.2), nn.Linear(16 * filters, 1)
    )


def vgg19():
    """VGG19 to block5_conv4, with random weights: images in [-1, 1] -> features."""
    layers, channels = [], 3
    for width, count in ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4)):
        for _ in range(count):
            layers += [conv(channels, width, 3), nn.ReLU()]
            nn.init.kaiming_normal_(layers[-2].weight)
            channels = width
        layers.append(nn.MaxPool2d(2))
    vgg = nn.Sequential(*layers[:-1]).requires_grad_(False)
    mean = torch.tensor([103.939, 116.779, 123.68]).reshape(3, 1, 1)
    return lambda images: vgg((images.flip(1) + 1) * 127.5 - mean) / 12.75


class UNet(nn.Module):
    """The U-Net of pix2pix and DualGAN; `widths` has the layers of the encoder."""

    def __init__(self, inputs, outputs, widths, norm, last_is_plain=True):
        super().__init__()
        channels, count = [inputs, *widths], len(widths)
        plain = [i == 0 or (last_is_plain and i == count - 1) for i in range(count)]
        self.down = nn.ModuleList(
            nn.Sequential(
                *([nn.LeakyReLU(0.2)] if i else []),
                conv(channels[i], widths[i], 4, 2, bias=plain[i]),
                *([] if plain[i] else [norm(widths[i])]),
            )
            for i in range(count)
        )
        self.up, below = nn.ModuleList(), widths[-1]
        for i, width in enumerate(reversed(widths[:-1])):
            layers = nn.ReLU(), conv_up(below, width, 4, bias=False), norm(width)
            self.up.append(
                nn.Sequential(*layers, *([nn.Dropout(0.5)] if i < 3 else []))
            )
            below = 2 * width
        self.last = nn.Sequential(nn.ReLU(), conv_up(below, outputs, 4), nn.Tanh())

    def forward(self, x):
        maps = []
        for layer in self.down:
            x = layer(x)
            maps.append(x)
        maps.pop()
        for layer in self.up:
            x = torch.cat([layer(x), maps.pop()], 1)
        return self.last(x)


def patch_gan(channels, filters, norm):
    """The 70 x 70 PatchGAN; `norm` None is DualGAN's critic."""
    layers = []
    for i in range(4):
        normed = norm and i > 0
        layers.append(
            nn.Conv2d(
                channels, filters * 2**i, 4, 2 if i < 3 else 1, 1, bias=not normed
            )
        )
        channels = filters * 2**i
        layers += [*([norm(channels)] if normed else []), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(channels, 1, 4, 1, 1))


class Autoencoder(nn.Module):
    """The deblurrer's generator.

    The encoder's maps are added to the decoder's, the image to the output.
    """

    def __init__(self, filters):
        super().__init__()
        self.down, self.up, channels = nn.ModuleList(), nn.ModuleList(), 3
        for i in range(4):
            width = filters * 2**i
            norm = [nn.BatchNorm2d(width)] if i else []
            self.down.append(
                nn.Sequential(
                    conv(channels, width, 5, 2, bias=i == 0), *norm, nn.LeakyReLU(0.2)
                )
            )
            channels = width
        for i in (2, 1, 0):
            width = filters * 2**i
            self.up.append(
                nn.Sequential(
                    conv_up(channels, width, 5, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                )
            )
            channels = width
        self.last = conv_up(channels, 3, 5)

    def forward(self, x):
        maps = []
        for layer in self.down:
            maps.append(x)
            x = layer(x)
        for layer in self.up:
            x = layer(x) + maps.pop()
        return self.last(x) + maps.pop()


def resnet(blocks, filters):
    """CycleGAN's generator."""

    def mirrored(inputs, outputs, kernel):
        pad = nn.ReflectionPad2d(kernel // 2)
        return [
            pad,
            nn.Conv2d(inputs, outputs, kernel, bias=False),
            ShiftedNorm(outputs),
        ]

    width = 4 * filters
    layers = [*mirrored(3, filters, 7), nn.ReLU()]
    for inputs in (filters, 2 * filters):
        layers += [
            conv(inputs, 2 * inputs, 3, 2, bias=False),
            ShiftedNorm(2 * inputs),
            nn.ReLU(),
        ]
    layers += [
        Plus(*mirrored(width, width, 3), nn.ReLU(), *mirrored(width, width, 3))
        for _ in range(blocks)
    ]
    for inputs in (width, width // 2):
        layers += [
            conv_up(inputs, inputs // 2, 3, bias=False),
            ShiftedNorm(inputs // 2),
            nn.ReLU(),
        ]
    return nn.Sequential(
        *layers, nn.ReflectionPad2d(3), nn.Conv2d(filters, 3, 7), nn.Tanh()
    )


# Steps.


def dcgan_networks(size, channels, latent_dim, filters, like):
    start, doublings = dcgan.doublings((size, size, channels))
    g = dcgan_generator(start, doublings, channels, latent_dim, filters)
    d = dcgan_discriminator(start, doublings, channels, filters)
    check([g, d], like)
    return g, d


def dcgan_step(size, channels, latent_dim, filters, generator_steps, like):
    g, d = dcgan_networks(size, channels, latent_dim, filters, like)
    g_adam, d_adam = adam(g), adam(d)

    def step(images):
        images = tensor(images)

        def noise():
            return 2 * torch.rand(len(images), latent_dim) - 1

        with torch.no_grad():
            made = g(noise())
        real, fake = d(images), d(made)
        d_loss = bce(real, 0.9) + bce(fake, 0.0)
        update(d_adam, d_loss)
        for _ in range(generator_steps):
            g_loss = bce(d(g(noise())), 1.0)
            update(g_adam, g_loss)
        return numbers(d_loss, g_loss, real.sigmoid().mean(), fake.sigmoid().mean())

    return step


def srgan_steps(size, like):
    """The steps of stage 1 and of stage 2, which take (low, high), over the same
    networks.
    """
    g, d, vgg = srgan_generator(), srgan_discriminator(size), vgg19()
    check([g, d], like)
    first_adam = adam(g, rate=5e-4, beta_1=0.9)
    g_adam, d_adam = (adam(network, rate=1e-4, beta_1=0.9) for network in (g, d))

    def enlarged(low):
        return g(low) + 2 * F.interpolate(low, scale_factor=4, mode="bicubic") - 1

    def stage_1(low, high):
        loss = F.mse_loss(enlarged(tensor(low)), tensor(high))
        update(first_adam, loss)
        return numbers(loss)

    def stage_2(low, high):
        low, high = tensor(low), tensor(high)
        made = enlarged(low)
        content = F.mse_loss(vgg(made), vgg(high))
        adversarial = bce(d(made), 1.0)
        g_loss = content + 1e-3 * adversarial
        update(g_adam, g_loss)
        real, fake = d(high), d(made.detach())
        d_loss = bce(real, 1.0) + bce(fake, 0.0)
        update(d_adam, d_loss)
        return numbers(
            d_loss,
            g_loss,
            content,
            adversarial,
            real.sigmoid().mean(),
            fake.sigmoid().mean(),
        )

    return stage_1, stage_2


def pix2pix_step(size, filters, like):
    """The colorizer's, which takes (x, target)."""
    widths, side = [], size
    while side % 2 == 0:
        widths.append(filters * min(2 ** len(widths), 8))
        side //= 2
    g = UNet(1, 2, widths, instance_norm, last_is_plain=side == 1)
    d = patch_gan(3, filters, instance_norm)
    check([g, d], like)
    g_adam, d_adam = adam(g), adam(d)

    def step(x, target):
        x, target = tensor(x), tensor(target)
        made = g(x)
        l1, adversarial = F.l1_loss(made, target), bce(d(torch.cat([x, made], 1)), 1.0)
        g_loss = adversarial + 100 * l1
        update(g_adam, g_loss)
        real, fake = d(torch.cat([x, target], 1)), d(torch.cat([x, made.detach()], 1))
        d_loss = (bce(real, 1.0) + bce(fake, 0.0)) / 2
        update(d_adam, d_loss)
        return numbers(
            g_loss,
            l1,
            adversarial,
            d_loss,
            real.sigmoid().mean(),
            fake.sigmoid().mean(),
        )

    return step


def deblur_step(size, filters, like):
    """It takes (blurred, sharp)."""
    g, d = Autoencoder(filters), dcgan_discriminator(size // 16, 4, 3, filters)
    check([g, d], like)
    g_adam, d_adam = adam(g, rate=1e-3), adam(d, rate=1e-3)

    def step(blurred, sharp):
        blurred, sharp = tensor(blurred), tensor(sharp)
        restored = g(blurred)
        pixel = F.l1_loss(restored, sharp)
        g_loss = pixel + 1e-4 * bce(d(restored), 1.0)
        update(g_adam, g_loss)
        real, fake = d(sharp), d(restored.detach())
        d_loss = bce(real, 1.0) + bce(fake, 0.0)
        update(d_adam, d_loss)
        return numbers(
            d_loss, g_loss, pixel, real.sigmoid().mean(), fake.sigmoid().mean()
        )

    return step


def cyclegan_step(blocks, filters, like):
    """It takes (a, b), and shows D the newest images alone."""
    g_ab, g_ba = resnet(blocks, filters), resnet(blocks, filters)
    d_a, d_b = patch_gan(3, filters, ShiftedNorm), patch_gan(3, filters, ShiftedNorm)
    check([g_ab, g_ba, d_a, d_b], like)
    g_adam, d_adams = adam(g_ab, g_ba), [adam(d_a), adam(d_b)]

    def step(a, b):
        a, b = tensor(a), tensor(b)
        fake_a, fake_b = g_ba(b), g_ab(a)
        adversarial = squares(d_a(fake_a), 1.0) + squares(d_b(fake_b), 1.0)
        cycle = F.l1_loss(g_ba(fake_b), a) + F.l1_loss(g_ab(fake_a), b)
        identity = F.l1_loss(g_ba(a), a) + F.l1_loss(g_ab(b), b)
        g_loss = adversarial + 10 * cycle + 5 * identity
        update(g_adam, g_loss)
        logs = [g_loss, adversarial, cycle, identity]
        for d, d_adam, images, made in zip(
            (d_a, d_b), d_adams, (a, b), (fake_a, fake_b), strict=True
        ):
            real, fake = d(images), d(made.detach())
            d_loss = (squares(real, 1.0) + squares(fake, 0.0)) / 2
            update(d_adam, d_loss)
            logs += [d_loss, real.mean(), fake.mean()]
        return numbers(*logs)

    return step


def dualgan_step(depth, filters, critic_steps, clip, like):
    """It takes (a, b), `critic_steps` images of each."""
    widths = [filters * min(2**i, 8) for i in range(depth)]
    g_ab, g_ba = (UNet(3, 3, widths, ShiftedNorm) for _ in range(2))
    d_a, d_b = (patch_gan(3, filters, None) for _ in range(2))
    check([g_ab, g_ba, d_a, d_b], like)

    def rmsprop(*networks):
        weights = [weight for network in networks for weight in network.parameters()]
        # Outside of the root, Keras' 1e-10 inside.
        return torch.optim.RMSprop(weights, 5e-5, alpha=0.9, eps=1e-5)

    g_optimizer, d_optimizers = rmsprop(g_ab, g_ba), [rmsprop(d_a), rmsprop(d_b)]

    def step(a, b):
        a, b = tensor(a), tensor(b)
        with torch.no_grad():
            others_a, others_b = g_ba(b[:-1]), g_ab(a[:-1])
        fake_a, fake_b = g_ba(b[-1:]), g_ab(a[-1:])
        recovery = F.l1_loss(g_ba(fake_b), a[-1:]) + F.l1_loss(g_ab(fake_a), b[-1:])
        g_loss = 500 * recovery - d_a(fake_a).mean() - d_b(fake_b).mean()
        update(g_optimizer, g_loss)
        made_a, made_b = (
            torch.cat([others_a, fake_a.detach()]),
            torch.cat([others_b, fake_b.detach()]),
        )
        logs, at_limit, weights = [g_loss, recovery], 0, 0
        for d, optimizer, images, made in zip(
            (d_a, d_b), d_optimizers, (a, b), (made_a, made_b), strict=True
        ):
            gaps = []
            for i in range(critic_steps):
                loss = d(made[i : i + 1]).mean() - d(images[i : i + 1]).mean()
                update(optimizer, loss)
                with torch.no_grad():
                    for weight in d.parameters():
                        weight.clamp_(-clip, clip)
                gaps.append(-loss.detach())
            logs.append(sum(gaps) / critic_steps)
            at_limit += sum((weight.abs() >= clip).sum() for weight in d.parameters())
            weights += sum(weight.numel() for weight in d.parameters())
        return numbers(*logs, at_limit / weights)

    return step


def inpaint_step(size, channels, latent_dim, filters, images, importance, z, like):
    """A step of the search for the latents, without arguments."""
    g, d = (
        network.eval()
        for network in dcgan_networks(size, channels, latent_dim, filters, like)
    )
    images, importance, z = (
        tensor(images),
        tensor(importance),
        nn.Parameter(torch.from_numpy(z.copy())),
    )
    optimizer = torch.optim.Adam([z], 0.1, eps=1e-7)

    def step():
        made = g(z)
        loss = (importance * (made - images).abs()).sum() - 0.003 * F.softplus(
            d(made)
        ).sum()
        update(optimizer, loss)
        with torch.no_grad():
            z.clamp_(-1, 1)
        return loss.item() / len(images)

    return step
