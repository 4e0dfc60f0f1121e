"""Classify from a handful of bits: exact bit allocation, with one encoder or several sensors.

`fit` finds an encoder of exactly B bits per image or feature vector and the decoder that reads
them; `encode` and `decode` are sender and receiver, and `knapsack` is the exact allocation.

>>> import numpy as np, bitalloc
>>> x = np.random.default_rng(0).normal(size=(400, 5))         # your features, or N x H x W images
>>> label = np.where(x[:, 1] + x[:, 3] > 0, "up", "down")      # your labels
>>> model = bitalloc.fit(x[:300], label[:300], bits=2)
>>> messages = bitalloc.encode(model, x[300:])                 # 2 bits each: 25 bytes for 100
>>> len(messages), bool(np.mean(bitalloc.decode(model, messages, 100) == label[300:]) > 0.6)
(25, True)
"""

from bitalloc.api import fit
from bitalloc.encoders.bottleneck import BottleneckConfig
from bitalloc.files import from_bytes, load, save, to_bytes
from bitalloc.fitting.allocation import Allocation, knapsack
from bitalloc.fitting.fit import FitConfig
from bitalloc.model import Model, decode, encode

__all__ = [
    "Allocation",
    "BottleneckConfig",
    "FitConfig",
    "Model",
    "decode",
    "encode",
    "fit",
    "from_bytes",
    "knapsack",
    "load",
    "save",
    "to_bytes",
]
