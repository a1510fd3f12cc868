-- Fair turns: workers see the class of a lane's root workspace, and find what is due lane by lane.

SELECT tenancy.let_service_peek('workspaces', 'workspace_id', 'service_class');
CREATE INDEX runs_lanes ON runs (lane, due_at) INCLUDE (workspace_id, id)
  WHERE ended_at IS NULL AND lane IS NOT NULL AND due_at IS NOT NULL;
CREATE INDEX profiles_lanes ON profiles (lane, wake_at) INCLUDE (workspace_id, user_id)
  WHERE wake_at IS NOT NULL AND lane IS NOT NULL;
