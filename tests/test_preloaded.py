"""A program that runs in a fork of the preloaded process says and ends as it does in an interpreter of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from preloaded import Server, environment

PROGRAMS = {
    "ends": "print('said')",
    "surroundings": "print(sys.argv, os.getcwd(), sys.path[0], __name__, __file__, os.environ['GIVEN'], __spec__)",
    "family": "import multiprocessing; print(multiprocessing.parent_process(), os.getppid() > 1)",
    "words to stderr": "print('said', file=sys.stderr); sys.exit(0)",
    "leaves with a number": "sys.exit(3)",
    "leaves with words": "sys.exit('words')",
    "leaves late": "import atexit; atexit.register(print, 'last'); threading.Timer(0.2, print, ['before']).start()",
    "fails": "raise ValueError('wrong')",
    "Ctrl-C": "os.kill(os.getpid(), signal.SIGINT); time.sleep(60)",
    "SIGTERM": "os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)",
    "SIGKILL": "os.kill(os.getpid(), signal.SIGKILL)",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_says_and_ends_as_in_an_interpreter(name: str, server: Server, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(f"import os, signal, sys, threading, time\n{PROGRAMS[name]}\n")
    given = environment() | {"GIVEN": "here"}
    command = ["env", "--default-signal=INT", sys.executable, str(program), "a", "b c"]
    alone = subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, check=False)
    forked = server.run([str(program), "a", "b c"], tmp_path, given, timeout=60)
    assert (forked.returncode, forked.stdout) == (alone.returncode, alone.stdout)
    assert forked.stderr.splitlines()[-1:] == alone.stderr.splitlines()[-1:]


@pytest.mark.slow
def test_a_variable_that_is_read_at_import_needs_an_interpreter(server: Server, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="OMP_NUM_THREADS"):
        server.run(["program.py"], tmp_path, environment() | {"OMP_NUM_THREADS": "7"}, timeout=60)


@pytest.mark.slow
def test_a_process_that_has_begun_is_read_from_signalled_and_waited_for(server: Server, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text("import time\nprint('begun', flush=True)\ntime.sleep(60)\n")
    with server.begin(["program.py"], tmp_path, environment()) as process:
        assert process.stdout.readline() == "begun\n"
        assert process.poll() is None
        assert os.getpgid(process.pid) == process.pid
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.1)
        process.send_signal(signal.SIGTERM)
        assert process.rest(timeout=60) == ""
    assert process.returncode == -signal.SIGTERM
