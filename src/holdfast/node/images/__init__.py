"""The images of this machine: from registries and archives, layers unpacked once and shared, found by reference."""
