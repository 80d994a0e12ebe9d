"""One progress bar: a bar where a person watches, one log line every some seconds where nobody does."""

from __future__ import annotations

import os
import sys
import time


def headless() -> bool:
    """True when nobody watches: the runner says so (``LABKIT_HEADLESS=1``), or there is neither terminal nor kernel."""
    told = os.environ.get("LABKIT_HEADLESS")
    if told is not None:
        return told not in ("", "0")
    return "ipykernel" not in sys.modules and not sys.stderr.isatty()


class Progress:
    """Counts ``total`` steps of work.

    Args:
        total: how much there is. unit: what is counted ("epochs"). every: seconds between headless lines.
        show: False is silence.
    """

    def __init__(self, total: int, unit: str = "epochs", every: float = 30.0, show: bool = True, stream=None):
        self.total, self.unit, self.every, self.done = total, unit, every, 0
        self.started = self.last = time.monotonic()
        self.stream = stream or sys.stdout
        self.bar = None
        self.show = show
        if show and not headless():
            from tqdm.auto import tqdm

            self.bar = tqdm(total=total, unit=f" {unit}", leave=False)

    def advance(self, steps: int, text: str = "") -> None:
        """Add ``steps`` done; ``text`` says what is being worked on."""
        self.done += steps
        if self.bar is not None:
            self.bar.set_description(text)
            self.bar.update(steps)
        elif self.show and time.monotonic() - self.last >= self.every:
            self.last = time.monotonic()
            spent = self.last - self.started
            left = spent * (self.total - self.done) / max(self.done, 1)
            print(
                f"{text}: {self.done} of {self.total} {self.unit}, {spent:.0f} s, about {left:.0f} s left",
                file=self.stream, flush=True,
            )  # fmt: skip

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()
