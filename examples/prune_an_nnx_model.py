"""Prune an nnx model with BatchNorm.

The statistics of BatchNorm are no parameters: they travel beside them, and are estimated anew for
the pruned network. At the end the file goes back into the model.
"""

import jax
import matplotlib.pyplot as plt
import numpy as np
from flax import nnx
from sklearn.datasets import load_digits

import pruning
from fewbits import coding


class Network(nnx.Module):
    def __init__(self, rngs):
        self.conv = nnx.Conv(1, 8, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.dense = nnx.Linear(4 * 4 * 8, 10, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.norm(self.conv(x))), (2, 2), (2, 2))
        return self.dense(x.reshape(len(x), -1))


digits = load_digits()
x, y = digits.images[..., None].astype(np.float32) / 16, digits.target.astype(np.int32)
train, validation, test = (x[:1200], y[:1200]), (x[1200:1500], y[1200:1500]), (x[1500:], y[1500:])

# %% Parameters and statistics apart.
model = Network(nnx.Rngs(0))
graph, params, statistics = nnx.split(model, nnx.Param, ...)


def apply(params, statistics, x, train=False):
    model = nnx.merge(graph, params, statistics)
    if not train:
        model.eval()
        return model(x)
    model.train()
    logits = model(x)
    return logits, nnx.state(model, nnx.Not(nnx.Param))


# %% The network is untrained, so `prune` trains it first.
pruned = pruning.prune(
    apply,
    params,
    train,
    validation,
    state=statistics,
    budget_bytes=900,
    steps=300,
    baseline=False,
    strengths=(3e-4, 1e-3),
)
for point in pruned.points:
    print(f"{point.size_bytes} bytes: {point.error_percent:.1f} % validation error")

# %% Back into the model, from the file alone.
back = coding.params_from_bytes(pruned.file, like={"params": params, "state": statistics})
nnx.update(model, back["params"], back["state"])
model.eval()
accuracy = 100 * float(np.mean(np.argmax(model(test[0]), axis=-1) == test[1]))
print(f"{len(pruned.file)} bytes, test accuracy {accuracy:.1f} %")

# %% Bytes against error, and the kernels that are left.
kernels = np.asarray(jax.tree.leaves(back["params"]["conv"]["kernel"])[0])[:, :, 0]
figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
sizes = [point.size_bytes for point in pruned.points]
axes[0].plot(sizes, [point.error_percent for point in pruned.points], "o-")
axes[0].set(xlabel="bytes", ylabel="validation error, %")
axes[1].imshow(np.concatenate(list(kernels.transpose(2, 0, 1)), axis=1), cmap="coolwarm")
axes[1].set_title("kernels")
figure.savefig("prune_an_nnx_model.png", dpi=120)
