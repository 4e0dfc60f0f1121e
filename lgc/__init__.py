"""Data set compression: a labelled image set as a small file that classifiers still learn from.

`compress` stores a decoder and a Gaussian mixture of latents for each class ("Latent Gaussian
Compression", Zhao, Arihara, Tang and Webster); `distill` searches for the most useful file within a
budget of bytes; `decompress` and `stream` draw training sets from either.

>>> import lgc, numpy as np
>>> images = np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8)
>>> config = lgc.Config(hidden=8, latent=2, epochs=1, components=1)
>>> data = lgc.compress(images, np.arange(40) % 2, config=config)
>>> lgc.decompress(data, per_class=5).images.shape
(10, 8, 8)

The command line is `fewbits lgc`. The parts stand on their own: `lgc.gmm` (Gaussian mixtures),
`lgc.coresets` (coreset selection), `lgc.groups` (data with spurious correlations), `lgc.privacy`
(membership inference).
"""

from lgc import coresets, gmm, groups, privacy
from lgc.compression import compress
from lgc.config import Config
from lgc.decompression import Decompressed, classify, decompress, stream
from lgc.distillation._distill import distill
from lgc.distillation.search.config import DistillConfig

__all__ = [
    "Config",
    "Decompressed",
    "DistillConfig",
    "classify",
    "compress",
    "coresets",
    "decompress",
    "distill",
    "gmm",
    "groups",
    "privacy",
    "stream",
]
