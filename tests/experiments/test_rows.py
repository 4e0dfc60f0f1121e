"""What follows from a row's declaration: JSON and back, statistics, tables, claims."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pytest

from experiments.runner import claims, plots, rows
from experiments.runner.experiment import (
    Across,
    Artifact,
    Axis,
    Claim,
    Column,
    Experiment,
    Key,
    MeanOverSeeds,
    Measurement,
    Over,
    Panel,
    Record,
)
from experiments.runner.run import run


class Inner(NamedTuple):
    width: int
    rates: tuple[float, ...] = (0.1,)


@dataclass(frozen=True)
class Config:
    kind: Literal["a", "b"] = "a"
    inner: Inner = Inner(3)
    many: dict[str, Inner] = field(default_factory=dict)
    maybe: Inner | None = None
    seeds: tuple[int, ...] = (0, 1)


class Row(NamedTuple):
    """Title of the table.

    A note of
    two lines.
    """

    data: Annotated[str, Key, Panel]
    size: Annotated[int, Key, Axis("size", scale="log")]
    seed: int
    percent: Annotated[
        float | None, MeanOverSeeds("%"), Axis("accuracy, %"), Claim("t.{data}.{kilo}k", 0.5)
    ]
    gap: Annotated[float, Over(max, "bits"), Column("gap", ".1e"), Claim("t.gap")] = 0.0
    how: Annotated[str, Column()] = "x"
    file: Annotated[Path | None, Artifact(lambda row: row.size < 2_000)] = None

    @property
    def kilo(self) -> int:
        return self.size // 1000


class Ratio(NamedTuple):
    ratio: Annotated[float, Over(max, "times"), Claim("t.ratio")]
    seeds: int


def measure(config, trials, data):
    found = []
    for name, size, seed in trials:
        path = data.path(f"{name}_{size}_{seed}.bin")
        path.write_bytes(bytes(size // 100))
        percent = None if name == "b" else 90.0 + size / 1000 + seed
        found.append(Row(name, size, seed, percent, np.float32(seed / 8), f"s{seed}", path))
    return Measurement(found, {"calls": [len(trials)], "of": {trials[0][0]: 1}})


def derive(record: Record) -> list[Any]:
    first, *_, last = record.of(Row)
    return [Ratio(last.size / first.size, len(record.config.seeds))]


EXPERIMENT = Experiment(
    (Row, Ratio),
    {"paper": Config(many={"m": Inner(4)}), "smoke": Config()},
    measure,
    grid=lambda c: [(n, s, seed) for n in "ab" for s in (1000, 3000) for seed in c.seeds],
    batch=lambda trial: trial[:2],
    derive=derive,
    recompute=lambda config, row, data: {"percent": row.percent + 0.25, "gap": 0.0, "ratio": 3.0},
    published=[Row("a", 2000, 0, 80.0)],
    name="test",
)


@pytest.fixture
def record(tmp_path):
    return run(EXPERIMENT, "paper", folder=tmp_path)


def test_a_record_reads_back_as_it_was(record, tmp_path):
    assert record.config == EXPERIMENT.presets["paper"]
    first = record.of(Row)[0]
    assert first == Row("a", 1000, 0, 91.0, 0.0, "s0", Path("a_1000_0.bin"))
    assert record.extras == {"calls": [2, 2, 2, 2], "of": {"a": 1, "b": 1}}
    assert record.content["rows"][0]["row"] == "Row"
    assert rows.record_from(EXPERIMENT, "paper", record.content) == record
    with pytest.raises(ValueError, match="has not been migrated"):
        rows.record_from(EXPERIMENT, "paper", {})


def test_a_configuration_forgets_fields_that_are_gone():
    content = {"kind": "b", "inner": [5, [0.5]], "maybe": {"width": 2}, "old": 1}
    assert rows.restore(Config, content) == Config("b", Inner(5, (0.5,)), maybe=Inner(2))


def test_claims_take_statistics_files_and_sizes(record, tmp_path):
    found = {c.id: c for c in claims.of_record(EXPERIMENT, record, tmp_path / "files")}
    # `b` has no accuracy, and so no claim of one.
    assert set(found) == {"t.a.1k", "t.a.3k", "t.gap", "t.ratio"}
    one = found["t.a.1k"]
    assert (one.value, one.std, one.seeds) == (91.5, pytest.approx(math.sqrt(0.5)), 2)
    assert (one.artifact, one.bytes, one.tolerance) == ("a_1000_0.bin", 10, 0.5)
    assert (found["t.a.3k"].artifact, found["t.a.3k"].bytes) == (None, None)
    gap = found["t.gap"]
    assert (gap.value, gap.std, gap.seeds, gap.artifact) == (0.125, None, 1, "a_1000_1.bin")
    assert (found["t.ratio"].value, found["t.ratio"].seeds) == (3.0, 2)
    assert sorted(p.name for p in (tmp_path / "artifacts").iterdir()) == [
        "a_1000_0.bin", "a_1000_1.bin",
    ]  # fmt: skip
    (tmp_path / "files/a_1000_0.bin").unlink()
    with pytest.raises(FileNotFoundError):
        claims.of_record(EXPERIMENT, record, tmp_path / "files")


def test_one_seed_is_recomputed_and_the_others_are_taken_from_the_record(record, tmp_path):
    def again(identifier):
        return claims.recomputed(EXPERIMENT, record, identifier, None, tmp_path / "files")  # type: ignore

    assert again("t.a.1k") == pytest.approx(91.5 + 0.125)
    assert again("t.a.3k") is None  # its file is not published
    with pytest.raises(ValueError, match=r"no rows for t\.b"):
        again("t.b.1k")


def test_what_is_measured_again_is_found_by_its_keys(record, tmp_path):
    others = [Row("b", 1000, 0, 1.0), Row("a", 1000, 0, 93.0), Row("a", 3000, 0, 2.0)]
    for found in (others, Measurement(others)):
        again = dataclasses.replace(EXPERIMENT, recompute=lambda *_, found=found: found)
        value = claims.recomputed(again, record, "t.a.1k", None, tmp_path / "files")  # type: ignore
        assert value == pytest.approx((93.0 + 92.0) / 2)


def test_smoke_claims_nothing(tmp_path):
    found = run(EXPERIMENT, "smoke", folder=tmp_path)
    assert claims.of_record(EXPERIMENT, found, tmp_path / "files") == []
    assert not (tmp_path / "artifacts").exists()


def test_a_table_has_a_line_for_each_key_and_published_rows_first(record):
    table = rows.table(Row, record.of(Row), EXPERIMENT.published)
    assert table is not None
    assert (table.title, table.note) == ("Title of the table", "A note of two lines.")
    assert table.columns == ("data", "size", "accuracy, %", "gap", "how")
    assert table.rows[0] == ("a", "2,000", "80.00", "0.0e+00", "x")
    assert table.rows[1] == ("a", "1,000", "91.50 ± 0.71", "1.2e-01", "s0/s1")
    assert table.rows[3] == ("b", "1,000", "", "1.2e-01", "s0/s1")


class Wide(NamedTuple):
    budget: Annotated[int, Key]
    network: Annotated[str, Key, Across]
    choice: Annotated[str, Column()]
    percent: Annotated[float, MeanOverSeeds("%")]
    seed: int = 0


def test_a_key_may_have_columns_of_its_own():
    measured = [
        Wide(1000, "cnn", "random", 50.0), Wide(1000, "lenet", "random", 60.0),
        Wide(1000, "cnn", "random", 52.0, 1), Wide(3000, "cnn", "herding", 70.0),
    ]  # fmt: skip
    table = rows.table(Wide, measured)
    assert table is not None
    assert table.columns == ("budget", "choice", "cnn", "lenet")
    assert table.rows == [
        ("1,000", "random", "51.00 ± 1.41", "60.00"), ("3,000", "herding", "70.00", ""),
    ]  # fmt: skip


def test_the_default_figure_has_a_panel_for_each_value_and_published_stars(record):
    measured = [row for row in record.of(Row) if row.data == "a"]
    figure, axes = plots.draw(EXPERIMENT, measured)
    assert list(axes) == ["a"]
    assert axes["a"].get_xscale() == "log"
    assert axes["a"].get_ylabel() == "accuracy, %"
    assert len(axes["a"].containers) == 2
    assert list(plots.default(EXPERIMENT, record)) == ["percent_against_size"]


class Front(NamedTuple):
    method: Annotated[str, Key]
    weight: Annotated[float, Key, Axis("weight")]
    nonzeros: Annotated[int, MeanOverSeeds(), Axis("nonzeros", "log", x=True)]
    error: Annotated[float, MeanOverSeeds("%"), Axis("error, %")]


def test_a_statistic_on_x_takes_the_place_of_the_key():
    measured = [Front("drr", w, n, e) for w, n, e in ((3, 10, 5.0), (1, 90, 1.0), (1, 110, 2.0))]
    experiment = Experiment(Front, {}, measure, name="e")
    front = Record("paper", "paper", None, tuple(measured), {}, {})
    drawn = plots.default(experiment, front)
    assert list(drawn) == ["error_against_nonzeros"]
    (axis,) = drawn["error_against_nonzeros"].axes
    assert (axis.get_xlabel(), axis.get_xscale()) == ("nonzeros", "log")
    points = axis.containers[0][0].get_xydata()  # type: ignore
    assert points.tolist() == [[10.0, 5.0], [100.0, 1.5]]


RATE, LEVEL = Axis("bits"), Axis("level", "log")


class Bound(NamedTuple):
    """Bounds."""

    level: Annotated[float, Key, LEVEL, Column(shown=False)]
    lower: Annotated[float, RATE, Column("at least", shown=False)]
    upper: Annotated[float, Over(max), RATE, Column("at most", ".1f")]


class Code(NamedTuple):
    """Codes."""

    level: Annotated[float, Key, LEVEL]
    bits: Annotated[float, RATE]


def test_axes_with_the_same_labels_share_a_plot_and_a_line_of_the_table():
    measured = (Bound(1.0, 2.0, 3.0), Bound(2.0, 1.0, 1.5), Code(1.0, 4.0), Code(2.0, 3.0))
    experiment = Experiment((Bound, Code), {"paper": Config()}, measure, name="shared")
    record = Record("paper", "paper", Config(), measured, {}, {})
    found = plots.default(experiment, record)
    assert list(found) == ["lower_against_level"]
    (axis,) = found["lower_against_level"].axes
    assert len(axis.containers) == 3
    assert axis.get_legend_handles_labels()[1] == ["at least", "at most"]
    table = rows.table(Bound, measured[:2])
    assert table is not None
    assert (table.columns, table.rows) == (("at most",), [("3.0",)])


def test_a_row_that_was_not_declared_and_a_file_elsewhere_are_refused(tmp_path):
    with pytest.raises(TypeError, match="no declared row"):
        rows.to_json(EXPERIMENT, Inner(1))
    elsewhere = Experiment(
        Row,
        {"paper": Config()},
        lambda c, t, d: [Row("a", 1, 0, 1.0, file=tmp_path / "x")],
        name="e",
    )
    with pytest.raises(ValueError, match=r"use Data\.path"):
        run(elsewhere, "paper", folder=tmp_path / "run")


def test_extras_that_contradict_are_refused(tmp_path):
    def different(config, trials, data):
        return Measurement([], {"x": trials[0][2]})

    other = Experiment(Row, EXPERIMENT.presets, different, grid=EXPERIMENT.grid, name="e")
    with pytest.raises(ValueError, match="different extras 'x'"):
        run(other, "paper", folder=tmp_path)


def test_more_seeds_measure_only_what_is_new(tmp_path, capsys):
    from dataclasses import replace

    alone = replace(EXPERIMENT, batch=None)
    config = EXPERIMENT.presets["paper"]
    run(alone, "paper", config, folder=tmp_path)
    capsys.readouterr()
    found = run(alone, "paper", replace(config, seeds=(0, 1, 2)), folder=tmp_path)
    assert capsys.readouterr().out.count(" s]") == 4
    assert len(found.of(Row)) == 12
