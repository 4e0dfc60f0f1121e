"""Pages: no number without a record, no broken link, no page longer than a reader's patience."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

from fewbits import cli

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = [*PAGES, *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))]
IDS = [path.name for path in PAGES]

TYPED = {
    # page: numbers that no record of ours backs, and why they may stand there
    "README.md": {
        "3.11 3.12 2.0": "versions of Python and the licence",
        "1,000 12,000 4 5": "budgets and sizes of the rows",
        "2022 2505.17469": "a year, arXiv",
        "1.52 0.96 3.03 0.69": "MIRACLE, as published",
        "67 800": "the published bit allocation and its number of images",
        "1.14 1.20": "Sparse PC's and HCLT's published bits per dimension",
    },
    "index.md": {"3.11": "a version of Python", "2 16": "bits of the grid"},
    "lgc.md": {
        "1,000 3,000 12,000 30,000 100,000": "budgets of the rows",
        "5,254 95.98 3,080,064": "the published classifier, its accuracy and bytes",
    },
    "pruning.md": {
        "2505.17469": "arXiv",
        "97 98 99": "shares of zeros that the rows stand for",
        "150 500 1,200 3,000 1,800 2,500 1.25": "targets of the rows",
        "1.52 0.96 3.03 0.69": "MIRACLE, as published",
        "1": "the penalty's formula",
        "5": "a default",
    },
    "ratedist.md": {
        "64 1000 32 256": "sizes of problems",
        "8": "states of the trellis",
        "1 3 2048": "shapes of pictures and sound, lengths of transforms",
        "25 40 100 35 50": "squared errors and qualities of the rows",
        "200": "sources of the row",
        "20,000": "the most strategies",
    },
    "bitalloc.md": {
        "2 4 8 16 32 160 784 9 800 20": "budgets, features, depths, training images, splits",
        "1,000 3,000 4,000": "examples from which networks compete, up to which all folds do",
        "0 255": "values of pixels",
        "67 87 79": "the published system's accuracies",
    },
    "coding.md": {
        "2 16": "bits of the grid",
        "97 99 97.5": "shares of zeros, and the accuracy that files are held to",
        "60,000": "labels of MNIST",
        "1 256": "the default error, states of the trellis",
        "5 10": "shares of weights that are not zero",
        "1.14 1.20": "Sparse PC's and HCLT's published bits per dimension",
    },
    "adding_an_experiment.md": {"1": "a number of cores"},
    "files.md": {"0 1 255 256": "levels of images, and values that they stand for"},
    "text.md": {
        "1 4 5 20 200": "sizes of the rows",
        "335 135": "the prior's kilobytes, text and file: tests/codecs/text/test_mixing.py",
        "64 47 32": "the format's checksums and overhead, where --fast is the default",
        "1 0.5 0.6 0.4 2": "gigabytes of memory, measured with GNU time; megabytes, cores",
        "0 11": "brotli's quality, optimisation level",
    },
    "commands.md": {"1 255 256": "scaling and levels of pixels"},
    "devices.md": {
        "8 1 4 256 4,096 64": "processes, chips and runs",
        "197 819": "published peaks of a chip",
    },
}


def _prose(text: str) -> str:
    """Without code, claims and links' targets."""
    text = re.sub(r"(?ms)^```.*?^```", "", text)
    text = re.sub(r"(?s)<!-- claim:.*?<!-- /claim -->", "", text)
    text = re.sub(r"`[^`]*`", "", text)
    text = re.sub(r"\]\([^)]*\)", "]", text)
    return re.sub(r"(?m)^\d+\. ", "", text)


def _numbers(text: str) -> list[str]:
    """Numbers that are no part of a name such as LeNet-300-100."""
    return re.findall(r"(?<![\w.,-])\d[\d.,]*\d(?![\w-])|(?<![\w.,-])\d(?![\w-])", _prose(text))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_no_number_is_typed_by_hand(page: Path):
    allowed = {number for numbers in TYPED.get(page.name, {}) for number in numbers.split()}
    typed = set(_numbers(page.read_text())) - allowed
    assert not typed, f"put a claim's marks around {sorted(typed)}, or say in TYPED why not"


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_no_number_is_allowed_that_is_not_there(page: Path):
    allowed = {number for numbers in TYPED.get(page.name, {}) for number in numbers.split()}
    assert allowed <= set(_numbers(page.read_text()))


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_no_line_begins_with_a_claim(page: Path):
    """A comment at the beginning of a line ends a paragraph in Markdown."""
    assert "\n<!-- claim" not in page.read_text()


@pytest.mark.parametrize("page", LINKED, ids=[path.name for path in LINKED])
def test_links_lead_somewhere(page: Path):
    made = ("api/", "tutorials/", "formats/")  # by docs/build.py
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target and not target.startswith(made):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize(("name", "most"), [("README.md", 6_000), ("RESULTS.md", 10_000)])
def test_pages_are_short(name: str, most: int):
    assert (ROOT / name).stat().st_size <= most


COMMANDS = [
    pytest.param(part.strip(), id=f"{page.name}: {part.strip()}")
    for page in PAGES
    for block in re.findall(r"(?ms)^```bash\n(.*?)^```", page.read_text())
    for line in block.splitlines()
    for part in line.split("#")[0].split("|")
    if part.strip().startswith("fewbits ") and "--help" not in part and "--version" not in part
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_what_the_parsers_take(command: str):
    _, tool, *words = command.split()
    (entry,) = metadata.entry_points(group=cli.COMMAND_GROUP, name=tool)
    entry.load()(f"fewbits {tool}").parse_args(words)
