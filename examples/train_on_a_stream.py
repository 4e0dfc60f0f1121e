"""Compress a folder of images, and train on the stream.

A folder with one subfolder of pictures for each class becomes a file of three kilobytes. It holds
images and a small classifier that gives them soft labels. `lgc.stream` draws batches from it
without end. On the command line: `fewbits lgc distill digits/ digits.lgc --budget-bytes 3000`.
"""

import io
import itertools
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
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
    lgc.DistillConfig.quick(), downsamplings=(Downsampling(1, 3),), teacher=1000, teacher_steps=400
)
data = lgc.distill(found.images, classes[found.labels], 3000, config=config)
stored = lgc.decompress(data)
print(f"{len(found.images)} images in {len(data)} bytes, of which {len(stored.images)} are stored")

# %% Train on batches of the stream: on hard labels, or, with heavy augmentation, on soft ones.
network = networks.mlp((64, 128, 10))
optimizer = optax.adam(2e-3)


@jax.jit
def step(params, state, images, labels):
    def loss(params):
        return optax.softmax_cross_entropy(network.apply(params, images), labels).mean()

    updates, state = optimizer.update(jax.grad(loss)(params), state)
    return optax.apply_updates(params, updates), state


def accuracy(batches, steps=300):
    """Test accuracy in percent of a network trained on (images, probabilities of classes)."""
    params = network.init(jax.random.key(0))
    state = optimizer.init(params)
    for images, labels in itertools.islice(batches, steps):
        params, state = step(params, state, images, labels)
    guessed = classes[np.argmax(network.apply(params, jnp.asarray(test_images)), axis=1)]
    return 100 * np.mean(guessed == test_names)


def one_hot(names):
    return (names[:, None] == classes).astype(np.float32)


hard = ((batch.images, one_hot(batch.labels)) for batch in lgc.stream(data, 100))
soft = ((batch.images, batch.soft_labels) for batch in lgc.stream(data, 100, heavy=True))
print(f"trained on its hard labels: {accuracy(hard):.1f} % of test images right")
print(f"trained on its soft labels: {accuracy(soft):.1f} %")

# %% Compare: the classifier in the file alone, and a zip of as many images as fit the same bytes.
alone = classes[lgc.classify(data, test_images).argmax(axis=1)]
print(f"the teacher alone: {100 * np.mean(alone == test_names):.1f} %")
rng = np.random.default_rng(0)
order = rng.permutation(len(found.images))
for count in range(20, len(order), 5):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("images", found.images[order[:count]].tobytes())
    if file.tell() > len(data):
        break
chosen = order[: count - 5]
drawn = (rng.choice(chosen, 100) for _ in itertools.count())
subset = ((found.images[rows], one_hot(classes[found.labels[rows]])) for rows in drawn)
print(f"a zip of {len(chosen)} images: {accuracy(subset):.1f} %")
