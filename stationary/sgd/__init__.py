"""SGD's own end state beside its small-step limit: `finite_step`, and its `basins`."""
