"""The deciding part: values and a moment in, decisions out. No clock, file, socket, task or log line in here."""
