"""Parameter trees to the shortest file that holds them, and back from a file of any kind."""

from __future__ import annotations

from typing import Any

from fewbits.coding import container
from fewbits.coding.weights import model_file, parameter_tree, prior_file, sparse_code
from fewbits.coding.weights.parameter_tree import BitsSpec
from fewbits.io.errors import FormatError


def encode(tree: Any, bits: BitsSpec) -> bytes:
    """The shorter of a model file and a sparse file; both hold `coding.quantise(tree, bits)`.

    Raises:
      ValueError: a tree or bits that cannot be; see `model_file.pack`.
    """
    dense = model_file.write_model(tree, bits=bits)
    named = parameter_tree.tensors(tree)
    if not all(isinstance(one, int) for one in parameter_tree.choose_bits(named, bits)):
        return dense
    try:
        return min(sparse_code.write_sparse(tree, bits), dense, key=len)
    except ValueError:  # more zeros than a sparse stream may stand for
        return dense


def decode(data: bytes) -> Any:
    """The parameters of a model file, a sparse file or a file under priors.

    Raises:
      FormatError: none of them, or damaged.
    """
    readers = {
        model_file.KIND: model_file.read_model,
        sparse_code.KIND: sparse_code.read_sparse,
        prior_file.KIND: prior_file.read_coded,
    }
    kind = container.read_archive(data).kind
    if kind not in readers:
        raise FormatError(f"a file of kind {kind!r} holds no parameters")
    return readers[kind](data)
