"""Compress a folder of images, and train on the stream.

A folder with one subfolder of pictures for each class becomes a file of three kilobytes. It holds
images and a small classifier that gives them soft labels. `lgc.stream` draws batches from it
without end. On the command line: `fewbits lgc distill digits/ digits.lgc --budget-bytes 3000`.
"""

import itertools
import lzma
import tempfile
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from PIL import Image
from sklearn.datasets import load_digits

import lgc
from fewbits.io import read_labelled
from fewbits.training import networks
from lgc.distillation import Downsampling

# %% A folder as you may have one: digits/zero/0.png and so on. The last 500 images are for tests.
digits = load_digits()
pixels = np.round(digits.images * 255 / 16).astype(np.uint8)
words = np.array("zero one two three four five six seven eight nine".split())
folder = Path(tempfile.mkdtemp()) / "digits"
for number, (image, digit) in enumerate(zip(pixels[:-500], digits.target[:-500], strict=True)):
    (folder / words[digit]).mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(folder / words[digit] / f"{number}.png")
test_images, test_names = pixels[-500:, ..., None], words[digits.target[-500:]]

# %% Compress it. Leave `config` out for the full search, which decides itself about a teacher.
found = read_labelled(folder)
classes = np.array(found.class_names)
config = replace(
    lgc.DistillConfig.quick(), downsamplings=(Downsampling(1, 3),), teacher=1000, teacher_steps=300
)
data = lgc.distill(found.images, classes[found.labels], 3000, config=config)
n_stored = len(lgc.decompress(data).images)
print(f"{len(found.images)} images in {len(data)} bytes, of which {n_stored} are stored")

# %% Train on batches of the stream: on hard labels, or, with heavy augmentation, on soft ones.
network, optimizer = networks.mlp((64, 128, 10)), optax.adam(2e-3)


@jax.jit
def step(params, state, images, labels):
    def loss(params):
        return optax.softmax_cross_entropy(network.apply(params, images), labels).mean()

    updates, state = optimizer.update(jax.grad(loss)(params), state)
    return optax.apply_updates(params, updates), state


def accuracy(batches, steps=200):
    """Of a network trained on (images, probabilities of classes), on test images, in percent."""
    state = optimizer.init(params := network.init(jax.random.key(0)))
    for images, labels in itertools.islice(batches, steps):
        params, state = step(params, state, images, labels)
    guessed = classes[np.argmax(network.apply(params, jnp.asarray(test_images)), axis=1)]
    return 100 * np.mean(guessed == test_names)


hard = ((batch.images, batch.labels[:, None] == classes) for batch in lgc.stream(data, 100))
soft = ((batch.images, batch.soft_labels) for batch in lgc.stream(data, 100, heavy=True))
print(f"trained on its hard labels: {accuracy(hard):.1f} % of test images right")
print(f"trained on its soft labels: {accuracy(soft):.1f} %")

# %% Compare: the classifier in the file alone, and lossless random images of the same bytes.
alone = classes[lgc.classify(data, test_images).argmax(axis=1)]
print(f"the teacher alone: {100 * np.mean(alone == test_names):.1f} %")
count = len(found.images) * len(data) // len(lzma.compress(found.images.tobytes(), preset=9))
chosen = np.random.default_rng(0).permutation(len(found.images))[:count]
drawn = (np.resize(np.roll(chosen, 100 * turn), 100) for turn in itertools.count())
subset = ((found.images[rows], found.labels[rows, None] == np.arange(10)) for rows in drawn)
print(f"{count} images as xz: {accuracy(subset):.1f} %")

# %% Images for soft labels: mixed and cut, each with what the teacher takes it for.
images, _, labels = next(lgc.stream(data, 10, heavy=True))
figure, axes = plt.subplots(1, 10, figsize=(8, 1.2), layout="constrained")
for axis, image, label in zip(axes, images, labels, strict=True):
    axis.imshow(image.squeeze(), cmap="gray")
    axis.set_title(f"{classes[label.argmax()]} {label.max():.0%}", fontsize=7)
    axis.axis("off")
figure.savefig("train_on_a_stream.png", dpi=120)
