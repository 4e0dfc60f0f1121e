"""Runs one example part by part and prints, as JSON, what each part printed.

`python docs/run_example.py EXAMPLE.py`, in the folder that its pictures go to.
"""

import contextlib
import io
import json
import re
import sys
from pathlib import Path


def split(source: str) -> list[tuple[str, str]]:
    """(kind, text) of an example's parts, `text` and `code` in turn.

    The docstring is the first text; later ones are comments that begin with `# %%`.
    """
    _, docstring, rest = source.split('"""', 2)
    parts = [("text", docstring.strip())]
    for block in re.split(r"(?m)^# %% ?", rest):
        lines = block.splitlines()
        end = 0
        if block != rest and parts[1:]:
            while end < len(lines) and (end == 0 or lines[end].startswith("#")):
                end += 1
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[:end])
            parts.append(("text", text.strip()))
        code = "\n".join(lines[end:]).strip("\n")
        if code:
            parts.append(("code", code))
    return parts


def main(path: str) -> None:
    """Every part of code in one namespace."""
    namespace = {"__name__": "__main__", "__file__": path}
    printed = []
    for kind, text in split(Path(path).read_text()):
        if kind == "code":
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(text, path, "exec", dont_inherit=True), namespace)
            printed.append(out.getvalue())
    print(json.dumps(printed))


if __name__ == "__main__":
    main(sys.argv[1])
