// Runs lists of operations, drawn at random, through smidgen_run and compares them with loops that follow the
// definition in smidgen.h; made to be built with sanitizers. Input, output, weights and memory each have a block of
// exactly the size that was asked for, and between the maps of the arena lie gaps that nobody may touch, so that a
// read or a write beside one is found. Any number of threads must give the same bits, also in two runs at once.
//
//   cmake -S . -B build/sanitized -DSMIDGEN_SANITIZE=address && cmake --build build/sanitized
//   build/sanitized/engine_check
//
// engine_check CASES FIRST begins with another case: the number that a failure names draws it again.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "smidgen.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(at, bytes) ((void)(at), (void)(bytes))
#endif

namespace {

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

std::mt19937 random_bits;
int64_t pick(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(random_bits); }
bool one_in(int64_t count) { return pick(1, count) == 1; }
int64_t one_of(std::initializer_list<int64_t> values) { return values.begin()[pick(0, int64_t(values.size()) - 1)]; }

// Weights as the definition has them, beside what the kernels get.
struct Plain {
  Floats weight;  // [c_out][kernel][kernel][c_in]; of a depthwise convolution [kernel][kernel][c]
  Floats bias, scale, offset;
};

// Memory that begins on a boundary of 64 bytes and has not a float more than was asked for.
class Block {
 public:
  explicit Block(int64_t floats) : count_(floats) {
    void* found = nullptr;
    if (posix_memalign(&found, 64, static_cast<size_t>(floats) * sizeof(float))) std::abort();
    at_ = static_cast<float*>(found);
    std::fill(at_, at_ + floats, NAN);
  }
  Block(const Block&) = delete;
  ~Block() { std::free(at_); }
  float* data() const { return at_; }
  int64_t size() const { return count_; }

 private:
  float* at_;
  int64_t count_;
};

struct Gap {
  int64_t at, floats;
};

struct Case {
  std::deque<smidgen_op> ops;  // a deque: `first` points into it
  std::vector<bool> joined;    // whether the operation is only somebody's `first`
  std::deque<Plain> plains;
  std::deque<Floats> packed;
  std::deque<std::vector<int64_t>> runs;
  std::vector<Gap> gaps, loose;  // loose: sums, whose parts depend on the instruction set
  int64_t input = 0, arena = 0, output = 0;
  std::string text;
};

// ---- Drawing a case -----------------------------------------------------------------------------------

constexpr int64_t GAP = 16;

const float* keep(Case& made, Floats numbers) {
  made.packed.push_back(std::move(numbers));
  made.packed.back().shrink_to_fit();
  return made.packed.back().data();
}
Floats numbers(int64_t count, double spread) {
  Floats drawn(static_cast<size_t>(count));
  std::normal_distribution<float> normal(0, static_cast<float>(spread));
  for (float& number : drawn) number = normal(random_bits);
  return drawn;
}

smidgen_view in_arena(Case& made, int64_t h, int64_t w, int64_t c) {
  // Sometimes some channels of a wider map.
  const bool wide = one_in(3);
  const int64_t before = wide ? pick(0, 9) : 0, after = wide ? pick(0, 9) : 0, all = before + c + after;
  made.gaps.push_back({made.arena, GAP});
  const int64_t start = made.arena + GAP;
  made.arena = start + h * w * all;
  return {start + before, h, w, c, all, 1, SMIDGEN_ARENA};
}
smidgen_view in_input(Case& made, int64_t h, int64_t w, int64_t c) {
  const int64_t at = made.input;
  made.input += h * w * c;
  return {at, h, w, c, 1, h * w, SMIDGEN_INPUT};
}

smidgen_op operation(int32_t kind, const smidgen_view& x, const smidgen_view& y) {
  smidgen_op op = {};
  op.kind = kind;
  op.x = x;
  op.y = y;
  op.kernel = op.stride = op.dilation = 1;
  return op;
}
void append(Case& made, const smidgen_op& op, Plain plain = {}, bool joined = false) {
  made.ops.push_back(op);
  made.plains.push_back(std::move(plain));
  made.joined.push_back(joined);
  const char* const names[] = {"conv", "depthwise", "pool", "mean", "pointwise", "transpose"};
  char line[160];
  std::snprintf(line, sizeof line, " %s%s %dx%dx%d->%dx%dx%d k%d s%d d%d t%d l%d%s;", names[op.kind],
                joined ? "(joined)" : "", int(op.x.h), int(op.x.w), int(op.x.c), int(op.y.h), int(op.y.w), int(op.y.c),
                int(op.kernel), int(op.stride), int(op.dilation), int(op.top), int(op.left), op.winograd ? " wino" : "");
  made.text += line;
}

// A map that nobody has computed: a piece of the input, copied to where most operations read.
smidgen_view loaded(Case& made, int64_t h, int64_t w, int64_t c) {
  const smidgen_view from = in_input(made, h, w, c), to = in_arena(made, h, w, c);
  append(made, operation(SMIDGEN_POINTWISE, from, to));
  return to;
}

int32_t any_activation() { return static_cast<int32_t>(one_in(2) ? 0 : pick(0, 4)); }
int64_t any_channels() { return one_in(6) ? pick(60, 90) : one_in(2) ? pick(1, 9) : pick(8, 40); }

void set_runs(Case& made, smidgen_op& op) {
  std::vector<int64_t> runs;
  const int64_t parts = one_in(20) ? op.x.c : pick(1, 6);  // one channel each: more runs than are read in place
  for (int64_t rest = op.x.c, part = 1; rest > 0; ++part) {
    const int64_t count = part >= parts ? rest : std::min<int64_t>(rest, op.x.c / parts ? op.x.c / parts : 1);
    const int64_t reach = one_in(8) ? (1 << 24) : 2;
    runs.insert(runs.end(), {count, pick(-reach, reach), pick(-reach, reach)});
    rest -= count;
  }
  made.runs.push_back(std::move(runs));
  made.runs.back().shrink_to_fit();
  op.runs = made.runs.back().data();
  op.n_runs = static_cast<int64_t>(made.runs.back().size() / 3);
}
void set_before(Case& made, smidgen_op& op, Plain& plain) {
  if (one_in(2)) {
    plain.scale = numbers(op.x.c, 1);
    plain.offset = numbers(op.x.c, 1);
    op.scale = keep(made, plain.scale);
    op.offset = keep(made, plain.offset);
  }
  op.before = any_activation();
}
void set_bias(Case& made, smidgen_op& op, Plain& plain) {
  if (one_in(3)) return;
  plain.bias = numbers(op.y.c, 1);
  Floats padded = plain.bias;
  padded.resize(static_cast<size_t>(smidgen_padded(op.y.c)), 0.0f);
  op.bias = keep(made, std::move(padded));
}

// Weights of F(4x4, 3x3) at the points 0, +-sqrt(1/2), +-sqrt(2) and infinity, as native/infer/winograd.hpp reads them.
// Lavin and Gray 2016, arXiv:1509.09308.
Floats winograd_weights(const Floats& weight, const float* scale, int64_t c_out, int64_t c_in) {
  const double root = std::sqrt(0.5), points[5] = {0, root, -root, 2 * root, -2 * root};
  double g[6][3] = {{}, {}, {}, {}, {}, {0, 0, 1}};
  for (int64_t i = 0; i < 5; ++i) {
    const double p = points[i], slope = 5 * p * p * p * p - 7.5 * p * p + 1;  // of x (x^2 - 1/2) (x^2 - 2)
    for (int64_t a = 0; a < 3; ++a) g[i][a] = (a == 0 ? 1 : a == 1 ? p : p * p) / slope;
  }
  const int64_t panel = smidgen_padded(1);
  Floats all(static_cast<size_t>(36 * smidgen_packed_floats(c_out, c_in)));
  Floats matrix(static_cast<size_t>(c_out * c_in));
  for (int64_t i = 0; i < 6; ++i)
    for (int64_t j = 0; j < 6; ++j) {
      for (int64_t o = 0; o < c_out; ++o)
        for (int64_t c = 0; c < c_in; ++c) {
          double sum = 0;
          for (int64_t a = 0; a < 3; ++a)
            for (int64_t b = 0; b < 3; ++b) sum += g[i][a] * g[j][b] * weight[((o * 3 + a) * 3 + b) * c_in + c];
          matrix[o * c_in + c] = static_cast<float>(sum);
        }
      for (int64_t first = 0; first < c_out; first += panel) {
        const int64_t columns = std::min(panel, c_out - first), size = smidgen_packed_floats(columns, c_in);
        smidgen_pack(matrix.data() + first * c_in, scale ? scale + first : nullptr, columns, c_in,
                     all.data() + 36 * first * c_in + (i * 6 + j) * size);
      }
    }
  return all;
}

void set_weights(Case& made, smidgen_op& op, Plain& plain) {
  const int64_t depth = op.kernel * op.kernel * op.x.c;
  plain.weight = numbers(op.y.c * depth, 1 / std::sqrt(double(depth)));
  const Floats scales = one_in(2) ? numbers(op.y.c, 1) : Floats();
  const float* const scale = scales.empty() ? nullptr : scales.data();
  Floats packed;
  if (op.winograd) {
    packed = winograd_weights(plain.weight, scale, op.y.c, op.x.c);
  } else {
    packed.resize(static_cast<size_t>(smidgen_packed_floats(op.y.c, depth)));
    smidgen_pack(plain.weight.data(), scale, op.y.c, depth, packed.data());
  }
  if (scale)
    for (int64_t i = 0; i < op.y.c * depth; ++i) plain.weight[i] *= scale[i / depth];
  op.weight = keep(made, std::move(packed));
}

// Kernel and padding that leave something of x; returns the size of the output.
struct Size {
  int64_t h, w;
};
Size set_window(smidgen_op& op, int64_t largest) {
  op.dilation = op.kernel > 1 && one_in(4) ? pick(2, 3) : 1;
  const int64_t reach = (op.kernel - 1) * op.dilation + 1;
  const int64_t odd = one_in(8) ? largest : 0;  // padding beyond what anybody asks for
  auto side = [&](int64_t size, int64_t& before) {
    before = one_in(4) ? pick(0, reach + odd) : reach / 2;
    int64_t after = one_in(4) ? pick(0, reach + odd) : reach / 2;
    while (size + before + after < reach) ++after;
    return (size + before + after - reach) / op.stride + 1;
  };
  const int64_t h = side(op.x.h, op.top);
  return {h, side(op.x.w, op.left)};
}

// Where the operation may leave its result: the arena, or the output when it is the last one.
smidgen_view target(Case& made, bool last, int64_t h, int64_t w, int64_t c) {
  if (!last) return in_arena(made, h, w, c);
  made.output = h * w * c;
  return {0, h, w, c, c, 1, SMIDGEN_OUTPUT};
}

smidgen_view convolution(Case& made, smidgen_view x, bool last) {
  smidgen_op op = operation(SMIDGEN_CONV, x, {});
  Plain plain;
  op.kernel = one_of({1, 1, 3, 3, 5, 7});
  op.stride = one_in(3) ? pick(2, 3) : 1;
  op.winograd = op.kernel == 3 && op.stride == 1 && x.channel == 1 && one_in(2);
  Size size = {(x.h - 1) / op.stride + 1, (x.w - 1) / op.stride + 1};
  if (op.kernel > 1 || one_in(6)) {
    size = set_window(op, 4);
    if (op.winograd && op.dilation > 1) op.winograd = 0;
  } else {
    if (one_in(2)) set_runs(made, op);
    if (one_in(2)) set_before(made, op, plain);
    if (one_in(3)) op.gate = loaded(made, 1, 1, x.c);
  }
  int64_t channels = any_channels();
  // What the loops below can do in reasonable time.
  while (channels > 1 && size.h * size.w * channels * op.kernel * op.kernel * x.c > 3000000) channels /= 2;
  op.y.c = channels;
  op.activation = any_activation();
  set_bias(made, op, plain);
  set_weights(made, op, plain);
  const bool adds = one_in(3);
  if (adds) {
    op.add = loaded(made, size.h, size.w, channels);
    op.then = any_activation();
  }
  op.y = adds && !last && one_in(2) ? op.add : target(made, last, size.h, size.w, channels);
  append(made, op, std::move(plain));
  return op.y;
}

smidgen_view depthwise(Case& made, smidgen_view x, bool last) {
  Plain plain;
  const smidgen_op* first = nullptr;
  smidgen_view inner = x;
  if (one_in(2)) {  // a 1x1 convolution makes what is read
    smidgen_op one = operation(SMIDGEN_CONV, x, x);
    Plain its;
    int64_t channels = any_channels();
    while (channels > 1 && x.h * x.w * channels * x.c > 2000000) channels /= 2;
    inner = {0, x.h, x.w, channels, channels, 1, SMIDGEN_NOWHERE};
    one.y = inner;
    one.activation = any_activation();
    set_bias(made, one, its);
    set_weights(made, one, its);
    append(made, one, std::move(its), true);
    first = &made.ops.back();
  }
  smidgen_op op = operation(SMIDGEN_DEPTHWISE, inner, {});
  op.first = first;
  op.kernel = one_of({1, 3, 3, 3, 5, 5, 7, 2});
  op.stride = one_of({1, 1, 2, 3});
  const Size size = set_window(op, 4);
  op.y.c = inner.c;
  op.activation = any_activation();
  set_bias(made, op, plain);
  plain.weight = numbers(op.kernel * op.kernel * inner.c, 1.0 / double(op.kernel));
  op.weight = keep(made, plain.weight);
  op.y = in_arena(made, size.h, size.w, inner.c);
  const bool sums = last || one_in(2);
  if (sums) {
    const int64_t pixels = smidgen_op_sums(&op);
    made.gaps.push_back({made.arena, GAP});
    op.sums = {made.arena + GAP, pixels, 1, inner.c, inner.c, 1, SMIDGEN_ARENA};
    made.loose.push_back({made.arena + GAP, pixels * inner.c});
    made.arena += GAP + pixels * inner.c;
  }
  append(made, op, std::move(plain));
  if (!sums) return op.y;
  smidgen_op mean = operation(SMIDGEN_MEAN, op.sums, target(made, last, 1, 1, inner.c));
  mean.factor = 1.0f / static_cast<float>(size.h * size.w);
  append(made, mean);
  return last || one_in(2) ? mean.y : op.y;
}

smidgen_view pool(Case& made, smidgen_view x, bool last) {
  smidgen_op op = operation(SMIDGEN_POOL, x, {});
  op.pool = static_cast<int32_t>(pick(0, 2));
  op.stride = pick(1, 4);
  int64_t sizes[2] = {x.h, x.w};
  op.kernel = pick(1, 7);
  op.padding = pick(0, op.kernel / 2);
  while (std::min(x.h, x.w) + 2 * op.padding < op.kernel) op.kernel = 1, op.padding = 0;
  const bool ceiled = one_in(2);
  for (int64_t& size : sizes) {
    const int64_t room = size + 2 * op.padding - op.kernel;
    int64_t out = (ceiled ? (room + op.stride - 1) / op.stride : room / op.stride) + 1;
    if (ceiled && (out - 1) * op.stride >= size + op.padding) --out;
    size = out;
  }
  op.top = op.left = op.padding;
  op.y = target(made, last, sizes[0], sizes[1], x.c);
  append(made, op);
  return op.y;
}

smidgen_view mean(Case& made, smidgen_view x, bool last) {
  smidgen_op op = operation(SMIDGEN_MEAN, x, target(made, last, 1, 1, x.c));
  op.factor = 1.0f / static_cast<float>(x.h * x.w);
  append(made, op);
  return op.y;
}

smidgen_view pointwise(Case& made, smidgen_view x, bool last) {
  smidgen_op op = operation(SMIDGEN_POINTWISE, x, {});
  Plain plain;
  if (one_in(2)) set_runs(made, op);
  if (one_in(2)) set_before(made, op, plain);
  if (one_in(2)) op.gate = one_in(2) ? loaded(made, x.h, x.w, x.c) : loaded(made, 1, 1, x.c);
  if (one_in(2)) op.add = loaded(made, x.h, x.w, x.c);
  op.then = any_activation();
  const bool over = !op.runs && x.space == SMIDGEN_ARENA && !last && one_in(2);
  op.y = over ? x : target(made, last, x.h, x.w, x.c);
  append(made, op, std::move(plain));
  return op.y;
}

smidgen_view transpose(Case& made, smidgen_view x) {
  const int64_t all = x.h * x.w * x.c;
  const smidgen_op op = operation(SMIDGEN_TRANSPOSE, x, target(made, true, 1, 1, all));
  append(made, op);
  return op.y;
}

Case any_case(unsigned number) {
  random_bits.seed(number);
  Case made;
  const int64_t side = one_in(25) ? pick(60, 72) : one_in(6) ? 1 : one_in(4) ? pick(17, 34) : pick(1, 16);
  const int64_t h = side, w = one_in(3) ? pick(1, 16) : side, c = any_channels();
  smidgen_view x = one_in(3) ? in_input(made, h, w, c) : loaded(made, h, w, c);
  const int64_t steps = pick(1, 3);
  for (int64_t step = 1; step <= steps; ++step) {
    const bool last = step == steps;
    const bool reads_anywhere = x.space == SMIDGEN_INPUT;  // others get a copy, as the engine's plans have it
    switch (pick(0, 9)) {
      case 0: case 1: case 2: case 3:
        x = convolution(made, x, last);
        break;
      case 4: case 5:
        x = depthwise(made, reads_anywhere ? loaded(made, h, w, c) : x, last);
        break;
      case 6: x = pool(made, reads_anywhere ? loaded(made, h, w, c) : x, last); break;
      case 7: x = mean(made, reads_anywhere ? loaded(made, h, w, c) : x, last); break;
      case 8: x = pointwise(made, x, last); break;
      default:
        if (last) x = transpose(made, x);
        else x = pointwise(made, x, last);
    }
  }
  return made;
}

// ---- What it must give --------------------------------------------------------------------------------

double activated(int32_t kind, double x) {
  switch (kind) {
    case SMIDGEN_RELU: return std::max(x, 0.0);
    case SMIDGEN_RELU6: return std::min(std::max(x, 0.0), 6.0);
    case SMIDGEN_SILU: return x / (1 + std::exp(-x));
    case SMIDGEN_SIGMOID: return 1 / (1 + std::exp(-x));
    default: return x;
  }
}

struct Maps {
  Doubles input, arena, output;

  double& at(const smidgen_view& view, int64_t h, int64_t w, int64_t c) {
    Doubles& all = view.space == SMIDGEN_ARENA ? arena : view.space == SMIDGEN_INPUT ? input : output;
    return all.at(static_cast<size_t>(view.at + (h * view.w + w) * view.pixel + c * view.channel));
  }
};

// A dense copy of what an operation reads: double[h][w][c], shifted, prepared and gated.
Doubles taken(const smidgen_op& op, const Plain& plain, Maps& maps) {
  const smidgen_view& x = op.x;
  Doubles found(static_cast<size_t>(x.h * x.w * x.c));
  std::vector<int64_t> down(static_cast<size_t>(x.c)), right(down.size());
  int64_t channel = 0;
  for (int64_t run = 0; run < op.n_runs; ++run)
    for (int64_t i = 0; i < op.runs[3 * run]; ++i, ++channel)
      down[channel] = op.runs[3 * run + 1], right[channel] = op.runs[3 * run + 2];
  for (int64_t h = 0; h < x.h; ++h)
    for (int64_t w = 0; w < x.w; ++w)
      for (int64_t c = 0; c < x.c; ++c) {
        const int64_t row = h + down[c], column = w + right[c];
        const bool inside = row >= 0 && row < x.h && column >= 0 && column < x.w;
        double value = inside ? maps.at(x, row, column, c) : 0.0;
        if (!plain.scale.empty()) value = value * plain.scale[c] + plain.offset[c];
        value = activated(op.before, value);
        if (op.gate.space) {
          const bool everywhere = op.gate.h * op.gate.w > 1;
          value *= maps.at(op.gate, everywhere ? h : 0, everywhere ? w : 0, c);
        }
        found[(h * x.w + w) * x.c + c] = value;
      }
  return found;
}

void window(const smidgen_op& op, const Plain& plain, const Doubles& x, Maps& maps) {
  const bool deep = op.kind == SMIDGEN_DEPTHWISE;
  const int64_t depth = deep ? 1 : op.x.c;
  Doubles total(static_cast<size_t>(op.y.c));
  for (int64_t h = 0; h < op.y.h; ++h)
    for (int64_t w = 0; w < op.y.w; ++w)
      for (int64_t o = 0; o < op.y.c; ++o) {
        double sum = plain.bias.empty() ? 0 : plain.bias[o];
        for (int64_t i = 0; i < op.kernel; ++i)
          for (int64_t j = 0; j < op.kernel; ++j) {
            const int64_t row = h * op.stride - op.top + i * op.dilation;
            const int64_t column = w * op.stride - op.left + j * op.dilation;
            if (row < 0 || row >= op.x.h || column < 0 || column >= op.x.w) continue;
            const double* const from = x.data() + (row * op.x.w + column) * op.x.c;
            const int64_t place = i * op.kernel + j;
            const float* const weight =
                plain.weight.data() + (deep ? place * op.x.c + o : (o * op.kernel * op.kernel + place) * op.x.c);
            for (int64_t c = 0; c < depth; ++c) sum += double(weight[c]) * from[deep ? o : c];
          }
        sum = activated(op.activation, sum);
        if (op.add.space) sum += maps.at(op.add, h, w, o);
        maps.at(op.y, h, w, o) = activated(op.then, sum);
        total[o] += maps.at(op.y, h, w, o);
      }
  for (int64_t part = 0; part < op.sums.h; ++part)
    for (int64_t o = 0; o < op.y.c; ++o) maps.at(op.sums, part, 0, o) = part ? 0 : total[o];
}

void pooled(const smidgen_op& op, Maps& maps) {
  for (int64_t h = 0; h < op.y.h; ++h)
    for (int64_t w = 0; w < op.y.w; ++w)
      for (int64_t c = 0; c < op.y.c; ++c) {
        double largest = -INFINITY, sum = 0;
        int64_t inside = 0, counted = 0;
        for (int64_t i = 0; i < op.kernel; ++i)
          for (int64_t j = 0; j < op.kernel; ++j) {
            const int64_t row = h * op.stride - op.top + i, column = w * op.stride - op.left + j;
            counted += row < op.x.h + op.padding && column < op.x.w + op.padding;
            if (row < 0 || row >= op.x.h || column < 0 || column >= op.x.w) continue;
            ++inside;
            sum += maps.at(op.x, row, column, c);
            largest = std::max(largest, maps.at(op.x, row, column, c));
          }
        const int64_t number = op.pool == SMIDGEN_AVERAGE ? counted : inside;
        maps.at(op.y, h, w, c) = op.pool == SMIDGEN_MAX ? largest : sum / double(number);
      }
}

Maps expected(const Case& one, const float* picture) {
  Maps maps;
  maps.input.assign(picture, picture + one.input);
  maps.arena.assign(static_cast<size_t>(one.arena), NAN);
  maps.output.assign(static_cast<size_t>(one.output), NAN);
  for (size_t i = 0; i < one.ops.size(); ++i) {
    const smidgen_op& op = one.ops[i];
    const Plain& plain = one.plains[i];
    if (one.joined[i]) continue;
    switch (op.kind) {
      case SMIDGEN_CONV: window(op, plain, taken(op, plain, maps), maps); break;
      case SMIDGEN_DEPTHWISE: {
        if (!op.first) {
          window(op, plain, taken(op, plain, maps), maps);
          break;
        }
        Maps inner;  // the map that the kernels keep nowhere
        smidgen_op first = *op.first;
        const Doubles x = taken(first, {}, maps);
        first.y.space = SMIDGEN_OUTPUT;
        inner.output.resize(static_cast<size_t>(op.x.h * op.x.w * op.x.c));
        window(first, one.plains[i - 1], x, inner);
        window(op, plain, inner.output, maps);
        break;
      }
      case SMIDGEN_POOL: pooled(op, maps); break;
      case SMIDGEN_MEAN:
        for (int64_t c = 0; c < op.x.c; ++c) {
          double sum = 0;
          for (int64_t h = 0; h < op.x.h; ++h)
            for (int64_t w = 0; w < op.x.w; ++w) sum += maps.at(op.x, h, w, c);
          maps.at(op.y, 0, 0, c) = sum * op.factor;
        }
        break;
      case SMIDGEN_POINTWISE: {
        const Doubles x = taken(op, plain, maps);
        for (int64_t h = 0; h < op.x.h; ++h)
          for (int64_t w = 0; w < op.x.w; ++w)
            for (int64_t c = 0; c < op.x.c; ++c) {
              const double add = op.add.space ? maps.at(op.add, h, w, c) : 0;
              maps.at(op.y, h, w, c) = activated(op.then, x[(h * op.x.w + w) * op.x.c + c] + add);
            }
        break;
      }
      default:
        for (int64_t c = 0; c < op.x.c; ++c)
          for (int64_t i = 0; i < op.x.h * op.x.w; ++i)
            maps.at(op.y, 0, 0, c * op.x.h * op.x.w + i) = maps.at(op.x, i / op.x.w, i % op.x.w, c);
    }
  }
  return maps;
}

// ---- Running and comparing ----------------------------------------------------------------------------

std::atomic<int> failures{0};
void fail(unsigned number, const Case& one, const char* what, double found, double wanted) {
  if (++failures < 10)
    std::printf("case %u, %s: %g instead of %g:%s\n", number, what, found, wanted, one.text.c_str());
}

void compare(unsigned number, const Case& one, const char* what, const float* found, const Doubles& wanted) {
  double scale = 1;
  for (const double value : wanted)
    if (std::isfinite(value)) scale = std::max(scale, std::fabs(value));
  for (size_t i = 0; i < wanted.size(); ++i) {
    const bool same = std::isnan(wanted[i]) ? std::isnan(found[i]) : std::fabs(found[i] - wanted[i]) <= 1e-4 * scale;
    if (!same) return fail(number, one, what, found[i], wanted[i]);
  }
}

std::vector<smidgen_op> listed(const Case& one) {
  std::vector<smidgen_op> ops;
  for (size_t i = 0; i < one.ops.size(); ++i)
    if (!one.joined[i]) ops.push_back(one.ops[i]);
  ops.shrink_to_fit();
  return ops;
}

// The output of some pictures; `arena`: room for what the first thread's arena holds in the end.
Floats answers(const Case& one, const float* x, int64_t pictures, int32_t threads, bool timed, float* arena = nullptr) {
  const std::vector<smidgen_op> ops = listed(one);
  const int64_t n_ops = static_cast<int64_t>(ops.size()), room = (one.arena + 15) / 16 * 16;
  const Block memory(smidgen_run_floats(ops.data(), n_ops, one.arena, threads));
  const Block input(pictures * one.input), output(pictures * one.output);
  std::copy(x, x + pictures * one.input, input.data());
  std::vector<double> seconds(ops.size());
  auto gaps = [&](auto action) {
    for (int64_t thread = 0; thread < threads; ++thread)
      for (const Gap& gap : one.gaps) action(memory.data() + thread * room + gap.at, gap.floats);
  };
  gaps([](float* at, int64_t floats) { ASAN_POISON_MEMORY_REGION(at, floats * sizeof(float)); });
  failures += smidgen_run(ops.data(), n_ops, one.arena, pictures, input.data(), one.input, output.data(), one.output,
                          memory.data(), threads, timed ? seconds.data() : nullptr);
  gaps([](float* at, int64_t floats) { ASAN_UNPOISON_MEMORY_REGION(at, floats * sizeof(float)); });
  if (arena) std::copy(memory.data(), memory.data() + one.arena, arena);
  return Floats(output.data(), output.data() + output.size());
}

void check(unsigned number) {
  const Case one = any_case(number);
  constexpr int64_t most = 5;
  const Floats x = numbers(most * one.input, 1);
  Floats wanted, arena(static_cast<size_t>(one.arena));
  for (int64_t picture = 0; picture < most; ++picture) {
    const float* const from = x.data() + picture * one.input;
    const Floats y = answers(one, from, 1, 1, false, arena.data());
    wanted.insert(wanted.end(), y.begin(), y.end());
    if (picture) continue;
    Maps maps = expected(one, from);
    for (const Gap& sums : one.loose)
      for (int64_t i = sums.at; i < sums.at + sums.floats; ++i) maps.arena[i] = arena[i] = 0;
    compare(number, one, "the arena", arena.data(), maps.arena);
    compare(number, one, "the output", y.data(), maps.output);
  }
  auto same = [&](const Floats& y, const char* what) {
    if (!y.empty() && std::memcmp(y.data(), wanted.data(), y.size() * sizeof(float))) fail(number, one, what, NAN, NAN);
  };
  for (const int32_t threads : {1, 2, 4})
    for (const int64_t pictures : {int64_t(0), int64_t(1), int64_t(2), most})
      same(answers(one, x.data(), pictures, threads, number % 3 == 0), "other bits");
  Floats other;
  std::thread beside([&] { other = answers(one, x.data(), most, 2, false); });
  const Floats mine = answers(one, x.data(), most, 2, false);
  beside.join();
  same(mine, "other bits with somebody beside");
  same(other, "other bits beside somebody");
}

}  // namespace

int main(int count, char** arguments) {
  const int cases = count > 1 ? std::atoi(arguments[1]) : 400, first = count > 2 ? std::atoi(arguments[2]) : 0;
  for (int number = first; number < first + cases; ++number) check(static_cast<unsigned>(number));
  std::printf("%s (of %s): %d cases, %d failures\n", smidgen_isa(), smidgen_isas(), cases, failures.load());
  return failures != 0;
}
