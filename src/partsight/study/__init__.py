"""Studies (`partsight study`): the variants that a YAML file names, run and tabulated."""
