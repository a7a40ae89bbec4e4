"""Reports: what a person reads of each kind of result."""
