"""What a schedule of the learning rate freezes in: `anneal`, from `basins` and their `course`."""
