from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from experiments.runner import records
from experiments.runner.folder import Data, RunError, check_settings, locked, write_json
from experiments.runner.records import Claim


@dataclass(frozen=True)
class _Config:
    steps: int = 3


def _claim(identifier, value):
    return Claim(identifier, value, 0.1, 2, "%", "demo/smoke.json", "a command", 0.5, 3, "f.bin")


def test_a_folder_without_records_is_not_published(tmp_path):
    with pytest.raises(RunError, match="records"):
        records.publish(tmp_path, tmp_path / "results")


def test_a_folder_takes_one_runs_settings_and_more_seeds(tmp_path):
    check_settings(tmp_path, {"steps": 3, "seeds": (0, 1)})
    check_settings(tmp_path, {"steps": 3, "seeds": (0, 1, 2)})
    with pytest.raises(RunError, match=r"other settings \(steps\); remove it or choose"):
        check_settings(tmp_path, _Config(4))
    check_settings(tmp_path, _Config(4), free=("steps", "seeds"))


@pytest.mark.parametrize("content", ["", "{", "[]", "\x00" * 9])
def test_damaged_settings_are_one_line(tmp_path, content):
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(RunError, match=r"settings\.json is damaged"):
        check_settings(tmp_path, {"steps": 3})


def _publish(folder, results, names, claims, preset="smoke"):
    """One run with these records, claims (id -> file) and files, published."""
    for name in names:
        content = {"experiment": "demo", "preset": preset, "artifacts": {}}
        write_json(folder / "records" / f"{name}.json", content)
    found = [
        _claim(identifier, 1.0)._replace(artifact=file, record=f"demo/{names[0]}.json")
        for identifier, file in claims.items()
    ]
    for claim in found:
        (folder / "artifacts").mkdir(exist_ok=True)
        (folder / "artifacts" / str(claim.artifact)).write_bytes(b"abc")
    records.write_claims_file(folder / "claims.json", found)
    return records.publish(folder, results)


def test_publishing_removes_what_the_same_preset_no_longer_has(tmp_path):
    results = tmp_path / "results"
    _publish(tmp_path / "1", results, ["old", "same"], {"demo.a": "a.bin", "demo.b": "b.bin"})
    _publish(tmp_path / "2", results, ["other"], {"demo.c": "b.bin"}, preset="paper")
    (results / "artifacts/unknown.bin").write_bytes(b"not ours")
    published = _publish(tmp_path / "3", results, ["same"], {"demo.d": "d.bin"})
    assert published == [
        "demo/same.json", "artifacts/d.bin", "removed artifacts/a.bin", "removed demo/old.json",
    ]  # fmt: skip
    assert set(records.read_records("demo", results)) == {"same", "other"}
    assert set(records.read_claims(results / "claims.json")) == {"demo.c", "demo.d"}
    files = {path.name for path in (results / "artifacts").iterdir()}
    assert files == {"b.bin", "d.bin", "unknown.bin"}  # b.bin belongs to the other preset, too


def test_a_lock_is_held_by_one_run_and_freed(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(RunError, match="in use by another run"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


def test_a_folder_of_other_files_is_no_runs_folder(tmp_path):
    (tmp_path / "records").mkdir()
    for folder, said in ((tmp_path, "holds other files"), (tmp_path / "file", "File exists")):
        (tmp_path / "file").write_bytes(b"the user's")
        with pytest.raises(RunError, match=said), locked(folder):
            raise AssertionError
    assert {p.name for p in tmp_path.iterdir()} == {"records", "file"}


@pytest.mark.parametrize("damage", [b"", b"{", b'{"content": 1}', b'{"sha256": "0", "content": 1}'])
def test_what_is_damaged_is_measured_again(tmp_path, capsys, damage):
    data, path = Data(tmp_path), tmp_path / "stages" / "one.json"
    path.parent.mkdir()
    path.write_bytes(damage)
    assert data.cached("one", lambda: [1, 2]) == [1, 2]
    assert "one.json is damaged" in capsys.readouterr().err
    assert data.cached("one", lambda: [3]) == [1, 2]


def test_an_earlier_stage_is_computed_once_and_its_file_checked(tmp_path):
    data, calls = Data(tmp_path), []

    def write(path):
        calls.append(path)
        np.savez(path, x=np.arange(3))

    for _ in range(2):
        path = data.cached_file("stage.npz", write)
        assert data.cached("choice", lambda: {"best": np.float64("nan")}) == {"best": None}
    assert len(calls) == 1
    path.write_bytes(path.read_bytes()[:50])
    assert np.load(data.cached_file("stage.npz", write))["x"].tolist() == [0, 1, 2]
    assert len(calls) == 2


def test_what_is_kept_is_measured_once(tmp_path):
    calls = []

    def measure():
        calls.append(1)
        return {"loss": np.float32(0.5), "sizes": (1, 2)}

    first, second = (Data(tmp_path).cached("one", measure) for _ in range(2))
    assert first == second == {"loss": 0.5, "sizes": [1, 2]}
    assert len(calls) == 1


def test_a_tree_is_trained_once(tmp_path):
    trees = [
        Data(tmp_path).cached_tree("net", lambda n=n: {"a": {"b": np.full(2, n)}}) for n in (1, 2)
    ]
    assert [tree["a"]["b"].tolist() for tree in trees] == [[1, 1], [1, 1]]
