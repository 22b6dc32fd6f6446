// The 1x1 convolution of a shifted map.
#pragma once

#include "train/gather.hpp"

namespace smidgen {
namespace {

template <class Type>
void store_block(const ShiftConv& conv, const NumberOf<Type>* from, const Block& block,
                 typename Type::Stored* image) {
  const int64_t plane = conv.shift.height * conv.shift.width, out = conv.c_out, pixels = block.last - block.first;
  if (conv.shift.maps.channels_last) {
    auto* to = image + block.first * out;
    for (int64_t i = 0; i < pixels * out; ++i) to[i] = to_stored<Type>(from[i]);
  } else {
    auto* to = image + block.first;
    for (int64_t o = 0; o < out; ++o)
      for (int64_t i = 0; i < pixels; ++i) to[o * plane + i] = to_stored<Type>(from[i * out + o]);
  }
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
template <class Element, class Number = typename Element::Number>
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
      multiply<Element>(PickingSteps<Element>{one.steps, one.from, one.in_panel, one.n_picked, one.picked},
                        Sums<Number>{start, false, least(PANEL, conv.c_out - first), first, rows.to + begin}, count,
                        rows.from + begin, packed, ahead);
    }
}

// Copies what the pixels read together first: for other types and planes, or where that is faster.
template <class Type>
void forward_gathered(const ShiftConv& conv, const typename Type::Stored* x, const float* packed, const float* bias,
                      typename Type::Stored* y, const Block& block, float* scratch) {
  using Stored = typename Type::Stored;
  using Element = typename Type::Element;
  using Number = typename Element::Number;
  const Shift& shift = conv.shift;
  const int64_t out = conv.c_out, pixels = block.last - block.first, depth = depth_of(conv);
  const bool direct = in_place<Type>(conv);
  auto* const read = reinterpret_cast<Number*>(scratch);
  float* const raw = scratch + pixels * depth;
  auto* const result = direct ? reinterpret_cast<Number*>(y) + block.first * out
                              : reinterpret_cast<Number*>(raw + converted_at_once * depth);
  gather_block<Type>(conv, x, block, read, reinterpret_cast<Stored*>(raw));
  Ahead ahead = next_block(conv, x, sizeof(Stored), block, pixels / ROWS * (breadth_of(conv) / PANEL));
  const Number* rows[longest_block];
  Number* results[longest_block];
  for (int64_t i = 0; i < pixels; ++i) {
    rows[i] = read + i * depth;
    results[i] = result + i * out;
  }
  // What was copied together picks nothing, and a tile that could would have registers less.
  for (int64_t first = 0; first < out; first += PANEL, packed += shift.steps * PANEL)
    multiply<Element>(Steps<false>{shift.steps, shift.in_row, shift.in_panel},
                      Sums<Number>{bias ? bias + first : nullptr, false, least(PANEL, out - first), first, results}, pixels,
                      rows, packed, ahead);
  if (!direct) store_block<Type>(conv, result, block, y);
}

template <class Type>
void forward_as(const ShiftConv& conv, const void* from, const float* packed, const float* bias, void* to,
                const Block& block, float* scratch) {
  using Stored = typename Type::Stored;
  const Shift& shift = conv.shift;
  const auto* x = static_cast<const Stored*>(from) + block.image * shift.maps.c * shift.maps.h * shift.maps.w;
  auto* y = static_cast<Stored*>(to) + block.image * conv.c_out * shift.height * shift.width;
  if constexpr (multiplied_as_stored<Type>)
    if (shift.n_classes) return forward_direct<typename Type::Element>(conv, x, packed, bias, y, block);
  forward_gathered<Type>(conv, x, packed, bias, y, block, scratch);
}

}  // namespace
}  // namespace smidgen
