// Copying runs of channels from pixel to pixel.
#pragma once

#include <cstdint>
#include <cstring>

#include "isa/numbers.hpp"
#include "train/shift_kernels.hpp"

namespace smidgen {
namespace {

// As wide as registers are: the compiler's own copies of 32 bytes take two steps.
#if defined(__AVX512BW__)
constexpr int64_t WIDE = 64;
#elif defined(__AVX2__)
constexpr int64_t WIDE = 32;
#else
constexpr int64_t WIDE = 16;
#endif
// Loads of 64 bytes that lie anywhere touch two lines of the cache each, which only the way to memory hides.
constexpr int64_t NARROW = least(WIDE, 32);
template <int64_t SIZE>
struct Bytes {
  typedef char Register __attribute__((vector_size(SIZE), aligned(1), may_alias));
};
using Wide = Bytes<WIDE>::Register;
// Two copies of SIZE that overlap cover any length from SIZE to twice as much; one where that is the length.
template <int64_t SIZE, bool TWICE>
struct Copy {
  static void one(char* to, const char* from, int64_t bytes) {
    char low[SIZE], high[SIZE];
    std::memcpy(low, from, SIZE);
    if (TWICE) std::memcpy(high, from + bytes - SIZE, SIZE);
    std::memcpy(to, low, SIZE);
    if (TWICE) std::memcpy(to + bytes - SIZE, high, SIZE);
  }
};
// Any length from WIDE on.
struct LongCopy {
  static void one(char* to, const char* from, int64_t bytes) {
    const Wide tail = *reinterpret_cast<const Wide*>(from + bytes - WIDE);
    for (int64_t done = 0; done < bytes - WIDE; done += WIDE)
      *reinterpret_cast<Wide*>(to + done) = *reinterpret_cast<const Wide*>(from + done);
    *reinterpret_cast<Wide*>(to + bytes - WIDE) = tail;
  }
};
// From a register of SIZE to twice that.
template <int64_t SIZE>
struct WideCopy {
  using Register = typename Bytes<SIZE>::Register;
  static void one(char* to, const char* from, int64_t bytes) {
    const Register head = *reinterpret_cast<const Register*>(from);
    const Register tail = *reinterpret_cast<const Register*>(from + bytes - SIZE);
    *reinterpret_cast<Register*>(to) = head;
    *reinterpret_cast<Register*>(to + bytes - SIZE) = tail;
  }
};

// Calls body with the way of copying that suits a length, so that the choice is made outside of the loop.
template <class Body>
void with_copy(int64_t bytes, Body&& body) {
  switch (bytes) {
    case 1: return body(Copy<1, false>{});
    case 2: return body(Copy<2, false>{});
    case 4: return body(Copy<4, false>{});
    case 8: return body(Copy<8, false>{});
    case 16: return body(Copy<16, false>{});
  }
  if (bytes < 4) return body(Copy<2, true>{});
  if (bytes < 8) return body(Copy<4, true>{});
  if (bytes < 16) return body(Copy<8, true>{});
  if (bytes < 32) return body(Copy<16, true>{});
  if (bytes < WIDE) return body(WideCopy<32>{});
  if (bytes <= 2 * WIDE) return body(WideCopy<WIDE>{});
  return body(LongCopy{});
}

// Calls body(copy, first, last) for each group of neighbouring pieces of the same length.
template <class Body>
void each_length(const Piece* pieces, int64_t count, Body&& body) {
  for (const Piece *first = pieces, *end = pieces + count; first < end;) {
    const Piece* last = first + 1;
    while (last < end && last->bytes == first->bytes) ++last;
    with_copy(first->bytes, [&](auto copy) { body(copy, first, last); });
    first = last;
  }
}

void clear(char* to, int64_t bytes) {
  if (bytes > 0) std::memset(to, 0, static_cast<size_t>(bytes));
}

// So many places of the same size, `step` apart. A call of memset for each takes longer.
[[gnu::noinline]] void clear_each(char* to, int64_t count, int64_t step, int64_t bytes, const char* zeros) {
  with_copy(bytes, [&](auto copy) {
    for (int64_t i = 0; i < count; ++i, to += step) copy.one(to, zeros, bytes);
  });
}

// How far some channels look.
struct Reach {
  int64_t up = 0, down = 0, left = 0, right = 0;

  void add(const Piece& piece) {
    up = most(up, -piece.dy);
    down = most(down, piece.dy);
    left = most(left, -piece.dx);
    right = most(right, piece.dx);
  }
};

// Output columns [first, last) of a row at which all these channels read inside; empty in the rows at the edges.
struct Columns {
  int64_t first, last;
};
Columns inner(const Shift& shift, const Reach& reach, int64_t row) {
  const int64_t h = row * shift.stride;
  if (h < reach.up || h >= shift.maps.h - reach.down) return {0, 0};
  const int64_t first = least(shift.width, ceil_div(reach.left, shift.stride));
  return {first, clamped(ceil_div(shift.maps.w - reach.right, shift.stride), first, shift.width)};
}

}  // namespace
}  // namespace smidgen
