// The gradients of a 1x1 convolution of a shifted map.
#pragma once

#include "train/gather.hpp"

namespace smidgen {
namespace {

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
// excepted: at once before that, they are cached when it happens. Returns where it ended.
int64_t clear_rows(const Shift& shift, int64_t element, int64_t last, int64_t cleared, char* image) {
  const smidgen_maps& maps = shift.maps;
  if (shift.stride == 1 || !maps.channels_last) return maps.h;
  const int64_t line = maps.w * maps.c * element, reached = (last - 1) / shift.width * shift.stride + shift.down + 1;
  const int64_t end = last == shift.height * shift.width ? maps.h : clamped(reached, cleared, maps.h);
  clear(image + cleared * line, (end - cleared) * line);
  return end;
}

// The gradient at the pixels of a block as Number[pixels][row], zero beyond c_out up to a whole vector.
template <class Type>
const NumberOf<Type>* load_block(const ShiftConv& conv, const typename Type::Stored* image, const Block& block,
                                        NumberOf<Type>* scratch, int64_t& row) {
  using Number = NumberOf<Type>;
  const int64_t plane = conv.shift.height * conv.shift.width, out = conv.c_out, pixels = block.last - block.first;
  row = up(out, LANES);
  if (in_place<Type>(conv) && row == out) return reinterpret_cast<const Number*>(image + block.first * out);
  const bool last = conv.shift.maps.channels_last;
  const auto* from = image + block.first * (last ? out : 1);
  for (int64_t i = 0; i < pixels; ++i) {
    for (int64_t o = 0; o < out; ++o) scratch[i * row + o] = to_number<Type>(from[last ? i * out + o : o * plane + i]);
    for (int64_t o = out; o < row; ++o) scratch[i * row + o] = {};
  }
  return scratch;
}

// sums[o] += sum over pixels of grad[pixel][o], where rows are readable to a whole vector
template <class Number>
void add_columns(const Number* grad, int64_t pixels, int64_t row, int64_t out, float* sums) {
  for (int64_t first = 0; first < out; first += LANES) {
    Vector sum = {};
    for (int64_t i = 0; i < pixels; ++i) sum += widened(grad + i * row + first);
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
template <class Type>
void add_weight_gradient_of_pairs(const ShiftConv& conv, const typename Type::Stored* x, const Block& block,
                                  const NumberOf<Type>* grad, int64_t row, NumberOf<Type>* read,
                                  typename Type::Stored* raw, float* x_pairs, float* grad_pairs, float* grad_weight) {
  using Number = NumberOf<Type>;
  const int64_t channels = conv.shift.maps.c, breadth = breadth_of(conv), depth = depth_of(conv);
  const int64_t pixels = block.last - block.first;
  Ahead ahead = next_block(conv, x, sizeof(Number), block, ceil_div(channels, ROWS) * ceil_div(row, PANEL));
  gather_block<Type>(conv, x, block, read, raw);
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
      multiply<typename Type::Element>(Steps<false>{all.n, all.places, all.at}, Sums<float>{nullptr, true, whole(row - first), first, results},
                                       rows, from, grad_pairs + first);
    }
  });
}

// grad_weight[c][o] += sum over pixels of (what channel c reads there) * grad[pixel][o]
template <class Type>
void add_weight_gradient(const ShiftConv& conv, const typename Type::Stored* x, const Block& block, const float* grad,
                         int64_t row, float* edges, typename Type::Stored* raw, float* grad_weight) {
  const Shift& shift = conv.shift;
  const int64_t channels = shift.maps.c, breadth = breadth_of(conv), depth = depth_of(conv);
  const bool direct = in_place<Type>(conv);
  Ahead ahead = next_block(conv, x, sizeof(typename Type::Stored), block, ceil_div(channels, ROWS) * ceil_div(row, PANEL));
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
    each_stretch(shift, block, direct ? shift.width : longest_stretch<Type>(shift), [&](const Stretch& all, int64_t i) {
      const Columns columns = direct ? inner(shift, reach, all.row) : Columns{0, 0};
      const int64_t first = clamped(columns.first, all.first, all.last), stop = clamped(columns.last, first, all.last);
      const int64_t step = shift.stride * channels;
      inside.add(stop - first, (all.row * shift.maps.w + first) * step, step, (i + first - all.first) * row, row);
      if (direct && group.count == 1) return;
      auto add_edge = [&](int64_t from, int64_t to) {
        const int64_t number = i + from - all.first;
        gather<Type>(conv, group, x, {all.row, from, to}, edges + number * depth, raw);
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
        const Sums<float> sums = {nullptr, true, whole(row - first), first, results};
        ahead.some();
        if (inside.n)
          multiply<Floats>(Steps<false>{inside.n, inside.places, inside.at}, sums, rows, inner_rows, grad + first);
        if (edge.n)
          multiply<Floats>(Steps<false>{edge.n, edge.places, edge.at}, sums, rows, edge_rows, grad + first);
      }
    });
    channel = last;
  }
}

template <class Type>
void backward_as(const ShiftConv& conv, const void* from, const float* packed, const void* grad_y, int64_t image,
                 int64_t step, void* grad_to, float* grad_weight, float* grad_bias, float* scratch) {
  using Stored = typename Type::Stored;
  using Number = NumberOf<Type>;
  const Shift& shift = conv.shift;
  const int64_t channels = shift.maps.c, out = conv.c_out, plane = shift.height * shift.width;
  const int64_t image_size = channels * shift.maps.h * shift.maps.w, depth = depth_of(conv), most_pixels = up(step, 2);
  const auto* x = static_cast<const Stored*>(from) + image * image_size;
  const auto* y = static_cast<const Stored*>(grad_y) + image * out * plane;
  Stored* const grad_x = grad_to ? static_cast<Stored*>(grad_to) + image * image_size : nullptr;
  auto* const shifted = reinterpret_cast<Number*>(scratch);  // first what is read, then the shifted gradient
  auto* const raw = reinterpret_cast<Stored*>(scratch + most_pixels * depth);
  float* const loaded = scratch + (most_pixels + converted_at_once) * depth;
  int64_t cleared = 0;
  if (grad_x) clear_unread(shift, sizeof(Stored), reinterpret_cast<char*>(grad_x));
  for (int64_t begin = 0; begin < plane; begin += step) {
    const Block block{image, begin, least(begin + step, plane)};
    const int64_t pixels = block.last - block.first;
    int64_t row;
    const Number* grad = load_block<Type>(conv, y, block, reinterpret_cast<Number*>(loaded), row);
    if (grad_bias) add_columns(grad, pixels, row, out, grad_bias);
    if (grad_weight) {
      if constexpr (Type::Element::TOGETHER == 2)
        add_weight_gradient_of_pairs<Type>(conv, x, block, grad, row, shifted, raw, scratch + most_pixels / 2 * depth,
                                           loaded + most_pixels / 2 * row, grad_weight);
      else
        add_weight_gradient<Type>(conv, x, block, grad, row, shifted, raw, grad_weight);
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
        multiply<typename Type::Element>(PickingSteps<typename Type::Element>{shift.steps, shift.in_row, shift.in_panel},
                                         Sums<Number>{nullptr, false, whole(channels - first), first, results}, pixels, rows,
                                         panel, ahead);
      cleared = clear_rows(shift, sizeof(Stored), block.last, cleared, reinterpret_cast<char*>(grad_x));
      each_stretch(shift, block, longest_stretch<Type>(shift), [&](const Stretch& stretch, int64_t i) {
        scatter<Type>(conv, shifted + i * depth, stretch, grad_x, raw);
      });
    }
  }
}

}  // namespace
}  // namespace smidgen
