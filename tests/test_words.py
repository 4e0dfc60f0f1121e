"""The field's words, not words of our own: in code, flags, messages and pages."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = (
    "fewbits", "lgc", "pruning", "ratedist", "bitalloc",
    "experiments", "examples", "benchmarks", "docs", "tests",
)  # fmt: skip
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "RESULTS.md")
NOT_READ = ("tests/test_words.py", "tests/golden")
TEACHER_STUDENT = (
    "experiments/pruning/prune_teacher_student.py",
    "pruning/teacher_student.py",
    "tests/pruning/test_teacher_student.py",
)


class Word(NamedTuple):
    """One word that is not the field's.

    Attributes:
      pattern: what must not be found, whatever the case.
      instead: what to write.
      unless: lines that match this are right: names that files hold, and other senses.
      elsewhere: paths below which the word has another sense.
    """

    pattern: str
    instead: str
    unless: str = r"(?!)"
    elsewhere: tuple[str, ...] = ()


WORDS = (
    Word(r"second[ _-]thoughts?", "search stage"),
    Word(r"\bjudge[sd]?\b", "proxy evaluation, evaluate"),
    Word(r"\benlargers?\b", "upsampler", unless=r"[\"'`]enlarger"),
    Word(r"\bgreys\b", "grey levels", elsewhere=("tests/",)),
    Word(r"\bexemplars?\b", "distilled images", unless=r"[\"'`](v1\.)?exemplars[\"'`]|EXEMPLARS"),
    Word(r"\bstudents?\b", "downstream classifier", r"[Tt]eacher", TEACHER_STUDENT),
    Word(r"\blanes?\b", "runs of a sweep, streams of a coder", unless=r"[\"'`]lanes[\"'`]"),
    Word(r"fresh process", "subprocess"),
    Word(r"\bstrangers?\b", "a user, a subprocess"),
    Word(r"\breferees?\b", "reference solver, reference implementation"),
    Word(r"\brecipes?\b", "published baseline, preset", unless=r"published_recipe"),
    Word(r"\bthe report\b", "its name and citation", elsewhere=("experiments/digits/",)),
    Word(r"\bbegun\b", "initialised"),
    Word(r"\bwire\b", "varint, file"),
    Word(r"\bcanonical\b", "deterministic CBOR", unless=r"canonical ones"),
    Word(r"\bundecided\b", "fractional gates"),
    Word(r"\bhints?\b", "context-mixing features", "PARAMS = ", elsewhere=("experiments/runner/",)),
    Word(r"\blit\b", "brightness augmentation"),
    Word(r"\bdeformations?\b", "augmentation", unless=r"[Ee]lastic deformations?"),
    Word(r"speaks? for\b", "selected operating point"),
    Word(r"\b(this|ground) floor\b", "layer"),
    Word(r"\b(this|the) (room|house)\b", "package"),
    Word(r"\bat home\b", "in this package"),
    Word(r"\bopinions?\b", "log odds, prediction"),
    Word(r"\bfalls? silent\b", "collapses"),
)


def _files() -> list[Path]:
    files = [ROOT / name for name in PAGES]
    for folder in FOLDERS:
        files += [*(ROOT / folder).rglob("*.py"), *(ROOT / folder).rglob("*.md")]
    return [
        path
        for path in files
        if not any(path.relative_to(ROOT).as_posix().startswith(name) for name in NOT_READ)
    ]


TEXTS = {path.relative_to(ROOT).as_posix(): path.read_text() for path in _files() if path.is_file()}


@pytest.mark.parametrize("word", WORDS, ids=[word.instead for word in WORDS])
def test_a_word_of_our_own_is_not_used(word: Word):
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in TEXTS.items()
        if not name.startswith(word.elsewhere) and re.search(word.pattern, text, re.IGNORECASE)
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(word.pattern, line, re.IGNORECASE) and not re.search(word.unless, line)
    ]
    assert not found, f"say {word.instead!r}:\n" + "\n".join(found)
