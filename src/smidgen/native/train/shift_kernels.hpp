// What every instruction set provides for shifts. One file, train/shift_kernels.cpp, is compiled once for each of them.
#pragma once

#include <cstdint>

#include "kinds.hpp"

namespace smidgen {

constexpr int64_t longest_block = 192;  // pixels

// Pixels [first, last) of one image of the output, counted row by row; at most `longest_block`.
struct Block {
  int64_t image, first, last;
};

// One run of a shift: its channels, and in channels_last what each output pixel copies from where. Places in bytes.
struct Piece {
  int64_t to, from;  // from the start of the output pixel, and of the input pixel without offset
  int64_t channels, bytes, dy, dx;
};

// Two numbers of 16 bits that a step takes from different places of a row, and the lanes of a vector that hold each: all
// even ones and all odd ones, or none where it reads outside.
struct Picked {
  int64_t low, high;
  uint32_t lows, highs;
};

// Output pixels at which the same channels read inside, and where those lie: from the unmoved input pixel, and
// in a panel of packed weights. The first class is that of the pixels whose every channel reads inside.
// Where a step of a product takes two channels, they are neighbours in one piece; those that are left are picked.
struct Class {
  int64_t steps;
  const int64_t *from, *in_panel;  // the latter also of the steps that are picked
  int64_t n_picked;
  const Picked* picked;
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
  // The steps of a product; where its rows lie whole: of each step, its place in a row and in a panel.
  int64_t steps;
  const int64_t *in_row, *in_panel;
  // A pixel's class is that of its row plus the number of its segment. Without classes where the pixels' inputs
  // are copied together first.
  int64_t n_classes, n_segments;
  const Class* classes;
  const Segment* segments;
  const int64_t* row_class;  // of each output row
  // With a stride, of large maps: bytes from the unmoved input pixel to the lines of the cache that an output pixel is the
  // first to read, if pixels begin on one.
  int64_t n_lines;
  const int64_t* lines;
  // Planes that are shifted as if they were one: for each piece, which of the 64 bytes of a vector keep what they read, of
  // the vectors one after the other that begin at `first_vector` bytes, before which lie less than 64; after `n_masks` of
  // them it is all the same again. Without masks each plane by itself.
  int64_t first_vector, n_masks;
  const uint64_t* masks;
  bool streams;  // so much is written that it goes past the caches, whose lines need not be read first
};

// A 1x1 convolution after a shift.
struct ShiftConv {
  Shift shift;
  int64_t c_out;
  FloatType type;
};

// Element (i, j) lies at i * row_step + j * column_step.
struct Matrix {
  const void* numbers;
  int64_t columns, row_step, column_step;
};

struct ShiftKernels {
  // Columns of a panel of packed weights, and of a tile; and rows that one step of a product takes.
  int64_t panel, together;
  bool masks;  // whether shift_rows can use those of planes

  // Rows [first, last) of the shifted maps, counted over images (channels_last) or over planes. NULL in those of bfloat16.
  void (*shift_rows)(const Shift&, int64_t bytes, const void* x, void* y, int64_t first, int64_t last);

  // A panel of a matrix of any type from its column `first` on, as words [steps][panel], zero beyond the last column.
  // order: int[steps][together], the rows of each step, -1 for none.
  void (*pack)(FloatType type, const Matrix&, const int64_t* order, int64_t steps, int64_t first, float* to);

  // Numbers of any type as floats.
  void (*widen)(FloatType type, const void* numbers, int64_t count, float* to);

  // Sums where they end: element (i, j) of [rows, columns] of any type from i * row_step + j * column_step.
  void (*unpack)(FloatType type, const float* from, int64_t rows, int64_t columns, int64_t row_step,
                 int64_t column_step, void* to);

  // Floats of scratch that one thread needs, forward or backward, for blocks of that many pixels.
  int64_t (*scratch_floats)(const ShiftConv&, int64_t pixels, bool backward);

  // One block of the output, from weights packed as [steps of c, c_out]; bias: float, padded like a panel, or NULL.
  void (*forward)(const ShiftConv&, const void* x, const float* packed, const float* bias, void* y, const Block&,
                  float* scratch);

  // What one image adds to the gradients, from weights packed as [steps of c_out, c], in blocks of that many pixels.
  // grad_x: of the whole batch; the image is overwritten. grad_weight: float[c][c_out rounded up to a panel]
  // and grad_bias: float[c_out], both added to. Each may be NULL.
  void (*backward)(const ShiftConv&, const void* x, const float* packed, const void* grad_y, int64_t image,
                   int64_t pixels, void* grad_x, float* grad_weight, float* grad_bias, float* scratch);
};

extern const ShiftKernels shifts_portable;
#if defined(__x86_64__)
extern const ShiftKernels shifts_avx2, shifts_avx512;
extern const ShiftKernels shifts_avx512_bf16;  // of bfloat16 alone
#endif

}  // namespace smidgen
