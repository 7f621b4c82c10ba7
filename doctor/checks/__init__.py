"""What is looked for: in files, images, boxes, masks and classes."""
