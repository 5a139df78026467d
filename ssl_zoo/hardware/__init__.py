"""What the machine offers: devices, precision and memory."""
