"""What is made from `results/` alone: reports, the index, numbers in pages, CSVs and figures."""

import dataclasses
import hashlib
import re
import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from experiments.runner import plots, registry, rows
from experiments.runner.experiment import Experiment
from experiments.runner.records import REPOSITORY, Claim, read_claims, read_records
from experiments.runner.tables import Table, as_csv, markdown, number

_INDEX_HEAD = """# Results

Made by `python -m experiments tables` from the records in `results/`; do not edit by hand. Each
line leads to a report with all tables, figures and claims. `python -m experiments verify` decodes
the files in `results/artifacts/` and recomputes each claimed number;
[results/README.md](results/README.md) says what the records' fields mean.

| experiment | what | claimed first |
|---|---|---|
"""

_CLAIM_MARK = re.compile(r"(<!-- claim:(?P<id>[^ ]+) -->).*?(<!-- /claim -->)", re.DOTALL)


def rebuild(*, write: bool, only: Collection[str] = (), repository: Path = REPOSITORY) -> list[str]:
    """Make every derived file; returns the paths of those that were stale.

    Args:
      write: replace the stale ones and remove figures that nothing makes; else only name them.
      only: make the reports of these experiments; all if empty.
      repository: the checkout whose `results/` are read.

    A text file is stale when its bytes differ. A figure is stale when it was drawn from other
    records: each PNG carries the digest of its records, since pixels differ between versions of
    the plotting library.
    """
    results = repository / "results"
    claims = read_claims(results / "claims.json")
    texts: dict[Path, str] = {}
    stale, index = [], []
    for name, entry in registry.EXPERIMENTS.items():
        contents = read_records(name, results)
        mine = {i: c for i, c in claims.items() if c.record.startswith(f"{name}/")}
        index.append(_index_line(name, entry, mine) if contents else
                     f"| {name} | {entry.reproduces} | not run |")  # fmt: skip
        if contents and (name in only or not only):
            module, folder = registry.get(name), results / name
            tables, drawn = of_records(module.EXPERIMENT, contents)
            stale += _figures(folder, drawn, write)
            texts[folder / "summary.csv"] = as_csv(tables)
            about = module.__doc__ or ""
            texts[folder / "README.md"] = _report(name, about, contents, tables, drawn, mine)
    texts[repository / "RESULTS.md"] = _INDEX_HEAD + "\n".join(index) + "\n"
    for page in [*repository.glob("README.md"), *sorted(repository.glob("docs/**/*.md"))]:
        texts[page] = fill_claims(page.read_text(), claims)
    for path, text in texts.items():
        if not path.is_file() or path.read_text() != text:
            stale.append(path)
            if write:
                path.write_text(text)
    return [str(path.relative_to(repository)) for path in stale]


def _figures(folder: Path, drawn: dict[str, Figure], write: bool) -> list[Path]:
    """The figures that are stale, written or removed if asked for."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.json")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    stale = [path for path in folder.glob("*.png") if path.stem not in drawn]
    for path in stale if write else ():
        path.unlink()
    for name, figure in drawn.items():
        path = folder / f"{name}.png"
        if plots.read_digest(path) != digest.hexdigest():
            stale.append(path)
            if write:
                plots.save(figure, path, digest.hexdigest())
    return stale


def _index_line(name: str, entry: registry.Entry, claims: dict[str, Claim]) -> str:
    first = claims.get(entry.headline) or next(iter(claims.values()), None)
    shown = f"`{first.id}`: {format_claim(first)}" if first else ""
    return f"| [{name}](results/{name}/README.md) | {entry.reproduces} | {shown} |"


def of_records(
    experiment: Experiment, contents: dict[str, dict[str, Any]]
) -> tuple[list[Table], dict[str, Figure]]:
    """Tables and figures of an experiment from its records (JSON, by name)."""
    records = {name: rows.record_from(experiment, name, each) for name, each in contents.items()}
    records = {name: record for name, record in records.items() if record.preset != "smoke"}
    if not records:
        return [], {}
    shown = records
    if experiment.together:
        measured = tuple(row for record in records.values() for row in record.rows)
        shown = {"": dataclasses.replace(next(iter(records.values())), rows=measured)}
    tables = experiment.tables(records) if experiment.tables else []
    drawn = experiment.figures(records) if experiment.figures else {}
    for name, record in shown.items():
        several = len(shown) > 1
        for table in rows.tables(experiment, record) if experiment.tables is None else ():
            title = f"{table.title} ({name})" if several else table.title
            tables.append(table._replace(title=title))
        if experiment.figures is None:
            for title, figure in plots.default(experiment, record).items():
                drawn[f"{name}_{title}" if several else title] = figure
    return tables, drawn


def fill_claims(text: str, claims: dict[str, Claim]) -> str:
    """Put each claim's number between its marks, `<!-- claim:ID -->` and `<!-- /claim -->`.

    `claim:ID:bytes` takes the size of the claim's artefact instead of its value.
    """

    def number_of(match: re.Match[str]) -> str:
        identifier, _, field = match["id"].partition(":")
        claim = claims.get(identifier)
        if claim is None:
            value = "not run"
        else:
            value = f"{claim.bytes:,}" if field == "bytes" else format_claim(claim)
        return f"{match[1]}{value}{match[3]}"

    return _CLAIM_MARK.sub(number_of, text)


def format_claim(claim: Claim) -> str:
    """`95.98 ± 0.21 %` or `57 bytes`."""
    value = number(claim.value)
    if claim.std is None:
        return f"{value} {claim.unit}".strip()
    decimals = len(value.partition(".")[2]) if "e" not in value else 3
    spread = f"{claim.std:,.{decimals}f}"
    # A spread that its value's digits do not show is shown by its own.
    shown = spread if float(spread.replace(",", "")) else number(claim.std)
    return f"{value} ± {shown} {claim.unit}".strip()


def _report(
    name: str,
    docstring: str,
    contents: dict[str, dict[str, Any]],
    tables: list[Table],
    drawn: Iterable[str],
    claims: dict[str, Claim],
) -> str:
    entry = registry.EXPERIMENTS[name]
    commands = list(dict.fromkeys(record["command"] for record in contents.values()))
    about = docstring.partition("\n")[2]
    about = re.split(r"^(?:Cost|Data): |^    python -m ", about, maxsplit=1, flags=re.MULTILINE)[0]
    parts = [f"# {name}\n", f"{entry.reproduces}.\n", about.strip() + "\n" * bool(about.strip())]
    parts += ["```bash\n" + "\n".join(commands) + "\n```\n"]
    parts += [f"Cost: {entry.cost}. Data: {entry.data}.\n"]
    for table in tables:
        note = f"\n\n{table.note}" if table.note else ""
        parts.append(f"## {table.title}\n\n{markdown(table)}{note}\n")
    parts += [f"![{figure}]({figure}.png)\n" for figure in drawn]
    if claims:
        columns = ("id", "value", "seeds", "bytes", "artifact", "tolerance")
        lines = [
            (
                f"`{claim.id}`",
                format_claim(claim),
                claim.seeds,
                "" if claim.bytes is None else f"{claim.bytes:,}",
                ""
                if claim.artifact is None
                else f"[{claim.artifact}](../artifacts/{claim.artifact})",
                "" if claim.tolerance is None else f"{claim.tolerance:.3g}",
            )
            for claim in claims.values()
        ]
        parts.append(f"## Claims\n\n{markdown(Table('Claims', columns, lines))}\n")
    return "\n".join(part for part in parts if part)


def main(check: bool = False, only: tuple[str, ...] = ()) -> int:
    """Rebuild reports, RESULTS.md, README's numbers, CSVs and figures.

    Args:
      check: only say what is stale; status 1.
      only: reports of these experiments.
    """
    stale = rebuild(write=not check, only=only)
    verb = "stale" if check else "rebuilt"
    print("\n".join(f"{verb}: {path}" for path in stale) or "everything is up to date")
    if check and stale:
        print("run `python -m experiments tables`", file=sys.stderr)
    return 1 if check and stale else 0
