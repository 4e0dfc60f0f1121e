"""What precision costs and what of it comes back: bits-back coding of weights over the step delta.

100,000 weights with Gaussian posteriors are sent with a sample of each. The finer the grid, the
more bits are sent, and the more come back to a receiver who knows the posteriors; what remains is
their divergence from the prior. Nobody can claim that refund for a model's file alone, since the
posterior of weights follows from the training data: KL is no file size, and none is claimed here.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.runner import plots
from experiments.runner.records import Run, Seconds, write_record
from experiments.runner.registry import Table
from fewbits.coding import bits_back
from fewbits.coding.stream_stack import StreamStack


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    weights: int = 100_000
    lanes: int = 1_000
    prior_scale: float = 0.05
    """sigma."""
    median_scale: float = 0.02
    """Of the posteriors' standard deviations s, which spread by a factor of e^(1/2)."""
    fineness: tuple[float, ...] = (1, 2, 5, 10, 20, 50, 100)
    """Median of s over delta."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


PRESETS = {
    "paper": ("100,000 weights, seven steps, five seeds", Config()),
    "smoke": (
        "5,000 weights, two steps",
        Config(weights=5_000, lanes=100, fineness=(2, 20), seeds=(0, 1)),
    ),
}


def run(config: Config, run: Run) -> None:
    """Send, receive and compare for every step and seed."""
    began = time.perf_counter()
    rows = [_exchange(config, f, seed) for seed in config.seeds for f in config.fineness]
    write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={"exchanges": rows},
        data="synthetic posteriors",
        notes="every exchange was received to the same weights and the same payload",
    )
    for row in _table_rows(rows):
        print("  ".join(row))


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Gross, refund and net over the step."""
    if "paper" not in records:
        return []
    record = records["paper"]
    return [
        Table(
            "Bits-back coding of weights: gross, refund and net, bits per weight",
            ("median s / delta", "sent (gross)", "refund", "net", "KL", "net / KL"),
            _table_rows(record["metrics"]["exchanges"]),
            f"Mean over {len(record['seeds'])} seeds. Net of refund is no size of a file: only a "
            "receiver who can compute the posterior gets the refund.",
        )
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Gross and net against the step."""
    if "paper" not in records:
        return {}
    record = records["paper"]
    rows = record["metrics"]["exchanges"]
    fineness = record["config"]["fineness"]
    figure, (axis,) = plots.subplots(width=5.4)
    for name, label in (
        ("sent_bits", "sent (gross)"),
        ("net_bits", "net of the refund"),
        ("divergence_bits", "KL of posterior and prior"),
    ):
        line = "--" if name == "divergence_bits" else "o-"
        axis.plot(fineness, [_mean(rows, f, name) for f in fineness], line, label=label)
    axis.set(xscale="log", xlabel="median s / delta", ylabel="bits per weight", ylim=(0, None))
    axis.legend()
    return {"refund": figure}


def _exchange(config: Config, fineness: float, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    sigma = config.prior_scale
    scale = np.exp(rng.normal(np.log(config.median_scale), 0.5, config.weights))
    scale = np.minimum(scale, sigma)
    mean = rng.normal(0, 1, config.weights) * np.sqrt(sigma**2 - scale**2)
    step = float(np.median(scale)) / fineness
    stack = StreamStack(config.lanes, rng.bytes(8 * config.weights))
    before = stack.to_bytes()
    edges = bits_back.grid(step, 8 * sigma)
    prior = bits_back.normal_on_grid(edges, step, np.zeros(config.lanes), sigma)
    lanes = np.arange(config.weights).reshape(-1, config.lanes)
    posteriors = [bits_back.normal_on_grid(edges, step, mean[r], scale[r]) for r in lanes]
    sent, ledger = bits_back.send(stack, posteriors, prior)
    receiver = StreamStack.from_bytes(stack.to_bytes(), config.lanes)
    received = bits_back.receive(receiver, posteriors, prior)
    if receiver.to_bytes() != before or not np.array_equal(sent, received):
        raise ValueError(f"the exchange at fineness {fineness} did not come back")
    return {
        "seed": seed,
        "fineness": fineness,
        "sent_bits": ledger.sent_bits / config.weights,
        "borrowed_bits": ledger.borrowed_bits / config.weights,
        "net_bits": ledger.net_bits / config.weights,
        "divergence_bits": float(bits_back.divergence_bits(mean, scale, sigma).mean()),
    }


def _mean(rows: list[dict[str, Any]], fineness: float, name: str) -> float:
    return float(np.mean([row[name] for row in rows if row["fineness"] == fineness]))


def _table_rows(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    found = []
    for fineness in dict.fromkeys(row["fineness"] for row in rows):
        names = ("sent_bits", "borrowed_bits", "net_bits", "divergence_bits")
        sent, borrowed, net, divergence = (_mean(rows, fineness, name) for name in names)
        columns = (sent, borrowed, net, divergence, net / divergence)
        found.append((f"{fineness:g}", *(f"{value:.3f}" for value in columns)))
    return found
