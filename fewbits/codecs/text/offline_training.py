"""Training a network for `offline.compress`: pieces of a text, its loss, the best precision.

How the network is trained is free: by `fewbits.training.loop`, with a penalty of `pruning`, by a
loop of one's own. Fewer nonzero weights make a smaller file. `smallest_network` then writes it at
the precision with the smallest network and text together.

>>> import jax
>>> from fewbits.codecs.text import archive, offline, offline_training
>>> from fewbits.training import gradient_descent, loop
>>> from fewbits.training.models import transformer
>>> text = b"what repeats, repeats; " * 40
>>> shape = transformer.TransformerConfig(width=8, layers=1, heads=1, window=16)
>>> method = gradient_descent.build(
...     gradient_descent.GradientDescentConfig(gradient_descent.Hyperparameters(0.01)),
...     transformer.next_byte_loss(shape))
>>> data = offline_training.pieces(text, 64)
>>> start = transformer.init(shape, jax.random.key(0))
>>> trained = loop.run(method, loop.Plan(60, 8), jax.random.key(1), start, data)
>>> network, bits = offline_training.smallest_network(shape, trained.params, text)
>>> packed = offline.compress(text, shape, network)
>>> archive.decompress(packed) == text
True
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from fewbits.codecs.text import offline
from fewbits.coding.weights.sparse import sparse_code
from fewbits.training.method import Params
from fewbits.training.models import transformer
from fewbits.training.models.transformer import TransformerConfig

PRECISIONS = (4, 5, 6, 7)
"""Bits of the network's grid that are tried."""
_EVALUATED_BYTES = 1 << 18
_BATCH = 32


def pieces(text: bytes, length: int) -> tuple[Int[Array, "n t"], Int[Array, "n t"]]:
    """A text cut for training: bytes, and the bytes after them; the text's end is left out.

    Args:
      text: at least two bytes.
      length: of a piece; that of the whole text where it is shorter.

    Raises:
      ValueError: a shorter text.
    """
    if len(text) < 2:
        raise ValueError(f"a text of {len(text)} bytes has no next byte; give at least 2")
    length = min(length, len(text) - 1)
    count = (len(text) - 1) // length
    array = np.frombuffer(text, np.uint8).astype(np.int32)
    read = array[: count * length].reshape(count, length)
    return jnp.asarray(read), jnp.asarray(array[1 : count * length + 1].reshape(count, length))


def mean_nats(
    model: TransformerConfig,
    params: Params,
    data: tuple[Int[Array, "n t"], Int[Array, "n t"]],
    every: int = 1,
) -> float:
    """Mean loss over pieces, each without a past, in nats per byte.

    Args:
      model: shape of the network.
      params: its parameters.
      data: from `pieces`.
      every: 5 takes each fifth batch, for an estimate in a fifth of the time.
    """
    loss = jax.jit(transformer.next_byte_loss(model))
    batch = min(_BATCH, len(data[0]))
    starts = range(0, len(data[0]) - batch + 1, batch * every)
    key = jax.random.key(0)
    params = jax.tree.map(jnp.asarray, params)
    losses = [
        loss(key, params, jax.tree.map(lambda a, s=start: a[s : s + batch], data))[0]
        for start in starts
    ]
    return float(np.mean(jax.device_get(losses)))


def smallest_network(model: TransformerConfig, params: Params, text: bytes) -> tuple[bytes, int]:
    """The network file at the precision that promises the smallest archive.

    The length of the text is estimated on a part of it.

    Args:
      model: shape of the network.
      params: trained.
      text: that is to be compressed.

    Returns:
      The file, as `offline.compress` takes it, and the bits of its kernels.
    """
    data = pieces(text, 4 * model.window)
    step = max(1, len(text) // _EVALUATED_BYTES)
    part = jax.tree.map(lambda a: a[::step], data)

    def promised(bits: int) -> float:
        network = offline.network_file(params, bits)
        nats = mean_nats(model, sparse_code.read_sparse(network), part)
        return len(network) + nats * len(text) / (8 * np.log(2))

    bits = min(PRECISIONS, key=promised)
    return offline.network_file(params, bits), bits
