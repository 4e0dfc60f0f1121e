"""Decoding speed of the text codec and of the transformer that learns online, in the same run.

python -m benchmarks.text_decoding FILE

FILE was made by `fewbits text compress`. Prints one JSON object, bytes in a CPU second; only the
ratio can be compared between machines.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from fewbits.codecs import text
from fewbits.codecs.text import header, online, streams

_ONLINE_BYTES = 32_768


def online_speed(content: bytes) -> float:
    """Of the transformer, without its compilation, with as many streams as at 4 MB.

    Its steps cost the same whatever the length, so a part of the text measures all of it.
    """
    learning = online.Learning(bytes_per_stream=len(content) // online.Learning().streams)
    data = online.compress(content, online.OnlineConfig(learning=learning))
    ticks: list[tuple[float, int]] = []

    def tell(done: int, total: int) -> None:
        ticks.append((time.process_time(), done))

    described, coded, _ = header.read(data)
    decoded = online.decompress(
        described, coded, run=lambda coding: streams.run(coding, progress=tell)
    )
    if decoded != content:
        raise ValueError("the transformer decodes to another text")
    # The first steps are those that compile.
    (began, first), (ended, last) = ticks[0], ticks[-1]
    return (last - first) * described.n_streams / (ended - began)


def run(path: Path) -> dict[str, float]:
    """Decode the file, and the beginning of its text as the transformer codes it."""
    data = path.read_bytes()
    began = time.process_time()
    content = text.decompress(data)
    speed = len(content) / (time.process_time() - began)
    return {"mixed": speed, "online": online_speed(content[:_ONLINE_BYTES])}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]))))
