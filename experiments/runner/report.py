"""What is made from `results/` alone: reports, the index, numbers in pages, CSVs and figures."""

import hashlib
import re
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from experiments.runner import figures, plots, registry, rows
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


class Section(NamedTuple):
    """What a report shows of an experiment besides its claims."""

    docstring: str
    tables: list[Table]
    figures: dict[str, Figure]


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
    texts: dict[Path, str | None] = {}
    stale: list[Path] = []
    index = []
    for name, entry in registry.EXPERIMENTS.items():
        folder = results / name
        contents = read_records(name, results)
        if not contents:
            index.append(f"| {name} | {entry.reproduces} | not run |")
            continue
        mine = {i: c for i, c in claims.items() if c.record.startswith(f"{name}/")}
        index.append(_index_line(name, entry, mine))
        if only and name not in only:
            continue
        section = _section(name, contents)
        digest = _digest(folder)
        for figure_name, figure in section.figures.items():
            path = folder / f"{figure_name}.png"
            if plots.read_digest(path) != digest:
                stale.append(path)
                if write:
                    plots.save(figure, path, digest)
        plots.close(section.figures.values())
        texts[folder / "summary.csv"] = as_csv(section.tables)
        texts[folder / "README.md"] = _report(name, entry, section, contents, mine)
        drawn = {folder / f"{figure}.png" for figure in section.figures}
        texts |= {path: None for path in folder.glob("*.png") if path not in drawn}
    texts[repository / "RESULTS.md"] = _INDEX_HEAD + "\n".join(index) + "\n"
    for page in [*repository.glob("README.md"), *sorted(repository.glob("docs/**/*.md"))]:
        texts[page] = fill_claims(page.read_text(), claims)
    return [str(path.relative_to(repository)) for path in [*stale, *_replace(texts, write)]]


def _index_line(name: str, entry: registry.Entry, claims: dict[str, Claim]) -> str:
    first = claims.get(entry.headline) or next(iter(claims.values()), None)
    shown = f"`{first.id}`: {format_claim(first)}" if first else ""
    return f"| [{name}](results/{name}/README.md) | {entry.reproduces} | {shown} |"


def _replace(texts: dict[Path, str | None], write: bool) -> list[Path]:
    """The files whose text is another, replaced if asked for; None removes a file."""
    stale = []
    for path, text in texts.items():
        if (path.read_text() if path.is_file() and text is not None else None) == text and text:
            continue
        stale.append(path)
        if write and text is None:
            path.unlink()
        elif write and text is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return stale


def _section(name: str, contents: dict[str, dict[str, Any]]) -> Section:
    module = registry.get(name)
    docstring = module.__doc__ or ""
    experiment: Experiment = module.EXPERIMENT
    return Section(docstring, *of_records(experiment, contents))


def of_records(
    experiment: Experiment, contents: dict[str, dict[str, Any]]
) -> tuple[list[Table], dict[str, Figure]]:
    """Tables and figures of an experiment from its records (JSON, by name)."""
    records = {name: rows.record_from(experiment, name, each) for name, each in contents.items()}
    records = {n: r for n, r in records.items() if r.preset != "smoke"}
    if not records:
        return [], {}
    if experiment.together:
        measured = tuple(row for record in records.values() for row in record.rows)
        extras = {name: record.extras for name, record in records.items()}
        first = next(iter(records.values()))
        shown = {"": type(first)("", first.preset, first.config, measured, extras, first.content)}
    else:
        shown = records
    tables = experiment.tables(records) if experiment.tables else []
    drawn = experiment.figures(records) if experiment.figures else {}
    for name, record in shown.items():
        several = len(shown) > 1
        if experiment.tables is None:
            for row_type in experiment.row_types:
                published = [r for r in experiment.published if isinstance(r, row_type)]
                table = rows.table(row_type, record.of(row_type), published)
                if table and table.rows:
                    title = f"{table.title} ({name})" if several else table.title
                    tables.append(table._replace(title=title))
        if experiment.figures is None:
            for title, figure in figures.default(experiment, record).items():
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
    entry: registry.Entry,
    section: Section,
    contents: dict[str, dict[str, Any]],
    claims: dict[str, Claim],
) -> str:
    commands = list(dict.fromkeys(record["command"] for record in contents.values()))
    about = section.docstring.partition("\n")[2]
    about = re.split(r"^(?:Cost|Data): |^    python -m ", about, maxsplit=1, flags=re.MULTILINE)[0]
    parts = [f"# {name}\n", f"{entry.reproduces}.\n", about.strip() + "\n" * bool(about.strip())]
    parts += ["```bash\n" + "\n".join(commands) + "\n```\n"]
    parts += [f"Cost: {entry.cost}. Data: {entry.data}.\n"]
    for table in section.tables:
        note = f"\n\n{table.note}" if table.note else ""
        parts.append(f"## {table.title}\n\n{markdown(table)}{note}\n")
    parts += [f"![{figure}]({figure}.png)\n" for figure in section.figures]
    if claims:
        parts.append(f"## Claims\n\n{markdown(_claims_table(claims))}\n")
    return "\n".join(part for part in parts if part)


def _claims_table(claims: dict[str, Claim]) -> Table:
    lines: list[tuple[Any, ...]] = [
        (
            f"`{claim.id}`",
            format_claim(claim),
            claim.seeds,
            "" if claim.bytes is None else f"{claim.bytes:,}",
            "" if claim.artifact is None else f"[{claim.artifact}](../artifacts/{claim.artifact})",
            "" if claim.tolerance is None else f"{claim.tolerance:.3g}",
        )
        for claim in claims.values()
    ]
    columns = ("id", "value", "seeds", "bytes", "artifact", "tolerance")
    return Table("Claims", columns, lines)


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.json")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def main(*, check: bool, only: Collection[str] = ()) -> int:
    """Rebuild everything, or name what is stale; status 1 if something is and may not be."""
    stale = rebuild(write=not check, only=only)
    verb = "stale" if check else "rebuilt"
    print("\n".join(f"{verb}: {path}" for path in stale) or "everything is up to date")
    if check and stale:
        print("run `python -m experiments tables`", file=sys.stderr)
    return 1 if check and stale else 0
