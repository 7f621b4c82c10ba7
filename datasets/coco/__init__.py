"""COCO JSON: boxes, masks, and the truth as pycocotools reads it."""
