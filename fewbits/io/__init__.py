"""Every door: arrays, labelled images, checkpoints, outputs, and the errors of users and files."""
