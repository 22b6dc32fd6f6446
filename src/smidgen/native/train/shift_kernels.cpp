// The kernels, written once on vectors of LANES floats; the build compiles this file for each instruction
// set, with SMIDGEN_SHIFTS as the name of its table. Nothing but the table may leave this file: a template
// of the standard library compiled here could stand in for the same one elsewhere, on a processor without
// these instructions.

#include "train/shift_kernels.hpp"

#include <cstring>

#include "product/elements.hpp"
#include "train/copies.hpp"
#include "train/product.hpp"
#if !defined(SMIDGEN_PAIRS)
#include "train/shift_rows.hpp"
#endif
#include "isa/vectors.hpp"

namespace smidgen {
namespace {

// Maps that the products can read and write where they lie.
template <class Kind>
bool in_place(const ShiftConv& conv) {
  return multiplied_as_stored<Kind> && conv.shift.maps.channels_last;
}

int64_t depth_of(const ShiftConv& conv) { return up(conv.shift.maps.c, PANEL); }
int64_t breadth_of(const ShiftConv& conv) { return up(conv.c_out, PANEL); }

// Some pieces of a shift, one after the other.
struct Pieces {
  const Piece* first;
  int64_t count;
};
Pieces all_of(const Shift& shift) { return {shift.pieces, shift.n_pieces}; }

// Columns [first, last) of one row of the output; in channels_last so few that what all their pieces touch stays near,
// at most `near` where they are converted; planes are read better in long rows.
struct Stretch {
  int64_t row, first, last;
};

constexpr int64_t near = 16;
template <class Kind>
int64_t longest_stretch(const Shift& shift) {
  constexpr int64_t bytes = 8 * 1024;
  if (!shift.maps.channels_last) return shift.width;
  return multiplied_as_stored<Kind> ? most(near, bytes / most(1, shift.maps.c * sizeof(typename Kind::Stored))) : near;
}

// Calls body(stretch, i) for all pixels of a block in order, of which the stretch's first is number i.
template <class Body>
void each_stretch(const Shift& shift, const Block& block, int64_t longest, Body&& body) {
  for (int64_t pixel = block.first; pixel < block.last;) {
    const int64_t row = pixel / shift.width, start = row * shift.width, end = least(start + shift.width, block.last);
    for (; pixel < end; pixel = least(pixel + longest, end))
      body(Stretch{row, pixel - start, least(pixel + longest, end) - start}, pixel - block.first);
  }
}

// Those of its columns at which a piece reads inside, and the unmoved input pixel of the first of them.
struct Inside {
  int64_t first, last, place;
};
Inside inside_of(const Shift& shift, const Stretch& stretch, const Piece& piece) {
  Reach reach;
  reach.add(piece);
  const Columns columns = inner(shift, reach, stretch.row);
  const int64_t first = clamped(columns.first, stretch.first, stretch.last);
  return {first, clamped(columns.last, first, stretch.last), (stretch.row * shift.maps.w + first) * shift.stride};
}

// What a stretch of maps in channels_last reads, some pieces of it, bit by bit: a line for each column; zero outside.
[[gnu::noinline]] void copy_together(const Shift& shift, const Pieces& pieces, const char* image, const Stretch& stretch,
                                     int64_t pixel, char* to, int64_t line) {
  const int64_t step = shift.stride * pixel;
  each_length(pieces.first, pieces.count, [&](auto copy, const Piece* first, const Piece* last) {
    const int64_t size = first->bytes;
    for (const Piece* piece = first; piece < last; ++piece) {
      const Inside part = inside_of(shift, stretch, *piece);
      const int64_t before = part.first - stretch.first, after = stretch.last - part.last;
      const char* from = image + part.place * pixel + piece->from;
      char* target = to + piece->to;
      if (before) clear_each(target, before, line, size, shift.zeros);
      target += before * line;
      for (int64_t w = part.first; w < part.last; ++w, target += line, from += step) copy.one(target, from, size);
      if (after) clear_each(target, after, line, size, shift.zeros);
    }
  });
}

// The adjoint: every value goes to where it was read from, if that is inside. No two come from the same place, since a
// channel looks in one direction.
[[gnu::noinline]] void copy_apart(const Shift& shift, const char* from, int64_t line, const Stretch& stretch,
                                  int64_t pixel, char* image) {
  const int64_t step = shift.stride * pixel;
  each_length(shift.pieces, shift.n_pieces, [&](auto copy, const Piece* first, const Piece* last) {
    const int64_t size = first->bytes;
    for (const Piece* piece = first; piece < last; ++piece) {
      const Inside part = inside_of(shift, stretch, *piece);
      const char* source = from + (part.first - stretch.first) * line + piece->to;
      char* target = image + part.place * pixel + piece->from;
      for (int64_t w = part.first; w < part.last; ++w, source += line, target += step) copy.one(target, source, size);
    }
  });
}

// Calls body(column, channel) for some columns and the channels [first, last) of planes. With a stride the rows of a plane
// are too far apart to be taken one plane after the other.
template <class Body>
void each_of_planes(const Shift& shift, int64_t columns, int64_t first, int64_t last, Body&& body) {
  if (shift.stride > 1) {
    for (int64_t i = 0; i < columns; ++i)
      for (int64_t c = first; c < last; ++c) body(i, c);
  } else {
    for (int64_t c = first; c < last; ++c)
      for (int64_t i = 0; i < columns; ++i) body(i, c);
  }
}

// What a stretch reads, some pieces of it, as Number[columns][depth], and a zero behind it where the last step lacks one.
// Other types are copied to `raw` first: to convert whole pixels takes less time than a piece after the other.
template <class Kind>
void gather(const ShiftConv& conv, const Pieces& pieces, const typename Kind::Stored* image, const Stretch& stretch,
            typename Kind::Number* to, typename Kind::Stored* raw) {
  using Stored = typename Kind::Stored;
  using Number = typename Kind::Number;
  const Shift& shift = conv.shift;
  const smidgen_maps& maps = shift.maps;
  const int64_t depth = depth_of(conv), columns = stretch.last - stretch.first, pixel = maps.c * sizeof(Stored);
  if (maps.c % TOGETHER<Number>)
    for (int64_t i = 0; i < columns; ++i) to[i * depth + maps.c] = {};
  if (maps.channels_last) {
    const bool ready = in_place<Kind>(conv);
    copy_together(shift, pieces, reinterpret_cast<const char*>(image), stretch, pixel,
                  ready ? reinterpret_cast<char*>(to) : reinterpret_cast<char*>(raw),
                  ready ? depth * static_cast<int64_t>(sizeof(Number)) : pixel);
    for (int64_t i = 0; i < columns && !ready; ++i, raw += maps.c, to += depth)
      for (int64_t c = 0; c < maps.c; ++c) to[c] = to_number<Kind>(raw[c]);
    return;
  }
  for (const Piece* piece = pieces.first; piece < pieces.first + pieces.count; ++piece) {
    const Inside part = inside_of(shift, stretch, *piece);
    const int64_t first = piece->to / sizeof(Stored), place = part.place + piece->dy * maps.w + piece->dx;
    if (part.last - part.first < columns)
      for (int64_t i = 0; i < columns; ++i) std::memset(to + i * depth + first, 0, piece->channels * sizeof(Number));
    Number* const start = to + (part.first - stretch.first) * depth;
    each_of_planes(shift, part.last - part.first, first, first + piece->channels, [&](int64_t i, int64_t c) {
      start[i * depth + c] = to_number<Kind>(image[c * maps.h * maps.w + place + i * shift.stride]);
    });
  }
}

// The same of a whole block.
template <class Kind>
void gather_block(const ShiftConv& conv, const typename Kind::Stored* image, const Block& block,
                  typename Kind::Number* to, typename Kind::Stored* raw) {
  each_stretch(conv.shift, block, longest_stretch<Kind>(conv.shift), [&](const Stretch& stretch, int64_t i) {
    gather<Kind>(conv, all_of(conv.shift), image, stretch, to + i * depth_of(conv), raw);
  });
}

// The adjoint of `gather`.
template <class Kind>
void scatter(const ShiftConv& conv, const typename Kind::Number* from, const Stretch& stretch,
             typename Kind::Stored* image, typename Kind::Stored* raw) {
  using Stored = typename Kind::Stored;
  using Number = typename Kind::Number;
  const Shift& shift = conv.shift;
  const smidgen_maps& maps = shift.maps;
  const int64_t depth = depth_of(conv), columns = stretch.last - stretch.first, pixel = maps.c * sizeof(Stored);
  if (maps.channels_last) {
    const bool ready = in_place<Kind>(conv);
    for (int64_t i = 0; i < columns && !ready; ++i)
      for (int64_t c = 0; c < maps.c; ++c) raw[i * maps.c + c] = to_stored<Kind>(from[i * depth + c]);
    return copy_apart(shift, ready ? reinterpret_cast<const char*>(from) : reinterpret_cast<const char*>(raw),
                      ready ? depth * static_cast<int64_t>(sizeof(Number)) : pixel, stretch, pixel,
                      reinterpret_cast<char*>(image));
  }
  for (const Piece* piece = shift.pieces; piece < shift.pieces + shift.n_pieces; ++piece) {
    const Inside part = inside_of(shift, stretch, *piece);
    const int64_t first = piece->to / sizeof(Stored), place = part.place + piece->dy * maps.w + piece->dx;
    const Number* const start = from + (part.first - stretch.first) * depth;
    each_of_planes(shift, part.last - part.first, first, first + piece->channels, [&](int64_t i, int64_t c) {
      image[c * maps.h * maps.w + place + i * shift.stride] = to_stored<Kind>(start[i * depth + c]);
    });
  }
}

// Zeros in the gradient of one image where nothing is scattered to.
// With a stride that is most of it: in channels_last, `clear_rows` does it as the rows are reached.
void clear_unread(const Shift& shift, int64_t element, char* image) {
  const smidgen_maps& maps = shift.maps;
  if (shift.stride > 1) {
    if (!maps.channels_last) clear(image, maps.c * maps.h * maps.w * element);
    return;
  }
  const int64_t pixel = maps.channels_last ? maps.c * element : element, line = maps.w * pixel;
  for (const Piece* piece = shift.pieces; piece < shift.pieces + shift.n_pieces; ++piece) {
    const int64_t dy = piece->dy, dx = piece->dx;
    if (dy == 0 && dx == 0) continue;
    const int64_t left = most(0, dx), right = most(0, -dx);  // columns that nothing is scattered to
    const int64_t planes = maps.channels_last ? 1 : piece->channels;
    const int64_t size = maps.channels_last ? piece->bytes : element;
    char* start = image + (maps.channels_last ? piece->to : piece->to * maps.h * maps.w);
    for (int64_t p = 0; p < planes; ++p)
      for (int64_t h = 0; h < maps.h; ++h, start += line) {
        const bool unread = h - dy < 0 || h - dy >= maps.h || left + right >= maps.w;
        if (unread || left) clear_each(start, unread ? maps.w : left, pixel, size, shift.zeros);
        if (!unread && right) clear_each(start + (maps.w - right) * pixel, right, pixel, size, shift.zeros);
      }
  }
}

// Clears the rows of the gradient that pixels before `last` of the output are scattered to, those before `cleared`
// excepted: at once before that, they are near when it happens. Returns where it ended.
int64_t clear_rows(const Shift& shift, int64_t element, int64_t last, int64_t cleared, char* image) {
  const smidgen_maps& maps = shift.maps;
  if (shift.stride == 1 || !maps.channels_last) return maps.h;
  const int64_t line = maps.w * maps.c * element, reached = (last - 1) / shift.width * shift.stride + shift.down + 1;
  const int64_t end = last == shift.height * shift.width ? maps.h : clamped(reached, cleared, maps.h);
  clear(image + cleared * line, (end - cleared) * line);
  return end;
}

// The gradient at the pixels of a block as Number[pixels][row], zero beyond c_out up to a whole vector.
template <class Kind>
const typename Kind::Number* load_block(const ShiftConv& conv, const typename Kind::Stored* image, const Block& block,
                                        typename Kind::Number* scratch, int64_t& row) {
  using Number = typename Kind::Number;
  const int64_t plane = conv.shift.height * conv.shift.width, out = conv.c_out, pixels = block.last - block.first;
  row = up(out, LANES);
  if (in_place<Kind>(conv) && row == out) return reinterpret_cast<const Number*>(image + block.first * out);
  const bool last = conv.shift.maps.channels_last;
  const auto* from = image + block.first * (last ? out : 1);
  for (int64_t i = 0; i < pixels; ++i) {
    for (int64_t o = 0; o < out; ++o) scratch[i * row + o] = to_number<Kind>(from[last ? i * out + o : o * plane + i]);
    for (int64_t o = out; o < row; ++o) scratch[i * row + o] = {};
  }
  return scratch;
}

template <class Kind>
void store_block(const ShiftConv& conv, const typename Kind::Number* from, const Block& block,
                 typename Kind::Stored* image) {
  const int64_t plane = conv.shift.height * conv.shift.width, out = conv.c_out, pixels = block.last - block.first;
  if (conv.shift.maps.channels_last) {
    auto* to = image + block.first * out;
    for (int64_t i = 0; i < pixels * out; ++i) to[i] = to_stored<Kind>(from[i]);
  } else {
    auto* to = image + block.first;
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < pixels; ++i) to[o * plane + i] = to_stored<Kind>(from[i * out + o]);
  }
}

int64_t scratch_floats(const ShiftConv& conv, int64_t pixels, bool backward) {
  return up(pixels, 2) * (depth_of(conv) + (backward ? breadth_of(conv) : conv.c_out)) + near * depth_of(conv);
}

// What the next block will be the first to read: the products jump between rows, where the processor foresees
// nothing by itself.
Ahead next_block(const ShiftConv& conv, const void* image, int64_t element, const Block& block, int64_t tiles) {
  const Shift& shift = conv.shift;
  const smidgen_maps& maps = shift.maps;
  if (!maps.channels_last) return {};
  const int64_t pixel = maps.c * element, plane = maps.h * maps.w, pixels = block.last - block.first;
  const bool ends = block.last == shift.height * shift.width;  // then the next block begins the next image
  if (shift.stride > 1) {
    if (shift.n_lines == 0 || (ends && block.image + 1 == maps.n)) return {};
    const int64_t column = ends ? 0 : block.last % shift.width, row = block.last / shift.width * shift.stride;
    Ahead ahead;
    ahead.next = static_cast<const char*>(image) + (ends ? plane : row * maps.w + column * shift.stride) * pixel;
    ahead.step = 64 * ceil_div(pixels * shift.n_lines, most(1, tiles));
    ahead.strided = &shift;
    ahead.pixels = pixels;
    ahead.column = column;
    ahead.pixel = pixel;
    return ahead;
  }
  const int64_t row = block.last / shift.width + shift.down;
  const int64_t first = ends ? plane : least(row * maps.w + block.last % shift.width, plane);
  const int64_t count = pixels + (ends ? shift.down * maps.w : 0);
  const int64_t last = least(first + count, (maps.n - block.image) * plane);
  const char* const from = static_cast<const char*>(image);
  return {from + first * pixel, from + last * pixel, up((last - first) * pixel / most(1, tiles), 64) + 64};
}

// Rows of the products of a block, those of a class together, and where each class begins.
template <class Number>
struct Rows {
  const Number* from[longest_block];
  Number* to[longest_block];
  int64_t begin[most_classes + 1];
};

template <class Number>
void sort_by_class(const Shift& shift, const Block& block, const Number* x, Number* y, int64_t out, Rows<Number>& rows) {
  // Once to count the pixels of each class, and once to put them where they belong.
  int64_t next[most_classes] = {};
  auto each_segment = [&](auto&& body) {
    for (int64_t first = block.first; first < block.last;) {
      const int64_t row = first / shift.width, start = row * shift.width;
      const int64_t last = least(start + shift.width, block.last);
      for (const Segment* part = shift.segments; part < shift.segments + shift.n_segments; ++part) {
        const int64_t from = most(start + part->first, first), to = least(start + part->last, last);
        if (from < to) body(shift.row_class[row] + part->number, row, from - start, to - start);
      }
      first = last;
    }
  };
  each_segment([&](int64_t number, int64_t, int64_t from, int64_t to) { next[number] += to - from; });
  int64_t total = 0;
  for (int64_t number = 0; number < shift.n_classes; ++number) {
    rows.begin[number] = total;
    total += next[number];
    next[number] = rows.begin[number];
  }
  rows.begin[shift.n_classes] = total;
  const int64_t step = shift.stride * shift.maps.c;
  each_segment([&](int64_t number, int64_t row, int64_t from, int64_t to) {
    const Number* source = x + (row * shift.maps.w + from) * step;
    Number* target = y + (row * shift.width + from) * out;
    for (int64_t& i = next[number]; from < to; ++from, ++i, source += step, target += out) {
      rows.from[i] = source;
      rows.to[i] = target;
    }
  });
}

// Reads the input where it lies.
template <class Number>
void forward_direct(const ShiftConv& conv, const Number* x, const float* packed, const float* bias, Number* y,
                    const Block& block) {
  const Shift& shift = conv.shift;
  Rows<Number> rows;
  sort_by_class(shift, block, x, y, conv.c_out, rows);
  const int64_t tiles = (block.last - block.first) / ROWS * (breadth_of(conv) / PANEL);
  Ahead ahead = next_block(conv, x, sizeof(Number), block, tiles);
  for (int64_t first = 0; first < conv.c_out; first += PANEL, packed += shift.steps * PANEL)
    for (int64_t number = 0; number < shift.n_classes; ++number) {
      const Class& one = shift.classes[number];
      const int64_t begin = rows.begin[number], count = rows.begin[number + 1] - begin;
      if (count == 0) continue;
      const float* const start = bias ? bias + first : nullptr;
      multiply({one.steps, one.from, one.in_panel, least(PANEL, conv.c_out - first), start, false, one.n_picked, one.picked},
               count, rows.from + begin, packed, rows.to + begin, first, ahead);
    }
}

// Copies what the pixels read together first: for other types and planes, or where that is faster.
template <class Kind>
void forward_gathered(const ShiftConv& conv, const typename Kind::Stored* x, const float* packed, const float* bias,
                      typename Kind::Stored* y, const Block& block, float* scratch) {
  using Stored = typename Kind::Stored;
  using Number = typename Kind::Number;
  const Shift& shift = conv.shift;
  const int64_t out = conv.c_out, pixels = block.last - block.first, depth = depth_of(conv);
  const bool direct = in_place<Kind>(conv);
  auto* const read = reinterpret_cast<Number*>(scratch);
  float* const raw = scratch + pixels * depth;
  auto* const result = direct ? reinterpret_cast<Number*>(y) + block.first * out : reinterpret_cast<Number*>(raw + near * depth);
  gather_block<Kind>(conv, x, block, read, reinterpret_cast<Stored*>(raw));
  Ahead ahead = next_block(conv, x, sizeof(Stored), block, pixels / ROWS * (breadth_of(conv) / PANEL));
  const Number* rows[longest_block];
  Number* results[longest_block];
  for (int64_t i = 0; i < pixels; ++i) {
    rows[i] = read + i * depth;
    results[i] = result + i * out;
  }
  for (int64_t first = 0; first < out; first += PANEL, packed += shift.steps * PANEL)
    multiply({shift.steps, shift.in_row, shift.in_panel, least(PANEL, out - first), bias ? bias + first : nullptr, false},
             pixels, rows, packed, results, first, ahead);
  if (!direct) store_block<Kind>(conv, result, block, y);
}

template <class Kind>
void forward_as(const ShiftConv& conv, const void* from, const float* packed, const float* bias, void* to,
                const Block& block, float* scratch) {
  using Stored = typename Kind::Stored;
  const Shift& shift = conv.shift;
  const auto* x = static_cast<const Stored*>(from) + block.image * shift.maps.c * shift.maps.h * shift.maps.w;
  auto* y = static_cast<Stored*>(to) + block.image * conv.c_out * shift.height * shift.width;
  if constexpr (multiplied_as_stored<Kind>)
    if (shift.n_classes) return forward_direct(conv, x, packed, bias, y, block);
  forward_gathered<Kind>(conv, x, packed, bias, y, block, scratch);
}

void forward(const ShiftConv& conv, const void* x, const float* packed, const float* bias, void* y,
             const Block& block, float* scratch) {
  with_type(conv.type, [&](auto kind) { forward_as<decltype(kind)>(conv, x, packed, bias, y, block, scratch); });
}

// sums[o] += sum over pixels of grad[pixel][o], where rows are readable to a whole vector
template <class Number>
void add_columns(const Number* grad, int64_t pixels, int64_t row, int64_t out, float* sums) {
  for (int64_t first = 0; first < out; first += LANES) {
    Vector sum = {};
    for (int64_t i = 0; i < pixels; ++i) sum += numbers(grad + i * row + first);
    for (int64_t o = first; o < least(out, first + LANES); ++o) sums[o] += sum[o - first];
  }
}

// Pixels that a product sums over: where they lie in what is read, and where in the rows of the gradient.
struct Summed {
  int64_t n = 0, places[longest_block], at[longest_block];

  void add(int64_t count, int64_t place, int64_t place_step, int64_t start, int64_t start_step) {
    for (int64_t i = 0; i < count; ++i) {
      places[n + i] = place + i * place_step;
      at[n + i] = start + i * start_step;
    }
    n += count;
  }
};

// Neighbouring pieces that the gradient of the weight takes together: each alone, since its channels all read inside at
// the same pixels and count for nothing at the others; but of so few channels that the processor would wait, several.
Pieces next_group(const Shift& shift, const Piece* first, bool direct) {
  constexpr int64_t few = 3;
  Pieces group = {first, 1};
  int64_t channels = first->channels;
  for (const Piece* next = first + 1; next < shift.pieces + shift.n_pieces; ++next, ++group.count) {
    channels += next->channels;
    if (direct && (most(first->channels, next->channels) >= few || channels > ROWS)) break;
  }
  return group;
}

// Calls body(channel, rows) for some channels in tiles of nearly equal height, each beginning at a channel.
template <class Body>
void each_tile(int64_t channel, int64_t last, Body&& body) {
  for (int64_t tiles = ceil_div(last - channel, ROWS), rows; tiles > 0; --tiles, channel += rows) {
    rows = ceil_div(last - channel, tiles);
    body(channel, rows);
  }
}

// The first `count` of Number[pixels][row] with every two pixels side by side: words [pixels / 2][row], zero where the
// last pixel is alone.
template <class Number>
void pair_pixels(const Number* from, int64_t pixels, int64_t count, int64_t row, uint32_t* to) {
  for (; pixels > 0; pixels -= 2, from += 2 * row, to += row) {
    const Number* const next = from + row;
    if (pixels > 1)
      for (int64_t i = 0; i < count; ++i) to[i] = from[i] | static_cast<uint32_t>(next[i]) << 16;
    else
      for (int64_t i = 0; i < count; ++i) to[i] = from[i];
  }
}

// grad_weight[c][o] += sum over pixels of (what channel c reads there) * grad[pixel][o], two pixels a step
template <class Kind>
void add_weight_gradient_of_pairs(const ShiftConv& conv, const typename Kind::Stored* x, const Block& block,
                                  const typename Kind::Number* grad, int64_t row, typename Kind::Number* read,
                                  typename Kind::Stored* raw, float* x_pairs, float* grad_pairs, float* grad_weight) {
  using Number = typename Kind::Number;
  const int64_t channels = conv.shift.maps.c, breadth = breadth_of(conv), depth = depth_of(conv);
  const int64_t pixels = block.last - block.first;
  Ahead ahead = next_block(conv, x, sizeof(Number), block, ceil_div(channels, ROWS) * ceil_div(row, PANEL));
  gather_block<Kind>(conv, x, block, read, raw);
  pair_pixels(read, pixels, channels, depth, reinterpret_cast<uint32_t*>(x_pairs));
  pair_pixels(grad, pixels, row, row, reinterpret_cast<uint32_t*>(grad_pairs));
  Summed all;
  all.add(ceil_div(pixels, 2), 0, depth * 2, 0, row);
  each_tile(0, channels, [&](int64_t channel, int64_t rows) {
    const Number* from[ROWS];
    float* results[ROWS];
    for (int64_t i = 0; i < rows; ++i) {
      from[i] = reinterpret_cast<const Number*>(x_pairs + channel + i);
      results[i] = grad_weight + (channel + i) * breadth;
    }
    for (int64_t first = 0; first < row; first += PANEL) {
      ahead.some();
      multiply({all.n, all.places, all.at, whole(row - first), nullptr, true}, rows, from, grad_pairs + first, results, first);
    }
  });
}

// grad_weight[c][o] += sum over pixels of (what channel c reads there) * grad[pixel][o]
template <class Kind>
void add_weight_gradient(const ShiftConv& conv, const typename Kind::Stored* x, const Block& block, const float* grad,
                         int64_t row, float* edges, typename Kind::Stored* raw, float* grad_weight) {
  const Shift& shift = conv.shift;
  const int64_t channels = shift.maps.c, breadth = breadth_of(conv), depth = depth_of(conv);
  const bool direct = in_place<Kind>(conv);
  Ahead ahead = next_block(conv, x, sizeof(typename Kind::Stored), block, ceil_div(channels, ROWS) * ceil_div(row, PANEL));
  Summed inside, edge;
  int64_t channel = 0;
  for (const Piece* piece = shift.pieces; piece < shift.pieces + shift.n_pieces;) {
    const Pieces group = next_group(shift, piece, direct);
    Reach reach;
    int64_t last = channel;
    for (const Piece* const end = piece + group.count; piece < end; ++piece) {
      reach.add(*piece);
      last += piece->channels;
    }
    inside.n = edge.n = 0;
    each_stretch(shift, block, direct ? shift.width : longest_stretch<Kind>(shift), [&](const Stretch& all, int64_t i) {
      const Columns columns = direct ? inner(shift, reach, all.row) : Columns{0, 0};
      const int64_t first = clamped(columns.first, all.first, all.last), stop = clamped(columns.last, first, all.last);
      const int64_t step = shift.stride * channels;
      inside.add(stop - first, (all.row * shift.maps.w + first) * step, step, (i + first - all.first) * row, row);
      if (direct && group.count == 1) return;
      auto add_edge = [&](int64_t from, int64_t to) {
        const int64_t number = i + from - all.first;
        gather<Kind>(conv, group, x, {all.row, from, to}, edges + number * depth, raw);
        edge.add(to - from, number * depth, depth, number * row, row);
      };
      if (all.first < first) add_edge(all.first, first);
      if (stop < all.last) add_edge(stop, all.last);
    });
    each_tile(channel, last, [&](int64_t channel, int64_t rows) {
      const float *inner_rows[ROWS], *edge_rows[ROWS];
      float* results[ROWS];
      for (int64_t i = 0; i < rows; ++i) {
        inner_rows[i] = reinterpret_cast<const float*>(x) + shift.offsets[channel + i];
        edge_rows[i] = edges + channel + i;
        results[i] = grad_weight + (channel + i) * breadth;
      }
      for (int64_t first = 0; first < row; first += PANEL) {
        const int64_t columns = whole(row - first);
        ahead.some();
        if (inside.n)
          multiply({inside.n, inside.places, inside.at, columns, nullptr, true}, rows, inner_rows, grad + first, results,
                   first);
        if (edge.n)
          multiply({edge.n, edge.places, edge.at, columns, nullptr, true}, rows, edge_rows, grad + first, results, first);
      }
    });
    channel = last;
  }
}

template <class Kind>
void backward_as(const ShiftConv& conv, const void* from, const float* packed, const void* grad_y, int64_t image,
                 int64_t step, void* grad_to, float* grad_weight, float* grad_bias, float* scratch) {
  using Stored = typename Kind::Stored;
  using Number = typename Kind::Number;
  const Shift& shift = conv.shift;
  const int64_t channels = shift.maps.c, out = conv.c_out, plane = shift.height * shift.width;
  const int64_t image_size = channels * shift.maps.h * shift.maps.w, depth = depth_of(conv), most_pixels = up(step, 2);
  const auto* x = static_cast<const Stored*>(from) + image * image_size;
  const auto* y = static_cast<const Stored*>(grad_y) + image * out * plane;
  Stored* const grad_x = grad_to ? static_cast<Stored*>(grad_to) + image * image_size : nullptr;
  auto* const shifted = reinterpret_cast<Number*>(scratch);  // first what is read, then the shifted gradient
  auto* const raw = reinterpret_cast<Stored*>(scratch + most_pixels * depth);
  float* const loaded = scratch + (most_pixels + near) * depth;
  int64_t cleared = 0;
  if (grad_x) clear_unread(shift, sizeof(Stored), reinterpret_cast<char*>(grad_x));
  for (int64_t begin = 0; begin < plane; begin += step) {
    const Block block{image, begin, least(begin + step, plane)};
    const int64_t pixels = block.last - block.first;
    int64_t row;
    const Number* grad = load_block<Kind>(conv, y, block, reinterpret_cast<Number*>(loaded), row);
    if (grad_bias) add_columns(grad, pixels, row, out, grad_bias);
    if (grad_weight) {
      if constexpr (TOGETHER<Number> == 2)
        add_weight_gradient_of_pairs<Kind>(conv, x, block, grad, row, shifted, raw, scratch + most_pixels / 2 * depth,
                                           loaded + most_pixels / 2 * row, grad_weight);
      else
        add_weight_gradient<Kind>(conv, x, block, grad, row, shifted, raw, grad_weight);
    }
    if (grad_x) {
      const Number* rows[longest_block];
      Number* results[longest_block];
      for (int64_t i = 0; i < pixels; ++i) {
        rows[i] = grad + i * row;
        results[i] = shifted + i * depth;
      }
      Ahead ahead;
      if (shift.stride == 1) ahead = next_block(conv, grad_x, sizeof(Stored), block, pixels / ROWS * (depth / PANEL));
      const float* panel = packed;
      for (int64_t first = 0; first < channels; first += PANEL, panel += shift.steps * PANEL)
        multiply({shift.steps, shift.in_row, shift.in_panel, whole(channels - first), nullptr, false}, pixels, rows, panel,
                 results, first, ahead);
      cleared = clear_rows(shift, sizeof(Stored), block.last, cleared, reinterpret_cast<char*>(grad_x));
      each_stretch(shift, block, longest_stretch<Kind>(shift), [&](const Stretch& stretch, int64_t i) {
        scatter<Kind>(conv, shifted + i * depth, stretch, grad_x, raw);
      });
    }
  }
}

void backward(const ShiftConv& conv, const void* x, const float* packed, const void* grad_y, int64_t image,
              int64_t pixels, void* grad_x, float* grad_weight, float* grad_bias, float* scratch) {
  with_type(conv.type, [&](auto kind) {
    backward_as<decltype(kind)>(conv, x, packed, grad_y, image, pixels, grad_x, grad_weight, grad_bias, scratch);
  });
}

}  // namespace

#if defined(SMIDGEN_PAIRS)
constexpr auto shift_rows = nullptr;
constexpr bool masks_planes = false;
#endif
extern const ShiftKernels SMIDGEN_SHIFTS = {PANEL, TOGETHER<BFloat16::Number>, masks_planes, shift_rows, pack, widen, unpack,
                                        scratch_floats, forward, backward};

}  // namespace smidgen
