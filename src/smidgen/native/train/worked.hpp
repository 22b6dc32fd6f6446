// A shift over given maps, worked out once for a call: where its channels read, and in which steps products take them.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "isa/numbers.hpp"
#include "threads.hpp"
#include "train/shift_kernels.hpp"

namespace smidgen {
namespace {

using Floats = std::unique_ptr<float[]>;
Floats floats(int64_t count) { return Floats(new float[static_cast<size_t>(count)]); }

// Bounds of the part `number` of `parts` nearly equal ones.
int64_t bound(int64_t total, int64_t number, int64_t parts) { return total * number / parts; }

// How many threads the work would repay waking; it is cut into parts for so many.
int64_t useful_threads(int32_t threads, int64_t work, int64_t repays) {
  return most(1, least(threads, work / repays));
}
// A thread that is late leaves parts to others.
int64_t parts_for(int64_t useful) { return useful == 1 ? 1 : 4 * useful; }

// A shift worked out, with what it points to. Channels that look beyond the map's size see nothing, however
// far they look.
struct Worked {
  Worked(const smidgen_maps& maps, const int64_t* runs, int64_t n_runs, int64_t stride, int64_t bytes) {
    shift = {};
    shift.maps = maps;
    shift.stride = stride;
    shift.height = ceil_div(maps.h, stride);
    shift.width = ceil_div(maps.w, stride);
    int64_t channel = 0, longest_piece = 0;
    for (const int64_t* run = runs; run < runs + 3 * n_runs; channel += run[0], run += 3) {
      const int64_t dy = most(-maps.h, least(run[1], maps.h)), dx = most(-maps.w, least(run[2], maps.w));
      const int64_t offset = (dy * maps.w + dx) * maps.c;
      pieces.push_back({channel * bytes, (offset + channel) * bytes, run[0], run[0] * bytes, dy, dx});
      for (int64_t c = channel; c < channel + run[0]; ++c) offsets.push_back(offset + c);
      longest_piece = most(longest_piece, run[0] * bytes);
      shift.up = most(shift.up, -dy);
      shift.down = most(shift.down, dy);
      shift.left = most(shift.left, -dx);
      shift.right = most(shift.right, dx);
    }
    zeros.resize(static_cast<size_t>(most(longest_piece, maps.w * bytes)));
    shift.n_pieces = n_runs;
    shift.zeros = zeros.data();
    shift.pieces = pieces.data();
    shift.offsets = offsets.data();
    // (What the third cache may hold comes in time by itself.)
    constexpr int64_t cached = 16 << 20;
    const int64_t size = maps.n * maps.h * maps.w * maps.c * bytes;
    if (stride > 1 && maps.channels_last && size >= cached) find_lines(maps.c * bytes, maps.w * maps.c * bytes);
  }
  Worked(const Worked&) = delete;

  // With a stride, an input pixel is read only by the pieces that look as far modulo the stride. Of those that share a
  // line of it, the one that looks farthest down, and then right, comes by first.
  void find_lines(int64_t pixel, int64_t row) {
    constexpr int64_t line = 64;
    struct Line {
      int64_t number, y, x, dy, dx;
    };
    std::vector<Line> found;
    const int64_t stride = shift.stride;
    auto modulo = [&](int64_t offset) { return (offset % stride + stride) % stride; };
    for (const Piece& piece : pieces) {
      if (most(piece.dy, -piece.dy) >= shift.maps.h || most(piece.dx, -piece.dx) >= shift.maps.w) continue;  // sees nothing
      for (int64_t number = piece.to / line; number * line < piece.to + piece.bytes; ++number) {
        const Line one = {number, modulo(piece.dy), modulo(piece.dx), piece.dy, piece.dx};
        auto same = [&](const Line& other) { return other.number == number && other.y == one.y && other.x == one.x; };
        const auto at = std::find_if(found.begin(), found.end(), same);
        if (at == found.end())
          found.push_back(one);
        else if (std::pair(one.dy, one.dx) > std::pair(at->dy, at->dx))
          *at = one;
      }
    }
    for (const Line& one : found) lines.push_back(one.dy * row + one.dx * pixel + one.number * line);
    shift.n_lines = static_cast<int64_t>(lines.size());
    shift.lines = lines.data();
  }

  // The steps of products over so many numbers, which lie one after the other.
  void step_through(const ShiftKernels& use, int64_t numbers) {
    for (int64_t number = 0; number < up(numbers, use.together); ++number) order.push_back(number < numbers ? number : -1);
    for (int64_t number = 0; number < numbers; number += use.together) {
      in_row.push_back(number);
      in_panel.push_back(number / use.together * use.panel);
    }
    shift.in_row = in_row.data();
    shift.in_panel = in_panel.data();
    shift.steps = static_cast<int64_t>(in_row.size());
  }

  // A matrix as panels for these steps.
  Floats packed(const ShiftKernels& use, FloatType type, const Matrix& matrix, int32_t threads) const {
    const int64_t panels = ceil_div(matrix.columns, use.panel), size = shift.steps * use.panel;
    Floats made = floats(panels * size);
    const int64_t parts = least(panels, useful_threads(threads, panels * size, 16 * 1024));
    on_host_team(threads, parts, [&](int64_t part) {
      for (int64_t number = bound(panels, part, parts); number < bound(panels, part + 1, parts); ++number)
        use.pack(type, matrix, order.data(), shift.steps, number * use.panel, made.get() + number * size);
    });
    return made;
  }

  // The steps of products that read the input where it lies take one channel, or two of one piece. Of a piece of an odd
  // number one is single: those are picked, two a step.
  struct Single {
    int64_t channel;
    size_t piece;
  };
  void step_through_pieces(int64_t together, std::vector<Single>& singles) {
    int64_t c = 0, end = 0;
    for (size_t number = 0; number < pieces.size(); ++number) {
      for (end += pieces[number].channels; c + together <= end; c += together)
        for (int64_t i = 0; i < together; ++i) order.push_back(c + i);
      if (c < end) singles.push_back({c++, number});
    }
    for (const Single& one : singles) order.push_back(one.channel);
    if (singles.size() % 2) order.push_back(-1);
    shift.steps = static_cast<int64_t>(order.size()) / together;
  }

  // A mask for each vector of 64 bytes, where there are many more vectors than masks.
  void mask_planes(int64_t bytes, const void* y, int32_t threads) {
    constexpr int64_t vector = 64, many = 32;
    const int64_t plane = shift.maps.h * shift.maps.w * bytes, count = plane / least(vector, plane & -plane);
    const int64_t all = shift.n_pieces * count, words = plane / vector + 3;
    if (all > shift.maps.n * shift.maps.c * plane / vector / many) return;
    const int64_t first = -reinterpret_cast<intptr_t>(y) & (vector - 1);
    masks.resize(static_cast<size_t>(all));
    std::vector<uint64_t> kept(static_cast<size_t>(shift.n_pieces * words));
    const int64_t parts = least(shift.n_pieces, useful_threads(threads, all, 512));
    on_host_team(threads, parts, [&](int64_t part) {
      const int64_t end = bound(shift.n_pieces, part + 1, parts);
      for (int64_t number = bound(shift.n_pieces, part, parts); number < end; ++number) {
        uint64_t* const bits = kept.data() + number * words;
        keep(pieces[static_cast<size_t>(number)], bytes, bits);
        uint64_t* const of_piece = masks.data() + number * count;
        for (int64_t i = 0, at = first; i < count; ++i, at += vector) {
          while (at >= plane) at -= plane;  // a division takes longer
          const uint64_t* const word = bits + at / vector;
          of_piece[i] = word[0] >> at % vector | word[1] << 1 << (vector - 1 - at % vector);
        }
      }
    });
    shift.first_vector = first;
    shift.n_masks = count;
    shift.masks = masks.data();
  }

  // Sets a bit for each byte of a plane that keeps what it reads, and for 64 of those that follow.
  void keep(const Piece& piece, int64_t bytes, uint64_t* bits) const {
    constexpr int64_t word = 64;
    const int64_t line = shift.maps.w * bytes, height = shift.maps.h, plane = height * line, size = plane + word;
    const int64_t before = most(0, -piece.dx) * bytes, after = most(0, piece.dx) * bytes;
    for (int64_t start = 0; start < size; start += plane)
      for (int64_t row = clamped(-piece.dy, 0, height); row < least(height, height - piece.dy); ++row) {
        const int64_t last = least(start + (row + 1) * line - after, size);
        for (int64_t first = start + row * line + before, next; first < last; first = next) {
          next = least(last, (first | (word - 1)) + 1);
          bits[first / word] |= ~uint64_t{0} >> (word - (next - first)) << first % word;
        }
      }
  }

  // Rows and columns near the edges are each of a kind of their own, and all others of the first kind.
  void classify(const ShiftKernels& use) {
    auto kinds = [](int64_t count, int64_t size, int64_t stride, int64_t before, int64_t after,
                    std::vector<int64_t>& firsts, std::vector<int64_t>& kind) {
      firsts.assign(1, -1);
      for (int64_t i = 0; i < count; ++i) {
        const bool inner = i * stride >= before && i * stride < size - after;
        kind.push_back(inner ? 0 : static_cast<int64_t>(firsts.size()));
        if (!inner) firsts.push_back(i * stride);
      }
    };
    std::vector<int64_t> h_of, w_of, row_kind, column_kind;  // an input row or column of each kind but the first
    kinds(shift.height, shift.maps.h, shift.stride, shift.up, shift.down, h_of, row_kind);
    kinds(shift.width, shift.maps.w, shift.stride, shift.left, shift.right, w_of, column_kind);
    const int64_t columns = static_cast<int64_t>(w_of.size()), count = static_cast<int64_t>(h_of.size()) * columns;
    if (count > most_classes) return;
    std::vector<Single> singles;
    step_through_pieces(use.together, singles);
    places.resize(2 * static_cast<size_t>(count * shift.steps));
    picked.resize(static_cast<size_t>(count) * ((singles.size() + 1) / 2));
    int64_t* next = places.data();
    Picked* pick = picked.data();
    std::vector<char> visible(pieces.size());
    for (const int64_t h : h_of)
      for (const int64_t w : w_of) {
        classes.push_back(class_at(use, h, w, singles, next, pick, visible));
        pick += classes.back().n_picked;
        next += 2 * shift.steps;
      }
    for (int64_t w = 0; w < shift.width; ++w) {
      const int64_t kind = column_kind[static_cast<size_t>(w)];
      if (segments.empty() || segments.back().number != kind) segments.push_back({w, w, kind});
      segments.back().last = w + 1;
    }
    for (const int64_t kind : row_kind) row_class.push_back(kind * columns);
    shift.n_classes = count;
    shift.n_segments = static_cast<int64_t>(segments.size());
    shift.classes = classes.data();
    shift.segments = segments.data();
    shift.row_class = row_class.data();
  }

  // The class of the input pixel (h, w), each less than zero for those inside. next: room for its places; pick: for what
  // it picks; visible: for whether each piece reads inside.
  Class class_at(const ShiftKernels& use, int64_t h, int64_t w, const std::vector<Single>& singles, int64_t* next,
                 Picked* pick, std::vector<char>& visible) const {
    Class one = {0, next, next + shift.steps, 0, pick};
    int64_t step = 0;
    for (size_t number = 0, channel = 0; number < pieces.size(); ++number) {
      const Piece& piece = pieces[number];
      visible[number] = (h < 0 || (h + piece.dy >= 0 && h + piece.dy < shift.maps.h)) &&
                        (w < 0 || (w + piece.dx >= 0 && w + piece.dx < shift.maps.w));
      for (int64_t i = 0; i < piece.channels / use.together; ++i, ++step) {
        if (!visible[number]) continue;
        next[one.steps] = offsets[channel + static_cast<size_t>(i * use.together)];
        next[shift.steps + one.steps++] = step * use.panel;
      }
      channel += static_cast<size_t>(piece.channels);
    }
    for (size_t i = 0; i < singles.size(); i += 2, ++step) {
      const Single &low = singles[i], &high = singles[std::min(i + 1, singles.size() - 1)];
      const bool sees_low = visible[low.piece], sees_high = i + 1 < singles.size() && visible[high.piece];
      if (!sees_low && !sees_high) continue;
      constexpr uint32_t lows = 0x55555555, highs = lows << 1;
      // What sees nothing is loaded all the same, from the place of the other, and dropped by its bits.
      const Single &from_low = sees_low ? low : high, &from_high = sees_high ? high : low;
      *pick++ = {offsets[static_cast<size_t>(from_low.channel)], offsets[static_cast<size_t>(from_high.channel)],
                 sees_low ? lows : 0, sees_high ? highs : 0};
      next[shift.steps + one.steps + one.n_picked++] = step * use.panel;
    }
    return one;
  }

  Shift shift;
  std::vector<Class> classes;
  std::vector<Segment> segments;
  std::vector<int64_t> places, row_class;
  std::vector<Piece> pieces;
  std::vector<char> zeros;
  std::vector<int64_t> offsets, lines, in_row, in_panel, order;
  std::vector<Picked> picked;
  std::vector<uint64_t> masks;
};

}  // namespace
}  // namespace smidgen
