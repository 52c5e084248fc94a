"""A SLURM of this machine alone: munge, slurmctld and slurmd, with all their files in one folder. Needs root.

    python tests/real/local_slurm.py FOLDER COMMAND...       # start them, give a command, end them

Debian and Ubuntu have it: `apt-get install slurm-wlm munge`. The node says that it has four cores, however many there are.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun")
CONFIGURATION = """
ClusterName=ser
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=1,sched_interval=2
MpiDefault=none
JobRequeue=1
KillWait=5
MinJobAge=300
ReturnToService=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 Sockets=1 CoresPerSocket=4 ThreadsPerCore=1 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """The reason why there cannot be a SLURM here; "" where there can."""
    lacking = [name for name in PROGRAMS if shutil.which(name) is None]
    if lacking:
        return f"SLURM is not installed: there is no {', '.join(lacking)}"
    return "" if os.geteuid() == 0 else "SLURM's daemons are started by root"


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def slurm(folder: Path) -> Iterator[dict[str, str]]:
    """Start the daemons, which end with the block: the environment in which commands find them.

    Args:
        folder: for their files; all users can see it, and its path is short, as munge's socket needs it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    for name in ("state", "spool"):
        (folder / name).mkdir(exist_ok=True)
    key = folder / "munge.key"
    key.write_bytes(secrets.token_bytes(128))
    key.chmod(0o600)
    host = socket.gethostname().partition(".")[0]
    file = folder / "slurm.conf"
    file.write_text(CONFIGURATION.format(host=host, folder=folder, ports=(_port(), _port())), encoding="utf-8")
    environment = {**os.environ, "SLURM_CONF": str(file)}
    log = (folder / "daemons.log").open("wb")
    quiet = {"env": environment, "stdout": log, "stderr": log}
    files = {"socket": "munge.socket", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "munge.seed"}
    words = [f"--{option}={folder / name}" for option, name in files.items()]
    commands = [["munged", "--foreground", f"--key-file={key}", *words], ["slurmctld", "-D", "-i"], ["slurmd", "-D"]]
    started = []
    try:
        for command in commands:
            started.append(subprocess.Popen(command, **quiet))  # type: ignore[call-overload]
            time.sleep(1)
        _wait(environment, folder)
        yield environment
    finally:
        for process in reversed(started):
            process.terminate()
        for process in reversed(started):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()


def _wait(environment: dict[str, str], folder: Path) -> None:
    """Wait until the node takes work."""
    said = ""
    for _ in range(60):
        found = subprocess.run(["sinfo", "-h", "-o", "%T"], env=environment, capture_output=True, text=True)
        said = found.stdout.strip() or found.stderr.strip()
        if said in ("idle", "mixed", "allocated"):
            return
        time.sleep(1)
    raise RuntimeError(f"SLURM's node is {said}; see {folder}")


if __name__ == "__main__":
    reason = missing()
    if reason or len(sys.argv) < 3:
        sys.exit(reason or str(__doc__))
    with slurm(Path(sys.argv[1]).resolve()) as given:
        sys.exit(subprocess.run(sys.argv[2:], env=given).returncode)
