// Logits of a segmenter -> the class of every pixel, at any size, as core/label_map.py: bilinear interpolation of
// every class, without antialiasing, then the best one. Planes are {data, height, width}: one class after the
// other, rows of float32. Sizes are [height, width].

/** The part of `size` of what planes are when enlarged to `whole`. */
export function enlargePlanes(planes, whole, size) {
  const [height, width] = size;
  const down = pairs(planes.height, whole[0]);
  const across = pairs(planes.width, whole[1]);
  const step = planes.height * planes.width;
  const data = new Float32Array((planes.data.length / step) * height * width);
  let to = 0;
  for (let plane = 0; plane < planes.data.length; plane += step) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) data[to++] = between(planes, plane, down, y, across, x);
    }
  }
  return { data, height, width };
}

/** {data, width, height}: the best of the classes `named` at every pixel of an image of `size`; the first of equals. */
export function labelMap(planes, [height, width], named) {
  const step = planes.height * planes.width;
  const best = bestOf(planes, named);
  const down = pairs(planes.height, height);
  const across = pairs(planes.width, width);
  const data = new Uint8Array(height * width);
  let to = 0;
  for (let y = 0; y < height; y++) {
    const [upper, lower] = [down.low[y] * planes.width, down.high[y] * planes.width];
    for (let x = 0; x < width; x++) {
      const [left, right] = [across.low[x], across.high[x]];
      const label = best[upper + left];
      // What is best at all four neighbors is best between them.
      const isSettled =
        label === best[upper + right] && label === best[lower + left] && label === best[lower + right];
      data[to++] = isSettled ? label : bestBetween(planes, step, named, down, y, across, x);
    }
  }
  return { data, width, height };
}

function bestOf({ data, height, width }, named) {
  const step = height * width;
  return Uint8Array.from({ length: step }, (_, place) =>
    named.reduce((best, label) => (data[label * step + place] > data[best * step + place] ? label : best)),
  );
}

function bestBetween(planes, step, named, down, y, across, x) {
  let [most, best] = [-Infinity, named[0]];
  for (const label of named) {
    const value = between(planes, label * step, down, y, across, x);
    if (value > most) [most, best] = [value, label];
  }
  return best;
}

function between({ data, width }, plane, down, y, across, x) {
  const [upper, lower] = [plane + down.low[y] * width, plane + down.high[y] * width];
  const [left, right, part] = [across.low[x], across.high[x], across.part[x]];
  const top = data[upper + left] * (1 - part) + data[upper + right] * part;
  const bottom = data[lower + left] * (1 - part) + data[lower + right] * part;
  return top * (1 - down.part[y]) + bottom * down.part[y];
}

/** For every place on an axis of `to` pixels: its two neighbors among `from`, and the share of the second. */
function pairs(from, to) {
  const [low, high, part] = [new Int32Array(to), new Int32Array(to), new Float32Array(to)];
  const scale = Math.fround(from / to);
  for (let i = 0; i < to; i++) {
    const center = Math.max(0, Math.fround(scale * (i + 0.5) - 0.5));
    low[i] = Math.min(from - 1, Math.floor(center));
    high[i] = Math.min(from - 1, low[i] + 1);
    part[i] = center - low[i];
  }
  return { low, high, part };
}
