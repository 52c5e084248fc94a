"""A whole corpus through `ser extract`, as a user runs it: wall and processor time, peak memory.

    python benchmarks/whole_corpus.py --root CORPUS --dataset emodb [--weights FOLDER] --audio egemaps --audio logmel ...

Each `--audio` is one call of the command (give several names with commas to share a pass), in a fresh workspace. Memory is
the largest of any one process; worker processes come beside it.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--audio", action="append", required=True)
    parser.add_argument("--dtype", default="float32")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ser-whole-") as folder:
        base = [sys.executable, "-c", "from ser.cli import entry; entry()"]
        shared = ["--dataset", arguments.dataset, "--root", str(arguments.root), "--workspace", folder, "--quiet"]
        subprocess.run([*base, "metadata", *shared], check=True)
        for names in arguments.audio:
            measured([*base, "extract", *shared, "--audio", names, "--dtype", arguments.dtype], arguments.weights, names)


def measured(command: list[str], weights: Path | None, names: str) -> None:
    """Run one command in a process of its own and print what it took."""
    command += ["--weights", str(weights)] if weights else []
    script = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:]); "
        "used = resource.getrusage(resource.RUSAGE_CHILDREN); "
        "print(done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss)"
    )
    begin = time.monotonic()
    done = subprocess.run([sys.executable, "-c", script, *command], stdout=subprocess.PIPE, text=True, check=True)
    wall = time.monotonic() - begin
    code, processor, memory = done.stdout.split()[-3:]
    unit = 1024 if sys.platform != "darwin" else 1024**2
    print(
        f"{names}: exit {code}, {wall:.0f} s, {float(processor):.0f} s of processor time, peak {int(memory) / unit:.0f} MB",
        flush=True,
    )


if __name__ == "__main__":
    main()
