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
#if defined(__AVX2__)
constexpr int64_t WIDE = 32;
#else
constexpr int64_t WIDE = 16;
#endif
typedef char Wide __attribute__((vector_size(WIDE), aligned(1), may_alias));
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
// From WIDE to twice that.
struct WideCopy {
  static void one(char* to, const char* from, int64_t bytes) {
    const Wide head = *reinterpret_cast<const Wide*>(from);
    const Wide tail = *reinterpret_cast<const Wide*>(from + bytes - WIDE);
    *reinterpret_cast<Wide*>(to) = head;
    *reinterpret_cast<Wide*>(to + bytes - WIDE) = tail;
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
  if (bytes < WIDE) return body(Copy<16, true>{});
  if (bytes <= 2 * WIDE) return body(WideCopy{});
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

void clear(char* to, int64_t bytes) { std::memset(to, 0, static_cast<size_t>(bytes)); }

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

#if defined(__AVX2__)
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

  static bool fits(int64_t line) { return line >= WIDE && line <= longest; }
  void set(int64_t line, int64_t left, int64_t right) {
    std::memset(bits, 0xff, static_cast<size_t>(line));
    clear(bits, left);
    clear(bits + line - right, right);
    for (int64_t at = line; at < line + again; ++at) bits[at] = bits[at - line];
  }
};

// Rows of one plane from their first byte on, a whole vector at a time: what comes from a neighbouring row is masked out.
// The bytes beside them that are read must be there, if they are of another plane.
template <bool STREAMS>
void masked_rows(const Mask& mask, const char* from, char* y, int64_t bytes, int64_t line) {
  auto some = [&](int64_t at, int64_t end) {
    for (int64_t column = at % line; at < end; ++at, column = column + 1 == line ? 0 : column + 1)
      y[at] = static_cast<char>(from[at] & mask.bits[column]);
  };
  const int64_t first = least(bytes, -reinterpret_cast<intptr_t>(y) & (WIDE - 1));
  const int64_t last = first + (bytes - first) / WIDE * WIDE;
  some(0, first);
  auto vector = [&](int64_t at, int64_t column) {
    const Wide value = *reinterpret_cast<const Wide*>(from + at) & *reinterpret_cast<const Wide*>(mask.bits + column);
    if (STREAMS)
      stream(y + at, value);
    else
      *reinterpret_cast<Wide*>(y + at) = value;
  };
  const int64_t step = Mask::again % line, rest = first + (last - first) / Mask::again * Mask::again;
  auto group = [&](int64_t at, int64_t column) {
    for (int64_t i = 0; i < Mask::again; i += WIDE) vector(at + i, column + i);
  };
  int64_t column = first % line;
  for (int64_t at = first; at < rest; at += Mask::again) {
    group(at, column);
    column += step;
    column = column >= line ? column - line : column;
  }
  for (int64_t at = rest; at < last; at += WIDE) vector(at, at % line);
  some(last, bytes);
}

// One plane. The mask is for its rows; NULL where nothing beside the plane may be read, or its rows are too short or too
// long for one: then a single copy, whose ends of rows are cleared afterwards.
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
    shift.streams ? masked_rows<true>(*mask, from, to, count, line) : masked_rows<false>(*mask, from, to, count, line);
  } else {
    const int64_t begin = first * line + left, end = last * line - right;
    std::memcpy(y + begin, x + begin + delta, static_cast<size_t>(end - begin));
    auto clear_ends = [&](char* start, int64_t size) {
      if (size == 0) return;
      with_copy(size, [&](auto copy) {
        for (int64_t h = first; h < last; ++h) copy.one(start + h * line, shift.zeros, size);
      });
    };
    clear_ends(y, left);
    clear_ends(y + line - right, right);
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
  for (int64_t number = begin; number < end; ++number) {
    const int64_t channel = number % shift.maps.c * bytes;  // where a pixel's piece would begin
    if (channel < piece->to) piece = shift.pieces;
    while (channel >= piece->to + piece->bytes) ++piece;
    const int64_t dx = piece->dx * bytes;
    const bool masks = Mask::fits(line) && number > 0 && number < last && most(dx, -dx) < line;
    if (masks && masked != piece) {
      mask.set(line, most(0, -dx), most(0, dx));
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

template <int64_t WIDTH>
void store_row(const Product& p, const Vector* sums, float* c) {
  if (p.columns == WIDTH * LANES) {
    for (int64_t v = 0; v < WIDTH; ++v) store(c + v * LANES, p.adds ? load(c + v * LANES) + sums[v] : sums[v]);
    return;
  }
  float all[WIDTH * LANES];
  for (int64_t v = 0; v < WIDTH; ++v) store(all + v * LANES, sums[v]);
  for (int64_t j = 0; j < p.columns; ++j) c[j] = p.adds ? c[j] + all[j] : all[j];
}

template <int64_t N, int64_t WIDTH>
void tile(const Product& p, const float* const* a, const float* b, float* const* c, int64_t c_from) {
  Vector sums[N][WIDTH];
  const float* rows[N];
  for (int64_t i = 0; i < N; ++i) {
    rows[i] = a[i];
    for (int64_t v = 0; v < WIDTH; ++v) sums[i][v] = p.start ? load(p.start + v * LANES) : Vector{};
  }
  const int64_t *a_at = p.a_at, *b_at = p.b_at;
  for (const int64_t* const end = a_at + p.k; a_at < end; ++a_at, ++b_at) {
    Vector line[WIDTH];
    for (int64_t v = 0; v < WIDTH; ++v) line[v] = load(b + *b_at + v * LANES);
#pragma GCC unroll 12
    for (int64_t i = 0; i < N; ++i) {
      const Vector value = broadcast(rows[i][*a_at]);
      for (int64_t v = 0; v < WIDTH; ++v) sums[i][v] += value * line[v];
    }
  }
#pragma GCC unroll 12
  for (int64_t i = 0; i < N; ++i) store_row<WIDTH>(p, sums[i], c[i] + c_from);
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
  // With a stride, much of what lies between is read by nobody: the pieces of one output pixel after the other are asked
  // for, from the unmoved pixel at `next` on. (Those that look over the edge bring a little of no use.)
  const Shift* strided = nullptr;
  int64_t pixels = 0, column = 0, piece = 0;

  void some() {
    if (strided) return some_pieces();
    for (const char* const until = step < end - next ? next + step : end; next < until; next += 64)
      __builtin_prefetch(next, 0, 2);
  }

  void some_pieces() {
    for (int64_t left = step; left > 0 && pixels > 0;) {
      const Piece& one = strided->pieces[piece];
      const char *const from = next + one.from, *const last = from + one.bytes;
      for (const char* at = from - reinterpret_cast<uintptr_t>(from) % 64; at < last; at += 64, left -= 64)
        __builtin_prefetch(at, 0, 2);
      if (++piece == strided->n_pieces) next_pixel();
    }
  }

  void next_pixel() {
    const smidgen_maps& maps = strided->maps;
    const int64_t pixel = strided->pieces[piece - 1].to + strided->pieces[piece - 1].bytes;  // all its channels
    piece = 0;
    --pixels;
    next += strided->stride * pixel;
    if (++column < strided->width) return;
    column = 0;
    next += strided->stride * (maps.w - strided->width) * pixel;
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

// The pixels of a block, counted from its first: those at which all channels in question read inside, and the others.
struct Pixels {
  int64_t n_inner = 0, n_edge = 0;
  int64_t inner[longest_block], edge[longest_block];  // their numbers
  int64_t places[longest_block], edge_places[longest_block];  // unmoved input pixels, counted in the image
  int64_t rows[longest_block], columns[longest_block];        // of the edge ones
};

void sort_pixels(const Shift& shift, const Reach& reach, const Block& block, bool all_edge, Pixels& pixels) {
  pixels.n_inner = pixels.n_edge = 0;
  int64_t pixel = block.first, row = pixel / shift.width;
  for (; pixel < block.last; ++row) {
    const int64_t start = row * shift.width, end = least(start + shift.width, block.last);
    const Columns middle = all_edge ? Columns{0, 0} : inner(shift, reach, row);
    const int64_t first = clamped(start + middle.first, pixel, end);
    const int64_t last = clamped(start + middle.last, first, end);
    auto add_edges = [&](int64_t until) {
      for (; pixel < until; ++pixel) {
        const int64_t h = row * shift.stride, w = (pixel - start) * shift.stride;
        pixels.rows[pixels.n_edge] = h;
        pixels.columns[pixels.n_edge] = w;
        pixels.edge_places[pixels.n_edge] = h * shift.maps.w + w;
        pixels.edge[pixels.n_edge++] = pixel - block.first;
      }
    };
    add_edges(first);
    int64_t place = (row * shift.maps.w + (pixel - start)) * shift.stride;
    for (; pixel < last; ++pixel, place += shift.stride) {
      pixels.places[pixels.n_inner] = place;
      pixels.inner[pixels.n_inner++] = pixel - block.first;
    }
    add_edges(end);
  }
}

bool reads_inside(const Shift& shift, const Pixels& pixels, int64_t edge, const Piece& piece) {
  return inside(shift.maps, pixels.rows[edge] + piece.dy, pixels.columns[edge] + piece.dx);
}

// Some pieces of a shift, one after the other.
struct Pieces {
  const Piece* first;
  int64_t count;
};
Pieces all_of(const Shift& shift) { return {shift.pieces, shift.n_pieces}; }

// What the pixels of a block read, as float[pixels][depth], c channels each: the edge ones, and all of them
// where asked.
void gather_in_place(const Shift& shift, const Pieces& pieces, int64_t depth, const float* image, const Pixels& pixels,
                     bool all, float* to) {
  const char* const from = reinterpret_cast<const char*>(image);
  char* const start = reinterpret_cast<char*>(to);
  const int64_t step = shift.maps.c * 4;
  each_length(pieces.first, pieces.count, [&](auto copy, const Piece* first, const Piece* last) {
    const int64_t size = first->bytes;
    for (int64_t i = 0; i < pixels.n_edge; ++i) {
      char* const target = start + pixels.edge[i] * depth * 4;
      const char* const source = from + pixels.edge_places[i] * step;
      for (const Piece* piece = first; piece < last; ++piece)
        copy.one(target + piece->to, reads_inside(shift, pixels, i, *piece) ? source + piece->from : shift.zeros, size);
    }
    for (int64_t i = 0; all && i < pixels.n_inner; ++i) {
      char* const target = start + pixels.inner[i] * depth * 4;
      const char* const source = from + pixels.places[i] * step;
      for (const Piece* piece = first; piece < last; ++piece)
        copy.one(target + piece->to, source + piece->from, size);
    }
  });
}

// The adjoint: every value goes to where it was read from; what read outside goes to `nowhere`, a pixel's length.
void scatter_in_place(const Shift& shift, int64_t depth, const float* from, const Pixels& pixels, float* image,
                      float* nowhere) {
  const char* const start = reinterpret_cast<const char*>(from);
  char* const to = reinterpret_cast<char*>(image);
  const int64_t step = shift.maps.c * 4;
  each_length(shift.pieces, shift.n_pieces, [&](auto copy, const Piece* first, const Piece* last) {
    const int64_t size = first->bytes;
    for (int64_t i = 0; i < pixels.n_edge; ++i) {
      const char* const source = start + pixels.edge[i] * depth * 4;
      char* const target = to + pixels.edge_places[i] * step;
      for (const Piece* piece = first; piece < last; ++piece)
        copy.one(reads_inside(shift, pixels, i, *piece) ? target + piece->from : reinterpret_cast<char*>(nowhere),
                 source + piece->to, size);
    }
    for (int64_t i = 0; i < pixels.n_inner; ++i) {
      const char* const source = start + pixels.inner[i] * depth * 4;
      char* const target = to + pixels.places[i] * step;
      for (const Piece* piece = first; piece < last; ++piece)
        copy.one(target + piece->from, source + piece->to, size);
    }
  });
}

// The same two for other types and planes, an element at a time; every pixel counts as an edge.
template <class Kind, class Body>
void each_element(const Shift& shift, const Pieces& pieces, const Pixels& pixels, Body&& body) {
  constexpr int64_t element = sizeof(typename Kind::Stored);
  const bool last = shift.maps.channels_last;
  const int64_t per_pixel = last ? shift.maps.c : 1, per_channel = last ? 1 : shift.maps.h * shift.maps.w;
  for (const Piece* piece = pieces.first; piece < pieces.first + pieces.count; ++piece) {
    const int64_t first = piece->to / element;
    for (int64_t i = 0; i < pixels.n_edge; ++i) {
      const int64_t pixel = pixels.edge_places[i] + piece->dy * shift.maps.w + piece->dx;
      const bool inside = reads_inside(shift, pixels, i, *piece);
      for (int64_t c = first; c < first + piece->channels; ++c)
        body(pixels.edge[i], c, inside ? pixel * per_pixel + c * per_channel : -1);
    }
  }
}

template <class Kind>
void gather(const ShiftConv& conv, const Pieces& pieces, const typename Kind::Stored* image, const Pixels& pixels,
            bool all, float* to) {
  const int64_t depth = depth_of(conv);
  if (in_place<Kind>(conv))
    return gather_in_place(conv.shift, pieces, depth, reinterpret_cast<const float*>(image), pixels, all, to);
  each_element<Kind>(conv.shift, pieces, pixels, [&](int64_t pixel, int64_t channel, int64_t place) {
    to[pixel * depth + channel] = place < 0 ? 0.0f : Kind::load(image[place]);
  });
}

template <class Kind>
void scatter(const ShiftConv& conv, const float* from, const Pixels& pixels, typename Kind::Stored* image,
             float* nowhere) {
  const int64_t depth = depth_of(conv);
  if (in_place<Kind>(conv))
    return scatter_in_place(conv.shift, depth, from, pixels, reinterpret_cast<float*>(image), nowhere);
  each_element<Kind>(conv.shift, all_of(conv.shift), pixels, [&](int64_t pixel, int64_t channel, int64_t place) {
    if (place >= 0) image[place] = Kind::store(from[pixel * depth + channel]);
  });
}

// Zeros in the gradient of one image where nothing is scattered to.
template <class Kind>
void clear_unread(const Shift& shift, typename Kind::Stored* x) {
  constexpr int64_t element = sizeof(typename Kind::Stored);
  const smidgen_maps& maps = shift.maps;
  char* const image = reinterpret_cast<char*>(x);
  if (shift.stride > 1) return clear(image, maps.c * maps.h * maps.w * element);
  const int64_t pixel = maps.channels_last ? maps.c * element : element, line = maps.w * pixel;
  for (const Piece* piece = shift.pieces; piece < shift.pieces + shift.n_pieces; ++piece) {
    const int64_t dy = piece->dy, dx = piece->dx;
    if (dy == 0 && dx == 0) continue;
    const int64_t left = most(0, dx), right = maps.w - most(0, -dx);  // scattered to: columns between
    const int64_t planes = maps.channels_last ? 1 : piece->channels;
    const int64_t size = maps.channels_last ? piece->bytes : element;
    char* start = image + (maps.channels_last ? piece->to : piece->to * maps.h * maps.w);
    for (int64_t p = 0; p < planes; ++p)
      for (int64_t h = 0; h < maps.h; ++h, start += line) {
        const bool unread = h - dy < 0 || h - dy >= maps.h;
        for (int64_t w = 0; w < (unread ? maps.w : left); ++w) clear(start + w * pixel, size);
        for (int64_t w = unread ? maps.w : right; w < maps.w; ++w) clear(start + w * pixel, size);
      }
  }
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
  return pixels * (depth_of(conv) + (backward ? breadth_of(conv) : conv.c_out)) + depth_of(conv);
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
    int64_t lines = 0;
    for (const Piece* piece = shift.pieces; piece < shift.pieces + shift.n_pieces; ++piece) lines += piece->bytes / 64 + 1;
    const int64_t column = ends ? 0 : block.last % shift.width, row = block.last / shift.width * shift.stride;
    Ahead ahead;
    ahead.next = static_cast<const char*>(image) + (ends ? plane : row * maps.w + column * shift.stride) * pixel;
    ahead.step = 64 * ceil_div(pixels * lines, most(1, tiles));
    ahead.strided = &shift;
    ahead.pixels = pixels;
    ahead.column = column;
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
  float* const result = direct ? reinterpret_cast<float*>(y) + block.first * out : scratch + pixels * depth;
  Pixels sorted;
  sort_pixels(shift, reach_of(shift), block, !direct, sorted);
  gather<Kind>(conv, all_of(shift), x, sorted, true, scratch);
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

// The pixels of a block at which all these channels read inside: where in the input, and where in the rows of the
// gradient, `row` long.
struct Inner {
  int64_t n, places[longest_block], at[longest_block];
};
void list_inner(const Shift& shift, const Reach& reach, const Block& block, int64_t row, Inner& list) {
  const int64_t step = shift.stride * shift.maps.c;
  list.n = 0;
  for (int64_t h = block.first / shift.width, start = h * shift.width; start < block.last; ++h, start += shift.width) {
    const Columns columns = inner(shift, reach, h);
    const int64_t first = most(columns.first, block.first - start), last = least(columns.last, block.last - start);
    int64_t *const places = list.places + list.n - first, *const at = list.at + list.n - first;
    for (int64_t w = first; w < last; ++w) {
      places[w] = (h * shift.maps.w + w) * step;
      at[w] = (start + w - block.first) * row;
    }
    list.n += most(0, last - first);
  }
}

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
                         int64_t row, float* edges, float* grad_weight) {
  const Shift& shift = conv.shift;
  const int64_t channels = shift.maps.c, breadth = breadth_of(conv), depth = depth_of(conv);
  const bool direct = in_place<Kind>(conv);
  Ahead ahead = next_block(conv, x, sizeof(typename Kind::Stored), block, ceil_div(channels, ROWS) * ceil_div(row, PANEL));
  Pixels pixels;
  Inner inner;
  int64_t edge_at[longest_block], edge_places[longest_block], channel = 0;
  for (const Piece* piece = shift.pieces; piece < shift.pieces + shift.n_pieces;) {
    const Pieces group = next_group(shift, piece, direct);
    Reach reach;
    int64_t last = channel;
    for (const Piece* const end = piece + group.count; piece < end; ++piece) {
      reach.add(*piece);
      last += piece->channels;
    }
    inner.n = 0;
    if (direct) list_inner(shift, reach, block, row, inner);
    if (!direct || group.count > 1) sort_pixels(shift, reach, block, !direct, pixels);
    if (pixels.n_edge) gather<Kind>(conv, group, x, pixels, false, edges);
    for (int64_t i = 0; i < pixels.n_edge; ++i) {
      edge_at[i] = pixels.edge[i] * row;
      edge_places[i] = pixels.edge[i] * depth;
    }
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
        if (inner.n)
          multiply({inner.n, inner.places, inner.at, columns, nullptr, true}, rows, inner_rows, grad + first,
                   results, first);
        if (pixels.n_edge)
          multiply({pixels.n_edge, edge_places, edge_at, columns, nullptr, true}, rows, edge_rows, grad + first, results,
                   first);
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
  const bool direct = in_place<Kind>(conv);
  float* const shifted = scratch;  // first what the edges read, and when that is used up the shifted gradient
  float* const nowhere = shifted + step * depth;
  float* const loaded = nowhere + depth;
  if (grad_from) clear_unread<Kind>(shift, grad_x);
  for (int64_t begin = 0; begin < plane; begin += step) {
    const Block block{image, begin, least(begin + step, plane)};
    const int64_t pixels = block.last - block.first;
    Pixels sorted;
    sort_pixels(shift, reach_of(shift), block, !direct, sorted);
    int64_t row;
    const float* grad = load_block<Kind>(conv, y, block, loaded, row);
    if (grad_bias) add_columns(grad, pixels, row, out, grad_bias);
    if (grad_weight) add_weight_gradient<Kind>(conv, x, block, grad, row, shifted, grad_weight);
    if (grad_from) {
      const float* rows[longest_block];
      float* results[longest_block];
      for (int64_t i = 0; i < pixels; ++i) {
        rows[i] = grad + i * row;
        results[i] = shifted + i * depth;
      }
      Ahead ahead = next_block(conv, grad_x, sizeof(Stored), block, pixels / ROWS * (depth / PANEL));
      const float* panel = packed;
      for (int64_t first = 0; first < channels; first += PANEL, panel += out * PANEL)
        multiply({out, shift.counting, shift.panels, whole(channels - first), nullptr, false}, pixels, rows, panel, results,
                 first, ahead);
      scatter<Kind>(conv, shifted, sorted, grad_x, nowhere);
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
