"""Where rows come from: a csv or parquet table, a folder tree, or a made sample; always a plain table of text."""

from pathlib import Path

import pandas as pd
import platformdirs

from partsight.config import DataConfig
from partsight.data import samples
from partsight.errors import PartsightError

PICTURE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".npy"}


def root(data: DataConfig) -> Path:
    """The folder of the data set; made now, in the user's cache, where the sample stands in for it."""
    if data.root is not None:
        return Path(data.root).expanduser().resolve()
    assert data.sample is not None  # check.rules
    folder = platformdirs.user_cache_path("partsight") / "samples"
    folder = folder / f"{data.sample}-{data.sample_count}-v{samples.SAMPLE_VERSION}"
    if not folder.is_dir():
        try:
            samples.make(data.sample, folder, data.sample_count)
        except ValueError as error:
            raise PartsightError(f"data.sample={data.sample} data.sample_count={data.sample_count}: {error}") from None
    return folder


def table(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """The named columns, or all, of a csv or parquet file; missing cells are null, the rest as it stands, a csv text.

    Raises:
        PartsightError: another kind of file, an unreadable one, or columns that are not there.
    """
    if path.suffix not in (".csv", ".pq", ".parquet"):
        raise PartsightError(
            f"{path}: tables are csv or parquet (.csv, .pq, .parquet), not {path.suffix or 'without suffix'}"
        )
    try:
        known = list(pd.read_csv(path, nrows=0).columns) if path.suffix == ".csv" else _parquet_columns(path)
        columns = known if columns is None else columns
        missing = [c for c in columns if c not in known]
        if missing:
            raise PartsightError(
                f"{path}: no column {', '.join(map(repr, missing))}; it has {', '.join(map(repr, known))}. "
                "Set data.image_column, data.label_columns, data.group_column."
            )
        if path.suffix == ".csv":  # a class may be called NA or None: only an empty cell is missing
            frame = pd.read_csv(path, usecols=columns, dtype=str, keep_default_na=False, na_values=[""])
        else:
            frame = pd.read_parquet(path, columns=columns)
    except UnicodeDecodeError as error:
        raise PartsightError(f"{path}: not UTF-8 text ({error}). Save the table as UTF-8, or as parquet.") from None
    except (OSError, ValueError, pd.errors.ParserError) as error:
        raise PartsightError(f"{path}: cannot be read as a table: {error}") from None
    return frame[columns]


def columns(path: Path) -> list[str]:
    """Names of the columns of a csv or parquet file that can be read."""
    return list(pd.read_csv(path, nrows=0).columns) if path.suffix == ".csv" else _parquet_columns(path)


def pictures_below(folder: Path) -> list[str]:
    """Paths of the pictures at every depth, relative and sorted; not those in hidden folders and of archivers."""
    found = (path for path in folder.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file())
    names = sorted(path.relative_to(folder).as_posix() for path in found)
    return [name for name in names if not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))]


def folder_tree(folder: Path) -> pd.DataFrame:
    """One row a picture, sorted by path: image (relative), class (the first folder below `folder`).

    Raises:
        PartsightError: no class folders, or no pictures in them.
    """
    rows = [(name, name.partition("/")[0]) for name in pictures_below(folder) if "/" in name]
    if not rows:
        loose = any(p.suffix.lower() in PICTURE_SUFFIXES for p in folder.iterdir())
        what = "its pictures are in no class folder" if loose else "there are no pictures in it"
        raise PartsightError(
            f"data.root={folder}: {what}. Expected one folder a class, such as {folder}/good/1.png, "
            "or a table (data.table=labels.csv)."
        )
    return pd.DataFrame(rows, columns=["image", "class"])


def _parquet_columns(path: Path) -> list[str]:
    import pyarrow.parquet

    return list(pyarrow.parquet.read_schema(path).names)
