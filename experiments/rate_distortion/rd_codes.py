"""Codes that can be deployed, against the certified bound: how much is left between them.

Lloyd-Max, the optimal entropy-constrained scalar code (dynamic programming), vector codes in two
dimensions (annealed), and the entropy-coded trellis, on the Gaussian and on the report's trimodal
source. The report compared a stochastic encoder with a quantiser at another distortion; here every
code is deterministic, sits beside R(D) at its own distortion, and three of them are files.

    python -m experiments rd_codes paper
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.rate_distortion.rd_codes_files import check, gaussian_samples, letters
from experiments.rate_distortion.rd_codes_fits import (
    certified_rate_everywhere,
    certified_rates,
    gaussian_trellises,
    scalar_codes,
    trimodal_trellis,
    vector_codes,
)
from experiments.runner import plots
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from experiments.runner.registry import Table
from fewbits.coding import container
from ratedist import closed_forms, quantizers, sources
from ratedist.codes import code_file

DECIBELS_PER_BIT = 20.0 * np.log10(2.0)


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    gaussian_prices: tuple[float, ...] = (1.2, 2.0, 2.8, 5.0, 11.0, 22.0, 46.0)
    """s, bits per unit of distortion; at high rate D = 1 / (2 ln 2 s)."""
    trellis_prices: tuple[float, ...] = (2.8, 5.0, 11.0, 22.0)
    trimodal_prices: tuple[float, ...] = (0.2, 0.4, 0.7, 0.9, 1.3, 2.0, 3.5)
    level: float = 0.6
    """Where the trimodal codes are compared."""
    training: int = 16_384
    length: int = 300_000
    """Letters in each file."""
    rounds: int = 25
    grid: int = 40
    """Letters on each axis of the 2-D Gaussian that vector codes are fitted to."""
    seed: int = 0


PRESETS = {
    "paper": ("seven rates, files of 300,000 letters", Config()),
    "smoke": (
        "two rates, files of 4,000 letters",
        Config(
            gaussian_prices=(2.8, 5.0),
            trellis_prices=(2.8,),
            trimodal_prices=(0.7,),
            training=2_000,
            length=4_000,
            rounds=4,
            grid=12,
        ),
    ),
}


def run(config: Config, run: Run) -> None:
    """Fit every code, write three files, decode them in fresh processes, record, claim."""
    began = time.perf_counter()
    trimodal, gaussian = sources.trimodal(), sources.gaussian(400, 6.0)
    coarse = sources.gaussian(config.grid, 4.5)
    rows = []
    for name, source, prices in (
        ("Gaussian", gaussian, config.gaussian_prices),
        ("trimodal", trimodal, config.trimodal_prices),
    ):
        rows += _beside_bound(name, source, scalar_codes(source, prices))
    rows += _beside_bound("Gaussian", coarse, vector_codes(coarse, config.gaussian_prices))
    print(f"{len(rows)} codes beside their bounds", flush=True)

    files = [_scalar_file(config, run, trimodal), _trellis_file(config, run, trimodal)]
    gaussian_files = _gaussian_files(config, run)
    for row in [*files, *gaussian_files]:
        print(f"{row['file']}: {row['bits']:.4f} bits at D = {row['distortion']:.4f}, "
              f"gap {row['gap_bits']:.4f}")  # fmt: skip
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=(config.seed,),
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={"codes": rows, "files": files, "gaussian_files": gaussian_files},
        data="synthetic sources; trimodal letters in the source's exact proportions, shuffled",
        notes="bits of a file are all of its bytes; trellises are fitted to other samples than "
        "those in the files",
    )
    if run.preset == "paper":
        worst = max(gaussian_files, key=lambda row: row["gap_bits"])
        _claim(run, record, "trimodal.scalar_bits", files[0], "bits")
        _claim(run, record, "trimodal.best_bits", files[1], "bits")
        _claim(run, record, "gaussian.trellis_gap_bits", worst, "gap_bits")


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """The files, and every code by source."""
    if "paper" not in records:
        return []
    metrics = records["paper"]["metrics"]
    files = [
        (
            row["code"],
            row["source"],
            f"{row['bytes']:,}",
            f"{row['distortion']:.4f}",
            f"{row['bits']:.4f}",
            f"{row['bound_bits']:.4f}",
            f"{row['gap_bits']:.4f}",
            f"{DECIBELS_PER_BIT * row['gap_bits']:.2f}",
        )
        for row in [*metrics["files"], *metrics["gaussian_files"]]
    ]
    codes = [
        (
            row["source"],
            row["code"],
            row["cells"],
            f"{row['distortion']:.4f}",
            f"{row['rate_bits']:.4f}",
            f"{row['bound_bits']:.4f}",
            f"{row['gap_bits']:.4f}",
            f"{DECIBELS_PER_BIT * row['gap_bits']:.2f}",
        )
        for row in metrics["codes"]
    ]
    return [
        Table(
            "Files of quantised letters against R(D)",
            ("code", "source", "bytes", "D", "bits/letter", "R(D)", "gap, bits", "gap, dB"),
            files,
            "All bytes of the file count; each was decoded in a fresh process and measured there. "
            "R(D) is exact for the Gaussian, and for the trimodal source a bound over all "
            "reconstruction points.",
        ),
        Table(
            "Deterministic codes against certified R(D) at their own distortion",
            ("source", "code", "cells", "D", "H(Y)/letter", "R(D) >=", "gap, bits", "gap, dB"),
            codes,
        ),
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Gap over rate for both sources."""
    if "paper" not in records:
        return {}
    metrics = records["paper"]["metrics"]
    figure, axes = plots.subplots(2)
    for axis, source in zip(axes, ("Gaussian", "trimodal"), strict=True):
        codes = [row for row in metrics["codes"] if row["source"] == source]
        for code in dict.fromkeys(row["code"] for row in codes):
            rows = [row for row in codes if row["code"] == code]
            axis.plot([r["rate_bits"] for r in rows], [r["gap_bits"] for r in rows], "o-", ms=3,
                      label=code)  # fmt: skip
        files = [
            row
            for row in [*metrics["files"], *metrics["gaussian_files"]]
            if row["source"] == source and row["code"] == "trellis"
        ]
        axis.plot([r["bits"] for r in files], [r["gap_bits"] for r in files], "k*-",
                  label="trellis, whole file")  # fmt: skip
        axis.set(xlabel="rate, bits per letter", ylabel="above R(D), bits", title=source)
        axis.legend(fontsize=7)
    return {"codes": figure}


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """Decode the file in a fresh process, measure its distortion, count its bytes again."""
    config = record["config"]
    if ".gaussian." in claim.id:
        samples = gaussian_samples(config["length"], config["seed"] + 1)
        measured = check(artifact, samples)
        bound = float(closed_forms.gaussian_squared(1.0, measured.distortion))
        return measured.bits - bound
    samples = letters(sources.trimodal(), config["length"], config["seed"] + 1)
    measured = check(artifact, samples)
    if measured.distortion > config["level"]:
        raise ValueError(f"distortion {measured.distortion}, claimed at {config['level']}")
    return measured.bits


def _beside_bound(name: str, source: sources.Source, rows: list[dict[str, Any]]) -> list[dict]:
    """The rows, each with the certified R(D) of the same letters at the same distortion."""
    bounds = certified_rates(source, [row["distortion"] for row in rows])
    for row, bound in zip(rows, bounds, strict=True):
        row |= {"source": name, "bound_bits": bound, "gap_bits": row["rate_bits"] - bound}
    return rows


def _scalar_file(config: Config, run: Run, source: sources.Source) -> dict[str, Any]:
    sequence = letters(source, config.length, config.seed + 1)
    code = quantizers.scalar_code_at(source.p, source.points[:, 0], config.level)
    used, cell = np.unique(np.asarray(code.cell), return_inverse=True)
    place = np.searchsorted(source.points[:, 0], sequence)
    quantised = code_file.Quantised(
        (config.length,), (np.asarray(code.points)[used],), (cell.reshape(-1)[place],)
    )
    return _file(run, source, sequence, quantised, "rd_trimodal_scalar.fwb", "scalar")


def _trellis_file(config: Config, run: Run, source: sources.Source) -> dict[str, Any]:
    training = letters(source, config.training, config.seed)
    sequence = letters(source, config.length, config.seed + 1)
    quantised = trimodal_trellis(training, sequence, config.level, config.rounds)
    return _file(run, source, sequence, quantised, "rd_trimodal_trellis.fwb", "trellis")


def _gaussian_files(config: Config, run: Run) -> list[dict[str, Any]]:
    training = gaussian_samples(config.training, config.seed)
    sequence = gaussian_samples(config.length, config.seed + 1)
    found = gaussian_trellises(training, sequence, config.trellis_prices, config.rounds)
    return [
        _file(run, None, sequence, quantised, f"rd_gaussian_trellis{number}.fwb", "trellis")
        for number, quantised in enumerate(found)
    ]


def _file(
    run: Run,
    source: sources.Source | None,
    sequence: np.ndarray,
    quantised: code_file.Quantised,
    name: str,
    code: str,
) -> dict[str, Any]:
    path = run.folder / name
    container.save(path, code_file.write(quantised))
    measured = check(path, sequence)
    if source is None:
        bound = float(closed_forms.gaussian_squared(1.0, measured.distortion))
    else:
        bound = certified_rate_everywhere(source, measured.distortion)
    return {
        "file": name,
        "source": "Gaussian" if source is None else "trimodal",
        "code": code,
        "bytes": measured.bytes,
        "bits": measured.bits,
        "distortion": measured.distortion,
        "bound_bits": bound,
        "gap_bits": measured.bits - bound,
    }


def _claim(run: Run, record: Path, name: str, row: dict[str, Any], field: str) -> None:
    # Only the files that a claim rests on are published.
    (run.folder / row["file"]).rename(run.artifacts / row["file"])
    claim = Claim(
        id=f"ratedist.{name}",
        value=row[field],
        std=None,
        seeds=1,
        unit="bits",
        record=f"rd_codes/{record.name}",
        command=run.command,
        tolerance=1e-9,
        bytes=row["bytes"],
        artifact=row["file"],
    )
    write_claims(run, [claim])
