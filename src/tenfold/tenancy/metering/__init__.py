"""Usage of each workspace: counted as work passes by, written in batches, shown by minute, hour and day."""
