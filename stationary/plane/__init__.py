"""Two weights, and position with velocity: end states of processes in the plane."""
