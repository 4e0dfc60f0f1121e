"""Sphinx's settings. `python docs/build.py` makes the pages that are made and runs Sphinx."""

import re
from importlib import metadata

project = "fewbits"
author = "The fewbits authors"
project_copyright = "2026, the fewbits authors"
release = version = metadata.version("fewbits")
extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
html_theme = "furo"
html_title = "fewbits"
html_static_path = ["_static"]
html_css_files = ["fewbits.css"]
html_show_sourcelink = False
html_copy_source = False
copybutton_exclude = ".linenos, .gp, .go"  # prompts and output stay behind
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
default_role = "py:obj"
autosummary_generate = False
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 88
python_use_unqualified_type_names = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_custom_sections = ["Errors", "Cost"]
add_module_names = False
toc_object_entries = False
autodoc_type_aliases = {
    name: name
    for name in ("ArrayLike", "Constraints", "Params", "Batch", "optax.ScalarOrSchedule", "Number")
}


_SPANS = re.compile(r"(``?[^`]+``?|(?<![\w*])\*\w[^*\n]*\w\*(?![\w*]))")
"""What means something in a docstring: code in backticks and *words*."""


def _escape(text: str) -> str:
    """Plain text as reStructuredText, spans and bullets as they are."""
    parts = _SPANS.split(text)
    for i in range(0, len(parts), 2):
        part = re.sub(r"(?m)^(\s*)\* |([*|])", _escaped, parts[i])
        part = re.sub(r"(?<=\w)_(?!\w)", r"\\_", part)
        if i and re.match(r"\w", part):  # `name`s: the end of a span needs a separator
            part = "\\ " + part
        parts[i] = part
    return "".join(parts)


def _escaped(match: re.Match[str]) -> str:
    return "\\" + match[2] if match[2] else match[0]


def _plain_docstring(app, what, name, obj, options, lines: list[str]) -> None:
    """Escapes all lines but examples and literal blocks, in place."""
    del app, what, name, obj, options
    done, plain, literal_at, in_example = [], [], None, False

    def end_plain() -> None:
        if plain:
            done.extend(_escape("\n".join(plain)).split("\n"))
            plain.clear()

    for line in lines:
        stripped, indent = line.strip(), len(line) - len(line.lstrip())
        if literal_at is not None and stripped and indent <= literal_at:
            literal_at = None
        in_example = bool(stripped) and (in_example or stripped.startswith(">>>"))
        if literal_at is not None or in_example:
            end_plain()
            done.append(line)
            continue
        plain.append(line)
        if stripped.endswith("::"):
            literal_at = indent
    end_plain()
    lines[:] = done


def _skip_fields(app, what, name, obj, skip, options) -> bool | None:
    """A tuple's fields are in its docstring; their own docstrings say nothing."""
    del app, what, name, options
    return True if type(obj).__name__ in ("_tuplegetter", "member_descriptor") else skip


def setup(app) -> None:
    """Connects what is above."""
    app.connect("autodoc-process-docstring", _plain_docstring, priority=400)
    app.connect("autodoc-skip-member", _skip_fields)
