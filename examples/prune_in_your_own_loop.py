"""Prune in a training loop of your own.

DRR, a smooth stand-in for the number of nonzero weights, is an optax transformation. Put it before
the optimiser, and an ordinary training loop prunes: one line changes.
"""

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import pruning
from fewbits import coding
from fewbits.training import networks

digits = load_digits()
pixels, labels = digits.data.astype(np.float32) / 16, digits.target.astype(np.int32)
train_x, test_x, train_y, test_y = train_test_split(pixels, labels, test_size=500, random_state=0)
network = networks.mlp((64, 100, 10))


def loss(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(network.apply(params, x), y).mean()


def trained(optimizer, params, steps=1500):
    """An ordinary loop."""

    def step(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params, train_x, train_y), state, params)
        return (optax.apply_updates(params, updates), state), None

    run = jax.jit(lambda params: jax.lax.scan(step, (params, optimizer.init(params)), None, steps))
    return run(params)[0][0]


def report(name, params):
    accuracy = jnp.mean(network.apply(params, test_x).argmax(axis=-1) == test_y)
    nonzero = sum(int(jnp.count_nonzero(leaf)) for leaf in jax.tree.leaves(params))
    size = len(coding.params_to_bytes(params, bits=6))
    print(f"{name:12} {100 * accuracy:.1f} % right, {nonzero:5d} weights, {size:5d} bytes")


# %% Without and with the penalty.
start = network.init(jax.random.key(0))
plain = trained(optax.adam(2e-3), start)
sparse = trained(optax.chain(pruning.drr(2e-4), optax.adam(2e-3)), start)
report("plain", plain)
report("with DRR", sparse)

# %% Most weights are now close to zero, but not zero. Cut as many as the training loss allows.
cut, found = pruning.threshold_search(lambda p: loss(p, train_x, train_y), sparse, tolerance=0.2)
report("thresholded", cut)

# %% Without the penalty, the cut is nowhere to be seen.
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
for name, params in (("plain", plain), ("with DRR", sparse)):
    size = np.sort(np.abs(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(params)])))
    axes.semilogy(size[::-1] + 1e-9, label=name)
axes.axhline(float(found.magnitude), color="gray", linestyle=":", label="threshold")
axes.set(xlabel="weights, by size", ylabel="absolute value", ylim=(1e-6, None))
axes.legend()
figure.savefig("prune_in_your_own_loop.png", dpi=120)
