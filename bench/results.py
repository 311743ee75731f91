"""What a run has measured: figures by place, workload and peer, and what could not be measured."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import sample

NEVER = math.inf  # It did not arrive in time.


@dataclass(frozen=True)
class Figure:
    """The times (or sizes) of one workload with one peer, and the bytes each took on the wire."""

    samples: tuple[float, ...]
    unit: str = "s"  # "s", "bytes", or "%" of one core.
    wire: float | None = None  # Bytes per sample, both ways; None: not counted.
    patience_s: float | None = None  # How long was waited for what never came.

    @property
    def p50(self) -> float:
        return sample.percentile(self.samples, 50)

    @property
    def p95(self) -> float:
        return sample.percentile(self.samples, 95)

    def __str__(self) -> str:
        text = self._word(self.p50)
        if len(self.samples) >= 10:
            text += f" ({self._word(self.p95)})"
        lost = self.samples.count(NEVER)
        if 0 < lost < len(self.samples):
            text += f", {lost} of {len(self.samples)} {self._word(NEVER)}"
        if self.wire is not None:
            text += f", {sample.size(self.wire)}"
        return text

    def _word(self, value: float) -> str:
        if value == NEVER and self.patience_s is not None:
            return f"> {sample.seconds(self.patience_s)}"
        if self.unit == "bytes":
            return sample.size(value)
        if self.unit == "%":
            return f"{sample.three_digits(value)} %"
        return sample.seconds(value)


@dataclass
class Results:
    """Figures in the order in which they were taken. `notes`: what a reader must know besides."""

    figures: dict[tuple[str, str, str], Figure] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    facts: str = ""  # Where and with what.

    def add(self, place: str, workload: str, peer: str, figure: Figure) -> None:
        self.figures[place, workload, peer] = figure
        print(f"{place:9} {workload:24} {peer:16} {figure}", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)
            print(f"note: {text}", file=sys.stderr, flush=True)

    def get(self, place: str, workload: str, peer: str) -> Figure | None:
        return self.figures.get((place, workload, peer))

    def peers(self, place: str, workloads: tuple[str, ...]) -> list[str]:
        """Return who has a figure in any of these, in the order of the first one."""
        return list(
            dict.fromkeys(
                peer for at, what, peer in self.figures if at == place and what in workloads
            )
        )

    def save(self, path: Path) -> None:
        """Write all of it as JSON; what never came is null there."""
        figures = [
            {"place": place, "workload": workload, "peer": peer, **asdict(figure)}
            for (place, workload, peer), figure in self.figures.items()
        ]
        for figure in figures:
            figure["samples"] = [None if at == NEVER else at for at in figure["samples"]]
        whole = {"facts": self.facts, "notes": self.notes, "figures": figures}
        path.write_text(json.dumps(whole, indent=1) + "\n")


def read_results(paths: Iterable[Path]) -> Results:
    """Return what these files hold together; of two figures for one thing the later file's."""
    results = Results()
    for path in paths:
        whole = json.loads(path.read_text())
        results.facts = whole["facts"]
        results.notes += [note for note in whole["notes"] if note not in results.notes]
        for row in whole["figures"]:
            key = (row.pop("place"), row.pop("workload"), row.pop("peer"))
            samples = tuple(NEVER if at is None else at for at in row.pop("samples"))
            results.figures[key] = Figure(samples, **row)
    return results
