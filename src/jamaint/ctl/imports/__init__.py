"""`jamaintctl import`: configuration made from the files of logrotate, tmpfiles.d and cron; one module for each."""
