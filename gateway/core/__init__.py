"""The pure core: values in, values out. No I/O, no async, no clock, no randomness, no logging."""
