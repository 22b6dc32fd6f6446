// BatchNorm of whole batches while training: statistics, what they make of every number, and the gradients.

#include "train/norm_kernels.hpp"

#include <algorithm>
#include <cmath>
#include <new>
#include <vector>

#include "isa/isa.hpp"
#include "isa/numbers.hpp"
#include "threads.hpp"

namespace smidgen {
namespace {

const NormKernels& norms() { return *isa().norms; }

NormActivation activation_of(const smidgen_norm& norm) { return static_cast<NormActivation>(norm.activation); }

// The numbers [pixels][channels] as rows of several pixels that fill whole vectors, and in chunks that stay in a near
// cache. The chunks depend on the sizes alone, so that sums end alike however many threads work.
struct Folded {
  Folded(int64_t pixels, int64_t channels, int32_t threads) : pixels(pixels), channels(channels) {
    constexpr int64_t cached = 6 * 1024, fewest = 16, repays = 32 * 1024;
    const int64_t lanes = norms().lanes;
    int64_t common = lanes;
    while (channels % common) common /= 2;
    fold = lanes / common;
    width = fold * channels;
    chunk = most(fewest, cached / width) * fold;
    chunks = ceil_div(pixels, chunk);
    const int64_t useful = clamped(pixels * channels / repays, 1, threads);
    parts = least(chunks, useful == 1 ? 1 : 4 * useful);
    this->threads = threads;
  }

  // Calls body(chunk's number, its rows, where they begin, room for three rows). What runs in parallel allocates nothing:
  // an exception there would end the process.
  template <class Body>
  void each_chunk(const Body& body) const {
    std::vector<float> rooms(static_cast<size_t>(3 * parts * width));
    on_host_team(threads, parts, [&](int64_t part) {
      for (int64_t number = chunks * part / parts; number < chunks * (part + 1) / parts; ++number) {
        const int64_t first = number * chunk, rows = (least(pixels, first + chunk) - first) / fold;
        if (rows) body(number, NormRows{rows, width}, first * channels, rooms.data() + 3 * part * width);
      }
    });
  }

  // The pixels behind the last whole row, of the last chunk.
  int64_t rest() const { return pixels % fold * channels; }
  int64_t rest_begin() const { return pixels * channels - rest(); }
  // They as a row, filled up.
  std::vector<float> rest_row(const float* x, const float* filling) const {
    std::vector<float> row(filling, filling + width);
    std::copy_n(x + rest_begin(), rest(), row.begin());
    return row;
  }

  // Something of each channel as often as a row has pixels.
  void spread(const float* values, float* row) const {
    for (float* to = row; to < row + width; to += channels) std::copy_n(values, channels, to);
  }
  std::vector<float> spread(const float* values) const {
    std::vector<float> row(static_cast<size_t>(width));
    spread(values, row.data());
    return row;
  }

  int64_t pixels, channels, fold, width, chunk, chunks, parts;
  int32_t threads;
};

// Two sums for each channel, of each chunk.
struct Sums {
  explicit Sums(const Folded& folded) : channels(folded.channels), all(2 * folded.chunks * channels) {}

  // Adds to a chunk's what was summed for two times `width` columns of some of its rows.
  void add(int64_t chunk, int64_t width, const float* both) {
    double* const to = of(chunk);
    for (int64_t begin = 0; begin < 2 * width; begin += channels)
      for (int64_t c = 0; c < channels; ++c) to[(begin < width ? 0 : channels) + c] += both[begin + c];
  }

  double* of(int64_t chunk) { return all.data() + 2 * chunk * channels; }

  int64_t channels;
  std::vector<double> all;
};

// What BatchNorm makes of a number, by channel.
struct Line {
  Line(const Folded& folded, const smidgen_norm& norm, const float* mean, const float* variance)
      : inverse(static_cast<size_t>(norm.channels)), mean(folded.spread(mean)), bias(folded.spread(norm.bias)) {
    std::vector<float> scales(inverse.size());
    for (size_t c = 0; c < inverse.size(); ++c) {
      inverse[c] = 1 / std::sqrt(static_cast<double>(variance[c]) + norm.eps);
      scales[c] = static_cast<float>(inverse[c] * norm.weight[c]);
    }
    scale = folded.spread(scales.data());
    line = {activation_of(norm), this->mean.data(), scale.data(), bias.data()};
  }
  Line(const Line&) = delete;

  std::vector<double> inverse;  // of the deviation
  std::vector<float> mean, bias, scale;
  NormLine line;
};

// Mean and variance of each channel. Squares are summed about a chunk's own mean, so that numbers far from zero, or a
// single one far from the others, do not swallow their differences.
void statistics(const Folded& folded, const float* x, float* mean, float* variance) {
  const int64_t channels = folded.channels;
  const size_t wide = static_cast<size_t>(channels);
  std::vector<float> pivots(static_cast<size_t>(folded.chunks) * wide);
  Sums sums(folded);
  auto about = [&](int64_t chunk, const NormRows& rows, const float* from, float* room) {
    folded.spread(pivots.data() + chunk * channels, room);
    norms().moments(rows, from, room, room + rows.width, room + 2 * rows.width);
    sums.add(chunk, rows.width, room + rows.width);
  };
  folded.each_chunk([&](int64_t chunk, const NormRows& rows, int64_t begin, float* room) {
    float* const pivot = pivots.data() + chunk * channels;
    std::copy_n(x + begin, channels, pivot);
    about(chunk, rows, x + begin, room);
    const double count = static_cast<double>(rows.rows * folded.fold);
    double* const sum = sums.of(chunk);
    for (size_t c = 0; c < wide; ++c) pivot[c] += static_cast<float>(sum[c] / count);
    std::fill_n(sum, 2 * wide, 0.0);
    about(chunk, rows, x + begin, room);
  });
  if (folded.rest()) {
    const int64_t last = folded.chunks - 1;
    if (folded.rest_begin() == last * folded.chunk * channels)  // nothing else is in its chunk
      std::copy_n(x + folded.rest_begin(), channels, pivots.end() - channels);
    const std::vector<float> filling = folded.spread(pivots.data() + last * channels);
    std::vector<float> room(3 * filling.size());
    about(last, {1, folded.width}, folded.rest_row(x, filling.data()).data(), room.data());
  }
  std::vector<double> total(wide), squares(wide);
  auto each = [&](auto&& body) {
    for (int64_t chunk = 0; chunk < folded.chunks; ++chunk) {
      const double count = static_cast<double>(least(folded.chunk, folded.pixels - chunk * folded.chunk));
      const float* const pivot = pivots.data() + chunk * channels;
      const double* const sum = sums.of(chunk);
      for (size_t c = 0; c < wide; ++c) body(c, count, pivot[c], sum[c], sum[wide + c]);
    }
  };
  const double all = static_cast<double>(folded.pixels);
  each([&](size_t c, double count, double pivot, double sum, double) { total[c] += sum + count * pivot; });
  each([&](size_t c, double count, double pivot, double sum, double square) {
    const double distance = total[c] / all - pivot;
    squares[c] += square - distance * (2 * sum - count * distance);
  });
  for (size_t c = 0; c < wide; ++c) {
    mean[c] = static_cast<float>(total[c] / all);
    // (What is no number stays none: the first of two that do not compare.)
    variance[c] = static_cast<float>(std::max(squares[c] / all, 0.0));
  }
}

}  // namespace
}  // namespace smidgen

using namespace smidgen;

int32_t smidgen_norm_forward(const smidgen_norm* norm, const float* x, float* y, float* mean, float* variance,
                             int32_t threads) try {
  if (!known(activation_of(*norm))) return SMIDGEN_UNKNOWN;
  if (norm->pixels * norm->channels == 0) return 0;
  const Folded folded(norm->pixels, norm->channels, threads);
  statistics(folded, x, mean, variance);
  const Line line(folded, *norm, mean, variance);
  folded.each_chunk([&](int64_t, const NormRows& rows, int64_t begin, float*) {
    norms().apply(rows, line.line, x + begin, y + begin);
  });
  if (folded.rest()) {
    std::vector<float> row = folded.rest_row(x, line.scale.data());
    norms().apply({1, folded.width}, line.line, row.data(), row.data());
    std::copy_n(row.begin(), folded.rest(), y + folded.rest_begin());
  }
  return 0;
} catch (const std::bad_alloc&) {
  return SMIDGEN_NO_MEMORY;
}

int32_t smidgen_norm_backward(const smidgen_norm* norm, const float* x, const float* mean, const float* variance,
                              const float* grad_y, float* grad_x, float* grad_weight, float* grad_bias,
                              int32_t threads) try {
  if (!known(activation_of(*norm))) return SMIDGEN_UNKNOWN;
  if (norm->pixels * norm->channels == 0) return 0;
  const Folded folded(norm->pixels, norm->channels, threads);
  const Line line(folded, *norm, mean, variance);
  Sums sums(folded);
  folded.each_chunk([&](int64_t chunk, const NormRows& rows, int64_t begin, float* room) {
    norms().gradient_sums(rows, line.line, x + begin, grad_y + begin, room, room + rows.width);
    sums.add(chunk, rows.width, room);
  });
  const std::vector<float> zeros(folded.rest() ? line.mean.size() : 0);
  std::vector<float> row, grad_row;
  if (folded.rest()) {
    row = folded.rest_row(x, line.mean.data());
    grad_row = folded.rest_row(grad_y, zeros.data());
    std::vector<float> both(2 * row.size());
    norms().gradient_sums({1, folded.width}, line.line, row.data(), grad_row.data(), both.data(),
                          both.data() + folded.width);
    sums.add(folded.chunks - 1, folded.width, both.data());
  }
  const size_t channels = static_cast<size_t>(norm->channels);
  std::vector<float> slopes(channels), levels(channels);
  for (size_t c = 0; c < channels; ++c) {
    double sum = 0, product = 0;
    for (size_t chunk = 0; chunk < static_cast<size_t>(folded.chunks); ++chunk) {
      sum += sums.all[2 * chunk * channels + c];
      product += sums.all[(2 * chunk + 1) * channels + c];
    }
    grad_bias[c] = static_cast<float>(sum);
    grad_weight[c] = static_cast<float>(product * line.inverse[c]);
    // What every number owes to having moved the mean and the deviation.
    const double each = line.inverse[c] * norm->weight[c] / static_cast<double>(norm->pixels);
    slopes[c] = static_cast<float>(-each * product * line.inverse[c] * line.inverse[c]);
    levels[c] = static_cast<float>(-each * sum);
  }
  const std::vector<float> slope = folded.spread(slopes.data()), level = folded.spread(levels.data());
  folded.each_chunk([&](int64_t, const NormRows& rows, int64_t begin, float*) {
    norms().gradient(rows, line.line, x + begin, grad_y + begin, slope.data(), level.data(), grad_x + begin);
  });
  if (folded.rest()) {
    norms().gradient({1, folded.width}, line.line, row.data(), grad_row.data(), slope.data(), level.data(), row.data());
    std::copy_n(row.begin(), folded.rest(), grad_x + folded.rest_begin());
  }
  return 0;
} catch (const std::bad_alloc&) {
  return SMIDGEN_NO_MEMORY;
}
