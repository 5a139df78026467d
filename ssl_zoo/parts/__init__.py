"""Parts of the equation, one small file each."""
