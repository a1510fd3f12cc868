-- The context of the running transaction when its signature is right; NULL otherwise, and when there is none.
CREATE OR REPLACE FUNCTION tenancy.context() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog AS $$
DECLARE
  given text := current_setting('app.current_workspace_id', true);
  key tenancy.signing_keys;
BEGIN
  SELECT * INTO key FROM tenancy.signing_keys;
  IF encode(sha256(key.outer_pad || sha256(key.inner_pad || convert_to(substr(given, 66), 'UTF8'))), 'hex')
     = left(given, 64) THEN
    RETURN substr(given, 66);
  END IF;
  RETURN NULL;
END $$;
