"""Files of general-purpose compressors: what everybody has, decoded in a subprocess like ours."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from experiments.runner import subprocesses
from fewbits.codecs import general_purpose

CODECS = {codec.suffix: codec for codec in general_purpose.CODECS.values()}


def save(path: Path, content: bytes) -> int:
    """Compress `content` with the codec of the path's suffix; the bytes of the file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CODECS[path.suffix].compress(content))
    return path.stat().st_size


def check(files: Sequence[tuple[Path, bytes]]) -> None:
    """One subprocess decompresses all files to the given contents.

    Of a folder the contents of its files count, one after the other in the order of their names.

    Raises:
      ValueError: one of them to another.
    """
    digests = subprocesses.call(_digests, [path for path, _ in files])
    for (path, content), found in zip(files, digests, strict=True):
        if found != hashlib.sha256(content).hexdigest():
            raise ValueError(f"{path.name} does not decompress to what was written")


def read(path: Path) -> bytes:
    """What a compressed file or a grey PNG holds."""
    if path.suffix == ".png":
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            return image.tobytes()
    return CODECS[path.suffix].decompress(path.read_bytes())


def _digests(paths: Sequence[Path]) -> list[str]:
    found = []
    for path in paths:
        parts = sorted(path.iterdir()) if path.is_dir() else [path]
        found.append(hashlib.sha256(b"".join(map(read, parts))).hexdigest())
    return found
