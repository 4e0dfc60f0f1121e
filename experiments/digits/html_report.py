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
<table><thead><tr>{head}</tr></thead><tbody>
{body}
</tbody></table>
{figures}
</body></html>
"""


def write(record: Record, data: Data) -> None:
    """Write `report.html` into the run's folder; pictures are part of the file."""
    table = rows.table(type(record.rows[0]), record.rows)
    assert table is not None
    figures = "\n".join(
        f'<figure><img alt="{escape(each["caption"])}" src="{each["image"]}">'
        f"<figcaption>{escape(each['caption'])}</figcaption></figure>"
        for each in record.extras["pictures"]
    )
    page = _PAGE.format(
        title="fewbits: the main job",
        introduction=escape(f"{record.content['data']}. {table.note}"),
        head="".join(f"<th>{escape(column)}</th>" for column in table.columns),
        body="\n".join(
            "<tr>" + "".join(f"<td>{escape(entry)}</td>" for entry in row) + "</tr>"
            for row in table.rows
        ),
        figures=figures,
    )
    path = data.folder / "report.html"
    with open_output(path, force=True) as file:
        file.write(page.encode())
    print(f"\n{record.content['seconds']:.0f} s; report with pictures: {path}")
