-- What an event takes, as it was counted into its workspace's storage.
ALTER TABLE events ADD COLUMN IF NOT EXISTS bytes UInt32;
