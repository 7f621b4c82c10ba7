"""Large images in overlapping tiles: where they lie, and how their results become the image's."""
