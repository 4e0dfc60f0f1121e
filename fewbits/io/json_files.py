"""JSON files: any result as plain values, written whole, and told from damaged ones by a checksum.

>>> import tempfile
>>> from pathlib import Path
>>> from fewbits.io import json_files
>>> with tempfile.TemporaryDirectory() as folder:
...     path = Path(folder) / "trial.json"
...     json_files.write_checked(path, {"loss": float("nan"), "widths": (300, 100)})
...     whole = json_files.read_checked(path)
...     path.write_bytes(path.read_bytes()[:40])  # cut off
...     whole, json_files.read_checked(path)
40
({'loss': None, 'widths': [300, 100]}, None)
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fewbits.io.outputs import open_output


def plain(value: Any) -> Any:
    """A value as JSON has it.

    Mappings, named tuples and dataclasses become mappings, arrays lists, numbers that are not
    finite null, and what is nothing of these its text.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    of_array = getattr(value, "tolist", None)
    return str(value) if of_array is None else plain(of_array())


def restore(kind: Any, value: Any) -> Any:
    """What `plain` made a JSON value of, by its type: the other way round.

    Args:
      kind: a type, with dataclasses, named tuples, tuples, lists, mappings and paths inside. Fields
        that a class does not have (any more) are left out, those that JSON lacks take their
        defaults; of a union of several types the value stays as it is.
      value: read from JSON.

    >>> restore(tuple[Path, ...], ["a.npz"])[0].suffix
    '.npz'
    """
    if value is None:
        return None
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return restore(arguments[0], value)
    if origin in (typing.Union, types.UnionType):
        several = [each for each in arguments if each is not type(None)]
        return restore(several[0], value) if len(several) == 1 else value
    if origin is tuple:
        each = itertools.repeat(arguments[0]) if arguments[-1] is ... else arguments
        return tuple(map(restore, each, value))
    if origin is list:
        return [restore(arguments[0], each) for each in value]
    if origin is not None and isinstance(value, Mapping):
        return {name: restore(arguments[1], each) for name, each in value.items()}
    if hasattr(kind, "_fields") or dataclasses.is_dataclass(kind):
        kinds = typing.get_type_hints(kind)
        # A named tuple may have been written as a list.
        named = value if isinstance(value, Mapping) else dict(zip(kinds, value, strict=False))
        make: Any = kind
        return make(**{name: restore(kinds[name], named[name]) for name in kinds if name in named})
    return Path(value) if kind is Path else value


def write_json(path: Path, content: Any) -> None:
    """Write a value whole: a reader never sees half a file. Its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain(content), indent=1) + "\n"
    with open_output(path, force=True) as file:
        file.write(text.encode())


def write_checked(path: Path, content: Any) -> None:
    """Write a value with its checksum."""
    content = plain(content)
    write_json(path, {"sha256": _digest(content), "content": content})


def read_checked(path: Path) -> Any:
    """What `write_checked` wrote; None where there is no such file or it is damaged."""
    try:
        stored = json.loads(path.read_bytes())
        content, digest = stored["content"], stored["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content if digest == _digest(content) else None


def file_digest(path: Path) -> str:
    """SHA-256 of a file; "missing" where there is none."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "missing"


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
