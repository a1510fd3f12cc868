"""The demo: the main job, end to end, in about a minute."""
