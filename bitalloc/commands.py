"""`fewbits bitalloc`: classify from a handful of bits: fit, encode and decode data of one's own."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np

from fewbits import cli, flags
from fewbits.coding import InputError
from fewbits.io import inputs, outputs
from fewbits.io.image_sets import forms
from fewbits.io.progress import Bar

_TARGETS = (0.7, 0.8, 0.9)
_HELD_OUT_SHARE = 0.2


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's mistake."""
    return cli.run(parser("python -m bitalloc"), arguments)


def _config(options: argparse.Namespace):
    from bitalloc.fitting.fit import FitConfig

    return FitConfig(
        networks=not options.no_networks, smaller_budgets=not options.no_smaller_budgets
    )


def _fit(options: argparse.Namespace) -> cli.Result:
    save = outputs.saver(options.model, inputs=[options.input], force=options.force)
    from bitalloc import datafiles

    features, labels, form = datafiles.read(options, need_labels=True)
    assert labels is not None
    import jax

    import bitalloc
    from bitalloc.api import validation_accuracy

    key = jax.random.key(options.seed)
    with Bar(str(options.input), quiet=options.quiet):
        model = bitalloc.fit(
            features, labels, options.bits, mode=options.mode, sensors=options.sensors,
            nested=options.nested, config=_config(options), key=key,
        )  # fmt: skip
        data = forms.attach(bitalloc.to_bytes(model), datafiles.label_form(form))
        save(data)
        right = validation_accuracy(model, features, labels, key)
    found = {
        "output": str(options.model),
        "bytes": len(data),
        "mode": model.mode,
        "bits": model.bits,
        "padding_bits": model.padding_bits,
        "sensor_bits": model.sensor_bits,
        "decoder": model.decoder_kind,
        "weight_bits": model.precision,
        "classes": list(model.classes),
        "n_train": model.n_train,
        "n_validation": model.n_validation,
        "validation_accuracy": right,
        "shorter_messages": [prefix.bits for prefix in model.prefixes],
    }
    counted = "validation examples" if model.estimate is None else "left-out examples"
    split = "+".join(map(str, model.sensor_bits))
    unused = f", {model.padding_bits} of them unused" if model.padding_bits else ""
    return cli.Result(
        found,
        f"{options.model}: {100 * right:.2f} % of {model.n_validation} {counted} "
        f"decoded rightly; model {len(data):,} bytes, {model.bits} bits per example{unused} "
        f"({split} by sensor), mode {model.mode}, {model.decoder_kind} decoder, "
        f"{model.n_train} training examples",
    )


def _encode(options: argparse.Namespace) -> cli.Result:
    import bitalloc
    from bitalloc import datafiles, message_file

    given = [options.model, options.input]
    save = outputs.saver(options.output, inputs=given, force=options.force)
    options.blamed = options.model
    model_bytes = inputs.read_file(options.model)
    model = bitalloc.from_bytes(model_bytes)
    features, _, _ = datafiles.read(options, need_labels=False)
    options.blamed = options.input
    payload = bitalloc.encode(model, features, options.bits)
    bits = model.bits if options.bits is None else options.bits
    shorter = None if bits == model.bits else bits
    data = message_file.write_messages(model_bytes, payload, len(features), shorter)
    save(data)
    return cli.Result(
        {
            "output": str(options.output),
            "bytes": len(data),
            "messages": len(features),
            "bits": bits,
            "payload_bytes": len(payload),
        },
        f"{options.output}: {len(features):,} messages of {bits} bits: {len(payload):,} "
        f"bytes and a header of {len(data) - len(payload)}",
    )


def _decode(options: argparse.Namespace) -> cli.Result:
    import bitalloc
    from bitalloc import datafiles, message_file

    given = [options.model, options.messages]
    with outputs.open_output(options.output, inputs=given, force=options.force) as file:
        options.blamed = options.model
        model_bytes = inputs.read_file(options.model)
        model = bitalloc.from_bytes(model_bytes)
        options.blamed = options.messages
        received = inputs.read_file(options.messages)
        payload, n, bits = message_file.read_messages(received, model_bytes)
        labels = bitalloc.decode(model, payload, n, bits)
        np.savez(file, labels=datafiles.own_labels(labels, forms.of_file(model_bytes)))
    return cli.Result(
        {"output": str(options.output), "labels": n}, f"{options.output}: {n:,} labels"
    )


def _curve(options: argparse.Namespace) -> cli.Result | None:
    if min(options.bits) < 1:
        raise InputError(f"--bits {options.bits}: every budget must be at least 1")
    save, streamed = None, False
    if options.output is not None:
        streamed = outputs.is_stream(options.output)
        save = outputs.saver(options.output, inputs=[options.input], force=options.force, show=True)
    from bitalloc import datafiles

    features, labels, _ = datafiles.read(options, need_labels=True)
    import jax

    from bitalloc import api, to_bytes
    from bitalloc.fitting.allocation import fewest_bits

    budgets = sorted(set(options.bits))
    points = api.curve(
        features, labels, budgets, _HELD_OUT_SHARE, mode=options.mode, sensors=options.sensors,
        config=_config(options), key=jax.random.key(options.seed),
    )  # fmt: skip
    head = "bits,validation_accuracy,held_out_accuracy,decoder,sensor_bits,model_bytes"
    theirs = {}
    if options.compare:
        theirs = api.rival_curve(
            features, labels, budgets, _HELD_OUT_SHARE, key=jax.random.key(options.seed)
        )
        head += ",usual_accuracy,usual_way"
    rows, found = [head], []
    score = np.full(max(budgets) + 1, np.nan)
    with Bar(str(options.input), quiet=options.quiet) as bar:
        for bits, (model, validation, held_out) in zip(budgets, points, strict=True):
            score[bits], size = held_out, len(to_bytes(model))
            split = "+".join(map(str, model.sensor_bits))
            rows.append(
                f"{bits},{validation:.4f},{held_out:.4f},{model.decoder_kind},{split},{size}"
                + (f",{theirs[bits][1]:.4f},{theirs[bits][0]}" if theirs else "")
            )
            found.append(
                {
                    "bits": bits,
                    "validation_accuracy": validation,
                    "held_out_accuracy": held_out,
                    "decoder": model.decoder_kind,
                    "sensor_bits": model.sensor_bits,
                    "model_bytes": size,
                }
                | (
                    {"usual_accuracy": theirs[bits][1], "usual_way": theirs[bits][0]}
                    if theirs
                    else {}
                )
            )
            if not options.json and not streamed:  # as they come: each takes a while
                print("\n".join(rows[-2:] if len(rows) == 2 else rows[-1:]), flush=True)
            if save is not None and not streamed:
                save(("\n".join(rows) + "\n").encode())
            bar(len(found), len(budgets))
    for target in _TARGETS:
        bits = fewest_bits(score, target)
        reached = (
            "none of these budgets" if bits is None else f"{bits} {'bit' if bits == 1 else 'bits'}"
        )
        print(f"{target:.0%} of the held-out examples: {reached}", file=sys.stderr)
    if save is not None and streamed:
        save(("\n".join(rows) + "\n").encode())
    return cli.Result(found, "") if options.json else None


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog)
    commands = whole.add_subparsers()

    def verb(name: str, run: Any, purpose: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=purpose, description=purpose)
        command.set_defaults(run=run)
        return command

    def add_fitting(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--mode", choices=("auto", "pixel", "projection", "decision"), default="auto",
            help="what a bit may depend on: one feature, a linear functional, anything; auto: the "
            "best of all, and of classifiers whose class is sent",
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
        flags.add_common(command, seed="of every random choice", quiet=True)

    labelled = f"{flags.SET_HELP}. An .npz may hold feature vectors (N x M) instead of images"

    fit = verb("fit", _fit, "fit an encoder and its decoder, write the model's file")
    fit.add_argument("input", type=Path, metavar="IN", help=labelled)
    flags.add_output(fit, "model", metavar="MODEL", help="the file to write")
    fit.add_argument("--bits", type=int, required=True, metavar="B", help="bits per example")
    fit.add_argument(
        "--nested", action="store_true",
        help="messages whose first bits can be decoded too (auto, one sensor: always; pixel)",
    )  # fmt: skip
    flags.add_image_set(fit)
    add_fitting(fit)

    encode = verb("encode", _encode, "write the messages of images or features")
    encode.add_argument("model", type=Path, metavar="MODEL", help="from fit")
    encode.add_argument(
        "input", type=Path, metavar="IN", help="images or features as in fit; labels are not read"
    )
    flags.add_output(encode, "output", metavar="OUT", help="file of messages to write")
    encode.add_argument(
        "--bits", type=int, metavar="B",
        help="send the first so many bits only, of a nested model (default: all)",
    )  # fmt: skip
    flags.add_image_set(encode)
    flags.add_common(encode)

    decode = verb("decode", _decode, "write the labels that messages and the model alone give")
    decode.add_argument("model", type=Path, metavar="MODEL", help="that encoded them")
    decode.add_argument("messages", type=Path, metavar="IN", help="file of messages; - for stdin")
    flags.add_output(decode, "output", metavar="OUT", help=".npz to write, with 'labels'")
    flags.add_common(decode)

    curve = verb("curve", _curve, "print accuracy against bits as CSV, on a fifth held out")
    curve.add_argument("input", type=Path, metavar="IN", help=labelled)
    curve.add_argument("--bits", type=flags.integers, default="1,2,3,4,6,8,16", metavar="B,B,...",
                       help="budgets, bits per example")  # fmt: skip
    flags.add_image_set(curve)
    flags.add_output(
        curve, "--output", metavar="FILE", help=".csv to write as well (default: none)"
    )
    curve.add_argument(
        "--compare", action="store_true",
        help="two columns more: the best of a decision tree, boosted trees and logistic regression "
        "from as many bits, in the view of one sensor",
    )  # fmt: skip
    add_fitting(curve)
    return whole
