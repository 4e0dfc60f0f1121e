"""Prune a flax model into a file.

A trained network goes in, a file of about a kilobyte comes out, and you say how many points of
accuracy it may lose. `pruning.prune` takes any function of parameters and inputs.
"""

from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import pruning
from fewbits import coding


class Network(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(100, name="dense1")(x))
        x = nn.relu(nn.Dense(50, name="dense2")(x))
        return nn.Dense(10, name="output")(x)


digits = load_digits()
pixels, labels = digits.data.astype(np.float32) / 16, digits.target.astype(np.int32)
train_x, rest_x, train_y, rest_y = train_test_split(pixels, labels, test_size=600, random_state=0)
validation, test = (rest_x[:300], rest_y[:300]), (rest_x[300:], rest_y[300:])

# %% An ordinary training loop of your own.
model = Network()
params = model.init(jax.random.key(0), train_x[:1])["params"]
optimizer = optax.adam(2e-3)


def apply(params, x):
    return model.apply({"params": params}, x)


def loss(params):
    return optax.softmax_cross_entropy_with_integer_labels(apply(params, train_x), train_y).mean()


@jax.jit
def step(params, state):
    updates, state = optimizer.update(jax.grad(loss)(params), state, params)
    return optax.apply_updates(params, updates), state


state = optimizer.init(params)
for _ in range(200):
    params, state = step(params, state)


def accuracy(params):
    return 100 * float(jnp.mean(apply(params, test[0]).argmax(axis=-1) == test[1]))


plain = coding.params_to_bytes(params, bits=8)
print(f"before: {accuracy(params):.1f} %, {len(plain)} bytes at 8 bits")

# %% One call. Here validation accuracy may fall by one point; `budget_bytes` and `ratio` are other
# goals. `trials` and `steps` are small because the problem is, and no dense network of the same
# bytes is trained to compare with.
pruned = pruning.prune(
    apply, params, (train_x, train_y), validation, max_loss=1.0, trials=3, steps=800, baseline=False
)
coding.save("digits.pruned", pruned.file)
print(f"after: {accuracy(pruned.params):.1f} %, {len(pruned.file)} bytes")

# %% The file decodes to parameters of your model, with nothing but the file.
decoded = coding.params_from_bytes(Path("digits.pruned").read_bytes(), like=params)
print(f"decoded from the file: {accuracy(decoded):.1f} %")

# %% Which pixels the network still uses.
used = np.abs(np.asarray(decoded["dense1"]["kernel"])).sum(axis=1).reshape(8, 8)
figure, axes = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
axes[0].imshow(train_x[0].reshape(8, 8), cmap="gray")
axes[0].set_title("an image")
axes[1].imshow(used, cmap="viridis")
axes[1].set_title("weights per pixel, summed")
figure.savefig("prune_a_network.png", dpi=120)
