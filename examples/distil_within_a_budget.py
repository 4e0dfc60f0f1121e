"""Distil a data set into a budget of bytes.

`lgc.distill` looks for the file of at most so many bytes from which a small network learns most.
It takes minutes with its defaults. Here a short search is enough: the images are tiny.
"""

import io
import zipfile
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import lgc
from lgc.distillation import Downsampling

digits = load_digits()
images, labels = (digits.images * 15).astype(np.uint8), digits.target
split = train_test_split(images, labels, test_size=500, random_state=0, stratify=labels)
train_images, test_images, train_labels, test_labels = split


def accuracy(images, labels):
    """Of a classifier trained on these images, on the test images."""
    flat = images.reshape(len(images), -1) / 255
    classifier = LogisticRegression(max_iter=1000).fit(flat, labels)
    return 100 * classifier.score(test_images.reshape(len(test_images), -1) / 255, test_labels)


# %% A budget of 2,000 bytes. Leave `config` out for the full search.
config = replace(
    lgc.DistillConfig.quick(),
    downsamplings=(Downsampling(1, 2), Downsampling(1, 3)),  # full resolution, 4 or 8 grey levels
    upsampler_steps=100,
    final_steps=100,
    proxy_images_per_class=100,
)
data = lgc.distill(train_images, train_labels, 2000, config=config)
stored = lgc.decompress(data)
print(f"{len(data)} bytes hold {len(stored.images)} images")
print(f"trained on them: {accuracy(stored.images, stored.labels):.1f} % of test images right")

# %% What would the same bytes hold as a plain compressed archive of some images?
n = 10
while True:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr("images", train_images[: n + 1].tobytes())
    if file.tell() > 2000:
        break
    n += 1
print(f"zip: {n} images, {accuracy(train_images[:n], train_labels[:n]):.1f} %")

# %% The first images of the file.
figure, axes = plt.subplots(2, 10, figsize=(8, 2), layout="constrained")
for axis, image in zip(axes.flat, stored.images[:: len(stored.images) // 20], strict=False):
    axis.imshow(image.squeeze(), cmap="gray")
for axis in axes.flat:
    axis.axis("off")
figure.savefig("distil_within_a_budget.png", dpi=120)
