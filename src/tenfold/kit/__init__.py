"""Plain building blocks: errors, ids, time, settings, logging. No I/O, no tenancy."""
