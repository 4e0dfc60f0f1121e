"""Transformers as text compressors, files that decode: offline, online, xz, PPMd.

Offline, a file holds a regularised, pruned, quantised network and the text under it; online it
holds no network, and the decoder repeats the training. Every size is that of a file which a
subprocess decoded to the same bytes; beside it stands the paper's formula (4 bytes for each nonzero
weight, no positions, no file), and general compressors on the same text, whole. `--bytes N` takes
another amount of text.

Cost: cpu: 5 h on 2 cores; gpu: not run; smoke: 1 min.
Data: wiki text (file).
"""

import dataclasses
from collections.abc import Iterator
from typing import Annotated, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.runner import experiment as ex
from experiments.runner import plots, rows, subprocesses
from experiments.text import text_files
from experiments.text.text_files import Config, Sweep, Training, Trial
from fewbits.codecs import general_purpose
from fewbits.codecs.text.contexts import SHAPE
from fewbits.codecs.text.online import Learning
from fewbits.io import wikipedia
from fewbits.training.models.transformer import TransformerConfig
from pruning.methods import METHODS

_QUICK_BYTES = 100_000
"""A longer text is not coded again to verify a claim: that would take the whole run."""


class Row(NamedTuple):
    """Files of English Wikipedia.

    Decoded in a subprocess; general compressors on the whole text. Contexts: the network weighs
    tables of what followed the last bytes.
    """

    text: Annotated[str, ex.Key]
    """Its length, such as `4MB`."""
    coder: Annotated[str, ex.Key, ex.Column("coded")]
    method: Annotated[str | None, ex.Key]
    weight: Annotated[float | None, ex.Key, ex.Column(format="g")]
    trial: Trial
    text_bytes: int
    file_bytes: Annotated[
        int, ex.Over(min, "bytes"), ex.Column("whole file, bytes", ",.0f"),
        ex.Claim("text.{text}.{mode}.bytes", when=lambda row: row.mode in ("online", "offline")),
        # Another version of xz may need a few bytes more or less.
        ex.Claim("text.{text}.xz.bytes", 64, when=lambda row: row.mode == "xz"),
    ]  # fmt: skip
    bits_per_byte: Annotated[float, ex.Column("bits a byte", ".3f")]
    model_bytes: Annotated[int | None, ex.Column("network, bytes", ",")] = None
    nonzeros: Annotated[int | None, ex.Column(format=",")] = None
    formula_bytes: Annotated[float | None, ex.Column("paper's formula, bytes", ",.0f")] = None
    encode_speed: Annotated[float | None, ex.Column("encoded, bytes/s", ",.0f")] = None
    decode_speed: Annotated[float | None, ex.Column("decoded, bytes/s", ",.0f")] = None
    parameters: int | None = None
    data_bytes: int | None = None
    bits: int | None = None
    """Of a weight's grid."""
    loss_nats: float | None = None
    held_out_nats: float | None = None
    training_seconds: float | None = None
    encode_seconds: float | None = None
    decode_seconds: float | None = None

    @property
    def mode(self) -> str:
        """The trial's, or the name of a general compressor."""
        return self.coder.split()[0].strip(",")


class Speed(NamedTuple):
    """Decoding the smallest file of the longest text."""

    text: Annotated[str, ex.Key]
    coder: Annotated[str, ex.Key, ex.Column("coded")]
    decode_speed: Annotated[
        float, ex.Over(np.mean, "bytes/s"), ex.Column("decoded, bytes/s", ",.0f"),
        ex.Claim("text.decode_bytes_per_second"),
    ]  # fmt: skip


def grid(config: Config) -> list[Trial]:
    """Every file, the longest text first."""

    def trials() -> Iterator[Trial]:
        stored = config.offline_model.width
        for size in (config.bytes, config.small_bytes):
            yield from (Trial("online", size), Trial("offline", size, width=stored))
            # The network of the offline rows, learned while coding.
            yield Trial("online", size, width=stored)
            for method, weights in dataclasses.asdict(config.sweep).items():
                yield from (Trial("online", size, method, weight) for weight in weights[:1])
                some = weights if size == config.small_bytes else weights[:1]
                yield from (Trial("offline", size, method, weight, stored) for weight in some)
            yield Trial("general", size)
        yield from (Trial("offline", config.small_bytes, width=width) for width in config.widths)

    return list(dict.fromkeys(trials()))


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Row]:
    """Write a file in a subprocess, where it can be stopped, and decode it in another."""
    (trial,) = trials
    label = f"{trial.bytes / 1e6:g}MB"
    if trial.mode == "general":
        text = text_files.sample(config, trial, data.data_dir).text
        return [
            Row(label, command, None, None, trial, len(text), coded, 8 * coded / len(text))
            for command, coded in general_purpose.sizes(text).items()
        ]
    name = f"{trial.mode}_{label}_{trial.method}_{trial.weight:g}_{trial.width or 'contexts'}.fwb"
    arguments = (config, trial, data.data_dir, data.path(name))
    found = subprocesses.call(text_files.measure, *arguments, same_device=True)
    contexts = ", contexts" if text_files.model(config, trial).contexts else ""
    coder = f"{trial.mode}, {found['parameters'] / 1e6:.2f} M{contexts}"
    method = "none" if trial.method == "none" else METHODS[trial.method].title
    return [Row(label, coder, method, trial.weight or None, trial, **found)]


def derive(record: ex.Record) -> list[Speed]:
    """The decoder of the smallest file."""
    longest = max(row.text_bytes for row in record.of(Row))
    coded = [row for row in record.of(Row) if row.decode_speed and row.text_bytes == longest]
    best = min(coded, key=lambda row: row.file_bytes)
    return [Speed(best.text, best.coder, best.decode_speed)]


def recompute(config: Config, row: Row | Speed, data: ex.Data) -> list[Row] | None:
    """The file written again, where that is quick; decoding needs the same kind of device."""
    if isinstance(row, Speed) or (row.trial.mode != "general" and row.text_bytes > _QUICK_BYTES):
        return None
    return measure(config, [row.trial], data)


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Description length against penalty weight, and against model size, on the smaller text."""
    found = {}
    for name, record in records.items():
        figure, (left, right) = plots.subplots(2, width=5.4)
        small = [row for row in record.of(Row) if row.trial.bytes == record.config.small_bytes]
        offline = [row for row in small if row.mode == "offline"]
        plain = sorted((row for row in offline if not row.weight), key=lambda row: row.parameters)
        penalised = rows.grouped((row for row in offline if row.weight), lambda row: row.method)
        for method, same in penalised.items():
            (drawn,) = left.plot(*_columns(same, "weight", "file_bytes"), "o-", label=method)
            left.plot(*_columns(same, "weight", "formula_bytes"), ".:", color=drawn.get_color())
        width = record.config.offline_model.width
        own = next(row.file_bytes for row in plain if row.trial.width == width)
        left.axhline(own, color="black", label="no penalty")
        left.set(xscale="log", xlabel="penalty weight")
        left.set_title("files (lines), the paper's formula (dots)", fontsize="medium")
        for field, label in (("file_bytes", "file"), ("data_bytes", "its text"),
                             ("formula_bytes", "formula")):  # fmt: skip
            right.plot(*_columns(plain, "parameters", field), "o-", label=label)
        right.set(xscale="log", xlabel="parameters")
        xz = next(row.file_bytes for row in small if row.mode == "xz")
        for axis in (left, right):
            axis.axhline(xz, color=plots.BASELINE, ls="--", label="xz -9e")
            axis.set_ylabel(f"bytes for {small[0].text} of text")
            axis.legend()
        found[f"{name}_description_length"] = figure
    return found


def _columns(of: list[Row], *fields: str) -> list[list[float]]:
    return [[getattr(row, field) for row in of] for field in fields]


_TINY = TransformerConfig(16, 1, 2, window=16)
_LARGE = TransformerConfig(512, 8, 8, window=256, compute="bfloat16")

EXPERIMENT = ex.of_module(
    __name__,
    (Row, Speed),
    {
        "cpu": Config(),
        "gpu": Config(
            bytes=100_000_000, small_bytes=16_000_000, widths=(256,), offline_model=_LARGE,
            online_model=dataclasses.replace(_LARGE, layers=6, contexts=SHAPE),
            training=Training(12_000, 3_000, batch_size=64, length=512, streams=512),
            learning=Learning(streams=256, learning_rate=1e-3, warm_up_steps=200),
            sweep=Sweep((1e-7, 1e-6), (1e-7, 1e-6), (1e-7, 1e-6)),
        ),
        "smoke": Config(
            bytes=10_000, small_bytes=10_000, source="made_up", widths=(), offline_model=_TINY,
            online_model=dataclasses.replace(_TINY, contexts=SHAPE),
            training=Training(40, 20, length=64, tolerance=0.05, streams=16),
            learning=Learning(bytes_per_stream=500), sweep=Sweep((), (1e-5,), ()),
        ),
    },
    data=lambda config: wikipedia.NOTES[config.source],
    notes="formula_bytes: 4 bytes a nonzero weight and the mean loss of the unquantised network on "
    "every fifth batch; speeds include compiling. No artefact: a decoder has to repeat floats, and "
    "so needs the same kind of device",
    headline="text.4MB.online.bytes",
)  # fmt: skip
