"""Whether a file teaches more than what its user would have done instead, in words."""

from __future__ import annotations

from collections.abc import Sequence

from lgc.distillation.search.panel import NAMES, Accuracies
from lgc.distillation.search.results import Compared

_ENOUGH = 0.2
"""More noise, and nothing can be said."""
_LEAST = 0.01
"""A smaller lead of a codec for one classifier is not mentioned."""


def verdict(
    ours: Accuracies,
    others: list[Compared],
    missing: Sequence[str] = (),
    noise: float = 0.0,
    *,
    n_classes: int | None = None,
    left_out: Sequence[str] = (),
    remedies: Sequence[str] = (),
) -> str:
    """The last lines: which is better, and whether the held-out images are enough to tell.

    Args:
      ours: of the file.
      others: of common codecs.
      missing: what there was no time for.
      noise: a difference of accuracies that chance explains, in [0, 1] (`panel.noise`).
      n_classes: to tell learning from guessing; None to leave that out.
      left_out: what the search had no time to try.
      remedies: what may make the file better.
    """
    lines = []
    if n_classes is not None and ours.mean() - 1 / n_classes <= noise <= _ENOUGH:
        lines.append(
            f"no better than guessing one of {n_classes} classes: check the images and the labels"
        )
    if others:
        best = min(others, key=lambda each: _lead(ours, each.accuracies))
        points = _lead(ours, best.accuracies)
        lines.append(_against(points, best.name, noise, remedies))
        if points >= 0:
            lines += _better_for_some(ours, others, max(noise, _LEAST))
    elif missing:
        lines.append("no codec was compared: the time was over; allow more")
    else:
        lines.append("no common codec fits an image of each class into these bytes")
    if ours.convnet is None:
        lines.append("no network was trained on this file: allow more time before you train one")
    if left_out:
        lines.append(f"the time was over before the search finished: {', '.join(left_out)}")
    if others and missing:
        lines.append(f"no time to compare with: {', '.join(missing)}")
    return "\n".join(lines)


def _lead(ours: Accuracies, theirs: Accuracies) -> float:
    """Of the file, in points, by the classifiers that were trained on both."""
    return 100 * (_comparable(ours, theirs).mean() - _comparable(theirs, ours).mean())


def _against(points: float, name: str, noise: float, remedies: Sequence[str]) -> str:
    unsure = abs(points) < 100 * noise
    within = f", within the noise of the held-out images ({100 * noise:.1f} points)" * unsure
    if points >= 0:
        said = f"the file is {points:.1f} points above the nearest of them ({name}), on average"
        return said + within + ": either will do" * unsure
    said = f"{name} is {-points:.1f} points better than this file, on average"
    if unsure:
        return f"{said}{within}: either will do"
    return f"{said}: use that{', or give the search ' * bool(remedies)}{' or '.join(remedies)}"


def _comparable(accuracies: Accuracies, with_: Accuracies) -> Accuracies:
    """Without the ConvNet where the other has none."""
    return accuracies._replace(convnet=None) if with_.convnet is None else accuracies


def _better_for_some(ours: Accuracies, others: list[Compared], least: float) -> list[str]:
    """For which classifiers a codec is better all the same, by so much or more."""
    said = []
    for field, name in zip(Accuracies._fields, NAMES, strict=True):
        own, known = getattr(ours, field), []
        for each in others:
            theirs = getattr(each.accuracies, field)
            known += [] if theirs is None else [(theirs, each.name)]
        if own is not None and known and max(known)[0] >= own + least:
            theirs, codec = max(known)
            said.append(f"but for {name} {codec} is {100 * (theirs - own):.1f} points better")
    return said
