"""The audit log: entries, the chain that makes them provable, checkpoints, and who reached for what is not theirs."""
