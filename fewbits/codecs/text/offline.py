"""A text file with its network: pruned and quantised, decoded first, and the text coded under it.

The network is a sparse model file (`fewbits.coding.weights.sparse.sparse_code`) inside the archive.
Both sides predict with the parameters that come out of that file, so what it loses by rounding is
part of the code length. State is carried over the whole text.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.codecs.text import header, streams
from fewbits.codecs.text.header import Header
from fewbits.codecs.text.predictor import TransformerPredictor
from fewbits.coding import Archive, FormatError
from fewbits.coding.weights.sparse import sparse_code
from fewbits.training.models import transformer
from fewbits.training.models.transformer import TransformerConfig
from fewbits.training.trees import named_leaves

MODE = "offline"
NETWORK = "network"
_BYTES_PER_STREAM = 1024


def compress(
    text: bytes,
    model: TransformerConfig,
    network: bytes,
    *,
    max_streams: int = 64,
    run: streams.Run = streams.run,
) -> bytes:
    """The bytes of an offline text file.

    Args:
      text: any bytes.
      model: shape of the network.
      network: a sparse model file of its parameters, as `network_file` makes.
      max_streams: texts under a kilobyte for each stream have fewer.
      run: takes the coder to its end; see `streams.Run`.

    Raises:
      FormatError: parameters that are not such a network's.
      ValueError: no stream.
    """
    if not 1 <= max_streams <= header.MAX_STREAMS:
        raise ValueError(f"streams must be 1 to {header.MAX_STREAMS}, got {max_streams}")
    n_streams = min(max_streams, max(1, len(text) // _BYTES_PER_STREAM))
    params = _params(model, network)
    coded = streams.Coded(b"", b"")
    if text:
        predictor = _predictor(model, params, n_streams, len(text))
        coded = streams.encode(predictor, text, n_streams, run)
    described = Header(MODE, len(text), n_streams, model, {}, header.here())
    return header.write(described, coded, {NETWORK: network})


def decompress(
    described: Header,
    coded: streams.Coded,
    archive: Archive,
    run: streams.Run = streams.run,
) -> bytes:
    """The text again, from what `header.read` took out of the file.

    Raises:
      FormatError: not what `compress` wrote, or a device that computes otherwise.
    """
    if described.rest != {} or archive.sections.keys() != {streams.SECTION, NETWORK}:
        raise FormatError("an offline text has a network and nothing else", "header")
    params = _params(described.model, archive.sections[NETWORK])
    if not described.size:
        if coded != streams.Coded(b"", b""):
            raise FormatError("something where nothing was coded", streams.SECTION)
        return b""
    predictor = _predictor(described.model, params, described.n_streams, described.size)
    return streams.decode(predictor, coded, described.size, described.n_streams, run)


def network_file(params: Any, bits: int = 6) -> bytes:
    """A trained network as a sparse model file; exact zeros cost next to nothing.

    Args:
      params: as `transformer.init` makes them.
      bits: of kernels; scales, biases and the logits of contexts' states, one number for a whole
        row or state, get at least 8.
    """

    def width(path: str, tensor: np.ndarray) -> int:
        few = tensor.ndim < 2 or tensor.shape[1] == 1
        return max(bits, 8) if few else bits

    return sparse_code.write_sparse(params, width)


def _params(model: TransformerConfig, network: bytes) -> Any:
    """The parameters in a network file.

    Raises:
      FormatError: damaged, or not of this shape.
    """
    params = sparse_code.read_sparse(network)
    expected = jax.eval_shape(lambda: transformer.init(model, jax.random.key(0)))
    shapes = {name: leaf.shape for name, leaf in named_leaves(expected).items()}
    try:
        found = {name: np.shape(leaf) for name, leaf in named_leaves(params).items()}
    except ValueError as error:
        raise FormatError(str(error), NETWORK) from None
    if found != shapes:
        raise FormatError("the parameters are not those of the network", NETWORK)
    return jax.tree.map(jnp.asarray, params)


def _predictor(
    model: TransformerConfig, params: Any, n_streams: int, size: int
) -> TransformerPredictor:
    return TransformerPredictor(model, params, n_streams, slots_log2=header.slots_log2(size))
