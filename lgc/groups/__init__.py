"""Image sets with known groups, such as backgrounds that are correlated with the classes.

`compress` separates foreground and background: class mixtures draw foregrounds, a group gives the
background. So `lgc.decompress` can draw every class on every background equally often, and a
classifier trained on the images does not learn the spurious correlation.

>>> import lgc, numpy as np
>>> images = np.zeros((16, 8, 8), np.uint8)
>>> labels, groups = np.arange(16) % 2, np.arange(16) // 8
>>> architecture = lgc.groups.Architecture("dense", latent=2, hidden=8, dense_hidden=(8,))
>>> mixtures = lgc.Config(components=1)
>>> config = lgc.groups.Config(architecture, steps=2, mixtures=mixtures)
>>> made = lgc.groups.compress(images, labels, groups, config=config)
>>> lgc.decompress(made.data, per_class=3).labels.tolist()
[0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1]
>>> lgc.groups.groups_of(made.data, per_class=3).tolist()
[0, 0, 0, 1, 1, 1, 0, 0, 0, 1, 1, 1]
"""

from lgc.files import groups_of
from lgc.groups.grouped import Architecture
from lgc.groups.grouped_compression import Compressed, Config, compress

__all__ = ["Architecture", "Compressed", "Config", "compress", "groups_of"]
