"""Symbols <-> bytes: exactly B bits per image, back to back, padded only at the batch's end.

An image's message is its symbols' binary codes, the highest bit first, in the encoder's order,
which is sensor by sensor. A batch of N messages fills ceil(N B / 8) bytes.
"""

from __future__ import annotations

import numpy as np

from fewbits.coding import FormatError


def to_bits(symbols: np.ndarray, depth_bits: np.ndarray) -> np.ndarray:
    """Binary codes of the symbols, UInt8[N, B] of zeros and ones, B = sum of depths.

    Args:
      symbols: Int[N, J] with 0 <= symbols[:, j] < 2^depth_bits[j].
      depth_bits: Int[J], each at least 1.

    Raises:
      ValueError: naming a symbol that does not fit its depth.
    """
    depth_bits = np.asarray(depth_bits)
    too_large = (symbols < 0) | (symbols >> depth_bits[None, :] != 0)
    if too_large.any():
        image, j = np.argwhere(too_large)[0]
        raise ValueError(f"symbol {symbols[image, j]} does not fit in {depth_bits[j]} bits")
    owner, shift = _layout(depth_bits)
    return (symbols[:, owner] >> shift[None, :] & 1).astype(np.uint8)


def from_bits(bits: np.ndarray, depth_bits: np.ndarray) -> np.ndarray:
    """Inverse of `to_bits`: Int32[N, J]."""
    owner, shift = _layout(np.asarray(depth_bits))
    place = np.zeros((len(owner), len(depth_bits)), np.int32)
    place[np.arange(len(owner)), owner] = 1 << shift
    return bits.astype(np.int32) @ place


def _layout(depth_bits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each bit of a message: its symbol, and its place in the symbol's code."""
    owner = np.repeat(np.arange(len(depth_bits)), depth_bits)
    first = np.cumsum(depth_bits) - depth_bits
    return owner, depth_bits[owner] - 1 - (np.arange(len(owner)) - first[owner])


def pack(symbols: np.ndarray, depth_bits: np.ndarray) -> bytes:
    """The bytes of a batch of messages; see `to_bits` for the arguments."""
    return np.packbits(to_bits(symbols, depth_bits).ravel()).tobytes()


def unpack(data: bytes, n_images: int, depth_bits: np.ndarray) -> np.ndarray:
    """The symbols of a batch of messages, Int32[N, J].

    Args:
      data: what `pack` wrote.
      n_images: N.
      depth_bits: Int[J].

    Raises:
      FormatError: if the length is not that of N messages, or the padding is not zero.
    """
    n_bits = n_images * int(np.sum(depth_bits))
    if len(data) != -(-n_bits // 8):
        raise FormatError(
            f"{len(data)} bytes cannot hold {n_images} messages of {int(np.sum(depth_bits))} bits, "
            f"which fill {-(-n_bits // 8)}",
            "messages",
        )
    bits = np.unpackbits(np.frombuffer(data, np.uint8))
    if bits[n_bits:].any():
        raise FormatError("the padding after the last message is not zero", "messages")
    return from_bits(bits[:n_bits].reshape(n_images, int(np.sum(depth_bits))), depth_bits)
