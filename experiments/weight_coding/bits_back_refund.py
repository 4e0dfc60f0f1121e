"""Bits-back coding of weights: bits sent, refunded and net, against KL.

100,000 weights with Gaussian posteriors are sent with a sample of each. The finer the grid, the
more bits are sent, and the more come back to a receiver who knows the posteriors; what remains is
their divergence from the prior. Nobody can claim that refund for a model's file alone, since the
posterior of weights follows from the training data: KL is no file size. The claim
is that the net cost comes to it.

Cost: paper: 20 s on 1 core; smoke: 2 s.
Data: none.
"""

from dataclasses import dataclass
from itertools import product
from typing import Annotated, NamedTuple

import numpy as np

from experiments.runner import experiment as ex
from fewbits.coding.bits_back import bits_back


@dataclass(frozen=True)
class Config:
    weights: int = 100_000
    streams: int = 1_000
    prior_scale: float = 0.05
    """sigma."""
    median_scale: float = 0.02
    """Of the posteriors' standard deviations s, which spread by a factor of e^(1/2)."""
    fineness: tuple[float, ...] = (1, 2, 5, 10, 20, 50, 100)
    """Median of s over the quantisation step delta."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


Bits = Annotated[float, ex.MeanOverSeeds(), ex.Axis("bits per weight")]


class Row(NamedTuple):
    """Bits-back coding of weights: gross, refund and net, bits per weight.

    Mean ± standard deviation over seeds. Net of refund is no size of a file: only a receiver who
    can compute the posterior gets the refund.
    """

    fineness: Annotated[float, ex.Key, ex.Axis("median s / delta", "log"),
                        ex.Column("median s / delta", "g")]  # fmt: skip
    seed: int
    sent_bits: Annotated[Bits, ex.Column("sent (gross)", ".3f")]
    borrowed_bits: Annotated[Bits, ex.Column("refund", ".3f")]
    net_bits: Annotated[Bits, ex.Column("net", ".3f")]
    divergence_bits: Annotated[Bits, ex.Column("KL", ".3f")]
    net_of_divergence: Annotated[
        float, ex.MeanOverSeeds("of KL"), ex.Column("net / KL", ".3f"),
        ex.Claim("coding.bits_back.weights.net_of_kl", 1e-4, when=lambda row: row.fineness == 100),
    ]  # fmt: skip


def measure(config: Config, trials: list[tuple[float, int]], data: ex.Data) -> list[Row]:
    """Send a sample of the weights, receive it again; bits per weight."""
    ((fineness, seed),) = trials
    rng = np.random.default_rng(seed)
    sigma, shape = config.prior_scale, (-1, config.streams)
    scale = np.exp(rng.normal(np.log(config.median_scale), 0.5, config.weights))
    scale = np.minimum(scale, sigma)
    mean = rng.normal(0, 1, config.weights) * np.sqrt(sigma**2 - scale**2)
    step = float(np.median(scale)) / fineness
    ledger = bits_back.exchange(
        mean.reshape(shape), scale.reshape(shape), sigma, step, rng.bytes(8 * config.weights)
    )
    divergence = float(bits_back.divergence_bits(mean, scale, sigma).mean())
    sent, borrowed = (bits / config.weights for bits in (ledger.sent_bits, ledger.borrowed_bits))
    net = sent - borrowed
    return [Row(fineness, seed, sent, borrowed, net, divergence, net / divergence)]


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "paper": Config(),
        "smoke": Config(weights=5_000, streams=100, fineness=(2, 100), seeds=(0, 1)),
    },
    grid=lambda config: product(config.fineness, config.seeds),
    recompute=lambda config, row, data: measure(config, [(row.fineness, row.seed)], data),
    data="synthetic posteriors",
    free=("seeds", "fineness"),
    notes="every exchange was received to the same weights and the same payload",
)
