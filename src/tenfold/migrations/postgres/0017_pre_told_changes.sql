-- Processes remember workspaces and keys. They are told when something about one changes, at the commit that changes it.
-- NOTIFY makes commits wait for each other, so only what is changed seldom is told: no definitions, no last uses.
CREATE FUNCTION tenancy.tell_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
  PERFORM pg_notify('tenfold_changes', COALESCE(NEW.workspace_id, OLD.workspace_id)::text);
  RETURN NULL;
END $$;

CREATE TRIGGER told AFTER DELETE
  OR UPDATE OF root_id, parent_id, name, type, status, external_id, domain, test_now, service_class
  ON workspaces FOR EACH ROW EXECUTE FUNCTION tenancy.tell_change();
CREATE TRIGGER told AFTER INSERT OR UPDATE OR DELETE ON quotas FOR EACH ROW EXECUTE FUNCTION tenancy.tell_change();
CREATE TRIGGER told AFTER INSERT OR UPDATE OR DELETE ON quota_ceilings
  FOR EACH ROW EXECUTE FUNCTION tenancy.tell_change();
CREATE TRIGGER told AFTER UPDATE OR DELETE ON write_keys FOR EACH ROW EXECUTE FUNCTION tenancy.tell_change();
CREATE TRIGGER told AFTER DELETE OR UPDATE OF name, hash, permissions, expires_at ON admin_keys
  FOR EACH ROW EXECUTE FUNCTION tenancy.tell_change();
