"""Migrated records give the claims that were published before, but for a list with reasons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from experiments.runner import claims, records, registry, rows
from tests.experiments.test_smoke import converted

BEFORE = records.read_claims(Path(__file__).with_name("claims_before.json"))

CHANGED = {
    "lgc.em.speedup_vs_one_thread: new": "verify can time it on a busy machine as well",
    "lgc.rate_constrained.joint.report_cnn: new": "the experiment claimed nothing",
    "lgc.rate_constrained.subset.report_cnn: new": "as above; its file was written again, alike",
    "lgc.em.speedup_vs_sklearn: tolerance": "it had none; verify now times one class again",
    "ratedist.max_certified_gap_bits: tolerance": "it had none; verify now solves the curve again",
    "coding.bits_back.weights.net_of_kl: new": "the experiment claimed nothing",
    "pruning.sweep.teacher_student.bound_one_core: new": "the parts of a step, timed alone",
    **dict.fromkeys(
        (f"ratedist.gaussian.trellis_gap_bits: {what}" for what in ("bytes", "value")),
        "the trellis has up to 256 states, where it had eight",
    ),
    "coding.bits_back.mnist.bits_per_dim: value": (
        "it was the first seed's, beside the deviation of three; now their mean"
    ),
    **dict.fromkeys(
        (
            f"pruning.sweep.{net}.time_over_sequential: tolerance"
            for net in ("teacher_student", "lenet300")
        ),
        "they had none; verify now measures again",
    ),
    **dict.fromkeys(
        (
            f"pruning.convergence.{method}.lost_percent: new"
            for method in ("drr", "fpp", "pmmp", "pmmp_admm", "pmmp_curvature")
        ),
        "the experiment claimed nothing",
    ),
    **dict.fromkeys(
        (
            f"pruning.teacher_student.{method}.excess_at_30: tolerance"
            for method in ("drr", "pmmp_curvature")
        ),
        "they had none; verify now trains the small networks again",
    ),
    **dict.fromkeys(
        (
            f"ratedist.{name}: tolerance"
            for name in (
                "seconds.1000x1000",
                "seconds.sweep32.256",
                "speedup_vs_clarabel.64",
                "speedup_vs_dit.64",
            )
        ),
        "they had none; verify now measures again",
    ),
    **dict.fromkeys(
        (
            *(
                f"coding.sparse.lenet300.{zeros}.{what}: tolerance"
                for zeros in (97, 98, 99)
                for what in ("bits_per_nonzero", "gain_vs_xz")
            ),
            *(
                f"coding.l2_is_compression.file_bytes_at_{target}.{penalty}: tolerance"
                for target in (97.5, 98.0)
                for penalty in ("none", "l2", "l1", "drr")
            ),
        ),
        "verify takes the other seeds' values from the record",
    ),
    **dict.fromkeys(
        (
            f"ratedist.fidelity.{kind}: new"
            for kind in (
                "every_letter.at_0.5",
                "global.at_0.5",
                "subset_mean.at_0.5",
                "subset_sum.at_0.5",
                "subset_sum.at_1",
                "subset_sum.at_2",
            )
        ),
        "the experiment claimed nothing",
    ),
    **dict.fromkeys(
        (
            f"ratedist.annealing.{curve}.cost_above_best: new"
            for curve in ("gaussian_4.2", "gaussian_7.8")
        ),
        "the experiment claimed nothing",
    ),
    **dict.fromkeys(
        (
            f"pruning.{claim}: gone"
            for claim in (
                "lenet300.ratio_at_1.9",
                "lenet300.file_bytes_at_98.0",
                "lenet5.ratio_at_1.0",
                "lenet5.file_bytes_at_99.1",
            )
        ),
        "the target that they rest on was chosen by its test error",
    ),
    **dict.fromkeys(
        (
            f"pruning.{network}.at_{target}.{field}: new"
            for network, target, size in (
                ("lenet300", "150x", "ratio"),
                ("lenet300", "92x", "ratio"),
                ("lenet300", "3000_bytes", "bytes"),
                ("lenet300", "5000_bytes", "bytes"),
                ("lenet5", "500x", "ratio"),
                ("lenet5", "342x", "ratio"),
                ("lenet5", "1200_bytes", "bytes"),
                ("lenet5", "3000_bytes", "bytes"),
            )
            for field in (size, "test_error_percent")
        ),
        "every target with the method chosen on validation, its size and its test error",
    ),
    **dict.fromkeys(
        (f"ratedist.eager.{name}: new" for name in ("first_call_seconds", "second_call_vs_dit")),
        "plain calls were an experiment of their own; now they are a preset of rd_speed",
    ),
    "ratedist.codebook.gradient_disagreement: tolerance": (
        "it had none; verify now compares the gradients again"
    ),
    "text.1MB.xz.bytes: tolerance": "it had none; verify now compresses the text again",
    "text.4MB.xz.bytes: tolerance": "it had none; verify now compresses the text again",
    **dict.fromkeys(
        (
            f"ratedist.patches.lower_bound.at_{level}: new"
            for level in ("0.003", "0.005", "0.008", "0.013", "0.02")
        ),
        "the experiment claimed nothing",
    ),
    "lgc.privacy.control_auc: new": "verify can attack the control again",
    "lgc.privacy.membership_auc.5000_images: new": "small sets leak more; it was in the table only",
    **dict.fromkeys(
        (f"bitalloc.knapsack.{name}: tolerance" for name in ("milliseconds", "speedup_vs_milp")),
        "they had none; verify now measures again",
    ),
    **dict.fromkeys(
        (f"bitalloc.sensors.validation.{bits}: new" for bits in (2, 8)),
        "the experiment claimed nothing",
    ),
    **dict.fromkeys(
        (
            f"bitalloc.{name}: tolerance"
            for name in (
                *(f"pixel800.central.{bits}" for bits in (2, 4, 8, 16, 32, 160)),
                *(
                    f"published_recipe.{view}.{bits}"
                    for view in ("central", "quadrants")
                    for bits in (4, 160)
                ),
            )
        ),
        "they had none; verify now fits the first subset again",
    ),
}
"""`id: field` (or `id: gone`, `id: new`) -> why it may differ from what was published before."""


def differing(before: dict, after: dict) -> set[str]:
    """`id: field` of every claim that is gone, new or another number; last digits may differ."""
    found = {f"{identifier}: gone" for identifier in before.keys() - after.keys()}
    found |= {f"{identifier}: new" for identifier in after.keys() - before.keys()}
    for identifier in before.keys() & after.keys():
        old, new = before[identifier], after[identifier]
        for field in ("value", "std", "seeds", "unit", "bytes", "artifact", "tolerance"):
            if not _same(getattr(old, field), getattr(new, field)):
                found.add(f"{identifier}: {field}")
    return found


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, int | float):
        return abs(one - other) <= 1e-12 * max(abs(one), abs(other))
    return one == other


def test_published_claims_are_those_of_before():
    """Those of experiments that came later do not count."""
    before = {claim.record.partition("/")[0] for claim in BEFORE.values()}
    after = {
        identifier: claim
        for identifier, claim in records.read_claims().items()
        if claim.record.partition("/")[0] in before or f"{identifier}: new" in CHANGED
    }
    assert differing(BEFORE, after) == set(CHANGED)


@pytest.mark.parametrize("name", converted())
def test_claims_follow_from_the_migrated_records(name):
    experiment = registry.get(name).EXPERIMENT
    found = {}
    for record_name, content in records.read_records(name).items():
        record = rows.record_from(experiment, record_name, content)
        for claim in claims.of_record(experiment, record, records.RESULTS / "artifacts"):
            found[claim.id] = claim
        listed = {
            n: (records.RESULTS / "artifacts" / n).stat().st_size for n in content["artifacts"]
        }
        assert listed == content["artifacts"]
    published = records.read_claims().values()
    assert found == {c.id: c for c in published if c.record.startswith(f"{name}/")}
