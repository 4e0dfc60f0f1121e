"""The main job's report in one HTML file: a table and its pictures, nothing to fetch."""

from html import escape

from experiments.runner import rows
from experiments.runner.experiment import Data, Record
from fewbits.io.outputs import open_output

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; }}
th, td {{ text-align: left; padding: .35rem .7rem; border-bottom: 1px solid #ddd; }}
img {{ max-width: 100%; }}
</style></head><body>
<h1>{title}</h1>
<p>{introduction}</p>
<table>
{table}
</table>
{figures}
</body></html>
"""


def write(record: Record, data: Data) -> None:
    """Write `report.html` into the run's folder; pictures are part of the file."""
    table = rows.table(type(record.rows[0]), record.rows)
    assert table is not None
    lines = [("th", table.columns), *(("td", row) for row in table.rows)]
    figures = [
        f'<figure><img alt="{escape(each["caption"])}" src="{each["image"]}">'
        f"<figcaption>{escape(each['caption'])}</figcaption></figure>"
        for each in record.extras["pictures"]
    ]
    page = _PAGE.format(
        title="fewbits: the main job",
        introduction=escape(f"{record.content['data']}. {table.note}"),
        table="\n".join(
            "<tr>" + "".join(f"<{tag}>{escape(entry)}</{tag}>" for entry in line) + "</tr>"
            for tag, line in lines
        ),
        figures="\n".join(figures),
    )
    path = data.folder / "report.html"
    with open_output(path, force=True) as file:
        file.write(page.encode())
    print(f"\n{record.content['seconds']:.0f} s; report with pictures: {path}")
