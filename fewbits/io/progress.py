"""A progress bar on a terminal, nothing elsewhere."""

from __future__ import annotations

from typing import Any


class Bar:
    """Context manager that is called with (done, total) or (stage, done, total)."""

    def __init__(self, title: str):
        self._title, self._stage, self._bar = title, "", None

    def __enter__(self) -> Bar:
        return self

    def __call__(self, *call: Any) -> None:
        """Move to `done` of `total`; a new stage starts a new bar."""
        from tqdm import tqdm

        stage = str(call[0]) if len(call) == 3 else ""
        done, total = call[-2:]
        if self._bar is None or stage != self._stage:
            self.__exit__()
            title = f"{self._title}: {stage}" if stage else self._title
            self._bar, self._stage = tqdm(total=total, desc=title, disable=None), stage
        self._bar.update(done - self._bar.n)

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
