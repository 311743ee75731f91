"""A stand-in for a training script: standard library, run on the machine as a program of its own.

    python trainer.py FOLDER LEDGER SIZE EVERY_S

Every `EVERY_S` seconds it writes a checkpoint of SIZE random bytes in place, under its final name,
then the mark `latest`; it keeps three, and appends a line to a log each second. What it finished
stands in the ledger, outside the folder, before the next thing begins. It never ends by itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from pathlib import Path

KEPT = 3
WRITING_PART = 0.3  # Of the time between two checkpoints: how long writing one takes.
CHUNK = 1 << 20


class Trainer:
    def __init__(self, folder: Path, ledger: Path, size: int, every_s: float) -> None:
        self._folder = folder
        self._ledger = ledger.open("a")
        self._log = (folder / "train.log").open("a")
        self._size = size
        self._every_s = every_s
        self._step = int(time.time() * 1000)  # So that no name comes twice.
        self._logged_at = 0.0

    def run(self) -> None:
        while True:
            ends_at = time.monotonic() + self._every_s
            self._save()
            while (left_s := ends_at - time.monotonic()) > 0:
                self._log_now_and_then()
                time.sleep(min(0.1, left_s))

    def _save(self) -> None:
        self._step += 1
        path = self._folder / f"epoch_{self._step}.pt"
        digest = hashlib.sha256()
        chunks = max(1, self._size // CHUNK)
        with path.open("wb") as file:
            for _ in range(chunks):
                chunk = os.urandom(self._size // chunks)
                digest.update(chunk)
                file.write(chunk)
                self._log_now_and_then()
                time.sleep(self._every_s * WRITING_PART / chunks)
        self._note(path.name, digest.hexdigest())
        (self._folder / "latest").write_text(path.name)
        for old in sorted(self._folder.glob("epoch_*.pt"))[:-KEPT]:
            old.unlink()

    def _log_now_and_then(self) -> None:
        now = time.time()
        if now - self._logged_at >= 1:
            self._logged_at = now
            self._log.write(f"{now:.3f} loss 0.1\n")
            self._log.flush()

    def _note(self, name: str, digest: str) -> None:
        row = {"name": name, "sha256": digest, "size": self._size, "closed_at": time.time()}
        self._ledger.write(json.dumps(row) + "\n")
        self._ledger.flush()


if __name__ == "__main__":
    folder, ledger, size, every_s = sys.argv[1:]
    Trainer(Path(folder), Path(ledger), int(size), float(every_s)).run()
