"""NNCodec on arrays, run by the Python of an environment of its own; imports nothing of ours.

    python nncodec_peer.py measure X.npz MSE ...    bytes and errors around each mean squared error
    python nncodec_peer.py unpickle X.pt OUT.npz    tensors of a PyTorch checkpoint

NNCodec needs NumPy below 2 and PyTorch: `python3 -m venv ENV && ENV/bin/pip install nncodec`.
"""

import contextlib
import io
import json
import math
import sys

import numpy as np

DENSITY = 2
"""qp_density, NNCodec's default: four qp are an octave of the step."""


def measure(arrays, goals):
    """NNCodec's files next above and below each mean squared error; its defaults but for qp."""
    from nncodec import nn  # type: ignore[import-not-found]

    known = {}

    def attempt(qp):
        if qp in known:
            return known[qp]
        settings = {"qp": qp, "qp_density": DENSITY, "verbose": False}
        with contextlib.redirect_stdout(io.StringIO()):
            stream = nn.encode({name: one.copy() for name, one in arrays.items()}, settings)
            back = nn.decode(stream)
        error = sum(
            float(np.sum((np.asarray(back[name], np.float64) - one) ** 2))
            for name, one in arrays.items()
        )
        count = sum(one.size for one in arrays.values())
        known[qp] = {"qp": qp, "bytes": len(stream), "mse": error / count}
        return known[qp]

    found = []
    for goal in goals:
        qp = round(4 * math.log2(math.sqrt(goal / 0.2)))
        while attempt(qp)["mse"] > goal:
            qp -= 1
        while attempt(qp + 1)["mse"] <= goal:
            qp += 1
        found.append([attempt(qp), attempt(qp + 1)])
    return found


def unpickle(source, target):
    """The floating-point tensors of a PyTorch checkpoint as .npz."""
    import torch  # type: ignore[import-not-found]

    checkpoint = torch.load(source, map_location="cpu", weights_only=False)
    np.savez(target, **{name: t.numpy() for name, t in checkpoint["model_state"].items()})


if __name__ == "__main__":
    if sys.argv[1] == "measure":
        with np.load(sys.argv[2]) as stored:
            arrays = dict(stored)
        print(json.dumps(measure(arrays, [float(goal) for goal in sys.argv[3:]])))
    else:
        unpickle(*sys.argv[2:])
