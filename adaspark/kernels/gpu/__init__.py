"""Kernels in Triton and Gluon, for NVIDIA GPUs."""
