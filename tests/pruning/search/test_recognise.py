"""Networks recognised by shapes: names, layouts, and back; against independent forward passes."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import trees
from pruning.search import recognise


class LeNet(nn.Module):
    """Unpadded convolutions, two pools, two dense layers."""

    @nn.compact
    def __call__(self, x):
        x = nn.max_pool(nn.relu(nn.Conv(4, (3, 3), padding="VALID")(x)), (2, 2), (2, 2))
        x = nn.max_pool(nn.relu(nn.Conv(6, (3, 3), padding="VALID")(x)), (2, 2), (2, 2))
        x = nn.relu(nn.Dense(12)(x.reshape(len(x), -1)))
        return nn.Dense(5, name="out")(x)


def lenet() -> tuple[Any, np.ndarray, np.ndarray]:
    """Params, inputs, logits."""
    x = np.random.default_rng(0).normal(size=(6, 14, 14, 2)).astype(np.float32)
    model = LeNet()
    params = model.init(jax.random.key(0), x)["params"]
    return params, x, np.asarray(model.apply({"params": params}, x))


def in_torch_layout(params: Any) -> dict[str, np.ndarray]:
    """OIHW kernels, transposed matrices, pixels flattened channels first, names with dots."""
    named = {}
    for old, new in (("Conv_0", "conv1"), ("Conv_1", "conv2"), ("Dense_0", "fc1"), ("out", "fc2")):
        kernel = np.asarray(params[old]["kernel"])
        if new == "fc1":
            kernel = kernel.reshape(2, 2, 6, 12).transpose(2, 0, 1, 3).reshape(24, 12)
        axes = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
        named[f"{new}.weight"] = kernel.transpose(axes)
        named[f"{new}.bias"] = np.asarray(params[old]["bias"])
    return named


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["flax", "torch"])
def test_a_convolutional_network_in_two_layouts(layout):
    params, x, logits = lenet()
    given = params if layout == "flax" else in_torch_layout(params)
    chains = recognise.chains(given, x.shape[1:], 5)
    with jax.numpy_rank_promotion("allow"):
        chain = recognise.same_function(chains, given, lambda *_: logits, jnp.asarray(x))
    assert chain is not None
    assert (chain.padding, chain.pools, chain.pool) == ("VALID", (True, True), "max")
    assert [layer.outputs_first for layer in chain.layers] == [layout == "torch"] * 4
    back = chain.from_layers(chain.to_layers(given), given)
    for name, leaf in trees.named_leaves(given).items():
        np.testing.assert_array_equal(trees.named_leaves(back)[name], leaf)


@pytest.mark.parametrize("activation", ["tanh", "gelu"])
def test_an_activation_is_told_by_the_labels(activation):
    rng = np.random.default_rng(1)
    act = recognise.ACTIVATIONS[activation]
    params = {
        "w1": rng.normal(size=(5, 30)).astype(np.float32),
        "w2": rng.normal(size=(30, 30)).astype(np.float32),
        "w3": rng.normal(size=(30, 4)).astype(np.float32),
    }
    x = jnp.asarray(rng.normal(size=(800, 5)), jnp.float32)
    labels = (act(act(x @ params["w1"]) @ params["w2"]) @ params["w3"]).argmax(axis=-1)
    chain, right = recognise.most_accurate(recognise.chains(params, (5,), 4), params, x, labels)
    assert chain.activation == activation
    assert right == 1


@pytest.mark.parametrize(
    ("shapes", "value"),
    [
        ({"a": (3, 4), "b": (5, 2)}, "3x4, 5x2 make no network"),
        ({"a": (3, 4, 2)}, "a has the shape"),
        ({"a": (3,)}, "0 matrices"),
        ({"x/a": (6, 4), "x/b": (4,), "x/c": (4,), "x/d": (4, 3)}, "which bias"),
    ],
)
def test_what_is_not_recognised_is_named(shapes, value):
    with pytest.raises(ValueError, match=value):
        recognise.chains({name: np.zeros(shape) for name, shape in shapes.items()}, (6,), 2)
