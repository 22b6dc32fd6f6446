// What the pixels of a shift read, copied together for a product, and the adjoint of that.
#pragma once

#include <cstring>

#include "product/types.hpp"
#include "train/copies.hpp"
#include "train/multiply.hpp"

namespace smidgen {
namespace {

// Maps that the products can read and write where they lie.
template <class Type>
bool in_place(const ShiftConv& conv) {
  return multiplied_as_stored<Type> && conv.shift.maps.channels_last;
}

int64_t depth_of(const ShiftConv& conv) { return up(conv.shift.maps.c, PANEL); }
int64_t breadth_of(const ShiftConv& conv) { return up(conv.c_out, PANEL); }

// Some pieces of a shift, one after the other.
struct Pieces {
  const Piece* first;
  int64_t count;
};
Pieces all_of(const Shift& shift) { return {shift.pieces, shift.n_pieces}; }

// Columns [first, last) of one row of the output; in channels_last so few that what all their pieces touch stays cached,
// and never many where they are converted; planes are read better in long rows.
struct Stretch {
  int64_t row, first, last;
};

constexpr int64_t converted_at_once = 16;  // columns
template <class Type>
int64_t longest_stretch(const Shift& shift) {
  constexpr int64_t bytes = 8 * 1024;
  if (!shift.maps.channels_last) return shift.width;
  if (!multiplied_as_stored<Type>) return converted_at_once;
  return most(converted_at_once, bytes / most(1, shift.maps.c * sizeof(typename Type::Stored)));
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
template <class Type>
void gather(const ShiftConv& conv, const Pieces& pieces, const typename Type::Stored* image, const Stretch& stretch,
            NumberOf<Type>* to, typename Type::Stored* raw) {
  using Stored = typename Type::Stored;
  using Number = NumberOf<Type>;
  const Shift& shift = conv.shift;
  const smidgen_maps& maps = shift.maps;
  const int64_t depth = depth_of(conv), columns = stretch.last - stretch.first, pixel = maps.c * sizeof(Stored);
  if (maps.c % Type::Element::TOGETHER)
    for (int64_t i = 0; i < columns; ++i) to[i * depth + maps.c] = {};
  if (maps.channels_last) {
    const bool ready = in_place<Type>(conv);
    copy_together(shift, pieces, reinterpret_cast<const char*>(image), stretch, pixel,
                  ready ? reinterpret_cast<char*>(to) : reinterpret_cast<char*>(raw),
                  ready ? depth * static_cast<int64_t>(sizeof(Number)) : pixel);
    for (int64_t i = 0; i < columns && !ready; ++i, raw += maps.c, to += depth)
      for (int64_t c = 0; c < maps.c; ++c) to[c] = to_number<Type>(raw[c]);
    return;
  }
  for (const Piece* piece = pieces.first; piece < pieces.first + pieces.count; ++piece) {
    const Inside part = inside_of(shift, stretch, *piece);
    const int64_t first = piece->to / sizeof(Stored), place = part.place + piece->dy * maps.w + piece->dx;
    if (part.last - part.first < columns)
      for (int64_t i = 0; i < columns; ++i) std::memset(to + i * depth + first, 0, piece->channels * sizeof(Number));
    Number* const start = to + (part.first - stretch.first) * depth;
    each_of_planes(shift, part.last - part.first, first, first + piece->channels, [&](int64_t i, int64_t c) {
      start[i * depth + c] = to_number<Type>(image[c * maps.h * maps.w + place + i * shift.stride]);
    });
  }
}

// The same of a whole block.
template <class Type>
void gather_block(const ShiftConv& conv, const typename Type::Stored* image, const Block& block,
                  NumberOf<Type>* to, typename Type::Stored* raw) {
  each_stretch(conv.shift, block, longest_stretch<Type>(conv.shift), [&](const Stretch& stretch, int64_t i) {
    gather<Type>(conv, all_of(conv.shift), image, stretch, to + i * depth_of(conv), raw);
  });
}

// The adjoint of `gather`.
template <class Type>
void scatter(const ShiftConv& conv, const NumberOf<Type>* from, const Stretch& stretch,
             typename Type::Stored* image, typename Type::Stored* raw) {
  using Stored = typename Type::Stored;
  using Number = NumberOf<Type>;
  const Shift& shift = conv.shift;
  const smidgen_maps& maps = shift.maps;
  const int64_t depth = depth_of(conv), columns = stretch.last - stretch.first, pixel = maps.c * sizeof(Stored);
  if (maps.channels_last) {
    const bool ready = in_place<Type>(conv);
    for (int64_t i = 0; i < columns && !ready; ++i)
      for (int64_t c = 0; c < maps.c; ++c) raw[i * maps.c + c] = to_stored<Type>(from[i * depth + c]);
    return copy_apart(shift, ready ? reinterpret_cast<const char*>(from) : reinterpret_cast<const char*>(raw),
                      ready ? depth * static_cast<int64_t>(sizeof(Number)) : pixel, stretch, pixel,
                      reinterpret_cast<char*>(image));
  }
  for (const Piece* piece = shift.pieces; piece < shift.pieces + shift.n_pieces; ++piece) {
    const Inside part = inside_of(shift, stretch, *piece);
    const int64_t first = piece->to / sizeof(Stored), place = part.place + piece->dy * maps.w + piece->dx;
    const Number* const start = from + (part.first - stretch.first) * depth;
    each_of_planes(shift, part.last - part.first, first, first + piece->channels, [&](int64_t i, int64_t c) {
      image[c * maps.h * maps.w + place + i * shift.stride] = to_stored<Type>(start[i * depth + c]);
    });
  }
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

}  // namespace
}  // namespace smidgen
