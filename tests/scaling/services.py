"""PostgreSQL and Slurm as servers of this machine's loopback address, for as long as a test needs them.

Debian has both: apt-get install postgresql slurmctld slurmd slurm-client. Tests that need one that is not installed
are skipped; .ci/run installs them.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PASSWORD = "secret"
"""Of the role `mlflow`, as docs/scaling.md has it."""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(answers: Callable[[], bool], server: "subprocess.Popen[str]", seconds: float = 120) -> None:
    """Until the server answers. One that ends before, or does not answer in this time, fails the test."""
    deadline = time.monotonic() + seconds
    while not answers():
        if server.poll() is not None or time.monotonic() > deadline:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGKILL)
            pytest.fail(f"{server.args} does not answer: {server.communicate()[0]}")
        time.sleep(0.2)


@contextlib.contextmanager
def ended(server: "subprocess.Popen[str]") -> Iterator[None]:
    """The server, and what it started in its process group, end with the block."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        try:
            server.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.communicate()


@contextlib.contextmanager
def postgres() -> Iterator[int]:
    """The port of a PostgreSQL server with the role `mlflow`, which may make databases and has a password."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"))  # not in PATH
    initdb = shutil.which("initdb", path=os.pathsep.join([*map(str, reversed(debian)), os.environ["PATH"]]))
    if initdb is None:
        pytest.skip("no PostgreSQL on this machine; on Debian: apt-get install postgresql")
    # It does not run as root, and what is not root does not see root's temporary folders.
    user = "postgres" if os.getuid() == 0 else None
    with tempfile.TemporaryDirectory(prefix="partsight-postgres-", dir="/tmp") as kept:
        password, data, port = Path(kept, "password"), Path(kept, "data"), free_port()
        password.write_text(PASSWORD)
        if user is not None:
            for path in (kept, password):
                shutil.chown(path, user)
        init = [initdb, "-D", str(data), "-U", "mlflow", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"]
        subprocess.run(init, user=user, cwd=kept, check=True, capture_output=True)
        served = [str(Path(initdb).with_name("postgres")), "-D", str(data), "-h", "127.0.0.1", "-p", str(port)]
        served += ["-k", kept, "-F"]  # -F: it need not survive this machine
        server = subprocess.Popen(
            served, user=user, cwd=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
        )
        ready = [str(Path(initdb).with_name("pg_isready")), "-h", "127.0.0.1", "-p", str(port)]
        with ended(server):
            wait_for(lambda: subprocess.run(ready, capture_output=True, check=False).returncode == 0, server)
            yield port


SLURM = """
ClusterName=partsight
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MailProg=/bin/true
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextlib.contextmanager
def slurm(folder: Path) -> Iterator[Path]:
    """The slurm.conf (for SLURM_CONF) of a cluster whose one node, with two cores, is this machine."""
    if not all(map(shutil.which, ("slurmctld", "slurmd", "sbatch"))):
        pytest.skip("no Slurm on this machine; on Debian: apt-get install slurmctld slurmd slurm-client")
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    user = Path(folder).owner()
    host, controller, node = socket.gethostname().split(".")[0], free_port(), free_port()
    conf = folder / "slurm.conf"
    conf.write_text(SLURM.format(folder=folder, user=user, host=host, controller=controller, node=node))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    with contextlib.ExitStack() as servers:
        for program in ("slurmctld", "slurmd"):
            server = subprocess.Popen(
                [program, "-D"],
                env=environment,
                stdout=(folder / f"{program}.log").open("w"),
                stderr=subprocess.STDOUT,
                text=True,
                process_group=0,
            )
            servers.enter_context(ended(server))
        state = ["sinfo", "--noheader", "--format=%t"]
        wait_for(
            lambda: (
                subprocess.run(state, env=environment, capture_output=True, text=True, check=False).stdout.strip()
                == "idle"
            ),
            server,
        )
        yield conf
