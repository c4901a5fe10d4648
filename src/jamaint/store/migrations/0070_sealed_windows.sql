-- A window that root made through the socket carries root's seal, as a task and a policy do: without it, a row is taken
-- only within the grants, and such a window would be gone after a restart.

ALTER TABLE maintenance_windows ADD COLUMN seal text;
COMMENT ON COLUMN maintenance_windows.seal IS 'Over the definition, where root made it through the socket.';
