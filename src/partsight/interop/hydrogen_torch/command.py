"""`partsight import-ht`: turns their yaml into files to read, keep and change."""

import re
from pathlib import Path

from partsight import check, composing, config
from partsight.errors import PartsightError, Problems
from partsight.interop.hydrogen_torch import report, usecase
from partsight.interop.hydrogen_torch.convert import Import, imported


def write(file: Path, out: Path | None, root: Path | None) -> str:
    """Writes the use case, group files beside it if needed, and the report.

    Args:
        file: yaml as exported.
        out: use case to write; None: my_conf/usecase/NAME.yaml.
        root: the data set, if known, whose table's columns decide what some keys mean.

    Returns:
        The table of all keys, what was written, and the command that trains it.

    Raises:
        PartsightError: the file cannot be imported, its settings cannot run, or the output cannot be written.
    """
    found = imported(file, root)
    out = Path("my_conf") / "usecase" / f"{usecase.option(found.name)}.yaml" if out is None else out
    option, content = out.stem, usecase.files(found, out.stem)
    _refuse_bad_place(out, content)
    written = {out.parent.parent / path if len(content) > 1 else out: text for path, text in content.items()}
    try:
        for path, text in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        beside = out.with_name(f"{option}{report.SUFFIX}")
        beside.write_text(report.as_csv(found.rows), encoding="utf-8", newline="")
    except OSError as error:
        raise PartsightError(f"--out {out}: cannot be written: {error}") from None
    if out.parent.name == "usecase" and (problems := _problems(out)):
        raise Problems(f"{out} is written, but its settings cannot run", problems)
    return "\n".join([report.text(found.rows), report.counts(found.rows), *_ending(found, out, list(written))])


def _refuse_bad_place(out: Path, content: dict[str, str]) -> None:
    if out.suffix != ".yaml":
        raise PartsightError(f"--out {out}: must end in .yaml")
    if out.parent.name == "usecase" and not re.fullmatch(r"[A-Za-z0-9_.\-]+", out.stem):
        raise PartsightError(
            f"--out {out}: the name of a use case may hold letters from a to z, digits, _, - and dots; "
            f"for example --out {out.with_name(f'{usecase.option(out.stem)}.yaml')}"
        )
    if len(content) > 1 and out.parent.name != "usecase":
        groups = ", ".join(sorted(path for path in content if not path.startswith("usecase")))
        raise PartsightError(
            f"--out {out}: this use case comes with {groups}, so its folder must be called usecase: "
            f"--out my_conf/usecase/{out.name}"
        )
    own, shipped = out.parent.parent.resolve(), config.conf_folder()
    taken = [path for path in sorted(content) if (shipped / path).is_file()]
    if taken and out.parent.name == "usecase" and own != shipped:
        raise PartsightError(
            f"--out {out}: Hydra would never read it, because partsight has a {taken[0]} of its own, which comes "
            f"first; choose another name, for example --out {out.with_name(f'my_{out.name}')}"
        )


def _problems(out: Path) -> list[str]:
    """Both stages of the checks on the written use case, with a made sample instead of the data."""
    given = [f"usecase={out.stem}", "data.root=null", "data.sample=casting"]
    try:
        settings = composing.config(given, [config.conf_folder(), out.parent.parent.resolve()])
    except Problems as error:
        return error.problems
    return check.rules(settings) or check.with_libraries(settings)


def _ending(found: Import, out: Path, written: list[Path]) -> list[str]:
    sweep = "".join(f" {key}={','.join(map(str, values))}" for key, values in found.sweep.items())
    lines = [f"Written: {', '.join(map(str, [*written, out.with_name(out.stem + report.SUFFIX)]))}"]
    if out.parent.name == "usecase":
        many = "-m " if sweep else ""
        shipped = out.parent.parent.resolve() == config.conf_folder()
        chosen = f"{'' if shipped else f'--config-dir {out.parent.parent} '}usecase={out.stem}"
        lines.append(f"Train it: python train.py {many}{chosen} data.root=FOLDER{sweep}")
    else:
        lines.append("To train it, put it into a folder called usecase and name the folder above: --config-dir FOLDER")
    lines.append(f"data.root is the folder that Hydrogen Torch called {found.root}")
    return lines
