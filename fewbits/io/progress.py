"""Progress on standard error: a bar on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from typing import Any

_EVERY_SECONDS = 60.0


class Bar:
    """Context manager that is called with (done, total) or (stage, done, total).

    Args:
      title: what is being worked on.
      quiet: show nothing.
    """

    def __init__(self, title: str, *, quiet: bool = False):
        self._title, self._quiet = title, quiet
        self._stage, self._bar, self._last = "", None, ""
        self._ended = threading.Event()
        self._start = time.monotonic()

    def __enter__(self) -> Bar:
        self._start = time.monotonic()
        if not self._quiet and not _on_terminal():
            # A thread, since a stage may go on for minutes without a call.
            threading.Thread(target=self._tell, daemon=True).start()
        return self

    def __call__(self, *call: Any) -> None:
        """Move to `done` of `total`; a new stage starts a new bar."""
        if self._quiet:
            return
        stage = str(call[0]) if len(call) == 3 else ""
        done, total = call[-2:]
        self._last = f"{stage + ', ' if stage else ''}{done:,} of {total:,}"
        if not _on_terminal():
            return
        from tqdm import tqdm

        if self._bar is None or stage != self._stage:
            self._close()
            title = f"{self._title}: {stage}" if stage else self._title
            self._bar, self._stage = tqdm(total=total, desc=title), stage
        self._bar.update(done - self._bar.n)

    def __exit__(self, *exception: object) -> None:
        self._ended.set()
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _tell(self) -> None:
        while not self._ended.wait(_EVERY_SECONDS):
            minutes = (time.monotonic() - self._start) / 60
            where = f"{self._last}, " if self._last else ""
            sys.stderr.write(f"{self._title}: {where}{minutes:.0f} min\n")
            sys.stderr.flush()


def _on_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()
