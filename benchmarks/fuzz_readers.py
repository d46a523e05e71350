"""Damages recordings of every format in thousands of ways and opens them, each in a child process.

A reader may return a recording or refuse it in one line; it may not fail in any other way, end its
process, take longer than the time limit or more than the memory limit, or quote a patient's name.

    python benchmarks/fuzz_readers.py --per-seed 800 --json benchmarks/results/fuzz_readers.json
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import sys
import tempfile
import time
import traceback
import warnings
from binascii import crc_hqx
from collections import Counter, defaultdict
from contextlib import closing
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from fuzz_seeds import NAME, write_seeds

from pipelines import provenance
from pipelines.batch.limits import limit_memory
from pipelines.batch.workers import Died, in_processes
from pipelines.errors import RarewaveError
from pipelines.readers import read_recording
from pipelines.run_folder import write_json

TIME_S, MEMORY = 20.0, 768 << 20
MOST_SAMPLES, MOST_PIECES = 200_000, 4
NUMBERS = (
    b"0",
    b"-1",
    b"1",
    b"65536",
    b"99999999",
    b"2147483648",
    b"-9e9",
    b"1e308",
    b"nan",
    b"inf",
)
NAMES = (b"../secret", b"/etc/hostname", b"", b"a.hea", b"\xff\xfe", b"CON")
INTEGERS = (0, -1, 1, 0x7F, 0x7FFF, 0x7FFFFFFF, -0x80000000, 0xFFFF)


def flip(data: bytearray, rng: np.random.Generator) -> None:
    """Flip a bit."""
    data[rng.integers(len(data))] ^= 1 << int(rng.integers(8))


def noise(data: bytearray, rng: np.random.Generator) -> None:
    """Overwrite a place with noise."""
    at, n = _place(data, rng)
    data[at : at + n] = rng.bytes(n)


def fill(data: bytearray, rng: np.random.Generator) -> None:
    """Overwrite a place with zeros, blanks or ones."""
    at, n = _place(data, rng)
    data[at : at + n] = bytes([int(rng.choice([0, 0x20, 0xFF]))]) * n


def cut(data: bytearray, rng: np.random.Generator) -> None:
    """Drop the end."""
    del data[int(rng.integers(len(data))) :]


def drop(data: bytearray, rng: np.random.Generator) -> None:
    """Drop a place."""
    at, n = _place(data, rng)
    del data[at : at + n]


def repeat(data: bytearray, rng: np.random.Generator) -> None:
    """Write a place several times."""
    at, n = _place(data, rng)
    data[at:at] = data[at : at + n] * int(rng.integers(1, 4))


def number(data: bytearray, rng: np.random.Generator) -> None:
    """Replace a number that is spelled out, within its width where the field is padded."""
    found = list(re.finditer(rb"[-+]?\d+\.?\d*", bytes(data[:4096])))
    if found:
        match = found[int(rng.integers(len(found)))]
        new = NUMBERS[int(rng.integers(len(NUMBERS)))]
        width = match.end() - match.start()
        data[match.start() : match.end()] = new.ljust(width)[: max(width, len(new))]


def integer(data: bytearray, rng: np.random.Generator) -> None:
    """Replace a binary whole number by an extreme one."""
    size = int(rng.choice([2, 4, 8]))
    at = int(rng.integers(min(len(data), 2048))) // 2 * 2
    value = INTEGERS[int(rng.integers(len(INTEGERS)))] % (1 << 8 * size)
    data[at : at + size] = value.to_bytes(size, str(rng.choice(["little", "big"])))


def word(data: bytearray, rng: np.random.Generator) -> None:
    """Replace a word, such as the name of a side file, by one that leads elsewhere."""
    found = list(re.finditer(rb"[A-Za-z_][\w.+-]{2,}", bytes(data[:4096])))
    if found:
        match = found[int(rng.integers(len(found)))]
        data[match.start() : match.end()] = NAMES[int(rng.integers(len(NAMES)))]


MUTATIONS = (flip, noise, fill, cut, drop, repeat, number, number, integer, integer, word)


def _place(data: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    reach = len(data) if rng.random() < 0.5 else min(len(data), 1024)  # headers matter more
    return int(rng.integers(reach)), int(rng.integers(1, 64))


def damage(folder: Path, rng: np.random.Generator) -> None:
    """Change one or several files of a recording in place."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    if len(files) > 1 and rng.random() < 0.05:
        files[int(rng.integers(len(files)))].unlink()
        return
    for _ in range(int(rng.integers(1, 6))):
        path = files[int(rng.integers(len(files)))]
        data = bytearray(path.read_bytes())
        if data:
            MUTATIONS[int(rng.integers(len(MUTATIONS)))](data, rng)
            if path.suffix == ".ecg" and rng.random() < 0.7:  # or the checksum stops everything
                data[8:10] = crc_hqx(bytes(data[10:522]), 0xFFFF).to_bytes(2, "little")
            path.write_bytes(bytes(data))


def make_opener(seeds: dict[str, Path], scratch: Path, seed: int):
    """Return what opens one damaged recording and says how that went; runs in a child."""
    for path in seeds.values():
        read_recording(path)  # imports every reader before the memory is limited
    limit_memory(MEMORY)
    warnings.simplefilter("ignore")
    return partial(attempt, seeds, scratch, seed)


def attempt(seeds: dict[str, Path], scratch: Path, seed: int, task: tuple[str, int]) -> str:
    """Damage a copy of a recording and open it."""
    name, index = task
    main = seeds[name]
    folder = scratch / uuid4().hex
    shutil.copytree(main.parent, folder)
    try:
        damage(folder, np.random.default_rng([seed, *name.encode(), index]))
        return open_and_read(folder / main.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def open_and_read(path: Path) -> str:
    """Return "read", "refused", or what went wrong."""
    try:
        recording = read_recording(path)
        for piece in recording.pieces[:MOST_PIECES]:
            for channel in recording.channels[:8]:
                n = min(piece.n_samples(channel.sfreq), MOST_SAMPLES)
                data = recording.read([channel.name], piece, 0, n)
                if data.shape != (1, n):
                    return "wrong: fewer samples than the piece has"
        if not np.isfinite(recording.duration_s):
            return "wrong: endless"
        return "read"
    except RarewaveError as error:
        text = str(error)
        if NAME in text or "\n" in text:
            return "wrong: " + ("a name" if NAME in text else "several lines") + " in the message"
        return "refused"
    except MemoryError:
        return "memory"
    except Exception as error:
        ours = [f for f in traceback.extract_tb(error.__traceback__) if "pipelines" in f.filename]
        where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "?"
        return f"error: {type(error).__name__} at {where}"


def fuzz(names: list[str], per_seed: int, seed: int, workers: int = 1) -> dict[str, object]:
    """Return how many of the damaged recordings of each format went which way."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    bad: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        seeds = write_seeds(Path(folder) / "seeds")
        names = names or list(seeds)
        for name in names:
            read_recording(seeds[name])
        scratch = Path(folder) / "scratch"
        scratch.mkdir()
        tasks = [(name, i) for i in range(per_seed) for name in names]
        make = partial(make_opener, {n: seeds[n] for n in names}, scratch, seed)
        with closing(in_processes(make, tasks, workers, TIME_S)) as answers:
            for (name, index), answer in answers:
                if isinstance(answer, Died):
                    answer = "too slow" if answer.overtime_s else f"died: {answer.exit_code}"
                counts[name][answer] += 1
                if answer not in ("read", "refused"):
                    bad.append({"format": name, "index": index, "what": answer})
    total = sum(sum(counter.values()) for counter in counts.values())
    return {
        "damaged_recordings": total,
        "seed": seed,
        "limits": {"time_s": TIME_S, "memory_bytes": MEMORY},
        "outcomes": {name: dict(counts[name]) for name in names},
        "failures": bad,
    }


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-seed", type=int, default=800)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--format", action="append", default=[], help="only this one")
    parser.add_argument("--index", type=int, help="show how opening this damaged recording fails")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.index is not None:
        show(options.format[0], options.index, options.seed)
        return
    began = time.monotonic()
    found = fuzz(options.format, options.per_seed, options.seed, options.workers)
    found |= {
        "wall_s": round(time.monotonic() - began, 1),
        "versions": provenance.versions(),
        "machine": {**provenance.machine(), "python": platform.python_version()},
    }
    if options.json:
        write_json(options.json, found)
    failures = Counter((bad["format"], bad["what"]) for bad in found["failures"])
    print(json.dumps(found["outcomes"], indent=1))
    for (name, what), count in failures.most_common():
        print(f"{count:5d}  {name}: {what}")


def show(name: str, index: int, seed: int) -> None:
    """Open one damaged recording and let it fail."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_seeds(Path(folder))[name]
        damage(path.parent, np.random.default_rng([seed, *name.encode(), index]))
        recording = read_recording(path)
        print(recording.channels, recording.pieces)
        for piece in recording.pieces:
            for channel in recording.channels:
                recording.read([channel.name], piece, 0, MOST_SAMPLES)


if __name__ == "__main__":
    main()
