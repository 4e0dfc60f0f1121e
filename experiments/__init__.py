"""The top floor: files, clocks, seeds, devices, plots and the command line."""
