-- Most workspaces are small, so on average few rows share a workspace, and the planner would take any index that begins
-- with it for as good as the key: in a large one it then reads everything for each row that is wanted. It is told that
-- workspaces are large, which costs a small one nothing.
ALTER TABLE inbox ALTER COLUMN workspace_id SET (n_distinct = 100);
ALTER TABLE archive_queue ALTER COLUMN workspace_id SET (n_distinct = 100);
ALTER TABLE jobs ALTER COLUMN workspace_id SET (n_distinct = 100);
ALTER TABLE profiles ALTER COLUMN workspace_id SET (n_distinct = 100);
ALTER TABLE memberships ALTER COLUMN workspace_id SET (n_distinct = 100);
ALTER TABLE runs ALTER COLUMN workspace_id SET (n_distinct = 100);
ALTER TABLE messages ALTER COLUMN workspace_id SET (n_distinct = 100);

-- Queue and history in one: a flood that was sent is tidied before its dead entries slow down looking for what is due.
ALTER TABLE messages SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
ALTER TABLE runs SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000);
