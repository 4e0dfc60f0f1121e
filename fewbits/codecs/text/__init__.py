"""Texts, or any bytes, as small files that decode on every machine.

>>> from fewbits.codecs import text
>>> poem = b"A rose is a rose is a rose. " * 20
>>> data = text.compress(poem)
>>> text.decompress(data) == poem, len(data) < 100
(True, True)

Many contexts predict each bit, and mixers that learn weigh them, all in whole numbers: the decoder
depends on no device, number of cores, version or processor. `fewbits.codecs.text.online` and
`fewbits.codecs.text.offline` code with a transformer instead, for the experiments on its
description length; those files need the kind of machine and the version of JAX that made them.
`decompress` reads all three.
"""

from fewbits.codecs.text.archive import decompress
from fewbits.codecs.text.mixed import compress

__all__ = ["compress", "decompress"]
