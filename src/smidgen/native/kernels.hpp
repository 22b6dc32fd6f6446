// What every instruction set provides. One file, kernels.cpp, is compiled once for each of them.
#pragma once

#include <cstdint>

#include "smidgen.h"

namespace smidgen {

constexpr int64_t longest_block = 192;  // pixels

// Pixels [first, last) of one image of the output, counted row by row; at most `longest_block`.
struct Block {
  int64_t image, first, last;
};

// One run of a shift over maps in channels_last: what each output pixel copies from where. Places in bytes.
struct Piece {
  int64_t to, from;  // from the start of the output pixel, and of the input pixel without offset
  int64_t channels, bytes, dy, dx;
};

// Output pixels at which the same channels read inside, and where those lie: from the unmoved input pixel, and
// in a panel of packed weights. The first class is that of the pixels whose every channel reads inside.
struct Class {
  int64_t channels;
  const int64_t *from, *in_panel;
};
constexpr int64_t most_classes = 49;

// Neighbouring output columns of one class in every row.
struct Segment {
  int64_t first, last, number;
};

// A shift over given maps, worked out once for a call. Offsets beyond the map are cut to its size.
struct Shift {
  smidgen_maps maps;
  int64_t stride, height, width;  // size of the output
  int64_t up, down, left, right;  // how far any channel looks; pixels that far inside need no checks
  int64_t n_pieces;
  const Piece* pieces;
  const char* zeros;       // as long as the longest piece, and as a row of a plane
  const int64_t* offsets;  // of each channel's element from the start of the unmoved input pixel
  const int64_t* counting; // 0, 1, 2, …: as many as a block has pixels, or the maps or the output channels
  const int64_t* panels;   // the same times `panel`
  // A pixel's class is that of its row plus the number of its segment. Without classes where the pixels' inputs
  // are copied together first.
  int64_t n_classes, n_segments;
  const Class* classes;
  const Segment* segments;
  const int64_t* row_class;  // of each output row
  // With a stride: bytes from the unmoved input pixel to the lines of the cache that an output pixel is the first to read.
  int64_t n_lines;
  const int64_t* lines;
  bool streams;  // so much is written that it goes past the caches, whose lines need not be read first
};

// A 1x1 convolution after a shift.
struct ShiftConv {
  Shift shift;
  int64_t c_out;
  int32_t type;
};

struct Kernels {
  // Columns of a panel of packed weights, and of a tile.
  int64_t panel;

  // Rows [first, last) of the shifted maps, counted over images (channels_last) or over planes.
  void (*shift_rows)(const Shift&, int64_t bytes, const void* x, void* y, int64_t first, int64_t last);

  // [rows, columns] of any type, element (i, j) at i * row_step + j * column_step, as panels of columns:
  // float[ceil(columns / panel)][rows][panel], zero beyond the last column.
  void (*pack)(int32_t type, const void* matrix, int64_t rows, int64_t columns, int64_t row_step,
               int64_t column_step, float* panels);

  // Sums where they end: element (i, j) of [rows, columns] of any type from i * row_step + j * column_step.
  void (*unpack)(int32_t type, const float* from, int64_t rows, int64_t columns, int64_t row_step,
                 int64_t column_step, void* to);

  // Floats of scratch that one thread needs, forward or backward, for blocks of that many pixels.
  int64_t (*scratch_floats)(const ShiftConv&, int64_t pixels, bool backward);

  // One block of the output, from weights packed as [c, c_out]; bias: float, padded like a panel, or NULL.
  void (*forward)(const ShiftConv&, const void* x, const float* packed, const float* bias, void* y, const Block&,
                  float* scratch);

  // What one image adds to the gradients, from weights packed as [c_out, c], in blocks of that many pixels.
  // grad_x: of the whole batch; the image is overwritten. grad_weight: float[c][c_out rounded up to a panel]
  // and grad_bias: float[c_out], both added to. Each may be NULL.
  void (*backward)(const ShiftConv&, const void* x, const float* packed, const void* grad_y, int64_t image,
                   int64_t pixels, void* grad_x, float* grad_weight, float* grad_bias, float* scratch);
};

extern const Kernels kernels_portable;
#if defined(__x86_64__)
extern const Kernels kernels_avx2, kernels_avx512;
#endif

}  // namespace smidgen
