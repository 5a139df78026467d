"""What a machine with one GPU can tell in minutes: does everything run there, how fast, and how well it learns."""
