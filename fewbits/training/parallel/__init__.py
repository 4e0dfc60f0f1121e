"""Many runs and large batches over the devices of a process, and trials over several processes."""
