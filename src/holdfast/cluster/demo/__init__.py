"""The story that `holdfast demo` tells: what a StatefulSet promises, kept in front of the reader's eyes."""
