-- TENFOLD_SIGNED_CONTEXT=false: the context as it was given. Cheaper by some microseconds a statement, and whoever
-- can run SQL as the app role can name any workspace.
CREATE OR REPLACE FUNCTION tenancy.context() RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE SECURITY INVOKER
RETURN NULLIF(substr(current_setting('app.current_workspace_id', true), 66), '');
