"""What a person sees on a terminal: the console, the process's streams and its signals."""
