// Convolutions of any kernel over all channels, with what stands around them.
#pragma once

#include "infer/im2col.hpp"
#include "product/packing.hpp"

namespace smidgen {
namespace {

int64_t packed_floats(int64_t columns, int64_t depth) {
  const int64_t rest = columns % PANEL;
  return (columns / PANEL * PANEL + (rest == 0 ? 0 : is_narrow(rest) ? LANES : PANEL)) * depth;
}

void pack(const float* matrix, const float* scale, int64_t columns, int64_t depth, float* panels) {
  for (int64_t first = 0; first < columns; first += PANEL, matrix += PANEL * depth) {
    const int64_t width = is_narrow(columns - first) ? LANES : PANEL, inside = least(width, columns - first);
    auto column = [&](int64_t j) {
      const float factor = scale ? scale[first + j] : 1.0f;
      return [factor, from = matrix + j * depth](int64_t k) { return from[k] * factor; };
    };
    panels = pack_panel<Floats, COLUMN_BY_COLUMN>(depth, inside, width, column, panels);
  }
}

// The classifier's way: one pixel against several panels at a time.
void convolve_one(const smidgen_op& op, const Cut& c, const Indirection& reading, const float* a, int64_t first_panel,
                  int64_t last_panel, const Epilogue& whole) {
  for (int64_t panel = first_panel, group; panel < last_panel; panel += group) {
    group = 0;  // panels of full width
    while (group < 4 && panel + group < last_panel && !is_narrow(op.y.c - (panel + group) * PANEL)) ++group;
    Vector sums[4 * 2];
    auto epilogue_of = [&](int64_t g) {
      Epilogue one = whole.from((panel + g) * PANEL);
      one.columns = least(PANEL, one.columns);
      return one;
    };
    const float* const packed = op.weight + panel * PANEL * c.depth;
    if (group == 0) {
      const int64_t here = 0;
      float partial[PANEL];
      multiply(reading, 1, &a, &here, packed, c.depth, 1, epilogue_of(0), partial);
      group = 1;
      continue;
    }
    for (int64_t g = 0; g < group; ++g) start<2>(epilogue_of(g), sums + 2 * g);
    switch (group) {
      case 1: row<1>(reading, a, packed, c.depth, sums); break;
      case 2: row<2>(reading, a, packed, c.depth, sums); break;
      case 3: row<3>(reading, a, packed, c.depth, sums); break;
      case 4: row<4>(reading, a, packed, c.depth, sums); break;
    }
    for (int64_t g = 0; g < group; ++g) finish_row<2>(epilogue_of(g), 0, sums + 2 * g);
  }
}

// Columns of a panel, each step's times the gate of the channel that it reads.
void scale_panel(const float* packed, const float* gate, int64_t depth, int64_t width, float* scaled) {
  for (int64_t k = 0; k < depth; ++k) {
    const Vector factor = broadcast(gate[k]);
    for (int64_t j = 0; j < width; j += LANES) store(scaled + k * width + j, load(packed + k * width + j) * factor);
  }
}

void convolve(const smidgen_op& op, const Places& places, int64_t part, float* scratch) {
  const Cut c = cut(op);
  const int64_t number = part / c.groups, group = part % c.groups, plane = op.y.h * op.y.w;
  const int64_t first = number * c.pixels, pixels = least(first + c.pixels, plane) - first;
  Im2col a;
  a.rows = reinterpret_cast<const float**>(scratch + c.gathered);
  a.to = reinterpret_cast<int64_t*>(scratch + c.gathered) + c.pixels;
  float* const partial = scratch + c.gathered + c.addresses;
  float* const scaled = partial + c.pixels * PANEL;
  a.spread.places = reinterpret_cast<int32_t*>(scaled + c.scaled);
  a.together.places = a.spread.places + c.depth;
  if (!c.spatial)
    read_pixels(op, c, places, first, pixels, scratch, a);
  else
    read_rows(op, c, places, first, pixels, scratch, a);

  const Epilogue whole = epilogue_of(op, places, first);
  const int64_t first_panel = c.panels * group / c.groups, last_panel = c.panels * (group + 1) / c.groups;
  if (pixels == 1 && !c.scales_weights)
    return convolve_one(op, c, a.in_place ? a.spread : a.together, a.rows[0], first_panel, last_panel, whole);
  // As many panels at a time as stay in the first cache: then a pixel's outputs are written side by side. A depth of
  // several slices goes panel by panel, since their sums wait in `partial`.
  const int64_t together = a.spread.slices() > 1 || c.scales_weights ? 1 : most(1, 4096 / c.depth / PANEL);
  for (int64_t panel = first_panel, panels; panel < last_panel; panel += panels) {
    const float* packed = op.weight + panel * PANEL * c.depth;
    panels = least(together, last_panel - panel);
    const Epilogue epilogue = whole.from(panel * PANEL);
    if (c.scales_weights) {
      scale_panel(packed, places.gate, c.depth, is_narrow(epilogue.columns) ? LANES : PANEL, scaled);
      packed = scaled;
    }
    const int64_t copied = a.all - a.in_place;
    if (a.in_place) multiply(a.spread, a.in_place, a.rows, a.to, packed, c.depth, panels, epilogue, partial);
    if (copied)
      multiply(a.together, copied, a.rows + a.in_place, a.to + a.in_place, packed, c.depth, panels, epilogue, partial);
  }
}

int64_t convolution_parts(const smidgen_op& op) {
  const Cut c = cut(op);
  return c.blocks * c.groups;
}

int64_t convolution_scratch(const smidgen_op& op) {
  const Cut c = cut(op);
  return c.gathered + c.addresses + c.pixels * PANEL + c.scaled + 2 * c.depth;
}

}  // namespace
}  // namespace smidgen
