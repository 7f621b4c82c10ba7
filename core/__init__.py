"""What every other folder may import: structures, boxes, anchors, layers, resizing, configs, weights."""
