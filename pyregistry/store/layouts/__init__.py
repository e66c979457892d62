"""Image layouts in and out of the store: folders, tar archives, and hosted or mirrored repositories."""
