"""Texts as small files: a transformer predicts the next byte, an entropy coder writes it.

>>> from fewbits.codecs import text
>>> poem = b"A rose is a rose is a rose. " * 20
>>> data = text.compress(poem)
>>> text.decompress(data) == poem, len(data) < len(poem)
(True, True)

`compress` writes no network: encoder and decoder train the same one on the text so far, which needs
the same kind of device and version of JAX on both sides. `fewbits.codecs.text.offline` writes a
trained, pruned and quantised network into the file, and the text coded under it. `decompress` reads
both.
"""

from fewbits.codecs.text.archive import decompress
from fewbits.codecs.text.online import Learning, OnlineConfig, compress

__all__ = ["Learning", "OnlineConfig", "compress", "decompress"]
