-- Every folded event, once: blocks carry a token, and the window below remembers them.
CREATE TABLE IF NOT EXISTS events (
  workspace_id UUID,
  user_id String,
  ordinal Int64,
  message_id String,
  type LowCardinality(String),
  event String,
  event_time DateTime64(3, 'UTC'),
  processing_time DateTime64(3, 'UTC'),
  anonymous Bool,
  anonymous_id String,
  hidden Bool,
  properties String CODEC(ZSTD(1)),
  context String CODEC(ZSTD(1))
) ENGINE = MergeTree
PARTITION BY toYYYYMM(processing_time)
ORDER BY (workspace_id, user_id, ordinal)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1;
