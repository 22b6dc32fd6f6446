// The kernels, written once on vectors of LANES floats; the build compiles this file for each instruction
// set, with SMIDGEN_KERNELS as the name of its table. Nothing but the table may leave this file: a template
// of the standard library compiled here could stand in for the same one elsewhere, on a processor without
// these instructions.

#include "kernels.hpp"
#include "vectors.hpp"

#include <cstring>

namespace smidgen {
namespace {

// ---- Elements of other types than float ---------------------------------------------------------------

struct Float32 {
  using Stored = float;
  static float load(Stored value) { return value; }
  static Stored store(float value) { return value; }
};

struct BFloat16 {
  using Stored = uint16_t;
  static float load(Stored value) {
    const uint32_t bits = static_cast<uint32_t>(value) << 16;
    float result;
    std::memcpy(&result, &bits, 4);
    return result;
  }
  static Stored store(float value) {  // to the nearest, ties to even; NaN stays NaN
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Stored>((bits >> 16) | 0x40);
    return static_cast<Stored>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
  }
};

struct Float16 {
  using Stored = uint16_t;
  static float load(Stored value) {
    const uint32_t sign = static_cast<uint32_t>(value & 0x8000) << 16;
    const uint32_t magnitude = static_cast<uint32_t>(value & 0x7fff) << 13;
    float result;
    if ((value & 0x7c00) == 0x7c00) {  // infinity or NaN
      const uint32_t bits = sign | magnitude | 0x7f800000u;
      std::memcpy(&result, &bits, 4);
      return result;
    }
    // A multiplication by 2^112 moves the exponent, and makes subnormal numbers right too.
    std::memcpy(&result, &magnitude, 4);
    result *= 0x1p112f;
    return sign ? -result : result;
  }
  static Stored store(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    const uint32_t sign = (bits >> 16) & 0x8000, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return static_cast<Stored>(sign | 0x7e00);
    if (magnitude >= 0x477ff000u) return static_cast<Stored>(sign | 0x7c00);  // from 65520 on: infinity
    if (magnitude < 0x38800000u) {  // subnormal: whole multiples of 2^-24, rounded by the addition
      float small;
      std::memcpy(&small, &magnitude, 4);
      small += 0.5f;  // 2^-24 is its last place
      uint32_t rounded;
      std::memcpy(&rounded, &small, 4);
      return static_cast<Stored>(sign | (rounded - 0x3f000000u));
    }
    const uint32_t rounded = magnitude + 0xfff + ((magnitude >> 13) & 1);
    return static_cast<Stored>(sign | ((rounded - 0x38000000u) >> 13));
  }
};

template <class Body>
void with_type(int32_t type, Body&& body) {
  switch (type) {
    case SMIDGEN_BFLOAT16: return body(BFloat16{});
    case SMIDGEN_FLOAT16: return body(Float16{});
    default: return body(Float32{});
  }
}

// ---- Copying runs of channels from pixel to pixel -----------------------------------------------------

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

bool inside(const smidgen_maps& maps, int64_t h, int64_t w) {
  return static_cast<uint64_t>(h) < static_cast<uint64_t>(maps.h) &&
         static_cast<uint64_t>(w) < static_cast<uint64_t>(maps.w);
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
Reach reach_of(const Shift& shift) { return {shift.up, shift.down, shift.left, shift.right}; }

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

// ---- Shift alone --------------------------------------------------------------------------------------

// One row of maps in channels_last.
void shift_row(const Shift& shift, int64_t bytes, const char* x, char* y, int64_t row) {
  const smidgen_maps& maps = shift.maps;
  const int64_t pixel = maps.c * bytes, line = maps.w * pixel, h = row % maps.h;
  x += row * line;
  y += row * line;
  const int64_t ahead = (shift.down + 1) * line;  // to the row that the next one is the first to read
  const bool soon = row + shift.down + 1 < maps.n * maps.h;
  const Columns middle = inner(shift, reach_of(shift), h);
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
  int64_t line = 0, one = 0, four = 0;  // columns of a row, and how far one vector and four of them are past whole rows

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

void shift_rows(const Shift& shift, int64_t bytes, const void* from, void* to, int64_t begin, int64_t end) {
  const char* x = static_cast<const char*>(from);
  char* y = static_cast<char*>(to);
  if (shift.maps.channels_last) {
    for (int64_t row = begin; row < end; ++row) shift_row(shift, bytes, x, y, row);
    return;
  }
  const int64_t line = shift.maps.w * bytes, plane = shift.maps.h * line, last = shift.maps.n * shift.maps.c - 1;
  const Piece* piece = shift.pieces;
  const Piece* masked = nullptr;
  Mask mask;
  const int64_t pixel = shift.maps.c * bytes;
  int64_t channel = begin % shift.maps.c * bytes;  // where a pixel's piece would begin
  for (int64_t number = begin; number < end; ++number, channel = channel + bytes == pixel ? 0 : channel + bytes) {
    if (channel < piece->to) piece = shift.pieces;
    while (channel >= piece->to + piece->bytes) ++piece;
    const int64_t dx = piece->dx * bytes;
    const bool masks = Mask::fits(line) && number > 0 && number < last && most(dx, -dx) < line;
    if (masks && masked != piece) {
      mask.set(line, shift.streams ? WIDE : NARROW, most(0, -dx), most(0, dx));
      masked = piece;
    }
    shift_plane(shift, piece->dy, piece->dx, bytes, x + number * plane, y + number * plane, masks ? &mask : nullptr);
  }
  if (shift.streams) streamed();
}

// ---- Products of small matrices -----------------------------------------------------------------------

// c[i][j] (+)= sum over k of a[i][a_at[k]] * b[b_at[k] + j], for rows a[i] and c[i] that lie anywhere and up
// to PANEL columns; b and `start` are read to a whole vector. Starts from `start`, from c, or from zero.
// The places `a_at` are what makes a shift free: the convolution reads each channel where its pixel looks.
struct Product {
  int64_t k;
  const int64_t *a_at, *b_at;
  int64_t columns;
  const float* start;
  bool adds;
};

// Columns that are computed of those that are left: whole vectors.
constexpr int64_t whole(int64_t columns) { return least(PANEL, up(columns, LANES)); }

// Rows of a tile that end within a vector, from where its sums were put.
[[gnu::noinline]] void store_parts(const Product& p, const float* sums, int64_t rows, int64_t width, float* const* c,
                                   int64_t c_from) {
  for (int64_t i = 0; i < rows; ++i, sums += width) {
    float* const to = c[i] + c_from;
    for (int64_t j = 0; j < p.columns; ++j) to[j] = p.adds ? to[j] + sums[j] : sums[j];
  }
}

template <int64_t N, int64_t WIDTH>
void tile(const Product& p, const float* const* a, const float* b, float* const* c, int64_t c_from) {
  Vector sums[N * WIDTH];
  const float* rows[N];
  each<N>([&](auto i) { rows[i] = a[i]; });
  each<N * WIDTH>([&](auto i) { sums[i] = p.start ? load(p.start + i % WIDTH * LANES) : Vector{}; });
  const int64_t *a_at = p.a_at, *b_at = p.b_at;
  for (const int64_t* const end = a_at + p.k; a_at < end; ++a_at, ++b_at) {
    Vector line[WIDTH];
    each<WIDTH>([&](auto v) { line[v] = load(b + *b_at + v * LANES); });
    each<N>([&](auto i) {
      const Vector value = broadcast(rows[i][*a_at]);
      each<WIDTH>([&](auto v) { sums[i * WIDTH + v] += value * line[v]; });
    });
  }
  if (p.columns < WIDTH * LANES) {
    float all[N * WIDTH * LANES];
    each<N * WIDTH>([&](auto i) { store(all + i * LANES, sums[i]); });
    return store_parts(p, all, N, WIDTH * LANES, c, c_from);
  }
  each<N * WIDTH>([&](auto i) {
    float* const to = c[i / WIDTH] + c_from + i % WIDTH * LANES;
    store(to, p.adds ? load(to) + sums[i] : sums[i]);
  });
}

using Tile = void (*)(const Product&, const float* const*, const float*, float* const*, int64_t);
template <int64_t N>
constexpr Tile thin = tile<least(N, ROWS), 1>;
template <int64_t N>
constexpr Tile broad = tile<least(N, ROWS), 2>;
// Constants: nothing in this file may run before the processor is known to have its instructions.
constexpr Tile tiles[2][13] = {
    {nullptr, thin<1>, thin<2>, thin<3>, thin<4>, thin<5>, thin<6>, thin<7>, thin<8>, thin<9>, thin<10>, thin<11>,
     thin<12>},
    {nullptr, broad<1>, broad<2>, broad<3>, broad<4>, broad<5>, broad<6>, broad<7>, broad<8>, broad<9>, broad<10>,
     broad<11>, broad<12>},
};

// Memory that is needed soon, asked for a little at a time: all at once would hold up what is needed now.
struct Ahead {
  const char *next = nullptr, *end = nullptr;
  int64_t step = 0;  // bytes a time
  // With a stride, much of what lies between is read by nobody: of one output pixel after the other, from the unmoved
  // input pixel at `next` on, the lines are asked for that it is the first to read. (Those over the edge are of no use.)
  const Shift* strided = nullptr;
  int64_t pixels = 0, column = 0, line = 0, pixel = 0;  // the last in bytes

  void some() {
    if (strided) return some_lines();
    for (const char* const until = step < end - next ? next + step : end; next < until; next += 64)
      __builtin_prefetch(next, 0, 2);
  }

  void some_lines() {
    for (int64_t left = step; left > 0 && pixels > 0; left -= 64) {
      __builtin_prefetch(next + strided->lines[line], 0, 2);
      if (++line == strided->n_lines) next_pixel();
    }
  }

  void next_pixel() {
    line = 0;
    --pixels;
    next += strided->stride * pixel;
    if (++column < strided->width) return;
    column = 0;
    next += strided->stride * (strided->maps.w - strided->width) * pixel;
  }
};

// All rows against one panel, into the columns of c from `c_from` on.
void multiply(const Product& p, int64_t rows, const float* const* a, const float* b, float* const* c,
              int64_t c_from, Ahead& ahead) {
  const bool wide = p.columns > LANES;
  for (; rows >= ROWS; rows -= ROWS, a += ROWS, c += ROWS) {
    ahead.some();
    wide ? tile<ROWS, 2>(p, a, b, c, c_from) : tile<ROWS, 1>(p, a, b, c, c_from);
  }
  if (rows) tiles[wide][rows](p, a, b, c, c_from);
}
void multiply(const Product& p, int64_t rows, const float* const* a, const float* b, float* const* c,
              int64_t c_from) {
  Ahead nothing;
  multiply(p, rows, a, b, c, c_from, nothing);
}

void pack(int32_t type, const void* matrix, int64_t rows, int64_t columns, int64_t row_step, int64_t column_step,
          float* panels) {
  with_type(type, [&](auto kind) {
    using Kind = decltype(kind);
    const auto* from = static_cast<const typename Kind::Stored*>(matrix);
    for (int64_t first = 0; first < columns; first += PANEL)
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = first; j < first + PANEL; ++j)
          *panels++ = j < columns ? Kind::load(from[i * row_step + j * column_step]) : 0.0f;
  });
}

void unpack(int32_t type, const float* from, int64_t rows, int64_t columns, int64_t row_step,
            int64_t column_step, void* matrix) {
  with_type(type, [&](auto kind) {
    using Kind = decltype(kind);
    auto* to = static_cast<typename Kind::Stored*>(matrix);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < columns; ++j) *to++ = Kind::store(from[i * row_step + j * column_step]);
  });
}

// ---- Shift + 1x1 --------------------------------------------------------------------------------------

// Maps that the products can read and write where they lie.
template <class Kind>
bool in_place(const ShiftConv& conv) {
  return sizeof(typename Kind::Stored) == sizeof(float) && conv.shift.maps.channels_last;
}

int64_t depth_of(const ShiftConv& conv) { return up(conv.shift.maps.c, PANEL); }
int64_t breadth_of(const ShiftConv& conv) { return up(conv.c_out, PANEL); }

// Some pieces of a shift, one after the other.
struct Pieces {
  const Piece* first;
  int64_t count;
};
Pieces all_of(const Shift& shift) { return {shift.pieces, shift.n_pieces}; }

// Columns [first, last) of one row of the output; in channels_last at most `near`, so that what all their
// pieces touch stays near; planes are read better in long rows.
struct Stretch {
  int64_t row, first, last;
};

constexpr int64_t near = 16;
int64_t longest_stretch(const Shift& shift) { return shift.maps.channels_last ? near : shift.width; }

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

// The adjoint: every value goes to where it was read from, if that is inside.
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

// What a stretch reads, some pieces of it, as float[columns][depth]. Other types are copied to `raw` first: to convert
// whole pixels takes less time than a piece after the other.
template <class Kind>
void gather(const ShiftConv& conv, const Pieces& pieces, const typename Kind::Stored* image, const Stretch& stretch,
            float* to, float* raw) {
  using Stored = typename Kind::Stored;
  const Shift& shift = conv.shift;
  const smidgen_maps& maps = shift.maps;
  const int64_t depth = depth_of(conv), columns = stretch.last - stretch.first, pixel = maps.c * sizeof(Stored);
  if (maps.channels_last) {
    const bool floats = in_place<Kind>(conv);
    copy_together(shift, pieces, reinterpret_cast<const char*>(image), stretch, pixel,
                  reinterpret_cast<char*>(floats ? to : raw), floats ? depth * 4 : pixel);
    const auto* from = reinterpret_cast<const Stored*>(raw);
    for (int64_t i = 0; i < columns && !floats; ++i, from += maps.c, to += depth)
      for (int64_t c = 0; c < maps.c; ++c) to[c] = Kind::load(from[c]);
    return;
  }
  for (const Piece* piece = pieces.first; piece < pieces.first + pieces.count; ++piece) {
    const Inside part = inside_of(shift, stretch, *piece);
    const int64_t first = piece->to / sizeof(Stored), place = part.place + piece->dy * maps.w + piece->dx;
    if (part.last - part.first < columns)
      for (int64_t i = 0; i < columns; ++i) std::memset(to + i * depth + first, 0, piece->channels * sizeof(float));
    float* const start = to + (part.first - stretch.first) * depth;
    each_of_planes(shift, part.last - part.first, first, first + piece->channels, [&](int64_t i, int64_t c) {
      start[i * depth + c] = Kind::load(image[c * maps.h * maps.w + place + i * shift.stride]);
    });
  }
}

// The adjoint.
template <class Kind>
void scatter(const ShiftConv& conv, const float* from, const Stretch& stretch, typename Kind::Stored* image, float* raw) {
  using Stored = typename Kind::Stored;
  const Shift& shift = conv.shift;
  const smidgen_maps& maps = shift.maps;
  const int64_t depth = depth_of(conv), columns = stretch.last - stretch.first, pixel = maps.c * sizeof(Stored);
  if (maps.channels_last) {
    const bool floats = in_place<Kind>(conv);
    auto* to = reinterpret_cast<Stored*>(raw);
    const float* row = from;
    for (int64_t i = 0; i < columns && !floats; ++i, row += depth, to += maps.c)
      for (int64_t c = 0; c < maps.c; ++c) to[c] = Kind::store(row[c]);
    return copy_apart(shift, reinterpret_cast<const char*>(floats ? from : raw), floats ? depth * 4 : pixel, stretch, pixel,
                      reinterpret_cast<char*>(image));
  }
  for (const Piece* piece = shift.pieces; piece < shift.pieces + shift.n_pieces; ++piece) {
    const Inside part = inside_of(shift, stretch, *piece);
    const int64_t first = piece->to / sizeof(Stored), place = part.place + piece->dy * maps.w + piece->dx;
    const float* const start = from + (part.first - stretch.first) * depth;
    each_of_planes(shift, part.last - part.first, first, first + piece->channels, [&](int64_t i, int64_t c) {
      image[c * maps.h * maps.w + place + i * shift.stride] = Kind::store(start[i * depth + c]);
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

// The gradient at the pixels of a block as float[pixels][row], zero beyond c_out up to a whole vector.
template <class Kind>
const float* load_block(const ShiftConv& conv, const typename Kind::Stored* image, const Block& block,
                        float* scratch, int64_t& row) {
  const int64_t plane = conv.shift.height * conv.shift.width, out = conv.c_out, pixels = block.last - block.first;
  row = up(out, LANES);
  if (in_place<Kind>(conv) && row == out) return reinterpret_cast<const float*>(image + block.first * out);
  const bool last = conv.shift.maps.channels_last;
  const auto* from = image + block.first * (last ? out : 1);
  for (int64_t i = 0; i < pixels; ++i) {
    for (int64_t o = 0; o < out; ++o) scratch[i * row + o] = Kind::load(from[last ? i * out + o : o * plane + i]);
    for (int64_t o = out; o < row; ++o) scratch[i * row + o] = 0.0f;
  }
  return scratch;
}

template <class Kind>
void store_block(const ShiftConv& conv, const float* from, const Block& block, typename Kind::Stored* image) {
  const int64_t plane = conv.shift.height * conv.shift.width, out = conv.c_out, pixels = block.last - block.first;
  if (conv.shift.maps.channels_last) {
    auto* to = image + block.first * out;
    for (int64_t i = 0; i < pixels * out; ++i) to[i] = Kind::store(from[i]);
  } else {
    auto* to = image + block.first;
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < pixels; ++i) to[o * plane + i] = Kind::store(from[i * out + o]);
  }
}

int64_t scratch_floats(const ShiftConv& conv, int64_t pixels, bool backward) {
  return pixels * (depth_of(conv) + (backward ? breadth_of(conv) : conv.c_out)) + near * depth_of(conv);
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
    constexpr int64_t cached = 16 << 20;  // what the third cache may hold comes in time by itself
    if (maps.n * plane * pixel < cached || (ends && block.image + 1 == maps.n)) return {};
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
  const int64_t row = block.last / shift.width * shift.stride + shift.down;
  const int64_t first = ends ? plane : least(row * maps.w + block.last % shift.width * shift.stride, plane);
  const int64_t count = pixels * shift.stride * shift.stride + (ends ? shift.down * maps.w : 0);
  const int64_t last = least(first + count, (maps.n - block.image) * plane);
  const char* const from = static_cast<const char*>(image);
  return {from + first * pixel, from + last * pixel, up((last - first) * pixel / most(1, tiles), 64) + 64};
}

// Rows of the products of a block, those of a class together, and where each class begins.
struct Rows {
  const float* from[longest_block];
  float* to[longest_block];
  int64_t begin[most_classes + 1];
};

void sort_by_class(const Shift& shift, const Block& block, const float* x, float* y, int64_t out, Rows& rows) {
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
    const float* source = x + (row * shift.maps.w + from) * step;
    float* target = y + (row * shift.width + from) * out;
    for (int64_t& i = next[number]; from < to; ++from, ++i, source += step, target += out) {
      rows.from[i] = source;
      rows.to[i] = target;
    }
  });
}

// Reads the input where it lies.
void forward_direct(const ShiftConv& conv, const float* x, const float* packed, const float* bias, float* y,
                    const Block& block) {
  const Shift& shift = conv.shift;
  Rows rows;
  sort_by_class(shift, block, x, y, conv.c_out, rows);
  const int64_t tiles = (block.last - block.first) / ROWS * (breadth_of(conv) / PANEL);
  Ahead ahead = next_block(conv, x, sizeof(float), block, tiles);
  for (int64_t first = 0; first < conv.c_out; first += PANEL, packed += shift.maps.c * PANEL)
    for (int64_t number = 0; number < shift.n_classes; ++number) {
      const Class& one = shift.classes[number];
      const int64_t begin = rows.begin[number], count = rows.begin[number + 1] - begin;
      if (count == 0) continue;
      multiply({one.channels, one.from, one.in_panel, least(PANEL, conv.c_out - first), bias ? bias + first : nullptr, false},
               count, rows.from + begin, packed, rows.to + begin, first, ahead);
    }
}

// Copies what the pixels read together first: for other types and planes, or where that is faster.
template <class Kind>
void forward_gathered(const ShiftConv& conv, const typename Kind::Stored* x, const float* packed, const float* bias,
                      typename Kind::Stored* y, const Block& block, float* scratch) {
  const Shift& shift = conv.shift;
  const int64_t channels = shift.maps.c, out = conv.c_out, pixels = block.last - block.first, depth = depth_of(conv);
  const bool direct = in_place<Kind>(conv);
  float* const raw = scratch + pixels * depth;
  float* const result = direct ? reinterpret_cast<float*>(y) + block.first * out : raw + near * depth;
  each_stretch(shift, block, longest_stretch(shift), [&](const Stretch& stretch, int64_t i) {
    gather<Kind>(conv, all_of(shift), x, stretch, scratch + i * depth, raw);
  });
  Ahead ahead = next_block(conv, x, sizeof(typename Kind::Stored), block, pixels / ROWS * (breadth_of(conv) / PANEL));
  const float* rows[longest_block];
  float* results[longest_block];
  for (int64_t i = 0; i < pixels; ++i) {
    rows[i] = scratch + i * depth;
    results[i] = result + i * out;
  }
  for (int64_t first = 0; first < out; first += PANEL, packed += channels * PANEL)
    multiply({channels, shift.counting, shift.panels, least(PANEL, out - first), bias ? bias + first : nullptr, false},
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
  if (shift.n_classes)
    forward_direct(conv, reinterpret_cast<const float*>(x), packed, bias, reinterpret_cast<float*>(y), block);
  else
    forward_gathered<Kind>(conv, x, packed, bias, y, block, scratch);
}

void forward(const ShiftConv& conv, const void* x, const float* packed, const float* bias, void* y,
             const Block& block, float* scratch) {
  with_type(conv.type, [&](auto kind) { forward_as<decltype(kind)>(conv, x, packed, bias, y, block, scratch); });
}

// sums[o] += sum over pixels of grad[pixel][o], where rows are readable to a whole vector
void add_columns(const float* grad, int64_t pixels, int64_t row, int64_t out, float* sums) {
  for (int64_t first = 0; first < out; first += LANES) {
    Vector sum = {};
    for (int64_t i = 0; i < pixels; ++i) sum += load(grad + i * row + first);
    for (int64_t o = first; o < least(out, first + LANES); ++o) sums[o] += sum[o - first];
  }
}

// Pixels that a product sums over: where they lie in what is read, and where in the rows of the gradient.
struct Summed {
  int64_t n, places[longest_block], at[longest_block];

  void add(int64_t count, int64_t place, int64_t place_step, int64_t start, int64_t start_step) {
    for (int64_t i = 0; i < count; ++i) {
      places[n + i] = place + i * place_step;
      at[n + i] = start + i * start_step;
    }
    n += most(0, count);
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

// grad_weight[c][o] += sum over pixels of (what channel c reads there) * grad[pixel][o]
template <class Kind>
void add_weight_gradient(const ShiftConv& conv, const typename Kind::Stored* x, const Block& block, const float* grad,
                         int64_t row, float* edges, float* raw, float* grad_weight) {
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
    each_stretch(shift, block, direct ? shift.width : longest_stretch(shift), [&](const Stretch& all, int64_t i) {
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
    for (int64_t tiles = ceil_div(last - channel, ROWS), rows; tiles > 0; --tiles, channel += rows) {
      rows = ceil_div(last - channel, tiles);
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
    }
  }
}

template <class Kind>
void backward_as(const ShiftConv& conv, const void* from, const float* packed, const void* grad_y, int64_t image,
                 int64_t step, void* grad_from, float* grad_weight, float* grad_bias, float* scratch) {
  using Stored = typename Kind::Stored;
  const Shift& shift = conv.shift;
  const int64_t channels = shift.maps.c, out = conv.c_out, plane = shift.height * shift.width;
  const int64_t image_size = channels * shift.maps.h * shift.maps.w, depth = depth_of(conv);
  const auto* x = static_cast<const Stored*>(from) + image * image_size;
  const auto* y = static_cast<const Stored*>(grad_y) + image * out * plane;
  auto* grad_x = static_cast<Stored*>(grad_from) + image * image_size;
  float* const shifted = scratch;  // first what the edges read, and when that is used up the shifted gradient
  float* const raw = shifted + step * depth;
  float* const loaded = raw + near * depth;
  int64_t cleared = 0;
  if (grad_from) clear_unread(shift, sizeof(Stored), reinterpret_cast<char*>(grad_x));
  for (int64_t begin = 0; begin < plane; begin += step) {
    const Block block{image, begin, least(begin + step, plane)};
    const int64_t pixels = block.last - block.first;
    int64_t row;
    const float* grad = load_block<Kind>(conv, y, block, loaded, row);
    if (grad_bias) add_columns(grad, pixels, row, out, grad_bias);
    if (grad_weight) add_weight_gradient<Kind>(conv, x, block, grad, row, shifted, raw, grad_weight);
    if (grad_from) {
      const float* rows[longest_block];
      float* results[longest_block];
      for (int64_t i = 0; i < pixels; ++i) {
        rows[i] = grad + i * row;
        results[i] = shifted + i * depth;
      }
      Ahead ahead;
      if (shift.stride == 1) ahead = next_block(conv, grad_x, sizeof(Stored), block, pixels / ROWS * (depth / PANEL));
      const float* panel = packed;
      for (int64_t first = 0; first < channels; first += PANEL, panel += out * PANEL)
        multiply({out, shift.counting, shift.panels, whole(channels - first), nullptr, false}, pixels, rows, panel, results,
                 first, ahead);
      cleared = clear_rows(shift, sizeof(Stored), block.last, cleared, reinterpret_cast<char*>(grad_x));
      each_stretch(shift, block, longest_stretch(shift), [&](const Stretch& stretch, int64_t i) {
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

extern const Kernels SMIDGEN_KERNELS = {PANEL,   shift_rows, pack, unpack,
                                        scratch_floats,   forward, backward};

}  // namespace smidgen
