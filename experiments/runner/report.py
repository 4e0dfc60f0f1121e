"""RESULTS.md, numbers in README and docs, CSVs and figures, all made from `results/` alone."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from pathlib import Path
from typing import Any

from experiments.runner import plots, registry
from experiments.runner.records import REPOSITORY, Claim, read_claims, read_records

_HEAD = """# Results

Made by `python -m experiments tables` from the records in `results/`; do not edit by hand.
`python -m experiments verify` decodes the files in `results/artifacts/` and recomputes each
claimed number. What the records' fields mean: [results/README.md](results/README.md).
"""

_CLAIM_MARK = re.compile(r"(<!-- claim:(?P<id>[^ ]+) -->).*?(<!-- /claim -->)", re.DOTALL)


def rebuild(*, write: bool, repository: Path = REPOSITORY) -> list[str]:
    """Make every derived file; returns the paths of those that were stale.

    Args:
      write: replace the stale ones; otherwise only name them.
      repository: the checkout whose `results/` are read.

    A text file is stale when its bytes differ. A figure is stale when it was drawn from other
    records: each PNG carries the digest of its records, since pixels differ between versions of
    the plotting library.
    """
    results = repository / "results"
    claims = read_claims(results / "claims.json")
    texts, stale = {}, []
    sections = [_HEAD, _claims_section(claims)]
    for name in registry.EXPERIMENTS:
        records = read_records(name, results)
        if not records:
            sections.append(f"## {name}\n\nnot run\n")
            continue
        module = registry.get(name)
        tables = module.tables(records) if hasattr(module, "tables") else []
        figures = module.figures(records) if hasattr(module, "figures") else {}
        digest = _digest(results / name)
        for figure_name, figure in figures.items():
            path = results / name / f"{figure_name}.png"
            if plots.read_digest(path) != digest:
                stale.append(str(path.relative_to(repository)))
                if write:
                    plots.save(figure, path, digest)
        plots.close(figures.values())
        texts[results / name / "summary.csv"] = _csv(tables)
        sections.append(_section(name, tables, list(figures)))
    texts[repository / "RESULTS.md"] = "\n".join(sections)
    for page in [*repository.glob("README.md"), *sorted(repository.glob("docs/*.md"))]:
        texts[page] = fill_claims(page.read_text(), claims)
    for path, text in texts.items():
        if not path.is_file() or path.read_text() != text:
            stale.append(str(path.relative_to(repository)))
            if write:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    return stale


def fill_claims(text: str, claims: dict[str, Claim]) -> str:
    """Put each claim's number between its marks, `<!-- claim:ID -->` and `<!-- /claim -->`.

    `claim:ID:bytes` takes the size of the claim's artefact instead of its value.
    """

    def number(match: re.Match[str]) -> str:
        identifier, _, field = match["id"].partition(":")
        claim = claims.get(identifier)
        if claim is None:
            value = "not run"
        else:
            value = f"{claim.bytes:,}" if field == "bytes" else format_claim(claim)
        return f"{match[1]}{value}{match[3]}"

    return _CLAIM_MARK.sub(number, text)


def format_claim(claim: Claim) -> str:
    """`95.98 ± 0.21 %` or `57 bytes`."""
    value = _number(claim.value)
    if claim.std is None:
        return f"{value} {claim.unit}".strip()
    decimals = len(value.partition(".")[2]) if "e" not in value else 3
    spread = f"{claim.std:,.{decimals}f}"
    # A spread that its value's digits do not show is shown by its own.
    shown = spread if float(spread.replace(",", "")) else _number(claim.std)
    return f"{value} ± {shown} {claim.unit}".strip()


def markdown(table: registry.Table) -> str:
    """A table as GitHub's markdown."""
    lines = [f"| {' | '.join(table.columns)} |", f"|{'---|' * len(table.columns)}"]
    lines += [f"| {' | '.join(str(cell) for cell in row)} |" for row in table.rows]
    return "\n".join(lines)


def _number(value: float) -> str:
    if value == int(value) and abs(value) >= 1:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3g}"


def _claims_section(claims: dict[str, Claim]) -> str:
    rows: list[tuple[Any, ...]] = [
        (
            f"`{claim.id}`",
            format_claim(claim),
            claim.seeds,
            "" if claim.bytes is None else f"{claim.bytes:,}",
            "" if claim.artifact is None else f"`{claim.artifact}`",
            f"`{claim.command}`",
        )
        for claim in claims.values()
    ]
    columns = ("id", "value", "seeds", "bytes", "artifact", "command")
    table = registry.Table("Claims", columns, rows)
    return f"## Claims\n\n{markdown(table)}\n"


def _section(name: str, tables: list[registry.Table], figures: list[str]) -> str:
    parts = [f"## {name}\n\n{registry.EXPERIMENTS[name].reproduces}\n"]
    for table in tables:
        note = f"\n\n{table.note}" if table.note else ""
        parts.append(f"### {table.title}\n\n{markdown(table)}{note}\n")
    parts += [f"![{figure}](results/{name}/{figure}.png)\n" for figure in figures]
    return "\n".join(parts)


def _csv(tables: list[registry.Table]) -> str:
    """All tables of an experiment, one after the other, each row led by its table's title."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for table in tables:
        writer.writerow(("table", *table.columns))
        writer.writerows((table.title, *row) for row in table.rows)
    return text.getvalue()


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.json")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
