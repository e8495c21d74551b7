"""`partsight`: train, study, data check, bench, predict, export, import-ht, ui. Imports wait until they are needed."""

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from partsight import __version__, home, importing, memory, output, whole_file
from partsight.errors import PartsightError, Problems


@output.ends_with_reader()
def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console command."""
    output.prepare()
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["train"]:  # Hydra reads its own command line
        from partsight import command

        command.train(given[1:])
        return
    try:
        if given[:2] == ["data", "check"]:  # takes settings, as train does
            from partsight import data_check

            sys.exit(data_check.main(given[2:]))
        if given[:1] == ["study"]:
            from partsight.study import command as study

            sys.exit(study.main(given[1:]))
        if given[:1] == ["bench"]:
            from partsight.bench import command as bench

            sys.exit(bench.main(given[1:]))
        parsed = _parser().parse_args(given)
        parsed.run(parsed)
    except PartsightError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        sys.exit(128 + signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="partsight", description=__doc__)
    parser.add_argument("--version", action="version", version=f"partsight {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("train", help="train: partsight train usecase=casting backbone=efficientnet_b4", add_help=False)
    study = "study: many runs and their table: partsight study casting_backbone data.root=/data/casting_data"
    commands.add_parser("study", help=study, add_help=False)
    data = commands.add_parser("data", help="data check: audit a data set: partsight data check /data/parts")
    data.add_subparsers(required=True, metavar="check").add_parser("check", add_help=False)
    commands.add_parser("bench", help="measure: partsight bench usecase=casting backbone=resnet50", add_help=False)

    predict = commands.add_parser("predict", help="score new pictures with a checkpoint", description=_PREDICT)
    predict.add_argument("checkpoint", type=_path, metavar="CHECKPOINT", help="best.ckpt or last.ckpt of a run")
    predict.add_argument(
        "source", type=_path, metavar="FOLDER_OR_TABLE", help="folder of pictures, or a csv or parquet table"
    )
    predict.add_argument(
        "--out", type=Path, default=Path("predictions.csv"), help="csv or parquet (default: %(default)s)"
    )
    predict.add_argument("--images", type=Path, help="folder the table's pictures are in (default: the table's folder)")
    predict.add_argument("--image-column", help="column that names the picture (default: as trained)")
    predict.add_argument(
        "--batch-size", type=_at_least(1), default=32, help="pictures at a time (default: %(default)s)"
    )
    predict.add_argument("--workers", type=_at_least(0), help="loader processes (default: one per core, at most 8)")
    predict.add_argument("--accelerator", choices=["auto", "cpu", "gpu"], default="auto", help="(default: %(default)s)")
    _add_plugins(predict)
    predict.set_defaults(run=_predict)

    export = commands.add_parser(
        "export", help="pack a checkpoint into a scorer that runs anywhere", description=_EXPORT
    )
    export.add_argument("checkpoint", type=_path, metavar="CHECKPOINT", help="best.ckpt or last.ckpt of a run")
    export.add_argument("--out", type=Path, default=Path("scorer"), help="folder to create (default: %(default)s)")
    export.add_argument("--samples", type=Path, help="folder of pictures for its selftest (default: drawn ones)")
    export.add_argument(
        "--int8", action="store_true", help="in eight-bit integers, if faster and as accurate on the validation rows"
    )
    export.add_argument("--root", help="with --int8: the run's data set (default: where the run found it)")
    _add_plugins(export)
    export.set_defaults(run=_export)

    imports = commands.add_parser("import-ht", help="turn a Hydrogen Torch yaml into a use case", description=_IMPORT)
    imports.add_argument("file", type=Path, metavar="FILE", help="yaml as Hydrogen Torch exports it")
    imports.add_argument("--out", type=Path, metavar="FILE", help="(default: my_conf/usecase/NAME.yaml)")
    imports.add_argument(
        "--root", type=Path, help="the data set, to look for a column `fold` and for labels of 0 and 1 in its table"
    )
    imports.set_defaults(run=_import)

    ui = commands.add_parser("ui", help="open the comparison of runs (MLflow)", description=_UI)
    ui.add_argument("--uri", help="store (default: MLFLOW_TRACKING_URI, else mlflow.db in the current folder)")
    ui.add_argument("--host", default="127.0.0.1", help="(default: %(default)s)")
    ui.add_argument("--port", type=int, default=5000, help="(default: %(default)s)")
    ui.set_defaults(run=_ui)
    return parser


def _path(given: str) -> Path:
    """A path that is named: an empty one, as of an unset variable, would be the current folder."""
    if not given:
        raise argparse.ArgumentTypeError("is empty")
    return Path(given)


def _at_least(least: int) -> Callable[[str], int]:
    """The type of an option that takes whole numbers from `least`."""

    def number(given: str) -> int:
        if not given.isdecimal() or int(given) < least:
            raise argparse.ArgumentTypeError(f"must be a whole number from {least}, not {given}")
        return int(given)

    return number


def _add_plugins(parser: argparse.ArgumentParser) -> None:
    words = "module to import first, such as the plugin that defines the run's backbone or a transform; may be repeated"
    parser.add_argument("--plugins", action="append", default=[], metavar="MODULE", help=words)


_PREDICT = "Scores pictures into a table with one row per picture: image, prediction and a probability for each class."
_EXPORT = "Makes a folder with the model as ONNX and a script that scores pictures with it, without this project."
_IMPORT = "Writes a use case with the file's settings, and beside it a table of how each key was translated."
_UI = "Serves the MLflow UI of a store until Ctrl-C."


def _predict(parsed: argparse.Namespace) -> None:
    if parsed.out.suffix.lower() not in (".csv", ".parquet", ".pq"):
        raise PartsightError(f"--out {parsed.out}: must end in .csv or .parquet")
    whole_file.try_writing(parsed.out)  # before anything is scored
    memory.one_arena()
    with importing.for_good():
        from partsight.evaluation import predictions
        from partsight.serving.predict import predict

    _import_plugins(parsed.plugins)
    scored = predict(
        parsed.checkpoint,
        parsed.source,
        parsed.images,
        parsed.image_column,
        parsed.batch_size,
        parsed.workers,
        parsed.accelerator,
    )
    try:
        predictions.write(scored, parsed.out)
    except OSError as error:
        raise PartsightError(f"--out {parsed.out}: cannot be written: {error.strerror or error}") from None
    shares = scored["prediction"].astype(str).value_counts()
    print(f"{len(scored)} pictures scored into {parsed.out}")
    print("\n".join(f"  {name}: {count}" for name, count in shares.items()))


def _export(parsed: argparse.Namespace) -> None:
    if parsed.root is not None and not parsed.int8:
        raise PartsightError("--root: only with --int8")
    home.require()
    with importing.for_good():
        from partsight.data import folders
        from partsight.serving.pack import pack

    _import_plugins(parsed.plugins)
    samples: list[Path] = []
    if parsed.samples is not None:
        if not parsed.samples.is_dir():
            raise PartsightError(f"--samples {parsed.samples}: there is no such folder")
        samples = [parsed.samples / name for name in folders.pictures_below(parsed.samples)]
        if not samples:
            raise PartsightError(f"--samples {parsed.samples}: there are no pictures in this folder")
    pack(parsed.checkpoint, parsed.out, samples, quantize=parsed.int8, root=parsed.root)
    print(f"Packed into {parsed.out}; it has passed its own test. Score pictures: python {parsed.out}/score.py FOLDER")


def _import_plugins(modules: Sequence[str]) -> None:
    from partsight.model import plugins

    if problems := plugins.load(modules):
        raise Problems("The command cannot run", problems)


def _import(parsed: argparse.Namespace) -> None:
    from partsight.interop.hydrogen_torch import command

    print(command.write(parsed.file, parsed.out, parsed.root))


def _ui(parsed: argparse.Namespace) -> None:
    import socket
    import subprocess

    home.require()
    from partsight.config import TrackingConfig
    from partsight.tracking import store

    where = store.existing(TrackingConfig(uri=parsed.uri))
    if where.startswith("http"):  # MLflow serves files and databases, not another server
        print(f"The runs are on a server, which has the same pages: open {where}")
        return
    try:  # MLflow's own status is 0 if it cannot serve
        family = socket.AF_INET6 if ":" in parsed.host else socket.AF_INET
        socket.create_server((parsed.host, parsed.port), family=family).close()
    except (OSError, OverflowError) as error:
        raise PartsightError(f"--host {parsed.host} --port {parsed.port}: {error}; name another") from None
    print(f"Runs of {where} on http://{parsed.host}:{parsed.port} (Ctrl-C ends it)", flush=True)
    print("If MLflow opens with its pages for language models: press Model training, at the top left", flush=True)
    command = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", where]
    try:
        status = subprocess.call([*command, "--host", parsed.host, "--port", str(parsed.port)])
    except KeyboardInterrupt:
        status = 0
    sys.exit(status)
