"""Compress a data set and train on it.

`lgc.compress` turns a labelled image set into one file: a decoder and a Gaussian mixture for each
class. Whoever has the file draws new images and trains on those. How good is a classifier that has
never seen an original image?
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

import lgc

digits = load_digits()
images, labels = (digits.images * 15).astype(np.uint8), digits.target
split = train_test_split(images, labels, test_size=500, random_state=0, stratify=labels)
train_images, test_images, train_labels, test_labels = split

# %% One call makes the file. These images are tiny and few, so the decoder is small and trained for
# more epochs than the default.
config = lgc.Config(hidden=64, latent=16, epochs=200, batch_size=64, components=1, bits=5)
data = lgc.compress(train_images, train_labels, config=config)
print(f"{train_images.size} bytes of pixels in a file of {len(data)} bytes")

# %% Draw as many images as you like, and train any classifier on them.
drawn = lgc.decompress(data, per_class=300, seed=0)


def accuracy(images, labels):
    """Of a classifier trained on these images, on the test images."""
    flat = images.reshape(len(images), -1) / 255
    classifier = LogisticRegression(max_iter=1000).fit(flat, labels)
    return 100 * classifier.score(test_images.reshape(len(test_images), -1) / 255, test_labels)


print(f"trained on drawn images: {accuracy(drawn.images, drawn.labels):.1f} % of test images right")
print(f"trained on the originals: {accuracy(train_images, train_labels):.1f} %")

# %% The drawn images resemble the originals without being any of them.
figure, axes = plt.subplots(2, 10, figsize=(8, 2), layout="constrained")
for digit in range(10):
    axes[0, digit].imshow(train_images[train_labels == digit][0], cmap="gray")
    axes[1, digit].imshow(drawn.images[drawn.labels == digit][0].squeeze(), cmap="gray")
for axis in axes.flat:
    axis.axis("off")
figure.suptitle("above: originals; below: drawn from the file")
figure.savefig("compress_a_data_set.png", dpi=120)
