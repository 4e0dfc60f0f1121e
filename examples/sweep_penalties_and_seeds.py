"""Sweep penalties and seeds in one program.

How much does a result depend on the penalty weight, and how much on the seed?
`fewbits.training.sweep` trains every combination side by side in one compiled program, on all
devices there are.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import pruning
from fewbits.training import networks, sweep

digits = load_digits()
pixels, labels = digits.data.astype(np.float32) / 16, digits.target.astype(np.int32)
train_x, test_x, train_y, test_y = train_test_split(pixels, labels, test_size=500, random_state=0)
network = networks.mlp((64, 32, 10))


def loss(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(network.apply(params, x), y).mean()


# %% One run is a pure function of a key, hyperparameters and data.
def run(key, strength, data):
    train_x, train_y, test_x, test_y = data
    params = network.init(key)
    optimizer = optax.chain(pruning.drr(strength), optax.adam(5e-3))

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params, train_x, train_y), state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), None, 400)
    cut, found = pruning.threshold_search(
        lambda p: loss(p, train_x, train_y), params, tolerance=0.1
    )
    accuracy = jnp.mean(network.apply(cut, test_x).argmax(axis=-1) == test_y)
    return {"accuracy": 100 * accuracy, "weights": found.n_kept}


# %% Four penalty weights, three seeds: results of shape (4, 3).
strengths = np.array([1e-4, 3e-4, 1e-3, 3e-3], np.float32)
found = sweep(run, strengths, [0, 1, 2], (train_x, train_y, test_x, test_y))
for strength, accuracy, weights in zip(strengths, found["accuracy"], found["weights"], strict=True):
    print(
        f"{strength:.0e}: {accuracy.mean():.1f} ± {accuracy.std(ddof=1):.1f} % right, "
        f"{weights.mean():.0f} ± {weights.std(ddof=1):.0f} weights"
    )

# %% Each point is a run.
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for strength, accuracy, weights in zip(strengths, found["accuracy"], found["weights"], strict=True):
    axes.semilogx(weights, accuracy, "o", label=f"penalty weight {strength:.0e}")
axes.set(xlabel="nonzero weights", ylabel="test accuracy, %")
axes.legend()
figure.savefig("sweep_penalties_and_seeds.png", dpi=120)
