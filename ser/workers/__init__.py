"""Work spread over workers: processes of this machine, a cluster of Dask or Ray (`engine.py` is the door), jobs of SLURM."""
