"""jamaint: the maintenance of a machine and of the content system on it, with a way back for everything."""

VERSION = "0.1.0"
