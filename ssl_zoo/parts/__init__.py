"""The parts that the equation is made of, one small file each."""
