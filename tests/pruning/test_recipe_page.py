"""The recipe of docs/pruning.md for a flax model of one's own runs as it is printed."""

from __future__ import annotations

import re
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.coding.weights import sparse_code
from fewbits.training import trees

PAGE = Path(__file__).parents[2] / "docs" / "pruning.md"


class Classifier(nn.Module):
    """A small network that the library has never seen."""

    @nn.compact
    def __call__(self, x):
        return nn.Dense(3)(nn.tanh(nn.Dense(40)(x)))


@pytest.mark.slow
def test_the_recipe_prunes_a_flax_model():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1_500, 10)).astype(np.float32)
    y = x[:, :3].argmax(axis=1).astype(np.int32)  # seven inputs mean nothing
    model = Classifier()
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    known = {
        "model": model,
        "params": model.init(jax.random.key(1), x[:1])["params"],
        "x": jnp.asarray(x[:1_000]),
        "y": jnp.asarray(y[:1_000]),
        "x_held": jnp.asarray(x[1_000:]),
        "y_held": jnp.asarray(y[1_000:]),
    }
    exec(code, known)
    pruned = known["pruned"]
    assert pruned.finite
    kept, whole = int(trees.nonzeros(pruned.params)), int(trees.size(known["params"]))
    assert kept < whole / 2
    back = sparse_code.read_sparse(known["data"])
    logits = model.apply({"params": back}, x[1_000:])
    assert np.mean(np.argmax(logits, axis=1) == y[1_000:]) > 0.9
