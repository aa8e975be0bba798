"""The shell's commands, thin over the rest of the bridge."""
