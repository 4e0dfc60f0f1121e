"""Networks recognised by the shapes of their layers: dense layers, and convolutions before them.

Names and layouts are those of flax (kernel [in, out], [height, width, in, out]), PyTorch (weight
[out, in], [out, in, height, width]) or anybody's own; biases are optional. What shapes do not tell
(activation, padding, pooling, the order in which pixels are flattened) makes several candidates,
among which the accuracy on data decides.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.training import trees
from fewbits.training.method import Params
from fewbits.training.models.convolution import average_pool, max_pool

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "tanh": jnp.tanh,
    "gelu": jax.nn.gelu,
    "silu": jax.nn.silu,
    "sigmoid": jax.nn.sigmoid,
    "elu": jax.nn.elu,
    "leaky_relu": jax.nn.leaky_relu,
}
_POOLS = {"max": max_pool, "avg": average_pool}
_MOST_LAYERS, _MOST_CHAINS, _MOST_POOLED = 12, 8, 6


class Layer(NamedTuple):
    """One layer: where its arrays are, and how they lie.

    Attributes:
      kernel: path of the kernel.
      bias: path of the bias, or None.
      is_convolution: rank 4, otherwise 2.
      outputs_first: PyTorch's layout.
    """

    kernel: str
    bias: str | None
    is_convolution: bool
    outputs_first: bool


class Chain(NamedTuple):
    """A network that layers make.

    Attributes:
      layers: first to last.
      activation: a name in `ACTIVATIONS`, after every layer but the last.
      padding: of all convolutions.
      pools: for each convolution whether the largest (or mean) of 2 x 2 follows.
      pool: max or avg.
      flatten: how the first dense layer reads an image: `hwc`, `chw`, or `mean` over positions.
      channels: of the image that it reads.
    """

    layers: tuple[Layer, ...]
    activation: str = "relu"
    padding: str = "SAME"
    pools: tuple[bool, ...] = ()
    pool: str = "max"
    flatten: str = "hwc"
    channels: int = 1

    def apply(self, params: Params, x: jax.Array) -> jax.Array:
        """Logits of a batch, images as [batch, height, width, channels]."""
        layers = self.to_layers(params)
        act = ACTIVATIONS[self.activation]
        flat = False
        for number, (name, layer) in enumerate(layers.items()):
            if self.layers[number].is_convolution:
                x = jax.lax.conv_general_dilated(
                    x, layer["kernel"], (1, 1), self.padding,
                    dimension_numbers=("NHWC", "HWIO", "NHWC"),
                )  # fmt: skip
            else:
                if not flat:
                    x = x.mean(axis=(1, 2)) if self.flatten == "mean" else x
                    x, flat = x.reshape(x.shape[0], -1), True
                x = x @ layer["kernel"]
            x = x + jnp.expand_dims(layer["bias"], range(x.ndim - 1))
            x = x if name == "output" else act(x)
            if self.layers[number].is_convolution and self.pools[number]:
                x = _POOLS[self.pool](x)
        return x

    def to_layers(self, params: Params) -> dict[str, dict[str, jax.Array]]:
        """Layers in the form and order of `pruning.graphs.layer_graph`, biases filled in."""
        named, made = trees.named_leaves(params), {}
        before_dense = True
        for number, layer in enumerate(self.layers):
            kernel = jnp.asarray(named[layer.kernel])
            if layer.outputs_first:
                kernel = jnp.transpose(kernel, (2, 3, 1, 0) if layer.is_convolution else (1, 0))
            if not layer.is_convolution and before_dense:
                before_dense = False
                if self.flatten == "chw":
                    wide = kernel.reshape(self.channels, -1, kernel.shape[1])
                    kernel = wide.swapaxes(0, 1).reshape(kernel.shape)
            bias = named[layer.bias] if layer.bias else jnp.zeros(kernel.shape[-1], kernel.dtype)
            kind = "conv" if layer.is_convolution else "dense"
            name = "output" if number == len(self.layers) - 1 else f"{kind}{number + 1}"
            made[name] = {"kernel": kernel, "bias": jnp.asarray(bias)}
        return made

    def from_layers(self, layers: Mapping[str, Any], like: Params) -> Params:
        """The inverse of `to_layers`; biases that the network lacks are dropped."""
        named: dict[str, Any] = dict(trees.named_leaves(like))
        before_dense = True
        for layer, made in zip(self.layers, layers.values(), strict=True):
            kernel = made["kernel"]
            if not layer.is_convolution and before_dense:
                before_dense = False
                if self.flatten == "chw":
                    wide = kernel.reshape(-1, self.channels, kernel.shape[1])
                    kernel = wide.swapaxes(0, 1).reshape(kernel.shape)
            if layer.outputs_first:
                kernel = jnp.transpose(kernel, (3, 2, 0, 1) if layer.is_convolution else (1, 0))
            named[layer.kernel] = kernel
            if layer.bias:
                named[layer.bias] = made["bias"]
        return jax.tree.structure(like).unflatten(list(named.values()))


def chains(params: Params, input_shape: tuple[int, ...], n_classes: int) -> list[Chain]:
    """Networks that the shapes allow, the likeliest first, all with ReLUs.

    Args:
      params: nested dicts or lists of arrays.
      input_shape: of one example: (height, width, channels), or (features,).
      n_classes: least number of outputs.

    Raises:
      ValueError: none; names what does not fit.
    """
    found: list[Chain] = []
    layers = _layers(trees.named_leaves(params))
    shapes = {name: tuple(np.shape(leaf)) for name, leaf in trees.named_leaves(params).items()}
    for order in itertools.islice(_orders(layers, shapes, input_shape, n_classes), _MOST_CHAINS):
        found += _structures(order, shapes, input_shape)
    if not found:
        sizes = ", ".join("x".join(map(str, shapes[layer[0]])) for layer in layers)
        raise ValueError(
            f"layers of the shapes {sizes} make no network from inputs of shape {input_shape} to "
            f"at least {n_classes} classes"
        )
    return found


def _layers(named: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """(kernel, bias) of each layer, in the order of their names."""
    for name, leaf in named.items():
        if np.ndim(leaf) not in (1, 2, 4):
            raise ValueError(f"{name} has the shape {np.shape(leaf)}; layers have 1, 2 or 4 axes")
    order = sorted(named, key=_natural)
    kernels = [name for name in order if np.ndim(named[name]) > 1]
    vectors = [name for name in order if np.ndim(named[name]) == 1]
    if not kernels or len(kernels) > _MOST_LAYERS:
        raise ValueError(f"{len(kernels)} matrices; networks of 1 to {_MOST_LAYERS} are recognised")
    if not vectors:
        return [(kernel, None) for kernel in kernels]
    for key in (_parent, _digits):
        groups: dict[str, list[list[str]]] = {}
        for place, names in enumerate((kernels, vectors)):
            for name in names:
                groups.setdefault(key(name), [[], []])[place].append(name)
        if all(len(k) == 1 and len(v) < 2 for k, v in groups.values()):
            return [(k[0], v[0] if v else None) for k, v in groups.values()]
    if [np.ndim(named[name]) > 1 for name in order] == [True, False] * len(kernels):
        return list(zip(kernels, vectors, strict=True))
    raise ValueError(f"which bias belongs to which layer? {', '.join(order[:6])}")


def _orders(
    layers: list[tuple[str, str | None]],
    shapes: Mapping[str, tuple[int, ...]],
    input_shape: tuple[int, ...],
    n_classes: int,
) -> Iterator[tuple[Layer, ...]]:
    """Orders and layouts of the layers in which each reads what the one before it makes."""

    def grow(done: tuple[Layer, ...], width: int, flat: bool) -> Iterator[tuple[Layer, ...]]:
        used = {layer.kernel for layer in done}
        rest = [layer for layer in layers if layer[0] not in used]
        if not rest:
            if flat and width >= n_classes:
                yield done
            return
        for kernel, bias in rest:
            shape = shapes[kernel]
            convolves = len(shape) == 4
            if convolves and flat:
                continue
            weight = "weight" in kernel.lower()
            for outputs_first in (weight, not weight):
                if convolves:
                    reads, makes = shape[1::-1] if outputs_first else shape[2:]
                else:
                    reads, makes = shape[::-1] if outputs_first else shape
                if bias is not None and shapes[bias] != (makes,):
                    continue
                if flat or convolves:
                    fits = reads == width
                elif done:  # the first dense layer after convolutions
                    fits = reads % width == 0
                else:
                    fits = reads == math.prod(input_shape)
                if fits:
                    layer = Layer(kernel, bias, convolves, outputs_first)
                    yield from grow((*done, layer), makes, not convolves)

    yield from grow((), input_shape[-1], False)


def _structures(
    layers: tuple[Layer, ...],
    shapes: Mapping[str, tuple[int, ...]],
    input_shape: tuple[int, ...],
) -> list[Chain]:
    """Paddings, pools and ways to flatten that fit the first dense layer."""
    convolutions = [layer for layer in layers if layer.is_convolution]
    if not convolutions:
        ways = ("hwc", "chw") if len(input_shape) == 3 and input_shape[-1] > 1 else ("hwc",)
        ways = ways[::-1] if layers[0].outputs_first else ways
        return [Chain(layers, flatten=way, channels=input_shape[-1]) for way in ways]
    if len(input_shape) != 3 or len(convolutions) > _MOST_POOLED:
        return []
    first = layers[len(convolutions)]
    reads = shapes[first.kernel][1 if first.outputs_first else 0]
    last = convolutions[-1]
    channels = shapes[last.kernel][0 if last.outputs_first else 3]
    found = []
    patterns = sorted(itertools.product((True, False), repeat=len(convolutions)), key=sum)[::-1]
    for padding, pools in itertools.product(("SAME", "VALID"), patterns):
        height, width = input_shape[:2]
        for layer, pooled in zip(convolutions, pools, strict=True):
            taps = shapes[layer.kernel][2:] if layer.outputs_first else shapes[layer.kernel][:2]
            if padding == "VALID":
                height, width = height - taps[0] + 1, width - taps[1] + 1
            if pooled:
                height, width = height // 2, width // 2
        if min(height, width) < 1:
            continue
        ways = ["hwc", "chw"] if reads == height * width * channels else []
        ways = ways[::-1] if last.outputs_first else ways
        ways = ways[:1] if height * width == 1 else ways
        if reads == channels and height * width > 1:
            ways.append("mean")
        kinds = ("max", "avg") if any(pools) else ("max",)
        found += [
            Chain(layers, "relu", padding, pools, kind, way, channels)
            for way, kind in itertools.product(ways, kinds)
        ]
    return found


def same_function(
    candidates: list[Chain], params: Params, apply: Callable[[Params, Any], Any], x: jax.Array
) -> Chain | None:
    """The candidate that computes what a function computes on a batch, if one does."""
    wanted = np.asarray(apply(params, x))
    for chain in candidates:
        for activation in ACTIVATIONS:
            tried = chain._replace(activation=activation)
            made = np.asarray(tried.apply(params, x))
            if made.shape == wanted.shape and np.allclose(made, wanted, rtol=1e-3, atol=1e-4):
                return tried
            if len(chain.layers) == 1:
                break
    return None


def most_accurate(
    candidates: list[Chain], params: Params, x: jax.Array, labels: jax.Array
) -> tuple[Chain, float]:
    """The candidate with most labels right, by loss where they are equal, and its accuracy."""

    def score(chain: Chain) -> tuple[float, float]:
        logits = jax.jit(chain.apply)(params, x)
        right = float((logits.argmax(axis=-1) == labels).mean())
        chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], axis=-1)
        return right, float(chosen.mean())

    best = max(candidates, key=score)
    if len(best.layers) > 1:
        best = max((best._replace(activation=name) for name in ACTIVATIONS), key=score)
    return best, score(best)[0]


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Numbers as numbers: layer10 follows layer9; the words for a last layer come last."""
    parts = [
        (0, int(part), "") if part.isdigit() else (1, 0, part)
        for part in re.split(r"(\d+)", name.lower())
        if part
    ]
    last = any(word in name.lower() for word in ("output", "logits", "head", "classifier"))
    return [(int(last), 0, ""), *parts]


def _parent(name: str) -> str:
    return re.split(r"[/.](?=[^/.]*$)", name)[0] if re.search(r"[/.]", name) else ""


def _digits(name: str) -> str:
    return "".join(re.findall(r"\d+", name))
