"""The main job: every method once, end to end, on scikit-learn's handwritten digits.

Each method trains, compresses into a real file, has a subprocess decode it, and is tested on what
came out, beside a baseline of the same bytes. Needs no download.

Cost: under 3 min on 2 cores.
Data: digits (embedded).
"""

from experiments.digits import (
    bit_allocation,
    dataset_compression,
    html_report,
    pruned_network,
    rate_distortion,
)
from experiments.digits.row import Config, Job, Row
from experiments.runner import experiment as ex
from fewbits.io.progress import Bar

METHODS = {
    "lgc": dataset_compression.rows,
    "pruning": pruned_network.rows,
    "ratedist": rate_distortion.rows,
    "bitalloc": bit_allocation.rows,
}
"""In the order of the table: `rows(job, bar)` gives rows and pictures."""


def measure(config: Config, trials: list[tuple[int, str]], data: ex.Data) -> ex.Measurement:
    ((seed, method),) = trials
    train, test = data.images("digits", "train"), data.images("digits", "test")
    job = Job(data, train, test, seed, 0.1 if config.quick else 1.0)
    with Bar(f"method {list(METHODS).index(method) + 1} of {len(METHODS)}") as bar:
        rows, pictures = METHODS[method](job, bar)
    return ex.Measurement(rows, {"pictures": pictures if seed == config.seeds[0] else []})


def recompute(config: Config, row: Row, data: ex.Data) -> dict[str, float]:
    """Decode the pruned network and the dense one in a subprocess, and test both again."""
    assert row.baseline_file is not None
    test = data.images("digits", "test")
    pruned, dense = (pruned_network.percent(path, test) for path in (row.file, row.baseline_file))
    return {"gain_points": pruned - dense}


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {"default": Config(), "smoke": Config(quick=True)},
    grid=lambda config: ((seed, method) for seed in config.seeds for method in METHODS),
    report=html_report.write,
    data="digits",
    name="digits",
)
