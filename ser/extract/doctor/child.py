"""Running a probe in a process of its own: a package that crashes or hangs when it is imported must not end the doctor."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

SECONDS = 45.0  # until a probe that does not end is given up
HANGS = "did not end within"
# The same search path as here: `python -c` would put the current folder first, where any torch.py may lie.
_CODE = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from ser.extract.doctor.probes import main; main(sys.argv[2], sys.argv[3:])"
)
_OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


@dataclass(frozen=True)
class Outcome:
    """What a probe said before it ended.

    Attributes:
        values: its findings, by name.
        error: why it did not come to its end; empty where it did.
    """

    values: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def run(probe: str, *arguments: str, seconds: float = SECONDS) -> Outcome:
    """Run a function of `probes` in a child process, without a network.

    Args:
        probe: its name.
        arguments: its arguments.
        seconds: after which it is ended.
    """
    command = [sys.executable, "-c", _CODE, json.dumps(sys.path), probe, *arguments]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            env={**os.environ, **_OFFLINE},
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        return Outcome(_values(error.stdout), f"{HANGS} {seconds:.0f} s")
    except OSError as error:
        return Outcome({}, f"cannot start a process: {error.strerror}")
    return Outcome(_values(done.stdout), _why(done.returncode, done.stderr))


def try_imports(*targets: str) -> Outcome:
    """Import `module` or `module:name` each; one that ends its process is noted, and the others are tried again.

    Returns:
        target -> what went wrong, empty where nothing did.
    """
    errors: dict[str, str] = {}
    left = list(targets)
    while left:
        outcome = run("imports", *left)
        errors |= outcome.values
        left = [target for target in left if target not in errors]
        if left:
            errors[left.pop(0)] = outcome.error or "not tried"
        if outcome.error.startswith(HANGS):  # once is long enough
            errors |= dict.fromkeys(left, "not tried: another package hangs")
            break
    return Outcome(errors)


def _values(output: bytes | None) -> dict[str, Any]:
    """The probe's lines, JSON objects, as one; the last may be cut off."""
    values: dict[str, Any] = {}
    for line in (output or b"").splitlines():
        try:
            values |= json.loads(line)
        except ValueError:
            break
    return values


def _why(code: int, said: bytes) -> str:
    if code == 0:
        return ""
    if code < 0:
        names = {s.value: s.name for s in signal.Signals}
        return f"ended by {names.get(-code, f'signal {-code}')}"
    lines = said.decode(errors="replace").strip().splitlines() or [f"exit code {code}"]
    return lines[-1][:300]
