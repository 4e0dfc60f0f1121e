from __future__ import annotations

import re

import pytest
from matplotlib.figure import Figure

from experiments.runner import plots, registry, report
from experiments.runner.records import Claim
from tests.experiments import demo


def _claim(value=95.98, std=0.21, size=1234):
    return Claim("a.b", value, std, 5, "%", "demo/paper.json", "cmd", 0.5, size, "f.bin")


def test_claims_are_filled_between_their_marks():
    text = "<!-- claim:a.b -->?<!-- /claim --> in <!-- claim:a.b:bytes --><!-- /claim --> bytes"
    filled = report.fill_claims(text, {"a.b": _claim()})
    assert "-->95.98 ± 0.21 %<!--" in filled
    assert "-->1,234<!--" in filled
    assert report.fill_claims(filled, {"a.b": _claim()}) == filled
    assert "not run" in report.fill_claims(text, {})


@pytest.mark.parametrize(
    ("value", "std", "shown"),
    [
        (50.0, None, "50 %"),
        (0.0123, None, "0.0123 %"),
        (12.345, 0.05, "12.35 ± 0.05 %"),
        (69424.4, 8451.07, "69,424 ± 8,451 %"),
    ],
)
def test_numbers_keep_the_digits_that_mean_something(value, std, shown):
    assert report.format_claim(_claim(value, std)) == shown


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "EXPERIMENTS", {"demo": demo.ENTRY})
    monkeypatch.setattr(registry, "get", lambda name: demo)
    demo.publish(tmp_path / "runs/1", tmp_path / "results", 7.0)
    (tmp_path / "docs").mkdir()
    for page in ("README.md", "docs/a.md"):
        (tmp_path / page).write_text("<!-- claim:a --><!-- /claim -->")
    return tmp_path


def test_derived_files_are_made_once_and_go_stale_with_a_record(checkout):
    made = report.rebuild(write=True, repository=checkout)
    derived = {"summary.csv", "fig.png", "README.md"}
    assert set(made) == {
        "RESULTS.md", "README.md", "docs/a.md", *(f"results/demo/{name}" for name in derived),
    }  # fmt: skip
    page = (checkout / "results/demo/README.md").read_text()
    for text in (
        "# demo\n\ntable 1.\n",
        "Longer words.",
        "python -m experiments demo",
        "Cost: 1 s. Data: none.",
    ):
        assert text in page
    assert re.search(r"\| 1 +\| 7", page)
    assert "T,1,7" in (checkout / "results/demo/summary.csv").read_text()
    assert report.rebuild(write=False, repository=checkout) == []
    demo.publish(checkout / "runs/2", checkout / "results", 8.0)
    stale = report.rebuild(write=False, repository=checkout)
    assert {f"results/demo/{name}" for name in derived} < set(stale)
    assert (checkout / "results/demo/README.md").read_text() == page


def test_a_figure_that_nothing_draws_any_more_is_removed(checkout):
    plots.save(Figure(), checkout / "results/demo/old.png", "digest")
    assert "results/demo/old.png" in report.rebuild(write=True, repository=checkout)
    assert not (checkout / "results/demo/old.png").exists()


def test_the_index_is_short_and_links_every_report():
    text = (report.REPOSITORY / "RESULTS.md").read_text()
    assert len(text.encode()) <= 10_000
    for name in registry.EXPERIMENTS:
        assert f"[{name}](results/{name}/README.md)" in text or f"| {name} |" in text


def test_a_figure_remembers_its_records(tmp_path):
    figure, _ = plots.subplots()
    plots.save(figure, tmp_path / "a.png", "digest")
    assert plots.read_digest(tmp_path / "a.png") == "digest"
    assert plots.read_digest(tmp_path / "b.png") is None
