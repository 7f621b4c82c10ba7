"""Whether anchors reach the boxes, and anchors that do."""
