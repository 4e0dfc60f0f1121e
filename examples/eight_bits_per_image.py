"""Classify from eight bits per image.

A sensor sees an image and may send eight bits. A receiver has these bits and a model file, and
names the class. `bitalloc.fit` finds what to send.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import bitalloc

digits = load_digits(n_class=4)
images, labels = (digits.images * 15).astype(np.uint8), digits.target
split = train_test_split(images, labels, test_size=200, random_state=0, stratify=labels)
train_images, test_images, train_labels, test_labels = split

# %% A sensor that can compute anything runs the best of several classifiers and sends the class.
# The model is a file, and so are the messages: exactly eight bits per image.
quick = bitalloc.FitConfig(smaller_budgets=False, restarts=1, networks=False)
model = bitalloc.fit(train_images, train_labels, bits=8, config=quick)
bitalloc.save("digits.model", model)
messages = model.encode(test_images)
print(f"{len(messages)} bytes for {len(test_images)} images")

# %% The receiver needs the messages and the model, nothing else.
received = bitalloc.load("digits.model")
predicted = received.decode(messages, len(test_images))
print(f"{100 * np.mean(predicted == test_labels):.1f} % of them right from the sender's class")

# %% A sensor that can only compare single pixels with thresholds has mode `pixel`.
pixel = bitalloc.fit(train_images, train_labels, bits=8, mode="pixel", nested=True, config=quick)
predicted = pixel.decode(pixel.encode(test_images), len(test_images))
print(f"{100 * np.mean(predicted == test_labels):.1f} % of them right from single pixels")

# %% The pixels that are looked at, on the mean image.
figure, axes = plt.subplots(figsize=(4, 4), layout="constrained")
axes.imshow(train_images.mean(axis=0), cmap="gray")
row, column = np.divmod(pixel.encoder.feature, 8)
axes.plot(column, row, "o", color="tab:orange", markersize=14, fillstyle="none")
axes.set(title="pixels with a bit", xticks=[], yticks=[])
figure.savefig("eight_bits_per_image.png", dpi=120)
