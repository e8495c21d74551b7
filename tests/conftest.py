"""Fixtures of all tests: nothing touches the user's cache, MLflow store or current folder."""

import logging
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import preloaded
import pytest
import torch
from hydra import compose, initialize_config_dir
from ready_store import TABLES

from partsight import composing
from partsight.config import Config, conf_folder

ROOT = Path(__file__).parents[1]
REAL_DATA = "PARTSIGHT_TEST_DATA"
"""Environment variable that names the folder with the zips of the real picture sets."""


LONGEST = (
    *("test_experiment.py", "test_earlier.py", "test_ddp_in_a_sweep.py", "test_started_apart.py", "test_servers.py"),
    "test_training_settings.py",
    *("test_real_data.py", "test_sweep.py", "test_readme.py", "test_launchers.py"),
    *("test_configs.py", "test_isolation.py", "test_notebooks.py", "test_machines.py"),
)
"""Files that take minutes: first, so that no process is left alone with one at the end.

pytest-xdist would begin with the files of most tests, which are the quick ones: the Makefile forbids it.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, all else in its order."""
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """The pictures are not ours to ship: without them their tests are skipped. .ci/run names them, and skips none."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    wanted = item.get_closest_marker("real_data") or "real_data" in getattr(item, "fixturenames", ())
    if wanted and REAL_DATA not in os.environ:
        pytest.skip(f"{REAL_DATA} is not set: name the folder with the zips of the real picture sets")


@pytest.fixture(scope="session", autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Made samples, content hashes and a store's tables are shared by the tests of a session, and by nobody else."""
    fonts = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "matplotlib"
    with pytest.MonkeyPatch.context() as patch:
        if "MPLCONFIGDIR" not in os.environ:  # its list of fonts, which takes long to make, is no setting of the user's
            patch.setenv("MPLCONFIGDIR", str(fonts))
        for name in ("no_proxy", "NO_PROXY"):  # servers under test are on this machine, whatever proxy a plant has
            patch.setenv(name, "127.0.0.1,localhost")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv(TABLES, str(tmp_path_factory.getbasetemp() / "tables.db"))
        yield


@pytest.fixture(autouse=True)
def _isolated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    named = ("MLFLOW_TRACKING_URI", "PARTSIGHT_SEED", "LOCAL_RANK", "NODE_RANK", "RANK", "WORLD_SIZE")
    for variable in [name for name in os.environ if name in named or name.startswith(("SLURM_", "GIT_"))]:
        monkeypatch.delenv(variable)
    monkeypatch.chdir(tmp_path)
    yield
    root = logging.getLogger()  # a sweep within a test: Hydra's handler writes to that test's output, which is closed
    root.handlers = [handler for handler in root.handlers if type(handler) is not logging.StreamHandler]


def _there(path: Path) -> Path:
    """The path; where the variable is set, a missing file is a failure and not a reason to skip."""
    if not path.exists():
        pytest.fail(f"{path} is missing, though {REAL_DATA} is set")
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of the zips of the real picture sets. Without it, tests that use it are skipped before they start."""
    return _there(Path(os.environ[REAL_DATA]).resolve())


@pytest.fixture(scope="session")
def unpacked(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """unpacked("casting_512x512"): the folder with the content of that zip, unpacked once a session."""
    done: dict[str, Path] = {}

    def unpack(name: str) -> Path:
        if name not in done:
            folder = tmp_path_factory.mktemp("real") / name
            with zipfile.ZipFile(_there(real_data / f"{name}.zip")) as packed:
                packed.extractall(folder)
            done[name] = folder
        return done[name]

    return unpack


@pytest.fixture(scope="session")
def weights_file(real_data: Path) -> Path:
    """Real ImageNet weights under timm's names for mobilenetv2_100."""
    return _there(real_data.parent / "weights" / "mobilenetv2_100.safetensors")


@pytest.fixture(scope="session")
def reference(real_data: Path) -> Path:
    """The folder of the four Hydrogen Torch runs: X.yaml and X.charts.json."""
    return _there(real_data.parent / "reference" / "hydrogen_torch")


@pytest.fixture(scope="session")
def server() -> preloaded.Server:
    """Starts programs without their seconds of imports; what differs is in preloaded.py."""
    return preloaded.Server()


@pytest.fixture
def train(server: preloaded.Server, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """train("usecase=casting", ...): `python train.py usecase=casting ...` in tmp_path, without its time of imports."""

    def run(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return server.run([str(ROOT / "train.py"), *arguments], tmp_path, preloaded.environment(), timeout)

    return run


@pytest.fixture
def begin(server: preloaded.Server, tmp_path: Path) -> preloaded.Begin:
    """begin("usecase=casting", ...): as `train`, but a process that has just begun, to be read from and sent signals.

    It leads a process group, and `with` waits for it.
    """

    def start(*arguments: str, folder: Path = tmp_path) -> preloaded.Run:
        return server.begin([str(ROOT / "train.py"), *arguments], folder, preloaded.environment())

    return start


@pytest.fixture
def python_train(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """python_train("usecase=casting", ...): as `train`, in an interpreter of its own."""

    def run(*arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(ROOT / "train.py"), *arguments],
            cwd=tmp_path,
            env=preloaded.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def config() -> Callable[..., Config]:
    """config("usecase=casting", ...): the settings that these overrides of conf/train.yaml give, typed, unchecked."""

    def composed(*overrides: str) -> Config:
        with initialize_config_dir(config_dir=str(conf_folder()), version_base="1.3"):
            return composing.to_config(compose("train", overrides=list(overrides)))

    return composed
