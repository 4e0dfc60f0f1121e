"""What RESULTS.md shows of texts: every row beside general compressors, and two figures."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from experiments.runner import plots
from experiments.runner.registry import Table
from experiments.text import text_baselines, text_methods

SHOWN = ("cpu", "gpu")
"""Presets whose records make tables and figures."""
_LONGER = {
    "cpu": "1 MB and 4 MB of English Wikipedia",
    "gpu": "16 MB and 100 MB of English Wikipedia",
}
"""Of a preset that was not run."""


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Every row beside the general compressors on the same text."""
    found = []
    for preset in SHOWN:
        if preset not in records:
            missing = ("not run", f"python -m experiments text_description_length {preset}")
            found.append(Table(f"{_LONGER[preset]} ({preset})", ("files", "command"), [missing]))
            continue
        metrics = records[preset]["metrics"]
        for label, size in metrics["text_bytes"].items():
            body = [_table_row(row) for row in of(metrics["rows"], label)]
            for name, coded in metrics["baselines"][label].items():
                bits = f"{8 * coded / size:.3f}"
                command = text_baselines.COMMANDS[name]
                body.append((command, "", "", "", "", f"{coded:,}", bits, "", "", ""))
            found.append(
                Table(
                    f"{size:,} bytes of English Wikipedia ({preset})",
                    (
                        "coded",
                        "method",
                        "strength",
                        "nonzeros",
                        "network, bytes",
                        "whole file, bytes",
                        "bits a byte",
                        "paper's formula, bytes",
                        "encoded, bytes/s",
                        "decoded, bytes/s",
                    ),
                    body,
                    "Files that a fresh process decoded; general compressors on the whole text. "
                    "Contexts: the network weighs tables of what followed the last bytes.",
                )
            )
    return found


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Description length against strength, and against model size, on the smaller text."""
    found = {}
    for preset in SHOWN:
        if preset not in records:
            continue
        metrics = records[preset]["metrics"]
        label = min(metrics["text_bytes"], key=metrics["text_bytes"].__getitem__)
        offline = [row for row in of(metrics["rows"], label) if row["mode"] == "offline"]
        found[f"{preset}_against_strength"] = _against_strength(offline, metrics, label)
        found[f"{preset}_against_size"] = _against_size(offline, metrics, label)
    return found


def of(measured: list[dict[str, Any]], label: str) -> list[dict[str, Any]]:
    """Rows of one text."""
    return [row for row in measured if row["name"].split("_")[1] == label]


def _table_row(row: dict[str, Any]) -> tuple[Any, ...]:
    online = row["mode"] == "online"
    return (
        f"{row['mode']}, {row['parameters'] / 1e6:.2f} M{', contexts' * row['contexts']}",
        text_methods.title(row["method"]),
        f"{row['strength']:g}" if row["strength"] else "",
        "" if online else f"{row['nonzeros']:,}",
        "0" if online else f"{row['model_bytes']:,}",
        f"{row['file_bytes']:,}",
        f"{row['bits_per_byte']:.3f}",
        "" if online else f"{row['formula_bytes']:,.0f}",
        f"{row['encode_bytes_per_second']:,.0f}",
        f"{row['decode_bytes_per_second']:,.0f}",
    )


def _against_strength(offline: list[dict[str, Any]], metrics: Any, label: str) -> Figure:
    figure, (axis,) = plots.subplots(width=5.4)
    plain = [row["file_bytes"] for row in offline if row["method"] == "none"]
    for method in text_methods.NAMES[1:]:
        same = [row for row in offline if row["method"] == method]
        if not same:
            continue
        x = [row["strength"] for row in same]
        title = text_methods.title(method)
        drawn = axis.plot(x, [row["file_bytes"] for row in same], marker="o", label=title)
        formula = [row["formula_bytes"] for row in same]
        axis.plot(x, formula, ls=":", marker=".", color=drawn[0].get_color())
    axis.axhline(plain[0], color="black", label="no penalty")
    axis.axhline(metrics["baselines"][label]["xz"], color=plots.BASELINE, ls="--", label="xz -9e")
    axis.set(xscale="log", xlabel="strength of the penalty", ylabel=f"bytes for {label} of text")
    axis.set_title("files (lines), the paper's formula (dots)", fontsize="medium")
    axis.legend()
    return figure


def _against_size(offline: list[dict[str, Any]], metrics: Any, label: str) -> Figure:
    figure, (axis,) = plots.subplots(width=5.4)
    plain = sorted((r for r in offline if r["method"] == "none"), key=lambda r: r["parameters"])
    x = [row["parameters"] for row in plain]
    axis.plot(x, [row["file_bytes"] for row in plain], marker="o", label="file")
    axis.plot(x, [row["data_bytes"] for row in plain], marker="o", ls="--", label="its text")
    axis.plot(x, [row["formula_bytes"] for row in plain], marker=".", ls=":", label="formula")
    axis.axhline(metrics["baselines"][label]["xz"], color=plots.BASELINE, ls="--", label="xz -9e")
    axis.set(xscale="log", xlabel="parameters", ylabel=f"bytes for {label} of text")
    axis.legend()
    return figure
