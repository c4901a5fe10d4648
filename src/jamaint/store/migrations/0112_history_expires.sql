-- The audit log only grows, and yet ends: what is older than 30 days may be deleted, which the daemon does by its
-- configuration (history.audit), a batch at a time. What is younger can be changed or deleted by nobody.

CREATE OR REPLACE FUNCTION audit_log_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND TG_LEVEL = 'ROW' AND OLD.at < now() - interval '30 days' THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'the audit log only grows' USING ERRCODE = 'restrict_violation';
END
$$;
DROP TRIGGER audit_log_only_grows ON audit_log;
CREATE TRIGGER audit_log_only_grows BEFORE UPDATE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION audit_log_only_grows();
CREATE TRIGGER audit_log_expires BEFORE DELETE ON audit_log
    FOR EACH ROW EXECUTE FUNCTION audit_log_only_grows();
