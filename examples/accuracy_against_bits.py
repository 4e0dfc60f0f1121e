"""Draw accuracy against bits for a table and for images.

The question before a link is bought: how many bits per example are enough? Nested messages answer
it with one model per curve, since the first bits of a message are a message too. Put your own
arrays in the place of these.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

import bitalloc

table, few_digits = load_breast_cancer(), load_digits(n_class=3)
sets = {
    "a table of 30 columns, 2 classes": (table.data, table.target_names[table.target]),
    "images of 8 x 8 pixels, 3 classes": (few_digits.images.astype(np.uint8), few_digits.target),
}

# %% Mode `auto` sends the class that a classifier at the sensor finds; mode `pixel` sends
# thresholds of single columns or pixels, for sensors that can do no more.
quick = bitalloc.FitConfig(restarts=1, networks=False)
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained", sharey=True)
for panel, (title, (features, labels)) in zip(axes, sets.items(), strict=True):
    train, test, train_labels, test_labels = train_test_split(
        features, labels, test_size=0.3, random_state=0, stratify=labels
    )
    for mode in ("auto", "pixel"):
        model = bitalloc.fit(train, train_labels, 8, mode=mode, nested=True, config=quick)
        accuracy = []
        for bits in range(1, 9):
            messages = model.encode(test, bits)
            right = model.decode(messages, len(test), bits) == test_labels
            accuracy.append(100 * np.mean(right))
        panel.plot(range(1, 9), accuracy, "o-", label=f"mode {mode}")
        size = len(bitalloc.to_bytes(model))
        print(f"{title}, {mode}: {accuracy[0]:.1f} % from 1 bit, {accuracy[-1]:.1f} % from 8; "
              f"model {size:,} bytes")  # fmt: skip
    panel.set(title=title, xlabel="bits per example")
axes[0].set_ylabel("test accuracy, %")
axes[0].legend()
figure.savefig("accuracy_against_bits.png", dpi=120)
