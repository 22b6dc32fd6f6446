// Runs the native shift kernels over many sizes and compares them with loops that follow the definition; made
// to be built with sanitizers. Every buffer has exactly the size that the kernels were told, so that a read or
// a write beside it is found.
//
//   cmake -S . -B build/sanitized -DSMIDGEN_SANITIZE=ON && cmake --build build/sanitized
//   build/sanitized/shift_check

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "smidgen.h"

namespace {

std::mt19937 random_bits(7);
int64_t pick(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random_bits); }
std::vector<float> numbers(int64_t count) {
  std::vector<float> made(static_cast<size_t>(count));
  for (float& number : made) number = std::normal_distribution<float>()(random_bits);
  return made;
}

struct Case {
  smidgen_maps maps;
  std::vector<int64_t> runs;
  int64_t out, stride, height, width;

  int64_t at(int64_t n, int64_t c, int64_t h, int64_t w) const {
    return place(n, c, h, w, maps.c, maps.h, maps.w);
  }
  int64_t at_output(int64_t n, int64_t o, int64_t h, int64_t w) const { return place(n, o, h, w, out, height, width); }
  int64_t place(int64_t n, int64_t c, int64_t h, int64_t w, int64_t channels, int64_t rows, int64_t columns) const {
    return maps.channels_last ? ((n * rows + h) * columns + w) * channels + c : ((n * channels + c) * rows + h) * columns + w;
  }
  // What channel c reads at a pixel: its place, or -1 outside.
  int64_t read(int64_t n, int64_t c, int64_t h, int64_t w) const {
    int64_t first = 0;
    for (size_t run = 0; run < runs.size(); first += runs[run], run += 3)
      if (c < first + runs[run]) {
        h += runs[run + 1];
        w += runs[run + 2];
        break;
      }
    return h >= 0 && h < maps.h && w >= 0 && w < maps.w ? at(n, c, h, w) : -1;
  }
};

Case any_case() {
  Case made;
  made.maps = {pick(0, 3), 0, pick(1, 17), pick(1, 17), static_cast<int32_t>(pick(0, 1))};
  const int64_t parts = pick(1, 6);
  for (int64_t part = 0; part < parts; ++part) {
    const int64_t count = pick(1, pick(0, 3) ? 9 : 70), reach = pick(0, 9) ? 2 : 1000000;
    for (int64_t number : {count, pick(-reach, reach), pick(-reach, reach)}) made.runs.push_back(number);
    made.maps.c += count;
  }
  made.out = pick(0, 5) ? pick(1, 40) : pick(120, 140);
  made.stride = pick(1, 3);
  made.height = (made.maps.h + made.stride - 1) / made.stride;
  made.width = (made.maps.w + made.stride - 1) / made.stride;
  return made;
}

int failures = 0;
void compare(const char* what, const std::vector<float>& found, const std::vector<double>& wanted) {
  for (size_t i = 0; i < wanted.size(); ++i)
    if (!(std::fabs(found[i] - wanted[i]) <= 1e-4 * (1 + std::fabs(wanted[i])))) {
      if (++failures < 10) std::printf("%s: %g instead of %g at %zu\n", what, found[i], wanted[i], i);
      return;
    }
}

void check(const Case& one, int32_t threads) {
  const smidgen_maps& maps = one.maps;
  const int64_t inputs = maps.n * maps.c * maps.h * maps.w, outputs = maps.n * one.out * one.height * one.width;
  const auto x = numbers(inputs), weight = numbers(one.out * maps.c), bias = numbers(one.out), grad = numbers(outputs);
  std::vector<float> shifted(x.size(), NAN), y(grad.size(), NAN), grad_x(x.size(), NAN), grad_weight(weight.size(), NAN),
      grad_bias(bias.size(), NAN);
  const int64_t n_runs = static_cast<int64_t>(one.runs.size() / 3);
  const smidgen_shift_conv conv = {maps, one.out, one.stride, one.runs.data(), n_runs, SMIDGEN_FLOAT32};
  failures += smidgen_shift2d(&maps, one.runs.data(), n_runs, 4, x.data(), shifted.data(), threads);
  failures += smidgen_shift_conv_forward(&conv, x.data(), weight.data(), bias.data(), y.data(), threads);
  failures += smidgen_shift_conv_backward(&conv, x.data(), weight.data(), grad.data(), grad_x.data(), grad_weight.data(),
                                          grad_bias.data(), threads);

  std::vector<double> shifted_(x.size()), y_(y.size()), grad_x_(x.size()), grad_weight_(weight.size()), grad_bias_(bias.size());
  for (int64_t n = 0; n < maps.n; ++n)
    for (int64_t c = 0; c < maps.c; ++c)
      for (int64_t h = 0; h < maps.h; ++h)
        for (int64_t w = 0; w < maps.w; ++w) {
          const int64_t from = one.read(n, c, h, w);
          shifted_[one.at(n, c, h, w)] = from < 0 ? 0 : x[from];
        }
  for (int64_t n = 0; n < maps.n; ++n)
    for (int64_t o = 0; o < one.out; ++o)
      for (int64_t h = 0; h < one.height; ++h)
        for (int64_t w = 0; w < one.width; ++w) {
          const int64_t to = one.at_output(n, o, h, w);
          y_[to] = bias[o];
          grad_bias_[o] += grad[to];
          for (int64_t c = 0; c < maps.c; ++c) {
            const int64_t from = one.read(n, c, h * one.stride, w * one.stride);
            if (from < 0) continue;
            y_[to] += double(weight[o * maps.c + c]) * x[from];
            grad_x_[from] += double(weight[o * maps.c + c]) * grad[to];
            grad_weight_[o * maps.c + c] += double(grad[to]) * x[from];
          }
        }
  compare("shift2d", shifted, shifted_);
  compare("forward", y, y_);
  compare("grad_x", grad_x, grad_x_);
  compare("grad_weight", grad_weight, grad_weight_);
  compare("grad_bias", grad_bias, grad_bias_);
}

// Numbers that both half precisions hold: whole ones, up to 8, whose sums of products they do not all hold.
float decoded(int32_t type, uint16_t half) {
  if (type == SMIDGEN_BFLOAT16) {
    const uint32_t bits = uint32_t(half) << 16;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
  }
  const int exponent = half >> 10 & 31;
  const float magnitude = exponent ? std::ldexp(float(1024 | (half & 1023)), exponent - 25) : std::ldexp(float(half & 1023), -24);
  return half & 0x8000 ? -magnitude : magnitude;
}
std::vector<uint16_t> halves(int32_t type, size_t count) {
  std::vector<uint16_t> made(count);
  for (uint16_t& half : made) {
    const int64_t value = pick(-8, 8);
    for (uint32_t bits = 0; bits < 0x10000; bits += type == SMIDGEN_BFLOAT16 ? 0x20 : 0x80)
      if (decoded(type, static_cast<uint16_t>(bits)) == float(value)) half = static_cast<uint16_t>(bits);
  }
  return made;
}

// The bytes of shift2d, of elements of any size.
void compare_bytes(const Case& one, int32_t bytes) {
  const smidgen_maps& maps = one.maps;
  const int64_t inputs = maps.n * maps.c * maps.h * maps.w;
  const size_t size = inputs * bytes, odd = static_cast<size_t>(pick(0, 3) ? 0 : pick(1, 63));  // where they begin
  std::vector<char> from(odd + size), to(odd + size, 99), wanted(odd + size, 0);
  for (char& byte : from) byte = static_cast<char>(random_bits());
  std::fill(wanted.begin(), wanted.begin() + static_cast<int64_t>(odd), 99);
  failures += smidgen_shift2d(&maps, one.runs.data(), static_cast<int64_t>(one.runs.size() / 3), bytes, from.data() + odd,
                              to.data() + odd, static_cast<int32_t>(pick(1, 5)));
  for (int64_t n = 0; n < maps.n; ++n)
    for (int64_t c = 0; c < maps.c; ++c)
      for (int64_t h = 0; h < maps.h; ++h)
        for (int64_t w = 0; w < maps.w; ++w)
          if (const int64_t place = one.read(n, c, h, w); place >= 0)
            std::memcpy(&wanted[odd + one.at(n, c, h, w) * bytes], &from[odd + place * bytes], bytes);
  if (to == wanted) return;
  if (++failures < 10) std::printf("shift2d of %d bytes is wrong\n", bytes);
}

// Half precisions against float32 with the same numbers, whose sums of whole numbers are exact: equal but for
// one rounding.
void compare_halves(const Case& one, int32_t type, int32_t bytes) {
  const smidgen_maps& maps = one.maps;
  const size_t inputs = maps.n * maps.c * maps.h * maps.w, outputs = maps.n * one.out * one.height * one.width;
  const auto x = halves(type, inputs), weight = halves(type, one.out * maps.c), bias = halves(type, one.out),
             grad = halves(type, outputs);
  constexpr uint16_t none = 0x7fff;  // not a number, of either type
  std::vector<uint16_t> y(outputs, none), grad_x(inputs, none), grad_weight(weight.size(), none), grad_bias(bias.size(), none);
  const int64_t n_runs = static_cast<int64_t>(one.runs.size() / 3);
  const smidgen_shift_conv conv = {maps, one.out, one.stride, one.runs.data(), n_runs, type};
  failures += smidgen_shift_conv_forward(&conv, x.data(), weight.data(), bias.data(), y.data(), 2);
  failures += smidgen_shift_conv_backward(&conv, x.data(), weight.data(), grad.data(), grad_x.data(), grad_weight.data(),
                                          grad_bias.data(), 2);
  auto widened = [&](const std::vector<uint16_t>& from) {
    std::vector<float> made;
    for (const uint16_t half : from) made.push_back(decoded(type, half));
    return made;
  };
  const auto x_ = widened(x), weight_ = widened(weight), bias_ = widened(bias), grad_ = widened(grad);
  std::vector<float> y_(outputs), grad_x_(inputs), grad_weight_(weight.size()), grad_bias_(bias.size());
  smidgen_shift_conv wide = conv;
  wide.type = SMIDGEN_FLOAT32;
  failures += smidgen_shift_conv_forward(&wide, x_.data(), weight_.data(), bias_.data(), y_.data(), 2);
  failures += smidgen_shift_conv_backward(&wide, x_.data(), weight_.data(), grad_.data(), grad_x_.data(),
                                          grad_weight_.data(), grad_bias_.data(), 2);
  const double rounding = type == SMIDGEN_BFLOAT16 ? 1.0 / 256 : 1.0 / 2048;
  auto same = [&](const char* what, const std::vector<uint16_t>& found, const std::vector<float>& wanted) {
    for (size_t i = 0; i < wanted.size(); ++i)
      if (!(std::fabs(decoded(type, found[i]) - wanted[i]) <= rounding * std::fabs(wanted[i]))) {
        if (++failures < 10) std::printf("%s of type %d: %g instead of %g\n", what, type, decoded(type, found[i]), wanted[i]);
        return;
      }
  };
  same("forward", y, y_);
  same("grad_x", grad_x, grad_x_);
  same("grad_weight", grad_weight, grad_weight_);
  same("grad_bias", grad_bias, grad_bias_);
  compare_bytes(one, bytes);
}

}  // namespace

int main(int count, char** arguments) {
  const int cases = count > 1 ? std::atoi(arguments[1]) : 400;
  for (int number = 0; number < cases; ++number) {
    const Case one = any_case();
    check(one, static_cast<int32_t>(pick(1, 4)));
    compare_halves(one, number % 2 ? SMIDGEN_BFLOAT16 : SMIDGEN_FLOAT16, 1 << number % 5);
  }
  for (int number = 0; number < cases / 4; ++number) {  // many planes that move alike
    Case many = {};
    many.maps = {pick(4, 9), 0, 2 * pick(1, 10), 2 * pick(1, 10), 0};
    for (int64_t part = pick(1, 3); part > 0; --part) {
      for (int64_t value : {pick(20, 60), pick(-3, 3), pick(-3, 3)}) many.runs.push_back(value);
      many.maps.c += many.runs[many.runs.size() - 3];
    }
    compare_bytes(many, 1 << number % 4);
  }
  for (const int64_t width : {64, 63, 125}) {  // so much that it goes past the caches, and the same in uneven planes
    Case large = {};
    large.maps = {8, 101, 128, width, 0};
    large.runs = {1, 0, 0, 30, -1, 2, 66, 3, -3, 4, 0, 1};
    compare_bytes(large, 4);
  }
  std::printf("%s (of %s): %d cases, %d failures\n", smidgen_isa(), smidgen_isas(), cases, failures);
  return failures != 0;
}
