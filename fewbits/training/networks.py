"""Networks as two functions on plain nested dicts; the only module here that imports flax.

Each constructor returns `Network(init, apply)`. Parameters are nested dicts with readable names,
`{"conv1": {"kernel", "bias"}, "dense1": {...}, "output": {...}}`, which is what masks, quantisers,
optimisers and files see. Images are NHWC; `apply` scales integer pixels 0..255 to [0, 1] and takes
floats as they are, so that data sets can stay in device memory as bytes.

>>> import jax
>>> import jax.numpy as jnp
>>> from fewbits.training import networks
>>> network = networks.lenet_300_100()
>>> params = jax.eval_shape(network.init, jax.random.key(0))
>>> sum(leaf.size for leaf in jax.tree.leaves(params))
266610
>>> jax.eval_shape(network.apply, params, jnp.zeros((5, 28, 28, 1), jnp.uint8)).shape
(5, 10)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Num

from fewbits.training.method import Key, Params
from fewbits.training.models.convolution import (
    FASTEST,
    FASTEST_NARROW,
    Padding,
    average_pool,
    conv2d,
    conv2d_max_pool,
    max_pool,
)

ImageShape = tuple[int, int, int]
"""(height, width, channels)."""


class Network(NamedTuple):
    """A network without its framework.

    Attributes:
      init: key -> Params, a nested dict of float32 arrays.
      apply: (params, x) -> outputs Float[batch, outputs]; x Float or UInt8[batch, ...].
    """

    init: Callable[[Key], Params]
    apply: Callable[[Params, Num[Array, "batch ..."]], Float[Array, "batch ..."]]


def unit_pixels(x: jax.Array) -> jax.Array:
    """Integer pixels 0..255 as floats in [0, 1]; floats unchanged."""
    if jnp.issubdtype(x.dtype, jnp.integer):
        return x.astype(jnp.float32) / 255
    return x


def mlp(
    sizes: Sequence[int], activation: Callable[[jax.Array], jax.Array] = jax.nn.relu
) -> Network:
    """Dense layers with an activation between them: sizes[0] inputs, ..., sizes[-1] outputs.

    Args:
      sizes: at least two; inputs of any shape with sizes[0] numbers are flattened.
      activation: after every layer but the last.

    Returns:
      Network with layers `dense1`, `dense2`, ..., `output`.

    Raises:
      ValueError: fewer than two sizes, or one below 1.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"an MLP needs at least two positive sizes, got {tuple(sizes)}")
    return _network(_Mlp(tuple(sizes[1:]), activation), (sizes[0],))


def lenet_300_100(image_shape: ImageShape = (28, 28, 1), n_classes: int = 10) -> Network:
    """LeNet-300-100 (LeCun et al. 1998): 266,610 parameters for 28 x 28 and ten classes."""
    height, width, channels = image_shape
    return mlp((height * width * channels, 300, 100, n_classes))


def lenet_5_caffe(
    image_shape: ImageShape = (28, 28, 1),
    n_classes: int = 10,
    widths: tuple[int, int, int] = (20, 50, 500),
) -> Network:
    """LeNet-5 as Caffe ships it: conv 20@5, pool, conv 50@5, pool, 500, classes.

    431,080 parameters for 28 x 28 and ten classes; ReLU only after the layer of 500 in Caffe's own
    file, after every layer here as in the pruning literature. Images below 16 pixels a side are
    padded so that they keep their size through each convolution.

    Args:
      image_shape: (height, width, channels), at least 4 x 4.
      n_classes: outputs.
      widths: channels of both convolutions and units of the dense layer.

    Returns:
      Network with layers `conv1`, `conv2`, `dense1`, `output`.
    """
    _check_side(image_shape, 4)
    if len(widths) != 3 or min(widths) < 1:
        raise ValueError(f"widths must be three positive numbers, got {tuple(widths)}")
    padding: Padding = "SAME" if pads_with_zeros(image_shape) else "VALID"
    return _network(_Lenet5Caffe(n_classes, widths, padding), image_shape)


def pads_with_zeros(image_shape: ImageShape) -> bool:
    """Whether `lenet_5_caffe` pads images of this shape."""
    return min(image_shape[:2]) < 16


def report_classifier(image_shape: ImageShape = (28, 28, 1), n_classes: int = 10) -> Network:
    """The small classifier of Latent Gaussian Compression: 5,254 parameters.

    conv 6@3, ReLU, max-pool 2; conv 16@5, ReLU, max-pool 2, max-pool 2; 64 features, then dense
    layers of 32, 16 and the classes. How its convolutions pad is not published; none and one
    pixel both end in 64 features, and no padding is taken. For other sizes the second pooling
    stops once a side is at most 3, and images below 24 pixels a side keep their size through each
    convolution: 8 x 8 and 32 x 32 end in 64 features too.

    Args:
      image_shape: (height, width, channels), at least 4 x 4.
      n_classes: outputs.

    Returns:
      Network with layers `conv1`, `conv2`, `dense1`, `dense2`, `output`.
    """
    _check_side(image_shape, 4)
    padding: Padding = "VALID" if min(image_shape[:2]) >= 24 else "SAME"
    return _network(_ReportClassifier(n_classes, padding), image_shape)


def convnet(
    image_shape: ImageShape = (28, 28, 1), n_classes: int = 10, width: int = 128
) -> Network:
    """The ConvNet of the data-set-distillation papers.

    Three blocks of conv 3 x 3, instance norm with learned scale and shift, ReLU, average-pool 2;
    then one dense layer. Like theirs, the first convolution pads 28 x 28 images to 32 x 32. With
    32 x 32 x 3 and width 128 it has 320,010 parameters.

    Args:
      image_shape: (height, width, channels), at least 8 x 8.
      n_classes: outputs.
      width: channels of every block.

    Returns:
      Network with layers `conv1..3`, `norm1..3`, `output`.
    """
    _check_side(image_shape, 8)
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    return _network(_Convnet(n_classes, width, _first_padding(image_shape)), image_shape)


def convnet_features(image_shape: ImageShape = (28, 28, 1), width: int = 128) -> Network:
    """What the dense layer of `convnet` sees: its three blocks alone, outputs at least 0.

    Args:
      image_shape: (height, width, channels), at least 8 x 8.
      width: channels of every block.

    Returns:
      Network with layers `conv1..3`, `norm1..3`.
    """
    _check_side(image_shape, 8)
    return _network(_Convnet(None, width, _first_padding(image_shape)), image_shape)


def _first_padding(image_shape: ImageShape) -> Padding:
    return 3 if tuple(image_shape[:2]) == (28, 28) else "SAME"


def _check_side(image_shape: ImageShape, least: int) -> None:
    if len(image_shape) != 3 or min(image_shape[:2]) < least or image_shape[2] < 1:
        raise ValueError(
            f"image_shape must be (height, width, channels) with sides of at least {least}, "
            f"got {tuple(image_shape)}"
        )


def _network(module: nn.Module, input_shape: tuple[int, ...]) -> Network:
    """Hides the framework behind two functions."""

    def init(key: Key) -> Params:
        return module.init(key, jnp.zeros((1, *input_shape)))["params"]

    def apply(params: Params, x: jax.Array) -> jax.Array:
        outputs = module.apply({"params": params}, unit_pixels(x))
        assert isinstance(outputs, jax.Array)  # no mutable collection was asked for
        return outputs

    return Network(init, apply)


# He's initialisation keeps the variance through a ReLU; nothing follows the last layer.
_HIDDEN, _LAST = nn.initializers.he_normal(), nn.initializers.lecun_normal()


class _Convolution(nn.Module):
    """`convolution.conv2d` with a kernel and a bias, and the largest of each 2 x 2 if pooled."""

    filters: int
    size: int
    padding: Padding
    pooled: bool = False
    narrow: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        shape = (self.size, self.size, x.shape[-1], self.filters)
        kernel = self.param("kernel", _HIDDEN, shape)
        bias = self.param("bias", nn.initializers.zeros, (self.filters,))
        # A bias adds the same to all of a window, so it can wait until the window is one number.
        convolve = conv2d_max_pool if self.pooled else conv2d
        form = FASTEST_NARROW if self.narrow else FASTEST
        convolved = convolve(x, kernel, padding=self.padding, implementation=form)
        return convolved + bias.reshape(1, 1, 1, -1)


class _InstanceNorm(nn.Module):
    """(x - mean) / sqrt(variance + 1e-5) over each image's pixels, per channel; scale and shift."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale = self.param("scale", nn.initializers.ones, (x.shape[-1],))
        bias = self.param("bias", nn.initializers.zeros, (x.shape[-1],))
        centred = x - x.mean(axis=(1, 2), keepdims=True)
        variance = jnp.square(centred).mean(axis=(1, 2), keepdims=True)
        normal = centred * jax.lax.rsqrt(variance + 1e-5)
        return normal * scale.reshape(1, 1, 1, -1) + bias.reshape(1, 1, 1, -1)


def _dense(features: int, name: str) -> nn.Dense:
    return nn.Dense(features, name=name, kernel_init=_LAST if name == "output" else _HIDDEN)


def _flatten(x: jax.Array) -> jax.Array:
    return x.reshape(x.shape[0], -1)


class _Mlp(nn.Module):
    sizes: tuple[int, ...]
    activation: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = _flatten(x)
        for number, size in enumerate(self.sizes[:-1], start=1):
            x = self.activation(_dense(size, f"dense{number}")(x))
        return _dense(self.sizes[-1], "output")(x)


class _Lenet5Caffe(nn.Module):
    n_classes: int
    widths: tuple[int, int, int]
    padding: Padding

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        first, second, third = self.widths
        x = nn.relu(_Convolution(first, 5, self.padding, pooled=True, name="conv1")(x))
        x = nn.relu(_Convolution(second, 5, self.padding, pooled=True, name="conv2")(x))
        x = nn.relu(_dense(third, "dense1")(_flatten(x)))
        return _dense(self.n_classes, "output")(x)


class _ReportClassifier(nn.Module):
    n_classes: int
    padding: Padding

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        x = nn.relu(_Convolution(6, 3, self.padding, pooled=True, name="conv1")(x))
        x = nn.relu(_Convolution(16, 5, self.padding, pooled=True, name="conv2")(x))
        while min(x.shape[1:3]) > 3:
            x = max_pool(x)
        x = nn.relu(_dense(32, "dense1")(_flatten(x)))
        x = nn.relu(_dense(16, "dense2")(x))
        return _dense(self.n_classes, "output")(x)


class _Convnet(nn.Module):
    n_classes: int | None
    width: int
    first_padding: Padding

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        for block in (1, 2, 3):
            padding = self.first_padding if block == 1 else "SAME"
            x = _Convolution(self.width, 3, padding, narrow=True, name=f"conv{block}")(x)
            x = average_pool(nn.relu(_InstanceNorm(name=f"norm{block}")(x)))
        x = _flatten(x)
        return x if self.n_classes is None else _dense(self.n_classes, "output")(x)
