"""What a text file says of itself: which network, how it learned, where it was made.

Every number is bounded before anything is built from it, so that no header makes a decoder allocate
or compile without limit.
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import jax

from fewbits.codecs.text import contexts, streams
from fewbits.coding import Archive, FormatError, container
from fewbits.training.models import context_features, transformer
from fewbits.training.models.transformer import TransformerConfig

KIND = "text"
SCHEME = 1
"""Raised whenever tables, contexts or the order of events change: older files need older code."""
MAX_STREAMS = 1 << 12
_MOST_SLOTS_LOG2 = 22
_MOST_PARAMETERS = 1 << 28
_MOST_REMEMBERED = 1 << 31
C = TypeVar("C")


class Header(NamedTuple):
    """What is common to both kinds of text file.

    Attributes:
      mode: "offline" or "online".
      size: bytes of the text.
      n_streams: streams it is cut into.
      model: shape of the network.
      rest: what only one of the modes has, still to be checked.
      made_with: device and versions of the encoder.
    """

    mode: str
    size: int
    n_streams: int
    model: TransformerConfig
    rest: Any
    made_with: str


def here() -> str:
    """The device and the versions that floats come from."""
    device = jax.devices()[0]
    return f"{device.platform} {device.device_kind} {platform.machine()}, jax {jax.__version__}"


def write(header: Header, coded: streams.Coded, sections: Mapping[str, bytes]) -> bytes:
    """The bytes of a text file; `sections` besides that of the text."""
    model = dataclasses.asdict(header.model)
    model["contexts"] = header.model.contexts is not None
    content = {
        "scheme": SCHEME,
        "mode": header.mode,
        "bytes": header.size,
        "lanes": header.n_streams,
        "model": model,
        header.mode: header.rest,
        "checks": coded.checks,
        "made_with": header.made_with,
    }
    return container.write_archive(KIND, content, {streams.SECTION: coded.stack, **sections})


def read(data: bytes) -> tuple[Header, streams.Coded, Archive]:
    """Takes a text file apart.

    Raises:
      FormatError: not an undamaged text file that this program can read.
    """
    archive = container.read_archive(data, kind=KIND)
    found = dict(archive.header)
    if found.get("scheme") != SCHEME:
        raise FormatError(f"text scheme {found.get('scheme')!r}; this program reads {SCHEME}")
    mode = found.get("mode")
    if mode not in ("offline", "online"):
        raise FormatError(f"mode {mode!r}", "header")
    expected = {"scheme", "mode", "bytes", "lanes", "model", mode, "checks", "made_with"}
    if found.keys() != expected or streams.SECTION not in archive.sections:
        raise FormatError(f"a text file's header has {', '.join(sorted(expected))}", "header")
    if not isinstance(found["made_with"], str) or not isinstance(found["checks"], bytes):
        raise FormatError("made_with is a string, checks are bytes", "header")
    size = integer(found, "bytes", 0, container.MAX_FILE_BYTES)
    n_streams = integer(found, "lanes", 1, MAX_STREAMS)
    model = _read_model(found["model"], n_streams)
    coded = streams.Coded(archive.sections[streams.SECTION], found["checks"])
    if size > streams.most_bytes(len(coded.stack)):
        raise FormatError(f"{size} bytes do not fit in the stream", streams.SECTION)
    header = Header(mode, size, n_streams, model, found[mode], found["made_with"])
    return header, coded, archive


def integer(found: Mapping[str, Any], name: str, least: int, most: int) -> int:
    """A whole number of the header within its bounds.

    Raises:
      FormatError: anything else.
    """
    value = found.get(name)
    if type(value) is not int or not least <= value <= most:
        raise FormatError(f"{name} is {value!r}, not {least} to {most}", "header")
    return value


def config(kind: type[C], found: Any) -> C:
    """A frozen dataclass of plain values from the header.

    Raises:
      FormatError: other fields, other types, or values that its constructor refuses.
    """
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(found, dict) or found.keys() != fields.keys():
        raise FormatError(f"needs {', '.join(sorted(fields))}", "header")
    for name, value in found.items():
        expected = str(fields[name].type)
        kinds = "str" if "Literal" in expected else expected
        if ("None" if value is None else type(value).__name__) not in kinds:
            raise FormatError(f"{name} is {value!r}, not of type {expected}", "header")
    try:
        return kind(**found)
    except ValueError as error:
        raise FormatError(str(error), "header") from None


def _read_model(found: Any, n_streams: int) -> TransformerConfig:
    if not isinstance(found, dict) or type(found.get("contexts")) is not bool:
        raise FormatError("contexts is true or false", "header")
    plain = config(TransformerConfig, {**found, "contexts": None})
    for name in ("width", "layers", "heads", "expansion"):
        integer(found, name, 1, 1 << 16)
    parameters = plain.layers * plain.width**2 * (4 + 2 * plain.expansion)
    remembered = 2 * n_streams * plain.layers * plain.window * plain.width
    if parameters > _MOST_PARAMETERS or remembered > _MOST_REMEMBERED:
        raise FormatError("a network that no text is coded with", "header")
    shape = contexts.SHAPE if found["contexts"] else None
    return dataclasses.replace(plain, contexts=shape)


def slots_log2(size: int) -> int:
    """How large the tables of contexts are for a text of so many bytes."""
    return min(max((size - 1).bit_length(), 10), _MOST_SLOTS_LOG2)


def start_params(model: TransformerConfig, key: jax.Array) -> Any:
    """Where training starts: random weights, and contexts that already predict a little."""
    params = transformer.init(model, key)
    if model.contexts is not None:
        params[context_features.PARAMS]["logit"] = jax.numpy.asarray(contexts.initial_logits())
    return params
