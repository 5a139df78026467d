"""Hardware of the machine: devices, precision and memory."""
