"""CustomResourceDefinitions: says of each that its resources are not served."""
