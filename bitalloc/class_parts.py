"""A class encoder's parts as arrays, trees of weights and coded symbols, and back.

Weights are stored like every other model's (`files`). Whole numbers are entropy-coded symbols: the
centres and projections of kernels; and of decision trees the feature of each node, depth first, 0
for a leaf, and the number of each inner node's threshold among the distinct ones.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bitalloc.encoders import encoder as encoders
from bitalloc.encoders import scorers
from fewbits.coding import FormatError, entropy_coder, shared_tables
from fewbits.coding.entropy_coder import SymbolStream
from fewbits.coding.varint import ByteReader

Arrays = dict[str, np.ndarray]
_MAX_SYMBOLS = 1 << 26


def weights(encoder: encoders.ClassEncoder) -> list[Any]:
    """Every part's tensors that a precision applies to."""
    return [_part_weights(part) for part in encoder.parts]


def _part_weights(part) -> Any:
    if isinstance(part, encoders.NetworkEncoder):
        return list(part.params)
    return {"value": part.value} if isinstance(part, scorers.Trees) else {"weights": part.weights}


def with_weights(encoder: encoders.ClassEncoder, trees: list[Any]) -> encoders.ClassEncoder:
    """The encoder with other weights, in the form of `weights`."""
    parts = []
    for part, tree in zip(encoder.parts, trees, strict=True):
        if isinstance(part, encoders.NetworkEncoder):
            parts.append(part._replace(params=tuple(tree)))
        else:
            parts.append(part._replace(**tree))
    return encoder._replace(parts=tuple(parts))


def arrays(encoder: encoders.ClassEncoder) -> Arrays:
    """What is stored as it is."""
    found: Arrays = {
        "shift": np.asarray(encoder.shift, np.float64),
        "scale": np.asarray(encoder.scale, np.float64),
        "mix": np.asarray(encoder.mix, np.float64),
        "code": np.asarray(encoder.code, np.int32),
    }
    for number, part in enumerate(encoder.parts):
        name = f"part{number}_"
        if isinstance(part, encoders.NetworkEncoder):
            found[name + "shift"] = np.asarray(part.shift, np.float32)
            found[name + "scale"] = np.asarray(part.scale, np.float32)
            continue
        found[name + "bias"] = np.asarray(part.bias, np.float32)
        if isinstance(part, scorers.Trees):
            asked = part.threshold[part.feature >= 0]
            found[name + "thresholds"] = np.unique(asked).astype(np.float32)
    return found


def described(encoder: encoders.ClassEncoder, network) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The header's description, and sections of coded symbols.

    Args:
      encoder: any.
      network: describes a network part.
    """
    parts, sections = [], {}
    for number, part in enumerate(encoder.parts):
        if isinstance(part, encoders.NetworkEncoder):
            parts.append(network(part))
            continue
        entry: dict[str, Any] = {"kind": scorers.KINDS[type(part)]}
        streams: list[np.ndarray] = []
        if isinstance(part, scorers.Kernel):
            streams = [part.centres]
            entry |= {
                "gamma": part.gamma,
                "steps": [part.projection_step, part.centre_step],
                "centres": list(part.centres.shape),
            }
            if part.projection is not None:
                streams.append(part.projection)
                entry["projection"] = list(part.projection.shape)
        elif isinstance(part, scorers.Trees):
            inner = part.feature >= 0
            thresholds = np.unique(part.threshold[inner])
            streams = [part.feature + 1, np.searchsorted(thresholds, part.threshold[inner])]
            entry |= {"cycle": list(part.cycle), "nodes": len(part.feature)}
        if streams:
            entry["chosen"], entry["tables"], sections[f"part{number}_symbols"] = _coded(streams)
        parts.append(entry)
    return {"kind": "class", "bits": encoder.bits, "parts": parts}, sections


def _coded(streams: list[np.ndarray]) -> tuple[list[int], bytes, bytes]:
    """Each stream's table, the tables' descriptions, and the symbols."""
    flat = [stream.astype(np.int64).ravel() for stream in streams]
    chosen, fitted = shared_tables.fit(flat)
    data = entropy_coder.encode(
        [SymbolStream(one, fitted[table].table) for one, table in zip(flat, chosen, strict=True)]
    )
    return chosen, b"".join(one.code for one in fitted), data


def build(
    header: dict[str, Any], found: Arrays, trees: list[Any], sections: dict[str, bytes], network
) -> encoders.ClassEncoder:
    """The encoder of `described`, `arrays` and `weights`.

    Args:
      header: the description.
      found: the arrays of the file.
      trees: the weights.
      sections: of the file.
      network: (description, weights, shift, scale) -> a network part.

    Raises:
      FormatError: parts that do not fit together.
    """
    parts = []
    for number, entry in enumerate(header["parts"]):
        name, tree = f"part{number}_", trees[number]
        if entry["kind"] == "network":
            parts.append(network(entry, tree, found[name + "shift"], found[name + "scale"]))
        elif entry["kind"] == "linear":
            parts.append(scorers.Linear(tree["weights"], found[name + "bias"]))
        elif entry["kind"] == "kernel":
            take = _Reader(entry, sections[name + "symbols"], name + "symbols")
            centres, projection = take(0, entry["centres"]), None
            if "projection" in entry:
                projection = take(1, entry["projection"])
            take.finish()
            projection_step, centre_step = map(float, entry["steps"])
            parts.append(
                scorers.Kernel(
                    projection, projection_step, centres, centre_step, float(entry["gamma"]),
                    tree["weights"], found[name + "bias"],
                )
            )  # fmt: skip
        elif entry["kind"] == "trees":
            take = _Reader(entry, sections[name + "symbols"], name + "symbols")
            feature, threshold = _nodes(entry["nodes"], take, found[name + "thresholds"])
            cycle = tuple(entry["cycle"])
            parts.append(
                scorers.Trees(feature, threshold, tree["value"], cycle, found[name + "bias"])
            )
        else:
            raise FormatError(f"unknown part {entry['kind']!r}", "header")
    return encoders.ClassEncoder(
        found["shift"], found["scale"], tuple(parts), found["mix"], found["code"], header["bits"]
    )


class _Reader:
    """The streams of `_coded`, one after the other."""

    def __init__(self, entry: dict[str, Any], data: bytes, section: str) -> None:
        self._chosen, self._section = entry["chosen"], section
        self._tables = shared_tables.read(ByteReader(entry["tables"], "header"))
        self._symbols = entropy_coder.SymbolReader(data, section)

    def __call__(self, number: int, shape: list[int]) -> np.ndarray:
        """Int32 array of the stream of this number."""
        if not all(type(n) is int and n >= 1 for n in shape):
            raise self.error(f"an array of shape {shape}")
        size = int(np.prod(shape, dtype=object))
        if size > _MAX_SYMBOLS:
            raise self.error(f"{size} symbols")
        taken = self._symbols.take(size, self._tables[self._chosen[number]])
        return taken.astype(np.int32).reshape(shape)

    def error(self, what: str) -> FormatError:
        return FormatError(what, self._section)

    def finish(self) -> None:
        self._symbols.finish()


def _nodes(n_nodes: int, take: _Reader, thresholds: np.ndarray):
    feature = take(0, [n_nodes]) - 1
    inner = feature >= 0
    threshold = np.zeros(n_nodes, np.float32)
    if inner.any():
        number = take(1, [int(inner.sum())])
        if number.min() < 0:
            raise take.error("a threshold that there is none")
        threshold[inner] = thresholds[number]
    take.finish()
    if feature.min() < -1:
        raise take.error("a feature that there is none")
    return feature, threshold


def check(encoder: encoders.ClassEncoder, n_seen: int, n_classes: int) -> None:
    """Whether every part fits the features and classes; a trial message shows the rest.

    Raises:
      FormatError: naming what does not.
    """
    if encoder.shift.shape != (n_seen,) or encoder.scale.shape != (n_seen,):
        raise FormatError(f"not of the {n_seen} features that are seen", "shift")
    if not (np.isfinite(encoder.shift).all() and np.isfinite(encoder.scale).all()):
        raise FormatError("not finite", "scale")
    if not encoder.scale.all() or not 1 <= encoder.bits <= 16:
        raise FormatError(f"scale of zero or codewords of {encoder.bits} bits", "header")
    code = encoder.code
    if code.shape != (n_classes,) or code.max() < 0 or code.max() >= 1 << encoder.bits:
        raise FormatError("codewords that do not fit", "code")
    if len(encoder.mix) != len(encoder.parts) or not encoder.parts:
        raise FormatError("weights of another number of parts", "mix")
    for part in encoder.parts:
        if isinstance(part, scorers.Trees):
            n_leaves, inner = int((part.feature < 0).sum()), part.feature[part.feature >= 0]
            width = 1 if part.cycle else n_classes
            if part.value.shape != (n_leaves, width) or inner.max(initial=0) >= n_seen:
                raise FormatError("leaves or features of the trees", "part")
            if part.cycle and not all(0 <= k < n_classes for k in part.cycle):
                raise FormatError("classes of the trees", "part")
            scorers.layout(part.feature)
        elif isinstance(part, encoders.NetworkEncoder):
            if sum(part.outputs) != n_classes:
                raise FormatError("a network of other classes", "part")
        elif part.bias.shape != (n_classes,):
            raise FormatError("a part of other classes", "part")
