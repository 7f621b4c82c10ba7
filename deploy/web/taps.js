// Separable interpolation in the integers of OpenCV (no antialiasing) and Pillow (antialiasing).
//
// Taps of one axis: output i is the sum of weights[i * count + k] times the input at places[i * count + k]
// for k < count, with `bits` of fraction.

const OPENCV_BITS = 11;
const PILLOW_BITS = 22;
const OPENCV_CUBIC = -0.75;
const PILLOW_CUBIC = -0.5;

/** As Python's round(): halves go to the even neighbor. */
export function roundHalfEven(value) {
  const floor = Math.floor(value);
  if (value - floor !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}

/** The taps that take an axis of `from` pixels to one of `to`. */
export function makeTaps({ interpolation, antialias }, from, to) {
  const rows = antialias ? pillowRows(interpolation, from, to) : openCvRows(interpolation, from, to);
  const count = Math.max(...rows.map((row) => row.weights.length));
  const places = new Int32Array(to * count);
  const weights = new Int32Array(to * count);
  rows.forEach((row, i) => {
    for (let k = 0; k < count; k++) {
      places[i * count + k] = Math.min(from - 1, Math.max(0, row.start + k));
      weights[i * count + k] = row.weights[k] ?? 0;
    }
  });
  const isLinear = interpolation === "bilinear";
  return { places, weights, count, length: to, bits: antialias ? PILLOW_BITS : OPENCV_BITS, isLinear };
}

/**
 * The rows of a picture with 3 or 4 channels -> 3 channels: bytes as Pillow, exact sums as OpenCV. Rows that
 * `isUsed` says nobody will read stay 0.
 */
export function reduceAcross(picture, { places, weights, count, length, bits }, isUsed) {
  const { data, height, channels } = picture;
  const isPillow = bits === PILLOW_BITS;
  const sums = isPillow ? new Uint8ClampedArray(height * length * 3) : new Float64Array(height * length * 3);
  for (let y = 0; y < height; y++) {
    if (!isUsed[y]) continue;
    const row = y * picture.width * channels;
    let to = y * length * 3;
    for (let x = 0; x < length; x++, to += 3) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let tap = x * count; tap < (x + 1) * count; tap++) {
        const from = row + places[tap] * channels;
        red += data[from] * weights[tap];
        green += data[from + 1] * weights[tap];
        blue += data[from + 2] * weights[tap];
      }
      sums[to] = isPillow ? toByte(red, bits) : red;
      sums[to + 1] = isPillow ? toByte(green, bits) : green;
      sums[to + 2] = isPillow ? toByte(blue, bits) : blue;
    }
  }
  return { data: sums, width: length, height, channels: 3 };
}

/** Every column of what `reduceAcross` gave -> a picture of bytes. */
export function reduceDown({ data, width }, { places, weights, count, length, bits, isLinear }) {
  const result = new Uint8ClampedArray(length * width * 3);
  const step = width * 3;
  for (let y = 0; y < length; y++) {
    const first = y * count;
    for (let i = 0; i < step; i++) {
      if (bits === OPENCV_BITS && isLinear) {
        // OpenCV drops bits before it adds, to work in 16 bits.
        const upper = (weights[first] * (data[places[first] * step + i] >> 4)) >> 16;
        const lower = (weights[first + 1] * (data[places[first + 1] * step + i] >> 4)) >> 16;
        result[y * step + i] = (upper + lower + 2) >> 2;
        continue;
      }
      let sum = 0;
      for (let tap = first; tap < first + count; tap++) sum += data[places[tap] * step + i] * weights[tap];
      result[y * step + i] = toByte(sum, PILLOW_BITS); // OpenCV's two passes have 11 bits each
    }
  }
  return { data: result, width, height: length, channels: 3 };
}

/** Rounded; the clamped array that it is written to limits it to 0..255. */
function toByte(sum, bits) {
  return Math.floor((sum + 2 ** (bits - 1)) / 2 ** bits);
}

function openCvRows(interpolation, from, to) {
  const scale = 1 / (to / from);
  return Array.from({ length: to }, (_, i) => {
    const center = Math.fround((i + 0.5) * scale - 0.5);
    const start = Math.floor(center);
    const part = Math.fround(center - start);
    const weights = interpolation === "bilinear" ? [1 - part, part] : cubicWeights(part);
    const whole = weights.map((weight) => roundHalfEven(weight * 2 ** OPENCV_BITS));
    return { start: interpolation === "bilinear" ? start : start - 1, weights: whole };
  });
}

function cubicWeights(part) {
  const weights = [1 + part, part, 1 - part].map((distance) => cubic(distance, OPENCV_CUBIC));
  return [...weights, 1 - weights[0] - weights[1] - weights[2]];
}

/** The kernel is stretched over the area that an output pixel covers. */
function pillowRows(interpolation, from, to) {
  const isLinear = interpolation === "bilinear";
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = (isLinear ? 1 : 2) * stretch;
  return Array.from({ length: to }, (_, i) => {
    const center = (i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(from, Math.trunc(center + support + 0.5));
    const weights = Array.from({ length: end - start }, (_, k) => {
      const distance = Math.abs((start + k - center + 0.5) / stretch);
      return isLinear ? Math.max(0, 1 - distance) : cubic(distance, PILLOW_CUBIC);
    });
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { start, weights: weights.map((weight) => awayFromZero((weight / sum) * 2 ** PILLOW_BITS)) };
  });
}

function cubic(distance, a) {
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1;
  return distance < 2 ? (((distance - 5) * distance + 8) * distance - 4) * a : 0;
}

function awayFromZero(value) {
  return Math.trunc(value + (value < 0 ? -0.5 : 0.5));
}
