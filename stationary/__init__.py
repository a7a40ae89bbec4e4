"""Where does a noisy process end up? Solved, not simulated."""
