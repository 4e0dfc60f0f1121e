"""Host-side, not traceable: one sensor's classifiers compete, and the winners' class is sent.

Where one sensor sees all, no message says more about the class than the class that the sender
itself would answer: any encoder and decoder together are a function of the features, which the
sender may compute whole. So the question is which classifier to run there. Small samples decide it
by cross-validation, since a validation part of a few dozen rows would decide by chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax
import numpy as np

from bitalloc import decoder as decoders
from bitalloc.encoders import bottleneck, scorers
from bitalloc.encoders import encoder as encoders
from bitalloc.fitting import class_codes, classifiers, precision, proposals
from bitalloc.fitting.classifiers import Candidate
from bitalloc.fitting.fit import TRANSLATABLE_SIDE, FitConfig, Problem, Sample
from bitalloc.inputs import stratified_folds
from bitalloc.model import Model, Prefix

_FOLDS = 5
_CROSS_VALIDATED = 4_000
"""Rows up to which all folds are used; beyond them one fold is large enough to choose on."""

_MOST_WORK = 40_000_000
"""Rows x features x classes that classifiers other than networks are fitted on, at most."""

_MOST_PARTS = 4
_LEAST_GAIN = 0.01
"""A further part must lower the criterion by this share: every part is stored in the file."""

_TEMPERATURES = 2.0 ** np.arange(-4, 8.5, 0.5)


class Value(NamedTuple):
    """What scores are worth on examples that they were not fitted on.

    Attributes:
      each: Float[N], error plus half the log loss in nats at the best temperature.
      temperature: factor of the scores with the least log loss.
    """

    each: np.ndarray
    temperature: float

    @property
    def mean(self) -> float:
        """The criterion: lower is better."""
        return float(self.each.mean())


@dataclass(frozen=True)
class Blend:
    """Chosen classifiers and their scores on examples they were not fitted on.

    Attributes:
      parts: the candidates.
      mix: Float[P], weights of their scores.
      rows: Int[H], the examples.
      scores: Float[H, K], of those, from the folds that left them out.
    """

    parts: list[Candidate]
    mix: np.ndarray
    rows: np.ndarray
    scores: np.ndarray


def fit_budgets(
    key: jax.Array, problem: Problem, budgets: Sequence[int], config: FitConfig
) -> Iterator[Model]:
    """Class messages of ascending budgets, from one sensor.

    Args:
      key: typed key of every random choice.
      problem: samples, view and classes; the validation part joins the folds unless it is the
        user's own.
      budgets: bits per example, ascending.
      config: see `FitConfig`.
    """
    words = np.asarray(jax.random.key_data(key)).ravel().tolist()
    rng = np.random.default_rng(words)
    n_classes = len(problem.classes)
    everything, folds = _folds(rng, problem)
    seen = problem.sensor_of >= 0
    shift, scale = _standardisation(everything.features[:, seen], problem.image_shape is not None)
    z = encoders.standardised(everything.features, problem.sensor_of, shift, scale)
    pool = classifiers.candidates(min(len(fit) for fit, _ in folds), z.shape[1])
    blend = choose(rng, z, everything.labels, n_classes, folds, pool)
    network = _network(key, problem, everything, folds, config, blend)
    parts, mix, held, held_scores = _final(rng, z, everything, folds, problem, blend, network)
    truth = everything.labels[held]
    best, best_right = None, -1
    for bits in budgets:
        code, sent = _code(held_scores, truth, n_classes, bits)
        length = len(code.answer) - 1
        if code.right[-1] > best_right:
            full = np.full(n_classes, -1, np.int32)
            full[sent] = code.code
            encoder = encoders.ClassEncoder(shift, scale, parts, mix, full, length)
            prefixes = tuple(
                Prefix(b, decoders.TableDecoder(code.answer[b])) for b in range(1, length)
            )
            n_fitted = len(everything.labels) if problem.refit else len(problem.train.labels)
            model = Model(
                "class", problem.sensor_of, problem.image_shape, problem.classes, encoder,
                decoders.TableDecoder(code.answer[length]), n_fitted, len(held), prefixes=prefixes,
                estimate=code.right[-1] / len(held),
            )  # fmt: skip
            best = precision.choose_by_margins(
                model, everything.features, held_scores, config.precisions
            )
            best_right = code.right[-1]
        assert best is not None
        yield best._replace(padding_bits=bits - best.bits + best.padding_bits)


def _code(scores: np.ndarray, truth: np.ndarray, n_classes: int, bits: int):
    """The codewords of a budget, and which classes are sent."""
    everyone = np.arange(n_classes)
    taken, expected = _confusion(scores, truth, everyone)
    code = class_codes.nested_code(taken, everyone)
    if bits >= len(code.answer) - 1:
        return class_codes.nested_code(taken, everyone, expected), everyone
    sent = np.unique(code.answer[bits])
    return class_codes.nested_code(_confusion(scores, truth, sent)[0], sent), sent


def _confusion(scores: np.ndarray, truth: np.ndarray, sent: np.ndarray):
    """Examples of each class taken for each that is sent, counted and expected, [K, J] each."""
    among = scores[:, sent] - scores[:, sent].max(axis=1, keepdims=True)
    probability = np.exp(among)
    probability /= probability.sum(axis=1, keepdims=True)
    of_class = np.eye(scores.shape[1])[truth].T
    taken = np.eye(len(sent))[np.argmax(among, axis=1)]
    return (of_class @ taken).astype(int), of_class @ probability


def _folds(rng: np.random.Generator, problem: Problem):
    """All examples, and (fitted, held out) rows of each fold."""
    train, validation = problem.train, problem.validation
    features = np.concatenate([train.features, validation.features])
    everything = Sample(features, np.concatenate([train.labels, validation.labels]))
    n = len(train.labels)
    if not problem.refit or len(everything.labels) > _CROSS_VALIDATED:
        return everything, [(np.arange(n), np.arange(n, len(everything.labels)))]
    of_row = stratified_folds(rng, everything.labels, _FOLDS)
    return everything, [
        (np.flatnonzero(of_row != fold), np.flatnonzero(of_row == fold)) for fold in range(_FOLDS)
    ]


def _standardisation(features: np.ndarray, is_image: bool) -> tuple[np.ndarray, np.ndarray]:
    with np.errstate(over="ignore", invalid="ignore"):
        shift, scale = bottleneck.standardisation(features, is_image)
    if np.isfinite(shift).all() and np.isfinite(scale).all():
        return shift.astype(np.float64), scale.astype(np.float64)
    # Values whose squares overflow.
    unit = np.abs(features.astype(np.float64)).max(axis=0) + np.finfo(float).tiny
    spread = (features / unit).std(axis=0)
    return (features / unit).mean(axis=0) * unit, np.where(spread > 0, spread, 1.0) * unit


def _limited(rng: np.random.Generator, rows: np.ndarray, width: int) -> np.ndarray:
    """Rows to fit classical classifiers on, all of them if they are few."""
    most = max(1_000, _MOST_WORK // width)
    return rows if len(rows) <= most else np.sort(rng.permutation(rows)[:most])


def choose(
    rng: np.random.Generator,
    z: np.ndarray,
    labels: np.ndarray,
    n_classes: int,
    folds: list[tuple[np.ndarray, np.ndarray]],
    pool: list[Candidate],
) -> Blend:
    """The classifiers whose summed scores are best on examples that they were not fitted on.

    Candidates that are significantly behind after a fold are not fitted to the next one, nor are
    more than two settings of a family.

    Args:
      rng: source of every random choice.
      z: Float64[N, M], standardised.
      labels: Int[N].
      n_classes: K.
      folds: (fitted, held out) rows of each.
      pool: candidates.
    """
    seed = int(rng.integers(1 << 31))
    alive = list(range(len(pool)))
    found: dict[int, list[np.ndarray]] = {number: [] for number in alive}
    held = np.zeros(0, int)
    for fold, (rows, out) in enumerate(folds):
        rows = _limited(rng, rows, z.shape[1] * n_classes)
        held = np.concatenate([held, out])
        for number in alive:
            scorer = classifiers.fit(pool[number], seed + fold, z[rows], labels[rows], n_classes)
            found[number].append(scorers.scores(scorer, z[out]))
        worth = {n: value(np.concatenate(found[n]), labels[held]) for n in alive}
        if fold + 1 < len(folds):
            alive = _survivors(worth, [pool[number].family for number in range(len(pool))])
    scores = {n: worth[n].temperature * np.concatenate(found[n]) for n in alive}
    numbers, mix = _blend(scores, labels[held], worth)
    total = sum(weight * scores[n] for n, weight in zip(numbers, mix, strict=True))
    mix = np.array([w * worth[n].temperature for n, w in zip(numbers, mix, strict=True)])
    return Blend([pool[n] for n in numbers], mix, held, np.asarray(total))


def value(scores: np.ndarray, labels: np.ndarray) -> Value:
    """Error plus half the log loss of every example, at the temperature that suits the scores.

    Args:
      scores: Float[N, K].
      labels: Int[N].
    """
    wrong = np.argmax(scores, axis=1) != labels
    own = scores[np.arange(len(labels)), labels]
    largest = scores.max(axis=1)
    best, best_loss = None, np.inf
    for factor in _TEMPERATURES:
        total = np.log(np.exp(factor * (scores - largest[:, None])).sum(axis=1))
        loss = total - factor * (own - largest)
        if loss.mean() < best_loss:
            best, best_loss = (loss, float(factor)), loss.mean()
    assert best is not None
    return Value(wrong + 0.5 * np.minimum(best[0], 10.0), best[1])


def _survivors(worth: dict[int, Value], family: list[str]) -> list[int]:
    leader = min(worth, key=lambda number: worth[number].mean)
    first = worth[leader]
    ranked = sorted(worth, key=lambda number: worth[number].mean)
    survivors: list[int] = []
    for number in ranked:
        behind = worth[number].each - first.each
        spread = behind.std() / np.sqrt(len(behind))
        siblings = sum(family[other] == family[number] for other in survivors)
        if siblings < 2 and (number == leader or behind.mean() <= 2 * spread):
            survivors.append(number)
    return sorted(survivors)


def _blend(scores: dict[int, np.ndarray], labels, worth: dict[int, Value]):
    """Greedy: parts are added, also repeatedly, while the criterion falls markedly."""
    numbers = [min(scores, key=lambda number: worth[number].mean)]
    least = worth[numbers[0]].mean
    for _ in range(2 * _MOST_PARTS):
        total = sum(scores[number] for number in numbers)
        allowed = scores if len(set(numbers)) < _MOST_PARTS else dict.fromkeys(numbers)
        tried = {n: value(total + scores[n], labels).mean for n in allowed}
        best = min(tried, key=lambda number: tried[number])
        if tried[best] > (1 - _LEAST_GAIN) * least:
            break
        numbers.append(best)
        least = tried[best]
    distinct = sorted(set(numbers))
    return distinct, np.array([numbers.count(n) / len(numbers) for n in distinct])


def _network(key, problem: Problem, everything: Sample, folds, config: FitConfig, blend: Blend):
    """A network that competes on the first fold; None where there are too few examples for it."""
    shape, n = problem.image_shape, len(everything.labels)
    enough = 1_000 if shape is not None and min(shape[:2]) >= TRANSLATABLE_SIDE else 3_000
    if not config.networks or n < enough or np.mean(_right(blend, everything)) > 0.998:
        return None
    fitted, held = (Sample(everything.features[rows], everything.labels[rows]) for rows in folds[0])
    split = problem._replace(train=fitted, validation=held)
    settings = config.bottleneck
    if settings is None or not settings.sensor_width:
        settings = proposals.default_bottleneck("decision", 1)
    return proposals.decision_network(key, split, settings)


def _right(blend: Blend, everything: Sample) -> np.ndarray:
    return np.argmax(blend.scores, axis=1) == everything.labels[blend.rows]


def _final(rng, z, everything: Sample, folds, problem: Problem, blend: Blend, network):
    """The parts to send with, their weights, and scores of examples they were not fitted on."""
    first = folds[0][1]
    labels = everything.labels
    of_blend = blend.scores[: len(first)]
    mix, used, held, scores = blend.mix, True, blend.rows, blend.scores
    networks: tuple[encoders.NetworkEncoder, ...] = ()
    if network is not None:
        raw = encoders.network_values(network, everything.features[first], problem.sensor_of)
        worth, before = value(raw, labels[first]), value(of_blend, labels[first])
        own = worth.temperature * raw
        calibrated = before.temperature * of_blend
        choices = {"network": own, "both": (own + calibrated) / 2}
        tried = {name: value(found, labels[first]) for name, found in choices.items()}
        name = min(tried, key=lambda one: tried[one].mean)
        gain = before.each - tried[name].each
        # The network was stopped where it did best on this very fold.
        if gain.mean() > gain.std() / np.sqrt(len(gain)):
            networks, used = (network,), name == "both"
            mix = blend.mix * before.temperature / 2 if used else np.zeros(0)
            mix = np.append(mix, worth.temperature * (0.5 if used else 1.0))
            held, scores = first, choices[name]
    parts: list[scorers.Scorer | encoders.NetworkEncoder] = []
    if used:
        rows = np.arange(len(labels)) if problem.refit else folds[0][0]
        rows = _limited(rng, rows, z.shape[1] * len(problem.classes))
        seed = int(rng.integers(1 << 31))
        n_classes = len(problem.classes)
        parts = [classifiers.fit(p, seed, z[rows], labels[rows], n_classes) for p in blend.parts]
    return (*parts, *networks), mix, held, scores
