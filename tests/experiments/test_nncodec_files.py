from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import nncodec
from experiments.runner.folder import Data
from experiments.weight_coding import nncodec_files
from experiments.weight_coding.nncodec_files import Row

SMOKE = nncodec_files.EXPERIMENT.presets["smoke"]


def test_bytes_at_an_error_lie_on_the_line_between_two_qp(monkeypatch):
    around = [[{"qp": -20, "bytes": 1000, "mse": 1e-4}, {"qp": -19, "bytes": 800, "mse": 4e-4}]]
    monkeypatch.setattr(nncodec, "run_peer", lambda *_: json.dumps(around))
    tensors = {"a": np.zeros(3, np.float32)}
    [found] = nncodec.nncodec_bytes(tensors, [2e-4])
    assert found == pytest.approx(np.sqrt(1000 * 800))


def test_without_an_environment_it_says_what_is_missing(monkeypatch):
    monkeypatch.delenv("NNCODEC_PYTHON", raising=False)
    with pytest.raises(RuntimeError, match="pip install nncodec"):
        nncodec.nncodec_bytes({"a": np.zeros(3, np.float32)}, [1e-3])


def test_the_peer_does_not_import_our_module_of_its_name(monkeypatch):
    monkeypatch.setenv("NNCODEC_PYTHON", sys.executable)
    with pytest.raises(RuntimeError, match="No module named 'nncodec'"):
        nncodec.nncodec_bytes({"a": np.zeros(3, np.float32)}, [1e-3])


@pytest.mark.nightly
def test_a_file_that_decodes_to_others_is_no_evidence(tmp_path: Path):
    data = Data(tmp_path)
    rows = nncodec_files.measure(SMOKE, [("p10", 0)], data)
    default = rows[0]._replace(nncodec_bytes=1000.0)
    assert default.quality == "default"
    assert nncodec_files.recompute(SMOKE, default, data) == default.bytes / 1000
    assert rows[1].bytes < default.bytes
    assert 6 < rows[1].mse / default.mse <= 8
    swapped = default._replace(file=rows[1].file)
    with pytest.raises(ValueError, match="does not decode to what was measured"):
        nncodec_files.recompute(SMOKE, swapped, data)


def test_released_networks_are_one_claim():
    fields = dict.fromkeys(Row._fields, 0.0)
    for network, group in (("silero-vad", "real"), ("resemblyzer", "real"), ("p5", "p5")):
        row = Row(**{**fields, "network": network, "quality": "default"})
        assert row.point == group
        assert row._replace(quality="coarser").point == f"{group}.coarser"
