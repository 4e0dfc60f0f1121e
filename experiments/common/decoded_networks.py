"""Networks out of files, decoded in a subprocess: what may be called a size."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from experiments.runner import subprocesses
from fewbits.coding import container, params_from_bytes
from fewbits.io.datasets import Images
from fewbits.training import evaluation
from fewbits.training.networks import Network
from fewbits.training.trees import named_leaves


def decode(path: Path) -> Any:
    """The parameters of one file, decoded in a subprocess: nested dicts of float32."""
    return subprocesses.call(_read, [path])[0]


def decode_tested(path: Path, net: Network, images: Images, expected_percent: float) -> Any:
    """The parameters of one file, once their accuracy is what was measured before.

    Raises:
      ValueError: it is another.
    """
    params = decode(path)
    found = accuracy_percent(net, params, images)
    if abs(found - expected_percent) > 0.03:
        raise ValueError(f"accuracy {found:.2f} %, the record says {expected_percent:.2f} %")
    return params


def check(files: Sequence[tuple[Path, Any]]) -> None:
    """One subprocess decodes all files to the given parameters.

    Raises:
      ValueError: one of them to others.
    """
    decoded = subprocesses.call(_read, [path for path, _ in files])
    for (path, params), again in zip(files, decoded, strict=True):
        expected, found = named_leaves(params), named_leaves(again)
        if found.keys() != expected.keys() or not all(
            np.array_equal(found[name], expected[name]) for name in expected
        ):
            raise ValueError(f"{path.name} does not decode to what was written")


def accuracy_percent(net: Network, params: Any, images: Images) -> float:
    """Share of the images that the network classifies correctly."""
    data = (jnp.asarray(images.pixels), jnp.asarray(images.labels))
    return 100 * float(evaluation.accuracy(net.apply, params, *data))


def _read(paths: Sequence[Path]) -> list[Any]:
    return [params_from_bytes(container.load_bytes(path)) for path in paths]
