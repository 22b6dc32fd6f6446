// The shift alone.
#pragma once

#include <cstring>

#include "isa/vectors.hpp"
#include "train/copies.hpp"

namespace smidgen {
namespace {

bool inside(const smidgen_maps& maps, int64_t h, int64_t w) {
  return static_cast<uint64_t>(h) < static_cast<uint64_t>(maps.h) &&
         static_cast<uint64_t>(w) < static_cast<uint64_t>(maps.w);
}

// One row of maps in channels_last.
void shift_row(const Shift& shift, int64_t bytes, const char* x, char* y, int64_t row) {
  const smidgen_maps& maps = shift.maps;
  const int64_t pixel = maps.c * bytes, line = maps.w * pixel, h = row % maps.h;
  x += row * line;
  y += row * line;
  const int64_t ahead = (shift.down + 1) * line;  // to the row that the next one is the first to read
  const bool soon = row + shift.down + 1 < maps.n * maps.h;
  const Columns middle = inner(shift, {shift.up, shift.down, shift.left, shift.right}, h);
  each_length(shift.pieces, shift.n_pieces, [&](auto copy, const Piece* first, const Piece* last) {
    const int64_t size = first->bytes;
    auto edge = [&](int64_t begin, int64_t end) {
      for (int64_t w = begin; w < end; ++w)
        for (const Piece* piece = first; piece < last; ++piece) {
          const char* const from = x + w * pixel + piece->from;
          copy.one(y + w * pixel + piece->to, inside(maps, h + piece->dy, w + piece->dx) ? from : shift.zeros, size);
        }
    };
    edge(0, middle.first);
    for (int64_t at = middle.first * pixel; at < middle.last * pixel; at += pixel) {
      for (int64_t byte = 0; soon && first == shift.pieces && byte < pixel; byte += 64)
        __builtin_prefetch(x + at + ahead + byte, 0, 2);
      for (const Piece* piece = first; piece < last; ++piece)
        copy.one(y + at + piece->to, x + at + piece->from, size);
    }
    edge(middle.last, maps.w);
  });
}

#if defined(__AVX512BW__)
inline void stream(char* to, Wide value) { _mm512_stream_si512(reinterpret_cast<__m512i*>(to), (__m512i)value); }
inline void streamed() { _mm_sfence(); }
#elif defined(__AVX2__)
inline void stream(char* to, Wide value) { _mm256_stream_si256(reinterpret_cast<__m256i*>(to), (__m256i)value); }
inline void streamed() { _mm_sfence(); }
#else
inline void stream(char* to, Wide value) { *reinterpret_cast<Wide*>(to) = value; }
inline void streamed() {}
#endif

// What a row of a plane keeps of what it reads: zeros where it looks over its ends; and some of it again, so that it can
// be read from any column on.
struct Mask {
  static constexpr int64_t longest = 4096, again = 4 * WIDE;
  alignas(WIDE) char bits[longest + again];
  int64_t line = 0, one = 0, four = 0;  // bytes of a row, and how far one vector and four of them are past whole rows

  static bool fits(int64_t line) { return line <= longest; }
  void set(int64_t columns, int64_t size, int64_t left, int64_t right) {
    line = columns;
    one = size % line;
    four = 4 * size % line;
    std::memset(bits, 0xff, static_cast<size_t>(line));
    clear(bits, left);
    clear(bits + line - right, right);
    for (int64_t at = line; at < line + again; ++at) bits[at] = bits[at - line];
  }
  int64_t column(int64_t at) const { return at < line ? at : at % line; }  // a division takes long
  int64_t after(int64_t column, int64_t step) const {
    column += step;
    return column >= line ? column - line : column;
  }
};

// Rows of one plane from their first byte on, a whole vector at a time: what comes from a neighbouring row is masked out.
// The bytes beside them that are read must be there, if they are of another plane. Stores are aligned; what is left at
// both ends is done by vectors that overlap with others, or byte by byte where lines of the cache go past it.
template <int64_t SIZE, bool STREAMS>
void masked_rows(const Mask& mask, const char* from, char* y, int64_t bytes) {
  using Register = typename Bytes<SIZE>::Register;
  auto some = [&](int64_t at, int64_t end) {
    for (int64_t column = mask.column(at); at < end; ++at, column = mask.after(column, 1))
      y[at] = static_cast<char>(from[at] & mask.bits[column]);
  };
  if (bytes < SIZE) return some(0, bytes);
  auto masked = [&](int64_t at, int64_t column) {
    return *reinterpret_cast<const Register*>(from + at) & *reinterpret_cast<const Register*>(mask.bits + column);
  };
  auto put = [&](int64_t at, int64_t column) { *reinterpret_cast<Register*>(y + at) = masked(at, column); };
  auto vector = [&](int64_t at, int64_t column) {
    if constexpr (STREAMS)
      stream(y + at, masked(at, column));
    else
      put(at, column);
  };
  int64_t at = -reinterpret_cast<intptr_t>(y) & (SIZE - 1), column = mask.column(at);
  STREAMS ? some(0, at) : put(0, 0);
  for (; at + 4 * SIZE <= bytes; at += 4 * SIZE, column = mask.after(column, mask.four))
    each<4>([&](auto i) { vector(at + i * SIZE, column + i * SIZE); });
  for (; at + SIZE <= bytes; at += SIZE, column = mask.after(column, mask.one)) vector(at, column);
  if (at == bytes) return;
  STREAMS ? some(at, bytes) : put(bytes - SIZE, mask.one ? mask.line - mask.one : 0);
}

// One plane. The mask is for its rows; NULL where nothing beside the plane may be read, or its rows are too long
// for one: then a single copy, whose ends of rows are cleared afterwards.
void shift_plane(const Shift& shift, int64_t dy, int64_t dx, int64_t bytes, const char* x, char* y, const Mask* mask) {
  const int64_t line = shift.maps.w * bytes, height = shift.maps.h;
  const int64_t first = most(0, -dy), last = least(height, height - dy);
  const int64_t left = most(0, -dx) * bytes, right = most(0, dx) * bytes;
  const int64_t delta = dy * line + dx * bytes;
  clear(y, first * line);
  if (first >= last || left + right >= line) {
    clear(y + first * line, (last - first) * line);
  } else if (mask) {
    const char* const from = x + first * line + delta;
    char* const to = y + first * line;
    const int64_t count = (last - first) * line;
    shift.streams ? masked_rows<WIDE, true>(*mask, from, to, count) : masked_rows<NARROW, false>(*mask, from, to, count);
  } else {
    const int64_t begin = first * line + left, end = last * line - right;
    std::memcpy(y + begin, x + begin + delta, static_cast<size_t>(end - begin));
    if (left) clear_each(y + first * line, last - first, line, left, shift.zeros);
    if (right) clear_each(y + (first + 1) * line - right, last - first, line, right, shift.zeros);
  }
  clear(y + last * line, (height - last) * line);
}

#if defined(__AVX512BW__)
constexpr bool masks_planes = true;

// Bytes [begin, end) of the output, which belong to planes of one piece. What is not kept is not read.
template <bool STREAMS>
void shift_masked(const Shift& shift, const uint64_t* masks, const char* from, char* y, int64_t begin, int64_t end) {
  const int64_t before = begin - shift.first_vector, part = before & (WIDE - 1);  // of a vector
  int64_t at = begin - part, number = (before - part + shift.n_masks * WIDE) / WIDE % shift.n_masks;
  auto some = [&](uint64_t bytes) {
    _mm512_mask_storeu_epi8(y + at, bytes, _mm512_maskz_loadu_epi8(masks[number] & bytes, from + at));
    at += WIDE;
    number = number + 1 == shift.n_masks ? 0 : number + 1;
  };
  const uint64_t all = ~uint64_t{0}, last = end - at < WIDE ? all >> (WIDE - (end - at)) : all;
  if (part) some(all << part & last);
  for (; at + WIDE <= end; number = 0) {
    const int64_t until = least(shift.n_masks, number + (end - at) / WIDE);
    const bool wraps = until == shift.n_masks;
    for (; number < until; ++number, at += WIDE) {
      const uint64_t mask = masks[number];
      if constexpr (STREAMS) {
        stream(y + at, (Wide)_mm512_maskz_loadu_epi8(mask, from + at));
      } else {
        const __m256i low = _mm256_maskz_loadu_epi8(static_cast<uint32_t>(mask), from + at);
        const __m256i high = _mm256_maskz_loadu_epi8(static_cast<uint32_t>(mask >> 32), from + at + 32);
        _mm256_store_si256(reinterpret_cast<__m256i*>(y + at), low);
        _mm256_store_si256(reinterpret_cast<__m256i*>(y + at + 32), high);
      }
    }
    if (!wraps) break;
  }
  if (at < end) some(all >> (WIDE - (end - at)));
}
#else
constexpr bool masks_planes = false;
#endif

void shift_rows(const Shift& shift, int64_t bytes, const void* from, void* to, int64_t begin, int64_t end) {
  const char* x = static_cast<const char*>(from);
  char* y = static_cast<char*>(to);
  const smidgen_maps& maps = shift.maps;
  if (maps.channels_last) {
    for (int64_t row = begin; row < end; ++row) shift_row(shift, bytes, x, y, row);
    return;
  }
  const int64_t line = maps.w * bytes, plane = maps.h * line, very_last = maps.n * maps.c - 1;
  const Piece* piece = shift.pieces;
  const Piece* masked = nullptr;
  Mask mask;
  for (int64_t first = begin, last; first < end; first = last) {  // all planes of a piece in one image
    const int64_t channel = first % maps.c;
    if (channel == 0) piece = shift.pieces;
    while (channel * bytes >= piece->to + piece->bytes) ++piece;
    last = least(end, first - channel + piece->to / bytes + piece->channels);
#if defined(__AVX512BW__)
    if (shift.masks) {
      const uint64_t* const masks = shift.masks + (piece - shift.pieces) * shift.n_masks;
      const char* const source = x + (piece->dy * maps.w + piece->dx) * bytes;
      shift.streams ? shift_masked<true>(shift, masks, source, y, first * plane, last * plane)
                    : shift_masked<false>(shift, masks, source, y, first * plane, last * plane);
      continue;
    }
#endif
    const int64_t dx = piece->dx * bytes;
    const bool fits = Mask::fits(line) && most(dx, -dx) < line;
    if (fits && masked != piece) {
      mask.set(line, shift.streams ? WIDE : NARROW, most(0, -dx), most(0, dx));
      masked = piece;
    }
    for (int64_t number = first; number < last; ++number) {
      const bool masks = fits && number > 0 && number < very_last;
      shift_plane(shift, piece->dy, piece->dx, bytes, x + number * plane, y + number * plane, masks ? &mask : nullptr);
    }
  }
  if (shift.streams) streamed();
}

}  // namespace
}  // namespace smidgen
