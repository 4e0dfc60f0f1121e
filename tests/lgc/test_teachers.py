"""Teachers in files of every kind: what comes back, soft labels, damage."""

from __future__ import annotations

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import lgc
from fewbits.coding import FormatError, InputError, read_archive, write_archive
from lgc import comparison, distill_command, files
from lgc.commands import main
from lgc.coresets import lossy_subset
from lgc.coresets.downsampling import LOSSLESS, Downsampling
from lgc.distillation import _distill, distilled_file, distilled_images
from lgc.distillation.augmentation import MILD, NONE
from lgc.distillation.distilled_file import OperatingPoint
from lgc.distillation.search import against_codecs, teaching
from lgc.distillation.search.panel import Accuracies, Panel
from lgc.distillation.search.results import Compared
from lgc.distillation.search.trials import Trials
from lgc.teachers import mixing, network, teacher_file, training
from lgc.teachers.mixing import Mixing
from tests.lgc.test_distilled_images import contents
from tests.lgc.test_lossy_subset import blobs

HEAVY = Mixing(MILD, 30, 40)


def soft(drawn: lgc.Decompressed) -> np.ndarray:
    assert drawn.soft_labels is not None
    return drawn.soft_labels


def weights(shape=(9, 9, 1), n_classes=3, width=4) -> bytes:
    return teacher_file.section(network.init(jax.random.key(0), shape, n_classes, width))


@pytest.fixture(scope="module")
def plain() -> bytes:
    return distilled_images.write(contents())


@pytest.fixture(scope="module")
def file(plain) -> bytes:
    return teacher_file.attach(plain, weights(), HEAVY)


def test_a_file_gives_back_its_teacher_and_itself(plain, file):
    without, teacher = teacher_file.split(file)
    assert without == plain
    assert teacher is not None
    assert teacher.mixing == HEAVY
    assert teacher_file.split(plain) == (plain, None)
    assert len(file) - len(plain) <= teacher_file.reserve(weights())
    jax.tree.map(np.testing.assert_array_equal, teacher.params, teacher_file.stored(weights()))


def test_a_teacher_labels_blurred_images_too(plain, file):
    blurry = HEAVY._replace(ranges=HEAVY.ranges._replace(blur=8))
    data = teacher_file.attach(plain, weights(), blurry)
    _, teacher = teacher_file.split(data)
    assert teacher is not None
    assert teacher.mixing == blurry
    assert len(data) - len(plain) <= teacher_file.reserve(weights())
    sharp, soft_images = (lgc.decompress(each, per_class=9, heavy=True) for each in (file, data))
    assert not np.array_equal(sharp.images, soft_images.images)


def test_hard_labels_and_images_are_those_without_a_teacher(plain, file):
    for per_class in (None, 5):
        ours = lgc.decompress(file, per_class=per_class, seed=1)
        theirs = lgc.decompress(plain, per_class=per_class, seed=1)
        np.testing.assert_array_equal(ours.images, theirs.images)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        assert theirs.soft_labels is None
        assert soft(ours).shape == (len(ours.images), 3)
        np.testing.assert_allclose(soft(ours).sum(axis=1), 1, atol=1e-5)
        np.testing.assert_allclose(soft(ours), lgc.classify(file, ours.images), atol=1e-6)


def test_heavy_augmentation_mixes_images_and_labels_the_result(file):
    drawn = lgc.decompress(file, per_class=20, seed=3, heavy=True)
    light = lgc.decompress(file, per_class=20, seed=3)
    assert (drawn.images != light.images).any(axis=(1, 2, 3)).mean() > 0.9
    assert (drawn.labels == np.array([5, 6, 7])[soft(drawn).argmax(axis=1)]).all()
    assert drawn.labels.dtype == light.labels.dtype
    assert light.labels.tolist() == [5] * 20 + [6] * 20 + [7] * 20
    np.testing.assert_allclose(soft(drawn), lgc.classify(file, drawn.images), atol=1e-6)
    again = lgc.decompress(file, per_class=20, seed=3, heavy=True)
    np.testing.assert_array_equal(again.images, drawn.images)


@pytest.mark.slow
def test_streams_carry_soft_labels(file):
    for heavy in (False, True):
        batches = list(itertools.islice(lgc.stream(file, 6, seed=2, heavy=heavy), 3))
        for batch in batches:
            expected = np.array([5, 6, 7])[soft(batch).argmax(axis=1)]
            if not heavy:
                expected = np.array([5, 5, 6, 6, 7, 7])
            assert sorted(batch.labels.tolist()) == sorted(expected.tolist())
            np.testing.assert_allclose(soft(batch), lgc.classify(file, batch.images), atol=1e-6)
        assert (batches[0].images != batches[1].images).any()


@pytest.mark.slow
def test_a_subset_may_have_a_teacher():
    images, labels = blobs(14)
    data = lossy_subset.write(images, labels, LOSSLESS)
    data = teacher_file.attach(data, weights((12, 12, 1)), HEAVY)
    drawn = lgc.decompress(data, per_class=4, heavy=True)
    assert drawn.images.shape == (12, 12, 12, 1)
    assert soft(drawn).shape == (12, 3)
    assert files.summary(data)["teacher_bytes"] == len(data) - len(teacher_file.split(data)[0])


@pytest.mark.slow
def test_mixtures_may_have_a_teacher():
    images, labels = blobs(60)
    config = lgc.Config(
        hidden=8, latent=2, epochs=1, components=1, teacher_bytes=700, teacher_steps=3
    )
    data = lgc.compress(images, labels, config=config)
    without = lgc.compress(images, labels, config=replace(config, teacher_bytes=0))
    assert teacher_file.split(data)[0] == without
    for heavy in (False, True):
        assert soft(lgc.decompress(data, per_class=2, heavy=heavy)).shape == (6, 3)
    assert soft(next(lgc.stream(data, 3, heavy=True))).shape == (3, 3)
    compared = comparison.compare(data, images, labels)
    assert compared.soft is not None
    assert 0 <= (compared.teacher or 0) <= 1


def test_what_needs_a_teacher_says_so(plain, file):
    with pytest.raises(InputError, match="no teacher"):
        lgc.decompress(plain, per_class=1, heavy=True)
    with pytest.raises(InputError, match="no teacher"):
        lgc.classify(plain, np.zeros((1, 9, 9, 1), np.uint8))
    with pytest.raises(InputError, match="per_class"):
        lgc.decompress(file, heavy=True)
    with pytest.raises(InputError, match=r"\(1, 8, 9, 1\)"):
        lgc.classify(file, np.zeros((1, 8, 9, 1), np.uint8))


def damaged(file: bytes):
    archive = read_archive(file)
    header, sections = archive.header, archive.sections
    numbers = header["teacher"]
    yield {**header, "teacher": numbers[:-1]}, sections
    yield {**header, "teacher": [*numbers[:-1], 90]}, sections
    yield {**header, "teacher": [*numbers[:-1], 1.5]}, sections
    yield {**header, "teacher": 3}, sections
    yield {**header, "labels": header["labels"][:-1]}, sections
    yield {**header, "shape": [9, 9]}, sections
    yield {name: value for name, value in header.items() if name != "teacher"}, sections
    yield header, {name: value for name, value in sections.items() if name != "teacher"}
    yield header, {**sections, "teacher": b"no file of weights"}
    yield header, {**sections, "teacher": weights((28, 28, 1))}
    yield header, {**sections, "teacher": weights(n_classes=4)}
    params = network.init(jax.random.key(0), (9, 9, 1), 3, 4)
    yield header, {**sections, "teacher": teacher_file.section({"first": params["first"]})}
    wrong = {**params, "second": {"kernel": params["second"]["kernel"]}}
    yield header, {**sections, "teacher": teacher_file.section(wrong)}
    flat = {**params, "first": {"kernel": jnp.ones(4), "bias": jnp.ones(4)}}
    yield header, {**sections, "teacher": teacher_file.section(flat)}


def test_a_damaged_teacher_is_a_format_error(file):
    kind = read_archive(file).kind
    for header, sections in damaged(file):
        data = write_archive(kind, header, sections)
        for read in (lgc.decompress, lambda data: lgc.stream(data, 3), files.summary):
            with pytest.raises(FormatError):
                read(data)


@pytest.mark.parametrize(
    "shape",
    [
        (9, 13, 3),
        *(pytest.param(s, marks=pytest.mark.slow) for s in ((8, 8, 1), (28, 28, 1), (33, 70, 1))),
    ],
)
def test_networks_of_any_shape(shape):
    for width in (4, 10):
        params = network.init(jax.random.key(1), shape, 5, width)
        network.check(jax.tree.map(np.asarray, params), shape, 5)
        assert sum(leaf.size for leaf in jax.tree.leaves(params)) == network.parameters(
            shape, 5, width
        )
        assert network.logits(params, jnp.ones((2, *shape))).shape == (2, 5)


@pytest.mark.slow
def test_a_teacher_is_about_as_large_as_asked():
    for n_bytes in (1_000, 3_000):
        width = network.width_for((28, 28, 1), 10, n_bytes)
        assert 0.5 * n_bytes < len(weights((28, 28, 1), 10, width)) < 1.5 * n_bytes
    assert network.width_for((28, 28, 1), 10, 100) == 0


def test_mixing_keeps_the_larger_part():
    images = np.repeat(np.array([[[[0]]], [[[200]]]], np.uint8), 50, axis=0)
    images = images.repeat(10, axis=1).repeat(10, axis=2)
    rng = np.random.default_rng(0)
    assert (mixing.mixed(rng, images, Mixing(NONE)) == images).all()
    for heavy in (Mixing(NONE, 100, 0), Mixing(NONE, 0, 100)):
        found = mixing.mixed(rng, images, heavy).astype(float).mean(axis=(1, 2, 3))
        assert (found[:50] <= 106).all()
        assert (found[50:] >= 94).all()
        assert len(np.unique(found)) > 5


@pytest.mark.slow
def test_a_teacher_learns_what_is_easy():
    images, labels = blobs(300)
    data = training.train(
        jax.random.key(0), images[:200], labels[:200], 4, 400, ranges=NONE, progress=None
    )
    teacher = teacher_file.Teacher(teacher_file.stored(data), HEAVY)
    found = teacher.probabilities(images[200:]).argmax(axis=1)
    assert (found == labels[200:]).mean() > 0.9


def test_few_images_are_mixed_more():
    flipped = NONE._replace(flip=1)
    few, many = (teaching.mixings(flipped, count) for count in (50, 5_000))
    assert few[:2] == many
    assert all(each.ranges.flip for each in few)
    assert few[2].mixup_percent + few[2].cutmix_percent > sum(many[1][1:])
    for each in few:
        mixing.check(each)


@pytest.mark.slow
def test_a_price_of_bits_makes_the_teacher_smaller():
    images, labels = blobs(200)

    def size(weight):
        return len(
            training.train(
                jax.random.key(0), images, labels, 4, 300, ranges=NONE, bits_weight=weight
            )
        )

    assert size(3e-3) < size(3e-4) < size(0.0)


@pytest.mark.slow
def test_a_search_with_a_teacher_of_a_given_size(tmp_path):
    images, labels = blobs(90)
    config = replace(lgc.DistillConfig.quick(), teacher=700, teacher_steps=4)
    seen = []
    data = lgc.distill(images, labels, 1_500, config=config, on_better=seen.append)
    assert len(data) <= 1_500
    assert seen[0].point.teacher_width == 0
    assert all(each.point.teacher_width for each in seen[1:])  # tried first, since it is asked for
    assert soft(lgc.decompress(data, per_class=2, heavy=True)).shape == (6, 3)


@pytest.mark.slow
def test_a_teacher_that_there_was_no_time_for_is_a_warning():
    images, labels = blobs(60)
    config = replace(lgc.DistillConfig.quick(), teacher=700)
    with pytest.warns(UserWarning, match="before a teacher of 700 bytes"):
        data = lgc.distill(images, labels, 1_500, config=config, time_limit=1e-6)
    assert lgc.decompress(data).soft_labels is None


@pytest.mark.parametrize(
    ("quick", "convnet", "chosen"),
    [(0.5, 0.5, False), (0.6, 0.62, False), (0.7, 0.7, True), (0.55, 0.85, False)],
)
def test_auto_takes_a_teacher_only_for_better_scores(monkeypatch, quick, convnet, chosen):
    """And not where a common codec teaches nearest neighbour and ridge more."""

    def score(trials, point):
        found = Accuracies(quick, quick, convnet) if point.teacher_width else plain
        return trials.full.setdefault(point, found)

    plain = Accuracies(0.6, 0.6, 0.6)
    codec = Compared("xz, lossless", 1_000, 5, Accuracies(0.6, 0.6))
    codecs = against_codecs.Codecs([(codec, None)], ())
    monkeypatch.setattr(against_codecs, "coded", lambda *args: codecs)
    monkeypatch.setattr(Trials, "quick", lambda trials, point: Accuracies(0.5, 0.5))
    monkeypatch.setattr(Trials, "score", score)
    monkeypatch.setattr(Trials, "teacher", lambda trials, point: None)
    monkeypatch.setattr(distilled_file, "write", lambda *args, **kwargs: b"")
    config = replace(lgc.DistillConfig.quick(), teacher="auto")
    search = _distill.search(*blobs(60), 1_500, config, jax.random.key(0))
    assert bool(search.run().point.teacher_width) == chosen
    assert any(point.teacher_width for point in search._trials.full)


@pytest.mark.parametrize(("size", "message"), [(100, "as few as 100"), (900, "of 900 for images")])
def test_a_teacher_that_cannot_be_is_refused_at_once(size, message):
    config = replace(lgc.DistillConfig.quick(), teacher=size)
    with pytest.raises(InputError, match=message):
        lgc.distill(*blobs(30), 900, config=config)
    if size == 100:
        with pytest.raises(InputError, match=message):
            lgc.compress(*blobs(30), config=lgc.Config(teacher_bytes=size))


def test_the_command_writes_soft_labels(tmp_path, file, capsys):
    source, out = tmp_path / "set.lgc", tmp_path / "set.npz"
    source.write_bytes(file)
    assert main(["decompress", str(source), str(out), "--per-class", "2", "--heavy"]) == 0
    with np.load(out) as arrays:
        assert arrays["soft_labels"].shape == (6, 3)
    assert main(["decompress", str(source), str(out), "--heavy", "--force"]) == 2
    assert "--per-class" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_says_what_a_teacher_does(tmp_path, monkeypatch, capsys):
    quick = replace(lgc.DistillConfig.quick(), teacher_steps=4)
    made = lambda teacher: replace(quick, teacher=teacher)  # noqa: E731
    monkeypatch.setattr(distill_command.config, "DistillConfig", made)
    pixels, labels = blobs(90)
    source, out, shown = (tmp_path / name for name in ("set.npz", "set.lgc", "set.png"))
    np.savez(source, images=pixels, labels=labels)
    limits = ["--budget-bytes", "1500", "--teacher", "700", "--preview", str(shown)]
    assert main(["distill", str(source), str(out), *limits]) == 0
    said = capsys.readouterr().out
    assert "with its soft labels (decompress --heavy)" in said
    assert "its teacher alone" in said
    assert shown.stat().st_size
    assert lgc.decompress(out.read_bytes()).soft_labels is not None


@pytest.mark.parametrize("text", ["0", "-3", "big", "1.5"])
def test_a_wrong_size_of_a_teacher_is_named(tmp_path, text, capsys):
    arguments = ["distill", "in.npz", str(tmp_path / "o"), "--budget-bytes", "900"]
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, f"--teacher={text}"])
    assert text in capsys.readouterr().err
    with pytest.raises(ValueError, match="teacher"):
        lgc.DistillConfig(teacher=text)  # type: ignore[arg-type]


def test_a_temperature_divides_the_logits(file, plain):
    cold, warm = (
        soft(lgc.decompress(file, per_class=4, heavy=True, temperature=each)) for each in (1.0, 3.0)
    )
    wanted = cold ** (1 / 3)
    np.testing.assert_allclose(warm, wanted / wanted.sum(axis=1, keepdims=True), atol=1e-5)
    batch = next(lgc.stream(file, 6, heavy=True, temperature=1e6))
    np.testing.assert_allclose(soft(batch), 1 / 3, atol=1e-3)
    plain_labels = lgc.decompress(file, per_class=9, heavy=True).labels
    for extreme in (1e-300, 1e-9, 1e300):
        drawn = lgc.decompress(file, per_class=9, heavy=True, temperature=extreme)
        np.testing.assert_array_equal(drawn.labels, plain_labels)
        np.testing.assert_allclose(soft(drawn).sum(axis=1), 1, atol=1e-6)
    for wrong in (0, -1.0, float("nan"), float("inf"), "4", True):
        for read in (lgc.decompress, lambda data, **kwargs: lgc.stream(data, 2, **kwargs)):
            with pytest.raises(InputError, match="temperature is"):
                read(file, temperature=wrong)
    with pytest.raises(InputError, match="holds no teacher"):
        lgc.decompress(plain, temperature=4)


def test_soft_and_hard_labels_are_compared_on_equally_many_images(monkeypatch):
    images, labels = blobs(90)
    seen, half = [], Accuracies(0.5, 0.5)
    monkeypatch.setattr(Panel, "quick", lambda panel, *sets: seen.append(sets) or half)
    monkeypatch.setattr(Panel, "full", lambda panel, quick, drawn: quick)
    config = replace(lgc.DistillConfig.quick(), teacher="auto", teacher_steps=2)
    checked = distilled_file.check(images, labels)
    trials = Trials(checked, 1_500, jax.random.key(0), config, lambda *args: None)
    (found,) = trials.fitting((Downsampling(1, 2),))
    point = OperatingPoint(found, 0, MILD, 0.0, teacher_width=4, heavy=HEAVY)
    trials.quick(point)
    trials.soft(point)
    _, hard = seen[0]
    (with_soft_labels,) = next(each for each in seen if len(each) == 1)
    assert len(hard[0]) == len(with_soft_labels[0])
