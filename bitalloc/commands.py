"""`fewbits bitalloc`: fit, encode and decode images or feature vectors of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from fewbits import cli
from fewbits.coding import InputError, container
from fewbits.io import outputs

_TARGETS = (0.7, 0.8, 0.9)


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's mistake."""
    return cli.run(parser("python -m bitalloc"), arguments)


def _read_problem(options: argparse.Namespace, held_out_share: float = 0.0):
    from bitalloc import datafiles
    from bitalloc.encoders import sensors

    if options.seed < 0:
        raise InputError(f"--seed {options.seed}; use a whole number, 0 or more")
    features, image_shape, labels = datafiles.read_features(options.input)
    if labels is None:
        raise InputError(f"{options.input} has no array 'labels': nothing to fit to")
    sensor_of = sensors.parse(options.sensors, features.shape[1], image_shape)
    rng = np.random.default_rng(options.seed)
    return datafiles.problem_from(rng, features, labels, sensor_of, image_shape, held_out_share)


def _fit_one(options: argparse.Namespace, problem, bits: int):
    import jax

    from bitalloc.fitting import modes
    from bitalloc.fitting.fit import FitConfig

    config = FitConfig(networks=not options.no_networks)
    return modes.fit(jax.random.key(options.seed), problem, options.mode, bits, config)


def _accuracy(model, sample) -> float:
    from bitalloc import model as models

    data = models.encode(model, sample.features)
    return float(np.mean(models.decode(model, data, len(sample.labels)) == sample.labels))


def _fit(options: argparse.Namespace) -> None:
    from bitalloc import model as models

    outputs.check_writable(options.model)
    problem, validation = _read_problem(options)
    model = _fit_one(options, problem, options.bits)
    data = models.to_bytes(model)
    container.save(options.model, data)
    print(
        f"{options.model}: {len(data):,} bytes; mode {model.mode}, {model.bits} bits per example "
        f"({'+'.join(map(str, model.sensor_bits))} by sensor), {model.decoder_kind} decoder, "
        f"{model.n_train} training examples; "
        f"{100 * _accuracy(model, validation):.2f} % right on {model.n_validation} for validation"
    )


def _encode(options: argparse.Namespace) -> None:
    from bitalloc import datafiles
    from bitalloc import model as models

    outputs.check_writable(options.output)
    model_bytes = container.load_bytes(options.model)
    model = models.from_bytes(model_bytes)
    features, image_shape, _ = datafiles.read_features(options.images)
    if model.image_shape is not None and image_shape not in (None, model.image_shape):
        raise InputError(
            f"the model was fitted on images of {model.image_shape[0]} x {model.image_shape[1]}, "
            f"{options.images} holds {image_shape[0]} x {image_shape[1]}"
        )
    payload = models.encode(model, features)
    container.save(options.output, models.write_messages(model_bytes, payload, len(features)))
    print(
        f"{options.output}: {len(features):,} messages of {model.bits} bits, {len(payload):,} "
        f"bytes and {options.output.stat().st_size - len(payload):,} of envelope"
    )


def _decode(options: argparse.Namespace) -> None:
    from bitalloc import model as models

    outputs.check_writable(options.output)
    model_bytes = container.load_bytes(options.model)
    model = models.from_bytes(model_bytes)
    payload, n = models.read_messages(container.load_bytes(options.messages), model_bytes)
    labels = np.array(model.classes)[models.decode(model, payload, n)]
    temporary = options.output.with_name(f".{options.output.name}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, labels=labels)
        temporary.replace(options.output)
    finally:
        temporary.unlink(missing_ok=True)
    print(f"{options.output}: {n:,} labels")


def _curve(options: argparse.Namespace) -> None:
    from bitalloc.fitting.allocation import fewest_bits

    if not options.bits or min(options.bits) < 1:
        raise InputError(f"--bits {options.bits}: every budget must be at least 1")
    if options.output is not None:
        outputs.check_writable(options.output)
    problem, held_out = _read_problem(options, held_out_share=0.2)
    rows = ["bits,validation_accuracy,held_out_accuracy,decoder,sensor_bits"]
    score = np.full(max(options.bits) + 1, np.nan)
    print(rows[0])
    for bits in sorted(set(options.bits)):
        model = _fit_one(options, problem, bits)
        validation, score[bits] = _accuracy(model, problem.validation), _accuracy(model, held_out)
        split = "+".join(map(str, model.sensor_bits))
        rows.append(f"{bits},{validation:.4f},{score[bits]:.4f},{model.decoder_kind},{split}")
        print(rows[-1], flush=True)
    for target in _TARGETS:
        bits = fewest_bits(score, target)
        print(f"# {target:.0%} reached with {'none of these' if bits is None else f'{bits} bits'}")
    if options.output is not None:
        container.save(options.output, ("\n".join(rows) + "\n").encode())


def _budgets(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog, description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="command")

    def add_fitting(command: argparse.ArgumentParser) -> None:
        command.add_argument("input", type=Path, help="images or features, and labels, as .npz")
        command.add_argument(
            "--mode", choices=("pixel", "projection", "decision"), default="pixel",
            help="what a code may depend on: one feature, linear functionals, anything",
        )  # fmt: skip
        command.add_argument(
            "--sensors", default="central",
            help="central, quadrants, or groups of columns such as 0-9/10-19 (default: central)",
        )  # fmt: skip
        command.add_argument("--no-networks", action="store_true", help="no network as decoder")
        command.add_argument("--seed", type=int, default=0)

    fit = commands.add_parser("fit", help="fit encoder and decoder, write the model's file")
    add_fitting(fit)
    fit.add_argument("model", type=Path, help="file to write")
    fit.add_argument("--bits", type=int, required=True, help="bits per example")
    fit.set_defaults(run=_fit)

    encode = commands.add_parser("encode", help="write the messages of images")
    encode.add_argument("model", type=Path)
    encode.add_argument("images", type=Path, help="images or features, as .npz")
    encode.add_argument("output", type=Path)
    encode.set_defaults(run=_encode)

    decode = commands.add_parser("decode", help="labels from messages and the model alone")
    decode.add_argument("model", type=Path)
    decode.add_argument("messages", type=Path)
    decode.add_argument("output", type=Path, help=".npz to write, with one array 'labels'")
    decode.set_defaults(run=_decode)

    curve = commands.add_parser("curve", help="accuracy against bits, on a fifth held out")
    add_fitting(curve)
    curve.add_argument("--bits", type=_budgets, default=[1, 2, 3, 4, 6, 8, 16])
    curve.add_argument("--output", type=Path, help=".csv to write as well")
    curve.set_defaults(run=_curve)
    return whole
