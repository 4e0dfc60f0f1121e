"""Text in as few bytes as it takes: transformers offline and online, as files that decode.

Offline, a file holds a regularised, pruned, quantised network and the text under it; online it
holds no network, and the decoder repeats the training. Every size is that of a file which a fresh
process decoded to the same bytes; beside it stands the paper's formula (4 bytes for each nonzero
weight, no positions, no file), and general compressors on the same text, whole.

    python -m experiments text_description_length cpu --out runs/text

goes on where it stopped: every row is a process that leaves its numbers in the run's folder.
`--bytes N` takes another amount of text.
"""

from __future__ import annotations

import dataclasses
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.runner import subprocesses
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_json, write_record
from experiments.text import text_baselines, text_data, text_tables
from experiments.text.text_rows import Model, Row, Training
from fewbits.codecs.text.online import Learning
from fewbits.io.datasets import DataError


@dataclass(frozen=True)
class Sweep:
    """Strengths for each method, from weak to strong; the first ones are taken on the whole text.

    The price of a weight, some 10 bits of a file, is 7 nats over the bytes of the text: 2e-6 nats a
    byte at 4 MB. An l1 norm counts a weight by its size, about a tenth.
    """

    rl1: tuple[float, ...] = (1e-5, 1e-4)
    drr: tuple[float, ...] = (2e-6, 2e-5)
    pmmp_curvature: tuple[float, ...] = (2e-6, 2e-5)


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    bytes: int = 4_000_000
    """Of text: all methods, at their first strengths."""
    small_bytes: int = 1_000_000
    """Of text: the same, and offline all strengths and widths."""
    source: text_data.Source = "wiki"
    file: str | None = None
    """The Wikipedia file, if it is not beside the folder of data sets."""
    offline_model: Model = Model()
    online_model: Model = Model(width=128, layers=2, window=64, contexts=True)
    widths: tuple[int, ...] = (32, 96)
    """Of further networks offline, for description length against model size."""
    training: Training = Training()
    learning: Learning = Learning()
    sweep: Sweep = Sweep()
    seed: int = 0
    workers: int = 2
    """Rows that are measured side by side."""


FREE_FIELDS = ("workers",)
"""What is kept in a run's folder is kept apart by these; see `records.claim_folder`."""

PRESETS = {
    "smoke": (
        "two methods on 10 kB of made-up words",
        Config(
            bytes=10_000,
            small_bytes=10_000,
            source="made_up",
            offline_model=Model(width=16, layers=1, heads=2, window=16),
            online_model=Model(width=16, layers=1, heads=2, window=16, contexts=True),
            widths=(),
            training=Training(steps=40, fine_tune_steps=20, length=64, tolerance=0.05, lanes=16),
            learning=Learning(bytes_per_stream=500),
            sweep=Sweep((), (1e-5,), ()),
        ),
    ),
    "cpu": ("4 MB of Wikipedia on two cores", Config()),
    "gpu": (
        "100 MB of Wikipedia on an accelerator; a row is a part that resumes",
        Config(
            bytes=100_000_000,
            small_bytes=16_000_000,
            offline_model=Model(width=512, layers=8, heads=8, window=256, compute="bfloat16"),
            online_model=Model(
                width=512, layers=6, heads=8, window=256, contexts=True, compute="bfloat16"
            ),
            widths=(256,),
            training=Training(
                steps=12_000, fine_tune_steps=3_000, batch_size=64, length=512, lanes=512
            ),
            learning=Learning(streams=256, learning_rate=1e-3, warm_up_steps=200),
            sweep=Sweep((1e-7, 1e-6), (1e-7, 1e-6), (1e-7, 1e-6)),
            workers=1,
        ),
    ),
}


def rows(config: Config) -> list[Row]:
    """Every row, the longest first."""
    large, small = _label(config.bytes), _label(config.small_bytes)
    strengths = dataclasses.asdict(config.sweep)

    def offline(size: str, method: str, strength: float, model: Model) -> Row:
        return Row(
            "offline",
            method,
            strength,
            f"{size}.txt",
            "held_out.txt",
            model,
            training=config.training,
            seed=config.seed,
        )

    def online(size: str, method: str, strength: float, model: Model) -> Row:
        return Row(
            "online",
            method,
            strength,
            f"{size}.txt",
            "held_out.txt",
            model,
            learning=config.learning,
            seed=config.seed,
        )

    learned, stored = config.online_model, config.offline_model
    found = []
    for size in (large, small):
        found += [online(size, "none", 0.0, learned), offline(size, "none", 0.0, stored)]
        # The network of the offline rows, learned while coding: only the way it is told differs.
        found.append(online(size, "none", 0.0, stored))
        for method, some in strengths.items():
            found += [online(size, method, strength, learned) for strength in some[:1]]
            offline_strengths = some if size == small else some[:1]
            found += [offline(size, method, strength, stored) for strength in offline_strengths]
    for width in config.widths:
        wider = dataclasses.replace(stored, width=width)
        found.append(offline(small, "none", 0.0, wider))
    return list(dict.fromkeys(found))


def run(config: Config, run: Run) -> None:
    """Measure what is not measured yet, then write record and claims."""
    began = time.perf_counter()
    folder = run.folder / "rows"
    folder.mkdir(parents=True, exist_ok=True)
    texts, note = _texts(config, run, folder)
    wanted = rows(config)
    with ThreadPoolExecutor(config.workers) as pool:
        failures = [one for one in pool.map(lambda row: _measure(row, folder), wanted) if one]
    if failures:
        raise RuntimeError("rows failed, the others are kept:\n" + "\n".join(failures))
    measured = [
        {**json.loads(_measured(row, folder).read_text()), "contexts": row.model.contexts}
        for row in wanted
    ]
    metrics = {
        "rows": measured,
        "baselines": {label: _baselines(folder / f"{label}.txt") for label in texts},
        "text_bytes": texts,
    }
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=[config.seed],
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics=metrics,
        data=note,
        notes="file_bytes: a file that a fresh process decoded to the same bytes; formula_bytes: "
        "4 bytes a nonzero weight and the mean loss of the unquantised network on every fifth "
        "batch; speeds include compiling and are those of a process beside another. No artefact: "
        "a decoder has to repeat floats, and so needs the same kind of device",
    )
    if config.source == "wiki":
        write_claims(run, _claims(metrics, run, f"{run.experiment}/{record.name}"))


tables, figures = text_tables.tables, text_tables.figures


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """No claim of this experiment has a file: decoding repeats floats of one kind of device."""
    raise ValueError(f"{claim.id} has no file to recompute it from, yet {artifact} was given")


def _texts(config: Config, run: Run, folder: Path) -> tuple[dict[str, int], str]:
    """Writes the texts that rows read; bytes of each by label, and what is to be said of them."""
    sizes, note = {}, ""
    for size in dict.fromkeys((config.bytes, config.small_bytes)):
        sample = text_data.load(config.source, size, file=config.file, data_dir=run.data_dir)
        parts = {_label(size): sample.text}
        if not sizes:
            parts["held_out"] = sample.held_out
        for name, text in parts.items():
            path = folder / f"{name}.txt"
            if path.is_file() and path.read_bytes() != text:
                raise DataError(f"{path} is another text; give another folder with --out")
            path.write_bytes(text)
        sizes[_label(size)], note = len(sample.text), sample.note
    return sizes, note


def _measure(row: Row, folder: Path) -> str:
    """Runs one row in a process of its own, unless it was; what went wrong, or nothing."""
    path = folder / f"{row.name}.json"
    content = json.loads(json.dumps(dataclasses.asdict(row)))
    if _measured(row, folder).is_file() and json.loads(path.read_text()) == content:
        return ""
    write_json(path, content)
    try:
        subprocesses.python("experiments.text.text_rows", [path], same_device=True)
    except subprocesses.SubprocessFailedError as error:
        return f"{row.name}: {error}"
    measured = json.loads(_measured(row, folder).read_text())
    print(
        f"{row.name}: {measured['file_bytes']:,} bytes, {measured['bits_per_byte']:.3f} bits a "
        f"byte, decoded {measured['decode_bytes_per_second']:,.0f} bytes/s",
        flush=True,
    )
    return ""


def _measured(row: Row, folder: Path) -> Path:
    return folder / f"{row.name}.measured.json"


def _baselines(path: Path) -> dict[str, int]:
    stored = path.with_suffix(".baselines.json")
    if not stored.is_file():
        write_json(stored, text_baselines.sizes(path.read_bytes()))
    return json.loads(stored.read_text())


def _claims(metrics: dict[str, Any], run: Run, record: str) -> list[Claim]:
    found = []

    def claim(name: str, value: float, unit: str) -> None:
        found.append(Claim(f"text.{name}", value, None, 1, unit, record, run.command))

    for label in metrics["text_bytes"]:
        for mode in ("offline", "online"):
            same = [row for row in text_tables.of(metrics["rows"], label) if row["mode"] == mode]
            if same:
                claim(f"{label}.{mode}.bytes", min(row["file_bytes"] for row in same), "bytes")
        claim(f"{label}.xz.bytes", metrics["baselines"][label]["xz"], "bytes")
    longest = max(metrics["text_bytes"], key=metrics["text_bytes"].__getitem__)
    best = min(text_tables.of(metrics["rows"], longest), key=lambda row: row["file_bytes"])
    claim("decode_bytes_per_second", best["decode_bytes_per_second"], "bytes/s")
    return found


def _label(size: int) -> str:
    """`4MB` for 4,000,000."""
    return f"{size / 1e6:g}MB"
