"""One run, from settings to result. Read `run` from top to bottom; each line is a chapter."""

import dataclasses
from contextlib import suppress
from pathlib import Path

import pandas as pd
from hydra.core.hydra_config import HydraConfig

from partsight import console, ranks, whole_file
from partsight.config import Config, flat
from partsight.data.datamodule import FoldData
from partsight.evaluation.result import Result
from partsight.fit import fitting, processes, range_test
from partsight.fit.fitting import Fitted
from partsight.model.weights import Weights
from partsight.run import earlier, facts, keeping, pseudo_training, stopping, training
from partsight.run.context import RunContext, named_apart, run_name
from partsight.run.earlier import Earlier
from partsight.run.resolved import resolve
from partsight.sweep.parent import job_label, parent_of
from partsight.sweep.search import reports, trial
from partsight.tracking import store
from partsight.tracking.run import tracked

SHOWN = ["metric", "value", "low", "high", "n"]


def run(config: Config) -> float:
    """Trains, predicts, evaluates, tracks and reports one run, in Hydra's output folder.

    Returns:
        prediction.metric of the checkpoint that is the result, on the validation rows.

    Raises:
        PartsightError: anything wrong with settings or data that the user can fix.
    """
    processes.end_with_first()
    banners = console.note_banners()
    drawn, asked = config.seed < 0, config.training.batch_size
    resolved = resolve(named_apart(config, job_label(HydraConfig.get())))
    config, computer, divided, start = resolved.config, resolved.computer, resolved.divided, resolved.start
    folder = Path(HydraConfig.get().runtime.output_dir)
    search_callbacks = reports.callbacks(folder, config)
    if not ranks.is_first_process():  # a DDP child trains, and leaves the rest to the first process
        with suppress(processes.Finished):
            fitting.fit(config, computer, resolved.fold_data(), start, folder, search_callbacks)
        return float("nan")

    tags = facts.tags(resolved)
    if config.training.adjust_batch_size:
        tags["batch_size"] = f"{config.training.batch_size}, asked for {asked}"
    parent, name = parent_of(HydraConfig.get()), run_name(config, seen_in_training="seen_in_training" in tags)
    with earlier.claimed(config, tags["identity"], folder, drawn, in_sweep=parent is not None) as earlier_run:
        if earlier_run and earlier_run.finished:
            try:
                return _conclude_again(config, earlier_run, folder, parent)
            finally:
                fitting.dismiss_others(config, computer, folder)
        earlier.prepare_folder(folder, earlier_run)
        data = resolved.fold_data()
        facts.announce(resolved, data, tags)
        tags |= earlier.resume_tags(earlier_run, config, tags, folder) if earlier_run else {}
        tags |= earlier.whereabouts(folder) | trial.tags(folder)
        with stopping.told_if_stopped(config, folder, drawn, in_sweep=parent is not None, study=tags.get("study")):
            keeping.write_facts(folder, tags)  # first: they mark the folder as this run's
            with tracked(config.tracking, name, parent, tags, earlier_run.id if earlier_run else None) as track:
                context = _with_found_rate(RunContext(config, computer, folder, track, name), data, start)
                track.parameters(dict(flat(dataclasses.asdict(context.config))))
                keeping.write_inputs(context, resolved.examples, divided)
                if config.data.unlabeled_table:
                    data = pseudo_training.labelled(context, data, resolved.inspected, start)
                fitted, curves, result = training.train(context, data, start, search_callbacks)
                keeping.write_hydrogen_files(context, data, result, curves)
                test = _test(context, data, fitted, result)
                track.tags(facts.changed_meanwhile(resolved))
                keeping.write_scorer(context, tags, result, data.examples, fitted)
                from partsight.run import reporting  # only now: a run starts sooner without its charts

                about = reporting.RunFacts(tags, banners, divided.leaks)
                reporting.write(context, about, result, test, curves.table(), data, fitted.model)
    _conclude(context, result, test, fitted)
    return result.value(config.prediction.metric)


def _with_found_rate(context: RunContext, data: FoldData, start: Weights) -> RunContext:
    """The context with the learning rate that a range test finds, if one is requested."""
    config, folder = context.config, context.folder
    if not config.training.find_learning_rate:
        return context
    from partsight.insight.range_chart import range_chart
    from partsight.insight.style import save

    kept = folder / "learning_rate_range.csv"
    if not kept.is_file():  # it exists if a run that was interrupted after it is resumed
        measured = range_test.find(config, context.computer, data, start, folder)
        whole_file.write(kept, measured.to_csv(index=False))
    curve = pd.read_csv(kept, float_precision="round_trip")
    found = range_test.suggestion(curve)
    save(range_chart(curve, found, f"{context.title}: learning-rate range test"), folder / "learning_rate_range.png")
    for kind in ("csv", "png"):
        context.track.artifact(folder / f"learning_rate_range.{kind}")
    context.track.tags({"found_learning_rate": found})
    console.say(f"training.learning_rate={found:g}, found by a range test of {len(curve)} batches")
    rate = dataclasses.replace(config.training, learning_rate=found)
    return dataclasses.replace(context, config=dataclasses.replace(config, training=rate))


def _test(context: RunContext, data: FoldData, fitted: Fitted, result: Result) -> pd.DataFrame | None:
    """Test rows are used here for the first time, by the checkpoint that is the result; their figures, if any."""
    if not len(data.test_positions):
        return None
    return keeping.write_test_result(context, data, training.score(context, data, fitted, "test"), result.task)


def _conclude_again(config: Config, earlier_run: Earlier, folder: Path, parent: str | None) -> float:
    """The result of a finished run of the same identity, instead of another run."""
    place, own = earlier_run.tags["folder"], earlier_run.folder
    gone = (
        ""
        if own
        else f" Its folder {place} {earlier.why_folder_is_lost(earlier_run)}: what is left of it is in MLflow."
    )
    if own != folder.resolve():
        earlier.prepare_folder(folder, None)
    figures = earlier.fetch_result(config, earlier_run, folder, parent)
    name = f"{config.name}, {run_name(config, 'seen_in_training' in earlier_run.tags)}"
    console.table(figures[SHOWN], f"{name}: validation, 95 % intervals")
    differing = earlier.drift(earlier_run, config, {})
    console.say(
        f"Already finished as run {earlier_run.id}{f' in {place}' if own else ''}; not run again.{gone}"
        + (f" Differences that cannot affect the result: {differing}." if differing else "")
        + f" Its tables are in {folder}; rerun=true runs it again"
    )
    row = figures["metric"] == config.prediction.metric
    return float(figures.loc[row, "value"].iloc[0])


def _conclude(context: RunContext, result: Result, test: pd.DataFrame | None, fitted: Fitted) -> None:
    name = f"{context.config.name}, {context.name}"
    console.table(result.summary[SHOWN], f"{name}: validation, 95 % intervals")
    if test is not None:
        console.table(test[SHOWN], f"{name}: test, 95 % intervals")
    if fitted.stopped:
        console.say(f"Training ended early, {fitted.stopped}")
    console.say(f"Trained in {fitted.seconds:.0f} s. Everything is in {context.folder}")
    console.say(f"Compare runs in the browser: {store.ui_command(context.config.tracking)}")
