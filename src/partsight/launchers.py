"""Launchers that other projects publish: which extra of ours brings each."""

from importlib.util import find_spec

_PUBLISHED = {
    "joblib": ("hydra_joblib_launcher", "joblib"),
    "submitit_local": ("hydra_submitit_launcher", "slurm"),
    "submitit_slurm": ("hydra_submitit_launcher", "slurm"),
    "ray": ("hydra_ray_launcher", "ray"),
}
"""Name in the group hydra/launcher: plugin, extra."""


def missing(name: str) -> str | None:
    """What to install for the launcher `name`; None if it is installed or not one of these."""
    plugin, extra = _PUBLISHED.get(name, ("", ""))
    if not plugin or find_spec(f"hydra_plugins.{plugin}"):
        return None
    return f"hydra/launcher={name}: not installed; in the checkout: pip install -e '.[{extra}]' (docs/scaling.md)"
