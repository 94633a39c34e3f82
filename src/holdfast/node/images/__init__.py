"""The images of this machine: archives in, layers unpacked once and shared, looked up by reference."""
