"""A report in one HTML file: a table and its pictures, nothing to fetch."""

from __future__ import annotations

import html
from collections.abc import Sequence
from pathlib import Path

from experiments.digits.row import Picture
from experiments.runner import plots

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; }}
table {{ border-collapse: collapse; width: 100%; margin: 1.5rem 0; }}
th, td {{ text-align: left; padding: .35rem .7rem; border-bottom: 1px solid #ddd; }}
th {{ border-bottom: 2px solid #222; }}
td:nth-child(n+2):nth-child(-n+5) {{ font-variant-numeric: tabular-nums; }}
figure {{ margin: 2rem 0; }}
img {{ max-width: 100%; }}
figcaption {{ color: #555; }}
</style></head><body>
<h1>{title}</h1>
<p>{introduction}</p>
<table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table>
{figures}
</body></html>
"""


def write(
    path: Path,
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    pictures: Sequence[Picture],
    introduction: str,
) -> None:
    """Write the report; pictures become part of the file."""
    figures = "\n".join(
        f'<figure><img alt="{html.escape(picture.caption)}" src="{plots.data_uri(picture.figure)}">'
        f"<figcaption>{html.escape(picture.caption)}</figcaption></figure>"
        for picture in pictures
    )
    page = _PAGE.format(
        title=html.escape(title),
        introduction=html.escape(introduction),
        head="".join(f"<th>{html.escape(column)}</th>" for column in columns),
        body="\n".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in rows
        ),
        figures=figures,
    )
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(page)
    temporary.replace(path)
