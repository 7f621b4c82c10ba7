// Where a name stands beside its box: within the picture, where it hides the least (core/text_labels.py).

const COST_OF_NAMES = 20; // a covered name is worse than a covered part of an object
const MOST_HIDDEN = 0.5; // of another object, by a name that is left out then
const COST_OF_RANK = 0.03; // small overlaps do not move a name

/** The place [x1, y1, x2, y2] for a name of a size [width, height]: it hides the least of names and boxes. */
export function choosePlace(box, size, canvas, names, boxes) {
  const [width, height] = size;
  const [left, top, right, bottom] = box;
  const rows = [top - height, bottom, top - 2 * height, bottom + height, top, bottom - height];
  const corners = rows.flatMap((y) => [left, right - width].map((x) => [x, y]));
  let best;
  let least = Infinity;
  corners.forEach(([x, y], rank) => {
    const x1 = Math.max(0, Math.min(Math.round(x), canvas.width - width));
    const y1 = Math.max(0, Math.min(Math.round(y), canvas.height - height));
    const place = [x1, y1, x1 + width, y1 + height];
    const hidden = COST_OF_NAMES * covered(place, names) + covered(place, boxes);
    const cost = hidden + COST_OF_RANK * width * height * rank;
    if (cost < least) [best, least] = [place, cost];
  });
  return best;
}

/** Whether a name at `place` lies on one of `names`, or on most of one of `boxes`. */
export function hides(place, names, boxes) {
  const isHidden = (box) => covered(place, [box]) > MOST_HIDDEN * (box[2] - box[0]) * (box[3] - box[1]);
  return covered(place, names) > 0 || boxes.some(isHidden);
}

function covered([left, top, right, bottom], others) {
  return others.reduce((sum, other) => {
    const width = Math.min(right, other[2]) - Math.max(left, other[0]);
    const height = Math.min(bottom, other[3]) - Math.max(top, other[1]);
    return sum + Math.max(0, width) * Math.max(0, height);
  }, 0);
}
