"""Which form of convolution is faster here? Behind `fewbits.training.models.convolution`.

    python -m benchmarks.convolution [--repeats 9] [--json FILE]

One training step (Adam) of the 5,254-parameter classifier on a batch of 64, by

* `native_step`: XLA's convolution in a jitted step, called from Python;
* `native_scan`: the same step inside `fewbits.training.loop`;
* `patches_scan`: patches and a matrix product inside `fewbits.training.loop`;

and the last two again for 4 runs of a sweep (`vmap` over parameters and keys). Then a step of the
narrow ConvNet for proxy evaluation, by `convnet_patches_scan` and `convnet_blocks_scan`, squares
of outputs. All are timed in turn, `--repeats` times in one process, and the fastest time of each
is reported: other work on the machine only ever adds. Only the ratios mean anything elsewhere.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import jax

from fewbits.io.outputs import open_output
from fewbits.training import gradient_descent, loop, losses, networks
from fewbits.training.method import Method
from fewbits.training.models import convolution

BATCH, STEPS, RUNS, RUN_STEPS = 64, 10, 4, 2
CONVNET_WIDTH = 32


def cases() -> dict[str, tuple[Callable[[], object], int]]:
    """Name -> (what to time, the steps in it), compiled and warmed up."""
    network = networks.report_classifier()
    method = _method(network)
    key_data, key_labels, key_init, key_run = jax.random.split(jax.random.key(0), 4)
    images = jax.random.uniform(key_data, (2_000, 28, 28, 1))
    labels = jax.random.randint(key_labels, (2_000,), 0, 10)
    data, params = (images, labels), network.init(key_init)
    keys = jax.random.split(key_run, RUNS)

    def whole_run(steps, key, params, data, method=method):
        plan = loop.Plan(steps=steps, batch_size=BATCH, log_points=1)
        return loop.run(method, plan, key, params, data).params

    def stepwise(step):
        state = method.init(key_run, params)
        for number in range(STEPS):
            first = number * BATCH
            batch = (images[first : first + BATCH], labels[first : first + BATCH])
            state, _ = step(key_run, state, batch)
        return state

    made: dict[str, tuple[Callable[[], object], int]] = {}
    for form in ("native", "patches"):
        # `conv2d` asks for the form while it is traced, so compiling here settles it.
        with mock.patch.object(convolution, "FASTEST", form):
            alone = jax.jit(functools.partial(whole_run, STEPS))
            alone = alone.lower(key_run, params, data).compile()
            one_run = functools.partial(whole_run, RUN_STEPS)
            several = jax.jit(jax.vmap(one_run, in_axes=(0, None, None)))
            several = several.lower(keys, params, data).compile()
            if form == "native":
                step = jax.jit(method.step)
                stepwise(step)
                made["native_step"] = (lambda step=step: stepwise(step), STEPS)
        made[f"{form}_scan"] = (lambda alone=alone: alone(key_run, params, data), STEPS)
        made[f"{form}_scan_{RUNS}_runs"] = (
            lambda several=several: several(keys, params, data),
            RUN_STEPS * RUNS,
        )
    convnet = networks.convnet(width=CONVNET_WIDTH)
    start = convnet.init(key_init)
    for form in ("patches", "blocks"):
        with mock.patch.object(networks, "FASTEST_NARROW", form):
            narrow = functools.partial(whole_run, STEPS, method=_method(convnet))
            narrow = jax.jit(narrow).lower(key_run, start, data).compile()
        made[f"convnet_{form}_scan"] = (
            lambda narrow=narrow: narrow(key_run, start, data),
            STEPS,
        )
    for call, _ in made.values():
        jax.block_until_ready(call())
    return made


def _method(network: networks.Network) -> Method:
    return gradient_descent.build(
        gradient_descent.GradientDescentConfig(), losses.cross_entropy(network.apply)
    )


def measure(repeats: int) -> dict[str, float]:
    """Least milliseconds per step (and run) of each case, timed in turn."""
    made = cases()
    seconds: dict[str, list[float]] = {name: [] for name in made}
    for _ in range(repeats):
        for name, (call, steps) in made.items():
            began = time.perf_counter()
            jax.block_until_ready(call())
            seconds[name].append((time.perf_counter() - began) / steps)
    return {name: 1e3 * min(values) for name, values in seconds.items()}


def main() -> None:
    """Measures, prints, and writes a record where `--json` says."""
    parser = argparse.ArgumentParser(description="Times the two forms of convolution.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--json", type=Path, default=None, help="also write a record here")
    arguments = parser.parse_args()
    milliseconds = measure(arguments.repeats)
    record = {
        "benchmark": "convolution",
        "backend": jax.default_backend(),
        "device": jax.devices()[0].device_kind,
        "jax": jax.__version__,
        "batch": BATCH,
        "repeats": arguments.repeats,
        "ms_per_step_and_run": milliseconds,
        "native_over_patches_in_scan": milliseconds["native_scan"] / milliseconds["patches_scan"],
        f"native_over_patches_in_scan_{RUNS}_runs": milliseconds[f"native_scan_{RUNS}_runs"]
        / milliseconds[f"patches_scan_{RUNS}_runs"],
        "patches_over_blocks_in_convnet": milliseconds["convnet_patches_scan"]
        / milliseconds["convnet_blocks_scan"],
        "chosen": convolution.FASTEST._asdict(),
    }
    for name, value in milliseconds.items():
        print(f"{name:24s} {value:8.3f} ms per step and run")
    print(f"native / patches in a scan: {record['native_over_patches_in_scan']:.2f}")
    print(f"the same over {RUNS} runs:    {record[f'native_over_patches_in_scan_{RUNS}_runs']:.2f}")
    print(f"patches / blocks, ConvNet:  {record['patches_over_blocks_in_convnet']:.2f}")
    print(f"chosen on {record['backend']}: {record['chosen']}")
    if arguments.json is not None:
        with open_output(arguments.json, force=True) as file:
            file.write((json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
