"""Makes the documentation: `python docs/build.py` writes build/docs/html, warnings are errors.

Beside the pages in docs/ it makes a tutorial of every example (which it runs), a reference of every
package's public names, the command line's help, the format pages and the results.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from run_example import split

ROOT = Path(__file__).resolve().parents[1]
DOCS, EXAMPLES = ROOT / "docs", ROOT / "examples"
PACKAGES = (
    "lgc",
    "pruning",
    "ratedist",
    "bitalloc",
    "fewbits.coding",
    "fewbits.io",
    "fewbits.training",
)
FORMATS = {
    "fewbits/coding/FORMAT.md": "formats/container.md",
    "lgc/coresets/FORMAT.md": "formats/image_sets.md",
    "lgc/teachers/FORMAT.md": "formats/teachers.md",
    "fewbits/codecs/text/FORMAT.md": "formats/text.md",
    "fewbits/codecs/latent_images/FORMAT.md": "formats/latent_images.md",
}
PROJECT = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "RESULTS.md": "RESULTS.md",
}
MADE = ("api/", "tutorials/", "formats/")
"""Folders of pages that have no file in the repository."""
TUTORIALS = (  # in the order in which they are listed
    "compress_a_data_set",
    "distil_within_a_budget",
    "train_on_a_stream",
    "prune_a_network",
    "prune_an_nnx_model",
    "prune_in_your_own_loop",
    "rate_distortion",
    "refine_a_codebook",
    "code_an_image",
    "channel_capacity",
    "eight_bits_per_image",
    "accuracy_against_bits",
    "sweep_penalties_and_seeds",
)

AT_ONCE = 2
"""Examples that run at the same time: each compiles on one core."""


def pages() -> dict[str, str]:
    """Where each file of the repository is on the site, by path; pictures keep their path."""
    found = FORMATS | PROJECT
    found |= {f"docs/{path.name}": path.name for path in DOCS.glob("*.md")}
    found |= {f"examples/{name}.py": f"tutorials/{name}.md" for name in TUTORIALS}
    for path in (ROOT / "results").glob("*/README.md"):
        relative = path.relative_to(ROOT).as_posix()
        found[relative] = relative
    found["results/README.md"] = "results/README.md"
    return found


def relink(text: str, source: Path, page: str) -> str:
    """A page's links, which are right in the repository, made right on the site.

    Args:
      text: markdown.
      source: the file that it comes from.
      page: its path on the site.

    Raises:
      ValueError: a link to nothing.
    """
    known = pages()

    def link(match: re.Match[str]) -> str:
        whole, mark, label, target, anchor = match.group(0, 1, 2, 3, 4)
        if "://" in target or not target or target.startswith(MADE):
            return whole
        path = Path(os.path.normpath(source.parent / target))
        if not path.exists():
            raise ValueError(f"{source}: a link to {target}, which does not exist")
        relative = path.relative_to(ROOT).as_posix()
        there = known.get(relative)
        if mark:
            there = relative
            copy = SITE / relative
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        if there is None:
            return label if label.startswith("`") else f"{label} (`{relative}`)"
        return f"{mark}[{label}]({os.path.relpath(there, Path(page).parent)}{anchor or ''})"

    fenced = re.split(r"(?ms)(^```.*?^```$)", text)
    fenced[::2] = [
        re.sub(r"(!?)\[([^\]]*)\]\(([^)#\s]*)(#[^)\s]*)?\)", link, part) for part in fenced[::2]
    ]
    return "".join(fenced)


SITE = ROOT / "build" / "docs" / "source"


def write(page: str, text: str) -> None:
    """Writes one page of the site's sources."""
    path = SITE / page
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def toctree(entries: list[str], depth: int = 1) -> str:
    """Markdown of a table of contents."""
    return "```{toctree}\n:maxdepth: " + str(depth) + "\n\n" + "\n".join(entries) + "\n```\n"


def tutorial(name: str) -> None:
    """Runs one example and writes its page: text, code, what it printed, its picture."""
    folder = SITE / "tutorials"
    folder.mkdir(parents=True, exist_ok=True)
    path = EXAMPLES / f"{name}.py"
    done = subprocess.run(
        [sys.executable, DOCS / "run_example.py", path],
        cwd=folder,
        # They compile longer than they run.
        env=os.environ | {"MPLBACKEND": "Agg", "JAX_DISABLE_MOST_OPTIMIZATIONS": "true"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    printed = iter(json.loads(done.stdout.splitlines()[-1]))
    title, _, intro = split(path.read_text())[0][1].partition("\n")
    parts = [f"# {title.rstrip('.')}", intro.strip()]
    for kind, text in split(path.read_text())[1:]:
        if kind == "text":
            parts.append(text)
            continue
        parts.append(f"```python\n{text}\n```")
        if output := next(printed).rstrip():
            parts.append(f"```{{code-block}} text\n:class: output\n\n{output}\n```")
        for picture in re.findall(r"savefig\(\s*\"([\w.]+)\"", text):
            parts.append(f"![{title.rstrip('.')}]({picture})")
    parts.append(f"The whole script is `examples/{name}.py`; the tests run it.")
    write(f"tutorials/{name}.md", "\n\n".join(parts) + "\n")


def reference(package: str, described: dict[int, str]) -> None:
    """The page of one package's public names.

    Args:
      package: its dotted name.
      described: where each name that several packages export is described; is added to.
    """
    module = importlib.import_module(package)
    table, entries = [], []
    for name in getattr(module, "__all__", ()):
        value = getattr(module, name)
        if inspect.ismodule(value):
            kind, options = "automodule", ["   :members:"]
        elif inspect.isclass(value):
            kind = "autoexception" if issubclass(value, Exception) else "autoclass"
            options = [] if issubclass(value, Exception) else ["   :members:"]
        else:
            kind, options = ("autofunction" if callable(value) else "autodata"), []
        home = described.setdefault(id(value), package)
        table.append(f"   {home}.{name}" if home != package else f"   {name}")
        if home != package:
            continue
        title = [name, "-" * len(name), ""]
        entries += [*title, f".. {kind}:: {package}.{name}", *options, ""]
    lines = [package, "=" * len(package), "", f".. automodule:: {package}", ""]
    lines += [f".. currentmodule:: {package}", "", ".. autosummary::", "   :nosignatures:", ""]
    write(f"api/{package}.rst", "\n".join([*lines, *table, "", *entries]))


def commands() -> None:
    """The help texts of the command line."""
    from importlib import metadata

    from fewbits import cli

    os.environ["COLUMNS"] = "88"
    parts = [relink((DOCS / "commands.md").read_text(), DOCS / "commands.md", "commands.md")]

    def add(title: str, parser: argparse.ArgumentParser) -> None:
        parts.extend([title, f"```text\n{parser.format_help().rstrip()}\n```"])

    add("## fewbits", cli.parser())
    for name in cli.TOOLS:
        (entry,) = metadata.entry_points(group=cli.COMMAND_GROUP, name=name)
        parser = entry.load()(f"fewbits {name}")
        add(f"## fewbits {name}", parser)
        for action in parser._actions:
            verbs = action.choices if isinstance(action.choices, dict) else {}
            for verb, of_verb in verbs.items():
                add(f"### fewbits {name} {verb}", of_verb)
    write("commands.md", "\n\n".join([*parts, ""]))


def copies() -> None:
    """Pages that are written by hand or by `python -m experiments tables`."""
    for name, page in pages().items():
        path = ROOT / name
        if path.suffix == ".md" and page != "commands.md":
            text = relink(path.read_text(), path, page)
            write(page, text)
    shutil.copytree(DOCS / "_static", SITE / "_static", dirs_exist_ok=True)
    shutil.copyfile(DOCS / "conf.py", SITE / "conf.py")
    results = sorted(p for p in pages().values() if re.fullmatch(r"results/.+/README\.md", p))
    with (SITE / "RESULTS.md").open("a") as file:
        hidden = toctree(["results/README.md", *results]).replace("\n\n", "\n:hidden:\n\n", 1)
        file.write("\n" + hidden)
    formats = toctree(sorted(Path(page).stem for page in FORMATS.values()))
    write("formats/index.md", "# File formats\n\nEvery byte of every file.\n\n" + formats)
    write("api/index.md", "# Reference\n\n" + toctree(list(PACKAGES)))
    listing = "# Tutorials\n\nShort scripts, shown with what they print.\n\n"
    made = [name for name in TUTORIALS if (SITE / f"tutorials/{name}.md").exists()]
    write("tutorials/index.md", listing + toctree(made))


def main() -> int:
    """Makes the sources and runs Sphinx on them; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-examples", action="store_true", help="take tutorials as they are")
    options = parser.parse_args()
    if not options.no_examples:
        shutil.rmtree(SITE, ignore_errors=True)
        with ThreadPoolExecutor(AT_ONCE) as pool:  # what waits is dropped after the first failure
            list(pool.map(tutorial, TUTORIALS))
    copies()
    commands()
    described: dict[int, str] = {}
    for package in sorted(PACKAGES, key=lambda name: not name.startswith("fewbits")):
        reference(package, described)
    from sphinx.cmd.build import main as sphinx

    return sphinx(["-W", "--keep-going", "-q", "-E", str(SITE), str(SITE.parent / "html")])


if __name__ == "__main__":
    sys.exit(main())
