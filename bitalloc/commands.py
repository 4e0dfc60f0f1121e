"""`fewbits bitalloc`: classify from a handful of bits: fit, encode and decode data of one's own."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fewbits import cli
from fewbits.coding import InputError, container
from fewbits.io import outputs

_TARGETS = (0.7, 0.8, 0.9)
_HELD_OUT_SHARE = 0.2


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's mistake."""
    return cli.run(parser("python -m bitalloc"), arguments)


def _read_labelled(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    from bitalloc import datafiles

    if options.seed < 0:
        raise InputError(f"--seed {options.seed}; use a whole number, 0 or more")
    features, labels = datafiles.read_features(options.input)
    if labels is None:
        raise InputError(f"{options.input} has no array 'labels': nothing to fit to")
    return features, labels


def _config(options: argparse.Namespace):
    from bitalloc.fitting.fit import FitConfig

    return FitConfig(
        networks=not options.no_networks, smaller_budgets=not options.no_smaller_budgets
    )


def _fit(options: argparse.Namespace) -> str:
    outputs.check_writable(options.model)
    features, labels = _read_labelled(options)
    import jax

    import bitalloc
    from bitalloc.api import validation_accuracy

    key = jax.random.key(options.seed)
    model = bitalloc.fit(
        features, labels, options.bits, mode=options.mode, sensors=options.sensors,
        config=_config(options), key=key,
    )  # fmt: skip
    bitalloc.save(options.model, model)
    right = validation_accuracy(model, features, labels, key)
    size = options.model.stat().st_size
    if options.json:
        return json.dumps(
            {
                "model": str(options.model),
                "bytes": size,
                "mode": model.mode,
                "bits": model.bits,
                "padding_bits": model.padding_bits,
                "sensor_bits": model.sensor_bits.tolist(),
                "decoder": model.decoder_kind,
                "weight_bits": model.precision,
                "classes": list(model.classes),
                "n_train": model.n_train,
                "n_validation": model.n_validation,
                "validation_accuracy": right,
            }
        )
    split = "+".join(map(str, model.sensor_bits))
    unused = f", {model.padding_bits} of them unused" if model.padding_bits else ""
    return (
        f"{options.model}: {100 * right:.2f} % of {model.n_validation} validation examples "
        f"decoded rightly; model {size:,} bytes, {model.bits} bits per example{unused} "
        f"({split} by sensor), mode {model.mode}, {model.decoder_kind} decoder, "
        f"{model.n_train} training examples"
    )


def _encode(options: argparse.Namespace) -> str:
    import bitalloc
    from bitalloc import datafiles, files

    outputs.check_writable(options.output)
    options.blamed = options.model
    model_bytes = container.load_bytes(options.model)
    model = bitalloc.from_bytes(model_bytes)
    features, _ = datafiles.read_features(options.input)
    payload = bitalloc.encode(model, features)
    container.save(options.output, files.write_messages(model_bytes, payload, len(features)))
    header = options.output.stat().st_size - len(payload)
    return (
        f"{options.output}: {len(features):,} messages of {model.bits} bits: {len(payload):,} "
        f"bytes and a header of {header}"
    )


def _decode(options: argparse.Namespace) -> str:
    import bitalloc
    from bitalloc import files

    outputs.check_writable(options.output)
    options.blamed = options.model
    model_bytes = container.load_bytes(options.model)
    model = bitalloc.from_bytes(model_bytes)
    options.blamed = options.messages
    payload, n = files.read_messages(container.load_bytes(options.messages), model_bytes)
    labels = bitalloc.decode(model, payload, n)
    temporary = options.output.with_name(f".{options.output.name}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, labels=labels)
        temporary.replace(options.output)
    finally:
        temporary.unlink(missing_ok=True)
    return f"{options.output}: {n:,} labels"


def _curve(options: argparse.Namespace) -> None:
    if not options.bits or min(options.bits) < 1:
        raise InputError(f"--bits {options.bits}: every budget must be at least 1")
    if options.output is not None:
        outputs.check_writable(options.output)
    features, labels = _read_labelled(options)
    import jax

    from bitalloc import api, to_bytes
    from bitalloc.fitting.allocation import fewest_bits

    budgets = sorted(set(options.bits))
    points = api.curve(
        features, labels, budgets, _HELD_OUT_SHARE, mode=options.mode, sensors=options.sensors,
        config=_config(options), key=jax.random.key(options.seed),
    )  # fmt: skip
    rows = ["bits,validation_accuracy,held_out_accuracy,decoder,sensor_bits,model_bytes"]
    score = np.full(max(budgets) + 1, np.nan)
    for bits, (model, validation, held_out) in zip(budgets, points, strict=True):
        if len(rows) == 1:
            print(rows[0])
        score[bits] = held_out
        split = "+".join(map(str, model.sensor_bits))
        rows.append(
            f"{bits},{validation:.4f},{held_out:.4f},{model.decoder_kind},{split},"
            f"{len(to_bytes(model))}"
        )
        print(rows[-1], flush=True)
    for target in _TARGETS:
        bits = fewest_bits(score, target)
        reached = (
            "none of these budgets" if bits is None else f"{bits} {'bit' if bits == 1 else 'bits'}"
        )
        print(f"{target:.0%} of the held-out examples: {reached}", file=sys.stderr)
    if options.output is not None:
        container.save(options.output, ("\n".join(rows) + "\n").encode())


def _budgets(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog, description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Any, purpose: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.set_defaults(run=run)
        return command

    def add_fitting(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--mode", choices=("pixel", "projection", "decision"), default="pixel",
            help="what a bit may depend on: one feature, a linear functional, anything",
        )  # fmt: skip
        command.add_argument(
            "--sensors", default="central", metavar="VIEW",
            help="central, quadrants, or groups of columns such as 0-9/10-19",
        )  # fmt: skip
        command.add_argument("--no-networks", action="store_true", help="no network as decoder")
        command.add_argument(
            "--no-smaller-budgets", action="store_true",
            help="use every bit, even where fewer do better on the validation part",
        )  # fmt: skip
        command.add_argument("--seed", type=int, default=0, help="of every random choice")

    labelled = ".npz with 'images' (N x H x W or N x H x W x C) or 'features' (N x M), and 'labels'"

    fit = verb("fit", _fit, "fit an encoder and its decoder, write the model's file")
    fit.add_argument("input", type=Path, metavar="IN", help=labelled)
    fit.add_argument("model", type=Path, metavar="MODEL", help="file to write")
    fit.add_argument("--bits", type=int, required=True, metavar="B", help="bits per example")
    add_fitting(fit)
    fit.add_argument("--json", action="store_true", help="print one JSON object")

    encode = verb("encode", _encode, "write the messages of images or features")
    encode.add_argument("model", type=Path, metavar="MODEL", help="from fit")
    encode.add_argument("input", type=Path, metavar="IN", help=".npz with 'images' or 'features'")
    encode.add_argument("output", type=Path, metavar="OUT", help="file of messages to write")

    decode = verb("decode", _decode, "labels from messages and the model alone")
    decode.add_argument("model", type=Path, metavar="MODEL", help="that encoded them")
    decode.add_argument("messages", type=Path, metavar="IN", help="file of messages")
    decode.add_argument("output", type=Path, metavar="OUT", help=".npz to write, with 'labels'")

    curve = verb("curve", _curve, "accuracy against bits as CSV, on a fifth held out")
    curve.add_argument("input", type=Path, metavar="IN", help=labelled)
    curve.add_argument("--bits", type=_budgets, default="1,2,3,4,6,8,16", metavar="B,B,...",
                       help="budgets, bits per example")  # fmt: skip
    add_fitting(curve)
    curve.add_argument("--output", type=Path, metavar="FILE", help=".csv to write as well")
    return whole
