"""Large images in overlapping tiles: what each shows, and how their results become the image's."""
