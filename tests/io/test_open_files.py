"""Names that lead to what this process has open are no outputs."""

from __future__ import annotations

import pytest

from fewbits.io import OutputError, outputs


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/2", "/dev/null"])
@pytest.mark.parametrize("force", [False, True])
def test_names_of_open_files_are_refused(tmp_path, name, force):
    link = tmp_path / "link"
    link.symlink_to(name)
    for path in (name, link):
        with pytest.raises(OutputError, match="not a regular file"):
            outputs.check_output(path, force=force)
