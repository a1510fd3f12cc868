-- Accepted events wait in the inbox, one row per request; folded ones wait for the archive.
-- `lane` is the root workspace: work is taken lane by lane, so a flood waits behind itself.

CREATE TABLE inbox (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  seq bigint GENERATED ALWAYS AS IDENTITY,
  lane uuid NOT NULL,
  size int NOT NULL,
  received_at timestamptz NOT NULL DEFAULT now(),
  events bytea NOT NULL,
  PRIMARY KEY (workspace_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
ALTER TABLE inbox ALTER COLUMN events SET STORAGE EXTERNAL;
CREATE INDEX inbox_lanes ON inbox (lane, seq) INCLUDE (workspace_id, size);
SELECT tenancy.protect('inbox', 'SELECT', 'INSERT', 'DELETE');
SELECT tenancy.let_service_peek('inbox', 'workspace_id', 'seq', 'lane', 'size', 'received_at');

-- A message id seen is never counted again. The id is kept as the first 16 bytes of its SHA-256.
CREATE TABLE event_ids (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  id bytea NOT NULL,
  PRIMARY KEY (workspace_id, id)
);
SELECT tenancy.protect('event_ids', 'SELECT', 'INSERT', 'DELETE');

CREATE TABLE archive_queue (
  workspace_id uuid NOT NULL REFERENCES workspaces ON DELETE CASCADE,
  seq bigint NOT NULL,
  block uuid,
  size int NOT NULL,
  events bytea NOT NULL,
  PRIMARY KEY (workspace_id, seq)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
ALTER TABLE archive_queue ALTER COLUMN events SET STORAGE EXTERNAL;
CREATE INDEX archive_queue_order ON archive_queue (seq) INCLUDE (workspace_id, size, block);
CREATE INDEX archive_queue_blocks ON archive_queue (block, workspace_id, seq) WHERE block IS NOT NULL;
SELECT tenancy.protect('archive_queue', 'SELECT', 'INSERT', 'UPDATE', 'DELETE');
SELECT tenancy.let_service_peek('archive_queue', 'workspace_id', 'seq', 'block', 'size');

-- One number per fold, taken while the lane is held: what was folded earlier has a smaller one.
CREATE SEQUENCE fold_seq;
GRANT USAGE ON SEQUENCE fold_seq TO tenfold_app;
