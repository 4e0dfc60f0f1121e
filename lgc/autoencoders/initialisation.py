"""How an autoencoder's weights begin, on which hangs how good its mixtures' samples are.

PyTorch's usual weights have a variance of 1/(3 fan_in), a third of LeCun's and a sixth of He's,
which this package's networks begin with, and biases of the same size. The report's autoencoders
began so; begun the usual way, what is drawn from the variational ones trains a better classifier
(`python -m experiments lgc_variants reported`, against `longer`).
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import numpy as np

from lgc.autoencoders.decoders import Params

Initialisation = Literal["usual", "pytorch"]
INITIALISATIONS: tuple[Initialisation, ...] = get_args(Initialisation)


def begun(name: Initialisation, key: jax.Array, params: Params) -> Params:
    """Parameters as `name` has them begin.

    Args:
      name: "usual", which leaves them as they are, or "pytorch".
      key: typed PRNG key.
      params: of `variants.Variant.init`: He's and LeCun's, with biases of zero.
    """
    return params if name == "usual" else pytorch(key, params)


def pytorch(key: jax.Array, params: Params) -> Params:
    """What `torch.nn.Linear` and `Conv2d` begin with: uniform within +-1/sqrt(fan_in), bias too.

    Args:
      key: typed PRNG key.
      params: nested mappings of layers, each of a `kernel` (..., inputs, outputs) and a `bias`;
        only shapes are looked at. Transposed convolutions, for which PyTorch counts outputs, are
        taken for ordinary ones.
    """
    names = sorted(params)
    keys = jax.random.split(key, len(names))
    if "kernel" in params:
        reach = float(np.prod(params["kernel"].shape[:-1])) ** -0.5
        return {
            name: jax.random.uniform(k, params[name].shape, minval=-reach, maxval=reach)
            for name, k in zip(names, keys, strict=True)
        }
    return {name: pytorch(k, params[name]) for name, k in zip(names, keys, strict=True)}
