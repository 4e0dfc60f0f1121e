"""Initialisation of an autoencoder: LeCun and He, or PyTorch's default.

PyTorch's default weights have a variance of 1/(3 fan_in), a third of LeCun's and a sixth of He's,
and biases of the same size. The autoencoders of "Latent Gaussian Compression" (Zhao, Arihara, Tang
and Webster) were initialised so. With LeCun's and He's initialisation, samples of the variational
ones train a better classifier (`python -m experiments lgc_variants reported`, against `longer`).
"""

from __future__ import annotations

from typing import Literal, get_args

import jax
import numpy as np

from lgc.autoencoders.decoders import Params

Initialisation = Literal["lecun_he", "pytorch"]
INITIALISATIONS: tuple[Initialisation, ...] = get_args(Initialisation)


def initialise(name: Initialisation, key: jax.Array, params: Params) -> Params:
    """Initial parameters of a given kind.

    Args:
      name: "lecun_he", which returns `params`, or "pytorch".
      key: typed PRNG key.
      params: of `variants.Variant.init`: LeCun's and He's, with zero biases.
    """
    return params if name == "lecun_he" else pytorch(key, params)


def pytorch(key: jax.Array, params: Params) -> Params:
    """The default of `torch.nn.Linear` and `Conv2d`: uniform in +-1/sqrt(fan_in), biases too.

    Args:
      key: typed PRNG key.
      params: nested mappings of layers, each of a `kernel` (..., inputs, outputs) and a `bias`;
        only their shapes are used. Transposed convolutions, for which PyTorch counts outputs,
        are treated as ordinary ones.
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
