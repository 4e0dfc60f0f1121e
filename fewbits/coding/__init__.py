"""Bytes on disk: frequency tables, an entropy coder, one container for every file, and weights.

A pytree of weights becomes a small file and comes back, with no framework but NumPy:

>>> import numpy as np
>>> from fewbits import coding
>>> params = {"dense": {"kernel": np.linspace(-1, 1, 600).reshape(20, 30)}}
>>> data = coding.params_to_bytes(params, bits=5)
>>> restored = coding.params_from_bytes(data, like=params)
>>> restored["dense"]["kernel"].shape, len(data) < 600
((20, 30), True)

Below that: `encode` and `decode` code integers under a `FrequencyTable`; `write_archive` and
`read_archive` hold any sections in checked bytes, `save` and `load` on a disk; `account` says where
every byte of a file went. A damaged or foreign file is a `FormatError`, an argument or input that
cannot be an `InputError` or ValueError.
"""

from fewbits.coding.container import Archive, load, read_archive, save, write_archive
from fewbits.coding.entropy_coder import decode, encode
from fewbits.coding.inspection._account import account
from fewbits.coding.tables import FrequencyTable
from fewbits.coding.weights.parameter_files import params_from_bytes, params_to_bytes
from fewbits.io.errors import FormatError, InputError

__all__ = [
    "Archive",
    "FormatError",
    "FrequencyTable",
    "InputError",
    "account",
    "decode",
    "encode",
    "load",
    "params_from_bytes",
    "params_to_bytes",
    "read_archive",
    "save",
    "write_archive",
]
