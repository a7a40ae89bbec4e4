"""Results as plain numbers, for JSON, and as columns, for CSV: one module for each kind."""
