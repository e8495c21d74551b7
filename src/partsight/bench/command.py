"""`partsight bench`: what the model alone could do on this machine, what the loaders can, what a whole run reaches."""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from partsight import command, console, importing, whole_file

if TYPE_CHECKING:
    from partsight.bench.measuring import Measured

DESCRIPTION = """\
Measures how fast the settings of a run are, part by part in one process:

  model     training steps on one batch in memory, in a bare PyTorch loop: the limit of this machine
  loader    only the training loader, from the second epoch on
  run       a whole run of the settings, from the second epoch on: loaders, callbacks, checkpoints, curves into a
            temporary MLflow store; its validation separately
  scoring   only the model, without gradients, as validation uses it

  partsight bench usecase=casting data.root=/data/casting backbone=resnet50 trainer.limit_train_batches=20

The model is measured before and after the run, so that a slowdown of the machine shows."""


def main(given: Sequence[str]) -> int:
    """Runs the command; the exit status."""
    parser = argparse.ArgumentParser(
        prog="partsight bench", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="+", metavar="SETTING", help="as `partsight train` takes them")
    parser.add_argument(
        "--epochs", type=int, default=3, help="epochs of the run; the first is not counted (default: 3)"
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="seconds for each other part (default: 15)")
    parser.add_argument("--out", type=Path, help="json file for the figures")
    parser.add_argument("--config-dir", type=Path, metavar="FOLDER", help="your own configs, as for train")
    parsed, rest = parser.parse_known_intermixed_args(given)
    if parsed.epochs < 2:
        parser.error("--epochs: at least 2, because the first does not count")
    settings = [*parsed.settings, *rest, *([f"--config-dir={parsed.config_dir}"] if parsed.config_dir else [])]
    config = command.settings(settings)
    with importing.for_good():  # not before: mistakes are found sooner without torch
        from partsight.bench import measuring

    if parsed.out:  # now: a file that cannot be written would cost all that was measured
        whole_file.try_writing(parsed.out)
    measured = measuring.measured(config, settings, parsed.epochs, parsed.seconds)
    _tell(measured)
    if parsed.out:
        parsed.out.write_text(json.dumps(dataclasses.asdict(measured), indent=1) + "\n", encoding="utf-8")
    return 0


QUIET = 1.3
"""The model's rates before and after a run differ by at most this factor where nothing else runs."""


def _tell(found: "Measured") -> None:
    import pandas as pd  # as torch: after the settings are known to be right

    model = (found.model_before + found.model_after) / 2
    rates = {
        "model, before the run": found.model_before,
        "model, after it": found.model_after,
        "loader": found.loader,
        "run": found.run,
    }
    scoring = {"model, scoring": found.scoring, "run, validation": found.run_validation}
    lines = [(name, rate, rate / model) for name, rate in rates.items()]
    lines += [(name, rate, rate / found.scoring) for name, rate in scoring.items()]
    console.table(pd.DataFrame(lines, columns=["what", "pictures/s", "of the model"]), found.machine)
    ends = sorted((found.model_before, found.model_after))
    if ends[1] > QUIET * ends[0]:
        console.say(
            f"The model alone was {ends[1] / ends[0]:.1f} times as fast at one end of the run as at the other: other "
            "work takes this machine's time, and these ratios mean little"
        )
    of = found.epoch_seconds
    whole = of["training"] + of["validation"] + of["rest"]
    console.say(
        f"An epoch: {of['training']:.2f} s of training, {of['validation']:.2f} of validation, {of['rest']:.2f} of "
        f"checkpoints and the rest; the model alone would take {of['model']:.2f} ({of['model'] / whole:.2f} of it)"
    )
    console.say(
        f"Pictures read and prepared in {found.prepared_seconds:.1f} s; first step {found.first_step_seconds:.1f} s "
        f"after the fit began; {found.waiting_share:.1%} of the training time between steps "
        f"(loader, transfer, callbacks); {found.peak_memory_gb:.2f} GB of memory"
        + (f", {found.peak_gpu_memory_gb:.2f} GB on the GPU" if found.peak_gpu_memory_gb else "")
    )
