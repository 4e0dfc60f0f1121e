"""Tables and pictures of attacks on archives."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from experiments.runner import plots
from experiments.runner.registry import Table
from experiments.runner.statistics import over_seeds
from lgc.privacy.distance_ratios import QUANTILES

COLUMNS = (
    "mode",
    "file, bytes",
    "strongest attack",
    "AUC",
    "TPR at 0.1 % FPR, %",
    "median distance ratio",
    "closer to members, %",
    "p, one-sided",
)
_ROC_POINTS = 60


def summaries(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One line for each mode."""
    found = []
    for row in rows:
        attack, distances = row["attacks"][row["strongest"]], row["distances"]
        median = [each["ratio_quantiles"][QUANTILES.index(0.5)] for each in distances]
        found.append(
            (
                row["mode"].replace("_", " "),
                f"{np.mean(row['bytes']):,.0f}",
                f"{attack['score']}, {attack['calibration']}",
                over_seeds(attack["auc"]).text(3),
                over_seeds(100 * np.array(attack["true_positive_rate"])).text(),
                f"{np.mean(median):.3f}",
                f"{100 * np.mean([each['closer_share'] for each in distances]):.1f}",
                f"{np.median([each['p_value'] for each in distances]):.3f}",
            )
        )
    return found


def tables(rows: list[dict[str, Any]]) -> list[Table]:
    """The strongest attack on each mode, and all attacks."""
    every = [
        (
            row["mode"].replace("_", " "),
            attack["score"],
            attack["calibration"],
            over_seeds(attack["auc"]).text(3),
            f"{np.mean(attack['standard_error']):.3f}",
            over_seeds(100 * np.array(attack["true_positive_rate"])).text(),
        )
        for row in rows
        for attack in row["attacks"]
    ]
    pools = {row["mode"]: row["pool"] for row in rows}
    sizes = ", ".join(f"{pool:,} ({mode.replace('_', ' ')})" for mode, pool in pools.items())
    members = f"{max(pools.values()) // 2:,} images"
    return [
        Table(
            f"Who was in an archive of {members}: the strongest attack on each mode",
            COLUMNS,
            summaries(rows),
            "Mean ± standard deviation over targets. AUC 0.5: no better than chance; the strongest "
            "of all attacks by the AUC itself, which flatters the attacker a little. Distance "
            "ratio: nearest member over nearest held-out image, of drawn images; p: probability "
            "that another random half would have been as close (median over targets). The lossy "
            f"subset is the control. Images in the pool, half of them in an archive: {sizes}.",
        ),
        Table(
            f"Every attack on archives of {members}",
            (
                "mode",
                "score",
                "calibration",
                "AUC",
                "its standard error over images",
                "TPR at 0.1 % FPR, %",
            ),
            every,
            "Raw: the target's score alone. Offline and online: likelihood-ratio attacks with "
            "shadow archives that were all made without, and half of them with, the image.",
        ),
    ]


def figure(rows: list[dict[str, Any]]) -> Figure:
    """ROC curves of the strongest attacks, and distance ratios."""
    drawn, (curve, ratio) = plots.subplots(2, width=4.4)
    for row in rows:
        name = row["mode"].replace("_", " ")
        curve.plot(row["roc"]["false_positive_rate"], row["roc"]["true_positive_rate"], label=name)
        quantiles = np.mean([each["ratio_quantiles"] for each in row["distances"]], axis=0)
        ratio.plot(quantiles, QUANTILES, "o-", label=name)
    curve.plot([1e-4, 1], [1e-4, 1], "--", color=plots.BASELINE, lw=0.8)
    curve.set(
        xscale="log",
        yscale="log",
        xlim=(1e-4, 1),
        ylim=(1e-4, 1.2),
        xlabel="false-positive rate",
        ylabel="true-positive rate",
    )
    curve.set_title("the strongest attack on one target", loc="left")
    curve.legend()
    ratio.axvline(1, ls="--", color=plots.BASELINE, lw=0.8)
    ratio.set(
        xscale="log", xlabel="nearest member / nearest held-out", ylabel="share of drawn images"
    )
    ratio.set_title("distances of drawn images", loc="left")
    return drawn


def roc(scores: np.ndarray, members: np.ndarray) -> dict[str, list[float]]:
    """Some points of a ROC curve, evenly spaced in the logarithm of the false-positive rate.

    Args:
      scores: float[n], larger for members.
      members: bool[n].
    """
    others = np.sort(scores[~members])[::-1]
    count = len(others)
    allowed = np.unique(np.geomspace(1, count, _ROC_POINTS).astype(int)) - 1
    ordered = np.sort(scores[members])
    above = len(ordered) - np.searchsorted(ordered, others[allowed], side="right")
    return {
        "false_positive_rate": (allowed / count).tolist(),
        "true_positive_rate": (above / len(ordered)).tolist(),
    }
