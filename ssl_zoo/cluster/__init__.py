"""SLURM: what is asked of it, where its jobs stand, and how a job that it stops comes back."""
